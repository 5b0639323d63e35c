//! The one state machine. Pure: job and outcome in, what happens next out.
//!
//! The worker asks it how an attempt settles, the sweep asks it about a lost
//! attempt, the stores ask it about cancel, expiry and redrive. Stores write
//! the answer; they never compute one.

use std::time::Duration;

use jiff::Timestamp;

use crate::attempt::{Attempt, JobError};
use crate::clock;
use crate::event::{self, NewEvent};
use crate::id::{JobId, QueueName, WorkerId};
use crate::job::{Job, NewJob, Waiting};
use crate::lease::LeaseToken;
use crate::limits;
use crate::outcome::Outcome;
use crate::payload::Payload;
use crate::status::{Join, Status, WaitReason};

/// Kind and error code of a job whose record cannot be read.
pub const UNREADABLE: &str = "unreadable";

/// What becomes of a job. Closed: a store handles every case or does not build.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Back into its lane.
    Requeue {
        /// Ahead of the jobs that wait there (a reclaimed or released job was first already).
        front: bool,
        /// Whether the attempt counts.
        charge: bool,
        /// What went wrong, if something did.
        error: Option<JobError>,
    },
    /// Parked without a slot.
    Wait {
        /// What for. Where that is there already, the store queues the job again at once.
        reason: WaitReason,
        /// Until when, at the longest.
        until: Timestamp,
        /// Whether the attempt counts.
        charge: bool,
        /// What went wrong, if something did.
        error: Option<JobError>,
    },
    /// Over.
    Finish {
        /// One of the three final statuses.
        status: Status,
        /// What it gave.
        result: Option<Payload>,
        /// What went wrong.
        error: Option<JobError>,
    },
}

/// What a request to cancel means for a job as it stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Cancel {
    /// Nobody runs it: it ends now.
    Now(Next),
    /// A worker runs it: it is asked to stop.
    Ask,
    /// It is over already.
    TooLate,
}

/// A job as it enters a store: `Scheduled` when its time is yet to come, else `Queued`.
pub fn enqueue(new: &NewJob, now: Timestamp) -> Job {
    let asked = NewJob {
        idempotency: None,
        ..new.clone()
    };
    fresh(asked, now)
}

/// A stored job as it was when it was enqueued, before anything became of it.
pub fn as_enqueued(job: &Job) -> Job {
    fresh(job.asked.clone(), job.created_at)
}

fn fresh(asked: NewJob, now: Timestamp) -> Job {
    Job {
        status: match asked.run_at {
            Some(at) if at > now => Status::Scheduled,
            Some(_) | None => Status::Queued,
        },
        asked,
        created_at: now,
        attempt: 0,
        waiting: None,
        worker: None,
        started_at: None,
        finished_at: None,
        keep_until: None,
        error: None,
        history: Vec::new(),
        cancel_requested: false,
        progress: None,
        result: None,
    }
}

/// `Scheduled` or `Waiting` to `Queued`: its time has come.
pub fn promote(job: &Job) -> Job {
    Job {
        status: Status::Queued,
        waiting: None,
        ..job.clone()
    }
}

/// `Queued` to `Running`: the attempt counts from here, so that a crash counts.
pub fn claim(job: &Job, token: &LeaseToken) -> Job {
    Job {
        status: Status::Running,
        attempt: token.attempt,
        worker: Some(token.worker),
        started_at: Some(token.claimed_at),
        waiting: None,
        ..job.clone()
    }
}

/// How a finished attempt settles its job.
///
/// `chance` in 0..1 is the jitter of the back-off.
pub fn settle(job: &Job, outcome: &Outcome, now: Timestamp, chance: f64) -> Next {
    match outcome {
        Outcome::Done(result) => finish(Status::Succeeded, Some(result.clone()), None),
        Outcome::Cancelled => finish(Status::Cancelled, None, Some(cancelled())),
        Outcome::GiveUp(error) => finish(Status::Failed, None, Some(error.clone())),
        Outcome::Release => Next::Requeue {
            front: true,
            charge: false,
            error: None,
        },
        Outcome::Park { .. } | Outcome::Retry { .. } if job.cancel_requested => {
            finish(Status::Cancelled, None, Some(cancelled()))
        }
        Outcome::Park { reason, after } => Next::Wait {
            reason: reason.clone(),
            until: clock::after(now, (*after).min(limits::PARK_MAX)),
            charge: false,
            error: None,
        },
        Outcome::Retry { error, after } => retry(job, error, *after, now, chance),
    }
}

