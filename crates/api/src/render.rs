//! Results in other formats than the JSON that every kind has.

use std::sync::Arc;

use futures_util::future::join_all;
use lovage_core::checkpoint::Checkpoint;
use lovage_core::payload::Payload;
use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use crate::params::SHOWN_CHARS_MAX;

/// The format every result has: the document as the handler gave it.
pub(crate) const JSON: &str = "json";
/// Every format of a result, in one JSON object by their names.
pub(crate) const ALL: &str = "all";

/// Media type of JSON.
const APPLICATION_JSON: &str = "application/json";

/// A result in a format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// Media type of the body, such as `text/markdown; charset=utf-8`.
    pub content_type: String,
    /// The result. Where the media type is `application/json`, one JSON value.
    pub body: String,
}

/// An image that a job has drawn: never a file as a stranger wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Media type, such as `image/jpeg`.
    pub content_type: &'static str,
    /// The file.
    pub body: Vec<u8>,
}

/// A format of a kind's results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatSpec {
    /// Its name, as in `?format=markdown`.
    pub name: &'static str,
    /// The parameters it takes, besides `format`.
    pub options: Vec<OptionSpec>,
}

/// A parameter of a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionSpec {
    /// Its name, as in `?for=d3`.
    pub name: &'static str,
    /// What it may be; the first stands when nothing is given.
    pub values: &'static [&'static str],
}

/// Shows results in other formats than the `json` every kind has.
pub trait Render: Send + Sync + 'static {
    /// The formats of a kind's results besides `json` and `all`.
    fn formats(&self, kind: &str) -> Vec<FormatSpec>;

    /// The result in `format`, one of [`Self::formats`], with the values given for
    /// its options; nothing for another format. May take its time: it is called
    /// off the async loop.
    ///
    /// # Errors
    /// A sentence for the log when the result cannot be shown so.
    fn render(
        &self,
        kind: &str,
        result: &Payload,
        format: &str,
        options: &[(&str, &str)],
    ) -> Option<Result<Rendered, String>>;

    /// The image `id` among what a job's steps stored; nothing where there is none.
    /// May take its time, too.
    fn image(&self, checkpoints: &[Checkpoint], id: &str) -> Option<Image> {
        let _ = (checkpoints, id);
        None
    }
}

/// A format that a kind has, and allowed values for options it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The names of the formats to make.
    formats: Vec<&'static str>,
    options: Vec<(&'static str, &'static str)>,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    One,
    All,
}

impl Chosen {
    /// Whether it is the document as the handler gave it.
    pub fn is_json(&self) -> bool {
        self.form == Form::Json
    }
}

/// Why a result is not shown as asked. The sentences name what was expected and what came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unshown {
    /// The kind has no such format.
    #[error("there is no format {got:?} of this result; there is {known}")]
    UnknownFormat {
        /// The name that came.
        got: String,
        /// The names there are.
        known: String,
    },
    /// An option that the format does not take, or a value it does not allow.
    #[error("{name}: {detail}")]
    Option {
        /// The option.
        name: String,
        /// What was expected, and what came.
        detail: String,
    },
    /// It was tried and failed: for the log.
    #[error("the result cannot be shown in this format: {0}")]
    Failed(String),
}

/// Picks a format of a kind with formats `known`, and checks the options given for it.
///
/// # Errors
/// [`Unshown::UnknownFormat`] or [`Unshown::Option`].
pub fn choose(
    known: &[FormatSpec],
    format: &str,
    given: &[(String, String)],
) -> Result<Chosen, Unshown> {
    let form = match format {
        JSON => Form::Json,
        ALL => Form::All,
        _ => Form::One,
    };
    let made: Vec<&FormatSpec> = known
        .iter()
        .filter(|spec| form == Form::All || spec.name == format)
        .collect();
    if form == Form::One && made.is_empty() {
        let names = known.iter().map(|spec| spec.name);
        let names: Vec<_> = [JSON].into_iter().chain(names).chain([ALL]).collect();
        return Err(Unshown::UnknownFormat {
            got: shown(format),
            known: names.join(", "),
        });
    }
    let options = given
        .iter()
        .map(|(name, value)| option(known, &made, format, name, value));
    Ok(Chosen {
        formats: made.iter().map(|spec| spec.name).collect(),
        options: options.collect::<Result<_, _>>()?,
        form,
    })
}

