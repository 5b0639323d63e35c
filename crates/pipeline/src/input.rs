//! Reading the input of a job field by field, telling all that is wrong with it at once.

use lovage_workflow::{Context, Failure, InputError};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::script::types::{Budget, Language, default_cache};

/// Characters of a refused value that are quoted back.
const QUOTED_CHARS_MAX: usize = 60;
/// Unknown fields that are refused by name: an input of nothing else would be
/// answered with many times its size.
const UNKNOWN_MAX: usize = 20;

/// The input of the job an attempt is at, as `parse` reads it.
///
/// # Errors
/// Gives up with `input`: a job that was enqueued past the catalogue's check.
pub(crate) fn read<T>(
    context: &Context,
    parse: impl Fn(&Value) -> Result<T, Vec<InputError>>,
) -> Result<T, Failure> {
    let input: Value = context.input()?;
    parse(&input).map_err(|wrong| Failure::give_up("input", sentence(&wrong)))
}

/// Everything that is wrong, for a person.
pub(crate) fn sentence(wrong: &[InputError]) -> String {
    let wrong: Vec<_> = wrong
        .iter()
        .map(|one| format!("{} {}", one.pointer, one.message))
        .collect();
    wrong.join("; ")
}

/// The fields of an input, which has to be an object.
pub(crate) fn object(value: &Value) -> Result<&Map<String, Value>, Vec<InputError>> {
    let object = value.as_object();
    object.ok_or_else(|| vec![violation("", "an object", Some(value))])
}

/// A field that has to be there.
pub(crate) fn required<T: DeserializeOwned + Default>(
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
pub(crate) fn optional<T: DeserializeOwned + Default>(
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

/// A field's value, with a default other than its type's own.
pub(crate) fn given<T: DeserializeOwned + Default>(
    fields: &Map<String, Value>,
    name: &str,
    expected: &str,
    default: T,
    wrong: &mut Vec<InputError>,
) -> T {
    if fields.contains_key(name) {
        optional(fields, name, expected, wrong)
    } else {
        default
    }
}

/// The language to write in.
pub(crate) fn language(fields: &Map<String, Value>, wrong: &mut Vec<InputError>) -> Language {
    optional(fields, "language", "one of auto, ko, en", wrong)
}

/// What the job may cost.
pub(crate) fn budget(fields: &Map<String, Value>, wrong: &mut Vec<InputError>) -> Budget {
    let expected = "an object with max_cost_usd, max_tokens and deadline_s";
    optional(fields, "budget", expected, wrong)
}

/// Whether answers of earlier jobs may be used again.
pub(crate) fn cache(fields: &Map<String, Value>, wrong: &mut Vec<InputError>) -> bool {
    given(fields, "cache", "true or false", default_cache(), wrong)
}

/// A request with all that is wrong with it: what was told while it was read,
/// then what was `found` in its values.
pub(crate) fn judged<T>(
    request: T,
    mut wrong: Vec<InputError>,
    found: Vec<InputError>,
) -> Result<T, Vec<InputError>> {
    for found in found {
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

/// A refusal of a text that is blank or too long.
pub(crate) fn length(pointer: &str, text: &str, chars_max: usize) -> Option<InputError> {
    let chars = text.chars().count();
    let came = match chars > chars_max {
        true => format!("{chars} characters"),
        false if text.trim().is_empty() => "none".to_owned(),
        false => return None,
    };
    Some(InputError {
        pointer: pointer.to_owned(),
        message: format!("expected 1 to {chars_max} characters that are not all blank, got {came}"),
    })
}

/// A refusal for every field that is none of `known`, the first of them where
/// there are many.
pub(crate) fn unknown(fields: &Map<String, Value>, known: &[&str]) -> Vec<InputError> {
    let others = fields.keys().filter(|name| !known.contains(&name.as_str()));
    let refused = |name: &String| {
        let escaped = name.replace('~', "~0").replace('/', "~1");
        InputError {
            pointer: format!("/{escaped}"),
            message: format!(
                "expected one of the fields {}, got {}",
                known.join(", "),
                quoted(&name.as_str().into())
            ),
        }
    };
    others.take(UNKNOWN_MAX).map(refused).collect()
}

/// What was expected and what came; nothing came where it is `None`.
pub(crate) fn violation(pointer: &str, expected: &str, came: Option<&Value>) -> InputError {
    let came = came.map_or_else(|| "nothing".to_owned(), quoted);
    InputError {
        pointer: pointer.to_owned(),
        message: format!("expected {expected}, got {came}"),
    }
}

/// A value as a refusal shows it.
pub(crate) fn quoted(value: &Value) -> String {
    clipped(value.to_string(), QUOTED_CHARS_MAX)
}

/// A text, cut where it is longer.
pub(crate) fn clipped(text: String, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_unknown_fields_the_first_are_refused_by_name() {
        let field = |number| (format!("a/{number:03}"), Value::Null);
        let fields: Map<String, Value> = (0..500).map(field).collect();
        let wrong = unknown(&fields, &["topic"]);
        assert_eq!(wrong.len(), UNKNOWN_MAX);
        assert_eq!(wrong[0].pointer, "/a~1000");
    }
}
