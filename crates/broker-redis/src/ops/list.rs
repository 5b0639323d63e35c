//! Listing jobs by a cursor.
//!
//! A listing passes through stages, each one structure of one queue read in an
//! order that pops and pushes do not shift. The cursor names the stage and the
//! last place seen in it.

use std::collections::HashMap;
use std::str::FromStr;

use lovage_core::error::BrokerError;
use lovage_core::id::{JobId, QueueName};
use lovage_core::job::Job;
use lovage_core::limits;
use lovage_core::query::{Filter, JobPage, Page};
use lovage_core::status::Status;
use redis::streams::{StreamId, StreamRangeReply};

use crate::connect::Store;
use crate::error::corrupt;
use crate::keys;
use crate::ops::extend::job_id;
use crate::ops::settle::gone_millis;
use crate::script;

/// Jobs read per round trip.
const BITE: usize = 200;

/// Which structure is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    Queued,
    Due,
    Finished,
    Dead,
    /// Unfinished jobs of a session or tag.
    IndexedLive,
    /// Finished jobs of a session or tag.
    IndexedFinished,
}

impl Stage {
    const NAMES: [(Self, &'static str); 7] = [
        (Self::Running, "a"),
        (Self::Queued, "l"),
        (Self::Due, "d"),
        (Self::Finished, "fin"),
        (Self::Dead, "dead"),
        (Self::IndexedLive, "il"),
        (Self::IndexedFinished, "if"),
    ];

    /// The stages that hold jobs a filter may admit, in the order of a listing.
    fn of(filter: &Filter) -> Vec<Self> {
        let wants = |states: &[Status]| {
            filter.states.is_empty() || states.iter().any(|state| filter.states.contains(state))
        };
        let live = wants(&[
            Status::Running,
            Status::Queued,
            Status::Waiting,
            Status::Scheduled,
        ]);
        let finished = wants(&[Status::Succeeded, Status::Failed, Status::Cancelled]);
        let only_dead = !wants(&[Status::Succeeded, Status::Cancelled]);
        let mut stages = Vec::new();
        if index_of(filter).is_some() {
            stages.extend(live.then_some(Self::IndexedLive));
            stages.extend(finished.then_some(Self::IndexedFinished));
            return stages;
        }
        stages.extend(wants(&[Status::Running]).then_some(Self::Running));
        stages.extend(wants(&[Status::Queued]).then_some(Self::Queued));
        stages.extend(wants(&[Status::Waiting, Status::Scheduled]).then_some(Self::Due));
        let over = if only_dead {
            Self::Dead
        } else {
            Self::Finished
        };
        stages.extend(finished.then_some(over));
        stages
    }

    /// Whether a job found in this stage's structure is listed by it.
    fn shows(self, job: &Job, found: &Found) -> bool {
        match self {
            Self::Running => job.status == Status::Running,
            Self::Queued => job.status == Status::Queued,
            Self::Due => matches!(job.status, Status::Waiting | Status::Scheduled),
            // A redriven job finishes again, in another entry.
            Self::Finished => job.status.is_final() && Some(gone_millis(job)) == found.gone,
            Self::Dead => job.status == Status::Failed,
            Self::IndexedLive => !job.status.is_final(),
            Self::IndexedFinished => job.status.is_final(),
        }
    }
}

/// The index that a filter's session or tag has.
fn index_of(filter: &Filter) -> Option<String> {
    let session = filter.session.as_deref().map(keys::session);
    session.or_else(|| filter.tag.as_deref().map(keys::tag))
}

/// Where a listing stands: `stage~queue~place`, the place empty at its beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cursor {
    stage: Stage,
    queue: QueueName,
    place: String,
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = Stage::NAMES.iter().find(|(stage, _)| *stage == self.stage);
        let (_, name) = name.expect("every stage has a name");
        write!(f, "{name}~{}~{}", self.queue, self.place)
    }
}

impl FromStr for Cursor {
    type Err = BrokerError;

    fn from_str(text: &str) -> Result<Self, BrokerError> {
        let read = || {
            let mut parts = text.splitn(3, '~');
            let name = parts.next()?;
            let (stage, _) = Stage::NAMES.iter().find(|(_, known)| *known == name)?;
            Some(Self {
                stage: *stage,
                queue: parts.next()?.parse().ok()?,
                place: parts.next()?.to_owned(),
            })
        };
        read().ok_or(BrokerError::BadCursor)
    }
}

