//! Poll, wait, list, cancel, run again.

use lovage_client::ListQuery;
use lovage_client::wire::{JobList, JobState, JobView};
use lovage_core::attempt::JobError;
use lovage_core::checkpoint::Checkpoint;
use lovage_core::outcome::Outcome;
use lovage_core::payload::Payload;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{SOON, Server, errors, event, header, problem, request};

#[tokio::test]
async fn an_unchanged_job_is_not_sent_again() {
    let server = Server::start().await;
    let job = server.enqueue().await;
    let path = job.links.this.as_str();
    let first = server.get(path).await;
    assert_eq!(first.status(), 200);
    assert_eq!(header(&first, "cache-control"), "no-cache, private");
    assert_eq!(header(&first, "retry-after"), "2");
    let tag = header(&first, "etag");
    assert!(
        tag.starts_with('"') && tag.ends_with('"'),
        "{tag} is not strong"
    );
    let again = || server.call(Method::GET, path).header("if-none-match", &tag);

    let unchanged = again().send().await.unwrap();
    assert_eq!(unchanged.status(), 304);
    assert_eq!(header(&unchanged, "etag"), tag);
    assert_eq!(unchanged.text().await.unwrap(), "");

    server.client.cancel(job.id).await.unwrap();
    let changed = again().send().await.unwrap();
    assert_eq!(changed.status(), 200);
    assert_ne!(header(&changed, "etag"), tag);
    assert!(changed.headers().get("retry-after").is_none());
}

#[tokio::test]
async fn a_job_shows_why_it_waits_where_it_stands_and_what_went_wrong() {
    let server = Server::start().await;
    let claimed = server.running().await;
    let progress = r#"{"step":"plan","current":1,"total":3,"message":"eins"}"#;
    let events = [event("progress", progress)];
    server.store.emit(&claimed, &events).await;
    let id = claimed.job.id.uuid();
    let running = server.client.job(id).await.unwrap();
    assert_eq!((running.state, running.attempt), (JobState::Running, 1));
    assert_eq!(running.waiting, None);
    let progress = running.progress.unwrap();
    assert_eq!(
        (progress.step.as_str(), progress.current, progress.total),
        ("plan", 1, 3)
    );

    let error = JobError::transient("llm_busy", "try later");
    let outcome = Outcome::Retry { error, after: None };
    server.store.settle(&claimed, outcome).await;
    let waiting = server.client.job(id).await.unwrap();
    assert_eq!(waiting.state, JobState::Waiting);
    let why = waiting.waiting.unwrap();
    assert_eq!(why.reason, "backoff");
    assert!(why.until.is_some());
    assert_eq!(waiting.error.unwrap().code, "llm_busy");
}

#[tokio::test]
async fn a_wait_returns_when_the_job_is_over() {
    let server = Server::start().await;
    let claimed = server.running().await;
    let path = format!("/v1/jobs/{}", claimed.job.id);
    let preferred = server
        .call(Method::GET, &path)
        .header("prefer", "wait=60")
        .send();
    let by_parameter = server.call(Method::GET, &format!("{path}?wait=60")).send();
    let by_client = server.client.wait(claimed.job.id.uuid(), SOON * 6);
    let finish = async {
        // Events in between do not end the wait.
        server.store.emit(&claimed, &[event("note", "1")]).await;
        let done = Outcome::Done(Payload::parse("{}").unwrap());
        server.store.settle(&claimed, done).await
    };
    let all = async { tokio::join!(preferred, by_parameter, by_client, finish) };
    let (preferred, by_parameter, by_client, _) = timeout(SOON, all).await.unwrap();
    let preferred = preferred.unwrap();
    assert_eq!(preferred.status(), 200);
    assert_eq!(header(&preferred, "preference-applied"), "wait=60");
    let preferred: JobView = preferred.json().await.unwrap();
    let by_parameter = by_parameter.unwrap();
    assert!(by_parameter.headers().get("preference-applied").is_none());
    let by_parameter: JobView = by_parameter.json().await.unwrap();
    assert_eq!(preferred.state, JobState::Succeeded);
    assert_eq!(by_parameter, preferred);
    assert_eq!(by_client.unwrap(), preferred);
}

