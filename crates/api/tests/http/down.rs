//! A store that fails: what the caller sees, and what not.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lovage_api::ApiConfig;
use lovage_client::wire::Health;
use lovage_core::broker::{
    Broker, CancelReply, Claim, Claimed, Claims, Enqueued, RedriveReply, Settle, Settled,
    SignalReply, Spawn, Swept, Wake,
};
use lovage_core::checkpoint::Checkpoint;
use lovage_core::error::BrokerError;
use lovage_core::event::{EventPage, NewEvent};
use lovage_core::id::{JobId, QueueName, WorkerId};
use lovage_core::job::{Child, Job, NewJob};
use lovage_core::lease::Lease;
use lovage_core::payload::Payload;
use lovage_core::query::{Filter, JobPage, Page, QueueStats};
use lovage_core::queue::QueueLimits;
use lovage_tests::clock::ManualClock;
use lovage_tests::harness::Harness;
use serde_json::json;

use crate::support::{Server, body, header, problem};

const SECRET: &str = "redis://:hunter2@10.0.0.7 refused";

type Failure = fn() -> BrokerError;

/// Fails every call with one error.
struct Down(Failure);

async fn server(error: Failure) -> Server {
    let (clock, lease) = (ManualClock::default(), Duration::from_secs(10));
    let store = Harness::new(Arc::new(Down(error)), clock, lease);
    Server::over(store, ApiConfig::default()).await
}

#[tokio::test]
async fn a_store_that_is_away_full_or_read_only_is_503_and_any_other_failure_500() {
    let cases: [(Failure, u16, &str); 5] = [
        (
            || BrokerError::Unavailable(SECRET.into()),
            503,
            "store_unavailable",
        ),
        (|| BrokerError::Full(SECRET.into()), 503, "store_full"),
        (
            || BrokerError::ReadOnly(SECRET.into()),
            503,
            "store_read_only",
        ),
        (|| BrokerError::Other(SECRET.into()), 500, "internal"),
        (|| BrokerError::Corrupt(SECRET.to_owned()), 500, "internal"),
    ];
    for (error, status, code) in cases {
        let server = server(error).await;
        let path = format!("/v1/jobs/{}", uuid::Uuid::nil());
        let signal = json!({"name": "approval"});
        for response in [
            server.post_json("/v1/jobs", &body()).await,
            server.get("/v1/jobs").await,
            server.get(&path).await,
            server.get(&format!("{path}/result")).await,
            server.get(&format!("{path}/events")).await,
            server.post(&format!("{path}/cancel")).await,
            server.post(&format!("{path}/retry")).await,
            server.get(&format!("{path}/children")).await,
            server.post_json(&format!("{path}/signals"), &signal).await,
            server.get("/v1/queues").await,
            server.put_json("/v1/queues/q/limits", &json!({})).await,
        ] {
            assert_eq!(response.status(), status, "{}", response.url());
            if status == 503 {
                assert_eq!(header(&response, "retry-after"), "5");
            }
            let problem = problem(response).await;
            assert_eq!(problem.code, code);
            assert!(!problem.to_string().contains("hunter2"));
        }
    }
}

#[tokio::test]
async fn a_server_without_its_store_is_alive_and_not_ready() {
    let server = server(|| BrokerError::Unavailable(SECRET.into())).await;
    assert_eq!(server.get("/healthz").await.status(), 200);
    let response = server.get("/readyz").await;
    assert_eq!(response.status(), 503);
    let text = response.text().await.unwrap();
    assert!(!text.contains("hunter2"));
    let health: Health = serde_json::from_str(&text).unwrap();
    let failed: Vec<_> = health.checks.iter().filter(|check| !check.ok).collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].component, "store");
}

#[async_trait]
impl Broker for Down {
    fn name(&self) -> &'static str {
        "down"
    }
    async fn enqueue(&self, _: Vec<NewJob>, _: bool) -> Result<Vec<Enqueued>, BrokerError> {
        Err((self.0)())
    }
    async fn register(&self, _: &QueueName, _: &WorkerId) -> Result<(), BrokerError> {
        Err((self.0)())
    }
    async fn deregister(&self, _: &QueueName, _: &WorkerId) -> Result<(), BrokerError> {
        Err((self.0)())
    }
    async fn claim(&self, _: &Claim) -> Result<Claims, BrokerError> {
        Err((self.0)())
    }
    async fn held(&self, _: &QueueName, _: &WorkerId) -> Result<Vec<Claimed>, BrokerError> {
        Err((self.0)())
    }
    async fn wake(
        &self,
        _: &QueueName,
        _: &WorkerId,
        _: bool,
        _: Duration,
    ) -> Result<Wake, BrokerError> {
        Err((self.0)())
    }
    async fn extend(&self, _: &QueueName, _: &WorkerId) -> Result<Vec<JobId>, BrokerError> {
        Err((self.0)())
    }
    async fn checkpoint(
        &self,
        _: &Lease,
        _: &Checkpoint,
        _: &[NewEvent],
    ) -> Result<(), BrokerError> {
        Err((self.0)())
    }
    async fn emit(&self, _: &Lease, _: &[NewEvent]) -> Result<(), BrokerError> {
        Err((self.0)())
    }
    async fn spawn(&self, _: &Spawn) -> Result<(), BrokerError> {
        Err((self.0)())
    }
    async fn children(&self, _: &JobId) -> Result<Vec<Child>, BrokerError> {
        Err((self.0)())
    }
    async fn signal(&self, _: &JobId, _: &str, _: &Payload) -> Result<SignalReply, BrokerError> {
        Err((self.0)())
    }
    async fn settle(&self, _: &[Settle]) -> Result<Vec<Settled>, BrokerError> {
        Err((self.0)())
    }
    async fn cancel(&self, _: &JobId) -> Result<CancelReply, BrokerError> {
        Err((self.0)())
    }
    async fn redrive(&self, _: &JobId) -> Result<RedriveReply, BrokerError> {
        Err((self.0)())
    }
    async fn get(&self, _: &JobId) -> Result<Option<Job>, BrokerError> {
        Err((self.0)())
    }
    async fn checkpoints(&self, _: &JobId) -> Result<Vec<Checkpoint>, BrokerError> {
        Err((self.0)())
    }
    async fn list(&self, _: &Filter, _: &Page) -> Result<JobPage, BrokerError> {
        Err((self.0)())
    }
    async fn events(
        &self,
        _: &JobId,
        _: u64,
        _: usize,
        _: Duration,
    ) -> Result<Option<EventPage>, BrokerError> {
        Err((self.0)())
    }
    async fn stats(&self) -> Result<Vec<QueueStats>, BrokerError> {
        Err((self.0)())
    }
    async fn pause(&self, _: &QueueName, _: bool) -> Result<(), BrokerError> {
        Err((self.0)())
    }
    async fn limit(&self, _: &QueueName, _: &QueueLimits) -> Result<(), BrokerError> {
        Err((self.0)())
    }
    async fn reclaim(&self) -> Result<Swept, BrokerError> {
        Err((self.0)())
    }
    async fn prune(&self) -> Result<usize, BrokerError> {
        Err((self.0)())
    }
    async fn ping(&self) -> Result<(), BrokerError> {
        Err((self.0)())
    }
}
