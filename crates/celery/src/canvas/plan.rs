//! What is to be written and sent, decided before anything is.

use jiff::Timestamp;
use lovage_core::payload::Payload;

use super::message::Message;
use super::options::{array, string};
use super::place::Place;
use super::refusal::Refusal;
use super::shape::{self, Shape, deeper};
use crate::config::CeleryConfig;
use crate::exception::Exception;
use crate::signature::Signature;

/// Messages, results and parts of one plan.
pub(crate) const STEPS_MAX: usize = 10_000;

/// One thing to be done, in the order in which they stand.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// A task goes into its queue.
    Send(Message),
    /// A task that will never run has failed.
    Fail(Failed),
    /// A chord's header has this many parts.
    Size { group: String, size: u64 },
    /// A part of a chord's header is done; when it is the last, the body follows.
    Part(Part),
    /// A chord's body was sent, or failed.
    Over { group: String },
}

/// A task that will never run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Failed {
    pub(crate) id: String,
    pub(crate) group: Option<String>,
    pub(crate) exception: Exception,
}

/// A part of a chord's header that is done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Part {
    /// The chord's id.
    pub(crate) group: String,
    /// The id of the part's task.
    pub(crate) id: String,
    /// Its place in the header.
    pub(crate) index: Option<u64>,
    /// `SUCCESS`, `FAILURE` or `REVOKED`.
    pub(crate) state: &'static str,
    /// Its result or exception.
    pub(crate) result: Payload,
    /// What the chord's results are given to.
    pub(crate) body: Signature,
    /// Who sends the body.
    pub(crate) origin: Origin,
}

/// The task from which others follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The first task of the canvas.
    pub(crate) root: String,
    /// The task itself.
    pub(crate) parent: String,
    /// Its trace.
    pub(crate) traceparent: Option<String>,
}

/// Makes plans: pure, but for the time that it is given.
pub(crate) struct Planner<'a> {
    config: &'a CeleryConfig,
    now: Timestamp,
    depth: usize,
    /// What is planned so far.
    pub(crate) steps: Vec<Step>,
}

impl<'a> Planner<'a> {
    /// With nothing planned.
    pub(crate) fn new(config: &'a CeleryConfig, now: Timestamp) -> Self {
        Self {
            config,
            now,
            depth: 0,
            steps: Vec::new(),
        }
    }

    /// One thing more, within the bound.
    pub(super) fn push(&mut self, step: Step) -> Result<(), Refusal> {
        if self.steps.len() == STEPS_MAX {
            return Err(Refusal::TooMany(STEPS_MAX));
        }
        self.steps.push(step);
        Ok(())
    }

    /// Plans within one level of nesting more.
    pub(super) fn nested<T>(
        &mut self,
        plan: impl FnOnce(&mut Self) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        self.depth = deeper(self.depth)?;
        let planned = plan(self);
        self.depth -= 1;
        planned
    }

    /// Sends any signature with `results` in front of its arguments. Gives its
    /// result tuple, as `children` of a result holds it: `[[id, null], members]`.
    pub(crate) fn send(
        &mut self,
        signature: Signature,
        results: &[Payload],
        origin: &Origin,
        place: Place,
    ) -> Result<Payload, Refusal> {
        let results = if signature.immutable { &[] } else { results };
        self.nested(|planner| match signature.shape()? {
            Shape::Task => planner.send_task(signature, results, origin, place),
            Shape::Map => planner.send_task(signature, &[], origin, place),
            Shape::Chain => planner.send_chain(signature, results, origin, place),
            Shape::Group => {
                let members = shape::members(&signature)?;
                planner.send_group(signature, members, results, origin, place)
            }
            Shape::Chunks => {
                let members = shape::chunks(&signature)?;
                planner.send_group(signature, members, results, origin, place)
            }
            Shape::Chord => planner.send_chord(signature, results, origin, place),
        })
    }

    fn send_task(
        &mut self,
        signature: Signature,
        results: &[Payload],
        origin: &Origin,
        place: Place,
    ) -> Result<Payload, Refusal> {
        let id = signature.read("task_id")?.unwrap_or_else(|| place.id());
        let args = [results, &signature.args].concat();
        let tuple = tuple(&id, None);
        let message = Message::new(&signature, id, args, origin, self.config, self.now)?;
        self.push(Step::Send(message))?;
        Ok(tuple)
    }
}

/// A result tuple: an id, and the tuples of its members where it is a group.
pub(super) fn tuple(id: &str, members: Option<&[Payload]>) -> Payload {
    let members = members.map_or_else(Payload::null, array);
    array(&[array(&[string(id), Payload::null()]), members])
}
