//! Reads and checks the input of a script job.

use lovage_workflow::InputError;
use serde_json::{Map, Value, json};
use url::{Host, Url};

use crate::input::{self, given, optional, quoted, required, violation};
use crate::net::check_url;

use super::types::{self, Budget, Length, ScriptRequest};

/// Characters of a topic.
pub const TOPIC_CHARS_MAX: usize = 500;
/// Pages a caller may name.
pub const SEED_URLS_MAX: usize = 20;
/// Sources read for one script.
pub const SOURCES_MAX: usize = 30;
/// Images fetched for one script.
pub const IMAGES_MAX: usize = 10;
/// Hosts in one list of sites.
pub const DOMAINS_MAX: usize = 50;
/// Characters that describe a tone.
pub(crate) const TONE_CHARS_MAX: usize = 60;
/// Characters that describe an audience.
const AUDIENCE_CHARS_MAX: usize = 200;

const FIELDS: &[&str] = &[
    "topic",
    "type",
    "language",
    "length",
    "tone",
    "audience",
    "since",
    "max_sources",
    "max_images",
    "seed_urls",
    "domains",
    "mode",
    "on_llm_failure",
    "budget",
    "cache",
];

/// Reads a request. Everything wrong with it is told at once; unknown fields
/// are refused by name.
pub fn parse(value: &Value) -> Result<ScriptRequest, Vec<InputError>> {
    let fields = input::object(value)?;
    let mut wrong = input::unknown(fields, FIELDS);
    let request = ScriptRequest {
        topic: required(fields, "topic", "a string", &mut wrong),
        script_type: optional(
            fields,
            "type",
            "one of youtube, news, short, blog, report",
            &mut wrong,
        ),
        language: input::language(fields, &mut wrong),
        length: optional(
            fields,
            "length",
            "an object with seconds or words",
            &mut wrong,
        ),
        tone: optional(fields, "tone", "a string", &mut wrong),
        audience: optional(fields, "audience", "a string", &mut wrong),
        since: optional(
            fields,
            "since",
            "an age from 1h to 90d, such as \"7d\"",
            &mut wrong,
        ),
        max_sources: given(
            fields,
            "max_sources",
            SOURCES_EXPECTED,
            types::default_max_sources(),
            &mut wrong,
        ),
        max_images: given(
            fields,
            "max_images",
            IMAGES_EXPECTED,
            types::default_max_images(),
            &mut wrong,
        ),
        seed_urls: urls(fields, &mut wrong),
        domains: optional(
            fields,
            "domains",
            "an object with allow and deny, lists of hosts",
            &mut wrong,
        ),
        mode: optional(fields, "mode", "one of auto, llm, extractive", &mut wrong),
        on_llm_failure: optional(
            fields,
            "on_llm_failure",
            "one of extractive, fail",
            &mut wrong,
        ),
        budget: input::budget(fields, &mut wrong),
        cache: input::cache(fields, &mut wrong),
    };
    let found = validate(&request);
    input::judged(request, wrong, found)
}

/// What is wrong with the values of a request; empty when nothing is.
pub fn validate(request: &ScriptRequest) -> Vec<InputError> {
    let mut wrong = Vec::new();
    wrong.extend(input::length("/topic", &request.topic, TOPIC_CHARS_MAX));
    if let Some(c) = request.topic.chars().find(|c| c.is_control()) {
        wrong.push(InputError {
            pointer: "/topic".to_owned(),
            message: format!("expected no control characters, got U+{:04X}", u32::from(c)),
        });
    }
    if !(1..=SOURCES_MAX).contains(&request.max_sources) {
        wrong.push(violation(
            "/max_sources",
            SOURCES_EXPECTED,
            Some(&request.max_sources.into()),
        ));
    }
    if request.max_images > IMAGES_MAX {
        wrong.push(violation(
            "/max_images",
            IMAGES_EXPECTED,
            Some(&request.max_images.into()),
        ));
    }
    check_wishes(request, &mut wrong);
    if request.seed_urls.len() > SEED_URLS_MAX {
        wrong.push(InputError {
            pointer: "/seed_urls".to_owned(),
            message: format!(
                "expected at most {SEED_URLS_MAX} addresses, got {}",
                request.seed_urls.len()
            ),
        });
    }
    for (number, url) in request.seed_urls.iter().enumerate() {
        // Asked for by a caller, so the operator's trusted hosts are no excuse here.
        if let Err(refusal) = check_url(url) {
            let came = quoted(&url.as_str().into());
            wrong.push(InputError {
                pointer: format!("/seed_urls/{number}"),
                message: format!("expected {URL_EXPECTED}, got {came}: {refusal}"),
            });
        }
    }
    wrong
}

