//! What happens when jobs are handed in.

use std::time::Duration;

use lovage_core::broker::Enqueued;
use lovage_core::clock;
use lovage_core::job::{Idempotency, NewJob, Unique};
use lovage_core::limits;
use lovage_core::outcome::Outcome;
use lovage_core::payload::Payload;
use lovage_core::retry::Backoff;
use lovage_core::status::Status;

use crate::harness::Harness;

const WINDOW: Duration = Duration::from_secs(60);
const BEYOND: Duration = Duration::from_millis(1);

fn under_key(h: &Harness, key: &str, fingerprint: &str) -> NewJob {
    let idempotency = Idempotency {
        key: key.to_owned(),
        fingerprint: fingerprint.to_owned(),
    };
    NewJob {
        idempotency: Some(idempotency),
        ..h.job()
    }
}

fn unique(h: &Harness, key: &str, window: Option<Duration>) -> NewJob {
    let key = key.to_owned();
    NewJob {
        unique: Some(Unique { key, window }),
        ..h.job()
    }
}

async fn enqueue_one(h: &Harness, job: NewJob) -> Enqueued {
    h.enqueue_all(vec![job]).await.remove(0)
}

/// E1. Every field reads back as it was asked for, names and times included.
pub(crate) async fn an_enqueued_job_reads_back_as_it_was_asked_for(h: Harness) {
    let new = NewJob {
        queue: "films".parse().unwrap(),
        tenant: "studio-1".parse().unwrap(),
        priority: 7.try_into().unwrap(),
        input: Payload::parse("{ \"topic\": \"x\",  \"n\": 1.50 }").unwrap(),
        run_at: Some(clock::after(h.now(), WINDOW)),
        expires_at: Some(clock::after(h.now(), WINDOW * 2)),
        attempts_max: 9,
        timeout: Some(Duration::from_millis(1_234)),
        backoff: Backoff {
            base_ms: 7,
            cap_ms: 77,
        },
        session: Some("thread 1".into()),
        tags: vec!["b".into(), "a".into()],
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        keep: Duration::from_secs(5),
        keep_dead: Duration::from_secs(6),
        ..unique(&h, "key with spaces", Some(WINDOW))
    };
    let id = h.enqueue(new.clone()).await;
    let job = h.get(id).await;
    assert_eq!(job, lovage_core::lifecycle::enqueue(&new, h.now()));
    assert_eq!(job.status, Status::Scheduled);
}

/// E1. A job outlives the broker it was handed to.
pub(crate) async fn an_accepted_job_survives_its_producer(h: Harness) {
    let Some(producer) = h.reopen().await else {
        return;
    };
    let job = h.job();
    let id = job.id;
    let answers = producer.enqueue(vec![job], false).await.unwrap();
    assert_eq!(answers, [Enqueued::Accepted(id)]);
    drop(producer);
    let worker = h.worker().await;
    assert_eq!(h.claim_ids(worker, 1).await, [id]);
}

/// E1. An enqueue sent again after a lost answer is accepted and done once.
pub(crate) async fn an_enqueue_sent_again_happens_once(h: Harness) {
    let plain = h.job();
    let held = unique(&h, "u", None);
    for job in [&plain, &held] {
        h.enqueue(job.clone()).await;
        h.enqueue(job.clone()).await;
    }
    let keyed = under_key(&h, "k", "a");
    h.enqueue(keyed.clone()).await;
    let again = enqueue_one(&h, keyed.clone()).await;
    let same = [Enqueued::Accepted(keyed.id), Enqueued::Replayed(keyed.id)];
    assert!(same.contains(&again), "{again:?}");
    assert_eq!(h.stats().await.queued, 3);
    let worker = h.worker().await;
    assert_eq!(h.claim_ids(worker, 10).await, [plain.id, held.id, keyed.id]);
}

/// E1. An id the caller brought is the job's; another job cannot have it.
pub(crate) async fn a_brought_id_belongs_to_one_job(h: Harness) {
    let mut job = h.job();
    job.id = "6ba7b810-9dad-41d1-80b4-00c04fd430c8".parse().unwrap();
    let id = h.enqueue(job.clone()).await;
    let keyed = NewJob {
        idempotency: under_key(&h, "k", "a").idempotency,
        ..job.clone()
    };
    assert_eq!(enqueue_one(&h, keyed).await, Enqueued::IdTaken(id));
    job.input = Payload::parse("1").unwrap();
    assert_eq!(enqueue_one(&h, job).await, Enqueued::IdTaken(id));
    assert_eq!(h.get(id).await.input, Payload::null());
    assert_eq!(h.stats().await.queued, 1);
}

