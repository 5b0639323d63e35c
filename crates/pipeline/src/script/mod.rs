//! The kind `script.generate`: a topic in, a cited script out.
//!
//! `recipe.rs` has the steps in the order they run; each step is one file.

pub mod evidence;
mod fallback;
pub(crate) mod hangul;
mod images;
mod number;
pub mod parse;
mod plan;
pub mod prompt;
mod recipe;
mod relay;
pub mod request;
mod research;
pub mod types;
mod usage;
pub mod verify;
mod vision;
mod write;

use std::sync::Arc;
use std::time::Duration;

use lovage_workflow::{InputError, Kind, KindSpec};
use serde_json::{Value, json};

use crate::kind::{KindEntry, Rendering};
use crate::render::{self, Format};

pub use images::stored_image;
pub use recipe::{Deps, ScriptHandler};

/// The kind's name.
pub const KIND: &str = "script.generate";
/// Longest run of one attempt: all steps at their slowest, and some.
const TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// The kind.
pub fn entry() -> KindEntry {
    let example = json!({"topic": "Lumen Bay tidal battery", "type": "news"});
    let others = Format::ALL.into_iter().filter(|one| *one != Format::Json);
    KindEntry::new(spec(), example, |deps| ScriptHandler::new(deps.clone()))
        .shown(others.map(rendering))
}

fn rendering(format: Format) -> Rendering {
    let content_type = render::content_type(format);
    Rendering::new(format.as_str(), content_type, move |result| {
        let script = result.read().map_err(|error| error.to_string())?;
        Ok(render::render(&script, format))
    })
}

/// What the queue has to know of the kind.
pub fn spec() -> KindSpec {
    let kind: Kind = KIND.parse().expect("the name is valid");
    KindSpec {
        timeout: Some(TIMEOUT),
        check: Arc::new(check),
        ..KindSpec::new(
            kind,
            "Write a script on a topic from current news, every sentence cited",
        )
    }
}

fn check(input: &Value) -> Result<(), Vec<InputError>> {
    request::parse(input).map(drop)
}
