//! Jobs that a job spawns and waits for, without a slot.

use std::time::Duration;

use lovage_core::attempt::JobError;
use lovage_core::id::{JobId, Kind, check_label};
use lovage_core::job::Child;
use lovage_core::job::NewJob;
use lovage_core::limits;
use lovage_core::payload::Payload;
use lovage_core::retry::Backoff;
use lovage_core::status::{Join, Status, WaitReason};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::context::{Context, JobInfo};
use crate::error::Failure;
use crate::replay;
use crate::step::read;

/// A child to be spawned: a job of its own, with its own attempts and steps.
///
/// Queue, tenant, priority, session and trace are its parent's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewChild {
    /// What to do.
    pub kind: Kind,
    /// What to do it with. What differs between attempts of the parent (the
    /// time, say) has no place in it.
    pub input: Payload,
    /// Attempts before it has failed.
    pub attempts_max: u32,
    /// Longest run of one attempt.
    pub timeout: Option<Duration>,
    /// Wait between attempts.
    pub backoff: Backoff,
    /// Labels to find it by.
    pub tags: Vec<String>,
}

impl NewChild {
    /// A child of three attempts, without timeout or tags.
    ///
    /// # Errors
    /// Gives up with `child` when the kind is no name, or the input has no
    /// JSON form or more than [`limits::INPUT_BYTES_MAX`] bytes.
    pub fn new(kind: &str, input: &impl Serialize) -> Result<Self, Failure> {
        let refused = |why: String| Failure::give_up("child", why);
        let kind = kind.parse::<Kind>();
        let input = Payload::of(input)
            .map_err(|error| refused(format!("a child's input has no JSON form: {error}")))?;
        let (bytes, max) = (input.as_str().len(), limits::INPUT_BYTES_MAX);
        if bytes > max {
            let why = format!("a child's input has {bytes} bytes, at most {max} are taken");
            return Err(refused(why));
        }
        Ok(Self {
            kind: kind.map_err(|error| refused(error.to_string()))?,
            input,
            attempts_max: 3,
            timeout: None,
            backoff: Backoff::default(),
            tags: Vec::new(),
        })
    }

    fn job(self, parent: &JobInfo, group: &str, place: usize) -> NewJob {
        let id = id(parent, group, place, &self);
        NewJob {
            attempts_max: self.attempts_max,
            timeout: self.timeout,
            backoff: self.backoff,
            tags: self.tags,
            keep: limits::KEEP_CHILD,
            keep_dead: limits::KEEP_CHILD,
            ..NewJob::new(id, self.kind, self.input)
        }
    }
}

