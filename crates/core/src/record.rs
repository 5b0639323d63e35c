//! The stored form of a job, versioned. Both brokers write it.
//!
//! ```text
//! L1 q 5 00001 00003 <tenant> <body bytes> <input bytes> <unique key>\n<body><input><result>
//! ```
//!
//! One header line that scripts can read without JSON, then three JSON
//! documents laid end to end; the result reaches to the end of the record.
//! State, priority, attempts used and attempts allowed stand at fixed places
//! (bytes 3, 5, 7–11 and 13–17, from 0), so a script can change the state in place.
//!
//! Programs of several versions share a store while they are rolled out.
//! Inside version 1 a document may gain fields: an older program passes over
//! them, so nothing it must not lose is kept there alone. What an older
//! program must not rewrite gets a new version; it leaves such a record as it
//! is ([`is_newer`]), and moves the job by the fixed places only.
//!
//! `Running` is not a stored state: a running job keeps the record it was
//! claimed with, and its token says the rest. The job's id and queue are the
//! record's key.

use std::io::Write;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::attempt::{Attempt, JobError};
use crate::clock;
use crate::error::BrokerError;
use crate::id::{JobId, Priority, QueueName, Tenant, WorkerId};
use crate::job::{Job, NewJob, Unique, Waiting};
use crate::limits;
use crate::payload::Payload;
use crate::retry::Backoff;
use crate::status::{Status, WaitReason};

/// First bytes of every record: the format and its version.
pub const MAGIC: &str = "L1";
/// The version this program writes, and the newest it reads.
const VERSION: u32 = 1;
/// A header's size without its unique key, at most.
const HEADER_BYTES: usize = 48 + limits::NAME_BYTES_MAX;
/// Offset of the state letter in a record.
pub const STATE_OFFSET: usize = 3;

/// The letter of a stored state.
///
/// # Panics
/// For `Running`, which is not stored.
pub fn state_letter(status: Status) -> char {
    match status {
        Status::Scheduled => 's',
        Status::Queued => 'q',
        Status::Waiting => 'w',
        Status::Succeeded => 'S',
        Status::Failed => 'F',
        Status::Cancelled => 'C',
        Status::Running => unreachable!("a running job keeps the record it was claimed with"),
    }
}

fn status_of(letter: &str) -> Option<Status> {
    Some(match letter {
        "s" => Status::Scheduled,
        "q" => Status::Queued,
        "w" => Status::Waiting,
        "S" => Status::Succeeded,
        "F" => Status::Failed,
        "C" => Status::Cancelled,
        _ => return None,
    })
}

/// Writes a job as a record.
///
/// # Panics
/// When the job is `Running`.
pub fn encode(job: &Job) -> Vec<u8> {
    let body = serde_json::to_vec(&Body::from(job)).expect("a job body has a JSON form");
    let unique = job.unique.as_ref().map_or("", |unique| unique.key.as_str());
    let input = if is_dropped(job) {
        ""
    } else {
        job.input.as_str()
    };
    let result = job.result.as_ref();
    let result = result.map_or("", Payload::as_str);
    let bytes = HEADER_BYTES + unique.len() + body.len() + input.len() + result.len();
    let mut record = Vec::with_capacity(bytes);
    writeln!(
        record,
        "{MAGIC} {} {} {:05} {:05} {} {} {} {unique}",
        state_letter(job.status),
        job.priority.get(),
        job.attempt,
        job.attempts_max,
        job.tenant,
        body.len(),
        input.len(),
    )
    .expect("a vector takes every write");
    record.extend_from_slice(&body);
    record.extend_from_slice(input.as_bytes());
    record.extend_from_slice(result.as_bytes());
    record
}

/// Whether the job gave up its input when it succeeded: then it has none, not even `null`.
fn is_dropped(job: &Job) -> bool {
    job.status == Status::Succeeded && !job.keep_input
}

/// When a job that was over at `finished` is no longer served, unless its record says so.
fn usual_keep_until(
    asked: &NewJob,
    status: Status,
    finished: Option<Timestamp>,
) -> Option<Timestamp> {
    finished.map(|at| clock::after(at, asked.keep_as(status)))
}

/// Whether a newer program wrote the record: this one leaves it to those that can read it.
pub fn is_newer(record: &[u8]) -> bool {
    let version = record.strip_prefix(b"L").and_then(|rest| {
        let digits = rest.split(|byte| *byte == b' ').next()?;
        std::str::from_utf8(digits).ok()?.parse::<u32>().ok()
    });
    version.is_some_and(|version| version > VERSION)
}

