//! Every fault a provider is known for: kind, calls made, wait.

use super::*;

struct Fault {
    name: &'static str,
    answer: Answer,
    kind: Kind,
    calls: usize,
    park: Option<u64>,
}

fn fault(name: &'static str, answer: Answer, kind: Kind, calls: usize) -> Fault {
    Fault {
        name,
        answer,
        kind,
        calls,
        park: None,
    }
}

fn parked(name: &'static str, answer: Answer, seconds: u64) -> Fault {
    Fault {
        park: Some(seconds),
        ..fault(name, answer, Kind::RateLimited, 1)
    }
}

/// Gemini says this of per-minute limits and of exhausted plans alike.
const GEMINI: &str = "You exceeded your current quota, please check your plan and billing details.";

fn gemini_429(details: Value) -> Answer {
    let error =
        json!({"code": 429, "message": GEMINI, "status": "RESOURCE_EXHAUSTED", "details": details});
    Answer::json(429, json!([{"error": error}]))
}

/// 429 and its waits.
fn limits() -> Vec<Fault> {
    use Kind::{ContextLength, QuotaExhausted, RateLimited};
    let limited = || {
        openai_error(
            429,
            "rate_limit_exceeded",
            "Rate limit reached for requests",
        )
    };
    let said = |message| openai_error(429, "rate_limit_exceeded", message);
    let exhausted = limited().header("x-ratelimit-remaining-requests", "0");
    let exhausted = exhausted.header("x-ratelimit-reset-requests", "6m0s");
    let both = limited()
        .header("retry-after-ms", "45000")
        .header("retry-after", "1");
    let far = limited().header("retry-after", "Wed, 21 Oct 2099 07:28:00 GMT");
    let too_large =
        "Request too large for gpt-x on tokens per min (TPM): Limit 10000, Requested 12000.";
    let anthropic = "Your credit balance is too low to access the API";
    let embedded = json!({"error": {"message": "Provider limit", "code": 429}});
    vec![
        fault(
            "429 with a short wait",
            limited().header("retry-after-ms", "3"),
            RateLimited,
            5,
        ),
        fault("429 without advice", limited(), RateLimited, 5),
        fault(
            "429 with nonsense",
            limited().header("retry-after", "-1e999"),
            RateLimited,
            5,
        ),
        fault(
            "429, wait in words",
            said("Please try again in 2ms."),
            RateLimited,
            5,
        ),
        parked("429, seconds", limited().header("retry-after", "120"), 120),
        parked("429, milliseconds win", both, 45),
        parked("429, a date", far, 600),
        parked(
            "429, long wait in words",
            said("Try again in 7m12s. Visit"),
            432,
        ),
        parked("429, exhausted window", exhausted, 360),
        parked(
            "429, Gemini's array",
            gemini_429(json!([{"reason": "x"}, {"retryDelay": "34s"}])),
            34,
        ),
        fault(
            "429, Gemini without a wait",
            gemini_429(json!([])),
            QuotaExhausted,
            1,
        ),
        fault(
            "429, no credit",
            openai_error(429, "insufficient_quota", GEMINI),
            QuotaExhausted,
            1,
        ),
        fault(
            "429, larger than a minute",
            said(too_large),
            ContextLength,
            1,
        ),
        fault(
            "402",
            error(402, json!({"error": {"message": "Insufficient"}})),
            QuotaExhausted,
            1,
        ),
        fault(
            "400, Anthropic's credit",
            openai_error(400, "x", anthropic),
            QuotaExhausted,
            1,
        ),
        fault("200 with 429 inside", error(200, embedded), RateLimited, 5),
    ]
}

