//! Step 3: write from the evidence. `verify` checks every sentence afterwards.

use std::sync::Arc;

use lovage_workflow::{Context, Failure};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::extractive;
use crate::llm::{ChatRequest, Llm, LlmError, LlmErrorKind, Message, Metered, Role, Sink};

use super::evidence::{self, Evidence};
use super::relay::Relay;
use super::types::{Dossier, Plan, Script, ScriptRequest, Usage, Warning};
use super::{fallback, parse, prompt, usage};

/// A prompt that does not fit is sent again with 40 % less evidence, so often.
const SHRINKS_MAX: u32 = 2;
const SHRINK: f64 = 0.6;

/// What step `write` stores.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Written {
    pub(super) script: Script,
    pub(super) usage: Usage,
    /// Whether a language model wrote it.
    pub(super) by_llm: bool,
    /// Model that answered, as the provider names it.
    pub(super) model: Option<String>,
    pub(super) unknown_citations: usize,
    pub(super) urls_removed: usize,
    pub(super) warnings: Vec<Warning>,
    /// Why the offline writer had to stand in.
    pub(super) degraded: Option<Warning>,
}

/// Writes with the model when there is one, else offline.
pub(super) async fn run(
    context: &Context,
    request: &ScriptRequest,
    plan: &Plan,
    dossier: &Dossier,
    llm: Option<Arc<dyn Llm>>,
) -> Result<Written, Failure> {
    let Some(llm) = llm else {
        return Ok(offline(
            context,
            request,
            plan,
            dossier,
            Usage::default(),
            None,
        ));
    };
    let llm = Metered::new(llm);
    match ask(context, &llm, request, plan, dossier).await? {
        Ok(draft) => Ok(read(draft, plan, usage::of(llm.spent()))),
        Err(error) => {
            let degraded = fallback::instead_of("write", error, request, context).await?;
            Ok(offline(
                context,
                request,
                plan,
                dossier,
                usage::of(llm.spent()),
                Some(degraded),
            ))
        }
    }
}

fn offline(
    context: &Context,
    request: &ScriptRequest,
    plan: &Plan,
    dossier: &Dossier,
    usage: Usage,
    degraded: Option<Warning>,
) -> Written {
    Written {
        script: extractive::write(request, plan, dossier, context.now()),
        usage,
        by_llm: false,
        model: None,
        unknown_citations: 0,
        urls_removed: 0,
        warnings: Vec::new(),
        degraded,
    }
}

struct Draft {
    text: String,
    model: Option<String>,
    evidence: Evidence,
    truncated: bool,
}

async fn ask(
    context: &Context,
    llm: &Metered,
    request: &ScriptRequest,
    plan: &Plan,
    dossier: &Dossier,
) -> Result<Result<Draft, LlmError>, Failure> {
    let relay = Arc::new(Relay::new("write"));
    let work = async {
        let mut tokens_max = evidence::TOKENS_MAX;
        let mut shrinks = 0;
        loop {
            let evidence = evidence::select(request, plan, dossier, tokens_max);
            let asked = prompt::writer(request, plan, &evidence);
            match whole(llm, asked, relay.clone()).await {
                Err(error)
                    if error.kind == LlmErrorKind::ContextLength && shrinks < SHRINKS_MAX =>
                {
                    shrinks += 1;
                    tokens_max = (tokens_max as f64 * SHRINK) as usize;
                }
                Ok((text, model, truncated)) => {
                    return Ok(Draft {
                        text,
                        model,
                        evidence,
                        truncated,
                    });
                }
                Err(error) => return Err(error),
            }
        }
    };
    relay.during(context, work).await
}

/// One answer; when it is cut short it is continued once from where it
/// stopped, so that what was paid for is kept.
async fn whole(
    llm: &Metered,
    asked: ChatRequest,
    relay: Arc<Relay>,
) -> Result<(String, Option<String>, bool), LlmError> {
    let cut = match llm.stream(&asked, relay.clone()).await {
        Ok(answer) => return Ok((answer.text, answer.model, false)),
        Err(error) => error,
    };
    let Some(begun) = cut.partial.clone().filter(|_| can_continue(cut.kind)) else {
        return Err(cut);
    };
    let rest = "Continue exactly where you stopped. Repeat nothing.".to_owned();
    let mut asked = asked;
    asked
        .messages
        .push(Message::new(Role::Assistant, begun.clone()));
    asked.messages.push(Message::new(Role::User, rest));
    match llm
        .stream(
            &asked,
            Arc::new(Continued {
                relay,
                begun: begun.clone(),
            }),
        )
        .await
    {
        Ok(answer) => Ok((begun + &answer.text, answer.model, false)),
        Err(error) if error.kind == LlmErrorKind::Truncated => {
            Ok((begun + &error.partial.unwrap_or_default(), None, true))
        }
        Err(error) => Err(error),
    }
}

fn can_continue(kind: LlmErrorKind) -> bool {
    matches!(kind, LlmErrorKind::Truncated | LlmErrorKind::StreamBroken)
}

impl Sink for Relay {
    fn delta(&self, text: &str) {
        self.text(text);
    }

    fn reset(&self) {
        self.push("writer_reset", json!({}));
    }
}

/// A continued answer that starts anew goes back to where it was continued, not to nothing.
struct Continued {
    relay: Arc<Relay>,
    begun: String,
}

impl Sink for Continued {
    fn delta(&self, text: &str) {
        self.relay.delta(text);
    }

    fn reset(&self) {
        self.relay.reset();
        self.relay.delta(&self.begun);
    }
}

fn read(draft: Draft, plan: &Plan, usage: Usage) -> Written {
    let parsed = parse::script(&draft.text, plan, &draft.evidence.sources);
    let missing = parsed.missing_sections.iter().map(|id| Warning {
        code: "missing_section".to_owned(),
        detail: format!("the model did not write section {id}"),
    });
    let truncated = draft.truncated.then(|| Warning {
        code: "truncated".to_owned(),
        detail: "the model reached its length limit twice".to_owned(),
    });
    Written {
        script: parsed.script,
        usage,
        by_llm: true,
        model: draft.model,
        unknown_citations: parsed.unknown_citations,
        urls_removed: parsed.urls_removed,
        warnings: missing.chain(truncated).collect(),
        degraded: None,
    }
}
