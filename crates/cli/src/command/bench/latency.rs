//! Time from enqueue to start, and to the result, while nothing else goes on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use hdrhistogram::Histogram;
use lovage_core::broker::Broker;
use lovage_core::payload::Payload;
use lovage_workflow::{Context, Failure, Handler, Handlers};
use tokio::sync::mpsc;

use super::report::{Idle, Percentiles};
use super::throughput::job;
use super::{Running, failed};
use crate::exit::Exit;

const SAMPLES: usize = 500;
const WARM_UP: usize = 20;
const KIND: &str = "bench.stamp";
/// Longest time a sample may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Says when it starts.
struct Stamp(mpsc::Sender<Instant>);

#[async_trait]
impl Handler for Stamp {
    async fn run(&self, context: Context) -> Result<Payload, Failure> {
        let _ = self.0.send(Instant::now()).await;
        context.done(&true)
    }
}

/// Enqueues one job at a time and watches it start and end.
pub(super) async fn idle(broker: Arc<dyn Broker>) -> Result<Idle, Exit> {
    let (stamp, mut starts) = mpsc::channel(1);
    let running = Running::start(broker.clone(), Handlers::new().with(KIND, Stamp(stamp)), 16);
    let (mut to_start, mut to_result) = (histogram(), histogram());
    for sample in 0..WARM_UP + SAMPLES {
        let job = job(KIND);
        let id = job.id;
        let begun = Instant::now();
        broker.enqueue(vec![job], false).await.map_err(failed)?;
        let started = starts
            .recv()
            .await
            .ok_or_else(|| Exit::new(crate::exit::ERROR, "the worker ended early"))?;
        broker
            .events(&id, u64::MAX, 1, PATIENCE)
            .await
            .map_err(failed)?;
        if sample >= WARM_UP {
            record(&mut to_start, started - begun);
            record(&mut to_result, begun.elapsed());
        }
    }
    running.stop().await?;
    Ok(Idle {
        enqueue_to_start_ms: percentiles(&to_start),
        enqueue_to_result_ms: percentiles(&to_result),
    })
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are valid")
}

fn record(histogram: &mut Histogram<u64>, elapsed: Duration) {
    histogram.saturating_record(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX));
}

fn percentiles(histogram: &Histogram<u64>) -> Percentiles {
    let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1_000.0;
    Percentiles {
        p50: at(0.50),
        p99: at(0.99),
    }
}
