//! One call renews everything a worker holds, whatever it holds.

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

/// Leases held.
const FEW: usize = 10;
const MANY: usize = 10_000;
/// Jobs of one claim.
const BATCH: usize = 256;
/// Renewals measured.
const RENEWALS: usize = 200;
/// Largest growth allowed.
const GROWTH_MAX: f64 = 1.3;

/// What one renewal takes.
struct Renewal {
    ms: f64,
    request_bytes: f64,
    reply_bytes: f64,
}

pub(super) async fn measure(setup: &Setup, report: &mut Report) -> Result<(), Exit> {
    say(&format!("leases: sqlite, {MANY} held"));
    let mut renewals = Vec::new();
    for held in [FEW, MANY] {
        let broker = store::sqlite(&setup.folder, &format!("leases-{held}.db")).await?;
        renewals.push(renew(broker, None, held).await?);
    }
    add("sqlite", &renewals, report);
    if setup.redis.is_none() {
        return Ok(());
    }
    say(&format!("leases: redis, {MANY} held"));
    let mut renewals = Vec::new();
    for held in [FEW, MANY] {
        let server = Server::start(&setup.folder, &[]).await?;
        let probe = Probe::connect(&server.url()).await.map_err(failed)?;
        let broker = store::redis(&server.url()).await?;
        renewals.push(renew(broker, Some(&probe), held).await?);
    }
    add("redis", &renewals, report);
    Ok(())
}

fn add(store: &str, renewals: &[Renewal], report: &mut Report) {
    let [few, many] = renewals else {
        return;
    };
    let floor = format!("with {FEW}");
    let figure = Figure::new(
        format!("{store} extend of {MANY} leases, p50"),
        many.ms,
        "ms",
    );
    report.add(
        Section::Leases,
        figure.beside(&floor, few.ms).at_most(GROWTH_MAX),
    );
    for (what, many, few) in [
        ("request", many.request_bytes, few.request_bytes),
        ("reply", many.reply_bytes, few.reply_bytes),
    ] {
        if few > 0.0 {
            let name = format!("{store} extend of {MANY} leases: {what}");
            let figure = Figure::new(name, many, "bytes").beside(&floor, few);
            report.add(Section::Leases, figure.at_most(GROWTH_MAX));
        }
    }
}

/// Claims that many jobs, then renews again and again.
async fn renew(broker: Store, probe: Option<&Probe>, held: usize) -> Result<Renewal, Exit> {
    load::fill(broker.as_ref(), held, || load::job(NOOP, SMALL_BYTES)).await?;
    let mut hand = Hand::register(broker).await?;
    let mut left = held;
    while left > 0 {
        let (claimed, _) = hand.claim(BATCH.min(left)).await?;
        left -= claimed.len();
    }
    hand.extend().await?;
    let before = traffic(probe).await?;
    let mut spread = Spread::new();
    for _ in 0..RENEWALS {
        spread.record(hand.extend().await?);
    }
    let after = traffic(probe).await?;
    // What asking for the traffic adds itself.
    let idle = traffic(probe).await?;
    let each = |at: usize| ((after[at] - before[at]) - (idle[at] - after[at])) / RENEWALS as f64;
    Ok(Renewal {
        ms: spread.ms(0.50),
        request_bytes: each(0),
        reply_bytes: each(1),
    })
}

/// Bytes the server received and sent so far.
async fn traffic(probe: Option<&Probe>) -> Result<[f64; 2], Exit> {
    let Some(probe) = probe else {
        return Ok([0.0; 2]);
    };
    let usage = ServerUsage::now(probe).await?;
    Ok([usage.received_bytes(), usage.sent_bytes()])
}
