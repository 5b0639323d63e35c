//! What is done to the system, drawn from a seed.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, RngExt};

use super::crew::Crew;
use super::pair::Pair;
use super::{LEASE, ledger};
use crate::args::Fsync;
use crate::exit::Exit;

/// How far a worker's clock may be set off, in ms: a day.
const CLOCK_MS_MAX: i64 = 24 * 3_600 * 1_000;
/// How long the store stands still or is full, in ms.
const TROUBLE_MS: std::ops::RangeInclusive<u64> = 500..=3_000;
/// How long a worker is stopped beyond its lease, in ms.
const BEYOND_LEASE_MS: std::ops::RangeInclusive<u64> = 500..=2_500;

/// A kind of disturbance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Disturbance {
    /// A worker gets SIGKILL; another is started.
    WorkerKilled,
    /// A worker gets SIGSTOP, and SIGCONT after its lease has run out.
    WorkerStopped,
    /// A worker's clock is set off by up to a day.
    ClockSetOff,
    /// Redis gets SIGTERM and is started again.
    StoreRestarted,
    /// Redis gets SIGKILL and is started again.
    StoreKilled,
    /// Redis gets SIGKILL, its file loses a second, and it is started again.
    PowerCut,
    /// `CLIENT PAUSE`.
    StorePaused,
    /// Redis gets SIGSTOP, and SIGCONT a little later.
    StoreFrozen,
    /// Redis gets SIGKILL; its replica takes its place.
    FailedOver,
    /// `CLIENT KILL`.
    ConnectionsCut,
    /// `CONFIG SET maxmemory`, so that Redis takes no new jobs; lifted a little later.
    MemoryFilled,
}

use Disturbance::{
    ClockSetOff, ConnectionsCut, FailedOver, MemoryFilled, PowerCut, StoreFrozen, StoreKilled,
    StorePaused, StoreRestarted, WorkerKilled, WorkerStopped,
};

/// How often each is drawn, in relation to the others.
const WEIGHTS: [(Disturbance, u32); 11] = [
    (WorkerKilled, 8),
    (WorkerStopped, 3),
    (ClockSetOff, 2),
    (StoreRestarted, 1),
    (StoreKilled, 1),
    (PowerCut, 1),
    (StorePaused, 1),
    (StoreFrozen, 1),
    (FailedOver, 2),
    (ConnectionsCut, 2),
    (MemoryFilled, 2),
];

/// What was done, and when the store may have lost something by its own promise.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// How often each kind was done.
    pub(super) counts: BTreeMap<Disturbance, usize>,
    /// Times in ms of the machine's clock.
    pub(super) losses: Vec<i64>,
}

impl Log {
    /// Whether every kind was done that can be.
    pub(super) fn has_all(&self, fsync: Fsync) -> bool {
        fitting(fsync).all(|(kind, _)| self.counts.contains_key(&kind))
    }
}

fn fitting(fsync: Fsync) -> impl Iterator<Item = (Disturbance, u32)> {
    let fits = move |kind: Disturbance| kind != PowerCut || fsync == Fsync::Everysec;
    WEIGHTS.into_iter().filter(move |(kind, _)| fits(*kind))
}

/// The next disturbance. Those that were not done yet come first, so that a short run has all.
pub(super) fn draw(rng: &mut impl Rng, fsync: Fsync, log: &Log) -> Disturbance {
    let all: Vec<_> = fitting(fsync).collect();
    let fresh: Vec<_> = all
        .iter()
        .copied()
        .filter(|(kind, _)| !log.counts.contains_key(kind))
        .collect();
    let from = if fresh.is_empty() { all } else { fresh };
    let mut left = rng.random_range(0..from.iter().map(|(_, weight)| weight).sum());
    for (kind, weight) in from {
        if left < weight {
            return kind;
        }
        left -= weight;
    }
    WorkerKilled
}

impl Disturbance {
    /// Every kind.
    pub(super) const ALL: [Self; 11] = {
        let mut all = [WorkerKilled; 11];
        let mut place = 0;
        while place < all.len() {
            all[place] = WEIGHTS[place].0;
            place += 1;
        }
        all
    };

    /// For people.
    pub(super) fn name(self) -> &'static str {
        match self {
            WorkerKilled => "workers killed",
            WorkerStopped => "workers stopped beyond their lease",
            ClockSetOff => "workers' clocks set off",
            StoreRestarted => "Redis restarted",
            StoreKilled => "Redis killed",
            PowerCut => "power cuts",
            StorePaused => "Redis paused",
            StoreFrozen => "Redis frozen",
            FailedOver => "fail-overs",
            ConnectionsCut => "connections cut",
            MemoryFilled => "memory filled",
        }
    }

    /// Whether the store may forget what it acknowledged within the last second or two.
    fn may_lose(self, fsync: Fsync) -> bool {
        match self {
            // Replication is asynchronous, whatever is synced to the disk.
            FailedOver => true,
            StoreKilled | PowerCut => fsync == Fsync::Everysec,
            _ => false,
        }
    }

    /// Does it. All but a stopped worker and a paused store is over when this returns.
    pub(super) async fn cause(
        self,
        rng: &mut StdRng,
        fsync: Fsync,
        crew: &mut Crew,
        pair: &mut Pair,
        log: &mut Log,
    ) -> Result<(), Exit> {
        let place = rng.random_range(0..crew.len());
        let trouble = Duration::from_millis(rng.random_range(TROUBLE_MS));
        let beyond = Duration::from_millis(rng.random_range(BEYOND_LEASE_MS));
        let ahead_ms = rng.random_range(-CLOCK_MS_MAX..=CLOCK_MS_MAX);
        if self.may_lose(fsync) {
            log.losses.push(ledger::now());
        }
        match self {
            WorkerKilled => crew.kill(place).await?,
            WorkerStopped => crew.stop(place, LEASE + beyond),
            ClockSetOff => crew.set_clock(place, ahead_ms).await,
            StoreRestarted => pair.restart().await?,
            StoreKilled => pair.kill().await?,
            PowerCut => pair.cut_power().await?,
            StorePaused => pair.pause(trouble).await?,
            StoreFrozen => pair.freeze(trouble).await,
            FailedOver => pair.fail_over().await?,
            ConnectionsCut => pair.cut_connections().await?,
            MemoryFilled => pair.fill(trouble).await?,
        }
        *log.counts.entry(self).or_default() += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn a_seed_draws_the_same_and_all_kinds_come_before_any_comes_again() {
        let draws = |seed| {
            let (mut rng, mut log) = (StdRng::seed_from_u64(seed), Log::default());
            let draw = |_| {
                let kind = draw(&mut rng, Fsync::Everysec, &log);
                *log.counts.entry(kind).or_default() += 1;
                kind
            };
            (0..50).map(draw).collect::<Vec<_>>()
        };
        let mut first = draws(7)[..WEIGHTS.len()].to_vec();
        first.sort_unstable();
        first.dedup();
        assert_eq!(first.len(), WEIGHTS.len());
        assert_eq!(draws(7), draws(7));
        assert_ne!(draws(7), draws(8));
    }

    #[test]
    fn no_power_cut_takes_what_was_synced_before_the_answer() {
        let (mut rng, log) = (StdRng::seed_from_u64(1), Log::default());
        let drawn = (0..500).map(|_| draw(&mut rng, Fsync::Always, &log));
        assert!(drawn.into_iter().all(|kind| kind != PowerCut));
        assert!(!StoreKilled.may_lose(Fsync::Always) && FailedOver.may_lose(Fsync::Always));
    }
}
