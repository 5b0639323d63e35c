//! Reads and checks the input of a comprehensive document: a script's request
//! without what is decided here.

use lovage_workflow::InputError;
use serde_json::Value;

use crate::input;
use crate::script::request;
use crate::script::types::ScriptRequest;

const FIELDS: &[&str] = &[
    "topic",
    "language",
    "length",
    "tone",
    "audience",
    "since",
    "max_sources",
    "seed_urls",
    "domains",
    "mode",
    "on_llm_failure",
    "budget",
    "cache",
];

/// Reads a request, as one for a report without images. Everything wrong with
/// it is told at once; unknown fields are refused by name.
///
/// # Errors
/// Where something is wrong, what was expected there and what came.
pub fn parse(value: &Value) -> Result<ScriptRequest, Vec<InputError>> {
    let fields = input::object(value)?;
    let mut wrong = input::unknown(fields, FIELDS);
    let mut known = fields.clone();
    known.retain(|name, _| FIELDS.contains(&name.as_str()));
    known.insert("type".to_owned(), "report".into());
    known.insert("max_images".to_owned(), 0.into());
    match request::parse(&Value::Object(known)) {
        Ok(request) if wrong.is_empty() => Ok(request),
        Ok(_) => Err(wrong),
        Err(more) => {
            wrong.extend(more);
            Err(wrong)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::script::types::ScriptType;

    #[test]
    fn a_topic_is_enough_and_makes_a_report_without_images() {
        let request = parse(&json!({"topic": "tides", "max_sources": 3})).unwrap();
        let read = (request.script_type, request.max_images, request.max_sources);
        assert_eq!(read, (ScriptType::Report, 0, 3));
    }

    #[test]
    fn a_refusal_says_where_what_was_expected_and_what_came() {
        let table = [
            (json!("x"), "", "expected an object, got \"x\""),
            (json!({}), "/topic", "expected a string, got nothing"),
            (
                json!({"topic": "a", "type": "news"}),
                "/type",
                "expected one of the fields topic, language,",
            ),
            (
                json!({"topic": "a", "max_images": 1}),
                "/max_images",
                "expected one of the fields",
            ),
            (
                json!({"topic": "a", "max_sources": 31}),
                "/max_sources",
                "expected an integer from 1 to 30, got 31",
            ),
        ];
        for (input, pointer, message) in table {
            let wrong = parse(&input).unwrap_err();
            let [one] = wrong.as_slice() else {
                panic!("{wrong:?}")
            };
            assert_eq!(one.pointer, pointer);
            assert!(one.message.contains(message), "{}", one.message);
        }
    }
}