/// Length, words about style, sites and budget.
fn check_wishes(request: &ScriptRequest, wrong: &mut Vec<InputError>) {
    let mut expect = |pointer: &str, holds: bool, expected: &str, came: Value| {
        if !holds {
            wrong.push(violation(pointer, expected, Some(&came)));
        }
    };
    let Length { seconds, words } = request.length;
    let within = |value: Option<u32>, range: std::ops::RangeInclusive<u32>| {
        value.is_none_or(|value| range.contains(&value))
    };
    let (ok, came) = (within(seconds, 10..=3_600), seconds.into());
    expect("/length/seconds", ok, "10 to 3600 seconds", came);
    let (ok, came) = (within(words, 20..=10_000), words.into());
    expect("/length/words", ok, "20 to 10000 words", came);
    let both = seconds.is_some() && words.is_some();
    let came = json!(request.length);
    expect("/length", !both, "seconds or words, not both", came);
    for (name, hosts) in [
        ("allow", &request.domains.allow),
        ("deny", &request.domains.deny),
    ] {
        let at = format!("/domains/{name}");
        let ok = hosts.len() <= DOMAINS_MAX;
        let expected = format!("at most {DOMAINS_MAX} hosts");
        expect(&at, ok, &expected, hosts.len().into());
        for (number, host) in hosts.iter().take(DOMAINS_MAX).enumerate() {
            let named = Host::parse(host).is_ok_and(|parsed| parsed.to_string() == *host);
            let at = format!("{at}/{number}");
            expect(
                &at,
                named,
                "a host such as news.example",
                host.as_str().into(),
            );
        }
    }
    check_words("/tone", request.tone.as_deref(), TONE_CHARS_MAX, wrong);
    let audience = request.audience.as_deref();
    check_words("/audience", audience, AUDIENCE_CHARS_MAX, wrong);
    check_budget(&request.budget, wrong);
}

/// A few words on one line.
pub(crate) fn check_words(
    pointer: &str,
    text: Option<&str>,
    chars_max: usize,
    wrong: &mut Vec<InputError>,
) {
    let text = text.unwrap_or_default();
    if text.chars().count() > chars_max || text.chars().any(char::is_control) {
        let expected = format!("at most {chars_max} characters, none of them control characters");
        wrong.push(violation(pointer, &expected, Some(&text.into())));
    }
}

/// Limits that allow something.
pub(crate) fn check_budget(budget: &Budget, wrong: &mut Vec<InputError>) {
    let mut expect = |pointer: &str, holds: bool, expected: &str, came: Value| {
        if !holds {
            wrong.push(violation(pointer, expected, Some(&came)));
        }
    };
    let positive = |value: Option<u64>| value.is_none_or(|value| value > 0);
    let cost = budget.max_cost_usd;
    let ok = cost.is_none_or(|usd| usd.is_finite() && usd > 0.0);
    expect(
        "/budget/max_cost_usd",
        ok,
        "US dollars above 0",
        cost.into(),
    );
    let (ok, came) = (positive(budget.max_tokens), budget.max_tokens.into());
    expect("/budget/max_tokens", ok, "tokens above 0", came);
    let (ok, came) = (positive(budget.deadline_s), budget.deadline_s.into());
    expect("/budget/deadline_s", ok, "seconds above 0", came);
}

const SOURCES_EXPECTED: &str = "an integer from 1 to 30";
const IMAGES_EXPECTED: &str = "an integer from 0 to 10";
const URL_EXPECTED: &str = "a public http or https address";
const _: () = assert!(IMAGES_MAX == 10, "IMAGES_EXPECTED names the bound");
const _: () = assert!(SOURCES_MAX == 30, "SOURCES_EXPECTED names the bound");

