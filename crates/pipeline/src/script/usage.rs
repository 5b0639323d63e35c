//! What was spent, for the result.

use crate::llm::Spent;

use super::types::Usage;

/// Calls and tokens as a result shows them.
pub(super) fn of(spent: Spent) -> Usage {
    Usage {
        calls: spent.calls,
        cache_hits: spent.cache_hits,
        prompt_tokens: spent.usage.prompt,
        completion_tokens: spent.usage.completion,
        cached_tokens: spent.usage.cached,
        cost_usd: None,
        cost_note: None,
    }
}

/// The sum of steps. Without a call the cost is known to be nothing; with one
/// it is unknown, since no price is set.
pub(super) fn total<'a>(steps: impl IntoIterator<Item = &'a Usage>) -> Usage {
    let mut total = steps.into_iter().fold(Usage::default(), |mut sum, step| {
        sum.calls += step.calls;
        sum.cache_hits += step.cache_hits;
        sum.prompt_tokens = add(sum.prompt_tokens, step.prompt_tokens);
        sum.completion_tokens = add(sum.completion_tokens, step.completion_tokens);
        sum.cached_tokens = add(sum.cached_tokens, step.cached_tokens);
        sum
    });
    if total.calls == 0 {
        total.cost_usd = Some(0.0);
        let note = match total.cache_hits {
            0 => "no LLM used",
            _ => "every answer came from the cache",
        };
        total.cost_note = Some(note.to_owned());
    } else {
        total.cost_note = Some("no price is set for this model".to_owned());
    }
    total
}

fn add(sum: Option<u64>, step: Option<u64>) -> Option<u64> {
    match (sum, step) {
        (None, None) => None,
        (sum, step) => Some(sum.unwrap_or(0) + step.unwrap_or(0)),
    }
}
