//! JSON from models that take it in different ways.

use super::*;

/// A provider that refuses these parameters, each in its own words.
fn picky(refused: &'static [(&'static str, &'static str)]) -> impl Fn(&Value) -> Answer {
    move |request| {
        let sent = |parameter: &str| match parameter {
            "json_schema" => request["response_format"]["type"] == "json_schema",
            parameter => !request[parameter].is_null(),
        };
        match refused.iter().find(|(parameter, _)| sent(parameter)) {
            Some((_, complaint)) => openai_error(400, "unsupported", complaint),
            None => Answer::says(r#"Here: {"ok": true}"#, request),
        }
    }
}

#[tokio::test]
async fn what_a_model_refuses_is_left_out_and_remembered() {
    let provider = StandIn::start().await;
    provider.respond_with(picky(&[
        (
            "json_schema",
            "'response_format' of type 'json_schema' is not supported",
        ),
        ("response_format", "Unknown parameter: 'response_format'"),
        (
            "temperature",
            "Unsupported value: 'temperature' does not support 0.2",
        ),
        (
            "max_tokens",
            "'max_tokens' is not supported. Use 'max_completion_tokens' instead.",
        ),
        (
            "stream_options",
            "stream_options: Extra inputs are not permitted",
        ),
    ]));
    let model = open(config(provider.url()));
    let sink = Arc::<Recorder>::default();
    let first = model.stream(&ask_json("hello"), sink).await.unwrap();
    assert_eq!(first.text, r#"{"ok": true}"#);
    assert_eq!(first.calls, 6);
    let second = model.complete(&ask_json("hello")).await.unwrap();
    assert_eq!(second.calls, 1);
    let last = &provider.received()[6].body;
    assert_eq!(last["max_completion_tokens"], 500);
    for dropped in ["response_format", "temperature", "max_tokens"] {
        assert!(last[dropped].is_null(), "{dropped}");
    }
}

#[tokio::test]
async fn every_rung_asks_for_the_schema_in_words_too() {
    let provider = StandIn::start().await;
    provider.respond_with(picky(&[(
        "json_schema",
        "response_format.json_schema is unknown",
    )]));
    let model = open(config(provider.url()));
    model.complete(&ask_json("hello")).await.unwrap();
    let received = provider.received();
    let first = &received[0].body["response_format"];
    assert_eq!(first["json_schema"]["name"], "verdict");
    assert_eq!(first["json_schema"]["strict"], true);
    let second = &received[1].body["response_format"];
    assert_eq!(*second, json!({"type": "json_object"}));
    for request in &received {
        let system = request.body["messages"][0]["content"].as_str().unwrap();
        assert!(system.contains("JSON Schema") && system.contains(r#""required":["ok"]"#));
    }
}

#[tokio::test]
async fn a_parameter_refused_for_ever_ends_the_call() {
    let provider = StandIn::start().await;
    provider.respond_with(|_| openai_error(400, "x", "max_tokens is unknown"));
    let model = open(config(provider.url()));
    let error = model.complete(&ask("hello")).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unsupported);
    assert_eq!(provider.calls(), 2);
}

#[tokio::test]
async fn bad_json_is_asked_for_once_more_with_the_complaint_quoted() {
    let provider = StandIn::start().await;
    provider.respond_with(|request| {
        let corrected = request["messages"][3]["content"].is_string();
        let text = if corrected {
            "```json\n{\"ok\": 1}\n```"
        } else {
            "I would say yes."
        };
        Answer::says(text, request)
    });
    let model = open(config(provider.url()));
    let response = model.complete(&ask_json("hello")).await.unwrap();
    assert_eq!((response.text.as_str(), response.calls), ("{\"ok\": 1}", 2));
    let messages = &provider.received()[1].body["messages"];
    assert_eq!(
        messages[2],
        json!({"role": "assistant", "content": "I would say yes."})
    );
    let complaint = messages[3]["content"].as_str().unwrap();
    assert!(
        complaint.contains("expected value at line 1 column 1"),
        "{complaint}"
    );

    provider.respond_with(|request| Answer::says("never JSON", request));
    let error = model.complete(&ask_json("hello")).await.unwrap_err();
    assert_eq!((error.kind, error.spent.calls), (Kind::BadOutput, 2));
}
