//! A signal is waited for without a slot, and every attempt gets the same answer.

use std::sync::Arc;
use std::time::Duration;

use lovage_tests::clock::ManualClock;
use lovage_workflow::memory::MemoryJournal;
use lovage_workflow::{Context, Failure, Payload, WaitReason};

const HOUR: Duration = Duration::from_secs(3600);

struct World {
    journal: Arc<MemoryJournal>,
    clock: ManualClock,
}

impl World {
    fn new() -> Self {
        Self {
            journal: Arc::default(),
            clock: ManualClock::default(),
        }
    }

    fn attempt(&self) -> Context {
        self.journal
            .attempt_at(1, &(), Arc::new(self.clock.clone()))
    }

    async fn approval(&self) -> Result<Option<bool>, Failure> {
        self.attempt().signal("approval", HOUR).await
    }
}

fn parked(after: Duration) -> Result<Option<bool>, Failure> {
    Err(Failure::Park {
        reason: WaitReason::Signal("approval".to_owned()),
        after,
    })
}

#[tokio::test]
async fn a_signal_that_came_before_is_there_at_once_and_each_time() {
    let world = World::new();
    world
        .journal
        .signal("approval", Payload::of(&true).unwrap());
    let context = world.attempt();
    for _ in 0..2 {
        assert_eq!(context.signal("approval", HOUR).await, Ok(Some(true)));
    }
    assert_eq!(world.journal.steps().len(), 1, "no deadline is kept");
    assert_eq!(world.approval().await, Ok(Some(true)));
}

#[tokio::test]
async fn a_signal_that_came_while_the_job_waited_is_there_afterwards() {
    let world = World::new();
    assert_eq!(world.approval().await, parked(HOUR));
    world.journal.signal("other", Payload::null());
    world.clock.advance(HOUR / 4);
    assert_eq!(
        world.approval().await,
        parked(HOUR * 3 / 4),
        "the time runs on"
    );
    world
        .journal
        .signal("approval", Payload::of(&false).unwrap());
    // Late is not too late, while no attempt has gone on without it.
    world.clock.advance(HOUR);
    assert_eq!(world.approval().await, Ok(Some(false)));
}

#[tokio::test]
async fn a_signal_that_did_not_come_in_time_never_came() {
    let world = World::new();
    assert_eq!(world.approval().await, parked(HOUR));
    world.clock.advance(HOUR);
    let context = world.attempt();
    for _ in 0..2 {
        assert_eq!(context.signal::<bool>("approval", HOUR).await, Ok(None));
    }
    world
        .journal
        .signal("approval", Payload::of(&true).unwrap());
    assert_eq!(world.approval().await, Ok(None), "as the attempt before");
}

#[tokio::test]
async fn a_signal_of_another_shape_or_without_a_name_is_an_error() {
    let world = World::new();
    world
        .journal
        .signal("approval", Payload::of(&"yes").unwrap());
    for (name, part) in [
        ("approval", "expected a boolean"),
        ("", "expected 1 to 200 bytes"),
    ] {
        let failure = world
            .attempt()
            .signal::<bool>(name, HOUR)
            .await
            .unwrap_err();
        let Failure::GiveUp { code, message } = failure else {
            panic!("{failure:?}");
        };
        assert_eq!(code, "signal");
        assert!(message.contains(part), "{message}");
    }
}

#[tokio::test]
async fn a_stopped_attempt_does_not_begin_to_wait() {
    let world = World::new();
    let context = world.attempt();
    context.stop().cancel();
    assert_eq!(
        context.signal::<bool>("approval", HOUR).await,
        Err(Failure::Stopped)
    );
    assert!(world.journal.steps().is_empty());
}
