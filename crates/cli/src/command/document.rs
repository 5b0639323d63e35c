//! JSON documents on the command line.

use std::io::Read;

use serde_json::value::RawValue;

use crate::exit::{self, Exit};

/// A JSON document from the argument itself, a file or stdin; `what` it is, for errors.
pub(super) fn read(what: &str, argument: &str) -> Result<Box<RawValue>, Exit> {
    let unread = |from: &str, error: std::io::Error| {
        Exit::new(
            exit::USAGE,
            format!("cannot read the {what} from {from}: {error}"),
        )
    };
    let document = match argument.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path).map_err(|error| unread(path, error))?,
        None if argument == "-" => {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            read.map_err(|error| unread("stdin", error))?;
            text
        }
        None => argument.to_owned(),
    };
    serde_json::from_str(&document).map_err(|error| {
        let expected = r#"expected a JSON document such as '{"topic": "…"}', @FILE or -"#;
        let said = format!("the {what} is not JSON ({error}); {expected}");
        Exit::new(exit::USAGE, said)
    })
}