fn retry(
    job: &Job,
    error: &JobError,
    after: Option<Duration>,
    now: Timestamp,
    chance: f64,
) -> Next {
    if job.attempt >= job.attempts_max {
        return finish(Status::Failed, None, Some(error.clone()));
    }
    let wait = after.unwrap_or_else(|| job.backoff.wait(job.attempt, chance));
    Next::Wait {
        reason: WaitReason::Backoff,
        until: clock::after(now, wait),
        charge: true,
        error: Some(error.clone()),
    }
}

/// What becomes of a running job whose worker let its lease run out.
pub fn attempt_lost(job: &Job) -> Next {
    let error = JobError::transient(
        "lease_lost",
        "the worker stopped answering while it ran this job",
    );
    if job.cancel_requested {
        finish(Status::Cancelled, None, Some(cancelled()))
    } else if job.attempt >= job.attempts_max {
        finish(Status::Failed, None, Some(error))
    } else {
        Next::Requeue {
            front: true,
            charge: true,
            error: Some(error),
        }
    }
}

/// What a request to cancel means.
pub fn cancel(job: &Job) -> Cancel {
    match job.status {
        Status::Running => Cancel::Ask,
        Status::Scheduled | Status::Queued | Status::Waiting => {
            Cancel::Now(finish(Status::Cancelled, None, Some(cancelled())))
        }
        Status::Succeeded | Status::Failed | Status::Cancelled => Cancel::TooLate,
    }
}

/// What becomes of a job that was asked to stop and did not within a lease (K2).
pub fn cancel_overdue() -> Next {
    finish(Status::Cancelled, None, Some(cancelled()))
}

/// The end of a job that was not started in time; `None` while there is time,
/// and for a job that was started before (see [`apply`]).
pub fn expire(job: &Job, now: Timestamp) -> Option<Next> {
    let late = job.expires_at.is_some_and(|at| at <= now);
    let error = || JobError::permanent("expired", "not started before its expires_at");
    late.then(|| finish(Status::Cancelled, None, Some(error())))
}

/// A failed or cancelled job queued again, with all its attempts; `None` for others.
///
/// What its steps stored is kept, so only unfinished steps run.
pub fn redrive(job: &Job) -> Option<Job> {
    matches!(job.status, Status::Failed | Status::Cancelled).then(|| Job {
        status: Status::Queued,
        attempt: 0,
        started_at: None,
        finished_at: None,
        keep_until: None,
        cancel_requested: false,
        error: None,
        asked: NewJob {
            run_at: None,
            expires_at: None,
            ..job.asked.clone()
        },
        ..job.clone()
    })
}

/// Whether a parent that waits for its children goes on, when `unfinished` of
/// them are not over and `failed` failed or were cancelled (P2).
pub fn joined(join: Join, unfinished: u64, failed: u64) -> bool {
    match join {
        Join::All => unfinished == 0,
        Join::FirstFailure => unfinished == 0 || failed > 0,
    }
}

/// A stored job that this program cannot read, as a failed one for the dead
/// list: its record's text is its input, for a person to look at.
pub fn unreadable(id: JobId, queue: &QueueName, record: &[u8], now: Timestamp) -> Job {
    let input = Payload::of(&String::from_utf8_lossy(record)).expect("a text has a JSON form");
    let kind = UNREADABLE.parse().expect("the kind is a valid name");
    let new = NewJob {
        queue: queue.clone(),
        ..NewJob::new(id, kind, input)
    };
    let error = JobError::permanent(UNREADABLE, "its record cannot be read by this program");
    apply(
        &fresh(new, now),
        &finish(Status::Failed, None, Some(error)),
        now,
    )
}

