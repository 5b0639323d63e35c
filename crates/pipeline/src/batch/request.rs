//! Reads and checks the input of a batch.

use lovage_workflow::{Catalog, InputError};
use serde_json::{Map, Value};

use crate::input::{self, optional, violation};
use crate::script;

/// Inputs in one batch: as many as a job may have children.
pub const ITEMS_MAX: usize = 1_000;
/// Bytes of all inputs together, with what is shared in each of them, be it
/// replaced by their own or not.
const BYTES_MAX: usize = 8 << 20;

const FIELDS: &[&str] = &["kind", "topics", "inputs", "shared"];

/// The input of kind `batch.generate`, its items as jobs of their own get them.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchRequest {
    /// Kind of the items; `script.generate` unless named.
    pub kind: String,
    /// The items: what is shared, and what is their own.
    pub inputs: Vec<Value>,
}

/// Reads a batch. Whether each input fits its kind is not asked here: one that
/// does not is refused alone.
pub(super) fn parse(value: &Value, kinds: &Catalog) -> Result<BatchRequest, Vec<InputError>> {
    let fields = input::object(value)?;
    let mut wrong = input::unknown(fields, FIELDS);
    let mut kind: String = optional(fields, "kind", "the name of a kind", &mut wrong);
    if kind.is_empty() {
        script::KIND.clone_into(&mut kind);
    }
    if !kinds.kinds().any(|spec| spec.kind.as_str() == kind) {
        let names: Vec<_> = kinds.kinds().map(|spec| spec.kind.as_str()).collect();
        let expected = format!("one of {}", names.join(", "));
        wrong.push(violation("/kind", &expected, Some(&kind.as_str().into())));
    }
    let shared: Map<String, Value> = optional(fields, "shared", "an object", &mut wrong);
    let items = items(fields, &mut wrong);
    // Before what is shared is copied into each of them.
    let all = items.len() * bytes(&shared) + items.iter().map(bytes).sum::<usize>();
    if all > BYTES_MAX {
        wrong.push(InputError {
            pointer: "/shared".to_owned(),
            message: format!(
                "expected inputs of at most {BYTES_MAX} bytes together, with what is shared in each, got {all}"
            ),
        });
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let whole = |own| Value::Object(shared.clone().into_iter().chain(own).collect());
    let inputs = items.into_iter().map(whole).collect();
    Ok(BatchRequest { kind, inputs })
}

fn bytes(fields: &Map<String, Value>) -> usize {
    let text = serde_json::to_string(fields).expect("fields have a JSON form");
    text.len()
}

/// What each item says for itself, from `topics` or `inputs`.
fn items(fields: &Map<String, Value>, wrong: &mut Vec<InputError>) -> Vec<Map<String, Value>> {
    let named = |name: &str| fields.contains_key(name);
    let (name, items) = match (named("topics"), named("inputs")) {
        (true, false) => {
            let topics: Vec<String> = optional(fields, "topics", "an array of strings", wrong);
            let item = |topic| Map::from_iter([("topic".to_owned(), Value::String(topic))]);
            ("/topics", topics.into_iter().map(item).collect::<Vec<_>>())
        }
        (false, true) => {
            let inputs = optional(fields, "inputs", "an array of objects", wrong);
            ("/inputs", inputs)
        }
        (both, _) => {
            let came = if both { "both" } else { "neither" };
            let message = format!("expected topics or inputs, one of the two, got {came}");
            let pointer = String::new();
            wrong.push(InputError { pointer, message });
            return Vec::new();
        }
    };
    let told = wrong.iter().any(|one| one.pointer == name);
    if !told && (items.is_empty() || items.len() > ITEMS_MAX) {
        let expected = format!("1 to {ITEMS_MAX} items");
        wrong.push(violation(name, &expected, Some(&items.len().into())));
        return Vec::new();
    }
    items
}

#[cfg(test)]
mod tests {
    use lovage_workflow::KindSpec;
    use serde_json::json;

    use super::*;

    fn kinds() -> Catalog {
        let kind = |name: &str| KindSpec::new(name.parse().unwrap(), "a kind");
        Catalog::new([kind(script::KIND), kind("story.tell")])
    }

    #[test]
    fn topics_and_inputs_take_what_is_shared_and_their_own_wins() {
        let topics = json!({"topics": ["a", "b"], "shared": {"type": "news", "topic": "x"}});
        let read = parse(&topics, &kinds()).unwrap();
        let expected = vec![
            json!({"topic": "a", "type": "news"}),
            json!({"topic": "b", "type": "news"}),
        ];
        assert_eq!((read.kind.as_str(), read.inputs), (script::KIND, expected));
        let inputs = json!({"kind": "story.tell", "inputs": [{"a": 1}, {}], "shared": {"a": 2}});
        let read = parse(&inputs, &kinds()).unwrap();
        assert_eq!(read.inputs, [json!({"a": 1}), json!({"a": 2})]);
    }

    #[test]
    fn a_refusal_says_where_what_was_expected_and_what_came() {
        let many = vec!["a"; ITEMS_MAX + 1];
        let heavy = "x".repeat(BYTES_MAX);
        let table = [
            (json!([]), "", "expected an object, got []"),
            (json!({}), "", "one of the two, got neither"),
            (json!({"topics": ["a"], "inputs": []}), "", "got both"),
            (
                json!({"topics": []}),
                "/topics",
                "expected 1 to 1000 items, got 0",
            ),
            (
                json!({"topics": many}),
                "/topics",
                "expected 1 to 1000 items, got 1001",
            ),
            (
                json!({"topics": [1]}),
                "/topics",
                "expected an array of strings, got [1]",
            ),
            (
                json!({"inputs": ["a"]}),
                "/inputs",
                "expected an array of objects",
            ),
            (
                json!({"topics": ["a"], "shared": 1}),
                "/shared",
                "expected an object, got 1",
            ),
            (
                json!({"topics": ["a"], "shared": {"tone": heavy}}),
                "/shared",
                "bytes together",
            ),
            (
                json!({"topics": vec!["a"; ITEMS_MAX], "shared": {"tone": "x".repeat(9_000)}}),
                "/shared",
                "got 9024000",
            ),
            (
                json!({"topics": ["a"], "kind": "batch.generate"}),
                "/kind",
                "expected one of script.generate, story.tell, got \"batch.generate\"",
            ),
            (
                json!({"topics": ["a"], "topic": "b"}),
                "/topic",
                "expected one of the fields kind,",
            ),
        ];
        for (input, pointer, message) in table {
            let wrong = parse(&input, &kinds()).unwrap_err();
            let [one] = wrong.as_slice() else {
                panic!("{wrong:?}")
            };
            assert_eq!(one.pointer, pointer);
            assert!(one.message.contains(message), "{}", one.message);
        }
    }
}
