//! Errors as Python raises them.

use lovage_core::attempt::JobError;
use lovage_core::payload::Payload;
use serde::{Deserialize, Serialize};

use crate::json;

/// Module of classes that no producer has: Celery makes one of that name.
const OURS: &str = "lovage.errors";

/// Length of an exception shown in one line, in bytes.
const SHOWN_BYTES_MAX: usize = 1_024;

/// Python's exceptions that one text makes, sorted. `SystemExit` and its like are
/// left out: raised by `get` they would end the producer.
const BUILTINS: [&str; 42] = [
    "ArithmeticError",
    "AssertionError",
    "AttributeError",
    "BlockingIOError",
    "BrokenPipeError",
    "BufferError",
    "ChildProcessError",
    "ConnectionAbortedError",
    "ConnectionError",
    "ConnectionRefusedError",
    "ConnectionResetError",
    "EOFError",
    "EnvironmentError",
    "Exception",
    "FileExistsError",
    "FileNotFoundError",
    "FloatingPointError",
    "IOError",
    "ImportError",
    "IndexError",
    "InterruptedError",
    "IsADirectoryError",
    "KeyError",
    "LookupError",
    "MemoryError",
    "ModuleNotFoundError",
    "NameError",
    "NotADirectoryError",
    "NotImplementedError",
    "OSError",
    "OverflowError",
    "PermissionError",
    "ProcessLookupError",
    "RecursionError",
    "ReferenceError",
    "RuntimeError",
    "StopIteration",
    "SyntaxError",
    "TimeoutError",
    "TypeError",
    "ValueError",
    "ZeroDivisionError",
];

/// An exception as results carry it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Exception {
    pub(crate) exc_type: String,
    pub(crate) exc_message: Vec<Payload>,
    pub(crate) exc_module: String,
}

impl Exception {
    /// A job's error. Its code names the exception: one of Python's own
    /// (`ValueError`), or with a module (`shop.errors.NotFound`); the engine's
    /// codes have theirs, others are a class of that name.
    pub(crate) fn of(error: &JobError) -> Self {
        let (module, class) = class_of(&error.code);
        Self::new(&module, &class, &error.message)
    }

    /// `module`, class and one text.
    pub(crate) fn new(module: &str, class: &str, text: &str) -> Self {
        let text = Payload::of(&text).expect("a text has JSON");
        Self {
            exc_type: class.to_owned(),
            exc_message: vec![text],
            exc_module: module.to_owned(),
        }
    }

    /// As `repr` shows it: `ValueError('bad')`.
    pub(crate) fn repr(&self) -> String {
        format!("{}({})", self.class(), self.shown())
    }

    /// The text of a traceback for it: Rust has none to show.
    pub(crate) fn traceback(&self) -> String {
        let module = match self.exc_module.as_str() {
            "builtins" => "",
            module => &format!("{module}."),
        };
        let text = match self.exc_message.as_slice() {
            [] => String::new(),
            // As `str` shows an exception: its one argument, or all of them. A
            // KeyError quotes its key.
            [only] => match only.read::<String>() {
                Ok(text) if self.exc_type != "KeyError" => format!(": {text}"),
                _ => format!(": {}", self.shown()),
            },
            _ => format!(": ({})", self.shown()),
        };
        format!(
            "Traceback (most recent call last):\n{module}{}{text}\n",
            self.exc_type
        )
    }

    fn class(&self) -> &str {
        let class = self.exc_type.rsplit('.').next();
        class.unwrap_or(&self.exc_type)
    }

    fn shown(&self) -> String {
        let arguments = self.exc_message.iter();
        let shown: Vec<String> = arguments
            .map(|argument| json::repr(argument.as_str(), SHOWN_BYTES_MAX))
            .collect();
        shown.join(", ")
    }
}

/// Module and class of an error's code.
fn class_of(code: &str) -> (String, String) {
    let builtin = |class: &str| ("builtins".to_owned(), class.to_owned());
    match code {
        "timeout" => return builtin("TimeoutError"),
        "invalid_input" => return builtin("ValueError"),
        "panic" | "lease_lost" | "cancelled" | "expired" | "settle_refused"
        | "result_too_large" | "result_expired" => return builtin("RuntimeError"),
        _ if BUILTINS.binary_search(&code).is_ok() => return builtin(code),
        _ => {}
    }
    if let Some((module, class)) = code.rsplit_once('.')
        && module.split('.').all(is_identifier)
        && is_identifier(class)
    {
        return (module.to_owned(), class.to_owned());
    }
    match camel(code) {
        class if is_identifier(&class) => (OURS.to_owned(), class),
        _ => builtin("RuntimeError"),
    }
}

fn is_identifier(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
}

/// `llm_auth` as `LlmAuth`.
fn camel(code: &str) -> String {
    let mut class = String::new();
    for word in code.split(|c: char| !c.is_ascii_alphanumeric()) {
        let mut letters = word.chars();
        class.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        class.push_str(letters.as_str());
    }
    class
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_names_its_exception() {
        assert!(BUILTINS.is_sorted());
        for (code, module, class) in [
            ("ValueError", "builtins", "ValueError"),
            ("shop.errors.NotFound", "shop.errors", "NotFound"),
            ("timeout", "builtins", "TimeoutError"),
            ("invalid_input", "builtins", "ValueError"),
            ("lease_lost", "builtins", "RuntimeError"),
            ("llm_auth", "lovage.errors", "LlmAuth"),
            ("Boom", "lovage.errors", "Boom"),
            ("SystemExit", "lovage.errors", "SystemExit"),
            ("not-found", "lovage.errors", "NotFound"),
            ("a..b", "lovage.errors", "AB"),
            ("os.system()", "lovage.errors", "OsSystem"),
            ("404", "builtins", "RuntimeError"),
            ("", "builtins", "RuntimeError"),
        ] {
            let error = Exception::of(&JobError::permanent(code, "bad"));
            assert_eq!((&*error.exc_module, &*error.exc_type), (module, class));
            assert_eq!(error.exc_message[0].as_str(), "\"bad\"");
        }
    }

    #[test]
    fn exceptions_are_shown_as_python_shows_them() {
        for (json, repr, last) in [
            (
                r#"{"exc_type":"ValueError","exc_message":["it's"],"exc_module":"builtins"}"#,
                r#"ValueError("it's")"#,
                "ValueError: it's",
            ),
            (
                r#"{"exc_type":"Outer.Boom","exc_message":["a",2],"exc_module":"shop"}"#,
                "Boom('a', 2)",
                "shop.Outer.Boom: ('a', 2)",
            ),
            (
                r#"{"exc_type":"SoftTimeLimitExceeded","exc_message":[],"exc_module":"billiard.exceptions"}"#,
                "SoftTimeLimitExceeded()",
                "billiard.exceptions.SoftTimeLimitExceeded",
            ),
            (
                r#"{"exc_type":"TimeLimitExceeded","exc_message":[1.5],"exc_module":"billiard.exceptions"}"#,
                "TimeLimitExceeded(1.5)",
                "billiard.exceptions.TimeLimitExceeded: 1.5",
            ),
        ] {
            let error: Exception = serde_json::from_str(json).expect("an exception");
            assert_eq!(error.repr(), repr);
            let traceback = format!("Traceback (most recent call last):\n{last}\n");
            assert_eq!(error.traceback(), traceback);
            assert_eq!(serde_json::to_string(&error).expect("JSON"), json);
        }
    }
}
