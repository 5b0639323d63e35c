//! The work of a chaos job: a few durable steps, each of which makes one call that is paid.

use std::time::Duration;

use async_trait::async_trait;
use lovage_core::payload::Payload;
use lovage_workflow::{Context, Failure, Handler};
use serde::{Deserialize, Serialize};

use super::ledger::{self, Entry, Fact, Ledger};

/// The kind of these jobs.
pub(super) const KIND: &str = "chaos.work";
/// Steps of a job, and so calls it needs.
pub(super) const STEPS: u32 = 3;
/// How long the provider takes, in ms.
const CALL_MS: std::ops::Range<u64> = 20..150;
/// Share of attempts that fail by their own doing after the last step.
const FAILING: f64 = 0.05;
/// How long such an attempt asks to wait.
const FAILED_WAIT: Duration = Duration::from_millis(200);

/// What a step is called.
pub(super) fn step_name(step: u32) -> String {
    format!("call_{step}")
}

/// What a job gives: the stored answers of its steps, and which attempt put them together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Done {
    /// The attempt that settled.
    pub(super) attempt: u32,
    /// One answer per step.
    pub(super) answers: Vec<u64>,
}

/// Runs attempts and writes down what they did.
pub(super) struct Work {
    /// Where to write.
    pub(super) ledger: Ledger,
    /// The name of this process.
    pub(super) worker: String,
}

#[async_trait]
impl Handler for Work {
    async fn run(&self, context: Context) -> Result<Payload, Failure> {
        self.note(&context, Fact::Began)?;
        let mut answers = Vec::new();
        for step in 0..STEPS {
            let name = step_name(step);
            let answer = context.step(&name, &step, || self.call(&context, step));
            let answer = answer.await?;
            self.note(&context, Fact::Kept { step, answer })?;
            answers.push(answer);
        }
        if rand::random_bool(FAILING) {
            self.note(&context, Fact::Failed)?;
            return Err(Failure::Retry {
                code: "chaos".to_owned(),
                message: "one attempt in twenty fails".to_owned(),
                after: Some(FAILED_WAIT),
            });
        }
        context.done(&Done {
            attempt: context.job().attempt,
            answers,
        })
    }
}

impl Work {
    /// The call is on the bill as soon as it is made, whether its answer is waited for or not.
    async fn call(&self, context: &Context, step: u32) -> Result<u64, Failure> {
        let answer = rand::random();
        self.note(context, Fact::Called { step, answer })?;
        tokio::time::sleep(Duration::from_millis(rand::random_range(CALL_MS))).await;
        Ok(answer)
    }

    fn note(&self, context: &Context, fact: Fact) -> Result<(), Failure> {
        let job = context.job();
        let unwritten = |why: &dyn std::fmt::Display| Failure::retry("ledger", why.to_string());
        let entry = Entry {
            job: job.id.parse().map_err(|error| unwritten(&error))?,
            attempt: job.attempt,
            worker: self.worker.clone(),
            at: ledger::now(),
            fact,
        };
        self.ledger.write(&entry).map_err(|error| unwritten(&error))
    }
}