/// A job's place in a structure.
struct Found {
    id: JobId,
    /// The cursor place right after it.
    place: String,
    /// When its entry of finished jobs is forgotten, in ms.
    gone: Option<i64>,
}

/// Jobs that finished together.
pub(crate) struct Batch {
    pub(crate) gone: i64,
    pub(crate) ids: Vec<JobId>,
}

impl Store {
    pub(crate) async fn list(&self, filter: &Filter, page: &Page) -> Result<JobPage, BrokerError> {
        let queues = match &filter.queue {
            Some(queue) => vec![queue.clone()],
            None => self.refresh_queues().await?,
        };
        let stages: Vec<Cursor> = Stage::of(filter)
            .into_iter()
            .flat_map(|stage| queues.iter().map(move |queue| (stage, queue.clone())))
            .map(|(stage, queue)| Cursor {
                stage,
                queue,
                place: String::new(),
            })
            .collect();
        let mut from = 0;
        let mut place = String::new();
        if let Some(cursor) = &page.cursor {
            let cursor: Cursor = cursor.parse()?;
            let same = |at: &Cursor| at.stage == cursor.stage && at.queue == cursor.queue;
            from = stages.iter().position(same).ok_or(BrokerError::BadCursor)?;
            place = cursor.place;
        }
        let mut listing = Listing {
            filter,
            limit: page.limit.clamp(1, limits::LIST_PAGE_MAX),
            budget: limits::LIST_SCAN_MAX,
            jobs: Vec::new(),
        };
        for mut at in stages.into_iter().skip(from) {
            at.place = std::mem::take(&mut place);
            if self.list_stage(&mut listing, &mut at).await? {
                return Ok(JobPage {
                    jobs: listing.jobs,
                    next: Some(at.to_string()),
                });
            }
        }
        Ok(JobPage {
            jobs: listing.jobs,
            next: None,
        })
    }

    /// Goes on in one stage; `true` when the page is full before the stage's end.
    async fn list_stage(
        &self,
        listing: &mut Listing<'_>,
        at: &mut Cursor,
    ) -> Result<bool, BrokerError> {
        loop {
            if listing.is_full() {
                return Ok(true);
            }
            let found = self
                .bite(at, listing.filter, BITE.min(listing.budget))
                .await?;
            if found.is_empty() {
                return Ok(false);
            }
            let ids: Vec<JobId> = found.iter().map(|found| found.id).collect();
            let rows = self.read_rows(&at.queue, &ids, false).await?;
            for (found, row) in found.into_iter().zip(rows) {
                if listing.is_full() {
                    return Ok(true);
                }
                listing.budget -= 1;
                match row.view(found.id, &at.queue) {
                    Ok(Some(job)) if !job.is_gone(self.time.now()) => {
                        listing.consider(at.stage, job, &found);
                    }
                    Ok(_) => self.unlist(at, listing.filter, found.id).await?,
                    Err(error) => tracing::warn!(id = %found.id, %error, "left out of a listing"),
                }
                at.place = found.place;
            }
        }
    }

    /// The next jobs of a stage's structure, at most `count`.
    async fn bite(
        &self,
        at: &Cursor,
        filter: &Filter,
        count: usize,
    ) -> Result<Vec<Found>, BrokerError> {
        let queue = &at.queue;
        match at.stage {
            Stage::Running => self.bite_running(queue, &at.place, count).await,
            Stage::Queued => self.bite_lanes(queue, &at.place, count).await,
            Stage::Due => {
                self.bite_sorted(&self.keys.due(queue), &at.place, count)
                    .await
            }
            Stage::Finished => self.bite_finished(queue, &at.place, count).await,
            Stage::Dead => {
                self.bite_sorted(&self.keys.dead(queue), &at.place, count)
                    .await
            }
            Stage::IndexedLive | Stage::IndexedFinished => {
                let name = index_of(filter).ok_or(BrokerError::BadCursor)?;
                let key = self.keys.index(queue, &name);
                self.bite_sorted(&key, &at.place, count).await
            }
        }
    }

