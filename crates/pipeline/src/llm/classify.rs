//! What a refusal means. Pure: a response in, an [`LlmError`] out.
//!
//! Providers that claim one protocol describe errors in at least six shapes:
//! OpenAI's object, Gemini's array with integer codes, vLLM's flat object,
//! Ollama's string, FastAPI's `detail`, and a proxy's HTML page. All of them
//! also come with status 200 or in the middle of a stream.

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use serde_json::Value;

use super::ladder::Parameter;
use super::{LlmError, LlmErrorKind};

/// Characters of a provider's explanation that are kept.
const DETAIL_CHARS_MAX: usize = 300;

/// Names the error in a response.
///
/// `status` may be 200 when the body is an error all the same. The wait is, in
/// this order: `retry-after-ms`, `retry-after` in seconds or as a date, what
/// the body says, the reset of an exhausted `x-ratelimit-*`. A date is measured
/// from the response's own `Date`, or from `now` where it has none.
pub fn classify(status: u16, headers: &HeaderMap, body: &[u8], now: SystemTime) -> LlmError {
    let fault = Fault::read(body);
    let status = match status {
        200..=299 => fault.status(),
        refused => refused,
    };
    let kind = kind(status, &fault);
    let wait = match kind {
        kind if kind.is_passing() => retry_after(headers, &fault, now),
        _ => None,
    };
    LlmError {
        retry_after: wait,
        status: Some(status),
        ..LlmError::new(kind, advise(kind, fault.detail))
    }
}

/// Whether a document is an error whatever its HTTP status was.
pub(crate) fn is_error(document: &Value) -> bool {
    let document = first(document);
    let named = match document.get("error") {
        Some(Value::Object(_)) => true,
        Some(Value::String(message)) => !message.is_empty(),
        _ => false,
    };
    named || document["object"] == "error" || document["type"] == "error"
}

/// What a body says, whatever its shape.
struct Fault {
    /// The explanation, for a person, clipped.
    detail: String,
    /// Everything that names the error, in lower case.
    words: String,
    /// The status the body gives as a number.
    code: Option<u16>,
    /// The wait the body asks for.
    wait: Option<Duration>,
}

impl Fault {
    fn read(body: &[u8]) -> Fault {
        match serde_json::from_slice(body) {
            Ok(document) => Fault::of_document(&document),
            Err(_) => Fault::of_text(&String::from_utf8_lossy(body)),
        }
    }

    fn of_text(text: &str) -> Fault {
        let text = text.trim();
        let message = match text {
            "" => "no explanation given",
            page if page.starts_with('<') => "an HTML page instead of an answer",
            text => text,
        };
        Fault {
            detail: clip(message),
            words: text.to_lowercase(),
            code: None,
            wait: wait_in_words(&text.to_lowercase()),
        }
    }

    fn of_document(document: &Value) -> Fault {
        let document = first(document);
        let error = match &document["error"] {
            Value::Null => document,
            error => error,
        };
        let message = message(error).or_else(|| message(document));
        let mut detail = message.unwrap_or("no explanation given").to_owned();
        if let Some(parameter) = error["param"].as_str()
            && !detail.contains(parameter)
        {
            detail = format!("{detail} ({parameter})");
        }
        let names = [
            &error["code"],
            &error["type"],
            &error["status"],
            &error["innererror"]["code"],
            &error["details"][0]["reason"],
        ];
        let names = names.into_iter().filter_map(Value::as_str);
        let words = names.chain([detail.as_str()]).collect::<Vec<_>>();
        let words = words.join("\n").to_lowercase();
        Fault {
            detail: clip(&detail),
            code: number(&error["code"]),
            wait: retry_delay(error).or_else(|| wait_in_words(&words)),
            words,
        }
    }

    fn says(&self, any_of: &[&str]) -> bool {
        any_of.iter().any(|words| self.words.contains(words))
    }

    /// The status this error should have come with.
    fn status(&self) -> u16 {
        const NAMES: [(u16, &[&str]); 8] = [
            (
                429,
                &[
                    "rate_limit",
                    "rate limit",
                    "resource_exhausted",
                    "too_many_requests",
                    "insufficient_quota",
                ],
            ),
            (529, &["overloaded"]),
            (503, &["unavailable"]),
            (504, &["timeout", "deadline_exceeded"]),
            (401, &["authentication", "invalid_api_key"]),
            (403, &["permission"]),
            (404, &["not_found"]),
            (
                400,
                &[
                    "invalid_request",
                    "invalid_argument",
                    "bad_request",
                    "badrequest",
                    "content_filter",
                    "context_length",
                ],
            ),
        ];
        let named = || NAMES.iter().find(|(_, names)| self.says(names));
        self.code
            .or_else(|| named().map(|(status, _)| *status))
            .unwrap_or(500)
    }
}

fn kind(status: u16, fault: &Fault) -> LlmErrorKind {
    match status {
        402 => LlmErrorKind::QuotaExhausted,
        408 | 504 => LlmErrorKind::Timeout,
        413 => LlmErrorKind::ContextLength,
        429 => kind_of_429(fault),
        503 | 529 => LlmErrorKind::Overloaded,
        _ if is_context_length(fault) => LlmErrorKind::ContextLength,
        500.. => LlmErrorKind::Server,
        300..=399 | 404 | 405 | 410 => LlmErrorKind::NotFound,
        _ => kind_of_refusal(status, fault),
    }
}

