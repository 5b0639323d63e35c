//! Listing, counting, and what there is to wake for.

use std::cmp::Reverse;

use jiff::Timestamp;
use lovage_core::broker::Wake;
use lovage_core::error::BrokerError;
use lovage_core::id::{JobId, QueueName, WorkerId};
use lovage_core::job::Job;
use lovage_core::limits;
use lovage_core::query::{Filter, JobPage, Page, QueueStats};
use lovage_core::status::Status;

use super::state::State;

impl State {
    pub(super) fn list(
        &self,
        filter: &Filter,
        page: &Page,
        now: Timestamp,
    ) -> Result<JobPage, BrokerError> {
        let after = page.cursor.as_deref().map(read_cursor).transpose()?;
        let mut jobs: Vec<(Place, Job)> = self
            .jobs
            .values()
            .map(|stored| Job {
                result: None,
                ..stored.shown()
            })
            .filter(|job| filter.admits(job) && !job.is_gone(now))
            .map(|job| (place(&job), job))
            .filter(|(place, _)| after.is_none_or(|after| *place > after))
            .collect();
        jobs.sort_by_key(|(place, _)| *place);
        let limit = page.limit.min(limits::LIST_PAGE_MAX);
        let more = jobs.len() > limit;
        jobs.truncate(limit);
        let next = jobs.last().filter(|_| more).map(|(place, _)| cursor(place));
        Ok(JobPage {
            next,
            jobs: jobs.into_iter().map(|(_, job)| job).collect(),
        })
    }

    pub(super) fn stats(&self) -> Vec<QueueStats> {
        let mut rows = self.queues.clone();
        for stored in self.jobs.values() {
            let shown = stored.shown();
            if let Some(row) = rows.get_mut(&shown.queue) {
                match shown.status {
                    Status::Scheduled => row.scheduled += 1,
                    Status::Queued => row.queued += 1,
                    Status::Running => row.running += 1,
                    Status::Waiting => row.waiting += 1,
                    Status::Succeeded | Status::Failed | Status::Cancelled => {}
                }
            }
        }
        rows.into_values().collect()
    }

    /// What a waiting worker is to be woken for now.
    pub(super) fn wake(
        &mut self,
        queue: &QueueName,
        worker: &WorkerId,
        work: bool,
        now: Timestamp,
    ) -> Option<Wake> {
        let cancelled: Vec<JobId> = self
            .jobs
            .values_mut()
            .filter(|stored| stored.job.queue == *queue && !stored.cancel_told)
            .filter(|stored| stored.cancel_asked.is_some())
            .filter(|stored| stored.running.is_some_and(|token| token.worker == *worker))
            .map(|stored| {
                stored.cancel_told = true;
                stored.job.id
            })
            .collect();
        if !cancelled.is_empty() {
            return Some(Wake::Cancel(cancelled));
        }
        let any = self.next_in_line(queue, &[]).is_some();
        (work && any && self.room(queue, now) > 0).then_some(Wake::Work)
    }
}

/// Where a job stands in a listing; fixed while it stays in its state.
type Place = (u8, Reverse<i64>, JobId);

fn place(job: &Job) -> Place {
    let group = match job.status {
        Status::Running => 0,
        Status::Queued => 1,
        Status::Waiting => 2,
        Status::Scheduled => 3,
        Status::Succeeded | Status::Failed | Status::Cancelled => 4,
    };
    let finished = job.finished_at.map_or(0, Timestamp::as_millisecond);
    (group, Reverse(finished), job.id)
}

fn cursor((group, Reverse(finished), id): &Place) -> String {
    format!("{group}:{finished}:{id}")
}

fn read_cursor(text: &str) -> Result<Place, BrokerError> {
    let parse = || {
        let mut parts = text.splitn(3, ':');
        let group = parts.next()?.parse().ok()?;
        let finished = parts.next()?.parse().ok()?;
        Some((group, Reverse(finished), parts.next()?.parse().ok()?))
    };
    parse().ok_or(BrokerError::BadCursor)
}
