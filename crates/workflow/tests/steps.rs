//! Steps are not run twice, fan-out joins in order, failures stay where they happened.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lovage_workflow::Failure;
use lovage_workflow::memory::MemoryJournal;

#[tokio::test]
async fn a_finished_step_is_not_run_again_by_a_later_attempt() {
    let journal = Arc::new(MemoryJournal::default());
    let runs = AtomicUsize::new(0);
    let step = async || Ok(runs.fetch_add(1, Ordering::SeqCst));
    let first: usize = journal
        .attempt(1, &())
        .step("plan", &"topic", step)
        .await
        .unwrap();
    let second: usize = journal
        .attempt(2, &())
        .step("plan", &"topic", step)
        .await
        .unwrap();
    assert_eq!((first, second, runs.into_inner()), (0, 0, 1));
}

#[tokio::test]
async fn a_failed_step_is_run_again() {
    let journal = Arc::new(MemoryJournal::default());
    let failed = journal
        .attempt(1, &())
        .step("plan", &1, async || Err::<u8, _>(Failure::retry("x", "y")))
        .await;
    assert_eq!(failed, Err(Failure::retry("x", "y")));
    assert_eq!(
        journal
            .attempt(2, &())
            .step("plan", &1, async || Ok(7_u8))
            .await,
        Ok(7)
    );
}

#[tokio::test]
async fn a_step_of_one_name_met_twice_is_two_steps() {
    let context = Arc::new(MemoryJournal::default()).attempt(1, &());
    assert_eq!(context.step("page", &1, async || Ok(1_u8)).await, Ok(1));
    assert_eq!(context.step("page", &2, async || Ok(2_u8)).await, Ok(2));
}

#[tokio::test]
async fn equal_steps_get_their_stored_values_in_order() {
    let journal = Arc::new(MemoryJournal::default());
    for attempt in 1..3 {
        let context = journal.attempt(attempt, &());
        for roll in [4_u8, 2, 6] {
            let fresh = if attempt == 1 { roll } else { 0 };
            assert_eq!(
                context.step("roll", &(), async || Ok(fresh)).await,
                Ok(roll)
            );
        }
    }
}

#[tokio::test]
async fn a_step_whose_input_changed_runs_anew_and_the_others_keep_their_values() {
    let journal = Arc::new(MemoryJournal::default());
    let first = journal.attempt(1, &());
    assert_eq!(first.step("plan", &"v1", async || Ok(1_u8)).await, Ok(1));
    assert_eq!(first.step("search", &"q", async || Ok(2_u8)).await, Ok(2));
    for attempt in 2..4 {
        let later = journal.attempt(attempt, &());
        let planned = later
            .step("plan", &"v2", async || Ok(10 + attempt as u8))
            .await;
        assert_eq!(planned, Ok(12), "stored by the second attempt");
        assert_eq!(later.step("search", &"q", async || Ok(99_u8)).await, Ok(2));
    }
    let steps = journal.steps();
    let keys: Vec<_> = steps
        .iter()
        .map(|step| (step.step.as_str(), step.occurrence))
        .collect();
    assert_eq!(
        keys,
        [("plan", 0), ("search", 0), ("plan", 1)],
        "a store keeps the first value of a key"
    );
}

#[tokio::test]
async fn a_stored_value_of_another_shape_is_detected() {
    let journal = Arc::new(MemoryJournal::default());
    journal
        .attempt(1, &())
        .step("plan", &1, async || Ok("text".to_owned()))
        .await
        .unwrap();
    let failure = journal
        .attempt(2, &())
        .step("plan", &1, async || Ok(2_u8))
        .await
        .unwrap_err();
    assert!(matches!(failure, Failure::GiveUp { code, .. } if code == "replay_mismatch"));
}

#[tokio::test(start_paused = true)]
async fn fan_out_keeps_its_bound_its_order_and_its_failures() {
    let context = Arc::new(MemoryJournal::default()).attempt(1, &());
    let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let run = async |item: u64| {
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        // The later the item, the earlier it is done.
        tokio::time::sleep(std::time::Duration::from_millis(100 - item)).await;
        now.fetch_sub(1, Ordering::SeqCst);
        if item == 3 {
            Err(Failure::retry("odd", "three"))
        } else {
            Ok(item * 10)
        }
    };
    let results = context
        .fan_out("square", (0..8).collect(), 3, run)
        .await
        .unwrap();
    let expected: Vec<_> = (0..8)
        .map(|item| {
            if item == 3 {
                Err(Failure::retry("odd", "three"))
            } else {
                Ok(item * 10)
            }
        })
        .collect();
    assert_eq!(results, expected);
    assert_eq!(most.into_inner(), 3);
}

#[tokio::test]
async fn fan_out_runs_only_what_an_earlier_attempt_left() {
    let journal = Arc::new(MemoryJournal::default());
    let half = async |item: u32| {
        if item < 2 {
            Ok(item)
        } else {
            Err(Failure::retry("later", "not yet"))
        }
    };
    journal
        .attempt(1, &())
        .fan_out("item", vec![0, 1, 2, 3], 4, half)
        .await
        .unwrap();
    let runs = AtomicUsize::new(0);
    let all = async |item: u32| {
        runs.fetch_add(1, Ordering::SeqCst);
        Ok(item)
    };
    let results = journal
        .attempt(2, &())
        .fan_out("item", vec![0, 1, 2, 3], 4, all)
        .await
        .unwrap();
    assert_eq!(results, (0..4).map(Ok).collect::<Vec<_>>());
    assert_eq!(runs.into_inner(), 2);
}

#[tokio::test]
async fn a_stopped_attempt_drops_the_step_at_work_and_stores_nothing() {
    let journal = Arc::new(MemoryJournal::default());
    let context = journal.attempt(1, &());
    let stop = context.stop().clone();
    let step = async || {
        stop.cancel();
        std::future::pending::<Result<u8, Failure>>().await
    };
    assert_eq!(context.step("plan", &1, step).await, Err(Failure::Stopped));
    assert!(journal.steps().is_empty());
}

/// Handlers run on many threads: what they await has to be `Send`.
#[tokio::test]
async fn a_handler_of_steps_and_fan_out_can_move_between_threads() {
    use lovage_workflow::{Context, Handler, Payload};

    struct Recipe {
        factor: u32,
    }

    #[async_trait::async_trait]
    impl Handler for Recipe {
        async fn run(&self, context: Context) -> Result<Payload, Failure> {
            let base: u32 = context.input()?;
            let plan = context
                .step("plan", &base, || async { Ok(base * self.factor) })
                .await?;
            let parts = context
                .fan_out("part", vec![1, 2, plan], 2, |n: u32| async move {
                    Ok(n + self.factor)
                })
                .await?;
            context.done(&parts.into_iter().collect::<Result<Vec<_>, _>>()?)
        }
    }

    let context = Arc::new(MemoryJournal::default()).attempt(1, &4_u32);
    let handler = Arc::new(Recipe { factor: 10 });
    let attempt = tokio::spawn(async move { handler.run(context).await });
    assert_eq!(attempt.await.unwrap().unwrap().as_str(), "[11,12,50]");
}
