//! The right to write about a job, until a time its worker keeps moving.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use crate::id::{InvalidId, JobId, QueueName, WorkerId};

/// The fencing token `worker:attempt:claimed_ms`.
///
/// A store accepts a write about a running job only under the token it holds
/// for it, so whoever lost the job cannot write (L3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseToken {
    /// Who claimed.
    pub worker: WorkerId,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// When it was claimed, by the store's clock.
    pub claimed_at: Timestamp,
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
}