/// One option, as the formats that are made allow it.
fn option(
    known: &[FormatSpec],
    made: &[&FormatSpec],
    format: &str,
    name: &str,
    value: &str,
) -> Result<(&'static str, &'static str), Unshown> {
    let has = |spec: &FormatSpec| spec.options.iter().any(|option| option.name == name);
    let refused = |detail| {
        let name = shown(name);
        Unshown::Option { name, detail }
    };
    let mut options = made.iter().flat_map(|spec| &spec.options);
    let Some(option) = options.find(|option| option.name == name) else {
        let takers = known.iter().filter(|spec| has(spec)).map(|spec| spec.name);
        let mut takers: Vec<_> = takers.collect();
        if takers.is_empty() {
            return Err(refused("no format of this result takes it".to_owned()));
        }
        takers.push(ALL);
        let takers = takers.join(" or ");
        return Err(refused(format!(
            "expected with format {takers} only, got it with format {format}"
        )));
    };
    match option.values.iter().find(|allowed| **allowed == value) {
        Some(value) => Ok((option.name, value)),
        None => {
            let values = option.values.join(", ");
            let value = shown(value);
            Err(refused(format!("expected one of {values}, got {value:?}")))
        }
    }
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}

/// Shows a result as chosen. Formats that are asked for together are made side
/// by side, each on a thread where it may take its time.
///
/// # Errors
/// [`Unshown::Failed`].
pub async fn show(
    renderer: &Arc<dyn Render>,
    kind: &str,
    result: &Payload,
    chosen: &Chosen,
) -> Result<Rendered, Unshown> {
    let made = chosen
        .formats
        .iter()
        .map(|format| one(renderer, kind, result, format, &chosen.options));
    let made: Result<Vec<Rendered>, Unshown> = join_all(made).await.into_iter().collect();
    let mut made = made?;
    match chosen.form {
        Form::Json => Ok(json(result.as_str().to_owned())),
        Form::One => made
            .pop()
            .ok_or_else(|| Unshown::Failed("no format was chosen".to_owned())),
        Form::All => together(result, &chosen.formats, made),
    }
}

fn json(body: String) -> Rendered {
    Rendered {
        content_type: APPLICATION_JSON.to_owned(),
        body,
    }
}

async fn one(
    renderer: &Arc<dyn Render>,
    kind: &str,
    result: &Payload,
    format: &'static str,
    options: &[(&'static str, &'static str)],
) -> Result<Rendered, Unshown> {
    let renderer = Arc::clone(renderer);
    let (kind, result, options) = (kind.to_owned(), result.clone(), options.to_vec());
    let task =
        tokio::task::spawn_blocking(move || renderer.render(&kind, &result, format, &options));
    let failed = |why: String| Unshown::Failed(format!("{format}: {why}"));
    task.await
        .map_err(|_| failed("it panicked".to_owned()))?
        .ok_or_else(|| failed("it is listed but not made".to_owned()))?
        .map_err(failed)
}

/// The members of `all`, in the order of the formats.
struct All(Vec<(&'static str, Box<RawValue>)>);

impl Serialize for All {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, member)| (name, member)))
    }
}

/// One object: what is JSON stays JSON, anything else becomes a string.
fn together(
    result: &Payload,
    formats: &[&'static str],
    made: Vec<Rendered>,
) -> Result<Rendered, Unshown> {
    let failed = |error: serde_json::Error| Unshown::Failed(error.to_string());
    let document = RawValue::from_string(result.as_str().to_owned()).map_err(failed)?;
    let mut members = vec![(JSON, document)];
    for (name, rendered) in formats.iter().zip(made) {
        let member = if rendered.content_type == APPLICATION_JSON {
            RawValue::from_string(rendered.body)
        } else {
            to_raw_value(&rendered.body)
        };
        members.push((name, member.map_err(failed)?));
    }
    serde_json::to_string(&All(members))
        .map(json)
        .map_err(failed)
}