/// The job after `next`, written at `now`.
///
/// For a running job the lost or failed attempt is added to its history; one
/// that goes on was started, so it does not expire any more.
pub fn apply(job: &Job, next: &Next, now: Timestamp) -> Job {
    let mut after = Job {
        worker: None,
        waiting: None,
        ..job.clone()
    };
    match next {
        Next::Requeue { charge, error, .. } => {
            after.status = Status::Queued;
            after.asked.expires_at = None;
            back_out(&mut after, *charge);
            remember(&mut after, job.worker, error, now);
        }
        Next::Wait {
            reason,
            until,
            charge,
            error,
        } => {
            after.status = Status::Waiting;
            after.asked.expires_at = None;
            after.waiting = Some(Waiting {
                reason: reason.clone(),
                until: *until,
            });
            back_out(&mut after, *charge);
            remember(&mut after, job.worker, error, now);
        }
        Next::Finish {
            status,
            result,
            error,
        } => {
            after.status = *status;
            after.finished_at = Some(now);
            after.keep_until = Some(clock::after(now, job.keep_as(*status)));
            after.result = result.clone();
            if *status == Status::Succeeded && !job.keep_input {
                after.asked.input = Payload::null();
            }
            after.error = None;
            remember(&mut after, job.worker, error, now);
        }
    }
    after
}

fn back_out(job: &mut Job, charge: bool) {
    if !charge {
        job.attempt = job.attempt.saturating_sub(1);
    }
}

fn remember(job: &mut Job, worker: Option<WorkerId>, error: &Option<JobError>, now: Timestamp) {
    let Some(error) = error else { return };
    job.error = Some(error.clone());
    if let Some((worker, started_at)) = worker.zip(job.started_at) {
        let attempt = Attempt {
            number: job.attempt,
            worker,
            started_at,
            ended_at: now,
            error: error.clone(),
        };
        job.history.push(attempt);
        let excess = job.history.len().saturating_sub(limits::HISTORY_MAX);
        job.history.drain(..excess);
    }
}

/// The event a store appends with `next`. A finish has none: see [`Job::final_event`].
pub fn event(next: &Next) -> Option<NewEvent> {
    #[derive(serde::Serialize)]
    struct Waits<'a> {
        reason: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        signal: Option<&'a str>,
        until: Timestamp,
        error: &'a Option<JobError>,
    }
    #[derive(serde::Serialize)]
    struct Goes<'a> {
        error: &'a Option<JobError>,
    }
    let (kind, data) = match next {
        Next::Requeue { error, .. } => (event::kind::REQUEUED, Payload::of(&Goes { error })),
        Next::Wait {
            reason,
            until,
            error,
            ..
        } => (
            event::kind::WAITING,
            Payload::of(&Waits {
                reason: reason.as_str(),
                signal: reason.signal(),
                until: *until,
                error,
            }),
        ),
        Next::Finish { .. } => return None,
    };
    let data = data.expect("errors, reasons and times have a JSON form");
    Some(NewEvent {
        kind: kind.to_owned(),
        step: None,
        data,
    })
}

fn finish(status: Status, result: Option<Payload>, error: Option<JobError>) -> Next {
    Next::Finish {
        status,
        result,
        error,
    }
}

