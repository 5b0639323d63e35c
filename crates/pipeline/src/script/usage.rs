//! What was spent, for the result.

use crate::llm::TokenUsage;

use super::types::{StepUsage, Usage};

impl StepUsage {
    /// Nothing yet.
    pub(super) fn of(step: &str) -> Self {
        Self {
            step: step.to_owned(),
            calls: 0,
            prompt_tokens: None,
            completion_tokens: None,
            cached_tokens: None,
            cost_usd: Some(0.0),
        }
    }

    /// Adds calls. A cost that is unknown makes the sum unknown.
    pub(super) fn add(&mut self, calls: u32, tokens: TokenUsage, cost: Option<f64>) {
        let sum = TokenUsage {
            prompt: self.prompt_tokens,
            completion: self.completion_tokens,
            cached: self.cached_tokens,
        };
        let sum = sum.plus(tokens);
        self.calls += calls;
        self.prompt_tokens = sum.prompt;
        self.completion_tokens = sum.completion;
        self.cached_tokens = sum.cached;
        self.cost_usd = add(self.cost_usd, cost);
    }
}

impl Usage {
    /// The sum of steps, without images. Without a call the cost is known to be nothing; with
    /// one it is unknown unless the price of every model asked is set.
    /// `estimated` calls did not say what they used.
    pub(super) fn total(by_step: Vec<StepUsage>, estimated: usize, cache_hits: u32) -> Self {
        let mut all = StepUsage::of("");
        for step in &by_step {
            let tokens = TokenUsage {
                prompt: step.prompt_tokens,
                completion: step.completion_tokens,
                cached: step.cached_tokens,
            };
            all.add(step.calls, tokens, step.cost_usd);
        }
        let unpriced: Vec<&str> = by_step
            .iter()
            .filter(|step| step.cost_usd.is_none())
            .map(|step| step.step.as_str())
            .collect();
        let note = match (all.calls, unpriced.as_slice(), estimated) {
            (0, ..) if cache_hits > 0 => Some("every answer came from the cache".to_owned()),
            (0, ..) => Some("no LLM used".to_owned()),
            (_, [], 0) => None,
            (_, [], calls) => Some(format!("{calls} calls are priced by estimate")),
            (_, steps, _) => Some(format!(
                "no price is set for the model of {}",
                steps.join(", ")
            )),
        };
        Self {
            calls: all.calls,
            cache_hits,
            prompt_tokens: all.prompt_tokens,
            completion_tokens: all.completion_tokens,
            cached_tokens: all.cached_tokens,
            images: 0,
            cost_usd: all.cost_usd,
            cost_note: note,
            by_step,
        }
    }
}

fn add(sum: Option<f64>, more: Option<f64>) -> Option<f64> {
    Some(sum? + more?)
}
