//! The five ways to talk to `lovage up` with curl, and what it answers to a caller's mistakes.

use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::process::{Program, Server, http};

const TOPIC: &str = "Lumen Bay tidal battery";

async fn up() -> Server {
    Program::new(["up", "--listen", "127.0.0.1:0"])
        .serve()
        .await
}

fn script(topic: &str) -> Value {
    json!({"kind": "script.generate", "input": {"topic": topic}})
}

fn header(response: &reqwest::Response, name: &str) -> String {
    let value = response.headers().get(name);
    value.map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
}

/// Enqueues, and gives the path of the job.
async fn enqueue(server: &Server, body: &Value) -> String {
    let response = server.post("/v1/jobs", body).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    header(&response, "location")
}

#[tokio::test]
async fn enqueue_wait_and_read_the_result_in_every_format() {
    let server = up().await;
    let response = server.post("/v1/jobs", &script(TOPIC)).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let path = header(&response, "location");
    assert!(!header(&response, "retry-after").is_empty());
    let job: Value = response.json().await.unwrap();
    assert_eq!(path, format!("/v1/jobs/{}", job["id"].as_str().unwrap()));

    let done = server.json(&format!("{path}?wait=60")).await;
    assert_eq!(done["state"], "succeeded", "{done}");
    let seen = server.get(&path).await;
    let unchanged = http().get(format!("{}{path}", server.url));
    let unchanged = unchanged.header("if-none-match", header(&seen, "etag"));
    assert_eq!(
        unchanged.send().await.unwrap().status(),
        StatusCode::NOT_MODIFIED
    );

    let result = server.json(&format!("{path}/result")).await;
    assert_eq!(
        (&result["status"], &result["job_id"]),
        (&json!("ok"), &job["id"])
    );
    let mut each = json!({"json": result});
    for (format, content_type) in [
        ("markdown", "text/markdown; charset=utf-8"),
        ("chat", "text/plain; charset=utf-8"),
        ("graph", "application/json"),
    ] {
        let response = server.get(&format!("{path}/result?format={format}")).await;
        assert_eq!(header(&response, "content-type"), content_type);
        let text = response.text().await.unwrap();
        assert!(!text.is_empty());
        each[format] = match content_type {
            "application/json" => serde_json::from_str(&text).unwrap(),
            _ => Value::String(text),
        };
    }
    assert_eq!(
        server.json(&format!("{path}/result?format=all")).await,
        each
    );
    graphs(&server, &path).await;
}

/// A graph in the shape of each viewer, with and without its lines, and what is refused.
async fn graphs(server: &Server, path: &str) {
    let shape = async |query: &str| server.json(&format!("{path}/result?{query}")).await;
    let count = |nodes: &Value| nodes.as_array().unwrap().len();
    let nodes = count(&shape("format=graph").await["nodes"]);
    let lines = shape("format=graph&for=canonical&lines=true").await;
    assert!(count(&lines["nodes"]) > nodes);
    for (viewer, nodes_at, edges_at) in [
        ("canonical", "/nodes/0/id", "/edges/0/source"),
        ("reactflow", "/nodes/0/position/x", "/edges/0/source"),
        (
            "cytoscape",
            "/elements/nodes/0/data/id",
            "/elements/edges/0/data/source",
        ),
        ("d3", "/nodes/0/id", "/links/0/source"),
    ] {
        for query in [
            format!("format=graph&for={viewer}"),
            format!("format=all&for={viewer}"),
        ] {
            let shown = shape(&query).await;
            let graph = if query.contains("all") {
                &shown["graph"]
            } else {
                &shown
            };
            let places = [graph.pointer(nodes_at), graph.pointer(edges_at)];
            assert!(places.iter().all(Option::is_some), "{viewer}: {graph}");
        }
    }
    for (query, parameter, said) in [
        (
            "for=d3",
            "for",
            "expected with format graph or all only, got it with format json",
        ),
        (
            "format=markdown&lines=true",
            "lines",
            "expected with format graph or all only, got it with format markdown",
        ),
        (
            "format=graph&for=dot",
            "for",
            "expected one of canonical, reactflow, cytoscape, d3, got \"dot\"",
        ),
        (
            "format=graph&lines=1",
            "lines",
            "expected one of false, true, got \"1\"",
        ),
        (
            "format=pdf",
            "format",
            "there is no format \"pdf\" of this result; there is json, markdown, chat, graph, all",
        ),
    ] {
        let response = server.get(&format!("{path}/result?{query}")).await;
        assert_eq!(
            response.status(),
            StatusCode::UNPROCESSABLE_ENTITY,
            "{query}"
        );
        let problem: Value = response.json().await.unwrap();
        let error = &problem["errors"][0];
        assert_eq!(
            (&error["parameter"], &error["detail"]),
            (&json!(parameter), &json!(said))
        );
    }
}

#[tokio::test]
async fn the_events_stream_to_the_end_and_again_from_any_point() {
    let server = up().await;
    let path = enqueue(&server, &script(TOPIC)).await;
    let stream = |after: u64| {
        let url = format!("{}{path}/events", server.url);
        let request = http().get(url).header("accept", "text/event-stream");
        let request = request.header("last-event-id", after);
        async move { request.send().await.unwrap().text().await.unwrap() }
    };
    let whole = stream(0).await;
    for kind in [
        "attempt_started",
        "step_started",
        "step_finished",
        "succeeded",
    ] {
        assert!(
            whole.contains(&format!("event: {kind}\n")),
            "{kind}: {whole}"
        );
    }
    let ids = ids(&whole);
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    let middle = ids[ids.len() / 2];
    let rest: Vec<u64> = ids.iter().copied().filter(|id| *id > middle).collect();
    assert_eq!(self::ids(&stream(middle).await), rest);
    let page = server
        .json(&format!("{path}/events?after={middle}&limit=500"))
        .await;
    assert_eq!(page["events"].as_array().unwrap().len(), rest.len());
    assert_eq!(page["ended"], true);
}