fn urls(fields: &Map<String, Value>, wrong: &mut Vec<InputError>) -> Vec<Url> {
    let values: Vec<Value> = optional(fields, "seed_urls", "an array of addresses", wrong);
    let mut urls = Vec::new();
    for (number, value) in values.iter().take(SEED_URLS_MAX + 1).enumerate() {
        match value.as_str().and_then(|text| text.parse::<Url>().ok()) {
            Some(url) => urls.push(url),
            None => wrong.push(violation(
                &format!("/seed_urls/{number}"),
                URL_EXPECTED,
                Some(value),
            )),
        }
    }
    urls
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(value: Value) -> Vec<(String, String)> {
        let wrong = parse(&value).expect_err("the request is refused");
        wrong.into_iter().map(|v| (v.pointer, v.message)).collect()
    }

    #[test]
    fn a_topic_is_enough() {
        let request = parse(&json!({"topic": "tides"})).unwrap();
        assert_eq!((request.max_sources, request.max_images), (12, 10));
        assert_eq!(request.since.hours(), 7 * 24);
        assert!(request.cache);
        assert_eq!(parse(&serde_json::to_value(&request).unwrap()), Ok(request));
    }

    #[test]
    fn every_field_of_the_request_is_known() {
        let value = serde_json::to_value(parse(&json!({"topic": "tides"})).unwrap()).unwrap();
        let mut names: Vec<&str> = value
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let mut known = FIELDS.to_vec();
        names.sort_unstable();
        known.sort_unstable();
        assert_eq!(names, known);
    }

    #[test]
    fn a_refusal_says_where_what_was_expected_and_what_came() {
        let table = [
            (json!([1]), "", "expected an object, got [1]"),
            (json!({}), "/topic", "expected a string, got nothing"),
            (json!({"topic": 5}), "/topic", "expected a string, got 5"),
            (
                json!({"topic": " "}),
                "/topic",
                "expected 1 to 500 characters that are not all blank, got none",
            ),
            (
                json!({"topic": "가".repeat(501)}),
                "/topic",
                "expected 1 to 500 characters that are not all blank, got 501 characters",
            ),
            (
                json!({"topic": "a\u{0}b"}),
                "/topic",
                "expected no control characters, got U+0000",
            ),
            (
                json!({"topic": "a", "type": "poem"}),
                "/type",
                "expected one of youtube, news, short, blog, report, got \"poem\"",
            ),
            (
                json!({"topic": "a", "max_sources": 0}),
                "/max_sources",
                "expected an integer from 1 to 30, got 0",
            ),
            (
                json!({"topic": "a", "max_sources": -1}),
                "/max_sources",
                "expected an integer from 1 to 30, got -1",
            ),
            (
                json!({"topic": "a", "seed_urls": ["https://a.example", "file:///etc/passwd"]}),
                "/seed_urls/1",
                "expected a public http or https address, got \"file:///etc/passwd\": scheme file is not http or https",
            ),
            (
                json!({"topic": "a", "seed_urls": ["http://169.254.169.254/latest/meta-data"]}),
                "/seed_urls/0",
                "expected a public http or https address, got \"http://169.254.169.254/latest/meta-data\": 169.254.169.254 is not a public address",
            ),
            (
                json!({"topic": "a", "seed_urls": ["not an address"]}),
                "/seed_urls/0",
                "expected a public http or https address, got \"not an address\"",
            ),
            (
                json!({"topic": "a", "seed_urls": "x"}),
                "/seed_urls",
                "expected an array of addresses, got \"x\"",
            ),
            (
                json!({"topic": "a", "seed_urls": vec!["https://a.example"; 21]}),
                "/seed_urls",
                "expected at most 20 addresses, got 21",
            ),
            (
                json!({"topic": "a", "a/b": 1}),
                "/a~1b",
                "expected one of the fields topic, type, language, length, tone, audience, since, max_sources, max_images, seed_urls, domains, mode, on_llm_failure, budget, cache, got \"a/b\"",
            ),
        ];
        told(table);
    }

    #[test]
    fn a_wish_out_of_bounds_is_refused_likewise() {
        let table = [
            (
                json!({"topic": "a", "length": {"seconds": 60, "words": 100}}),
                "/length",
                "expected seconds or words, not both, got {\"seconds\":60,\"words\":100}",
            ),
            (
                json!({"topic": "a", "since": "1y"}),
                "/since",
                "expected an age from 1h to 90d, such as \"7d\", got \"1y\"",
            ),
            (
                json!({"topic": "a", "max_images": 11}),
                "/max_images",
                "expected an integer from 0 to 10, got 11",
            ),
            (
                json!({"topic": "a", "domains": {"deny": ["https://a.example/"]}}),
                "/domains/deny/0",
                "expected a host such as news.example, got \"https://a.example/\"",
            ),
            (
                json!({"topic": "a", "budget": {"max_cost_usd": 0}}),
                "/budget/max_cost_usd",
                "expected US dollars above 0, got 0.0",
            ),
            (
                json!({"topic": "a", "budget": {"tokens": 5}}),
                "/budget",
                "expected an object with max_cost_usd, max_tokens and deadline_s, got {\"tokens\":5}",
            ),
        ];
        told(table);
    }

    fn told<const N: usize>(table: [(Value, &str, &str); N]) {
        for (value, pointer, message) in table {
            assert_eq!(refused(value), [(pointer.to_owned(), message.to_owned())]);
        }
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let wrong = refused(json!({"topic": "", "mode": 1, "lenght": 3}));
        let pointers: Vec<&str> = wrong.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert_eq!(pointers, ["/lenght", "/mode", "/topic"]);
    }
}
