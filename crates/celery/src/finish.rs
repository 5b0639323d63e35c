//! What follows from the end of a task, in the order in which Celery does it.

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use lovage_core::payload::Payload;

use crate::canvas::{Canvas, Errbacks, Origin, Part, Place, Planner, Refusal, Step};
use crate::config::CeleryConfig;
use crate::exception::Exception;
use crate::message::Task;
use crate::result::{Extended, Meta, State};
use crate::transport::RedisResult;

/// How a task ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum End {
    /// With a result.
    Success(Payload),
    /// With an exception.
    Failure(Exception),
    /// Stopped, expired or revoked: the reason is `revoked`, `expired` or `terminated`.
    Revoked(&'static str),
}

/// Writes and sends all that follows, and says how the task ended to its
/// producer: a success after which the rest of its canvas cannot be sent is a
/// failure. Repeated after a crash it overwrites nothing: a success stands,
/// follow-up tasks have the same ids again.
pub(crate) async fn finish(
    canvas: &Canvas,
    task: &Task,
    end: &End,
    retries: u32,
) -> RedisResult<End> {
    let ending = Ending::of(task, end, &canvas.config, canvas.clock.now());
    canvas.run(ending.before).await?;
    if !task.ignore_result {
        let extended = canvas.config.result_extended.then(|| Extended {
            task,
            worker: &canvas.config.name,
            retries,
        });
        canvas
            .backend
            .store(&meta(task, &ending.end, ending.children, extended))
            .await?;
    }
    canvas.run(ending.after).await?;
    Ok(ending.end)
}

/// Whether all that may follow from a task can be sent, asked before it runs.
///
/// # Errors
/// The exception that the task fails with at once.
pub(crate) fn check(task: &Task, config: &CeleryConfig, now: Timestamp) -> Result<(), Exception> {
    let follow_ups = task
        .callbacks
        .iter()
        .chain(&task.errbacks)
        .chain(&task.chain)
        .chain(&task.chord);
    let origin = origin(task);
    let place = Place::after(&task.id);
    follow_ups
        .cloned()
        .try_for_each(|signature| {
            let mut planner = Planner::new(config, now);
            let results = [Payload::null()];
            planner.send(signature, &results, &origin, place).map(drop)
        })
        .map_err(|refusal| refusal.exception())
}

/// All that is done at the end of a task.
#[derive(Debug)]
struct Ending {
    /// How it ended.
    end: End,
    /// Sent before the result is written, so that this names them all.
    before: Vec<Step>,
    /// Result tuples of what is sent before.
    children: Vec<Payload>,
    /// Done after the result is written.
    after: Vec<Step>,
}

impl Ending {
    fn of(task: &Task, end: &End, config: &CeleryConfig, now: Timestamp) -> Self {
        match end {
            End::Success(result) => Self::success(task, result, config, now)
                .unwrap_or_else(|refusal| Self::failure(task, refusal.exception(), config, now)),
            End::Failure(exception) => Self::failure(task, exception.clone(), config, now),
            End::Revoked(reason) => Self {
                end: end.clone(),
                before: Vec::new(),
                children: Vec::new(),
                after: part(task, "REVOKED", json(&revoked(reason)))
                    .into_iter()
                    .collect(),
            },
        }
    }

    fn success(
        task: &Task,
        result: &Payload,
        config: &CeleryConfig,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let mut planner = Planner::new(config, now);
        let origin = origin(task);
        let place = Place::after(&task.id);
        let results = [result.clone()];
        let mut children = Vec::new();
        for (index, callback) in task.callbacks.iter().enumerate() {
            children.push(planner.send(
                callback.clone(),
                &results,
                &origin,
                place.at("link", index),
            )?);
        }
        if let Some((next, rest)) = task.chain.split_last() {
            let mut next = next.clone();
            next.options.insert("chain".to_owned(), json(&rest));
            children.push(planner.send(next, &results, &origin, place.at("chain", 0))?);
        }
        Ok(Self {
            end: End::Success(result.clone()),
            before: planner.steps,
            children,
            after: part(task, "SUCCESS", result.clone()).into_iter().collect(),
        })
    }

    fn failure(task: &Task, exception: Exception, config: &CeleryConfig, now: Timestamp) -> Self {
        let mut planner = Planner::new(config, now);
        let origin = origin(task);
        let place = Place::after(&task.id);
        planner
            .steps
            .extend(part(task, "FAILURE", json(&exception)));
        for (index, step) in task.chain.iter().enumerate() {
            planner.fail_or_log(
                step,
                &exception,
                Errbacks::Leave,
                &origin,
                place.at("chain", index),
            );
        }
        let errbacks: Vec<Payload> = task.errbacks.iter().map(json).collect();
        planner.call_errbacks(&errbacks, &task.id, &origin, place);
        Self {
            end: End::Failure(exception),
            before: Vec::new(),
            children: Vec::new(),
            after: planner.steps,
        }
    }
}

fn origin(task: &Task) -> Origin {
    Origin {
        root: task.root_id.clone(),
        parent: task.id.clone(),
        traceparent: task.traceparent.clone(),
    }
}

/// The part of a chord that the task is.
fn part(task: &Task, state: &'static str, result: Payload) -> Option<Step> {
    let (group, body) = task.group.clone().zip(task.chord.clone())?;
    let origin = origin(task);
    Some(Step::Part(Part {
        group,
        id: task.id.clone(),
        index: task.group_index,
        state,
        result,
        body,
        origin,
    }))
}

fn revoked(reason: &str) -> Exception {
    Exception::new("celery.exceptions", "TaskRevokedError", reason)
}

/// What stands under the task's id.
fn meta<'a>(
    task: &'a Task,
    end: &End,
    children: Vec<Payload>,
    extended: Option<Extended<'a>>,
) -> Meta<'a> {
    let (state, result, traceback) = match end {
        End::Success(result) => (State::Success, result.clone(), None),
        End::Failure(exception) => (State::Failure, json(exception), Some(exception.traceback())),
        End::Revoked(reason) => (State::Revoked, json(&revoked(reason)), None),
    };
    Meta {
        id: &task.id,
        state,
        result,
        traceback,
        children,
        group: task.group.as_deref(),
        parent: task.parent_id.as_deref(),
        extended,
    }
}

fn json(value: &impl serde::Serialize) -> Payload {
    Payload::of(value).expect("signatures and exceptions have a JSON form")
}
