//! What happened to one job, by its events.

use std::pin::pin;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use lovage_client::Client;
use lovage_client::wire::EventView;
use serde_json::Value;
use tokio::time::timeout;
use uuid::Uuid;

use crate::process::Server;

/// Longest wait for an event.
const EVENT_MAX: Duration = Duration::from_secs(60);
/// The steps of a script, in order.
pub(crate) const STEPS: [&str; 3] = ["plan", "research", "write"];

/// Every event of a job that is over.
pub(crate) struct History(Vec<EventView>);

/// A try, as its events tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    /// From 1.
    pub(crate) number: u64,
    /// Who made it.
    pub(crate) worker: String,
}

impl History {
    /// Reads the events to the last one.
    pub(crate) async fn of(client: &Client, id: Uuid) -> Self {
        let events = client.events(id, 0).try_collect();
        let events = timeout(EVENT_MAX, events).await;
        Self(events.expect("the events end").unwrap())
    }

    /// Reads what happened so far, in the first page of it.
    pub(crate) async fn so_far(api: &Server, id: Uuid) -> Self {
        let page = api.json(&format!("/v1/jobs/{id}/events")).await;
        Self(serde_json::from_value(page["events"].clone()).unwrap())
    }

    /// How often an event of this type and step happened.
    pub(crate) fn times(&self, kind: &str, step: &str) -> usize {
        let same = |event: &&EventView| is(event, kind, step);
        self.0.iter().filter(same).count()
    }

    /// Every try that had begun its work.
    pub(crate) fn attempts(&self) -> Vec<Attempt> {
        self.0.iter().filter_map(attempt).collect()
    }

    /// Panics unless the job succeeded once, each step finished once, and no
    /// step began again after it had finished.
    #[track_caller]
    pub(crate) fn assert_nothing_finished_ran_again(&self) {
        self.assert_succeeded_once();
        for step in STEPS {
            assert_eq!(self.times("step_finished", step), 1, "{step}: {self}");
            let finished = self.0.iter().position(|e| is(e, "step_finished", step));
            let began = self.0.iter().rposition(|e| is(e, "step_started", step));
            assert!(began < finished, "{step} ran again: {self}");
        }
    }

    /// Events are in order, and the last one is the only end.
    pub(crate) fn assert_succeeded_once(&self) {
        let seqs: Vec<u64> = self.0.iter().map(|event| event.seq).collect();
        assert!(seqs.is_sorted_by(|a, b| a < b), "not increasing: {seqs:?}");
        let last = self.0.iter().filter(|event| event.is_final());
        assert_eq!(last.count(), 1, "one end: {self}");
        assert!(self.0.last().is_some_and(|event| event.kind == "succeeded"));
    }
}

impl std::fmt::Display for History {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for event in &self.0 {
            let step = event.step.as_deref().unwrap_or("-");
            writeln!(f, "{} {} {step} {}", event.seq, event.kind, event.data)?;
        }
        Ok(())
    }
}

/// Waits for the first event of a job that is `wanted`.
pub(crate) async fn until_event(
    client: &Client,
    id: Uuid,
    wanted: impl Fn(&EventView) -> bool,
) -> EventView {
    let mut events = pin!(client.events(id, 0));
    let find = async {
        while let Some(event) = events.next().await {
            let event = event.unwrap();
            if wanted(&event) {
                return event;
            }
        }
        panic!("the job was over before the event came");
    };
    let found = timeout(EVENT_MAX, find).await;
    found.expect("the event comes in time")
}

/// Whether an event is of this type and step.
pub(crate) fn is(event: &EventView, kind: &str, step: &str) -> bool {
    event.kind == kind && event.step.as_deref() == Some(step)
}

/// The try that an event says to have begun.
pub(crate) fn attempt(event: &EventView) -> Option<Attempt> {
    if event.kind != "attempt_started" {
        return None;
    }
    let data: Value = serde_json::from_str(event.data.get()).unwrap();
    Some(Attempt {
        number: data["attempt"].as_u64().unwrap(),
        worker: data["worker"].as_str().unwrap().to_owned(),
    })
}