#[tokio::test]
async fn a_wait_whose_time_is_up_answers_with_the_job_as_it_is() {
    let server = Server::start().await;
    let job = server.enqueue().await;
    let response = server.get(&format!("{}?wait=1", job.links.this)).await;
    assert_eq!(response.status(), 200);
    let seen: JobView = response.json().await.unwrap();
    assert_eq!(seen.state, JobState::Queued);
    let call = server.call(Method::GET, &job.links.this);
    let cut = call
        .header("prefer", "respond-async, wait=0")
        .send()
        .await
        .unwrap();
    assert_eq!(header(&cut, "preference-applied"), "wait=0");
    let refused = server.get(&format!("{}?wait=61", job.links.this)).await;
    assert_eq!(refused.status(), 422);
    let refused = problem(refused).await;
    assert_eq!(
        errors(&refused),
        [("wait", "expected 0 to 60 seconds, got \"61\"")]
    );
}

#[tokio::test]
async fn an_unknown_id_is_404_and_what_is_no_id_is_422() {
    let server = Server::start().await;
    let unknown = uuid::Uuid::from_u128(5);
    for rest in ["", "/result", "/events", "/checkpoints", "/children"] {
        let response = server.get(&format!("/v1/jobs/{unknown}{rest}")).await;
        assert_eq!(response.status(), 404, "{rest}");
        assert_eq!(problem(response).await.code, "job_unknown");
        let response = server.get(&format!("/v1/jobs/17{rest}")).await;
        assert_eq!(response.status(), 422, "{rest}");
        let problem = problem(response).await;
        let errors = errors(&problem);
        assert_eq!(errors[0].0, "job id");
        assert!(
            errors[0].1.starts_with("job id must be a UUID such as"),
            "{errors:?}"
        );
    }
    for verb in ["cancel", "retry"] {
        let response = server.post(&format!("/v1/jobs/{unknown}/{verb}")).await;
        assert_eq!(response.status(), 404, "{verb}");
        let response = server.post(&format!("/v1/jobs/%ff/{verb}")).await;
        assert_eq!(response.status(), 422, "{verb}");
    }
}

#[tokio::test]
async fn a_second_cancel_is_refused_with_the_state() {
    let server = Server::start().await;
    let job = server.enqueue().await;
    let path = job.links.cancel.unwrap();
    let first = server.post(&path).await;
    assert_eq!(first.status(), 202);
    let first: JobView = first.json().await.unwrap();
    assert_eq!(first.state, JobState::Cancelled);
    assert_eq!(first.links.cancel, None);
    let second = server.post(&path).await;
    assert_eq!(second.status(), 409);
    let problem = problem(second).await;
    assert_eq!(problem.code, "already_finished");
    assert_eq!(problem.state, Some(JobState::Cancelled));
}

#[tokio::test]
async fn a_running_job_is_asked_to_stop() {
    let server = Server::start().await;
    let claimed = server.running().await;
    let job = server.client.cancel(claimed.job.id.uuid()).await.unwrap();
    assert_eq!(job.state, JobState::Running);
    let told = server.store.extend(claimed.lease.token.worker).await;
    assert_eq!(told.unwrap(), [claimed.job.id]);
}

#[tokio::test]
async fn only_failed_and_cancelled_jobs_run_again() {
    let server = Server::start().await;
    let job = server.enqueue().await;
    let refused = server.post(&format!("{}/retry", job.links.this)).await;
    assert_eq!(refused.status(), 409);
    let refused = problem(refused).await;
    assert_eq!(refused.code, "not_retryable");
    assert_eq!(refused.state, Some(JobState::Queued));
    let cancelled = server.client.cancel(job.id).await.unwrap();
    assert!(cancelled.links.retry.is_some());
    let again = server.client.retry(job.id).await.unwrap();
    assert_eq!((again.state, again.attempt), (JobState::Queued, 0));
}

#[tokio::test]
async fn a_body_where_none_is_taken_is_refused() {
    let server = Server::start().await;
    let job = server.enqueue().await;
    let path = job.links.cancel.unwrap();
    let response = server
        .post_json(&path, &json!({"reason": "dropped?"}))
        .await;
    assert_eq!(response.status(), 422);
    assert_eq!(
        server.client.job(job.id).await.unwrap().state,
        JobState::Queued
    );
    let response = server.post_json(&path, &json!({})).await;
    assert_eq!(response.status(), 202);
}

