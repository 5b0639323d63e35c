//! Lanes: the queued jobs of one priority and tenant, and whose turn it is.
//!
//! Start-time fair queueing (Goyal, Vin, Cheng, 1996): a lane's virtual time
//! moves with every job it is given, the slower the more its tenant weighs;
//! the lane that is furthest behind is next, and a lane that was empty starts
//! level with the others.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use lovage_core::error::BrokerError;
use lovage_core::id::{Priority, QueueName, Tenant};
use lovage_core::job::Job;
use lovage_core::queue::Weight;
use rusqlite::{Connection, params};

use crate::row::{bounded, parsed};
use crate::statement::{all, execute, sql};
use crate::writer::Write;

/// A lane with jobs.
pub(crate) struct Lane {
    pub(crate) priority: Priority,
    pub(crate) tenant: Tenant,
    vtime: i64,
    /// How far one job moves its virtual time.
    step: i64,
    queued: usize,
}

impl Lane {
    /// How far so many jobs move its virtual time.
    fn moves(&self, jobs: usize) -> i64 {
        self.step
            .saturating_mul(i64::try_from(jobs).unwrap_or(i64::MAX))
    }
}

/// A job was queued.
pub(crate) fn enter(write: &Write<'_>, job: &Job) -> Result<(), BrokerError> {
    let lane = params![job.queue.as_str(), job.priority.get(), job.tenant.as_str()];
    if execute(write, sql!("lane_enter"), lane)? == 0 {
        execute(write, sql!("lane_open"), lane)?;
    }
    Ok(())
}

/// A queued job left its lane without being given to anyone.
pub(crate) fn leave(write: &Write<'_>, job: &Job) -> Result<(), BrokerError> {
    let (priority, tenant) = (job.priority.get(), job.tenant.as_str());
    execute(
        write,
        sql!("lane_leave"),
        params![job.queue.as_str(), priority, tenant, 1, 0],
    )?;
    Ok(())
}

/// How many of the turns each lane has.
pub(crate) fn shares(lanes: &[Lane], turns: &[Turn]) -> Vec<usize> {
    let mut shares = vec![0; lanes.len()];
    for turn in turns {
        shares[turn.lane] += 1;
    }
    shares
}

/// Jobs are given in these turns.
pub(crate) fn serve(
    write: &Write<'_>,
    queue: &QueueName,
    lanes: &[Lane],
    turns: &[Turn],
) -> Result<(), BrokerError> {
    for (index, turn) in turns.iter().enumerate() {
        let priority = lanes[turn.lane].priority;
        let later = turns.get(index + 1).map(|later| lanes[later.lane].priority);
        if later != Some(priority) {
            let band = params![queue.as_str(), priority.get(), turn.vtime];
            execute(write, sql!("band_move"), band)?;
        }
    }
    let shares = shares(lanes, turns);
    for (lane, share) in lanes.iter().zip(shares).filter(|(_, share)| *share > 0) {
        let (priority, tenant) = (lane.priority.get(), lane.tenant.as_str());
        execute(
            write,
            sql!("lane_leave"),
            params![queue.as_str(), priority, tenant, share, lane.moves(share)],
        )?;
    }
    Ok(())
}

/// The lanes that the next `want` jobs can come from, in their order.
pub(crate) fn ready(
    conn: &Connection,
    queue: &QueueName,
    want: usize,
) -> Result<Vec<Lane>, BrokerError> {
    all(
        conn,
        sql!("lanes_ready"),
        params![queue.as_str(), want],
        |row| {
            let weight: Option<u8> = row.get("weight")?;
            Ok(Lane {
                priority: bounded(row.get::<_, u8>("priority")?)?,
                tenant: parsed(row, "tenant")?,
                vtime: row.get("vtime")?,
                step: weight.map_or(Ok(Weight::default()), bounded)?.step(),
                queued: row.get("queued")?,
            })
        },
    )
}

/// One job's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Index of its lane.
    pub(crate) lane: usize,
    /// The lane's virtual time when its turn came.
    vtime: i64,
}

/// Whose turn it is, `want` times.
pub(crate) fn turns(lanes: &[Lane], want: usize) -> Vec<Turn> {
    let rank = |lane: usize, given: usize| {
        let vtime = lanes[lane].vtime.saturating_add(lanes[lane].moves(given));
        let Lane {
            priority, tenant, ..
        } = &lanes[lane];
        ((*priority, Reverse(vtime), Reverse(tenant)), lane, given)
    };
    let waiting = (0..lanes.len()).filter(|lane| lanes[*lane].queued > 0);
    let mut heap: BinaryHeap<_> = waiting.map(|lane| rank(lane, 0)).collect();
    let mut turns = Vec::with_capacity(want);
    while turns.len() < want {
        let Some(((_, Reverse(vtime), _), lane, given)) = heap.pop() else {
            break;
        };
        turns.push(Turn { lane, vtime });
        if given + 1 < lanes[lane].queued {
            heap.push(rank(lane, given + 1));
        }
    }
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(priority: u8, tenant: &str, vtime: i64, queued: usize) -> Lane {
        Lane {
            priority: priority.try_into().unwrap(),
            tenant: tenant.parse().unwrap(),
            vtime: vtime * Weight::UNIT,
            step: Weight::default().step(),
            queued,
        }
    }

    fn weighing(weight: u8, lane: Lane) -> Lane {
        Lane {
            step: Weight::try_from(weight).unwrap().step(),
            ..lane
        }
    }

    fn order(lanes: &[Lane], want: usize) -> Vec<usize> {
        turns(lanes, want).iter().map(|turn| turn.lane).collect()
    }

    #[test]
    fn lanes_of_one_priority_take_turns() {
        let lanes = [lane(5, "a", 0, 10), lane(5, "b", 0, 10), lane(5, "c", 0, 1)];
        assert_eq!(order(&lanes, 7), [0, 1, 2, 0, 1, 0, 1]);
    }

    #[test]
    fn a_higher_priority_goes_first_however_much_it_had() {
        let lanes = [lane(9, "a", 100, 2), lane(5, "b", 0, 10)];
        assert_eq!(order(&lanes, 4), [0, 0, 1, 1]);
    }

    #[test]
    fn a_lane_that_is_behind_catches_up() {
        let lanes = [lane(5, "a", 0, 10), lane(5, "b", 3, 10)];
        assert_eq!(order(&lanes, 5), [0, 0, 0, 0, 1]);
    }

    #[test]
    fn a_lane_of_twice_the_weight_has_twice_the_turns() {
        let lanes = [
            lane(5, "a", 0, 10),
            weighing(2, lane(5, "b", 0, 10)),
            lane(5, "c", 0, 10),
        ];
        assert_eq!(order(&lanes, 8), [0, 1, 2, 1, 0, 1, 2, 1]);
    }

    #[test]
    fn no_more_turns_than_jobs() {
        assert_eq!(order(&[lane(5, "a", 0, 2)], 9), [0, 0]);
        assert!(turns(&[], 9).is_empty());
    }
}
