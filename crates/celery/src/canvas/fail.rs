//! What fails with a task: signatures that will never run.

use lovage_core::payload::Payload;

use super::header;
use super::options::{read, string};
use super::place::Place;
use super::plan::{Failed, Origin, Part, Planner, Step};
use super::refusal::Refusal;
use super::shape::{self, Shape};
use crate::exception::Exception;
use crate::signature::Signature;

/// Whether those who wait for an error are told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Errbacks {
    /// They are: the signature is the first to fail.
    Call,
    /// They were, for the task that failed before it.
    Leave,
}

/// Options of a chain that are its last step's when it fails.
const OF_THE_LAST: [&str; 5] = ["task_id", "group_id", "group_index", "chord", "chain"];

impl Planner<'_> {
    /// Fails a signature: its results, the chord that counts it, the rest of
    /// its chain.
    pub(crate) fn fail(
        &mut self,
        signature: &Signature,
        exception: &Exception,
        errbacks: Errbacks,
        origin: &Origin,
        place: Place,
    ) -> Result<(), Refusal> {
        self.nested(|planner| match signature.shape()? {
            Shape::Group => planner.fail_all(
                &shape::members(signature)?,
                exception,
                errbacks,
                origin,
                place,
            ),
            Shape::Chunks => planner.fail_all(
                &shape::chunks(signature)?,
                exception,
                errbacks,
                origin,
                place,
            ),
            Shape::Chain => planner.fail_chain(signature, exception, errbacks, origin, place),
            Shape::Chord => {
                let body = header::body(signature, place)?;
                planner.fail(&body, exception, errbacks, origin, place.at("body", 0))
            }
            Shape::Task | Shape::Map => {
                planner.fail_task(signature, exception, errbacks, origin, place)
            }
        })
    }

    /// The same; what is malformed or too much is left out and logged, since
    /// there is nothing else left to do about it.
    pub(crate) fn fail_or_log(
        &mut self,
        signature: &Signature,
        exception: &Exception,
        errbacks: Errbacks,
        origin: &Origin,
        place: Place,
    ) {
        if let Err(refusal) = self.fail(signature, exception, errbacks, origin, place) {
            tracing::warn!(task = origin.parent, %refusal, "what follows a failed task is not failed");
        }
    }

    fn fail_all(
        &mut self,
        signatures: &[Signature],
        exception: &Exception,
        errbacks: Errbacks,
        origin: &Origin,
        place: Place,
    ) -> Result<(), Refusal> {
        signatures
            .iter()
            .enumerate()
            .try_for_each(|(index, signature)| {
                self.fail(
                    signature,
                    exception,
                    errbacks,
                    origin,
                    place.at("member", index),
                )
            })
    }

    /// A chain stands and falls with its last step.
    fn fail_chain(
        &mut self,
        chain: &Signature,
        exception: &Exception,
        errbacks: Errbacks,
        origin: &Origin,
        place: Place,
    ) -> Result<(), Refusal> {
        let mut last = chain.last()?;
        for name in OF_THE_LAST {
            if let Some(value) = chain.option(name) {
                last.set_missing(name, value);
            }
        }
        if errbacks == Errbacks::Call {
            let id = last
                .read::<String>("task_id")?
                .unwrap_or_else(|| place.id());
            self.call_errbacks(&chain.list("link_error")?, &id, origin, place);
        }
        self.fail(
            &last,
            exception,
            Errbacks::Leave,
            origin,
            place.at("last", 0),
        )
    }

    fn fail_task(
        &mut self,
        task: &Signature,
        exception: &Exception,
        errbacks: Errbacks,
        origin: &Origin,
        place: Place,
    ) -> Result<(), Refusal> {
        let known: Option<String> = task.read("task_id")?;
        let id = known.clone().unwrap_or_else(|| place.id());
        let group: Option<String> = task.read("group_id")?;
        if known.is_some() {
            let failed = Failed {
                id: id.clone(),
                group: group.clone(),
                exception: exception.clone(),
            };
            self.push(Step::Fail(failed))?;
        }
        if let (Some(group), Some(body)) = (group, task.read("chord")?) {
            self.push(Step::Part(Part {
                group,
                id: id.clone(),
                index: task.read("group_index")?,
                state: "FAILURE",
                result: Payload::of(exception).expect("an exception has a JSON form"),
                body,
                origin: origin.clone(),
            }))?;
        }
        if errbacks == Errbacks::Call {
            self.call_errbacks(&task.list("link_error")?, &id, origin, place);
        }
        let rest: Vec<Signature> = task.read("chain")?.unwrap_or_default();
        self.fail_all(
            &rest,
            exception,
            Errbacks::Leave,
            origin,
            place.at("chain", 0),
        )
    }

    /// Sends errbacks, each with the id of the failed task. One that cannot be
    /// sent is left out and logged: the failure itself is written in any case.
    pub(crate) fn call_errbacks(
        &mut self,
        errbacks: &[Payload],
        id: &str,
        origin: &Origin,
        place: Place,
    ) {
        let origin = Origin {
            parent: id.to_owned(),
            ..origin.clone()
        };
        for (index, errback) in errbacks.iter().enumerate() {
            let planned = self.steps.len();
            let sent = read::<Signature>(errback, "link_error").and_then(|errback| {
                self.send(
                    errback,
                    &[string(id)],
                    &origin,
                    place.at("link_error", index),
                )
            });
            if let Err(refusal) = sent {
                self.steps.truncate(planned);
                tracing::warn!(task = id, %refusal, "an errback is not sent");
            }
        }
    }
}
