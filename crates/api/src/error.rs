//! Everything that can be refused, and the only table of status codes.
//!
//! A handler gives an [`ApiError`]; [`crate::request`] adds the request id and
//! makes it a problem document. `detail` never holds what the store said: that
//! goes to the log.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use lovage_client::wire::{FieldError, Problem};
use lovage_core::error::{BrokerError, chain};
use lovage_core::id::JobId;
use lovage_core::status::Status;

use crate::convert;
use crate::convert::rfc3339;
use crate::render::Unshown;

/// Why a request was not done.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("line {line} column {column}: {message}")]
    MalformedJson {
        line: usize,
        column: usize,
        message: String,
    },
    #[error("the body is not UTF-8 from byte {0} on")]
    NotUtf8(usize),
    #[error("a page of another site ({0}) asked for this; only pages of this server may")]
    CrossOrigin(String),
    #[error("there is no job with that id")]
    JobUnknown,
    #[error("the job has no image with that id")]
    ImageUnknown,
    #[error("no worker has asked for a limit of this name: GET /v1/limits lists them")]
    LimitUnknown,
    #[error("there is nothing at this path; /openapi.json lists what there is")]
    PathUnknown,
    #[error("this path does not take this method; the Allow header lists those it takes")]
    MethodNotAllowed,
    #[error("the body did not arrive in time")]
    BodyTimeout,
    #[error("an unfinished job holds the unique key")]
    UniqueConflict(JobId),
    #[error("there is another job with this id")]
    IdTaken(JobId),
    #[error("as many jobs wait in this queue as its limits allow: try again later")]
    QueueFull,
    #[error("the job is over already: it is {0}")]
    AlreadyFinished(Status),
    #[error("the job has another value under this name; the first one stays")]
    SignalTaken,
    #[error("only failed and cancelled jobs can be run again; this one is {0}")]
    NotRetryable(Status),
    #[error("the result was kept until {0}")]
    ResultExpired(Timestamp),
    #[error("the body is larger than {max} bytes")]
    BodyTooLarge { max: usize },
    #[error("the {what} has {got} bytes, at most {max} are taken")]
    ValueTooLarge {
        what: &'static str,
        got: usize,
        max: usize,
    },
    #[error("the body must be sent with Content-Type: application/json, got {0}")]
    MediaType(String),
    #[error("the request is not valid")]
    Invalid(Vec<FieldError>),
    #[error("{0}")]
    UnknownKind(String),
    #[error("there is no format {got:?} of this result; there is {known}")]
    UnknownFormat { got: String, known: String },
    #[error("the idempotency key was used for another request")]
    KeyReused(JobId),
    #[error("nothing was enqueued: the batch is atomic and some of its jobs are refused")]
    BatchRefused(Vec<FieldError>),
    #[error("the server is shutting down")]
    Draining,
    #[error("too many callers are waiting")]
    Busy,
    #[error("{}", store_detail(.0))]
    Store(Arc<BrokerError>),
    #[error("the result cannot be shown in this format")]
    NotRendered(String),
    #[error("something went wrong; the server's log has more under the request id")]
    Panicked,
}

impl From<Unshown> for ApiError {
    fn from(unshown: Unshown) -> Self {
        match unshown {
            Unshown::UnknownFormat { got, known } => Self::UnknownFormat { got, known },
            Unshown::Option { name, detail } => Self::Invalid(vec![at_parameter(name, detail)]),
            Unshown::Failed(why) => Self::NotRendered(why),
        }
    }
}

/// One row of the table: status, code, title.
type Row = (StatusCode, &'static str, &'static str);

