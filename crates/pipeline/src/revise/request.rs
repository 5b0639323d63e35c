//! Reads and checks the input of a revision.

use lovage_workflow::InputError;
use serde_json::Value;

use crate::input::{self, optional, required, violation};
use crate::script::request::{TONE_CHARS_MAX, check_budget, check_words};
use crate::script::types::Mode;

use super::types::{ChapterId, ReviseRequest};

/// Characters of a story: a long chapter, and still far below a result's bound
/// with its diff.
pub const STORY_CHARS_MAX: usize = 100_000;
/// Characters of an edit request.
pub const EDIT_REQUEST_CHARS_MAX: usize = 4_000;
/// Characters of a chapter's name.
const CHAPTER_CHARS_MAX: usize = 200;

const FIELDS: &[&str] = &[
    "chapterId",
    "story",
    "editRequest",
    "language",
    "tone",
    "mode",
    "budget",
    "cache",
];
const CHAPTER_EXPECTED: &str = "a number from 0 or a text of 1 to 200 characters";

/// Reads a request. Everything wrong with it is told at once; unknown fields
/// are refused by name.
///
/// # Errors
/// Where something is wrong, what was expected there and what came.
pub fn parse(value: &Value) -> Result<ReviseRequest, Vec<InputError>> {
    let fields = input::object(value)?;
    let mut wrong = input::unknown(fields, FIELDS);
    let chapter = fields.get("chapterId");
    let chapter_id = chapter.map(|id| serde_json::from_value(id.clone()));
    let chapter_id = match chapter_id {
        Some(Ok(id)) if is_named(&id) => id,
        _ => {
            wrong.push(violation("/chapterId", CHAPTER_EXPECTED, chapter));
            ChapterId::Number(0)
        }
    };
    let story: String = required(fields, "story", "a string", &mut wrong);
    let request = ReviseRequest {
        chapter_id,
        story: story.replace("\r\n", "\n"),
        edit_request: required(fields, "editRequest", "a string", &mut wrong),
        language: input::language(fields, &mut wrong),
        tone: optional(fields, "tone", "a string", &mut wrong),
        mode: optional(fields, "mode", "auto or llm", &mut wrong),
        budget: input::budget(fields, &mut wrong),
        cache: input::cache(fields, &mut wrong),
    };
    let found = validate(&request);
    input::judged(request, wrong, found)
}

fn is_named(id: &ChapterId) -> bool {
    match id {
        ChapterId::Number(_) => true,
        ChapterId::Text(text) => {
            (1..=CHAPTER_CHARS_MAX).contains(&text.chars().count())
                && !text.trim().is_empty()
                && !text.chars().any(char::is_control)
        }
    }
}

fn validate(request: &ReviseRequest) -> Vec<InputError> {
    let mut wrong = Vec::new();
    check_text("/story", &request.story, STORY_CHARS_MAX, &mut wrong);
    check_text(
        "/editRequest",
        &request.edit_request,
        EDIT_REQUEST_CHARS_MAX,
        &mut wrong,
    );
    if request.mode == Mode::Extractive {
        let expected = "auto or llm, as nothing can be revised without a language model";
        wrong.push(violation("/mode", expected, Some(&"extractive".into())));
    }
    check_words("/tone", request.tone.as_deref(), TONE_CHARS_MAX, &mut wrong);
    check_budget(&request.budget, &mut wrong);
    wrong
}

fn check_text(pointer: &str, text: &str, chars_max: usize, wrong: &mut Vec<InputError>) {
    let is_odd = |c: &char| c.is_control() && !matches!(c, '\n' | '\t');
    if let Some(refusal) = input::length(pointer, text, chars_max) {
        wrong.push(refusal);
    } else if let Some(c) = text.chars().find(is_odd) {
        wrong.push(InputError {
            pointer: pointer.to_owned(),
            message: format!(
                "expected no control characters but line breaks and tabs, got U+{:04X}",
                u32::from(c)
            ),
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with(field: &str, value: Value) -> Value {
        let mut input = json!({"chapterId": "c-1", "story": "Once.", "editRequest": "shorter"});
        input[field] = value;
        input
    }

    #[test]
    fn three_fields_are_enough_and_keep_their_names() {
        let request = parse(&with("story", json!("One.\r\nTwo."))).unwrap();
        assert_eq!(request.story, "One.\nTwo.");
        assert!(request.cache);
        let numbered = parse(&with("chapterId", json!(7))).unwrap();
        assert_eq!(numbered.chapter_id, ChapterId::Number(7));
        let value = serde_json::to_value(&request).unwrap();
        let mut names: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        let mut known = FIELDS.to_vec();
        names.sort_unstable();
        known.sort_unstable();
        assert_eq!(names, known);
        assert_eq!(parse(&value), Ok(request));
    }

    #[test]
    fn a_refusal_says_where_what_was_expected_and_what_came() {
        let table = [
            (json!(5), "", "expected an object, got 5"),
            (with("chapterId", json!(-1)), "/chapterId", "got -1"),
            (with("chapterId", json!(" ")), "/chapterId", "got \" \""),
            (with("chapterId", Value::Null), "/chapterId", "got null"),
            (with("story", json!("\n")), "/story", "got none"),
            (
                with("story", json!("가".repeat(STORY_CHARS_MAX + 1))),
                "/story",
                "expected 1 to 100000 characters that are not all blank, got 100001 characters",
            ),
            (with("story", json!("a\u{7}b")), "/story", "got U+0007"),
            (with("story", json!(["a"])), "/story", "expected a string"),
            (
                with("editRequest", json!("x".repeat(EDIT_REQUEST_CHARS_MAX + 1))),
                "/editRequest",
                "got 4001 characters",
            ),
            (
                with("edit_request", json!("x")),
                "/edit_request",
                "expected one of the fields",
            ),
            (
                with("mode", json!("extractive")),
                "/mode",
                "without a language model",
            ),
            (with("tone", json!("x".repeat(61))), "/tone", "at most 60"),
            (
                with("budget", json!({"max_tokens": 0})),
                "/budget/max_tokens",
                "above 0",
            ),
            (
                with("cache", json!("no")),
                "/cache",
                "expected true or false",
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
        let missing = parse(&json!({})).unwrap_err();
        assert_eq!(missing.len(), 3, "{missing:?}");
    }
}
