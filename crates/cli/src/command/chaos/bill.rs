//! The ledger, read as a bill: which calls were paid twice, and why.

use std::collections::HashMap;

use lovage_core::id::JobId;

use super::audit::Losses;
use super::crew::Killed;
use super::ledger::{Entry, Fact};
use super::report::{Phase, Recovery};

/// The ledger of a run, and the workers that were killed in it.
pub(super) struct Bill<'a> {
    pub(super) entries: &'a [Entry],
    pub(super) killed: &'a [Killed],
}

/// What is known of one step of one job.
#[derive(Default)]
struct StepState {
    called: bool,
    /// When the store had acknowledged its answer.
    kept_at: Option<i64>,
}

impl Bill<'_> {
    /// When an attempt after this one began.
    pub(super) fn began_after(&self, job: JobId, attempt: u32) -> Option<i64> {
        let mut later = self.entries.iter().filter(|entry| {
            entry.job == job && entry.attempt > attempt && entry.fact == Fact::Began
        });
        later.next().map(|entry| entry.at)
    }

    /// When attempts heard that a step's answer is stored.
    pub(super) fn kept(&self, job: JobId, step: u32) -> impl Iterator<Item = i64> {
        let entries = self.entries.iter().filter(move |entry| entry.job == job);
        entries.filter_map(move |entry| match entry.fact {
            Fact::Kept { step: kept, .. } if kept == step => Some(entry.at),
            _ => None,
        })
    }

    /// Counts calls, and how long jobs of killed workers waited.
    pub(super) fn count(&self, losses: &Losses<'_>, phase: &mut Phase) {
        let mut steps: HashMap<(JobId, u32), StepState> = HashMap::new();
        let mut holders: HashMap<JobId, (&str, u32)> = HashMap::new();
        for entry in self.entries {
            let by = (entry.worker.as_str(), entry.attempt);
            match entry.fact {
                Fact::Began => {
                    holders.insert(entry.job, by);
                }
                Fact::Called { step, .. } => {
                    let late = holders.get(&entry.job) != Some(&by);
                    let state = steps.entry((entry.job, step)).or_default();
                    called(entry, state, late, losses, phase);
                }
                Fact::Kept { step, .. } => {
                    let state = steps.entry((entry.job, step)).or_default();
                    state.kept_at.get_or_insert(entry.at);
                }
                Fact::Failed => {}
            }
        }
        phase.recovery = Recovery::of(self.recoveries());
        phase.fenced = self.taken_from_the_living();
    }

    /// Attempts that another one followed though their worker lived and had not failed them.
    fn taken_from_the_living(&self) -> usize {
        let mut holders: HashMap<JobId, &str> = HashMap::new();
        let mut taken = 0;
        for entry in self.entries {
            match entry.fact {
                Fact::Began => {
                    let before = holders.insert(entry.job, &entry.worker);
                    let lived = |worker| !self.was_killed(worker, entry.at);
                    taken += usize::from(before.is_some_and(lived));
                }
                Fact::Failed => {
                    holders.remove(&entry.job);
                }
                Fact::Called { .. } | Fact::Kept { .. } => {}
            }
        }
        taken
    }

    fn was_killed(&self, worker: &str, by: i64) -> bool {
        let mut killed = self.killed.iter();
        killed.any(|killed| killed.worker == worker && killed.at <= by)
    }

    /// From the kill of a worker to the next attempt of each job it held, in ms.
    fn recoveries(&self) -> Vec<i64> {
        let killed: HashMap<&str, i64> = self
            .killed
            .iter()
            .map(|killed| (killed.worker.as_str(), killed.at))
            .collect();
        let mut held: HashMap<JobId, i64> = HashMap::new();
        let mut times = Vec::new();
        for entry in self.entries {
            match entry.fact {
                Fact::Began => {
                    let since = held.remove(&entry.job).filter(|killed| entry.at > *killed);
                    times.extend(since.map(|killed| entry.at - killed));
                    if let Some(at) = killed.get(entry.worker.as_str()) {
                        held.insert(entry.job, *at);
                    }
                }
                // The job went back by itself.
                Fact::Failed => {
                    held.remove(&entry.job);
                }
                Fact::Called { .. } | Fact::Kept { .. } => {}
            }
        }
        times
    }
}