fn cancelled() -> JobError {
    JobError::permanent("cancelled", "cancelled on request")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    fn running(attempt: u32, attempts_max: u32) -> Job {
        let new = NewJob {
            attempts_max,
            ..NewJob::new(
                JobId::at(at(0)),
                "test.noop".parse().unwrap(),
                Payload::null(),
            )
        };
        let token = LeaseToken {
            worker: WorkerId::at(at(1)),
            attempt,
            claimed_at: at(10),
        };
        claim(&enqueue(&new, at(5)), &token)
    }

    #[test]
    fn a_job_with_a_time_to_come_is_scheduled_and_then_promoted() {
        let mut new = NewJob::new(
            JobId::at(at(0)),
            "test.noop".parse().unwrap(),
            Payload::null(),
        );
        new.run_at = Some(at(100));
        let job = enqueue(&new, at(5));
        assert_eq!(job.status, Status::Scheduled);
        assert_eq!(promote(&job).status, Status::Queued);
        assert_eq!(enqueue(&new, at(100)).status, Status::Queued);
    }

    #[test]
    fn a_failed_attempt_waits_and_is_charged_until_none_is_left() {
        let error = JobError::transient("boom", "it broke");
        let outcome = Outcome::Retry {
            error: error.clone(),
            after: None,
        };
        let job = running(1, 2);
        let next = settle(&job, &outcome, at(20), 1.0);
        let after = apply(&job, &next, at(20));
        assert_eq!((after.status, after.attempt), (Status::Waiting, 1));
        assert_eq!(
            after.waiting,
            Some(Waiting {
                reason: WaitReason::Backoff,
                until: at(1_020)
            })
        );
        assert_eq!(after.history.len(), 1);

        let last = running(2, 2);
        let after = apply(&last, &settle(&last, &outcome, at(20), 1.0), at(20));
        assert_eq!((after.status, after.error), (Status::Failed, Some(error)));
        assert_eq!(
            after.keep_until,
            Some(clock::after(at(20), limits::KEEP_DEAD))
        );
    }

    #[test]
    fn parking_and_release_do_not_use_the_attempt() {
        let job = running(1, 1);
        let park = Outcome::Park {
            reason: WaitReason::Limit,
            after: Duration::from_secs(40),
        };
        for outcome in [park, Outcome::Release] {
            let after = apply(&job, &settle(&job, &outcome, at(20), 0.5), at(20));
            assert_eq!(after.attempt, 0, "{outcome:?}");
            assert!(!after.status.is_final());
            assert!(after.history.is_empty());
        }
    }

    #[test]
    fn a_lost_attempt_counts_and_the_poison_cap_holds() {
        let first = running(1, 2);
        let after = apply(&first, &attempt_lost(&first), at(30));
        assert_eq!((after.status, after.attempt), (Status::Queued, 1));
        assert_eq!(after.history[0].error.code, "lease_lost");
        let last = running(2, 2);
        assert_eq!(
            apply(&last, &attempt_lost(&last), at(30)).status,
            Status::Failed
        );
    }

    #[test]
    fn a_job_asked_to_stop_never_goes_back_to_its_lane_on_failure() {
        let mut job = running(1, 5);
        job.cancel_requested = true;
        let retry = Outcome::Retry {
            error: JobError::transient("x", "y"),
            after: None,
        };
        for next in [settle(&job, &retry, at(20), 0.0), attempt_lost(&job)] {
            assert_eq!(apply(&job, &next, at(20)).status, Status::Cancelled);
        }
    }

    #[test]
    fn cancel_depends_on_who_holds_the_job() {
        let mut job = running(1, 1);
        assert_eq!(cancel(&job), Cancel::Ask);
        job.status = Status::Waiting;
        assert!(matches!(
            cancel(&job),
            Cancel::Now(Next::Finish {
                status: Status::Cancelled,
                ..
            })
        ));
        job.status = Status::Succeeded;
        assert_eq!(cancel(&job), Cancel::TooLate);
    }

    #[test]
    fn only_failed_and_cancelled_jobs_are_redriven() {
        let mut job = running(3, 3);
        assert!(redrive(&job).is_none());
        job.status = Status::Succeeded;
        assert!(redrive(&job).is_none());
        job.status = Status::Failed;
        let again = redrive(&job).unwrap();
        assert_eq!((again.status, again.attempt), (Status::Queued, 0));
    }

    #[test]
    fn a_started_job_does_not_expire_any_more() {
        let mut job = running(1, 3);
        job.asked.expires_at = Some(at(15));
        assert!(expire(&job, at(20)).is_some());
        let park = Outcome::Park {
            reason: WaitReason::Signal("approval".into()),
            after: Duration::from_secs(1),
        };
        for next in [attempt_lost(&job), settle(&job, &park, at(14), 0.0)] {
            assert_eq!(expire(&apply(&job, &next, at(14)), at(20)), None);
        }
    }

    #[test]
    fn a_parent_goes_on_with_its_last_child_or_the_first_failure() {
        assert!(!joined(Join::All, 1, 1));
        assert!(joined(Join::All, 0, 1));
        assert!(joined(Join::FirstFailure, 1, 1));
        assert!(!joined(Join::FirstFailure, 1, 0));
        assert!(joined(Join::FirstFailure, 0, 0));
    }

    #[test]
    fn an_unreadable_record_becomes_a_failed_job_that_shows_it() {
        let job = unreadable(JobId::at(at(0)), &QueueName::default(), b"L1 \xff", at(9));
        assert_eq!(job.status, Status::Failed);
        assert_eq!(job.error.unwrap().code, UNREADABLE);
        assert_eq!(job.asked.input.as_str(), "\"L1 \u{fffd}\"");
    }

    #[test]
    fn history_is_bounded() {
        let mut job = running(1, 1_000);
        for attempt in 1..=30 {
            job.attempt = attempt;
            job.worker = Some(WorkerId::at(at(1)));
            job = apply(&job, &attempt_lost(&job), at(30));
        }
        assert_eq!(job.history.len(), limits::HISTORY_MAX);
        assert_eq!(job.history.last().unwrap().number, 30);
    }
}
