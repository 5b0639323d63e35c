//! Signatures sent as tasks: plain ones, chains, groups, chords.
//!
//! What follows from a task is planned first, by pure code: a [`plan::Planner`]
//! gives the messages, failures and chord parts in their order, or refuses
//! before anything is written. [`Canvas::run`] then does it. All ids are in the
//! signatures or derived from where these stand, so a plan that is done again
//! after a crash sends no task twice.

mod chain;
mod fail;
mod group;
mod header;
pub(crate) mod map;
mod message;
mod options;
mod place;
mod plan;
mod refusal;
mod shape;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use lovage_core::clock::Clock;
use lovage_core::payload::Payload;

pub(crate) use self::fail::Errbacks;
pub(crate) use self::place::Place;
pub(crate) use self::plan::{Failed, Origin, Part, Planner, Step};
pub(crate) use self::refusal::Refusal;

use crate::backend::Backend;
use crate::config::CeleryConfig;
use crate::result::{Meta, State};
use crate::transport::{RedisResult, Transport};

/// What sending and finishing need.
#[derive(Clone)]
pub(crate) struct Canvas {
    pub(crate) transport: Transport,
    pub(crate) backend: Backend,
    pub(crate) config: Arc<CeleryConfig>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Canvas {
    /// Does what was planned, in order. What follows from a chord's last part
    /// comes right after it.
    pub(crate) async fn run(&self, steps: Vec<Step>) -> RedisResult<()> {
        let mut open = VecDeque::from(steps);
        while let Some(step) = open.pop_front() {
            match step {
                Step::Send(message) => {
                    self.transport
                        .publish(&message.queue, message.priority, &message.seal())
                        .await?;
                }
                Step::Fail(failed) => self.store_failed(&failed).await?,
                Step::Size { group, size } => self.backend.chord_size(&group, size).await?,
                Step::Over { group } => self.backend.chord_done(&group).await?,
                Step::Part(part) => {
                    for step in self.part(&part).await?.into_iter().rev() {
                        open.push_front(step);
                    }
                }
            }
        }
        Ok(())
    }

    async fn store_failed(&self, failed: &Failed) -> RedisResult<()> {
        let meta = Meta {
            id: &failed.id,
            state: State::Failure,
            result: Payload::of(&failed.exception).expect("an exception has a JSON form"),
            traceback: Some(failed.exception.traceback()),
            children: Vec::new(),
            group: failed.group.as_deref(),
            parent: None,
            extended: None,
        };
        self.backend.store(&meta).await.map(drop)
    }
}
