//! Lanes, and who is served next.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use lovage_core::broker::{Claim, Claimed, Claims};
use lovage_core::id::{JobId, QueueName, WorkerId};
use lovage_core::lease::{LeaseToken, claim_time};
use lovage_core::lifecycle;
use lovage_core::limits;

use super::state::{Lane, State};
use super::stored::Stored;

impl State {
    pub(super) fn claim(&mut self, ask: &Claim, like: &[JobId], now: Timestamp) -> Claims {
        self.new_front();
        self.promote(&ask.queue, now);
        let mut claimed = Vec::new();
        let want = ask.want.min(limits::BATCH_MAX);
        while claimed.len() < want && self.room(&ask.queue, now) > 0 {
            let Some(id) = self.next_in_line(&ask.queue, like) else {
                break;
            };
            let given = self.take(&id, ask.worker, now);
            match lifecycle::expire(&given.job, now) {
                Some(next) => self.end(&id, &next, now),
                None => claimed.push(given),
            }
        }
        Claims {
            claimed,
            next_due: self.next_due(&ask.queue, now),
        }
    }

    /// Time until a job of the queue is due, or the queue's rate lets go one that is queued.
    fn next_due(&self, queue: &QueueName, now: Timestamp) -> Option<Duration> {
        let jobs = self.jobs.values();
        let due = jobs
            .filter(|stored| stored.job.queue == *queue)
            .filter_map(Stored::due)
            .min();
        let due = due.map(|at| at.duration_since(now).try_into().unwrap_or_default());
        due.into_iter().chain(self.rate_wait(queue, now)).min()
    }

    /// Gives a job a place in its lane, if it is queued. A lane that was empty
    /// starts at its band's time: no credit for the time it had no jobs.
    pub(super) fn enter_lane(&mut self, id: &JobId, front: bool) {
        let place = if front {
            self.front
        } else {
            self.back += 1;
            self.back
        };
        let stored = &self.jobs[id];
        if !stored.is_queued() {
            return;
        }
        let lane = stored.lane();
        let others = |other: &Stored| other.job.id != *id && other.is_queued();
        if !self
            .jobs
            .values()
            .any(|other| others(other) && other.lane() == lane)
        {
            let band = self.band_time.get(&(lane.0.clone(), lane.1));
            let band = band.copied().unwrap_or(0);
            let served = self.served.entry(lane).or_default();
            *served = band.max(*served);
        }
        if let Some(stored) = self.jobs.get_mut(id) {
            stored.place = place;
        }
    }

    /// Makes every due job of a queue queued, in order of time, then of id.
    fn promote(&mut self, queue: &QueueName, now: Timestamp) {
        let mut due: Vec<(Timestamp, JobId)> = self
            .jobs
            .values()
            .filter(|stored| stored.job.queue == *queue)
            .filter_map(|stored| Some((stored.due()?, stored.job.id)))
            .filter(|(at, _)| *at <= now)
            .collect();
        due.sort();
        for (_, id) in due.into_iter().take(limits::PROMOTE_MAX) {
            if let Some(stored) = self.jobs.get_mut(&id) {
                stored.job = lifecycle::promote(&stored.job);
                self.enter_lane(&id, false);
            }
        }
    }

    /// The queued job to be claimed next, by lane and place; those of one place
    /// were put to the front together. The first of `like` that is at the head
    /// of one of the most urgent lanes goes before it.
    pub(super) fn next_in_line(&self, queue: &QueueName, like: &[JobId]) -> Option<JobId> {
        let mut lanes: BTreeMap<Lane, Vec<&Stored>> = BTreeMap::new();
        for stored in self.jobs.values() {
            if stored.is_queued() && stored.job.queue == *queue {
                lanes.entry(stored.lane()).or_default().push(stored);
            }
        }
        let urgent = lanes.keys().map(|(_, priority, _)| *priority).max()?;
        lanes.retain(|(_, priority, _), _| *priority == urgent);
        for jobs in lanes.values_mut() {
            let head = jobs.iter().map(|stored| stored.place).min();
            jobs.retain(|stored| Some(stored.place) == head);
        }
        let served = |lane: &Lane| self.served.get(lane).copied().unwrap_or(0);
        let turn = lanes.keys().min_by_key(|lane| (served(lane), *lane))?;
        let heads: Vec<JobId> = lanes.values().flatten().map(|head| head.job.id).collect();
        let wished = like.iter().find(|id| heads.contains(id)).copied();
        wished.or_else(|| lanes[turn].iter().map(|head| head.job.id).min())
    }

    /// `Queued` to `Running`; the lane pays with its time, the more the less it weighs.
    fn take(&mut self, id: &JobId, worker: WorkerId, now: Timestamp) -> Claimed {
        let stored = self.jobs.get_mut(id).expect("it was just found");
        let token = LeaseToken {
            worker,
            attempt: stored.job.attempt + 1,
            claimed_at: claim_time(now, stored.claimed_before),
        };
        stored.running = Some(token);
        stored.progress = None;
        let (lane, given) = (stored.lane(), stored.given());
        let step = self.weight(&lane).step();
        let served = self.served.entry(lane.clone()).or_default();
        self.band_time.insert((lane.0.clone(), lane.1), *served);
        *served += step;
        self.start(&lane.0, now);
        given.expect("it was just taken")
    }
}
