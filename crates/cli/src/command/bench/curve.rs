//! Batch size against throughput and latency: one step in flight, which claims
//! a batch and settles it.

use std::time::Instant;

use lovage_core::limits;

use super::hand::Hand;
use super::load::{self, INPUT_BYTES, NOOP};
use super::report::{CurvePoint, Report};
use super::spread::Spread;
use super::{Setup, say, store};
use crate::command::server::Server;
use crate::exit::Exit;

/// Batch sizes, each with its steps.
const SIZES: [(usize, usize); 5] = [(1, 4_000), (4, 2_000), (16, 1_000), (64, 500), (256, 200)];

const _: () = assert!(SIZES[SIZES.len() - 1].0 == limits::BATCH_MAX);

pub(super) async fn measure(setup: &Setup, report: &mut Report) -> Result<(), Exit> {
    if setup.redis.is_none() {
        return Ok(());
    }
    let server = Server::start(&setup.folder, &[]).await?;
    let broker = store::redis(&server.url()).await?;
    let mut hand = Hand::register(broker.clone()).await?;
    for (batch, steps) in SIZES {
        say(&format!("curve: batches of {batch}"));
        // The first tenth only warms up.
        let warm = steps / 10;
        load::fill(broker.as_ref(), batch * (steps + warm), || {
            load::job(NOOP, INPUT_BYTES)
        })
        .await?;
        hand.extend().await?;
        for _ in 0..warm {
            step(&mut hand, batch).await?;
        }
        let (mut spread, begun) = (Spread::new(), Instant::now());
        for _ in 0..steps {
            let step_begun = Instant::now();
            step(&mut hand, batch).await?;
            spread.record(step_begun.elapsed());
        }
        let rate = (batch * steps) as f64 / begun.elapsed().as_secs_f64();
        let point = CurvePoint::new(batch, rate, spread.ms(0.50), spread.ms(0.99));
        report.curve.push(point);
    }
    Ok(())
}

async fn step(hand: &mut Hand, batch: usize) -> Result<(), Exit> {
    let (claimed, _) = hand.claim(batch).await?;
    hand.settle(claimed).await?;
    Ok(())
}