/// E2. The same key with the same body answers with the first job.
pub(crate) async fn an_idempotency_key_gives_the_same_job_again(h: Harness) {
    let id = h.enqueue(under_key(&h, "k", "a")).await;
    let again = enqueue_one(&h, under_key(&h, "k", "a")).await;
    assert_eq!(again, Enqueued::Replayed(id));
    let (worker, claimed) = (h.worker().await, id);
    assert_eq!(h.claim_ids(worker, 10).await, [claimed]);
    let running = enqueue_one(&h, under_key(&h, "k", "a")).await;
    assert_eq!(running, Enqueued::Replayed(id));
}

/// E2. A key holds although its job has finished.
pub(crate) async fn an_idempotency_key_outlives_the_end_of_its_job(h: Harness) {
    let (_, claimed) = h.running(under_key(&h, "k", "a")).await;
    h.settle(&claimed, Outcome::Done(Payload::null())).await;
    let again = enqueue_one(&h, under_key(&h, "k", "a")).await;
    assert_eq!(again, Enqueued::Replayed(claimed.job.id));
}

/// E2. The same key with another body is refused.
pub(crate) async fn an_idempotency_key_used_for_something_else_is_refused(h: Harness) {
    let id = h.enqueue(under_key(&h, "k", "a")).await;
    let other = under_key(&h, "k", "b");
    let refused = other.id;
    assert_eq!(enqueue_one(&h, other).await, Enqueued::KeyReused(id));
    assert_eq!(h.broker.get(&refused).await.unwrap(), None);
    assert_eq!(h.stats().await.queued, 1);
}

/// E2. After its window a key is new again.
pub(crate) async fn an_idempotency_key_is_forgotten_after_its_window(h: Harness) {
    h.enqueue(under_key(&h, "k", "a")).await;
    h.advance(limits::IDEMPOTENCY_WINDOW + BEYOND);
    h.enqueue(under_key(&h, "k", "b")).await;
}

/// E2, E3. Keys of other tenants and queues are other keys.
pub(crate) async fn keys_belong_to_one_tenant_of_one_queue(h: Harness) {
    let both = |fingerprint| NewJob {
        unique: unique(&h, "k", None).unique,
        ..under_key(&h, "k", fingerprint)
    };
    h.enqueue(both("a")).await;
    h.enqueue(NewJob {
        tenant: "other".parse().unwrap(),
        ..both("b")
    })
    .await;
    h.enqueue(NewJob {
        queue: "other".parse().unwrap(),
        ..both("c")
    })
    .await;
}

/// E2, E3. Jobs of one batch see one another's keys.
pub(crate) async fn keys_hold_inside_one_batch(h: Harness) {
    let jobs = vec![
        under_key(&h, "k", "a"),
        under_key(&h, "k", "a"),
        under_key(&h, "k", "b"),
        unique(&h, "u", None),
        unique(&h, "u", None),
    ];
    let (first, held) = (jobs[0].id, jobs[3].id);
    assert_eq!(
        h.enqueue_all(jobs).await,
        [
            Enqueued::Accepted(first),
            Enqueued::Replayed(first),
            Enqueued::KeyReused(first),
            Enqueued::Accepted(held),
            Enqueued::Duplicate(held),
        ]
    );
    assert_eq!(h.stats().await.queued, 2);
}

/// E3. A unique key is taken while its job is queued, running or waiting.
pub(crate) async fn a_unique_key_holds_until_its_job_is_final(h: Harness) {
    let (worker, first) = h.running(unique(&h, "u", None)).await;
    let id = first.job.id;
    let taken = Enqueued::Duplicate(id);
    assert_eq!(enqueue_one(&h, unique(&h, "u", None)).await, taken);
    let error = lovage_core::attempt::JobError::transient("x", "y");
    let after = Some(WINDOW);
    h.settle(&first, Outcome::Retry { error, after }).await;
    assert_eq!(enqueue_one(&h, unique(&h, "u", None)).await, taken);
    h.advance(WINDOW);
    h.extend(worker).await.unwrap();
    let second = h.claim_one(worker).await;
    h.settle(&second, Outcome::Done(Payload::null())).await;
    h.enqueue(unique(&h, "u", None)).await;
}

/// E3. Cancelling a queued job frees its key.
pub(crate) async fn cancel_frees_the_unique_key(h: Harness) {
    let id = h.enqueue(unique(&h, "u", None)).await;
    h.broker.cancel(&id).await.unwrap();
    h.enqueue(unique(&h, "u", None)).await;
}

