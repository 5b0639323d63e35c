//! Whether enqueue, claim and settle cost the same however much waits.

use std::time::Instant;

use lovage_broker_redis::Probe;

use super::hand::Hand;
use super::load::{self, NOOP, SMALL_BYTES};
use super::report::{Figure, Report};
use super::spread::Spread;
use super::store::{self, Store, failed};
use super::usage::ServerUsage;
use super::{Setup, say};
use crate::args::Section;
use crate::command::server::Server;
use crate::exit::Exit;

/// The small backlog.
const SMALL: usize = 1_000;
/// Jobs of one call.
const BATCH: usize = 16;
/// Calls of one kind in a row, and how often the sides take turns.
const CALLS: usize = 20;
const TURNS: usize = 25;
/// Largest growth allowed.
const GROWTH_MAX: f64 = 1.3;
const VERBS: [&str; 3] = ["enqueue", "claim", "settle"];

/// One store with its backlog, and what calls on it cost.
struct Side {
    hand: Hand,
    broker: Store,
    probe: Option<Probe>,
    /// Wall time of a call, by verb.
    times: [Spread; 3],
    /// Server CPU of all calls, by verb, in seconds.
    cpu_s: [f64; 3],
}

pub(super) async fn measure(setup: &Setup, report: &mut Report) -> Result<(), Exit> {
    let mut sides = Vec::new();
    for jobs in [SMALL, setup.backlog] {
        let broker = store::sqlite(&setup.folder, &format!("backlog-{jobs}.db")).await?;
        sides.push(Side::fill("sqlite", broker, None, jobs).await?);
    }
    compare("sqlite", sides, setup.backlog, report).await?;
    if setup.redis.is_none() {
        return Ok(());
    }
    let (mut sides, mut servers) = (Vec::new(), Vec::new());
    for jobs in [SMALL, setup.backlog] {
        let server = Server::start(&setup.folder, &[]).await?;
        let broker = store::redis(&server.url()).await?;
        let probe = Probe::connect(&server.url()).await.map_err(failed)?;
        sides.push(Side::fill("redis", broker, Some(probe), jobs).await?);
        servers.push(server);
    }
    compare("redis", sides, setup.backlog, report).await
}

impl Side {
    async fn fill(
        name: &str,
        broker: Store,
        probe: Option<Probe>,
        jobs: usize,
    ) -> Result<Self, Exit> {
        say(&format!("backlog: {name}, filling in {jobs} jobs"));
        load::fill(broker.as_ref(), jobs, || load::job(NOOP, SMALL_BYTES)).await?;
        Ok(Self {
            hand: Hand::register(broker.clone()).await?,
            broker,
            probe,
            times: std::array::from_fn(|_| Spread::new()),
            cpu_s: [0.0; 3],
        })
    }

    /// Some calls of each verb; as many jobs go as come.
    async fn turn(&mut self) -> Result<(), Exit> {
        let mut marks = vec![self.server_cpu_s().await?];
        for _ in 0..CALLS {
            let jobs = (0..BATCH).map(|_| load::job(NOOP, SMALL_BYTES)).collect();
            let begun = Instant::now();
            self.broker.enqueue(jobs, false).await.map_err(failed)?;
            self.times[0].record(begun.elapsed());
        }
        marks.push(self.server_cpu_s().await?);
        let mut held = Vec::new();
        for _ in 0..CALLS {
            let (claimed, time) = self.hand.claim(BATCH).await?;
            self.times[1].record(time);
            held.push(claimed);
        }
        marks.push(self.server_cpu_s().await?);
        for claimed in held {
            self.times[2].record(self.hand.settle(claimed).await?);
        }
        marks.push(self.server_cpu_s().await?);
        for (cpu_s, mark) in self.cpu_s.iter_mut().zip(marks.windows(2)) {
            *cpu_s += mark[1] - mark[0];
        }
        Ok(())
    }

    async fn server_cpu_s(&self) -> Result<f64, Exit> {
        match &self.probe {
            Some(probe) => Ok(ServerUsage::now(probe).await?.cpu_s()),
            None => Ok(0.0),
        }
    }
}

/// Lets the small and the large side take turns.
async fn compare(
    store: &str,
    mut sides: Vec<Side>,
    backlog: usize,
    report: &mut Report,
) -> Result<(), Exit> {
    say(&format!("backlog: {store}, {SMALL} against {backlog}"));
    for side in &mut sides {
        // Not counted: the first calls prepare scripts and statements.
        side.turn().await?;
        side.times = std::array::from_fn(|_| Spread::new());
        side.cpu_s = [0.0; 3];
    }
    for _ in 0..TURNS {
        for side in &mut sides {
            side.turn().await?;
        }
    }
    let [small, large] = &sides[..] else {
        return Ok(());
    };
    let floor = format!("with {SMALL}");
    for (at, verb) in VERBS.iter().enumerate() {
        let name = format!("{store} {verb} of {BATCH}, {backlog} queued, p50");
        let figure = Figure::new(name, large.times[at].ms(0.50), "ms")
            .beside(&floor, small.times[at].ms(0.50));
        report.add(Section::Backlog, figure.at_most(GROWTH_MAX));
        if large.probe.is_some() {
            let us = |side: &Side| side.cpu_s[at] * 1e6 / (TURNS * CALLS * BATCH) as f64;
            let name = format!("{store} {verb} of {BATCH}, {backlog} queued: server CPU per job");
            let figure = Figure::new(name, us(large), "µs").beside(&floor, us(small));
            report.add(Section::Backlog, figure.at_most(GROWTH_MAX));
        }
    }
    Ok(())
}