impl ApiError {
    fn row(&self) -> Row {
        use StatusCode as S;
        match self {
            Self::MalformedJson { .. } => (S::BAD_REQUEST, "malformed_json", "Not JSON"),
            Self::NotUtf8(_) => (S::BAD_REQUEST, "not_utf8", "Not UTF-8"),
            Self::JobUnknown => (S::NOT_FOUND, "job_unknown", "No such job"),
            Self::ImageUnknown => (S::NOT_FOUND, "image_unknown", "No such image"),
            Self::LimitUnknown => (S::NOT_FOUND, "limit_unknown", "No such limit"),
            Self::CrossOrigin(_) => (S::FORBIDDEN, "cross_origin", "Another site's request"),
            Self::PathUnknown => (S::NOT_FOUND, "path_unknown", "No such path"),
            Self::MethodNotAllowed => {
                let code = "method_not_allowed";
                (S::METHOD_NOT_ALLOWED, code, "Method not allowed")
            }
            Self::BodyTimeout => (S::REQUEST_TIMEOUT, "body_timeout", "Body too slow"),
            Self::UniqueConflict(_) => (S::CONFLICT, "unique_conflict", "Unique key held"),
            Self::IdTaken(_) => (S::CONFLICT, "id_taken", "Id taken"),
            Self::QueueFull => (S::SERVICE_UNAVAILABLE, "queue_full", "Queue full"),
            Self::AlreadyFinished(_) => (S::CONFLICT, "already_finished", "Job is over"),
            Self::SignalTaken => (S::CONFLICT, "signal_taken", "Signal given before"),
            Self::NotRetryable(_) => (S::CONFLICT, "not_retryable", "Job cannot be run again"),
            Self::ResultExpired(_) => (S::GONE, "result_expired", "Result no longer kept"),
            Self::BodyTooLarge { .. } => (S::PAYLOAD_TOO_LARGE, "body_too_large", "Body too large"),
            Self::ValueTooLarge { .. } => {
                (S::PAYLOAD_TOO_LARGE, "value_too_large", "Value too large")
            }
            Self::MediaType(_) => {
                let code = "unsupported_media_type";
                (S::UNSUPPORTED_MEDIA_TYPE, code, "Not sent as JSON")
            }
            Self::Invalid(_) => (S::UNPROCESSABLE_ENTITY, "invalid_request", "Not valid"),
            Self::UnknownKind(_) => (S::UNPROCESSABLE_ENTITY, "unknown_kind", "Unknown kind"),
            Self::UnknownFormat { .. } => {
                (S::UNPROCESSABLE_ENTITY, "unknown_format", "Unknown format")
            }
            Self::KeyReused(_) => {
                let code = "idempotency_key_reused";
                (S::UNPROCESSABLE_ENTITY, code, "Idempotency key reused")
            }
            Self::BatchRefused(_) => (S::UNPROCESSABLE_ENTITY, "batch_refused", "Batch refused"),
            Self::Draining => (S::SERVICE_UNAVAILABLE, "draining", "Shutting down"),
            Self::Busy => (S::SERVICE_UNAVAILABLE, "busy", "Too busy"),
            Self::Store(error) => store_row(error),
            Self::NotRendered(_) => {
                let code = "render_failed";
                (S::INTERNAL_SERVER_ERROR, code, "Result not shown")
            }
            Self::Panicked => (S::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
        }
    }

    /// The status it is answered with.
    pub(crate) fn status(&self) -> StatusCode {
        self.row().0
    }

    /// The error as a document, for the path `instance` of the request `request_id`.
    pub(crate) fn problem(&self, instance: Option<&str>, request_id: Option<&str>) -> Problem {
        let (status, code, title) = self.row();
        let mut problem = Problem {
            kind: format!("urn:lovage:problem:{code}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: self.to_string(),
            instance: instance.map(str::to_owned),
            code: code.to_owned(),
            request_id: request_id.map(str::to_owned),
            errors: self.fields(),
            existing_job_id: None,
            expired_at: None,
            state: None,
        };
        match self {
            Self::UniqueConflict(id) | Self::IdTaken(id) | Self::KeyReused(id) => {
                problem.existing_job_id = Some(id.uuid());
            }
            Self::AlreadyFinished(status) | Self::NotRetryable(status) => {
                problem.state = Some(convert::state(*status));
            }
            Self::ResultExpired(at) => problem.expired_at = Some(rfc3339(*at)),
            _ => {}
        }
        problem
    }

    /// Each thing that is wrong, with its place.
    pub(crate) fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Invalid(fields) | Self::BatchRefused(fields) => fields.clone(),
            Self::UnknownKind(detail) => vec![at_pointer("/kind", detail)],
            Self::ValueTooLarge { what, .. } if matches!(*what, "input" | "data") => {
                vec![at_pointer(format!("/{what}"), self.to_string())]
            }
            Self::UnknownFormat { .. } => vec![at_parameter("format", self.to_string())],
            Self::SignalTaken => vec![at_pointer("/name", self.to_string())],
            Self::KeyReused(_) => vec![at_parameter("Idempotency-Key", self.to_string())],
            Self::UniqueConflict(_) => vec![at_pointer("/unique/key", self.to_string())],
            Self::IdTaken(_) => vec![at_pointer("/id", self.to_string())],
            _ => Vec::new(),
        }
    }

