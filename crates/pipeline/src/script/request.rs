//! Reads and checks the input of a script job.

use lovage_workflow::InputError;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use url::Url;

use crate::net::check_url;

use super::types::ScriptRequest;

/// Characters of a topic.
pub const TOPIC_CHARS_MAX: usize = 500;
/// Pages a caller may name.
pub const SEED_URLS_MAX: usize = 20;
/// Sources read for one script.
pub const SOURCES_MAX: usize = 30;
/// Characters of a refused value that are quoted back.
const QUOTED_CHARS_MAX: usize = 60;

const FIELDS: &[&str] = &[
    "topic",
    "type",
    "language",
    "max_sources",
    "seed_urls",
    "mode",
    "on_llm_failure",
];

/// Reads a request. Everything wrong with it is told at once; unknown fields
/// are refused by name.
pub fn parse(value: &Value) -> Result<ScriptRequest, Vec<InputError>> {
    let Value::Object(fields) = value else {
        return Err(vec![violation("", "an object", Some(value))]);
    };
    let mut wrong: Vec<InputError> = fields.keys().filter_map(|name| unknown(name)).collect();
    let request = ScriptRequest {
        topic: required(fields, "topic", "a string", &mut wrong),
        script_type: optional(
            fields,
            "type",
            "one of youtube, news, short, blog, report",
            &mut wrong,
        ),
        language: optional(fields, "language", "one of auto, ko, en", &mut wrong),
        max_sources: count(fields, &mut wrong),
        seed_urls: urls(fields, &mut wrong),
        mode: optional(fields, "mode", "one of auto, llm, extractive", &mut wrong),
        on_llm_failure: optional(
            fields,
            "on_llm_failure",
            "one of extractive, fail",
            &mut wrong,
        ),
    };
    for found in validate(&request) {
        // A field of the wrong type was replaced by its default: told already.
        if !wrong.iter().any(|told| told.pointer == found.pointer) {
            wrong.push(found);
        }
    }
    if wrong.is_empty() {
        Ok(request)
    } else {
        Err(wrong)
    }
}

/// What is wrong with the values of a request; empty when nothing is.
pub fn validate(request: &ScriptRequest) -> Vec<InputError> {
    let mut wrong = Vec::new();
    let length = request.topic.chars().count();
    if request.topic.trim().is_empty() || length > TOPIC_CHARS_MAX {
        let came = if length > TOPIC_CHARS_MAX {
            format!("{length} characters")
        } else {
            "none".to_owned()
        };
        wrong.push(InputError {
            pointer: "/topic".to_owned(),
            message: format!(
                "expected 1 to {TOPIC_CHARS_MAX} characters that are not all blank, got {came}"
            ),
        });
    }
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

const SOURCES_EXPECTED: &str = "an integer from 1 to 30";
const URL_EXPECTED: &str = "a public http or https address";
const _: () = assert!(SOURCES_MAX == 30, "SOURCES_EXPECTED names the bound");

fn required<T: DeserializeOwned + Default>(
    fields: &Map<String, Value>,
    name: &str,
    expected: &str,
    wrong: &mut Vec<InputError>,
) -> T {
    if !fields.contains_key(name) {
        wrong.push(violation(&format!("/{name}"), expected, None));
    }
    optional(fields, name, expected, wrong)
}

/// A field's value; its default when it is absent or, noting that, unreadable.
fn optional<T: DeserializeOwned + Default>(
    fields: &Map<String, Value>,
    name: &str,
    expected: &str,
    wrong: &mut Vec<InputError>,
) -> T {
    let Some(value) = fields.get(name) else {
        return T::default();
    };
    T::deserialize(value).unwrap_or_else(|_| {
        wrong.push(violation(&format!("/{name}"), expected, Some(value)));
        T::default()
    })
}

fn count(fields: &Map<String, Value>, wrong: &mut Vec<InputError>) -> usize {
    if fields.contains_key("max_sources") {
        optional(fields, "max_sources", SOURCES_EXPECTED, wrong)
    } else {
        super::types::default_max_sources()
    }
}

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

fn unknown(name: &str) -> Option<InputError> {
    if FIELDS.contains(&name) {
        return None;
    }
    let escaped = name.replace('~', "~0").replace('/', "~1");
    Some(InputError {
        pointer: format!("/{escaped}"),
        message: format!(
            "expected one of the fields {}, got {}",
            FIELDS.join(", "),
            quoted(&name.into())
        ),
    })
}

fn violation(pointer: &str, expected: &str, came: Option<&Value>) -> InputError {
    let came = came.map_or_else(|| "nothing".to_owned(), quoted);
    InputError {
        pointer: pointer.to_owned(),
        message: format!("expected {expected}, got {came}"),
    }
}

fn quoted(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= QUOTED_CHARS_MAX {
        return text;
    }
    let cut: String = text.chars().take(QUOTED_CHARS_MAX).collect();
    format!("{cut}…")
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
        assert_eq!(request.max_sources, 12);
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
                "expected one of the fields topic, type, language, max_sources, seed_urls, mode, on_llm_failure, got \"a/b\"",
            ),
        ];
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
