//! What a run must have left behind, whatever crashed meanwhile.

use std::time::Duration;

use lovage_client::JobResult;
use lovage_client::wire::JobState;
use serde_json::Value;
use uuid::Uuid;

use crate::calls;
use crate::history::History;
use crate::system::{Job, System};

/// Longest wait for one job.
pub(crate) const JOB_MAX: Duration = Duration::from_secs(120);

/// The cost of the crashes of a run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Audit {
    /// Tries that did not settle.
    pub(crate) attempts_lost: usize,
    /// Calls of the model beyond one plan and one script per job.
    pub(crate) calls_repeated: usize,
}

/// Waits for every job and counts what the crashes cost.
///
/// Panics unless every job succeeded exactly once, no finished step ran again,
/// and each repeated call belongs to a lost try.
pub(crate) async fn audit(system: &System, jobs: &[Job]) -> Audit {
    audit_over(system, jobs, Recipe::Same).await
}

/// Whether the workers of a test have one recipe.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recipe {
    Same,
    /// The recipe changed between them: a job that is taken over runs all its
    /// steps anew, so a lost try costs a plan and a script.
    Changed,
}

/// As [`audit`], for workers that may differ in their recipe.
pub(crate) async fn audit_over(system: &System, jobs: &[Job], recipe: Recipe) -> Audit {
    let client = system.client();
    let mut audit = Audit::default();
    let mut histories = Vec::new();
    for job in jobs {
        let view = client.wait(job.id, JOB_MAX).await.unwrap();
        assert_eq!(view.state, JobState::Succeeded, "{view:?}");
        assert_eq!(result(system, job.id).await["status"], "ok", "{view:?}");
        let history = History::of(client, job.id).await;
        match recipe {
            Recipe::Same => history.assert_nothing_finished_ran_again(),
            Recipe::Changed => history.assert_succeeded_once(),
        }
        histories.push((view.attempt as usize - 1, history));
    }
    let calls = calls::by_topic(&system.llm);
    for (job, (lost, history)) in jobs.iter().zip(histories) {
        let asked = calls[&job.topic];
        for (step, asked) in [("plan", asked.plan), ("write", asked.write)] {
            let began = history.times("step_started", step);
            assert!(
                (1..=began).contains(&asked),
                "{step}: {asked} calls\n{history}"
            );
        }
        let repeated = asked.plan + asked.write - 2;
        let costs = if recipe == Recipe::Same { 1 } else { 2 };
        assert!(
            repeated <= lost * costs,
            "{repeated} calls again, {lost} tries lost\n{history}"
        );
        audit.attempts_lost += lost;
        audit.calls_repeated += repeated;
    }
    assert_counts(system, jobs.len()).await;
    audit
}

/// The result of a job, as JSON.
pub(crate) async fn result(system: &System, id: Uuid) -> Value {
    match system.client().result(id, "json").await.unwrap() {
        JobResult::Ready { body, .. } => serde_json::from_slice(&body).unwrap(),
        other => panic!("no result: {other:?}"),
    }
}

/// The store counted each end once, and holds nothing unfinished.
async fn assert_counts(system: &System, jobs: usize) {
    let queues = system.api.json("/v1/queues").await;
    let queue = &queues["queues"][0];
    assert_eq!(queue["succeeded_total"], jobs, "{queue}");
    for none in [
        "failed_total",
        "cancelled_total",
        "queued",
        "running",
        "waiting",
        "scheduled",
    ] {
        assert_eq!(queue[none], 0, "{none}: {queue}");
    }
}