    /// Seconds after which to try again, for errors that pass.
    fn retry_after(&self) -> Option<u32> {
        (self.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(5)
    }

    /// Says in the log what the answer does not.
    fn log(&self) {
        match self {
            Self::Store(error) if error.is_transient() => {
                tracing::warn!(error = %chain(&**error), "the store refused a request");
            }
            Self::Store(error) => {
                tracing::error!(error = %chain(&**error), "the store failed a request");
            }
            Self::NotRendered(reason) => tracing::error!(%reason, "a result was not rendered"),
            Self::Panicked => tracing::error!("a request panicked"),
            _ => {}
        }
    }

    /// Turns the response that carries this error into the problem document.
    pub(crate) fn render(self, response: Response, instance: &str, request_id: &str) -> Response {
        self.log();
        let problem = self.problem(Some(instance), Some(request_id));
        let body = serde_json::to_vec(&problem).expect("a problem has a JSON form");
        let (mut parts, _) = response.into_parts();
        parts.headers.remove(header::CONTENT_LENGTH);
        parts.headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = self.retry_after() {
            let value = HeaderValue::from(seconds);
            parts.headers.insert(header::RETRY_AFTER, value);
        }
        Response::from_parts(parts, Body::from(body))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<BrokerError> for ApiError {
    fn from(error: BrokerError) -> Self {
        match error {
            BrokerError::TooLarge { what, got, max } => Self::ValueTooLarge { what, got, max },
            BrokerError::TooMany { .. } => Self::Invalid(vec![at_pointer("", error.to_string())]),
            BrokerError::BadCursor => Self::Invalid(vec![at_parameter(
                "cursor",
                "expected the next_cursor of a page before, got something else",
            )]),
            BrokerError::Divided { queues } => Self::Invalid(vec![at_pointer(
                "/atomic",
                format!("expected false, or jobs of one queue on this store, got {queues} queues"),
            )]),
            other => Self::Store(Arc::new(other)),
        }
    }
}

fn store_row(error: &BrokerError) -> Row {
    use StatusCode as S;
    match error {
        BrokerError::Unavailable(_) => {
            let code = "store_unavailable";
            (S::SERVICE_UNAVAILABLE, code, "Store unreachable")
        }
        BrokerError::Full(_) => (S::SERVICE_UNAVAILABLE, "store_full", "Store full"),
        BrokerError::ReadOnly(_) => (S::SERVICE_UNAVAILABLE, "store_read_only", "Store read-only"),
        BrokerError::NewerSchema { .. }
        | BrokerError::Unfit(_)
        | BrokerError::LeaseLost
        | BrokerError::WorkerUnknown
        | BrokerError::BadCursor
        | BrokerError::Corrupt(_)
        | BrokerError::TooLarge { .. }
        | BrokerError::TooMany { .. }
        | BrokerError::Divided { .. }
        | BrokerError::Other(_) => (S::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
    }
}

fn store_detail(error: &BrokerError) -> &'static str {
    match error {
        BrokerError::Unavailable(_) => "the store cannot be reached",
        BrokerError::Full(_) => "the store is full",
        BrokerError::ReadOnly(_) => "the store takes no writes",
        _ => "something went wrong; the server's log has more under the request id",
    }
}

/// What is wrong at a place of the body.
pub(crate) fn at_pointer(pointer: impl Into<String>, detail: impl Into<String>) -> FieldError {
    FieldError {
        pointer: Some(pointer.into()),
        parameter: None,
        detail: detail.into(),
    }
}

/// What is wrong with a parameter or header.
pub(crate) fn at_parameter(name: impl Into<String>, detail: impl Into<String>) -> FieldError {
    FieldError {
        pointer: None,
        parameter: Some(name.into()),
        detail: detail.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_store_said_stays_out_of_the_answer_and_is_in_the_chain() {
        let secret = "redis://:hunter2@10.0.0.7/0 refused";
        for error in [
            BrokerError::Unavailable(secret.into()),
            BrokerError::Full(secret.into()),
            BrokerError::ReadOnly(secret.into()),
            BrokerError::Other(secret.into()),
            BrokerError::Corrupt(secret.to_owned()),
            BrokerError::Unfit(secret.to_owned()),
        ] {
            assert!(chain(&error).contains("hunter2"));
            let problem = ApiError::from(error).problem(None, None);
            let text = serde_json::to_string(&problem).unwrap();
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}
