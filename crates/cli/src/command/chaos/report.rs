//! The figures of a run.

use std::collections::BTreeMap;

use comfy_table::Table;
use serde::Serialize;

use super::disturbance::Disturbance;
use super::order::Resent;
use crate::view::table::table;

/// The whole run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// What `--seed` plays again.
    pub(super) seed: u64,
    /// Minutes of disturbances.
    pub(super) minutes: f64,
    /// Worker processes at a time.
    pub(super) workers: usize,
    /// Replicas that had each write before it was acknowledged.
    pub(super) wait_replicas: u32,
    /// Lease in seconds.
    pub(super) lease_s: f64,
    /// Whether every promise was kept.
    pub(super) kept: bool,
    /// One per way to write to disk.
    pub(super) phases: Vec<Phase>,
}

/// One way to write to disk.
#[derive(Debug, Default, Serialize)]
pub(super) struct Phase {
    /// `appendfsync`.
    pub(super) fsync: &'static str,
    /// Seconds of disturbances.
    pub(super) disturbed_s: f64,
    /// Seconds from the last disturbance until all jobs were over.
    pub(super) settled_s: f64,
    /// Jobs handed in.
    pub(super) enqueued: usize,
    /// Jobs whose enqueue was answered.
    pub(super) acknowledged: usize,
    /// Jobs that are over, with a result.
    pub(super) succeeded: usize,
    /// Calls of producers that were sent again.
    pub(super) resent: Resent,
    /// What must not happen.
    pub(super) broken: Broken,
    /// What the store may lose by its own promise.
    pub(super) last_second: LastSecond,
    /// Calls of the model.
    pub(super) calls: Calls,
    /// Attempts that were taken from workers that lived, and were stopped or cut
    /// off for longer than their lease: nothing they wrote later counted.
    pub(super) fenced: usize,
    /// From the kill of a worker to the next attempt of each job it held.
    pub(super) recovery: Recovery,
    /// How often each thing was done.
    pub(super) disturbances: BTreeMap<Disturbance, usize>,
}

/// What must not happen; all of it is zero or the run fails.
#[derive(Debug, Default, Serialize)]
pub(super) struct Broken {
    /// Acknowledged jobs that are gone, not over, or failed.
    pub(super) lost: usize,
    /// Orders that became two jobs.
    pub(super) enqueued_twice: usize,
    /// Jobs that ended with two results, or count as two ends.
    pub(super) finished_twice: usize,
    /// Jobs ended by a worker that had lost them.
    pub(super) not_fenced: usize,
    /// Results that are not what the job's steps stored.
    pub(super) torn: usize,
    /// Steps run again though their checkpoint was acknowledged and not lost.
    pub(super) steps_run_again: usize,
    /// Answers of the store that no caller can mend, and workers that ended by themselves.
    pub(super) refusals: usize,
}

/// What was acknowledged within two seconds before a kill of the store, and forgotten by it.
#[derive(Debug, Default, Serialize)]
pub(super) struct LastSecond {
    /// Jobs that are gone.
    pub(super) jobs: usize,
    /// Ends of jobs, which then ended again.
    pub(super) ends: usize,
    /// Checkpoints: their steps ran again, or their attempt ended without noticing.
    pub(super) checkpoints: usize,
}

/// Calls of the model.
#[derive(Debug, Default, Serialize)]
pub(super) struct Calls {
    /// All.
    pub(super) made: usize,
    /// Those for a step that was called before.
    pub(super) paid_twice: usize,
    /// Of these: the call before was not acknowledged as a checkpoint when its attempt was lost.
    pub(super) unacknowledged: usize,
    /// Of these: made by a worker that was stopped or cut off, before it could hear that it lost the job.
    pub(super) by_the_late: usize,
    /// Of these: the checkpoint was lost with the last second.
    pub(super) lost_checkpoint: usize,
}

/// Times in milliseconds.
#[derive(Debug, Default, Serialize)]
pub(super) struct Recovery {
    /// Jobs that were held by a worker when it was killed.
    pub(super) jobs: usize,
    /// Median.
    pub(super) p50_ms: i64,
    /// Of a hundred, the last but one.
    pub(super) p99_ms: i64,
}

