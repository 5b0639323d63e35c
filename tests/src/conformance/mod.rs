//! The broker's promises, one function each, named as a sentence.
//!
//! Every case is listed once, in [`broker_conformance!`](crate::broker_conformance),
//! with the id of the promise it holds a store to. Leases, delays and expiry
//! are tested by moving the clock, never by sleeping.

#![expect(
    clippy::unwrap_used,
    reason = "in a case, an error of the store is a broken promise"
)]

mod bounds;
pub mod cache;
mod cancel;
mod checkpoint;
mod children;
mod claim;
mod enqueue;
mod events;
mod expiry;
mod family;
mod lease;
mod limit;
pub mod limiter;
mod query;
mod settle;
mod signal;
mod unreadable;
mod upkeep;

use std::future::Future;

use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};

use crate::harness::Harness;

/// A named check of one promise.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// The promise as a sentence; also the name of the test.
    pub name: &'static str,
    /// Id of the promise in [`lovage_core::invariant::ALL`].
    pub invariant: &'static str,
    /// Panics where the store breaks the promise.
    pub run: fn(Harness) -> BoxFuture<'static, ()>,
}

/// Every case, by verb.
pub const CASES: &[Case] = crate::broker_conformance!(@each [registry]);

/// Runs the case of that name on a fresh store; `None` instead of a store skips it.
///
/// # Panics
/// When the store breaks the promise, or there is no such case.
pub async fn check(name: &str, harness: Option<Harness>) {
    let case = CASES.iter().find(|case| case.name == name);
    let case = case.unwrap_or_else(|| panic!("no case is named {name}"));
    if let Some(harness) = harness {
        (case.run)(harness).await;
    }
}

/// Cases that run at once in [`check_all`].
const AT_ONCE: usize = 8;

/// Runs every case, some at a time, each on an empty store that `fresh` gives:
/// for servers that take too long to start to be started for every case.
///
/// # Panics
/// Names the cases whose promises the store breaks.
pub async fn check_all<F>(fresh: impl Fn() -> F)
where
    F: Future<Output = Harness> + Send + 'static,
{
    let mut runs = Vec::with_capacity(CASES.len());
    for case in CASES {
        let harness = fresh();
        let run = async move { (case.run)(harness.await).await };
        runs.push(async move { (case.name, tokio::spawn(run).await) });
    }
    let ended: Vec<_> = stream::iter(runs).buffer_unordered(AT_ONCE).collect().await;
    let broken = ended.iter().filter(|(_, ended)| ended.is_err());
    let broken: Vec<&str> = broken.map(|(name, _)| *name).collect();
    assert!(broken.is_empty(), "broken promises: {broken:#?}");
}