    /// Running jobs by id; the place is the last id.
    async fn bite_running(
        &self,
        queue: &QueueName,
        place: &str,
        count: usize,
    ) -> Result<Vec<Found>, BrokerError> {
        let mut ask = redis::pipe();
        ask.hkeys(self.keys.running(queue));
        let (mut ids,): (Vec<String>,) = self.send(&ask).await?;
        ids.retain(|id| id.as_str() > place);
        ids.sort_unstable();
        ids.truncate(count);
        ids.into_iter()
            .map(|id| Found::at(id.clone(), &id))
            .collect()
    }

    /// Queued jobs lane by lane; the place is `lane|absolute position`.
    async fn bite_lanes(
        &self,
        queue: &QueueName,
        place: &str,
        count: usize,
    ) -> Result<Vec<Found>, BrokerError> {
        let mut ask = redis::pipe();
        ask.zrange(self.keys.lanes(queue), 0, -1);
        let (mut lanes,): (Vec<String>,) = self.send(&ask).await?;
        lanes.sort_unstable_by(|a, b| lane_order(a).cmp(&lane_order(b)));
        let last = match place {
            "" => None,
            _ => Some(read_lane_place(place).ok_or(BrokerError::BadCursor)?),
        };
        for lane in lanes {
            let after = match last {
                Some((at, _)) if lane_order(&lane) < lane_order(at) => continue,
                Some((at, position)) if at == lane => Some(position),
                _ => None,
            };
            let found = self.bite_lane(queue, &lane, after, count).await?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }

    /// Jobs of one lane after an absolute position: one that counts from the
    /// first job the lane ever held, so that pops and pushes do not shift it.
    async fn bite_lane(
        &self,
        queue: &QueueName,
        lane: &str,
        after: Option<i64>,
        count: usize,
    ) -> Result<Vec<Found>, BrokerError> {
        let after = after.map_or_else(String::new, |after| after.to_string());
        let (first, ids): (i64, Vec<String>) = self
            .call(
                script::LANE
                    .on_all(&[self.keys.lane(queue, lane), self.keys.lane_offsets(queue)])
                    .arg(lane)
                    .arg(after)
                    .arg(count),
            )
            .await?;
        (first..)
            .zip(&ids)
            .map(|(position, id)| Found::at(format!("{lane}|{position}"), id))
            .collect()
    }

    /// Members of a sorted set; the place is `score|member`.
    async fn bite_sorted(
        &self,
        key: &str,
        place: &str,
        count: usize,
    ) -> Result<Vec<Found>, BrokerError> {
        let (score, member) = match place {
            "" => ("-inf", ""),
            _ => place.split_once('|').ok_or(BrokerError::BadCursor)?,
        };
        if !place.is_empty() && score.parse::<i64>().is_err() {
            return Err(BrokerError::BadCursor);
        }
        let members: Vec<(String, String)> = self
            .call(
                script::AFTER
                    .on(key.to_owned())
                    .arg(score)
                    .arg(member)
                    .arg(count),
            )
            .await?;
        let found = |(member, score): &(String, String)| {
            let id = member.split(':').next().unwrap_or_default();
            Found::at(format!("{score}|{member}"), id)
        };
        members.iter().map(found).collect()
    }

    /// Finished jobs, newest first; the place is `entry|index in it`.
    async fn bite_finished(
        &self,
        queue: &QueueName,
        place: &str,
        count: usize,
    ) -> Result<Vec<Found>, BrokerError> {
        let (newest, seen) = match place {
            "" => ("+", None),
            _ => {
                let (entry, index) = place.split_once('|').ok_or(BrokerError::BadCursor)?;
                let index = index.parse::<usize>().map_err(|_| BrokerError::BadCursor)?;
                if !is_entry(entry) {
                    return Err(BrokerError::BadCursor);
                }
                (entry, Some((entry, index)))
            }
        };
        let mut ask = redis::pipe();
        ask.xrevrange_count(self.keys.finished(queue), newest, "-", count + 1);
        let (entries,): (StreamRangeReply,) = self.send(&ask).await?;
        let mut found = Vec::new();
        for entry in &entries.ids {
            let skip = match seen {
                Some((id, index)) if id == entry.id => index + 1,
                _ => 0,
            };
            let batch = read_batch(entry)?;
            for (index, id) in batch.ids.into_iter().enumerate().skip(skip) {
                if found.len() == count {
                    return Ok(found);
                }
                found.push(Found {
                    id,
                    place: format!("{}|{index}", entry.id),
                    gone: Some(batch.gone),
                });
            }
        }
        Ok(found)
    }

    /// One batch of finished jobs by its entry.
    pub(crate) async fn finished_batch(
        &self,
        queue: &QueueName,
        entry: &str,
    ) -> Result<Option<Batch>, BrokerError> {
        let mut ask = redis::pipe();
        ask.xrange(self.keys.finished(queue), entry, entry);
        let (entries,): (StreamRangeReply,) = self.send(&ask).await?;
        entries.ids.first().map(read_batch).transpose()
    }

    /// Takes a job that is gone out of the index where it was met.
    async fn unlist(&self, at: &Cursor, filter: &Filter, id: JobId) -> Result<(), BrokerError> {
        let indexed = matches!(at.stage, Stage::IndexedLive | Stage::IndexedFinished);
        let Some(name) = index_of(filter).filter(|_| indexed) else {
            return Ok(());
        };
        let mut remove = redis::pipe();
        remove
            .zrem(self.keys.index(&at.queue, &name), id.to_string())
            .ignore();
        self.send(&remove).await
    }
}

/// What one call has listed.
struct Listing<'a> {
    filter: &'a Filter,
    limit: usize,
    budget: usize,
    jobs: Vec<Job>,
}

