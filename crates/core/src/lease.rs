//! The right to write about a job, until a time its worker keeps moving.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock;
use crate::id::{InvalidId, JobId, QueueName, WorkerId};

/// The fencing token `worker:attempt:claimed_ms`.
///
/// A store accepts a write about a running job only under the token it holds
/// for it, so whoever lost the job cannot write (L3).
///
/// No two claims of a job have the same one. A claim has another number than
/// those before it, unless the job was given back uncharged or redriven: then it
/// has a later time ([`claim_time`]), also where all of it happens within one
/// millisecond and to one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseToken {
    /// Who claimed.
    pub worker: WorkerId,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// When it was claimed, by the store's clock; see [`claim_time`].
    pub claimed_at: Timestamp,
}

/// The time in the token of a claim at `now`: a millisecond more than `before`
/// where that is later. `before` is the time in the token of the settle that
/// ended the job's last attempt, and of a redriven job no earlier than the redrive;
/// `None` where the store ended the attempt, which was charged, or nobody had one.
pub fn claim_time(now: Timestamp, before: Option<Timestamp>) -> Timestamp {
    let later = before.map(|before| clock::after(before, Duration::from_millis(1)));
    later.map_or(now, |later| later.max(now))
}

impl fmt::Display for LeaseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}",
            self.worker,
            self.attempt,
            self.claimed_at.as_millisecond()
        )
    }
}

impl FromStr for LeaseToken {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        parse(text).ok_or_else(|| InvalidId {
            what: "lease token",
            expected: "worker:attempt:claimed_ms",
            got: text.chars().take(80).collect(),
        })
    }
}

fn parse(text: &str) -> Option<LeaseToken> {
    let mut parts = text.split(':');
    let token = LeaseToken {
        worker: parts.next()?.parse().ok()?,
        attempt: parts.next()?.parse().ok()?,
        claimed_at: Timestamp::from_millisecond(parts.next()?.parse().ok()?).ok()?,
    };
    parts.next().is_none().then_some(token)
}

/// A worker's hold on one job.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The job held.
    pub job: JobId,
    /// Its queue.
    pub queue: QueueName,
    /// The proof.
    pub token: LeaseToken,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_as_written() {
        let now = Timestamp::from_millisecond(1_763_700_000_123).unwrap();
        let token = LeaseToken {
            worker: WorkerId::at(now),
            attempt: 3,
            claimed_at: now,
        };
        assert_eq!(token.to_string().parse::<LeaseToken>().unwrap(), token);
        assert!("x:1:2".parse::<LeaseToken>().is_err());
        assert!(format!("{token}:9").parse::<LeaseToken>().is_err());
    }

    #[test]
    fn a_claim_is_later_than_the_one_before_it() {
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        assert_eq!(claim_time(at(10), None), at(10));
        assert_eq!(claim_time(at(10), Some(at(9))), at(10));
        assert_eq!(claim_time(at(10), Some(at(10))), at(11));
        assert_eq!(claim_time(at(10), Some(at(15))), at(16));
    }
}