/// Makes one `#[tokio::test]` per promise for a store.
///
/// Takes a factory: something to call without arguments that gives a future of
/// a [`Harness`](crate::harness::Harness), or of an `Option` of one, where
/// `None` skips. See the [crate] for an example.
#[macro_export]
macro_rules! broker_conformance {
    (@each [$($for:tt)*]) => {
        $crate::broker_conformance! { @expand [$($for)*]
            enqueue {
                an_enqueued_job_reads_back_as_it_was_asked_for: "E1",
                an_accepted_job_survives_its_producer: "E1",
                an_enqueue_sent_again_happens_once: "E1",
                a_brought_id_belongs_to_one_job: "E1",
                an_idempotency_key_gives_the_same_job_again: "E2",
                an_idempotency_key_outlives_the_end_of_its_job: "E2",
                an_idempotency_key_used_for_something_else_is_refused: "E2",
                an_idempotency_key_is_forgotten_after_its_window: "E2",
                keys_belong_to_one_tenant_of_one_queue: "E2",
                keys_hold_inside_one_batch: "E2",
                a_unique_key_holds_until_its_job_is_final: "E3",
                cancel_frees_the_unique_key: "E3",
                a_unique_window_outlives_the_end_of_its_job: "E3",
                a_late_end_does_not_free_another_jobs_unique_key: "E3",
                a_refused_job_does_not_hold_up_its_batch: "E3",
                an_atomic_batch_is_stored_whole_or_not_at_all: "E3",
                a_replay_does_not_refuse_an_atomic_batch: "E2",
                large_and_foreign_payloads_come_back_byte_for_byte: "E1",
            }
            claim {
                a_claimed_job_is_running_under_its_token: "C1",
                concurrent_workers_get_every_job_exactly_once: "C1",
                a_worker_can_ask_what_it_holds: "C1",
                a_lane_is_first_in_first_out: "C2",
                concurrent_claims_keep_the_order_of_the_lane: "C2",
                due_jobs_join_the_lane_in_order_of_time: "C2",
                a_higher_priority_is_claimed_first: "C3",
                a_higher_priority_goes_before_a_tenants_share: "C3",
                one_claim_shares_between_tenants: "C3",
                many_claims_share_between_tenants: "C3",
                a_late_tenant_is_not_starved_and_does_not_starve: "C3",
                a_tenants_jobs_keep_their_order_inside_its_share: "C3",
                a_paused_queue_gives_nothing_and_loses_nothing: "C4",
                a_paused_queue_lets_running_jobs_end: "C4",
                a_pause_lasts_over_restarts: "C4",
                a_claim_gives_jobs_of_its_own_queue_only: "C4",
                a_claim_never_gives_more_than_was_asked_for: "C5",
                a_claim_is_bounded: "C5",
                an_unknown_worker_gets_nothing: "L2",
                a_delayed_job_is_given_at_its_time: "P1",
                a_claim_says_when_the_next_job_is_due: "P1",
                any_number_of_due_jobs_is_promoted_in_time: "P1",
                an_expired_job_is_not_given: "S3",
                a_job_started_in_time_may_end_late: "S3",
                an_enqueue_wakes_a_waiting_worker: "C5",
                work_that_is_there_already_wakes_at_once: "C5",
                whatever_makes_work_wakes_a_waiting_worker: "C5",
                a_worker_that_wants_no_work_is_not_woken_for_it: "C5",
            }
            lease {
                a_worker_that_extends_keeps_its_jobs: "L1",
                a_late_worker_that_was_not_swept_goes_on: "L1",
                a_sweep_takes_nothing_from_a_live_worker: "L1",
                a_silent_worker_loses_all_its_jobs: "L2",
                a_swept_worker_stays_lost: "L2",
                a_deregistered_worker_loses_its_jobs_at_the_next_sweep: "L2",
                a_reclaimed_job_goes_to_the_front_of_its_lane: "L2",
                a_job_that_kills_its_workers_runs_out_of_attempts: "L2",
                many_dead_workers_are_all_swept: "L2",
                whoever_lost_a_job_cannot_write_about_it: "L3",
                a_zombie_cannot_touch_the_next_attempt: "L3",
                no_token_is_given_twice: "C1",
                a_settled_job_takes_no_more_writes: "L3",
                a_made_up_lease_is_refused: "L3",
                a_sweep_and_a_settle_at_once_agree: "C1",
                another_process_takes_over_the_jobs_of_a_dead_one: "R1",
            }
            checkpoint {
                a_checkpoint_is_seen_by_every_later_attempt: "S4",
                a_checkpoint_is_written_once: "S4",
                checkpoints_come_back_in_the_order_they_were_stored: "S4",
                a_checkpoint_brings_its_events: "S4",
                a_large_checkpoint_comes_back_whole: "S4",
                a_redriven_job_keeps_its_checkpoints: "S4",
                a_lease_from_before_a_redrive_is_refused: "L3",
                a_job_without_steps_has_no_checkpoints: "S4",
            }
            settle {
                a_finish_changes_everything_together: "S1",
                a_fenced_settle_changes_nothing: "S1",
                settles_of_one_call_are_judged_alone: "S1",
                the_largest_batch_settles_in_one_call: "S1",
                a_settle_sent_again_happens_once: "S2",
                a_settle_sent_again_late_does_not_disturb_the_next_attempt: "S2",
                the_first_settle_under_a_token_stands: "S2",
                a_final_job_never_changes: "S3",
                a_failed_job_is_redriven_with_all_its_attempts: "S3",
                a_redriven_job_needs_its_unique_key: "S3",
                redrive_of_an_unknown_job_finds_nothing: "S3",
                a_retry_waits_and_uses_the_attempt: "P1",
                the_last_failed_attempt_ends_the_job: "P1",
                parking_does_not_use_an_attempt: "P1",
                a_waiting_job_survives_a_restart: "P1",
                a_released_job_is_first_again_and_not_charged: "P1",
                every_ending_is_counted: "S1",
            }
            cancel {
                a_queued_job_is_cancelled_at_once: "K1",
                a_scheduled_job_is_cancelled_at_once: "K1",
                a_waiting_job_is_cancelled_at_once: "K1",
                a_running_job_is_asked_to_stop: "K1",
                a_second_request_to_stop_changes_nothing: "K1",
                other_workers_are_not_told_to_stop: "K1",
                a_cancel_wakes_the_worker: "K1",
                a_cancel_from_before_the_wait_wakes_at_once: "K1",
                a_job_that_settles_before_it_stops_has_settled: "K1",
                a_job_asked_to_stop_never_goes_back_to_its_lane: "K1",
                a_job_asked_to_stop_is_not_reclaimed_to_run_again: "K1",
                a_job_that_does_not_stop_is_cancelled_anyway: "K2",
                a_cancel_that_comes_too_late_says_so: "K1",
                a_job_cancelled_in_its_lane_and_redriven_is_given_once: "C1",
                a_job_cancelled_before_its_time_and_redriven_is_given_once: "C1",
                a_claim_and_a_cancel_at_once_agree: "C1",
            }
            limit {
                a_queue_takes_no_more_than_its_length: "C6",
                lanes_share_by_weight: "C3",
                one_claim_shares_by_weight: "C3",
                a_light_tenant_is_not_starved: "C3",
                new_weights_hold_from_now_on: "C3",
                a_queue_runs_no_more_at_once_than_its_limit: "C6",
                every_end_of_an_attempt_frees_its_place: "C6",
                a_lower_limit_lets_running_jobs_go_on: "C6",
                concurrent_claims_stay_within_the_limits: "C6",
                a_queue_starts_no_more_per_time_than_its_rate: "C6",
                a_job_started_again_counts_again: "C6",
                a_claim_says_when_the_rate_allows_the_next: "C6",
                a_full_queue_names_no_time: "C6",
                only_another_rate_starts_anew: "C6",
                limits_last_over_restarts: "C6",
                limits_belong_to_one_queue: "C6",
                a_freed_place_wakes_a_waiting_worker: "C6",
                jobs_held_back_wake_nobody: "C6",
                jobs_held_back_keep_their_order: "C6",
                a_paused_queue_keeps_its_limits: "C4",
            }
            children {
                children_wait_in_their_parents_queue: "P2",
                a_spawn_is_an_event_of_the_parent: "P2",
                a_group_is_stored_once: "P2",
                an_empty_group_is_waited_for_by_nobody: "P2",
                a_parent_goes_on_when_its_children_are_over: "P2",
                a_parent_whose_children_are_over_does_not_wait: "P2",
                the_first_failure_is_enough: "P2",
                without_a_failure_the_last_child_ends_the_wait: "P2",
                a_child_cancelled_in_its_lane_is_over: "P2",
                a_child_cancelled_while_it_runs_is_over: "P2",
                a_child_that_ran_out_is_over: "P2",
                a_child_that_a_claim_finds_too_late_is_over: "P2",
                a_child_that_goes_on_is_not_over: "P2",
                children_that_end_at_once_queue_their_parent_once: "P2",
                the_end_of_a_child_sent_again_changes_nothing: "P2",
                a_parent_waits_no_longer_than_its_time: "P2",
                a_redriven_child_is_waited_for_again: "P2",
                a_waiting_parent_survives_a_restart: "P2",
                children_and_parents_wake_a_waiting_worker: "P2",
                children_have_children: "P2",
                a_job_whose_id_is_taken_stands_for_the_child: "P2",
                whoever_lost_a_job_spawns_nothing: "L3",
                a_job_without_children_has_none: "P2",
                a_forgotten_child_has_ended: "P2",
                a_later_attempt_reads_its_childrens_results: "S4",
            }
            family {
                a_cancelled_parent_takes_its_children_with_it: "K1",
                a_running_parent_is_asked_and_its_children_are_cancelled: "K1",
                a_cancel_too_late_leaves_the_children: "K1",
                a_redriven_parent_takes_its_failed_children_with_it: "S3",
                a_family_in_a_circle_is_walked_once: "K1",
                a_refused_redrive_leaves_the_children: "E3",
            }
            signal {
                a_signal_reaches_a_waiting_job: "P3",
                a_signal_before_the_wait_is_kept: "P3",
                the_first_value_of_a_signal_stays: "P3",
                one_of_many_values_at_once_is_delivered: "P3",
                another_name_does_not_end_the_wait: "P3",
                a_signal_does_not_end_another_wait: "P3",
                a_signal_stands_in_order_among_checkpoints: "P3",
                a_signal_that_comes_too_late_says_so: "P3",
                a_job_waits_for_a_signal_no_longer_than_its_time: "P3",
                a_signal_wakes_workers_and_watchers: "P3",
                a_signal_through_another_process_arrives: "P3",
                a_redriven_job_keeps_its_signals: "P3",
                a_job_that_waits_for_a_signal_can_be_cancelled: "P1",
            }
            expiry {
                an_unclaimed_job_ends_in_time: "E4",
                a_job_of_a_paused_queue_ends_in_time: "E4",
                a_started_job_does_not_expire: "E4",
                a_late_job_lets_go_of_what_it_held: "E4",
                a_redriven_job_does_not_expire_again: "E4",
                any_number_of_late_jobs_is_ended: "E4",
                a_sweep_and_a_claim_end_a_late_job_once: "E4",
            }
            unreadable {
                a_damaged_record_goes_to_the_dead_list: "D1",
                a_record_without_a_head_goes_to_the_dead_list: "D1",
                an_unreadable_child_has_failed: "D1",
                a_record_of_a_newer_program_is_left_to_it: "D1",
                a_listing_goes_on_behind_what_cannot_be_read: "D1",
                a_sweep_goes_on_behind_what_cannot_be_read: "D1",
            }
            bounds {
                an_input_is_bounded: "E1",
                a_batch_is_bounded: "E1",
                a_batch_of_settles_is_bounded: "S1",
                the_largest_result_is_kept: "S1",
                a_checkpoint_is_bounded: "S4",
                a_signal_is_bounded: "P3",
                children_are_bounded: "P2",
                weights_are_bounded: "C6",
                the_longest_names_and_keys_are_kept: "E1",
                names_of_groups_and_signals_are_bounded: "P2",
                a_page_of_a_listing_is_bounded: "Q2",
                the_events_of_a_job_are_bounded: "V1",
            }
            events {
                events_have_one_increasing_sequence: "V1",
                a_cursor_misses_nothing_and_repeats_nothing: "V1",
                the_final_event_says_how_the_job_ended: "V1",
                a_redrive_continues_the_sequence: "V1",
                a_fresh_job_has_no_events: "V1",
                the_events_of_an_unknown_job_are_nothing: "V1",
                a_page_of_events_is_bounded: "V1",
                a_reader_is_told_when_events_are_gone: "V1",
                a_wait_without_news_ends_in_time: "V1",
                a_wait_with_news_does_not_wait: "V1",
                a_watcher_is_woken_by_news: "V1",
                a_watcher_is_woken_by_the_end_of_a_queued_job: "V1",
                a_watcher_is_woken_by_another_process: "V1",
                a_watcher_sees_its_own_job_only: "V1",
                the_last_progress_is_shown_in_the_job: "V1",
            }
            query {
                the_counts_equal_a_full_scan: "Q1",
                the_counts_survive_cancel_and_redrive: "Q1",
                every_queue_is_counted_for_itself: "Q1",
                jobs_are_listed_by_state: "Q2",
                a_listing_shows_jobs_without_their_results: "Q2",
                a_listing_shows_unfinished_jobs_first_and_then_the_newest: "Q2",
                every_field_of_a_filter_narrows: "Q2",
                jobs_that_stay_are_listed_exactly_once_while_others_move: "Q2",
                a_long_listing_is_complete: "Q2",
                a_strange_cursor_is_refused: "Q2",
                an_empty_store_lists_nothing: "Q2",
            }
            upkeep {
                a_job_is_known_until_its_tombstone_is_gone: "S3",
                prune_forgets_only_what_is_gone: "S3",
                a_dead_job_is_kept_longer: "S3",
                a_redriven_job_is_not_pruned: "S3",
                an_unfinished_job_is_never_forgotten: "S3",
                another_process_finds_everything_as_it_was: "R1",
                a_store_answers_a_ping: "R1",
            }
        }
    };
    (@expand [registry] $($verb:ident { $($case:ident: $invariant:literal,)* })*) => {
        &[$($($crate::conformance::Case {
            name: stringify!($case),
            invariant: $invariant,
            run: |harness| Box::pin($verb::$case(harness)),
        },)*)*]
    };
    (@expand [tests $factory:expr] $($verb:ident { $($case:ident: $invariant:literal,)* })*) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let harness = ($factory)().await;
                $crate::conformance::check(stringify!($case), harness.into()).await;
            }
        )*)*
    };
    ($factory:expr) => {
        $crate::broker_conformance!(@each [tests $factory]);
    };
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::panic::AssertUnwindSafe;
    use std::sync::Arc;
    use std::time::Duration;

    use futures_util::FutureExt;
    use lovage_core::{invariant, limits};

    use super::*;
    use crate::clock::ManualClock;
    use crate::model::ModelBroker;

    #[tokio::test]
    #[should_panic(expected = "left == right")]
    async fn a_case_fails_where_its_promise_is_broken() {
        let (clock, lease) = (ManualClock::default(), limits::LEASE);
        let model = ModelBroker::new(clock.clone(), lease * 2);
        let harness = Harness::new(Arc::new(model), clock, lease);
        check("a_silent_worker_loses_all_its_jobs", Some(harness)).await;
    }

    #[tokio::test]
    async fn all_cases_run_and_the_broken_ones_are_named() {
        let fresh = |lease: Duration| {
            let clock = ManualClock::default();
            let model = ModelBroker::new(clock.clone(), lease);
            async move { Harness::new(Arc::new(model), clock, limits::LEASE) }
        };
        check_all(|| fresh(limits::LEASE)).await;
        let broken = AssertUnwindSafe(check_all(|| fresh(limits::LEASE * 2)));
        let told = broken.catch_unwind().await.unwrap_err();
        let told = told.downcast_ref::<String>().unwrap();
        assert!(
            told.contains("a_silent_worker_loses_all_its_jobs"),
            "{told}"
        );
    }

    #[tokio::test]
    async fn a_case_without_a_store_is_skipped() {
        for case in CASES {
            check(case.name, None).await;
        }
    }

    #[test]
    fn every_case_has_a_name_of_its_own() {
        let names: BTreeSet<&str> = CASES.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), CASES.len());
    }

    #[test]
    fn every_case_names_a_promise() {
        for case in CASES {
            let known = invariant::ALL.iter().any(|inv| inv.id == case.invariant);
            assert!(known, "{} names {}", case.name, case.invariant);
        }
    }

    #[test]
    fn every_promise_has_a_case() {
        for promise in invariant::ALL {
            let kept = CASES.iter().any(|case| case.invariant == promise.id);
            assert!(kept, "no case for {}: {}", promise.id, promise.promise);
        }
    }
}