/// The id of a child: every attempt of its parent derives the same one, and
/// another one where the child's kind or input changed. A parent whose id was
/// used before, by a job that is forgotten, has other children than that job.
fn id(parent: &JobInfo, group: &str, place: usize, child: &NewChild) -> JobId {
    let (since, place) = (parent.created_at.to_string(), place.to_string());
    let parts = [
        &parent.id,
        &since,
        group,
        &place,
        child.kind.as_str(),
        child.input.as_str(),
    ];
    let mut hash = Sha256::new();
    for part in parts {
        // No part holds a NUL, so none can be taken for two.
        hash.update(part);
        hash.update([0]);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    JobId::from(uuid::Uuid::new_v8(bytes))
}

/// How a child ended.
pub type ChildResult = Result<Payload, ChildFailure>;

/// Why a child has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("child {id} is {status}: {} ({})", error.message, error.code)]
pub struct ChildFailure {
    /// The child.
    pub id: JobId,
    /// How it ended; [`Status::Succeeded`] where its result is no longer kept.
    pub status: Status,
    /// What went wrong.
    pub error: JobError,
}

impl From<ChildFailure> for Failure {
    fn from(failure: ChildFailure) -> Self {
        Self::give_up("child_failed", failure.to_string())
    }
}

impl Context {
    /// Spawns a group of jobs once in the life of this one, and gives their
    /// results in the children's order, each failure in its place.
    ///
    /// While they are not over the attempt ends: the job is parked without a
    /// slot, uses no attempt, and is begun again when they are. The results of
    /// children that all succeeded are kept, so that later attempts do not
    /// depend on how long children are kept; where one failed they are read
    /// anew, since a redrive of this job runs its failed children again.
    ///
    /// With [`Join::FirstFailure`] the first failure cancels the children that
    /// are not over, and comes back as an error.
    ///
    /// # Errors
    /// [`Failure::Park`] while children are not over: pass it on. Gives up with
    /// `child_failed` by the first failure, `children_too_large` when the
    /// results have more than [`limits::CHECKPOINT_BYTES_MAX`] bytes together,
    /// `children` for a bad name of a group, `replay_mismatch` when the group
    /// was spawned with other kinds or inputs.
    pub async fn children(
        &self,
        group: &str,
        children: Vec<NewChild>,
        join: Join,
    ) -> Result<Vec<ChildResult>, Failure> {
        check_label(group)
            .map_err(|why| Failure::give_up("children", format!("name of a group: {why}")))?;
        if children.is_empty() {
            return Ok(Vec::new());
        }
        let jobs = self.numbered(group, children);
        let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
        let (step, fingerprint) = (format!("children:{group}"), replay::fingerprint(&ids)?);
        if let Some(kept) = self.peek(&step, &fingerprint).await? {
            let results: Vec<Payload> = read(&step, &kept)?;
            return Ok(results.into_iter().map(Ok).collect());
        }
        let over = self.joined(group, jobs, join).await?;
        let ends = self.ends(&over).await?;
        if let Ok(results) = ends.iter().cloned().collect::<Result<Vec<_>, _>>() {
            self.keep(&step, &fingerprint, &results).await?;
        }
        Ok(ends)
    }

    /// As [`Context::children`] with [`Join::All`], for results that are too large
    /// or too many to be held together: each is handed to `read` with its child,
    /// and only what that makes of it is given back. Nothing is kept, so `read`
    /// is called for every child again in an attempt after that.
    ///
    /// # Errors
    /// As [`Context::children`].
    pub async fn each_child<T>(
        &self,
        group: &str,
        children: Vec<NewChild>,
        mut read: impl FnMut(JobId, ChildResult) -> T,
    ) -> Result<Vec<T>, Failure> {
        check_label(group)
            .map_err(|why| Failure::give_up("children", format!("name of a group: {why}")))?;
        if children.is_empty() {
            return Ok(Vec::new());
        }
        let jobs = self.numbered(group, children);
        let over = self.joined(group, jobs, Join::All).await?;
        let mut made = Vec::with_capacity(over.len());
        for child in &over {
            let end = self.journal().end_of(child).await?;
            made.push(read(child.id, end));
        }
        Ok(made)
    }

    fn numbered(&self, group: &str, children: Vec<NewChild>) -> Vec<NewJob> {
        let numbered = children.into_iter().enumerate();
        numbered
            .map(|(place, child)| child.job(self.job(), group, place))
            .collect()
    }

    /// The children of a group once they are over; spawns them where no attempt has.
    async fn joined(
        &self,
        group: &str,
        jobs: Vec<NewJob>,
        join: Join,
    ) -> Result<Vec<Child>, Failure> {
        if self.stop().is_cancelled() {
            return Err(Failure::Stopped);
        }
        let all = self.journal().children().await?;
        let (ours, others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|child| child.group == group);
        if ours.is_empty() {
            self.journal().spawn(group, jobs).await?;
            return Err(park(join, &others));
        }
        if !ours
            .iter()
            .map(|child| child.id)
            .eq(jobs.iter().map(|job| job.id))
        {
            return Err(other_children(group));
        }
        let unfinished = ours.iter().filter(|child| child.ended.is_none());
        if let Some(failed) = first_failed(&ours).filter(|_| join == Join::FirstFailure) {
            for child in unfinished.clone() {
                self.journal().cancel(&child.id).await?;
            }
            self.journal().end_of(failed).await??;
        }
        if unfinished.count() > 0 {
            return Err(park(join, &others));
        }
        Ok(ours)
    }

    async fn ends(&self, children: &[Child]) -> Result<Vec<ChildResult>, Failure> {
        // Of a JSON array: a comma each, and one byte more for its brackets.
        let mut room = limits::CHECKPOINT_BYTES_MAX - 1;
        let mut ends = Vec::with_capacity(children.len());
        for child in children {
            let end = self.journal().end_of(child).await?;
            let bytes = end.as_ref().map_or(0, |result| result.as_str().len() + 1);
            room = room.checked_sub(bytes).ok_or_else(too_large)?;
            ends.push(end);
        }
        Ok(ends)
    }
}

/// Failures before cancels: those are often because of it.
fn first_failed(children: &[Child]) -> Option<&Child> {
    let ended = |status| {
        children
            .iter()
            .find(move |child| child.ended == Some(status))
    };
    ended(Status::Failed).or_else(|| ended(Status::Cancelled))
}

/// A store wakes a parent for any of its children. One of another group that
/// failed before would wake it at once and for ever, so all are waited for.
fn park(join: Join, others: &[Child]) -> Failure {
    let join = first_failed(others).map_or(join, |_| Join::All);
    Failure::Park {
        reason: WaitReason::Children(join),
        after: limits::PARK_MAX.min(limits::KEEP_CHILD),
    }
}

fn other_children(group: &str) -> Failure {
    let why = format!(
        "the children of group {group} were spawned with other kinds or inputs; enqueue the job anew"
    );
    Failure::give_up("replay_mismatch", why)
}

fn too_large() -> Failure {
    let max = limits::CHECKPOINT_BYTES_MAX;
    Failure::give_up(
        "children_too_large",
        format!("the children's results have more than {max} bytes together"),
    )
}