/// E3. With a window the key is held that long, though the job is over.
pub(crate) async fn a_unique_window_outlives_the_end_of_its_job(h: Harness) {
    let (_, claimed) = h.running(unique(&h, "u", Some(WINDOW))).await;
    h.settle(&claimed, Outcome::Done(Payload::null())).await;
    let refused = enqueue_one(&h, unique(&h, "u", None)).await;
    assert_eq!(refused, Enqueued::Duplicate(claimed.job.id));
    h.advance(WINDOW + BEYOND);
    h.enqueue(unique(&h, "u", None)).await;
}

/// E3. A job whose window is over does not free the key of the next holder.
pub(crate) async fn a_late_end_does_not_free_another_jobs_unique_key(h: Harness) {
    let (_, late) = h.running(unique(&h, "u", Some(WINDOW))).await;
    h.advance(WINDOW + BEYOND);
    let holder = h.enqueue(unique(&h, "u", None)).await;
    h.settle(&late, Outcome::Done(Payload::null())).await;
    let refused = enqueue_one(&h, unique(&h, "u", None)).await;
    assert_eq!(refused, Enqueued::Duplicate(holder));
}

/// E3. In a plain batch each job is accepted or refused alone.
pub(crate) async fn a_refused_job_does_not_hold_up_its_batch(h: Harness) {
    let holder = h.enqueue(unique(&h, "u", None)).await;
    let jobs = vec![h.job(), unique(&h, "u", None), h.job()];
    let (one, two) = (jobs[0].id, jobs[2].id);
    assert_eq!(
        h.enqueue_all(jobs).await,
        [
            Enqueued::Accepted(one),
            Enqueued::Duplicate(holder),
            Enqueued::Accepted(two)
        ]
    );
    let worker = h.worker().await;
    assert_eq!(h.claim_ids(worker, 10).await, [holder, one, two]);
}

/// E3. One refusal keeps an atomic batch out, keys included.
pub(crate) async fn an_atomic_batch_is_stored_whole_or_not_at_all(h: Harness) {
    let holder = h.enqueue(unique(&h, "u", None)).await;
    let first = under_key(&h, "k", "a");
    let jobs = vec![first.clone(), unique(&h, "u", None), unique(&h, "v", None)];
    let answers = h.broker.enqueue(jobs.clone(), true).await.unwrap();
    assert_eq!(answers[1], Enqueued::Duplicate(holder));
    assert_eq!(answers.len(), 3);
    for job in &jobs {
        assert_eq!(h.broker.get(&job.id).await.unwrap(), None);
    }
    assert_eq!(h.stats().await.queued, 1);
    let whole = vec![first, unique(&h, "v", None)];
    let accepted: Vec<Enqueued> = whole.iter().map(|job| Enqueued::Accepted(job.id)).collect();
    assert_eq!(h.broker.enqueue(whole, true).await.unwrap(), accepted);
}

/// E2. A replay is no refusal: the rest of an atomic batch is stored.
pub(crate) async fn a_replay_does_not_refuse_an_atomic_batch(h: Harness) {
    let known = h.enqueue(under_key(&h, "k", "a")).await;
    let jobs = vec![under_key(&h, "k", "a"), h.job()];
    let new = jobs[1].id;
    let answers = h.broker.enqueue(jobs, true).await.unwrap();
    assert_eq!(
        answers,
        [Enqueued::Replayed(known), Enqueued::Accepted(new)]
    );
    assert_eq!(h.status(new).await, Status::Queued);
}

/// E1. A megabyte of input, and text of any script, come back byte for byte.
pub(crate) async fn large_and_foreign_payloads_come_back_byte_for_byte(h: Harness) {
    let large = format!("\"{}\"", "가나다 😀 \\u0000 ".repeat(46_000));
    let large = Payload::parse(&large).unwrap();
    assert!(large.as_str().len() > 1_000_000);
    let new = NewJob {
        input: large.clone(),
        session: Some("대화 – 1".into()),
        tags: vec!["뉴스".into(), "été".into()],
        ..unique(&h, "열쇠 🔑", None)
    };
    let (_, claimed) = h.running(new.clone()).await;
    assert_eq!(claimed.job.input, large);
    h.settle(&claimed, Outcome::Done(large.clone())).await;
    let job = h.get(claimed.job.id).await;
    assert_eq!(job.result, Some(large.clone()));
    assert_eq!(job.input, large);
    assert_eq!((job.asked.session, job.asked.tags), (new.session, new.tags));
}
