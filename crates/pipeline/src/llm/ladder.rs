//! From what we would like to send down to what a model takes.
//!
//! Structured output has three rungs: `json_schema`, `json_object`, and plain
//! text in which the JSON is looked for. The schema also stands in the prompt
//! on every rung, because some providers accept `response_format` and ignore it.

use serde_json::Value;

use super::{ChatRequest, Message, Role};

/// Characters of a bad answer that are quoted back.
const QUOTE_CHARS_MAX: usize = 4000;

/// Places in a text where a JSON object may begin that are looked at.
const STARTS_MAX: usize = 32;

/// A parameter that some models refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parameter {
    ResponseFormat,
    StreamOptions,
    Temperature,
    MaxTokens,
    MaxCompletionTokens,
}

impl Parameter {
    const ALL: [Parameter; 5] = [
        Parameter::ResponseFormat,
        Parameter::StreamOptions,
        Parameter::Temperature,
        Parameter::MaxTokens,
        Parameter::MaxCompletionTokens,
    ];

    /// Its name on the wire.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Parameter::ResponseFormat => "response_format",
            Parameter::StreamOptions => "stream_options",
            Parameter::Temperature => "temperature",
            Parameter::MaxTokens => "max_tokens",
            Parameter::MaxCompletionTokens => "max_completion_tokens",
        }
    }

    /// The parameter a complaint is about: the first it names, for what follows
    /// may be the advised replacement ("Use 'max_completion_tokens' instead").
    pub(crate) fn named_in(complaint: &str) -> Option<Parameter> {
        let position = |parameter: &Parameter| complaint.find(parameter.as_str());
        Parameter::ALL
            .into_iter()
            .filter(|parameter| position(parameter).is_some())
            .min_by_key(position)
    }
}

/// How to ask for JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Format {
    #[default]
    JsonSchema,
    JsonObject,
    Plain,
}

/// How to bound the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Bound {
    /// What nearly every provider takes.
    #[default]
    MaxTokens,
    /// What OpenAI's reasoning models take instead.
    MaxCompletionTokens,
    /// The model takes neither.
    Unbounded,
}

/// What a model takes, as far as it is known. It only ever steps down, so the
/// number of refused calls is bounded by the number of steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Shape {
    pub(crate) format: Format,
    pub(crate) bound: Bound,
    pub(crate) without_temperature: bool,
    pub(crate) without_stream_options: bool,
}

impl Shape {
    /// The next thing to try when a parameter was refused.
    pub(crate) fn without(self, refused: Parameter) -> Shape {
        let mut shape = self;
        match refused {
            Parameter::ResponseFormat => {
                shape.format = match self.format {
                    Format::JsonSchema => Format::JsonObject,
                    Format::JsonObject | Format::Plain => Format::Plain,
                }
            }
            Parameter::StreamOptions => shape.without_stream_options = true,
            Parameter::Temperature => shape.without_temperature = true,
            Parameter::MaxTokens => shape.bound = Bound::MaxCompletionTokens,
            Parameter::MaxCompletionTokens => shape.bound = Bound::Unbounded,
        }
        shape
    }

    /// What both have learnt. Calls made at the same time learn the same thing
    /// twice; adding it up must not step down twice.
    pub(crate) fn lowest(self, other: Shape) -> Shape {
        Shape {
            format: self.format.max(other.format),
            bound: self.bound.max(other.bound),
            without_temperature: self.without_temperature | other.without_temperature,
            without_stream_options: self.without_stream_options | other.without_stream_options,
        }
    }
}

/// The conversation to send: the request's own, and the schema when there is one.
pub(crate) fn conversation(request: &ChatRequest) -> Vec<Message> {
    let mut messages = request.messages.clone();
    let Some((_, schema)) = &request.schema else {
        return messages;
    };
    let demand = format!(
        "Answer with one JSON document that follows this JSON Schema, and nothing else:\n{schema}"
    );
    // Added to the system message, not beside it: some chat templates take only one.
    match messages
        .iter_mut()
        .find(|message| message.role == Role::System)
    {
        Some(system) => system.text = format!("{}\n\n{demand}", system.text),
        None => messages.insert(0, Message::new(Role::System, demand)),
    }
    messages
}

/// Asks once more after an answer that was not the JSON asked for.
pub(crate) fn correction(messages: &mut Vec<Message>, answer: &str, complaint: &str) {
    if answer.is_empty() {
        return;
    }
    let quoted: String = answer.chars().take(QUOTE_CHARS_MAX).collect();
    messages.push(Message::new(Role::Assistant, quoted));
    messages.push(Message::new(
        Role::User,
        format!("That cannot be used: {complaint}. Answer with the JSON document only."),
    ));
}

/// The JSON document in an answer: all of it, or the first object found in it,
/// past code fences and introductions. The error is that of the whole text.
pub(crate) fn extract_json(answer: &str) -> Result<&str, serde_json::Error> {
    let answer = answer.trim();
    let whole = match serde_json::from_str::<Value>(answer) {
        Ok(Value::Object(_) | Value::Array(_)) => return Ok(answer),
        Ok(_) => serde::de::Error::custom("a JSON object is expected"),
        Err(error) => error,
    };
    answer
        .match_indices('{')
        .take(STARTS_MAX)
        .find_map(|(start, _)| object_at(&answer[start..]))
        .ok_or(whole)
}

/// The object a text begins with, whatever follows it.
fn object_at(text: &str) -> Option<&str> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    values.next()?.ok()?;
    Some(&text[..values.byte_offset()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_found_past_fences_and_talk() {
        let cases = [
            (r#"{"a":1}"#, r#"{"a":1}"#),
            ("```json\n{\"a\":1}\n```", r#"{"a":1}"#),
            (
                "Here you {are}: {\"a\":{\"b\":2}} and {more}.",
                r#"{"a":{"b":2}}"#,
            ),
            ("[1, 2]", "[1, 2]"),
            ("계획입니다 {\"제목\":\"버스\"}", "{\"제목\":\"버스\"}"),
        ];
        for (answer, json) in cases {
            assert_eq!(extract_json(answer).unwrap(), json);
        }
        for answer in ["", "no JSON", "{\"cut\": [1, 2", "42"] {
            assert!(extract_json(answer).is_err(), "{answer:?}");
        }
    }

    #[test]
    fn the_first_parameter_named_is_the_refused_one() {
        let cases = [
            (
                "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
                Some(Parameter::MaxTokens),
            ),
            (
                "Unrecognized request argument supplied: max_completion_tokens",
                Some(Parameter::MaxCompletionTokens),
            ),
            (
                "'response_format.type' must be 'json_schema' or 'text'",
                Some(Parameter::ResponseFormat),
            ),
            (
                "stream_options: Extra inputs are not permitted",
                Some(Parameter::StreamOptions),
            ),
            ("the messages are empty", None),
        ];
        for (complaint, parameter) in cases {
            assert_eq!(Parameter::named_in(complaint), parameter, "{complaint}");
        }
    }

    #[test]
    fn calls_that_learn_the_same_at_once_step_down_once() {
        let start = Shape::default();
        let learnt = start.without(Parameter::ResponseFormat);
        assert_eq!(learnt.lowest(learnt), learnt);
        let other = start.without(Parameter::Temperature);
        assert_eq!(learnt.lowest(other), learnt.without(Parameter::Temperature));
    }
}
