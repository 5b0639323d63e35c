//! How attempts end, and what becomes of their jobs.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use lovage_core::broker::Broker;
use lovage_core::clock::Clock;
use lovage_core::job::NewJob;
use lovage_core::limits;
use lovage_core::retry::Backoff;
use lovage_core::status::{Status, WaitReason};
use lovage_tests::clock::ManualClock;
use lovage_workflow::{Failure, Handlers, Payload};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::world::{AT_ONCE, Running, World, config, handler, quick};

#[tokio::test(start_paused = true)]
async fn a_job_runs_and_its_result_is_stored() {
    let world = World::new();
    let echo = handler(async |context| context.done(&context.input::<String>()?));
    let worker = world.worker(2, Handlers::new().with("echo", echo));
    let input = Payload::of(&"hello").unwrap();
    let id = world
        .enqueue(NewJob {
            input: input.clone(),
            ..world.job("echo")
        })
        .await;
    let job = world.succeeded(id).await;
    assert_eq!((job.result, job.attempt), (Some(input), 1));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_failing_job_is_retried_with_back_off_until_its_attempts_are_used_up() {
    let world = World::new();
    let (begun, mut begins) = mpsc::unbounded_channel();
    let failing = handler(move |_| {
        begun.send(Instant::now()).unwrap();
        async { Err(Failure::retry("flaky", "try again")) }
    });
    let worker = world.worker(1, Handlers::new().with("failing", failing));
    let id = world
        .enqueue(NewJob {
            backoff: Backoff::default(),
            ..world.job("failing")
        })
        .await;
    let job = world.ended(id).await;
    assert_eq!((job.status, job.attempt), (Status::Failed, 3));
    assert_eq!(job.error.unwrap().code, "flaky");
    assert_eq!(job.history.len(), 3);
    let mut begun = Vec::new();
    while let Ok(at) = begins.try_recv() {
        begun.push(at);
    }
    assert_eq!(begun.len(), 3);
    for (gap, cap) in [(begun[1] - begun[0], 1), (begun[2] - begun[1], 2)] {
        let cap = Duration::from_secs(cap);
        assert!(gap >= cap / 2 && gap <= cap + AT_ONCE, "{gap:?}");
    }
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_job_that_gives_up_is_not_retried() {
    let world = World::new();
    let hopeless = handler(async |_| Err(Failure::give_up("hopeless", "never")));
    let worker = world.worker(1, Handlers::new().with("hopeless", hopeless));
    let job = world.ended(world.add("hopeless").await).await;
    assert_eq!((job.status, job.attempt), (Status::Failed, 1));
    assert_eq!(job.error.unwrap().code, "hopeless");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_parked_job_frees_its_slot_and_keeps_its_attempt() {
    let world = World::new();
    let parked = Arc::new(AtomicBool::new(false));
    let parking = handler(move |context| {
        let first = !parked.swap(true, Ordering::SeqCst);
        async move {
            match first {
                true => Err(Failure::Park {
                    reason: WaitReason::Limit,
                    after: Duration::from_secs(60),
                }),
                false => context.done(&context.job().attempt),
            }
        }
    });
    let worker = world.worker(1, quick().with("parking", parking));
    let once = NewJob {
        attempts_max: 1,
        ..world.job("parking")
    };
    let id = world.enqueue(once).await;
    let job = world.until(id, |job| job.status == Status::Waiting).await;
    assert_eq!(job.waiting.unwrap().reason, WaitReason::Limit);
    assert_eq!((job.attempt, job.error), (0, None));
    world.succeeded(world.add("quick").await).await;
    assert_eq!(world.get(id).await.status, Status::Waiting);
    assert_eq!(world.succeeded(id).await.attempt, 1);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_kind_without_a_handler_fails_its_job_and_no_other() {
    let world = World::new();
    let worker = world.worker(1, quick());
    let unknown = world.add("unknown").await;
    let known = world.add("quick").await;
    let job = world.ended(unknown).await;
    assert_eq!((job.status, job.attempt), (Status::Failed, 3));
    assert_eq!(job.error.unwrap().code, "no_handler");
    world.succeeded(known).await;
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failed_attempt_and_the_worker_lives_on() {
    let world = World::new();
    let panicking = handler(async |context| match context.job().attempt {
        1 => panic!("out of luck"),
        attempt => context.done(&attempt),
    });
    let worker = world.worker(1, Handlers::new().with("panicking", panicking));
    let job = world.succeeded(world.add("panicking").await).await;
    assert_eq!(job.attempt, 2);
    let error = &job.history[0].error;
    assert_eq!(error.code, "panic");
    assert_eq!(error.message, "the handler panicked: out of luck");
    assert!(worker.is_running());
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_is_stopped_and_retried() {
    let world = World::new();
    let slow = handler(async |context| match context.job().attempt {
        1 => pending().await,
        attempt => context.done(&attempt),
    });
    let worker = world.worker(1, Handlers::new().with("slow", slow));
    let begun = Instant::now();
    let id = world
        .enqueue(NewJob {
            timeout: Some(Duration::from_secs(30)),
            ..world.job("slow")
        })
        .await;
    let job = world.succeeded(id).await;
    let most = Duration::from_secs(30) + config(1).stop_grace + AT_ONCE;
    assert!(begun.elapsed() <= most, "{:?}", begun.elapsed());
    assert_eq!(job.attempt, 2);
    assert_eq!(job.history[0].error.code, "timeout");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_handler_finishes_when_its_time_is_over_counts() {
    let world = World::new();
    let tidy = handler(async |context| {
        context.stop().cancelled().await;
        context.done(&"what there was")
    });
    let worker = world.worker(1, Handlers::new().with("tidy", tidy));
    let timeout = Some(Duration::from_secs(5));
    let job = NewJob {
        timeout,
        ..world.job("tidy")
    };
    assert_eq!(world.succeeded(world.enqueue(job).await).await.attempt, 1);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_result_that_is_too_large_fails_its_job() {
    let world = World::new();
    let large = handler(async |context| context.done(&"x".repeat(limits::RESULT_BYTES_MAX)));
    let worker = world.worker(1, Handlers::new().with("large", large));
    let job = world.ended(world.add("large").await).await;
    assert_eq!((job.status, job.attempt), (Status::Failed, 1));
    assert_eq!(job.error.unwrap().code, "result_too_large");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_step_that_an_earlier_attempt_finished_is_not_run_again() {
    let world = World::new();
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    let stepping = handler(move |context| {
        let runs = counted.clone();
        async move {
            let run = async || Ok(runs.fetch_add(1, Ordering::SeqCst));
            let value: u32 = context.step("count", &(), run).await?;
            match context.job().attempt {
                1 => Err(Failure::retry("later", "after the step")),
                _ => context.done(&value),
            }
        }
    });
    let worker = world.worker(1, Handlers::new().with("stepping", stepping));
    let id = world.add("stepping").await;
    let job = world.succeeded(id).await;
    assert_eq!(job.attempt, 2);
    assert_eq!(job.result.unwrap().as_str(), "0");
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert_eq!(world.store.checkpoints(&id).await.unwrap().len(), 1);
    worker.stop().await;
}

/// A rolling deploy may change what a kind's input looks like: jobs enqueued
/// before it end in the dead list, and the worker goes on.
#[tokio::test(start_paused = true)]
async fn an_input_that_cannot_be_read_goes_to_the_dead_list() {
    let world = World::new();
    let strict = handler(async |context| context.done(&context.input::<u32>()?));
    let worker = world.worker(1, quick().with("strict", strict));
    let text = Payload::of(&"of the version before").unwrap();
    let id = world
        .enqueue(NewJob {
            input: text.clone(),
            ..world.job("strict")
        })
        .await;
    let job = world.ended(id).await;
    assert_eq!((job.status, job.attempt), (Status::Failed, 1));
    let error = job.error.unwrap();
    assert_eq!(error.code, "input");
    assert!(error.message.contains("expected u32"), "{}", error.message);
    assert_eq!(job.asked.input, text, "kept, for a worker that can read it");
    assert_eq!(world.dead().await, [id]);
    world.succeeded(world.add("quick").await).await;
    assert!(worker.is_running());
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_over_its_input_is_retried_and_then_dead() {
    let world = World::new();
    let careless = handler(async |context| {
        let number: u32 = context.job().input.read().expect("a number, as ever");
        context.done(&number)
    });
    let worker = world.worker(1, quick().with("careless", careless));
    let id = world.add("careless").await;
    let job = world.ended(id).await;
    assert_eq!((job.status, job.attempt), (Status::Failed, 3));
    assert_eq!(job.history.len(), 3);
    assert!(
        job.history
            .iter()
            .all(|attempt| attempt.error.code == "panic")
    );
    assert_eq!(world.dead().await, [id]);
    world.succeeded(world.add("quick").await).await;
    assert!(worker.is_running());
    worker.stop().await;
}

/// What a handler panics with; it fails once more when whoever caught it drops it.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("whoever dropped this fails");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_worker_itself_frees_the_slot() {
    let world = World::new();
    let breaking = handler(async |_| std::panic::panic_any(Bomb));
    let worker = world.worker(1, quick().with("breaking", breaking));
    let broken = world.add("breaking").await;
    world.succeeded(world.add("quick").await).await;
    assert_eq!(world.get(broken).await.status, Status::Running);
    worker.stop().await;
    world.store.reclaim().await.unwrap();
    assert_eq!(world.get(broken).await.status, Status::Queued);
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_clock_is_wrong_makes_no_job_wait_longer() {
    const DAY: Duration = Duration::from_secs(24 * 3_600);
    let world = World::new();
    let wrong = ManualClock::at(world.clock.now());
    wrong.advance(DAY);
    let first = AtomicBool::new(true);
    let flaky = handler(move |context| {
        let fails = first.swap(false, Ordering::SeqCst);
        async move {
            if fails {
                return Err(Failure::retry("flaky", "try again"));
            }
            context.done(&true)
        }
    });
    let handlers = Handlers::new().with("flaky", flaky);
    let worker = Running::start(world.link.clone(), handlers, wrong, config(1));
    let begun = Instant::now();
    let id = world
        .enqueue(NewJob {
            backoff: Backoff::default(),
            ..world.job("flaky")
        })
        .await;
    let job = world.succeeded(id).await;
    assert_eq!(job.attempt, 2);
    assert!(begun.elapsed() < DAY, "waited {:?}", begun.elapsed());
    worker.stop().await;
}
