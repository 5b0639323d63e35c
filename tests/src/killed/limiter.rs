//! Calls to a provider that are admitted and settled, with the connection lost.

use std::time::Duration;

use lovage_core::clock::Clock;
use lovage_core::limiter::{
    Admission, Ask, CallEnd, CallLease, CallSettle, Estimate, LimitName, Limits, Remaining,
    Snapshot, Used, Verdict,
};

use super::World;
use crate::faults::answered;

/// Calls in flight that [`limits`] allow.
const PLACES: u64 = 2;
/// The call that the cases are about, and the one of a look.
const CALL: u64 = 10;
const LOOK: u64 = 20;

fn name() -> LimitName {
    LimitName::new("openai", "gpt-test", "a1b2c3d4")
}

fn limits() -> Limits {
    Limits {
        rpm: Some(1_000),
        tpm: Some(100_000),
        concurrency: Some(PLACES),
        budget_usd: Some(10.0),
    }
}

fn ask(call: u64) -> Ask {
    Ask {
        name: name(),
        limits: limits(),
        holder: "holder".to_owned(),
        call,
        estimate: Estimate {
            tokens: 100,
            cost_usd: 0.25,
        },
        ttl: Duration::from_secs(70),
        waited: Duration::from_millis(250),
    }
}

async fn admit(world: &World, call: u64) -> Admission {
    let ask = ask(call);
    let answer = answered(|| world.limiter.acquire(&ask)).await;
    answer.expect("the store answers")
}

/// What is known of all accounts and models, and what a call is told that is settled at once.
pub(super) async fn look(world: &World) -> (Vec<Snapshot>, Admission) {
    let stands = world.limiter.limits().await.expect("the store answers");
    let answer = admit(world, LOOK).await;
    if let Verdict::Admitted(lease) = &answer.verdict {
        settle(world, lease.clone(), CallEnd::Fine).await;
    }
    (stands, answer)
}

// What comes before.

pub(super) async fn one_admitted(world: &World) {
    let answer = admit(world, CALL).await;
    assert!(matches!(answer.verdict, Verdict::Admitted(_)));
}

pub(super) async fn all_admitted(world: &World) {
    for call in 0..PLACES {
        let answer = admit(world, call).await;
        assert!(matches!(answer.verdict, Verdict::Admitted(_)));
    }
}

// The verbs.

pub(super) async fn acquire(world: &World) {
    admit(world, CALL).await;
}

/// The lease of the call, as it was given: nothing of it is drawn.
fn lease(world: &World) -> CallLease {
    CallLease {
        name: name(),
        id: ask(CALL).id(),
        at_ms: world.clock.now().as_millisecond(),
        estimate: ask(CALL).estimate,
    }
}

async fn settle(world: &World, lease: CallLease, end: CallEnd) {
    let used = Used {
        input: 150,
        output: 30,
        cached: 20,
        cost_usd: 0.5,
        measured: true,
    };
    let settle = CallSettle { lease, used, end };
    let settled = answered(|| world.limiter.settle(&settle)).await;
    settled.expect("the store answers");
}

pub(super) async fn settle_call(world: &World) {
    settle(world, lease(world), CallEnd::Fine).await;
}

pub(super) async fn settle_refused(world: &World) {
    let cool = CallEnd::Throttled(Duration::from_secs(5));
    settle(world, lease(world), cool).await;
}

pub(super) async fn observe(world: &World) {
    let remaining = Remaining {
        requests: Some(3),
        tokens: Some(500),
    };
    let name = name();
    let observed = answered(|| world.limiter.observe(&name, remaining)).await;
    observed.expect("the store answers");
}

pub(super) async fn set_limits(world: &World) {
    let one = Limits {
        concurrency: Some(1),
        ..Limits::default()
    };
    let name = name();
    let known = answered(|| world.limiter.set_limits(&name, one)).await;
    assert!(known.expect("the store answers"), "it was asked for");
}