/// Reads a record; the state is the stored one, never `Running`.
///
/// # Errors
/// [`BrokerError::Corrupt`] when the bytes are no record of this version.
pub fn decode(id: JobId, queue: &QueueName, record: &[u8]) -> Result<Job, BrokerError> {
    parse(id, queue, record)
        .ok_or_else(|| BrokerError::Corrupt(format!("job {id} in queue {queue}")))
}

fn parse(id: JobId, queue: &QueueName, record: &[u8]) -> Option<Job> {
    let text = std::str::from_utf8(record).ok()?;
    let (header, rest) = text.split_once('\n')?;
    let header = Header::read(header)?;
    let status = header.status;
    let (body, rest) = rest.split_at_checked(header.body_bytes)?;
    let (input, result) = rest.split_at_checked(header.input_bytes)?;
    let body: Body = serde_json::from_str(body).ok()?;
    let asked = NewJob {
        id,
        queue: queue.clone(),
        priority: header.priority,
        attempts_max: header.attempts_max,
        tenant: header.tenant,
        kind: body.kind.parse().ok()?,
        input: match input {
            "" if status == Status::Succeeded => Payload::null(),
            text => Payload::parse(text).ok()?,
        },
        run_at: optional_time(body.run_at)?,
        expires_at: optional_time(body.expires)?,
        timeout: body.timeout.map(Duration::from_millis),
        backoff: body.backoff.unwrap_or_default(),
        unique: header.unique_key.map(|key| Unique {
            key: key.to_owned(),
            window: body.unique_window.map(Duration::from_millis),
        }),
        idempotency: None,
        session: body.session,
        tags: body.tags,
        traceparent: body.traceparent,
        parent: body.parent,
        keep_input: !body.drop_input && !input.is_empty(),
        keep: body.keep.map_or(limits::KEEP, Duration::from_millis),
        keep_dead: body
            .keep_dead
            .map_or(limits::KEEP_DEAD, Duration::from_millis),
    };
    let finished_at = optional_time(body.finished)?;
    let keep_until = match optional_time(body.keep_until)? {
        None => usual_keep_until(&asked, status, finished_at),
        told => told,
    };
    Some(Job {
        asked,
        created_at: time(body.created)?,
        status,
        attempt: header.attempt,
        waiting: match body.waiting {
            Some((plain, until)) => Some(Waiting {
                reason: match (body.waits_for, body.limit) {
                    (Some(reason), _) => reason,
                    (None, Some(limit)) => WaitReason::LimitOf(limit),
                    (None, None) => plain.into(),
                },
                until: time(until)?,
            }),
            None => None,
        },
        worker: None,
        started_at: optional_time(body.started)?,
        finished_at,
        keep_until,
        error: body.error,
        history: body
            .history
            .into_iter()
            .map(Try::read)
            .collect::<Option<_>>()?,
        cancel_requested: body.cancel,
        progress: None,
        result: if result.is_empty() {
            None
        } else {
            Some(Payload::parse(result).ok()?)
        },
    })
}

/// The first line of a record.
struct Header<'a> {
    status: Status,
    priority: Priority,
    attempt: u32,
    attempts_max: u32,
    tenant: Tenant,
    body_bytes: usize,
    input_bytes: usize,
    unique_key: Option<&'a str>,
}

impl<'a> Header<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let mut fields = line.splitn(9, ' ');
        if fields.next()? != MAGIC {
            return None;
        }
        Some(Self {
            status: status_of(fields.next()?)?,
            priority: fields.next()?.parse::<u8>().ok()?.try_into().ok()?,
            attempt: fields.next()?.parse().ok()?,
            attempts_max: fields.next()?.parse().ok()?,
            tenant: fields.next()?.parse().ok()?,
            body_bytes: fields.next()?.parse().ok()?,
            input_bytes: fields.next()?.parse().ok()?,
            unique_key: fields.next().filter(|key| !key.is_empty()),
        })
    }
}

/// Everything of a job that neither its key nor its header holds. Names are
/// short and defaults absent because every byte is kept a million times.
#[derive(Serialize, Deserialize)]
struct Body {
    #[serde(rename = "k")]
    kind: String,
    #[serde(rename = "c")]
    created: i64,
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    run_at: Option<i64>,
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    expires: Option<i64>,
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    timeout: Option<u64>,
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    backoff: Option<Backoff>,
    #[serde(rename = "uw", default, skip_serializing_if = "Option::is_none")]
    unique_window: Option<u64>,
    #[serde(rename = "se", default, skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(rename = "tg", default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(rename = "tp", default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    #[serde(rename = "pa", default, skip_serializing_if = "Option::is_none")]
    parent: Option<JobId>,
    #[serde(rename = "di", default, skip_serializing_if = "std::ops::Not::not")]
    drop_input: bool,
    #[serde(rename = "ke", default, skip_serializing_if = "Option::is_none")]
    keep: Option<u64>,
    #[serde(rename = "kd", default, skip_serializing_if = "Option::is_none")]
    keep_dead: Option<u64>,
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    waiting: Option<(PlainReason, i64)>,
    #[serde(rename = "wf", default, skip_serializing_if = "Option::is_none")]
    waits_for: Option<WaitReason>,
    // Beside `wf`, whose values older programs have to know.
    #[serde(rename = "wl", default, skip_serializing_if = "Option::is_none")]
    limit: Option<String>,
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    started: Option<i64>,
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    finished: Option<i64>,
    #[serde(rename = "ku", default, skip_serializing_if = "Option::is_none")]
    keep_until: Option<i64>,
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    error: Option<JobError>,
    #[serde(rename = "h", default, skip_serializing_if = "Vec::is_empty")]
    history: Vec<Try>,
    #[serde(rename = "cq", default, skip_serializing_if = "std::ops::Not::not")]
    cancel: bool,
}

