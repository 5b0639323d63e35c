//! Streams: cut anywhere, broken anywhere.

use super::*;

async fn stream(provider: &StandIn, recorder: &Arc<Recorder>) -> Result<ChatResponse, LlmError> {
    let model = open(OpenAiConfig {
        idle_timeout: Duration::from_millis(500),
        ..config(provider.url())
    });
    model.stream(&ask("hello"), recorder.clone()).await
}

#[tokio::test]
async fn a_stream_cut_through_its_hangul_reads_whole() {
    let text = "한빛시 심야버스는 3개 노선으로 늘어난다. [S1]";
    for bytes in [1, 2, 3, 7, 64, 4096] {
        let provider = StandIn::start().await;
        provider.respond_with(move |request| Answer::says(text, request).cut_every(bytes));
        let recorder = Arc::new(Recorder::default());
        let response = stream(&provider, &recorder).await.unwrap();
        assert_eq!(response.text, text, "chunks of {bytes}");
        assert_eq!(recorder.text(), text, "chunks of {bytes}");
        assert_eq!(recorder.resets(), 0);
        assert!(
            response.usage.completion.is_some(),
            "usage of the last chunk"
        );
    }
}

#[tokio::test]
async fn every_known_shape_of_a_stream_is_read() {
    let message = |text| json!({"choices": [{"message": {"content": text}}]});
    let stop = || json!({"choices": [{"delta": {}, "finish_reason": "stop"}]});
    let done = "[DONE]";
    let events = |events: &[&dyn ToString]| {
        let events = events.iter().map(|event| event.to_string());
        Answer::events(events)
    };
    let (h, i) = (delta("h"), delta("i"));
    let no_choice = json!({"choices": []});
    let cases = [
        ("plain", events(&[&h, &i, &stop(), &done])),
        ("no [DONE]", events(&[&h, &i, &stop()])),
        (
            "no [DONE], then reset",
            events(&[&h, &i, &stop()]).ending(Ending::Reset),
        ),
        ("no finish", events(&[&h, &i, &done])),
        (
            "message for delta",
            events(&[&message("h"), &message("i"), &done]),
        ),
        (
            "message repeats the deltas",
            events(&[&h, &i, &message("hi"), &done]),
        ),
        ("Azure's first chunk", events(&[&no_choice, &h, &i, &done])),
        ("keep-alive as data", events(&[&"ping", &h, &i, &done])),
        (
            "thinking",
            events(&[&delta("<thi"), &delta("nk>x</think>h"), &i, &done]),
        ),
        (
            "thinking without its start",
            events(&[&delta("x</th"), &delta("ink>h"), &i, &done]),
        ),
        ("after the end", events(&[&h, &i, &done, &"{broken"])),
    ];
    for (name, answer) in cases {
        let provider = StandIn::start().await;
        provider.respond_with(move |_| answer.clone());
        let recorder = Arc::new(Recorder::default());
        let response = stream(&provider, &recorder).await;
        assert_eq!(
            response.map(|response| response.text),
            Ok("hi".to_owned()),
            "{name}"
        );
        assert_eq!(recorder.text(), "hi", "{name}");
        assert_eq!(provider.calls(), 1, "{name}");
    }
}

#[tokio::test]
async fn carriage_returns_comments_and_foreign_fields_are_passed_over() {
    let event = delta("hi");
    let body = format!(": x\r\n\r\nevent: y\r\nid: 1\r\ndata:{event}\r\n\r\ndata: [DONE]\r\n\r\n");
    let provider = StandIn::start().await;
    provider.respond_with(move |_| Answer::raw(200, "text/event-stream", body.clone()));
    let response = stream(&provider, &Arc::default()).await.unwrap();
    assert_eq!(response.text, "hi");
}

#[tokio::test]
async fn a_server_that_does_not_stream_is_read_all_the_same() {
    let provider = StandIn::start().await;
    provider.respond_with(|_| choice(json!({"message": {"content": "hi"}})));
    let recorder = Arc::new(Recorder::default());
    assert_eq!(stream(&provider, &recorder).await.unwrap().text, "hi");
    assert_eq!(recorder.text(), "hi");
}

#[tokio::test]
async fn a_stream_that_fails_is_begun_anew_and_keeps_its_last_part() {
    use Kind::*;
    let half = || Answer::events([delta("half ")]);
    let then = |event: Value| Answer::events([delta("half "), event]);
    let then_raw = |event: String| Answer::events([delta("half ").to_string(), event]);
    let finish = |reason| then(json!({"choices": [{"delta": {}, "finish_reason": reason}]}));
    let busy = json!({"error": {"message": "busy", "code": 503}});
    let gemini = json!([{"error": {"code": 500, "message": "internal"}}]);
    let anthropic = json!({"type": "error", "error": {"type": "overloaded_error"}});
    let credit = json!({"error": {"code": "insufficient_quota", "message": "x"}});
    let cases = [
        ("ends early", half(), StreamBroken, 3),
        ("breaks", half().ending(Ending::Reset), StreamBroken, 3),
        ("falls silent", half().ending(Ending::Stall), Timeout, 3),
        (
            "damaged chunk",
            then_raw("{\"choices\":".to_owned()),
            StreamBroken,
            3,
        ),
        (
            "endless line",
            then_raw("x".repeat(1 << 20)),
            StreamBroken,
            3,
        ),
        ("aborted", finish("abort"), StreamBroken, 3),
        ("error object", then(busy), Overloaded, 5),
        ("Gemini's error array", then(gemini), Server, 5),
        ("Anthropic's error", then(anthropic), Overloaded, 5),
        ("no credit half way", then(credit), QuotaExhausted, 1),
        ("cut", finish("length"), Truncated, 1),
        ("filtered", finish("content_filter"), ContentFilter, 1),
    ];
    for (name, answer, kind, calls) in cases {
        let provider = StandIn::start().await;
        provider.respond_with(move |_| answer.clone());
        let recorder = Arc::new(Recorder::default());
        let error = stream(&provider, &recorder).await.unwrap_err();
        assert_eq!(error.kind, kind, "{name}: {error}");
        assert_eq!(provider.calls(), calls, "{name}: calls");
        assert_eq!(recorder.resets(), calls - 1, "{name}: resets");
        assert_eq!(error.partial.as_deref(), Some("half "), "{name}: partial");
        assert_eq!(recorder.text(), "half ", "{name}: what the sink holds");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_once_arrives_whole() {
    let provider = StandIn::start().await;
    let earlier = AtomicUsize::new(0);
    provider.respond_with(
        move |request| match earlier.fetch_add(1, Ordering::SeqCst) {
            0 => Answer::events([delta("lost")]).ending(Ending::Reset),
            _ => Answer::says("whole", request),
        },
    );
    let recorder = Arc::new(Recorder::default());
    let response = stream(&provider, &recorder).await.unwrap();
    assert_eq!((response.text.as_str(), response.calls), ("whole", 2));
    assert_eq!((recorder.text().as_str(), recorder.resets()), ("whole", 1));
}