#[tokio::test]
async fn a_listing_pages_to_its_end_and_narrows_by_every_filter() {
    let server = Server::start().await;
    for index in 0..5 {
        let mut request = request();
        request.tags = vec![format!("t{}", index % 2)];
        request.session = (index == 4).then(|| "s".to_owned());
        request.queue = (index == 3).then(|| "slow".to_owned());
        let job = server.client.enqueue(&request, None).await.unwrap();
        if index == 0 {
            server.client.cancel(job.id).await.unwrap();
        }
        server.store.advance(std::time::Duration::from_millis(5));
    }
    let mut path = "/v1/jobs?limit=2".to_owned();
    let mut seen = Vec::new();
    loop {
        let response = server.get(&path).await;
        let link = response
            .headers()
            .get("link")
            .map(|link| link.to_str().unwrap().to_owned());
        let page: JobList = response.json().await.unwrap();
        seen.extend(page.jobs.iter().map(|job| job.id));
        assert_eq!(link.is_some(), page.next_cursor.is_some());
        let Some(link) = link else { break };
        let (target, relation) = link.split_once(';').unwrap();
        assert_eq!(relation.trim(), "rel=\"next\"");
        assert!(target.contains("limit=2"));
        path = target.trim_matches(['<', '>']).to_owned();
    }
    let total = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!((total, seen.len()), (5, 5));

    let count = async |query: ListQuery| server.client.list(&query).await.unwrap().jobs.len();
    let all = ListQuery::default;
    let some = |text: &str| Some(text.to_owned());
    let states = vec![JobState::Cancelled, JobState::Failed];
    assert_eq!(count(ListQuery { states, ..all() }).await, 1);
    assert_eq!(
        count(ListQuery {
            queue: some("slow"),
            ..all()
        })
        .await,
        1
    );
    assert_eq!(
        count(ListQuery {
            kind: some("test.panics"),
            ..all()
        })
        .await,
        0
    );
    assert_eq!(
        count(ListQuery {
            session: some("s"),
            ..all()
        })
        .await,
        1
    );
    assert_eq!(
        count(ListQuery {
            tag: some("t1"),
            ..all()
        })
        .await,
        2
    );
    let later = server.store.now().to_string();
    assert_eq!(
        count(ListQuery {
            created_after: Some(later.clone()),
            ..all()
        })
        .await,
        0
    );
    assert_eq!(
        count(ListQuery {
            created_before: Some(later),
            ..all()
        })
        .await,
        5
    );
    let list: JobList = server
        .get("/v1/jobs?state=queued,cancelled&state=failed")
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(list.jobs.len(), 5);
}

#[tokio::test]
async fn a_parameter_of_a_listing_is_honoured_or_refused() {
    let server = Server::start().await;
    for (query, place) in [
        ("state=done", "state"),
        ("queue=A%20B", "queue"),
        ("kind=", "kind"),
        ("created_after=yesterday", "created_after"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=1&limit=2", "limit"),
        ("cursor=mine", "cursor"),
        ("sort=asc", "sort"),
    ] {
        let response = server.get(&format!("/v1/jobs?{query}")).await;
        assert_eq!(response.status(), 422, "{query}");
        assert_eq!(errors(&problem(response).await)[0].0, place);
    }
}

#[tokio::test]
async fn what_the_steps_stored_is_shown_in_order() {
    let server = Server::start().await;
    let claimed = server.running().await;
    for (occurrence, value) in [(0, "{ \"a\": 1.50 }"), (1, "null")] {
        let checkpoint = Checkpoint {
            step: "plan".to_owned(),
            occurrence,
            fingerprint: "f".to_owned(),
            value: Payload::parse(value).unwrap(),
        };
        server.store.checkpoint(&claimed, &checkpoint, &[]).await;
    }
    let path = format!("/v1/jobs/{}/checkpoints", claimed.job.id);
    let text = server.get(&path).await.text().await.unwrap();
    assert!(text.contains("\"value\":{ \"a\": 1.50 }"), "{text}");
    let list: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(list["checkpoints"][1]["occurrence"], 1);
}