impl Broken {
    /// Whether none of it happened.
    pub(super) fn is_nothing(&self) -> bool {
        let all = [
            self.lost,
            self.enqueued_twice,
            self.finished_twice,
            self.not_fenced,
            self.torn,
            self.steps_run_again,
            self.refusals,
        ];
        all.iter().all(|count| *count == 0)
    }
}

impl Recovery {
    /// Of times in milliseconds.
    pub(super) fn of(mut times: Vec<i64>) -> Self {
        times.sort_unstable();
        let at = |percent: usize| {
            let place = (times.len() * percent).div_ceil(100).saturating_sub(1);
            times.get(place).copied().unwrap_or_default()
        };
        Self {
            jobs: times.len(),
            p50_ms: at(50),
            p99_ms: at(99),
        }
    }
}

impl Report {
    /// For people: a column per phase.
    pub(super) fn table(&self) -> Table {
        let fsyncs = self.phases.iter().map(|phase| phase.fsync);
        let header: Vec<&str> = std::iter::once("APPENDFSYNC").chain(fsyncs).collect();
        let mut table = table(&header);
        let columns: Vec<_> = self.phases.iter().map(Phase::rows).collect();
        for (place, (name, _)) in columns.first().into_iter().flatten().enumerate() {
            let figures = columns.iter().map(|rows| rows[place].1.clone());
            table.add_row(std::iter::once(name.clone()).chain(figures));
        }
        table
    }
}

impl Phase {
    /// Names and figures, the same names in every phase.
    fn rows(&self) -> Vec<(String, String)> {
        let Self {
            broken,
            last_second,
            calls,
            recovery,
            ..
        } = self;
        let counts = [
            ("jobs enqueued", self.enqueued),
            ("acknowledged", self.acknowledged),
            ("succeeded", self.succeeded),
            ("sent again: no answer", self.resent.unanswered),
            ("sent again: store full", self.resent.full),
            ("sent again: read-only", self.resent.read_only),
            ("LOST", broken.lost),
            ("ENQUEUED TWICE", broken.enqueued_twice),
            ("FINISHED TWICE", broken.finished_twice),
            ("NOT FENCED", broken.not_fenced),
            ("TORN RESULTS", broken.torn),
            ("STEPS RUN AGAIN", broken.steps_run_again),
            ("REFUSALS", broken.refusals),
            ("jobs lost with the last second", last_second.jobs),
            ("ends lost with the last second", last_second.ends),
            ("checkpoints lost with it", last_second.checkpoints),
            ("calls of the model", calls.made),
            ("calls paid twice", calls.paid_twice),
            ("  not acknowledged in time", calls.unacknowledged),
            ("  by workers not told yet", calls.by_the_late),
            ("  lost with the last second", calls.lost_checkpoint),
            ("attempts taken from living workers", self.fenced),
            ("jobs held by killed workers", recovery.jobs),
        ];
        let counts = counts.map(|(name, count)| (name.to_owned(), count.to_string()));
        let times = [
            ("their recovery p50, s", recovery.p50_ms as f64 / 1_000.0),
            ("their recovery p99, s", recovery.p99_ms as f64 / 1_000.0),
            ("disturbed for, s", self.disturbed_s),
            ("settled after, s", self.settled_s),
        ];
        let times = times.map(|(name, seconds)| (name.to_owned(), format!("{seconds:.1}")));
        let disturbances = Disturbance::ALL.map(|kind| {
            let count = self.disturbances.get(&kind).copied().unwrap_or_default();
            (kind.name().to_owned(), count.to_string())
        });
        counts
            .into_iter()
            .chain(times)
            .chain(disturbances)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_happened() {
        let recovery = Recovery::of((1..=200).rev().collect());
        assert_eq!((recovery.p50_ms, recovery.p99_ms), (100, 198));
        let one = Recovery::of(vec![7]);
        assert_eq!((one.jobs, one.p50_ms, one.p99_ms), (1, 7, 7));
        assert_eq!(Recovery::of(Vec::new()).p99_ms, 0);
    }
}