fn ids(stream: &str) -> Vec<u64> {
    let lines = stream.lines().filter_map(|line| line.strip_prefix("id: "));
    lines.map(|id| id.parse().unwrap()).collect()
}

#[tokio::test]
async fn the_same_idempotency_key_gives_the_same_job_however_often_it_is_sent() {
    let server = up().await;
    let send = |body: Value| {
        let request = http().post(format!("{}/v1/jobs", server.url));
        let request = request.header("idempotency-key", "order-7").json(&body);
        async move { request.send().await.unwrap() }
    };
    let answers = join_all((0..8).map(|_| send(script(TOPIC)))).await;
    let paths: Vec<String> = answers.iter().map(|one| header(one, "location")).collect();
    assert!(
        paths
            .iter()
            .all(|path| *path == paths[0] && !path.is_empty()),
        "{paths:?}"
    );
    let replayed = answers
        .iter()
        .filter(|one| header(one, "idempotency-replayed") == "true");
    assert_eq!(replayed.count(), 7);
    assert_eq!(
        send(script("another topic")).await.status(),
        StatusCode::UNPROCESSABLE_ENTITY
    );
    let jobs = server.json("/v1/jobs").await;
    assert_eq!(jobs["jobs"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn cancel_retry_and_list() {
    let server = up().await;
    let mut later = script(TOPIC);
    later["delay_s"] = 3600.into();
    later["tags"] = json!(["night"]);
    let path = enqueue(&server, &later).await;
    let job = server.json(&path).await;
    assert_eq!(
        (&job["state"], &job["waiting"]["reason"]),
        (&"scheduled".into(), &"scheduled".into())
    );

    let cancelled = server.ask(&format!("{path}/cancel")).await;
    assert_eq!(cancelled.status(), StatusCode::ACCEPTED);
    let again = server.ask(&format!("{path}/cancel")).await;
    assert_eq!(again.status(), StatusCode::CONFLICT);
    let listed = server.json("/v1/jobs?state=cancelled&tag=night").await;
    assert_eq!(listed["jobs"].as_array().unwrap().len(), 1, "{listed}");

    let retried = server.ask(&format!("{path}/retry")).await;
    assert_eq!(retried.status(), StatusCode::ACCEPTED);
    let done = server.json(&format!("{path}?wait=60")).await;
    assert_eq!(done["state"], "succeeded", "{done}");
}

#[tokio::test]
async fn a_batch_answers_for_each_job() {
    let server = up().await;
    let jobs = json!({"jobs": [script(TOPIC), {"kind": "no.such", "input": {}}, script("")]});
    let answer = server.post("/v1/batches", &jobs).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let answer: Value = answer.json().await.unwrap();
    let items = answer["items"].as_array().unwrap();
    let statuses: Vec<u64> = items
        .iter()
        .map(|item| item["status"].as_u64().unwrap())
        .collect();
    assert_eq!(statuses, [202, 422, 422], "{answer}");
    let path = format!("/v1/jobs/{}?wait=60", items[0]["id"].as_str().unwrap());
    assert_eq!(server.json(&path).await["state"], "succeeded");
}

#[tokio::test]
async fn mistakes_are_told_by_place_and_change_nothing() {
    let server = up().await;
    let mut typo = script(TOPIC);
    typo["prioritty"] = 9.into();
    let long = script(&"x".repeat(501));
    for (body, place) in [(typo, "prioritty"), (long, "/input/topic")] {
        let answer = server.post("/v1/jobs", &body).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(header(&answer, "content-type"), "application/problem+json");
        let problem = answer.text().await.unwrap();
        assert!(problem.contains(place), "{problem}");
    }
    let url = format!("{}/v1/jobs", server.url);
    let broken = http()
        .post(&url)
        .header("content-type", "application/json")
        .body("{\"kind\":");
    assert_eq!(
        broken.send().await.unwrap().status(),
        StatusCode::BAD_REQUEST
    );
    let untyped = http().post(&url).body("kind=script.generate");
    assert_eq!(
        untyped.send().await.unwrap().status(),
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    let large = http().post(&url).header("content-type", "application/json");
    let large = large.body(format!("\"{}\"", "x".repeat(3 << 20)));
    assert_eq!(
        large.send().await.unwrap().status(),
        StatusCode::PAYLOAD_TOO_LARGE
    );
    let unknown = server
        .get("/v1/jobs/01890a5d-ac96-774b-bcce-b302099a8057")
        .await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    assert_eq!(
        server.get("/v1/jobs/7").await.status(),
        StatusCode::UNPROCESSABLE_ENTITY
    );
    assert_eq!(server.json("/v1/jobs").await["jobs"], json!([]));
}

#[tokio::test]
async fn probes_and_the_contract_are_there() {
    let server = up().await;
    assert_eq!(server.json("/healthz").await["ok"], true);
    assert_eq!(server.json("/readyz").await["ok"], true);
    let openapi = server.json("/openapi.json").await;
    assert!(openapi["paths"]["/v1/jobs"]["post"].is_object());
    let result = &openapi["paths"]["/v1/jobs/{id}/result"]["get"]["parameters"];
    let named = |name: &str| {
        result
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["name"] == name)
    };
    let viewers = json!(["canonical", "reactflow", "cytoscape", "d3"]);
    assert_eq!(named("for").unwrap()["schema"]["enum"], viewers);
    let formats = named("format").unwrap()["description"].as_str().unwrap();
    let scripts = "`script.generate`: `markdown`, `chat`, `graph`";
    assert!(formats.contains(scripts), "{formats}");
}
