//! What a job will probably use of a language model, told before it is enqueued.

use std::sync::Arc;

use serde_json::Value;

/// Estimates from an input that was checked. Pure: no store, no network, no clock.
pub type Estimator = Arc<dyn Fn(&Value) -> Estimate + Send + Sync>;

/// An estimate, step by step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Estimate {
    /// Steps that call a model, in their order; none is no call.
    pub by_step: Vec<StepEstimate>,
    /// What it assumes and leaves out, for a person.
    pub notes: Vec<String>,
}

/// What one step will probably use.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StepEstimate {
    /// Step.
    pub step: String,
    /// Calls to a model.
    pub calls: u64,
    /// Prompt tokens.
    pub prompt_tokens: u64,
    /// Completion tokens.
    pub completion_tokens: u64,
    /// US dollars; unknown without a price.
    pub cost_usd: Option<f64>,
}

impl Estimate {
    /// Adds another job's estimate, step by step; a note is told once.
    pub fn add(&mut self, other: Estimate) {
        for step in other.by_step {
            let same = self.by_step.iter_mut().find(|own| own.step == step.step);
            match same {
                Some(own) => *own = own.plus(&step),
                None => self.by_step.push(step),
            }
        }
        for note in other.notes {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
    }

    /// All steps together. Without a call the cost is known to be nothing.
    pub fn total(&self) -> StepEstimate {
        let none = StepEstimate {
            cost_usd: Some(0.0),
            ..StepEstimate::default()
        };
        self.by_step.iter().fold(none, |sum, step| sum.plus(step))
    }
}

impl StepEstimate {
    fn plus(&self, more: &StepEstimate) -> StepEstimate {
        StepEstimate {
            step: self.step.clone(),
            calls: self.calls.saturating_add(more.calls),
            prompt_tokens: self.prompt_tokens.saturating_add(more.prompt_tokens),
            completion_tokens: self
                .completion_tokens
                .saturating_add(more.completion_tokens),
            cost_usd: self.cost_usd.zip(more.cost_usd).map(|(a, b)| a + b),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_costs_what_its_steps_cost_and_nothing_without_any() {
        let step = |cost_usd| StepEstimate {
            step: "plan".to_owned(),
            calls: 1,
            prompt_tokens: 10,
            completion_tokens: 5,
            cost_usd,
        };
        let table = [
            (vec![], (0, 0, Some(0.0))),
            (vec![step(Some(0.5)), step(Some(0.25))], (2, 20, Some(0.75))),
            (vec![step(Some(0.5)), step(None)], (2, 20, None)),
        ];
        for (by_step, expected) in table {
            let estimate = Estimate {
                by_step,
                notes: Vec::new(),
            };
            let total = estimate.total();
            assert_eq!((total.calls, total.prompt_tokens, total.cost_usd), expected);
        }
    }
}
