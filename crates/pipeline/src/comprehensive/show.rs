//! The document as a script is shown, with how it was made.

use crate::render::{self, escape, name, one_line};

use super::types::{Agent, ComprehensiveResult};

/// The report, and a table of the agents.
pub(super) fn markdown(result: &ComprehensiveResult) -> String {
    let mut text = render::markdown(&result.document);
    text.push_str("\n## Agents\n\n| agent | | attempts | LLM calls | ms | error |\n|---|---|---|---|---|---|\n");
    for agent in &result.health.agents {
        let cells = [
            escape(&agent.agent),
            state(result, agent),
            agent.attempts.to_string(),
            agent.calls.to_string(),
            agent.ms.to_string(),
            escape(&error(agent).unwrap_or_else(|| "–".to_owned())),
        ];
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text
}

/// The document, and a line for each agent that fell short.
pub(super) fn chat(result: &ComprehensiveResult) -> String {
    let mut text = render::chat(&result.document);
    for agent in &result.health.agents {
        if let Some(error) = error(agent) {
            let state = state(result, agent);
            text.push_str(&format!("{}: {state}: {}\n", agent.agent, one_line(&error)));
        }
    }
    let health = &result.health;
    text.push_str(&format!(
        "{} of {} agents succeeded in {:.2} s\n",
        health.succeeded,
        health.agents.len(),
        health.ms as f64 / 1000.0
    ));
    text
}

fn state(result: &ComprehensiveResult, agent: &Agent) -> String {
    let mut analyses = result.analyses.iter();
    let analysis = analyses.find(|one| one.side.name() == agent.agent);
    match analysis {
        Some(analysis) => name(analysis.outcome),
        None if agent.succeeded => "ok".to_owned(),
        None => "failed".to_owned(),
    }
}

fn error(agent: &Agent) -> Option<String> {
    let error = agent.error.as_ref()?;
    Some(format!("{} ({})", error.detail, error.code))
}
