//! Calls under way at a time, calls dropped, calls counted.

use super::*;

#[tokio::test]
async fn no_more_calls_are_under_way_than_there_are_permits() {
    let provider = StandIn::start().await;
    provider.set_latency(Duration::from_millis(10));
    let earlier = AtomicUsize::new(0);
    provider.respond_with(
        move |request| match earlier.fetch_add(1, Ordering::SeqCst) % 4 {
            0 => openai_error(503, "x", "busy"),
            _ => Answer::says("fine", request),
        },
    );
    let model = Arc::new(open(config(provider.url())));
    let calls = (0..20).map(|number| {
        let model = Arc::clone(&model);
        tokio::spawn(async move {
            if number % 2 == 0 {
                model.complete(&ask("hello")).await
            } else {
                let sink = Arc::<Recorder>::default();
                model.stream(&ask("hello"), sink).await
            }
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap().unwrap();
    }
    let most = provider.max_in_flight();
    assert!((2..=3).contains(&most), "{most} at a time");
}

#[tokio::test]
async fn a_call_waiting_to_try_again_holds_no_permit() {
    let provider = StandIn::start().await;
    let (sender, mut arrivals) = mpsc::unbounded_channel();
    provider.respond_with(move |request| {
        sender.send(()).unwrap();
        if request["messages"][0]["content"] == "first" {
            openai_error(429, "x", "wait").header("retry-after", "25")
        } else {
            Answer::says("fine", request)
        }
    });
    let permits = Arc::new(Semaphore::new(1));
    let model = Arc::new(open_with(config(provider.url()), permits));
    let first = tokio::spawn({
        let model = Arc::clone(&model);
        async move { model.complete(&ask("first")).await }
    });
    arrivals.recv().await.unwrap();
    let request = ask("second");
    let second = tokio::time::timeout(Duration::from_secs(10), model.complete(&request));
    assert_eq!(second.await.unwrap().unwrap().text, "fine");
    assert!(!first.is_finished());
    first.abort();
}

#[tokio::test]
async fn dropping_a_call_aborts_it_and_returns_its_permit() {
    let provider = StandIn::start().await;
    let (sender, mut arrivals) = mpsc::unbounded_channel();
    provider.respond_with(move |_| {
        sender.send(()).unwrap();
        Answer::events([delta("half")]).ending(Ending::Stall)
    });
    let permits = Arc::new(Semaphore::new(1));
    let model = open_with(config(provider.url()), Arc::clone(&permits));
    let request = ask("hello");
    let sink = Arc::<Recorder>::default();
    tokio::select! {
        _ = model.stream(&request, sink) => panic!("a stalled stream ended"),
        arrived = arrivals.recv() => arrived.unwrap(),
    }
    assert_eq!(permits.available_permits(), 1);
    let idle = tokio::time::timeout(Duration::from_secs(10), provider.until_idle());
    idle.await.expect("the connection is closed");
}

#[tokio::test]
async fn answers_and_failures_tell_what_they_spent() {
    let provider = StandIn::start().await;
    provider.respond_in_turn([
        openai_error(500, "x", "oops"),
        choice(json!({"message": {"content": "hi"}})),
        choice(json!({"message": {"content": "half"}, "finish_reason": "length"})),
    ]);
    let model = open(config(provider.url()));
    let answer = model.complete(&ask("hello")).await.unwrap();
    let sink = Arc::<Recorder>::default();
    let failure = model.stream(&ask("hello"), sink).await.unwrap_err();
    assert_eq!((answer.calls, failure.spent.calls), (2, 1));
    let mut spent = *failure.spent;
    spent.add(answer.calls, answer.usage);
    assert_eq!(spent.usage.prompt, Some(18));
    assert_eq!(spent.usage.completion, Some(6));
    assert_eq!(spent.usage.cached, None);
}
