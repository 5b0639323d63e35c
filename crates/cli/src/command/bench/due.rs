//! Everything at once: delayed jobs that all fall due together, finished jobs
//! whose time is over together.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lovage_broker_redis::Probe;
use lovage_core::clock::{self, Clock, SystemClock};
use lovage_core::job::NewJob;
use lovage_core::limits;

use super::hand::Hand;
use super::load::{self, NOOP, SMALL_BYTES};
use super::report::{Figure, Report};
use super::spread::Spread;
use super::store::{self, Moved, Store, failed};
use super::usage::{self, ServerUsage};
use super::{Setup, say};
use crate::args::Section;
use crate::command::server::Server;
use crate::exit::Exit;

/// How far ahead the jobs are due.
const DELAY: Duration = Duration::from_secs(3_600);
/// Jobs of one claim.
const BATCH: usize = 256;
/// Longest that one command may hold the server, in milliseconds.
const BLOCK_MAX_MS: f64 = 5.0;

pub(super) async fn measure(setup: &Setup, report: &mut Report) -> Result<(), Exit> {
    let clock = Arc::new(Moved::default());
    let broker = store::sqlite_by(&setup.folder, "due.db", clock.clone()).await?;
    all_due("sqlite", broker.clone(), &clock, setup.backlog, report).await?;
    all_over("sqlite", broker, &clock, setup.backlog, report).await?;
    if setup.redis.is_none() {
        return Ok(());
    }
    let (server, clock) = (
        Server::start(&setup.folder, &[]).await?,
        Arc::new(Moved::default()),
    );
    let probe = Probe::connect(&server.url()).await.map_err(failed)?;
    let broker = store::redis_by(&server.url(), clock.clone()).await?;
    usage::track_longest(&probe).await?;
    all_due("redis", broker.clone(), &clock, setup.backlog, report).await?;
    longest("while they are claimed and settled", &probe, report).await?;
    all_over("redis", broker, &clock, setup.backlog, report).await?;
    longest("while they are forgotten", &probe, report).await?;
    Ok(())
}

/// Jobs that all fall due while a worker claims and settles.
async fn all_due(
    store: &str,
    broker: Store,
    clock: &Moved,
    jobs: usize,
    report: &mut Report,
) -> Result<(), Exit> {
    say(&format!("due: {store}, {jobs} delayed jobs"));
    let run_at = clock::after(SystemClock.now(), DELAY);
    let delayed = || NewJob {
        run_at: Some(run_at),
        ..load::job(NOOP, SMALL_BYTES)
    };
    load::fill(broker.as_ref(), jobs, delayed).await?;
    clock.ahead(2 * DELAY);
    let mut hand = Hand::register(broker).await?;
    let (mut spread, mut left, begun) = (Spread::new(), jobs, Instant::now());
    while left > 0 {
        let (claimed, time) = hand.claim(BATCH).await?;
        spread.record(time);
        left -= claimed.len();
        hand.settle(claimed).await?;
    }
    let elapsed = begun.elapsed().as_secs_f64();
    let rate = jobs as f64 / elapsed;
    let name = format!("{store}, {jobs} jobs due at once: promoted, claimed, settled");
    report.add(Section::Due, Figure::new(name, rate, "jobs/s"));
    let name = format!("{store}, {jobs} jobs due at once: claim of {BATCH}, p50");
    report.add(Section::Due, Figure::new(name, spread.ms(0.50), "ms"));
    let name = format!("{store}, {jobs} jobs due at once: longest claim");
    report.add(Section::Due, Figure::new(name, spread.max_ms(), "ms"));
    Ok(())
}

/// Finished jobs whose time to live ended, all of them.
async fn all_over(
    store: &str,
    broker: Store,
    clock: &Moved,
    jobs: usize,
    report: &mut Report,
) -> Result<(), Exit> {
    say(&format!("due: {store}, {jobs} finished jobs to forget"));
    clock.ahead(limits::KEEP + limits::TOMBSTONE + DELAY);
    let (mut forgotten, mut spread, begun) = (0, Spread::new(), Instant::now());
    while forgotten < jobs {
        let call = Instant::now();
        let bite = broker.prune().await.map_err(failed)?;
        spread.record(call.elapsed());
        if bite == 0 {
            break;
        }
        forgotten += bite;
    }
    let rate = forgotten as f64 / begun.elapsed().as_secs_f64();
    let name = format!("{store}, {forgotten} finished jobs forgotten");
    report.add(Section::Due, Figure::new(name, rate, "jobs/s"));
    let name = format!("{store}, {forgotten} finished jobs forgotten: longest prune call");
    report.add(Section::Due, Figure::new(name, spread.max_ms(), "ms"));
    Ok(())
}

/// The longest command since this was asked last.
async fn longest(when: &str, probe: &Probe, report: &mut Report) -> Result<(), Exit> {
    let longest = ServerUsage::now(probe).await?.longest_ms();
    usage::track_longest(probe).await?;
    let name = format!("redis, longest command {when}");
    let figure = Figure::new(name, longest, "ms").at_most(BLOCK_MAX_MS);
    report.add(Section::Due, figure);
    Ok(())
}
