//! The figures.

use comfy_table::Table;
use serde::Serialize;

use crate::view::table;

/// Everything measured in one run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    version: &'static str,
    jobs: usize,
    slots: usize,
    /// What Redis itself does here; absent where it is not installed.
    pub(super) floor: Option<Floor>,
    pub(super) stores: Vec<Store>,
}

/// What `redis-benchmark` measured.
#[derive(Debug, Serialize)]
pub(super) struct Floor {
    pub(super) lpush_pipelined_per_s: f64,
    pub(super) lpush_single_per_s: f64,
    pub(super) round_trip_p50_ms: f64,
}

/// What one store does.
#[derive(Debug, Serialize)]
pub(super) struct Store {
    pub(super) store: &'static str,
    pub(super) enqueue_per_s: f64,
    pub(super) enqueue_single_per_s: f64,
    pub(super) drain_per_s: f64,
    pub(super) idle: Idle,
    pub(super) waiting_jobs: usize,
    pub(super) waiting_s: f64,
}

/// Latency of one job while nothing else goes on.
#[derive(Debug, Serialize)]
pub(super) struct Idle {
    pub(super) enqueue_to_start_ms: Percentiles,
    pub(super) enqueue_to_result_ms: Percentiles,
}

#[derive(Debug, Serialize)]
pub(super) struct Percentiles {
    pub(super) p50: f64,
    pub(super) p99: f64,
}

impl Report {
    pub(super) fn new(jobs: usize, slots: usize) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            jobs,
            slots,
            floor: None,
            stores: Vec::new(),
        }
    }

    /// For people: one column per store, and each Redis figure beside its floor.
    pub(super) fn table(&self) -> Table {
        let mut header = vec!["FIGURE"];
        header.extend(self.stores.iter().map(|store| store.store));
        header.push("REDIS FLOOR");
        let mut table = table::table(&header);
        let floor = |pick: fn(&Floor) -> f64, unit: &str| {
            self.floor
                .as_ref()
                .map_or_else(|| "-".to_owned(), |floor| format!("{} {unit}", pick(floor)))
        };
        let lpush = floor(|floor| floor.lpush_pipelined_per_s, "LPUSH/s");
        let single = floor(|floor| floor.lpush_single_per_s, "LPUSH/s");
        let trip = floor(|floor| floor.round_trip_p50_ms, "ms round trip");
        let waiting = format!(
            "{} jobs that wait 1 s for the model",
            self.stores.first().map_or(0, |store| store.waiting_jobs)
        );
        let mut row = |name: &str, show: fn(&Store) -> String, floor: &str| {
            let mut cells = vec![name.to_owned()];
            cells.extend(self.stores.iter().map(show));
            cells.push(floor.to_owned());
            table.add_row(cells);
        };
        row(
            "enqueue, batches of 100",
            |store| format!("{}/s", store.enqueue_per_s),
            &lpush,
        );
        row(
            "enqueue, one at a time",
            |store| format!("{}/s", store.enqueue_single_per_s),
            &single,
        );
        row(
            "drain of no-op jobs, result stored",
            |store| format!("{}/s", store.drain_per_s),
            &lpush,
        );
        row(
            "idle: enqueue to start, p50/p99",
            |store| span(&store.idle.enqueue_to_start_ms),
            &trip,
        );
        row(
            "idle: enqueue to result, p50/p99",
            |store| span(&store.idle.enqueue_to_result_ms),
            &trip,
        );
        row(&waiting, |store| format!("{} s", store.waiting_s), "-");
        table
    }
}

fn span(percentiles: &Percentiles) -> String {
    format!("{} / {} ms", percentiles.p50, percentiles.p99)
}
