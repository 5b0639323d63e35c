//! A job as its producer sees it: sent until it is acknowledged, watched until it is over.

use std::sync::Arc;
use std::time::Duration;

use lovage_broker_redis::RedisBroker;
use lovage_core::broker::{Broker, Enqueued};
use lovage_core::clock::{Clock, SystemClock};
use lovage_core::error::BrokerError;
use lovage_core::id::JobId;
use lovage_core::job::{Idempotency, NewJob};
use lovage_core::payload::Payload;
use lovage_core::retry::Backoff;
use lovage_core::status::Status;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::ledger;
use super::work::KIND;

/// More than any job is taken from its workers.
const ATTEMPTS_MAX: u32 = 1_000;
/// Pause before a call is sent again.
const AGAIN: Duration = Duration::from_millis(100);
/// Longest wait of one look at a job's end.
const LOOK: Duration = Duration::from_secs(5);

/// How a job stood when it was over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    pub(super) status: Status,
    pub(super) attempt: u32,
    pub(super) result: Option<Payload>,
}

/// What a producer remembers of one job.
#[derive(Debug, Clone)]
pub(super) struct Order {
    /// Its number, which is also its input and its idempotency key.
    pub(super) number: usize,
    /// The job of the acknowledgement.
    pub(super) id: JobId,
    /// Just before the call that was acknowledged was sent; ms of the machine's clock.
    pub(super) sent_at: i64,
    /// When it was acknowledged.
    pub(super) acknowledged_at: i64,
    /// Calls that were not answered, or refused because the store was full.
    pub(super) resent: Resent,
    /// The end as it was first seen, and when; nothing when the job was gone.
    pub(super) seen: Option<(i64, End)>,
}

/// Why calls were sent again.
#[derive(Debug, Clone, Copy, Default, serde::Serialize)]
pub(super) struct Resent {
    /// No answer, so it may have happened or not.
    pub(super) unanswered: usize,
    /// The store was full.
    pub(super) full: usize,
    /// The store took no writes.
    pub(super) read_only: usize,
}

/// Sends a job until it is acknowledged and waits until it is over, or until
/// `give_up`; nothing when it was never acknowledged.
///
/// # Errors
/// What the store says that no caller can mend.
pub(super) async fn follow(
    broker: Arc<RedisBroker>,
    number: usize,
    give_up: CancellationToken,
) -> Result<Option<Order>, String> {
    let Some(order) = give_up.run_until_cancelled(send(&broker, number)).await else {
        return Ok(None);
    };
    let mut order = order?;
    if let Some(seen) = give_up.run_until_cancelled(watch(&broker, order.id)).await {
        order.seen = seen?;
    }
    Ok(Some(order))
}

async fn send(broker: &RedisBroker, number: usize) -> Result<Order, String> {
    let mut resent = Resent::default();
    loop {
        let sent_at = ledger::now();
        match broker.enqueue(vec![job(number)], false).await {
            Ok(answers) => {
                let [Enqueued::Accepted(id) | Enqueued::Replayed(id)] = answers[..] else {
                    return Err(format!("job {number} was refused: {answers:?}"));
                };
                return Ok(Order {
                    number,
                    id,
                    sent_at,
                    acknowledged_at: ledger::now(),
                    resent,
                    seen: None,
                });
            }
            Err(BrokerError::Full(_)) => resent.full += 1,
            Err(BrokerError::ReadOnly(_)) => resent.read_only += 1,
            Err(error) => {
                transient(&error, "enqueue")?;
                resent.unanswered += 1;
            }
        }
        sleep(AGAIN).await;
    }
}

/// A new id at each sending: only the idempotency key says that it is the same job.
fn job(number: usize) -> NewJob {
    let input = Payload::of(&number).expect("a number has a JSON form");
    let kind = KIND.parse().expect("a valid kind");
    NewJob {
        attempts_max: ATTEMPTS_MAX,
        backoff: Backoff {
            base_ms: 100,
            cap_ms: 500,
        },
        idempotency: Some(Idempotency {
            key: format!("order-{number}"),
            fingerprint: number.to_string(),
        }),
        ..NewJob::new(JobId::at(SystemClock.now()), kind, input)
    }
}

/// Waits for a job's end; nothing when there is no such job.
async fn watch(broker: &RedisBroker, id: JobId) -> Result<Option<(i64, End)>, String> {
    loop {
        match broker.events(&id, u64::MAX, 1, LOOK).await {
            Ok(None) => return Ok(None),
            Ok(Some(page)) if page.ended => match end(broker, id).await {
                Ok(Some(end)) if end.status.is_final() => return Ok(Some((ledger::now(), end))),
                Ok(Some(_)) => {}
                Ok(None) => return Ok(None),
                Err(error) => transient(&error, "get")?,
            },
            Ok(Some(_)) => {}
            Err(error) => transient(&error, "events")?,
        }
        sleep(AGAIN).await;
    }
}

/// How a job stands.
pub(super) async fn end(broker: &RedisBroker, id: JobId) -> Result<Option<End>, BrokerError> {
    let job = broker.get(&id).await?;
    Ok(job.map(|job| End {
        status: job.status,
        attempt: job.attempt,
        result: job.result,
    }))
}

fn transient(error: &BrokerError, what: &str) -> Result<(), String> {
    if error.is_transient() {
        Ok(())
    } else {
        Err(format!("{what}: {}", lovage_core::error::chain(error)))
    }
}
