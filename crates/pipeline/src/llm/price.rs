//! What tokens cost.

use super::TokenUsage;

/// Tokens that a price is for.
const PER: f64 = 1_000_000.0;

/// US dollars per million tokens of one model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    /// Of the prompt.
    pub input: f64,
    /// Of the answer.
    pub output: f64,
    /// Of the prompt's part that the provider had in its cache; that of other
    /// input where there is no such price.
    pub cached: Option<f64>,
}

impl Price {
    /// US dollars for these tokens, `None` where a count that costs something
    /// is unknown: never a guess, never 0 for want of a number.
    pub fn cost(&self, usage: &TokenUsage) -> Option<f64> {
        let prompt = usage.prompt.or((self.input == 0.0).then_some(0))?;
        let answer = usage.completion.or((self.output == 0.0).then_some(0))?;
        // A part of the prompt, so never more than it.
        let cached = usage.cached.unwrap_or(0).min(prompt);
        let input = (prompt - cached) as f64 * self.input
            + cached as f64 * self.cached.unwrap_or(self.input);
        Some((input + answer as f64 * self.output) / PER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cost_is_known_when_the_counts_are() {
        let price = Price {
            input: 0.75,
            output: 4.5,
            cached: Some(0.075),
        };
        let uncached = Price {
            cached: None,
            ..price
        };
        let free = Price {
            input: 0.0,
            output: 0.0,
            cached: None,
        };
        let usage = |prompt, completion, cached| TokenUsage {
            prompt,
            completion,
            cached,
        };
        let m = Some(1_000_000);
        let cases = [
            (price, usage(m, Some(0), None), Some(0.75)),
            (price, usage(Some(0), m, None), Some(4.5)),
            (
                price,
                usage(m, m, Some(500_000)),
                Some(0.375 + 0.0375 + 4.5),
            ),
            (uncached, usage(m, Some(0), m), Some(0.75)),
            (price, usage(m, Some(0), Some(2_000_000)), Some(0.075)),
            (price, usage(None, m, None), None),
            (price, usage(m, None, None), None),
            (free, usage(None, None, None), Some(0.0)),
        ];
        for (price, usage, cost) in cases {
            let got = price.cost(&usage);
            let same = match (got, cost) {
                (Some(got), Some(cost)) => (got - cost).abs() < 1e-12,
                (got, cost) => got == cost,
            };
            assert!(same, "{usage:?}: {got:?}, not {cost:?}");
        }
    }
}