fn kind_of_429(fault: &Fault) -> LlmErrorKind {
    // OpenAI answers 429 to a prompt larger than a whole minute's allowance.
    if fault.says(&["request too large"]) {
        return LlmErrorKind::ContextLength;
    }
    // Gemini says "current quota" and "billing" of per-minute limits too, but
    // then it names a wait.
    let credit = fault.says(&["insufficient_quota", "billing_not_active"])
        || (fault.wait.is_none() && fault.says(&["current quota", "billing"]));
    if credit {
        LlmErrorKind::QuotaExhausted
    } else {
        LlmErrorKind::RateLimited
    }
}

fn kind_of_refusal(status: u16, fault: &Fault) -> LlmErrorKind {
    if fault.says(&[
        "content_filter",
        "responsibleaipolicy",
        "content management policy",
    ]) {
        LlmErrorKind::ContentFilter
    } else if fault.says(&["credit balance", "billing_hard_limit"]) {
        LlmErrorKind::QuotaExhausted
    } else if matches!(status, 401 | 403) || fault.says(&["api key not valid", "invalid_api_key"]) {
        LlmErrorKind::Auth
    } else if fault.says(&["model_not_found"]) {
        LlmErrorKind::NotFound
    } else if matches!(status, 400 | 422) && Parameter::named_in(&fault.detail).is_some() {
        LlmErrorKind::Unsupported
    } else {
        LlmErrorKind::BadRequest
    }
}

fn is_context_length(fault: &Fault) -> bool {
    fault.says(&[
        "context_length_exceeded",
        "exceed_context_size",
        "maximum context length",
        "exceeds the context length",
        "exceeds the context window",
        "reduce the length of the messages",
        "input is too long",
        "prompt is too long",
        "input token count",
    ])
}

/// The setting to look at, where the operator can do something about it.
fn advise(kind: LlmErrorKind, detail: String) -> String {
    match kind {
        LlmErrorKind::Auth => format!("{detail} (check the API key)"),
        LlmErrorKind::NotFound => format!("{detail} (check base_url and model)"),
        _ => detail,
    }
}

fn retry_after(headers: &HeaderMap, fault: &Fault, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let sent = || httpdate::parse_http_date(text(DATE.as_str())?).ok();
    let until = |date: &str| {
        let then = httpdate::parse_http_date(date).ok()?;
        then.duration_since(sent().unwrap_or(now)).ok()
    };
    let milliseconds = || seconds(text("retry-after-ms")?.parse::<f64>().ok()? / 1000.0);
    let in_header = || {
        let value = text(RETRY_AFTER.as_str())?.trim();
        value.parse().map_or_else(|_| until(value), seconds)
    };
    let reset = |of: &str| {
        (text(&format!("x-ratelimit-remaining-{of}"))?.trim() == "0").then_some(())?;
        span(text(&format!("x-ratelimit-reset-{of}"))?)
    };
    milliseconds()
        .or_else(in_header)
        .or(fault.wait)
        .or_else(|| reset("requests").max(reset("tokens")))
        // "Now" is no advice for a call that has just failed; back off instead.
        .filter(|wait| !wait.is_zero())
}

/// Gemini: `details[]` holds a `RetryInfo` with `"retryDelay": "34s"`.
fn retry_delay(error: &Value) -> Option<Duration> {
    let details = error["details"].as_array()?;
    details
        .iter()
        .find_map(|detail| span(detail["retryDelay"].as_str()?))
}

/// "Please try again in 1.5s", "Please retry after 26 seconds".
fn wait_in_words(words: &str) -> Option<Duration> {
    ["try again in ", "retry in ", "retry after "]
        .iter()
        .find_map(|mark| span(words.split_once(mark)?.1))
}

/// A time such as `1.5s`, `6m0s`, `20ms` or `26 seconds` at the beginning of a
/// text; a bare number is seconds.
fn span(text: &str) -> Option<Duration> {
    let mut total = None;
    let mut rest = text.trim_start();
    loop {
        let (number, after) = split_while(rest, |c| c.is_ascii_digit() || c == '.');
        let Ok(number) = number.parse::<f64>() else {
            break;
        };
        let (unit, after) = split_while(after.trim_start(), |c| c.is_ascii_alphabetic());
        let unit = match unit {
            "ms" | "millisecond" | "milliseconds" => 0.001,
            "" | "s" | "sec" | "second" | "seconds" => 1.0,
            "m" | "min" | "minute" | "minutes" => 60.0,
            "h" | "hour" | "hours" => 3600.0,
            _ => break,
        };
        total = Some(total.unwrap_or(0.0) + number * unit);
        rest = after;
    }
    seconds(total?)
}

fn split_while(text: &str, keep: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !keep(c)).unwrap_or(text.len()))
}

/// None for what is no time: negative, not a number, beyond a `Duration`.
fn seconds(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok()
}

/// Gemini wraps an error in an array.
fn first(document: &Value) -> &Value {
    match document {
        Value::Array(items) => items.first().unwrap_or(document),
        single => single,
    }
}

/// The explanation: a string, or under `message` or `detail` (there also as FastAPI's list).
fn message(error: &Value) -> Option<&str> {
    error
        .as_str()
        .or_else(|| error["message"].as_str())
        .or_else(|| error["detail"].as_str())
        .or_else(|| error["detail"][0]["msg"].as_str())
        .filter(|text| !text.trim().is_empty())
}

fn number(code: &Value) -> Option<u16> {
    let code = match code {
        Value::String(text) => text.parse().ok(),
        code => code.as_u64(),
    };
    code.and_then(|code| u16::try_from(code).ok())
        .filter(|code| (400..600).contains(code))
}

/// One line, bounded.
fn clip(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().take(DETAIL_CHARS_MAX).collect()
}
