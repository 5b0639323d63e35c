//! What the calls of each step cost.

use crate::llm::Price;

use super::images;

/// What the models cost, where that is known.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Prices {
    /// The model that plans, writes and reviews.
    pub writer: Option<Price>,
    /// The model that looks at images.
    pub vision: Option<Price>,
}

impl Prices {
    /// Of one model for everything.
    pub fn same(price: Option<Price>) -> Self {
        Self {
            writer: price,
            vision: price,
        }
    }

    /// Of the model that `step` asks.
    pub fn of(&self, step: &str) -> Option<Price> {
        match step {
            images::LOOK => self.vision,
            _ => self.writer,
        }
    }
}
