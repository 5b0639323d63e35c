//! Spawns a job per item, waits for all of them, and tells what became of each.

use async_trait::async_trait;
use lovage_workflow::{
    Catalog, CatalogError, ChildFailure, ChildResult, Context, Failure, Handler, JobId, KindSpec,
    NewChild, Payload, Status,
};
use serde::Deserialize;
use serde_json::Value;

use crate::input::{self, clipped};

use super::request;
use super::types::{BatchItem, BatchResult, Counts, ItemError, ItemState};

/// Characters of an item's topic, and of its result's title, that are shown.
const ABOUT_CHARS_MAX: usize = 120;
/// Characters of an error that are shown: a thousand of them fit into a result.
const ERROR_CHARS_MAX: usize = 1_000;

/// Runs `batch.generate`.
pub(super) struct BatchHandler {
    kinds: Catalog,
}

impl BatchHandler {
    pub(super) fn new(kinds: Catalog) -> Self {
        Self { kinds }
    }
}

#[async_trait]
impl Handler for BatchHandler {
    async fn run(&self, context: Context) -> Result<Payload, Failure> {
        let request = input::read(&context, |value| request::parse(value, &self.kinds))?;
        let mut items = Vec::with_capacity(request.inputs.len());
        let mut children = Vec::new();
        for (index, input) in request.inputs.iter().enumerate() {
            let (child, item) = match self.child(&request.kind, input)? {
                Ok(child) => (Some(child), item(index, input, ItemState::Succeeded)),
                Err(refusal) => (None, refused(index, input, refusal)),
            };
            children.extend(child);
            items.push(item);
        }
        let ends = context.each_child("items", children, Ended::of).await?;
        let spawned = items
            .iter_mut()
            .filter(|item| item.state != ItemState::Refused);
        for (item, ended) in spawned.zip(ends) {
            ended.fill(item);
        }
        let counts = Counts::of(&items);
        context.done(&BatchResult {
            schema: "batch-result/1".to_owned(),
            job_id: context.job().id.clone(),
            kind: request.kind,
            status: counts.status(),
            created_at: context.now(),
            counts,
            items,
        })
    }
}

impl BatchHandler {
    /// The job of an item, or why there can be none.
    fn child(&self, kind: &str, input: &Value) -> Result<Result<NewChild, ItemError>, Failure> {
        match self.kinds.check(kind, input, input.to_string().len()) {
            Ok(spec) => child(spec, input).map(Ok),
            Err(CatalogError::Input(wrong)) => Ok(Err(refusal(input::sentence(&wrong)))),
            Err(other) => Ok(Err(refusal(other.to_string()))),
        }
    }
}

fn child(spec: &KindSpec, input: &Value) -> Result<NewChild, Failure> {
    Ok(NewChild {
        attempts_max: spec.attempts_max,
        timeout: spec.timeout,
        backoff: spec.backoff,
        ..NewChild::new(spec.kind.as_str(), input)?
    })
}

fn refusal(message: String) -> ItemError {
    let code = "input".to_owned();
    let message = clipped(message, ERROR_CHARS_MAX);
    ItemError { code, message }
}

fn item(index: usize, input: &Value, state: ItemState) -> BatchItem {
    let about = match (&input["topic"], &input["chapterId"]) {
        (Value::String(text), _) | (Value::Null, Value::String(text)) => Some(text.clone()),
        (Value::Null, Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    BatchItem {
        index,
        about: about
            .filter(|text| !text.trim().is_empty())
            .map(|text| clipped(text, ABOUT_CHARS_MAX)),
        state,
        job_id: None,
        result: None,
        status: None,
        title: None,
        error: None,
    }
}

fn refused(index: usize, input: &Value, error: ItemError) -> BatchItem {
    BatchItem {
        error: Some(error),
        ..item(index, input, ItemState::Refused)
    }
}

/// What results of all kinds may say of themselves.
#[derive(Default, Deserialize)]
struct Said {
    #[serde(default)]
    status: Value,
    #[serde(default)]
    title: Value,
}

/// How an item's job ended.
struct Ended {
    id: JobId,
    end: Result<Said, ChildFailure>,
}

impl Ended {
    fn of(id: JobId, end: ChildResult) -> Self {
        // A result of another shape, a number say, is a result all the same.
        let end = end.map(|result| result.read::<Said>().unwrap_or_default());
        Self { id, end }
    }

    fn fill(self, item: &mut BatchItem) {
        let text = |value: Value| value.as_str().map(str::to_owned);
        item.job_id = Some(self.id.to_string());
        match self.end {
            Ok(said) => {
                item.state = ItemState::Succeeded;
                item.result = Some(format!("/v1/jobs/{}/result", self.id));
                item.status = text(said.status);
                item.title = text(said.title).map(|title| clipped(title, ABOUT_CHARS_MAX));
            }
            Err(failure) => {
                item.state = match failure.status {
                    Status::Cancelled => ItemState::Cancelled,
                    _ => ItemState::Failed,
                };
                item.error = Some(ItemError {
                    code: failure.error.code,
                    message: clipped(failure.error.message, ERROR_CHARS_MAX),
                });
            }
        }
    }
}