/// Refusals that trying again does not change.
fn refusals() -> Vec<Fault> {
    use Kind::*;
    let vllm = json!({"object": "error", "message": "This model's maximum context length is 4096 tokens.", "type": "BadRequestError", "code": 400});
    let azure = json!({"error": {"code": "x", "message": "filtered", "innererror": {"code": "ResponsibleAIPolicyViolation"}}});
    let anthropic = "prompt is too long: 210000 tokens > 200000 maximum";
    let gemini_key = json!([{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key."}}]);
    let filtered = json!({"message": {"content": ""}, "finish_reason": "content_filter"});
    let declined = json!({"message": {"content": null, "refusal": "I cannot help with that."}});
    let cut = json!({"message": {"content": "half an ans"}, "finish_reason": "length"});
    let redirect = Answer::raw(307, "text/plain", "").header("location", "http://127.0.0.1:1/");
    let fastapi = json!({"detail": [{"loc": ["body"], "msg": "field required"}]});
    vec![
        fault(
            "context, OpenAI",
            openai_error(400, "context_length_exceeded", "x"),
            ContextLength,
            1,
        ),
        fault(
            "context, vLLM's flat object",
            error(400, vllm),
            ContextLength,
            1,
        ),
        fault(
            "context, Anthropic",
            openai_error(400, "x", anthropic),
            ContextLength,
            1,
        ),
        fault(
            "413",
            Answer::raw(413, "text/plain", "too large"),
            ContextLength,
            1,
        ),
        fault(
            "content filter, OpenAI",
            openai_error(400, "content_filter", "x"),
            ContentFilter,
            1,
        ),
        fault("content filter, Azure", error(400, azure), ContentFilter, 1),
        fault(
            "content filter as a finish",
            choice(filtered),
            ContentFilter,
            1,
        ),
        fault(
            "Gemini's finish",
            choice(json!({"finish_reason": "SAFETY"})),
            ContentFilter,
            1,
        ),
        fault("refusal", choice(declined), Refusal, 1),
        fault("cut at the limit", choice(cut), Truncated, 1),
        fault(
            "401",
            openai_error(401, "invalid_api_key", "Incorrect API key"),
            Auth,
            1,
        ),
        fault(
            "403",
            openai_error(403, "x", "Country not supported"),
            Auth,
            1,
        ),
        fault("400, Gemini's key", error(400, gemini_key), Auth, 1),
        fault(
            "404, Ollama's string",
            error(404, json!({"error": "model not found"})),
            NotFound,
            1,
        ),
        fault("307", redirect, NotFound, 1),
        fault(
            "400",
            openai_error(400, "x", "messages must not be empty"),
            BadRequest,
            1,
        ),
        fault("422, FastAPI's list", error(422, fastapi), BadRequest, 1),
        fault(
            "refused but not sent",
            openai_error(400, "x", "stream_options?"),
            Unsupported,
            1,
        ),
        fault(
            "an empty answer",
            choice(json!({"message": {"content": ""}})),
            BadOutput,
            2,
        ),
        fault(
            "no choice at all",
            error(200, json!({"choices": []})),
            BadOutput,
            2,
        ),
    ]
}

/// Faults of the provider or of the way to it.
fn outages() -> Vec<Fault> {
    use Kind::{Network, Overloaded, Server, StreamBroken, Timeout};
    let half = Answer::raw(200, "application/json", "{\"choices\":");
    let page = |status| Answer::raw(status, "text/html", "<html><h1>Bad Gateway</h1></html>");
    let busy = json!({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}});
    let aborted = json!({"message": {"content": "half"}, "finish_reason": "abort"});
    vec![
        fault(
            "500",
            openai_error(500, "server_error", "The server had an error"),
            Server,
            5,
        ),
        fault("502 as a page", page(502), Server, 5),
        fault("503", openai_error(503, "x", "overloaded"), Overloaded, 5),
        fault("529", error(529, busy.clone()), Overloaded, 5),
        fault("504", page(504), Timeout, 3),
        fault("408", Answer::raw(408, "text/plain", ""), Timeout, 3),
        fault(
            "200 with an error string",
            error(200, json!({"error": "oops"})),
            Server,
            5,
        ),
        fault("200 with a named error", error(200, busy), Overloaded, 5),
        fault("200 with a page", page(200), Server, 5),
        fault("the provider aborted", choice(aborted), StreamBroken, 3),
        fault(
            "the body breaks off",
            half.clone().ending(Ending::Reset),
            Network,
            5,
        ),
        fault("the body is cut", half, Server, 5),
    ]
}

async fn check_fault(case: Fault) {
    let name = case.name;
    let provider = StandIn::start().await;
    let answer = case.answer;
    provider.respond_with(move |_| answer.clone());
    let model = open(config(provider.url()));
    let error = model.complete(&ask("hello")).await.unwrap_err();
    let park = error.park().map(|wait| wait.as_secs());
    assert_eq!(error.kind, case.kind, "{name}: {error}");
    assert_eq!(provider.calls(), case.calls, "{name}: calls made");
    assert_eq!(
        error.spent.calls as usize, case.calls,
        "{name}: calls counted"
    );
    assert_eq!(park, case.park, "{name}: {:?}", error.retry_after);
    assert!(!error.detail.is_empty(), "{name}: no detail");
}

#[tokio::test]
async fn limits_are_waited_for_or_parked() {
    for case in limits() {
        check_fault(case).await;
    }
}

#[tokio::test]
async fn refusals_are_not_repeated() {
    for case in refusals() {
        check_fault(case).await;
    }
}

#[tokio::test]
async fn outages_are_retried_within_bounds() {
    for case in outages() {
        check_fault(case).await;
    }
}

#[tokio::test]
async fn a_long_wait_of_an_overloaded_provider_parks_too() {
    let provider = StandIn::start().await;
    provider.respond_with(|_| Answer::raw(503, "text/plain", "").header("retry-after", "90"));
    let model = open(config(provider.url()));
    let error = model.complete(&ask("hello")).await.unwrap_err();
    assert_eq!(error.kind, Kind::Overloaded);
    assert_eq!(error.park(), Some(Duration::from_secs(90)));
    assert_eq!(provider.calls(), 1);
}

#[tokio::test]
async fn a_cut_answer_keeps_its_text_and_its_tokens() {
    let provider = StandIn::start().await;
    let cut = json!({"message": {"content": "half"}, "finish_reason": "length"});
    provider.respond_with(move |_| choice(cut.clone()));
    let model = open(config(provider.url()));
    let error = model.complete(&ask("hello")).await.unwrap_err();
    assert_eq!(error.partial.as_deref(), Some("half"));
    assert_eq!(error.spent.usage.prompt, Some(9));
    assert_eq!(error.spent.usage.completion, Some(3));
}

#[tokio::test]
async fn a_closed_port_is_a_network_error() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = unused.local_addr().unwrap();
    drop(unused);
    let model = open(config(&format!("http://{address}/v1")));
    let error = model.complete(&ask("hello")).await.unwrap_err();
    assert_eq!(error.kind, Kind::Network);
    assert_eq!(error.spent.calls, 5);
}

#[tokio::test]
async fn silence_ends_in_a_timeout() {
    let provider = StandIn::start().await;
    provider.respond_with(|_| Answer::silence());
    let model = open(OpenAiConfig {
        total_timeout: Duration::from_millis(300),
        ..config(provider.url())
    });
    let error = model.complete(&ask("hello")).await.unwrap_err();
    assert_eq!(error.kind, Kind::Timeout);
    assert_eq!(error.spent.calls, 3);
}

#[tokio::test]
async fn an_answer_after_faults_counts_every_call() {
    let provider = StandIn::start().await;
    let limited = openai_error(429, "x", "slow down").header("retry-after-ms", "1");
    provider.respond_in_turn([limited, openai_error(500, "x", "oops")]);
    let model = open(config(provider.url()));
    let response = model.complete(&ask("hello")).await.unwrap();
    assert_eq!(response.calls, 3);
    assert_eq!(provider.calls(), 3);
}
