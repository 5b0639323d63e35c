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
use super::{Setup, floor, say};
use crate::args::Section;
use crate::command::server::Server;
use crate::exit::{self, Exit};

/// How far ahead the jobs are due.
const DELAY: Duration = Duration::from_secs(3_600);
/// Jobs of one claim.
const BATCH: usize = 256;
/// Longest that one command may hold the server, in milliseconds.
const BLOCK_MAX_MS: f64 = 5.0;
/// Time until the records of the last part are over, all at once: some seconds,
/// and as long as a slow machine takes to write them.
const EXPIRY: Duration = Duration::from_secs(2);
const WRITTEN_PER_S: usize = 100_000;
/// Longest wait until they are gone then.
const GONE_MAX: Duration = Duration::from_secs(120);
/// Pause between two looks whether they are gone.
const LOOK: Duration = Duration::from_millis(100);

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
    for options in [&[][..], &["--hz", "100"]] {
        expiry(setup, options, report).await?;
    }
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

/// Records that Redis itself forgets, as it does final ones: how long one of
/// its cycles holds it when the time of all of them ends at once.
async fn expiry(setup: &Setup, options: &[&str], report: &mut Report) -> Result<(), Exit> {
    let records = setup.backlog.to_string();
    say(&format!("due: redis {options:?}, {records} records expire"));
    let server = Server::start(&setup.folder, options).await?;
    let probe = Probe::connect(&server.url()).await.map_err(failed)?;
    let writing = Duration::from_secs((setup.backlog / WRITTEN_PER_S) as u64);
    let over = clock::after(SystemClock.now(), EXPIRY + writing).as_millisecond();
    let over = over.to_string();
    let mut set = vec!["-n", &records, "-r", "1000000000", "-c", "50", "-P", "50"];
    let value = "x".repeat(200);
    set.extend(["SET", "j:__rand_int__", &value, "PXAT", &over]);
    floor::benchmark(&server, &set).await?;
    let threshold = ["CONFIG", "SET", "latency-monitor-threshold", "1"];
    let () = probe.ask(&threshold).await.map_err(failed)?;
    let empty = async {
        while probe.ask::<u64>(&["DBSIZE"]).await.map_err(failed)? > 0 {
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    };
    let late = |_| Exit::new(exit::ERROR, "Redis does not forget what is over");
    tokio::time::timeout(GONE_MAX, empty)
        .await
        .map_err(late)??;
    let events: Vec<(String, i64, i64, i64)> =
        probe.ask(&["LATENCY", "LATEST"]).await.map_err(failed)?;
    let cycle = events.iter().find(|(event, ..)| event == "expire-cycle");
    if let Some((_, _, _, longest)) = cycle {
        let hz = if options.is_empty() { "" } else { ", hz 100" };
        let name = format!("redis{hz}, {records} records expire at once: longest cycle");
        let figure = Figure::new(name, *longest as f64, "ms").at_most(BLOCK_MAX_MS);
        report.add(Section::Due, figure);
    }
    Ok(())
}