/// The reasons that the first programs know; others look like a limit to them.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum PlainReason {
    Backoff,
    Limit,
}

impl PlainReason {
    fn of(reason: &WaitReason) -> Self {
        match reason {
            WaitReason::Backoff => Self::Backoff,
            WaitReason::Limit
            | WaitReason::LimitOf(_)
            | WaitReason::Signal(_)
            | WaitReason::Children(_) => Self::Limit,
        }
    }
}

impl From<PlainReason> for WaitReason {
    fn from(plain: PlainReason) -> Self {
        match plain {
            PlainReason::Backoff => Self::Backoff,
            PlainReason::Limit => Self::Limit,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Try(u32, WorkerId, i64, i64, JobError);

impl Try {
    fn of(attempt: &Attempt) -> Self {
        Self(
            attempt.number,
            attempt.worker,
            attempt.started_at.as_millisecond(),
            attempt.ended_at.as_millisecond(),
            attempt.error.clone(),
        )
    }

    fn read(self) -> Option<Attempt> {
        Some(Attempt {
            number: self.0,
            worker: self.1,
            started_at: time(self.2)?,
            ended_at: time(self.3)?,
            error: self.4,
        })
    }
}

impl From<&Job> for Body {
    fn from(job: &Job) -> Self {
        let millis = |at: Option<Timestamp>| at.map(Timestamp::as_millisecond);
        let unusual = |keep: Duration, usual: Duration| (keep != usual).then(|| length(keep));
        Self {
            kind: job.kind.to_string(),
            created: job.created_at.as_millisecond(),
            run_at: millis(job.run_at),
            expires: millis(job.expires_at),
            timeout: job.timeout.map(length),
            backoff: (job.backoff != Backoff::default()).then_some(job.backoff),
            unique_window: job
                .unique
                .as_ref()
                .and_then(|unique| unique.window)
                .map(length),
            session: job.session.clone(),
            tags: job.tags.clone(),
            traceparent: job.traceparent.clone(),
            parent: job.parent,
            drop_input: !job.keep_input && !is_dropped(job),
            keep: unusual(job.keep, limits::KEEP),
            keep_dead: unusual(job.keep_dead, limits::KEEP_DEAD),
            waiting: job.waiting.as_ref().map(|waiting| {
                (
                    PlainReason::of(&waiting.reason),
                    waiting.until.as_millisecond(),
                )
            }),
            waits_for: job
                .waiting
                .as_ref()
                .filter(|waiting| {
                    WaitReason::from(PlainReason::of(&waiting.reason)) != waiting.reason
                        && waiting.reason.limit().is_none()
                })
                .map(|waiting| waiting.reason.clone()),
            limit: job
                .waiting
                .as_ref()
                .and_then(|waiting| waiting.reason.limit())
                .map(str::to_owned),
            started: millis(job.started_at),
            finished: millis(job.finished_at),
            // Older programs list a job by it; those know no job that gave up its input.
            keep_until: millis(job.keep_until.filter(|until| {
                let usual = usual_keep_until(job, job.status, job.finished_at);
                !is_dropped(job) || usual != Some(*until)
            })),
            error: job.error.clone(),
            history: job.history.iter().map(Try::of).collect(),
            cancel: job.cancel_requested,
        }
    }
}

fn length(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn time(millis: i64) -> Option<Timestamp> {
    Timestamp::from_millisecond(millis).ok()
}

/// `None` when a time is there and out of range; `Some(None)` when there is none.
fn optional_time(millis: Option<i64>) -> Option<Option<Timestamp>> {
    millis.map(time).map_or(Some(None), |read| read.map(Some))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::NewJob;
    use crate::lifecycle;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    fn full() -> Job {
        let input = Payload::parse("{\n  \"topic\": \"한빛시\"\n}").unwrap();
        let mut new = NewJob::new(JobId::at(at(0)), "script.generate".parse().unwrap(), input);
        new.run_at = Some(at(99));
        new.expires_at = Some(at(9_999));
        new.timeout = Some(Duration::from_secs(3));
        new.unique = Some(Unique {
            key: "a key with spaces".into(),
            window: Some(Duration::from_secs(1)),
        });
        new.session = Some("thread-1".into());
        new.tags = vec!["a".into(), "b".into()];
        new.keep = Duration::from_secs(60);
        let mut job = lifecycle::enqueue(&new, at(5));
        job.status = Status::Waiting;
        job.waiting = Some(Waiting {
            reason: WaitReason::Limit,
            until: at(77),
        });
        job.error = Some(JobError::transient("x", "y\nz"));
        job.history = vec![Attempt {
            number: 1,
            worker: WorkerId::at(at(1)),
            started_at: at(2),
            ended_at: at(3),
            error: JobError::permanent("x", "y"),
        }];
        job.result = Some(Payload::parse("[1, 2]").unwrap());
        job
    }

    #[test]
    fn a_record_reads_back_as_written() {
        let job = full();
        assert_eq!(decode(job.id, &job.queue, &encode(&job)).unwrap(), job);
        let plain = lifecycle::enqueue(
            &NewJob::new(
                JobId::at(at(0)),
                "test.noop".parse().unwrap(),
                Payload::null(),
            ),
            at(5),
        );
        assert_eq!(
            decode(plain.id, &plain.queue, &encode(&plain)).unwrap(),
            plain
        );
    }

    #[test]
    fn what_a_job_waits_for_reads_back_and_older_programs_read_past_it() {
        let mut job = full();
        job.asked.parent = Some(JobId::at(at(3)));
        for reason in [
            WaitReason::Backoff,
            WaitReason::Limit,
            WaitReason::LimitOf("openai/gpt#a1 tpm".into()),
            WaitReason::Signal("approval".into()),
            WaitReason::Children(crate::status::Join::FirstFailure),
        ] {
            job.waiting.as_mut().unwrap().reason = reason;
            let record = encode(&job);
            assert_eq!(decode(job.id, &job.queue, &record).unwrap(), job);
            let text = String::from_utf8(record).unwrap();
            assert!(text.contains(r#""w":["limit",77]"#) || text.contains(r#""w":["backoff",77]"#));
            // A value of `wf` that older programs do not know would be unreadable to them.
            assert!(!text.contains("limitof"), "{text}");
        }
    }

    #[test]
    fn a_finished_record_is_small_and_says_when_it_is_forgotten() {
        let mut new = NewJob::new(
            JobId::at(at(0)),
            "test.noop".parse().unwrap(),
            Payload::parse("[1]").unwrap(),
        );
        new.keep_input = false;
        let job = lifecycle::enqueue(&new, at(1_763_700_000_000));
        let done = lifecycle::settle(
            &job,
            &crate::outcome::Outcome::Done(Payload::parse("true").unwrap()),
            at(1_763_700_000_009),
            0.0,
        );
        let mut done = lifecycle::apply(&job, &done, at(1_763_700_000_009));
        let record = encode(&done);
        assert!(record.len() < 124, "{}", String::from_utf8_lossy(&record));
        assert_eq!(decode(done.id, &done.queue, &record).unwrap(), done);
        done.keep_until = Some(at(1_763_700_000_010));
        assert_eq!(decode(done.id, &done.queue, &encode(&done)).unwrap(), done);
    }

    #[test]
    fn a_record_of_a_newer_program_is_known_as_one() {
        assert!(is_newer(b"L2 q 5 00000 00003 whatever follows"));
        assert!(is_newer(b"L17 q 5 00000 00003"));
        for ours in [&b"L1 q 5 00000 00003 x"[..], b"", b"L", b"Lx q", b"\xff"] {
            assert!(!is_newer(ours));
        }
    }

    #[test]
    fn the_header_keeps_its_places() {
        let mut job = full();
        job.attempt = 2;
        let record = encode(&job);
        assert_eq!(record[STATE_OFFSET], b'w');
        assert_eq!(&record[..18], b"L1 w 5 00002 00003");
    }

    #[test]
    fn any_damaged_record_is_an_error_and_never_a_panic() {
        let job = full();
        let record = encode(&job);
        for cut in 0..record.len() - job.result.as_ref().unwrap().as_str().len() {
            assert!(
                decode(job.id, &job.queue, &record[..cut]).is_err(),
                "cut at {cut}"
            );
        }
        assert!(decode(job.id, &job.queue, b"L2 q 5 1 1 t 0 0 \n").is_err());
        assert!(decode(job.id, &job.queue, &[0xff, 0xfe]).is_err());
    }
}
