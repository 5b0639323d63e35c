//! From a task to the input of a kind.

use std::collections::HashMap;

use lovage_core::payload::Payload;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::config::Shape;
use crate::json;
use crate::message::Task;

/// The input that `shape` makes of the task's arguments.
///
/// # Errors
/// As a Python `TypeError` would say it: too many arguments, or one twice.
pub(crate) fn input(task: &Task, shape: &Shape) -> Result<Payload, String> {
    let (args, kwargs) = (&task.args, &task.kwargs);
    let text = match shape {
        Shape::Call => format!(
            r#"{{"args":{},"kwargs":{}}}"#,
            args.as_str(),
            kwargs.as_str()
        ),
        Shape::Named(_) if members(args).is_empty() => return Ok(kwargs.clone()),
        Shape::Named(names) => {
            let args: Vec<&RawValue> = args.read().map_err(unreadable)?;
            match args[..] {
                [only] if members(kwargs).is_empty() && is_input(only.get()) => {
                    only.get().to_owned()
                }
                _ => named(&task.name, names, &args, kwargs)?,
            }
        }
    };
    Payload::parse(&text).map_err(unreadable)
}

/// The keyword arguments with `args` under `names` before them.
fn named(
    task: &str,
    names: &[String],
    args: &[&RawValue],
    kwargs: &Payload,
) -> Result<String, String> {
    if args.len() > names.len() {
        return Err(format!(
            "{task}() takes {} positional {} but {} {} given",
            names.len(),
            plural(names.len(), "argument", "arguments"),
            args.len(),
            plural(args.len(), "was", "were"),
        ));
    }
    let given: HashMap<String, IgnoredAny> = kwargs.read().map_err(unreadable)?;
    let mut text = "{".to_owned();
    for (name, value) in names.iter().zip(args) {
        if given.contains_key(name) {
            return Err(format!(
                "{task}() got multiple values for argument '{name}'"
            ));
        }
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&serde_json::to_string(name).map_err(unreadable)?);
        text.push(':');
        text.push_str(value.get());
    }
    let others = members(kwargs);
    if !others.is_empty() {
        text.push(',');
        text.push_str(others);
    }
    text.push('}');
    Ok(text)
}

/// What stands between the brackets of a list or an object.
fn members(payload: &Payload) -> &str {
    let text = payload.as_str();
    text.get(1..text.len() - 1).unwrap_or_default().trim()
}

/// Whether an only argument is the whole input: an object, but none that stands
/// for a value that JSON does not have.
fn is_input(text: &str) -> bool {
    #[derive(Deserialize)]
    struct Typed<'a> {
        #[serde(rename = "__type__", borrow)]
        kind: json::Raw<'a>,
    }
    json::object::<Typed<'_>>(text, "an argument").is_ok_and(|typed| typed.kind.is_none())
}

fn plural<'a>(count: usize, one: &'a str, more: &'a str) -> &'a str {
    if count == 1 { one } else { more }
}

fn unreadable(error: serde_json::Error) -> String {
    format!("the arguments cannot be read: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(args: &str, kwargs: &str, shape: &Shape) -> Result<String, String> {
        let body = format!("[{args}, {kwargs}, {{}}]");
        let message = serde_json::json!({
            "body": body,
            "content-type": "application/json",
            "headers": {"task": "add", "id": "1"},
        });
        let task = Task::decode(message.to_string().as_bytes(), &jiff::tz::TimeZone::UTC);
        input(&task.expect("a task"), shape).map(|input| input.as_str().to_owned())
    }

    fn named(names: &[&str]) -> Shape {
        Shape::Named(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn positional_arguments_get_their_names() {
        let shape = named(&["x", "y \"z\""]);
        for (args, kwargs, input) in [
            ("[]", "{}", "{}"),
            ("[]", r#"{"x": 1}"#, r#"{"x": 1}"#),
            ("[1]", "{}", r#"{"x":1}"#),
            ("[1, 2.50]", "{ }", r#"{"x":1,"y \"z\"":2.50}"#),
            ("[1]", r#"{"k": "\ud800"}"#, r#"{"x":1,"k": "\ud800"}"#),
            ("[[]]", "{}", r#"{"x":[]}"#),
        ] {
            assert_eq!(call(args, kwargs, &shape).as_deref(), Ok(input));
        }
    }

    #[test]
    fn a_single_object_is_the_input() {
        let shape = named(&["x"]);
        let huge = format!(r#"{{"n": 1{}}}"#, "0".repeat(40));
        for (args, kwargs, input) in [
            (r#"{"topic": "a"}"#, "{}", r#"{"topic": "a"}"#),
            (&huge, "{}", &huge),
            ("{}", r#"{"k": 1}"#, r#"{"x":{},"k": 1}"#),
            (
                r#"{"__type__": "date", "__value__": "2024-01-02"}"#,
                "{}",
                r#"{"x":{"__type__": "date", "__value__": "2024-01-02"}}"#,
            ),
            (
                "NaN",
                "{}",
                r#"{"x":{"__type__":"float","__value__":"nan"}}"#,
            ),
        ] {
            let args = format!("[{args}]");
            assert_eq!(call(&args, kwargs, &shape).as_deref(), Ok(input));
        }
        let unnamed = call(r#"[{"topic": "a"}]"#, "{}", &named(&[]));
        assert_eq!(unnamed.as_deref(), Ok(r#"{"topic": "a"}"#));
    }

    #[test]
    fn a_call_is_kept_as_it_came() {
        let input = call(r#"[1, {"a": 2}]"#, r#"{"k": null}"#, &Shape::Call);
        assert_eq!(
            input.as_deref(),
            Ok(r#"{"args":[1, {"a": 2}],"kwargs":{"k": null}}"#)
        );
    }

    #[test]
    fn what_does_not_fit_is_said_as_python_says_it() {
        for (args, kwargs, names, error) in [
            (
                "[1, 2]",
                "{}",
                named(&["x"]),
                "add() takes 1 positional argument but 2 were given",
            ),
            (
                "[1]",
                "{}",
                named(&[]),
                "add() takes 0 positional arguments but 1 was given",
            ),
            (
                "[1]",
                r#"{"x": 2}"#,
                named(&["x"]),
                "add() got multiple values for argument 'x'",
            ),
        ] {
            assert_eq!(call(args, kwargs, &names), Err(error.to_owned()));
        }
        let unnameable = call("[1]", r#"{"\ud800": 2}"#, &named(&["x"])).expect_err("no name");
        assert!(unnameable.starts_with("the arguments cannot be read"));
    }
}