impl Listing<'_> {
    fn is_full(&self) -> bool {
        self.jobs.len() >= self.limit || self.budget == 0
    }

    fn consider(&mut self, stage: Stage, job: Job, found: &Found) {
        if stage.shows(&job, found) && self.filter.admits(&job) {
            self.jobs.push(job);
        }
    }
}

impl Found {
    fn at(place: String, id: &str) -> Result<Self, BrokerError> {
        Ok(Self {
            id: job_id(id)?,
            place,
            gone: None,
        })
    }
}

/// Lanes by priority, highest first, then by tenant.
fn lane_order(lane: &str) -> (std::cmp::Reverse<&str>, &str) {
    let (priority, tenant) = lane.split_once(':').unwrap_or((lane, ""));
    (std::cmp::Reverse(priority), tenant)
}

fn read_lane_place(place: &str) -> Option<(&str, i64)> {
    let (lane, position) = place.rsplit_once('|')?;
    Some((lane, position.parse().ok()?))
}

fn is_entry(text: &str) -> bool {
    let parts = text.split_once('-');
    parts.is_some_and(|(ms, n)| ms.parse::<u64>().is_ok() && n.parse::<u64>().is_ok())
}

fn read_batch(entry: &StreamId) -> Result<Batch, BrokerError> {
    let fields: HashMap<&str, String> = ["g", "i"]
        .into_iter()
        .filter_map(|name| Some((name, entry.get(name)?)))
        .collect();
    let gone = fields.get("g").and_then(|gone| gone.parse().ok());
    let (Some(gone), Some(ids)) = (gone, fields.get("i")) else {
        return Err(corrupt(format!("entry {} of finished jobs", entry.id)));
    };
    let ids = ids.split(' ').map(job_id).collect::<Result<_, _>>()?;
    Ok(Batch { gone, ids })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_anything_else_is_refused() {
        let cursor = Cursor {
            stage: Stage::Queued,
            queue: QueueName::default(),
            place: "5:default|12".into(),
        };
        assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        for bad in ["", "x", "q~default~", "l~Default~", "l~default"] {
            assert!(
                matches!(bad.parse::<Cursor>(), Err(BrokerError::BadCursor)),
                "{bad}"
            );
        }
    }

    #[test]
    fn lanes_are_listed_as_they_are_served() {
        let mut lanes = ["5:b", "0:a", "9:z", "5:a"];
        lanes.sort_unstable_by(|a, b| lane_order(a).cmp(&lane_order(b)));
        assert_eq!(lanes, ["9:z", "5:a", "5:b", "0:a"]);
    }
}
