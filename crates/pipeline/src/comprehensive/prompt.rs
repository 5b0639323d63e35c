//! What the analysts and the integrator are asked.

use crate::llm::{ChatRequest, Message, Role};
use crate::prompts;
use crate::script::evidence::Evidence;
use crate::script::prompt::{assignment, name, no_source, unmarked};
use crate::script::types::{Line, Plan, ScriptRequest};

use super::side::Side;
use super::types::Analysis;

/// Bounds of the answers, with room for a reasoning model's thoughts.
const ANALYST_TOKENS_MAX: u32 = 6_000;
const INTEGRATOR_TOKENS_MAX: u32 = 8_000;

/// Versions behind an analysis.
pub(super) fn versions(side: Side) -> [&'static str; 2] {
    [side.prompt().version(), prompts::ANALYST.version()]
}

/// Version of the integrator's prompt.
pub(super) fn integrator_version() -> &'static str {
    prompts::INTEGRATOR.version()
}

/// Asks for one side of the topic, resting on the evidence alone.
pub(super) fn analyst(
    request: &ScriptRequest,
    side: Side,
    plan: &Plan,
    evidence: &Evidence,
) -> ChatRequest {
    let rules = prompts::ANALYST.fill(&[("no_source", no_source(plan.language))]);
    let values = [("language", name(plan.language)), ("rules", &rules)];
    let mut user = assignment(request, plan);
    user.push_str("\nEVIDENCE\n");
    user.push_str(&evidence.text);
    asked(side.prompt().fill(&values), user, ANALYST_TOKENS_MAX)
}

/// Asks for one document of the analyses. `share` of each section is shown, 1 is all.
pub(super) fn integrator(
    request: &ScriptRequest,
    plan: &Plan,
    analyses: &[Analysis],
    share: f64,
) -> ChatRequest {
    let system = prompts::INTEGRATOR.fill(&[
        ("language", name(plan.language)),
        ("no_source", no_source(plan.language)),
    ]);
    let mut user = assignment(request, plan);
    user.push_str("\nANALYSES\n<analyses>\n");
    for analysis in analyses {
        let name = analysis.side.name();
        let missing = analysis.sections.is_empty();
        let state = if missing { ": missing, it failed" } else { "" };
        user.push_str(&format!("# {name}{state}\n"));
        for section in &analysis.sections {
            let shown = (section.lines.len() as f64 * share).ceil() as usize;
            let lines = section.lines.iter().take(shown).map(quoted);
            user.push_str(&lines.collect::<String>());
        }
    }
    user.push_str("</analyses>\n");
    asked(system, user, INTEGRATOR_TOKENS_MAX)
}

/// A line with the marks of its sources.
fn quoted(line: &Line) -> String {
    let marks = line.cites.iter().map(|cite| format!("[{}]", cite.source));
    format!("{} {}\n", unmarked(&line.text), marks.collect::<String>())
}

fn asked(system: String, user: String, tokens: u32) -> ChatRequest {
    ChatRequest {
        messages: vec![
            Message::new(Role::System, system),
            Message::new(Role::User, user),
        ],
        schema: None,
        max_tokens: Some(tokens),
        temperature: Some(0.4),
    }
}
