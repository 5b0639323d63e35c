//! Step 2: find and read what is written about the topic.

use lovage_workflow::{Context, Failure, Progress};
use serde_json::json;
use tokio::time::Instant;

use crate::news::{Inquiry, Research, ResearchWatch};

use super::relay::Relay;
use super::types::{Dossier, Plan, ScriptRequest, Source};

/// Searches, reads and ranks, by the deadline whatever it has by then; an empty
/// dossier is an answer, not a failure.
pub(super) async fn run(
    context: &Context,
    request: &ScriptRequest,
    plan: &Plan,
    research: &Research,
    deadline: Option<Instant>,
) -> Result<Dossier, Failure> {
    if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
        return Ok(Dossier {
            corpus: research.corpus(),
            ..Dossier::default()
        });
    }
    let relay = Relay::new("research");
    let watch = Watch(&relay);
    let inquiry = Inquiry {
        topic: &request.topic,
        queries: &plan.queries,
        seed_urls: &request.seed_urls,
        max_sources: request.max_sources,
        since: request.since,
        domains: &request.domains,
        now: context.now(),
        deadline,
    };
    relay.during(context, research.run(&inquiry, &watch)).await
}

struct Watch<'a>(&'a Relay);

impl ResearchWatch for Watch<'_> {
    fn found(&self, hits: usize) {
        self.0.push("hits", json!({ "count": hits }));
    }

    fn article(&self, source: &Source, done: usize, total: usize) {
        self.0.push(
            "article",
            json!({ "url": source.url, "title": source.title, "verdict": source.verdict }),
        );
        let progress = Progress {
            step: "research".to_owned(),
            current: done as u64,
            total: total as u64,
            message: Some(source.site.clone()),
        };
        self.0.push("progress", json!(progress));
    }
}
