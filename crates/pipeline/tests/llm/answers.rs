//! Every known shape of an answer, and of the request.

use super::*;

#[tokio::test]
async fn every_known_shape_of_a_whole_answer_is_read() {
    let with = |choice: Value| json!({"choices": [choice]});
    let message = json!({"role": "assistant", "content": "hi"});
    let parts = json!([{"type": "text", "text": "h"}, {"type": "text", "text": "i"}]);
    let cases = [
        (
            "no object, no id",
            with(json!({"message": message, "finish_reason": "stop"})),
        ),
        (
            "empty finish",
            with(json!({"message": message, "finish_reason": ""})),
        ),
        ("no finish", with(json!({"message": message}))),
        (
            "unknown finish",
            with(json!({"message": message, "finish_reason": "eos_token"})),
        ),
        ("no role", with(json!({"message": {"content": "hi"}}))),
        (
            "delta in a whole answer",
            with(json!({"delta": {"content": "hi"}})),
        ),
        ("text, not message", with(json!({"text": "hi"}))),
        ("parts", with(json!({"message": {"content": parts}}))),
        (
            "thinking",
            with(json!({"message": {"content": "<think>well</think>\n\nhi"}})),
        ),
        (
            "thinking without its start",
            with(json!({"message": {"content": "well</think>hi"}})),
        ),
        (
            "float created",
            json!({"created": 1790000000.5, "choices": [{"message": message}]}),
        ),
        (
            "null error",
            json!({"error": null, "choices": [{"message": message}]}),
        ),
        (
            "odd types",
            json!({"usage": null, "model": 4, "choices": [{"message": message}]}),
        ),
    ];
    for (name, body) in cases {
        let provider = StandIn::start().await;
        provider.respond_with(move |_| Answer::json(200, body.clone()));
        let response = open(config(provider.url())).complete(&ask("hello")).await;
        assert_eq!(
            response.map(|response| response.text),
            Ok("hi".to_owned()),
            "{name}"
        );
    }
}

#[tokio::test]
async fn usage_and_model_are_read_from_an_answer() {
    let provider = StandIn::start().await;
    let body = json!({
        "model": "m-2026",
        "choices": [{"message": {"content": "hi"}}],
        "usage": {
            "prompt_tokens": 12.0,
            "completion_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": 4},
        },
    });
    provider.respond_with(move |_| Answer::json(200, body.clone()));
    let response = open(config(provider.url())).complete(&ask("hello")).await;
    let expected = ChatResponse {
        text: "hi".to_owned(),
        usage: TokenUsage {
            prompt: Some(12),
            completion: Some(5),
            cached: Some(4),
        },
        model: Some("m-2026".to_owned()),
        calls: 1,
        queued: lovage_pipeline::llm::Queued::default(),
    };
    assert_eq!(response, Ok(expected));
}

#[tokio::test]
async fn the_request_goes_where_the_configuration_says() {
    let provider = StandIn::start().await;
    let azure = OpenAiConfig {
        key_header: Some("api-key".to_owned()),
        query: vec![("api-version".to_owned(), Secret::new("2024-10-21"))],
        ..config(&format!("{}/", provider.url()))
    };
    open(azure).complete(&ask("hello")).await.unwrap();
    let plain = open(config(provider.url()));
    plain.complete(&ask("hello")).await.unwrap();
    let received = provider.received();
    assert_eq!(
        received[0].uri,
        "/v1/chat/completions?api-version=2024-10-21"
    );
    assert_eq!(received[0].headers["api-key"], KEY);
    assert!(!received[0].headers.contains_key("authorization"));
    assert_eq!(received[1].uri, "/v1/chat/completions");
    assert_eq!(
        received[1].headers["authorization"],
        format!("Bearer {KEY}")
    );
    let body = json!({
        "model": "test-model",
        "messages": [{"role": "user", "content": "hello"}],
        "max_tokens": 500,
        "temperature": 0.2,
    });
    assert_eq!(received[1].body, body);
}
