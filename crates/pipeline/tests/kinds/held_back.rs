//! A model whose calls are held back by a limit, as watchers of each kind see it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lovage_pipeline::llm::{ChatRequest, ChatResponse, Llm, LlmError, Sink};
use lovage_tests::llm::StandIn;
use lovage_workflow::memory::MemoryJournal;
use serde_json::{Value, json};

use super::{TOPIC, attempt, job};

/// Says of every stream that it waits, then asks.
struct HeldBack(Arc<dyn Llm>);

#[async_trait]
impl Llm for HeldBack {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn model(&self) -> &str {
        self.0.model()
    }

    async fn complete(&self, request: &ChatRequest) -> Result<ChatResponse, LlmError> {
        self.0.complete(request).await
    }

    async fn stream(
        &self,
        request: &ChatRequest,
        sink: Arc<dyn Sink>,
    ) -> Result<ChatResponse, LlmError> {
        sink.waiting(Duration::from_millis(7), "tpm");
        self.0.stream(request, sink).await
    }
}

#[tokio::test]
async fn every_kind_that_streams_tells_how_long_and_why() {
    let story = json!({"chapterId": 1, "story": "Mina waited.", "editRequest": "shorter"});
    let topic = json!({ "topic": TOPIC });
    let table: [(&str, &Value, &[&str]); 3] = [
        ("script.generate", &topic, &["write"]),
        ("script.revise", &story, &["revise"]),
        (
            "content.comprehensive",
            &topic,
            &["facts", "integrate", "market", "technical"],
        ),
    ];
    let stand_in = StandIn::start().await;
    let deps = job::deps(Some(Arc::new(HeldBack(job::model(&stand_in)))));
    for (kind, input, steps) in table {
        let journal = Arc::new(MemoryJournal::default());
        attempt(&deps, kind, &journal, 1, input).await.unwrap();
        let events = journal.events();
        let waits = events.iter().filter(|event| event.kind == "rate_wait");
        let mut told = BTreeSet::new();
        for wait in waits {
            let data: Value = wait.data.read().unwrap();
            assert_eq!(data, json!({"ms": 7, "why": "tpm"}), "{kind}");
            told.extend(wait.step.as_deref());
        }
        assert!(told.iter().eq(steps), "{kind}: {told:?}");
    }
}