/// Takes note of a call; says why where it is not the first one for its step.
fn called(
    entry: &Entry,
    state: &mut StepState,
    late: bool,
    losses: &Losses<'_>,
    phase: &mut Phase,
) {
    phase.calls.made += 1;
    if !std::mem::replace(&mut state.called, true) {
        return;
    }
    phase.calls.paid_twice += 1;
    match state.kept_at {
        None => phase.calls.unacknowledged += 1,
        Some(_) if late => phase.calls.by_the_late += 1,
        Some(kept_at) if losses.excuse_noticed(kept_at, entry.at) => {
            phase.calls.lost_checkpoint += 1;
            phase.last_second.checkpoints += 1;
            state.kept_at = None;
        }
        Some(_) => {
            tracing::error!(?entry, "a step ran again");
            phase.broken.steps_run_again += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(worker: &str, attempt: u32, at: i64, fact: Fact) -> Entry {
        let job = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        Entry {
            job,
            attempt,
            worker: worker.to_owned(),
            at,
            fact,
        }
    }

    fn count(entries: &[Entry], losses: &[i64]) -> Phase {
        let killed = [Killed {
            worker: "w1".to_owned(),
            at: 300,
        }];
        let bill = Bill {
            entries,
            killed: &killed,
        };
        let mut phase = Phase::default();
        bill.count(&Losses(losses), &mut phase);
        phase
    }

    const CALLED: Fact = Fact::Called { step: 0, answer: 1 };
    const KEPT: Fact = Fact::Kept { step: 0, answer: 1 };

    #[test]
    fn a_call_whose_answer_was_never_acknowledged_may_be_made_again() {
        let entries = [
            entry("w1", 1, 100, Fact::Began),
            entry("w1", 1, 200, CALLED),
            entry("w2", 2, 3_300, Fact::Began),
            entry("w2", 2, 3_400, CALLED),
            entry("w2", 2, 3_500, KEPT),
        ];
        let phase = count(&entries, &[]);
        assert_eq!((phase.calls.made, phase.calls.unacknowledged), (2, 1));
        assert_eq!((phase.recovery.jobs, phase.recovery.p50_ms), (1, 3_000));
        assert_eq!(phase.fenced, 0, "its worker was killed");
        assert!(phase.broken.is_nothing());
    }

    #[test]
    fn a_step_that_was_acknowledged_must_not_run_again() {
        let again = [
            entry("w1", 1, 100, Fact::Began),
            entry("w1", 1, 150, CALLED),
            entry("w1", 1, 200, KEPT),
            entry("w2", 2, 3_300, Fact::Began),
            entry("w2", 2, 3_400, CALLED),
        ];
        assert_eq!(count(&again, &[]).broken.steps_run_again, 1);
        let lost = count(&again, &[1_000]);
        assert_eq!(
            (lost.broken.steps_run_again, lost.calls.lost_checkpoint),
            (0, 1)
        );
        assert_eq!(count(&again, &[5_000]).broken.steps_run_again, 1);
    }

    #[test]
    fn a_worker_that_lost_its_job_and_was_not_told_is_late() {
        let entries = [
            entry("w3", 1, 100, Fact::Began),
            entry("w2", 2, 3_300, Fact::Began),
            entry("w2", 2, 3_400, CALLED),
            entry("w2", 2, 3_500, KEPT),
            entry("w3", 1, 3_600, CALLED),
        ];
        let phase = count(&entries, &[]);
        assert_eq!((phase.calls.by_the_late, phase.recovery.jobs), (1, 0));
        assert_eq!(phase.fenced, 1);
        assert!(phase.broken.is_nothing());
    }
}
