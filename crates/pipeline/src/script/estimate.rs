//! What a script will probably cost, from its request alone.

use jiff::civil::Date;
use lovage_workflow::{Estimate, StepEstimate};

use crate::llm::estimate::{PICTURE_TOKENS, prompt_tokens};

use super::evidence::{self, Evidence};
use super::types::{Budget, Language, Mode, ScriptRequest};
use super::{images, length, prompt, vision};
use crate::extractive;

/// Tokens of a plan.
const PLAN_TOKENS: u64 = 600;
/// Tokens that one source adds to the evidence, until it is full: six passages
/// of about 500 characters.
const SOURCE_TOKENS: u64 = 900;
/// Tokens of a written word with its share of marks and headings: measured on
/// the bundled sample with the estimate of `llm/estimate.rs`.
const EN_WORD_TOKENS: f64 = 1.7;
const KO_WORD_TOKENS: f64 = 3.0;
/// Words of one image's description: a line, two sentences, and what can be read in it.
const DESCRIPTION_WORDS: u32 = 60;
/// Tokens of the names of its fields, and of the marks around them.
const FIELDS_TOKENS: u64 = 40;

/// One step's calls.
pub(crate) fn step(name: &str, calls: u64, prompt: u64, completion: u64) -> StepEstimate {
    StepEstimate {
        step: name.to_owned(),
        calls,
        prompt_tokens: prompt * calls,
        completion_tokens: completion * calls,
        cost_usd: None,
    }
}

/// Tokens of so many written words.
pub(crate) fn written(words: u32, language: Language) -> u64 {
    let tokens = match language {
        Language::Ko => KO_WORD_TOKENS,
        Language::Auto | Language::En => EN_WORD_TOKENS,
    };
    (f64::from(words) * tokens).ceil() as u64
}

/// The planner's call.
pub(crate) fn plan(request: &ScriptRequest) -> StepEstimate {
    // Any day is as long as today.
    let asked = prompt::planner(request, Date::constant(2026, 1, 1));
    step("plan", 1, prompt_tokens(&asked), PLAN_TOKENS)
}

/// The calls about images, were there as many as may be used.
fn look(request: &ScriptRequest, language: Language) -> StepEstimate {
    let images = request.max_images as u64;
    let calls = images::calls(request.max_images) as u64;
    let asked = vision::request(&request.topic, language, &[]);
    StepEstimate {
        step: images::LOOK.to_owned(),
        calls,
        prompt_tokens: calls * prompt_tokens(&asked) + images * PICTURE_TOKENS,
        completion_tokens: images * (FIELDS_TOKENS + written(DESCRIPTION_WORDS, language)),
        cost_usd: None,
    }
}

/// A prompt that shows evidence, without the evidence of its own text.
pub(crate) fn shown(request: &ScriptRequest) -> u64 {
    let evidence = (request.max_sources as u64 * SOURCE_TOKENS).min(evidence::TOKENS_MAX as u64);
    let outline = extractive::plan(request);
    prompt_tokens(&prompt::writer(request, &outline, &Evidence::default())) + evidence
}

/// What an estimate says of itself, and of the budget it may exceed.
pub(crate) fn finished(by_step: Vec<StepEstimate>, mode: Mode, budget: &Budget) -> Estimate {
    let mut estimate = Estimate {
        by_step,
        notes: Vec::new(),
    };
    if mode == Mode::Extractive {
        estimate.by_step.clear();
        estimate
            .notes
            .push("mode is extractive: no model is asked".to_owned());
        return estimate;
    }
    estimate.notes.push(
        "by the lengths asked for and as much evidence as may be read; a model that thinks aloud uses more".to_owned(),
    );
    if mode == Mode::Auto {
        let note = "where workers have no model nothing is spent";
        estimate.notes.push(note.to_owned());
    }
    let total = estimate.total();
    let tokens = total.prompt_tokens + total.completion_tokens;
    if let Some(max) = budget.max_tokens.filter(|max| *max < tokens) {
        estimate.notes.push(format!(
            "about {tokens} tokens are more than budget.max_tokens, {max}: the job would end with what it has"
        ));
    }
    estimate
}

/// The estimate of `script.generate`.
pub(super) fn of(request: &ScriptRequest) -> Estimate {
    let language = request.language.resolve(&request.topic);
    let answer = written(length::words(request, language), language);
    let mut by_step = vec![plan(request), step("write", 1, shown(request), answer)];
    let looks = request.max_images > 0;
    if looks {
        by_step.push(look(request, language));
    }
    let mut estimate = finished(by_step, request.mode, &request.budget);
    if estimate.by_step.is_empty() {
        return estimate;
    }
    let mut note = |note: &str| estimate.notes.push(note.to_owned());
    note("sentences that are flagged add one call of review");
    if looks {
        note(
            "as many images as may be used; fewer where articles show fewer, none where no model looks at them",
        );
    }
    estimate
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn estimate(request: serde_json::Value) -> Estimate {
        of(&serde_json::from_value(request).unwrap())
    }

    #[test]
    fn a_longer_piece_from_more_sources_uses_more() {
        let short = estimate(json!({"topic": "tides", "type": "short", "max_sources": 2}));
        let long = estimate(json!({"topic": "tides", "type": "report", "max_sources": 12}));
        let (short, long) = (short.total(), long.total());
        assert_eq!((short.calls, long.calls), (4, 4));
        assert!(short.prompt_tokens < long.prompt_tokens);
        assert!(short.completion_tokens < long.completion_tokens);
        assert_eq!(long.cost_usd, None, "nobody has told a price");
    }

    #[test]
    fn images_are_looked_at_in_as_many_calls_as_a_job_makes() {
        for (images, calls) in [(1, 1), (4, 4), (5, 1), (6, 2), (10, 2)] {
            let with = |images: u64| estimate(json!({"topic": "tides", "max_images": images}));
            let (all, none) = (with(images), with(0));
            let look = all.by_step.last().unwrap();
            assert_eq!((look.step.as_str(), look.calls), ("vision", calls));
            assert!(look.prompt_tokens > images * PICTURE_TOKENS);
            assert!(look.completion_tokens >= images * DESCRIPTION_WORDS as u64);
            assert_eq!(all.total().calls, 2 + calls);
            assert_eq!(none.total().calls, 2);
            assert!(none.notes.iter().all(|note| !note.contains("images")));
        }
    }

    #[test]
    fn what_asks_no_model_costs_nothing() {
        let total = estimate(json!({"topic": "tides", "mode": "extractive"})).total();
        assert_eq!((total.calls, total.cost_usd), (0, Some(0.0)));
    }

    #[test]
    fn a_budget_that_will_not_do_is_told() {
        let told = |max: u64| {
            let asked = json!({"topic": "tides", "budget": {"max_tokens": max}});
            let notes = estimate(asked).notes;
            notes.iter().any(|note| note.contains("budget.max_tokens"))
        };
        assert!(told(500) && !told(60_000));
    }
}
