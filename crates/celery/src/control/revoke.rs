//! Tasks that are not to run, or to stop.

use std::collections::{BTreeMap, BTreeSet};

use lovage_core::job::Job;
use lovage_core::payload::Payload;
use lovage_core::status::Status;
use serde::Deserialize;

use super::{Answer, Command, ok};
use crate::bridge::Parts;
use crate::exception::Exception;
use crate::job;
use crate::message::Task;
use crate::open::Opened;
use crate::open::Stage;
use crate::result::{Meta, State};
use crate::revoked::Target;

/// One value or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl From<OneOrMore> for Vec<String> {
    fn from(ids: OneOrMore) -> Self {
        match ids {
            OneOrMore::One(id) => vec![id],
            OneOrMore::More(ids) => ids,
        }
    }
}

/// Revokes tasks by their ids; `stop` those too that run.
pub(super) async fn by_ids(parts: &Parts, command: &Command, stop: bool) -> Answer {
    #[derive(Deserialize)]
    struct Of {
        task_id: OneOrMore,
        #[serde(default)]
        terminate: Option<bool>,
    }
    let of: Of = match command.arguments() {
        Ok(of) => of,
        Err(answer) => return answer,
    };
    let (ids, stop) = (Vec::from(of.task_id), stop || of.terminate == Some(true));
    let targets: Vec<Target> = ids.iter().map(|id| Target::task(id)).collect();
    parts.celery.insist(|| parts.revoked.add(&targets)).await?;
    let meant: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
    cancel_open(parts, |task| meant.contains(task.id.as_str()), stop).await;
    for id in &ids {
        cancel_elsewhere(parts, id, stop).await?;
    }
    let listed = ids.join(", ");
    if stop {
        ok(&format!("terminate: {listed}"))
    } else {
        ok(&format!("tasks {listed} flagged as revoked"))
    }
}

/// Revokes tasks by what they are stamped with.
pub(super) async fn by_stamps(parts: &Parts, command: &Command) -> Answer {
    #[derive(Deserialize)]
    struct Of {
        headers: BTreeMap<String, Payload>,
        #[serde(default)]
        terminate: Option<bool>,
    }
    let Of { headers, terminate } = match command.arguments() {
        Ok(of) => of,
        Err(answer) => return answer,
    };
    let stamps = headers.iter();
    let targets: Vec<Target> = stamps
        .flat_map(|(name, values)| Target::stamps(name, values))
        .collect();
    parts.celery.insist(|| parts.revoked.add(&targets)).await?;
    let is_meant = |task: &Task| Target::of(task).iter().any(|own| targets.contains(own));
    cancel_open(parts, is_meant, terminate == Some(true)).await;
    let names = headers.keys().cloned().collect::<Vec<_>>().join(", ");
    ok(&format!("headers {names} flagged as revoked"))
}

/// Cancels the jobs of open tasks that wait; `stop` those too that run.
async fn cancel_open(parts: &Parts, is_meant: impl Fn(&Task) -> bool, stop: bool) {
    let opened = parts.open.revoke(is_meant);
    let ends = |opened: &&Opened| stop || opened.stage == Stage::Waiting;
    for Opened { job, .. } in opened.iter().filter(ends) {
        parts.store.insist(|| parts.broker.cancel(job)).await;
    }
}

/// What another bridge carries, or nobody yet.
async fn cancel_elsewhere(parts: &Parts, id: &str, stop: bool) -> Option<()> {
    let job = job::id(id);
    match parts.store.insist(|| parts.broker.get(&job)).await? {
        Some(Job { status, .. }) if status.is_final() => {}
        Some(Job {
            status: Status::Running,
            ..
        }) if !stop => {}
        Some(_) => {
            parts.store.insist(|| parts.broker.cancel(&job)).await;
        }
        None => say_revoked(parts, id).await?,
    }
    Some(())
}

/// A task that nobody has seen is revoked at once, as Celery does from 5.6.
async fn say_revoked(parts: &Parts, id: &str) -> Option<()> {
    let results = &parts.canvas.backend;
    if parts.results.insist(|| results.get(id)).await?.is_some() {
        return Some(());
    }
    let exception = Exception::new("celery.exceptions", "TaskRevokedError", "revoked");
    let meta = Meta {
        id,
        state: State::Revoked,
        result: Payload::of(&exception).expect("an exception has a JSON form"),
        traceback: None,
        children: Vec::new(),
        group: None,
        parent: None,
        extended: None,
    };
    parts
        .results
        .insist(|| results.store(&meta))
        .await
        .map(drop)
}
