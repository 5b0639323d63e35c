//! `/v1/jobs/{id}/signals`: values for a job that waits for them.

use axum::extract::State as Extract;
use axum::response::Response;
use lovage_client::wire::{JobView, Problem, SignalRequest};
use lovage_core::broker::SignalReply;
use lovage_core::id::JobId;
use lovage_core::limits;
use lovage_core::payload::Payload;

use crate::body::JsonText;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::params::{NoParams, Segment};
use crate::routes::jobs::as_it_stands;
use crate::state::State;

/// Give a job a value, under a name its handler waits for, now or later.
///
/// The first value of a name stays; the same one again is accepted, so a call
/// without an answer may be sent again.
#[utoipa::path(
    post, path = "/v1/jobs/{id}/signals", tag = "jobs", operation_id = "signal_job", request_body = SignalRequest,
    params(("id" = uuid::Uuid, Path)),
    responses(
        (status = 202, body = JobView, description = "The job has it; it is queued again if it waited for it"),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "Not JSON, or not UTF-8"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "Unknown id"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "It has another value under this name (`signal_taken`), or is over already (`already_finished`, see `state`)"),
        (status = 413, body = Problem, content_type = "application/problem+json", description = "Body or data too large"),
        (status = 415, body = Problem, content_type = "application/problem+json", description = "Not sent as application/json"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "Unknown or wrong field, a parameter, or an id that is no UUID"),
    )
)]
pub(crate) async fn give(
    Extract(state): Extract<State>,
    Segment(id): Segment<JobId>,
    _: NoParams,
    text: JsonText,
) -> Result<Response, ApiError> {
    let request: SignalRequest = text.read()?;
    let mut fields = Fields::default();
    fields.label("/name", &request.name);
    fields.all_right(())?;
    let (got, max) = (request.data.get().len(), limits::SIGNAL_BYTES_MAX);
    if got > max {
        let what = "data";
        return Err(ApiError::ValueTooLarge { what, got, max });
    }
    let data = Payload::from(request.data);
    match state.broker.signal(&id, &request.name, &data).await? {
        SignalReply::Delivered => as_it_stands(&state, &id).await,
        SignalReply::Taken => Err(ApiError::SignalTaken),
        SignalReply::TooLate(status) => Err(ApiError::AlreadyFinished(status)),
        SignalReply::NotFound => Err(ApiError::JobUnknown),
    }
}
