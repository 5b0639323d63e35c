//! `/v1/jobs/{id}/events`: what happens to a job, as pages or as a stream.
//!
//! The sequence of an event is the cursor of both, so a caller may change over.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use lovage_client::wire::{EventList, EventView, GAP, JobView, Problem};
use lovage_core::event::{Event, EventPage};
use lovage_core::id::JobId;
use lovage_core::limits;
use lovage_core::payload::Payload;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;

use crate::convert;
use crate::error::{ApiError, at_parameter};
use crate::params::{Params, Segment};
use crate::state::State;
use crate::wait::{self, Wait};

/// Events of a page that names no limit.
const LIMIT: usize = 100;
/// How soon a browser comes back after the stream broke off.
const RECONNECT: Duration = Duration::from_secs(2);

/// The events of a job: one page, or with `Accept: text/event-stream` all of them as they happen.
///
/// A stream ends after the last event of the job, whose type is the job's final
/// state. A caller that comes back after it is answered `204`, which tells a
/// browser to stop. Events that are no longer kept show as one event `gap`.
#[utoipa::path(
    get, path = "/v1/jobs/{id}/events", tag = "jobs", operation_id = "get_events",
    params(
        ("id" = uuid::Uuid, Path),
        ("after" = Option<u64>, Query, description = "Sequence of the last event seen"),
        ("Last-Event-ID" = Option<u64>, Header, description = "The same; stands before `after`"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "Events of a page, 100 when absent; not for streams"),
        ("wait" = Option<u32>, Query, minimum = 0, maximum = 60, description = "Seconds to wait for an event; not for streams"),
        ("Prefer" = Option<String>, Header, description = "`wait=30` does the same"),
    ),
    responses(
        (status = 200, description = "`id:` is the sequence, `event:` the type, `data:` an EventView", content(
            (EventList = "application/json"),
            (EventView = "text/event-stream"),
        )),
        (status = 204, description = "To a stream: the job is over and nothing follows the cursor"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "Unknown id"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "An id that is no UUID, or a wrong parameter"),
    )
)]
pub(crate) async fn get(
    Extract(state): Extract<State>,
    Segment(id): Segment<JobId>,
    headers: HeaderMap,
    mut params: Params,
) -> Result<Response, ApiError> {
    let after = params.one("after", "the seq of an event", |text| text.parse().ok());
    let after = last_event_id(&headers)?.or(after).unwrap_or(0);
    if wants_stream(&headers) {
        params.finish()?;
        return stream(state, id, after).await;
    }
    let wait = Wait::of(&headers, &mut params);
    let max = limits::EVENT_PAGE_MAX;
    let limit = params.one("limit", &format!("1 to {max}"), |text| {
        text.parse().ok().filter(|limit| (1..=max).contains(limit))
    });
    params.finish()?;
    let limit = limit.unwrap_or(LIMIT);
    let permit = (!wait.time.is_zero()).then(|| state.watch()).transpose()?;
    let page = wait::events(&state, &id, after, limit, wait.time).await?;
    drop(permit);
    let page = page.ok_or(ApiError::JobUnknown)?;
    let mut response = Json(list(&page, after)).into_response();
    wait.confirm(response.headers_mut());
    Ok(response)
}

fn list(page: &EventPage, after: u64) -> EventList {
    EventList {
        events: page.events.iter().map(convert::event).collect(),
        next_after: page.events.last().map_or(after, |event| event.seq),
        missed: page.missed,
        ended: page.ended,
    }
}

fn wants_stream(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|range| range.split(';').next())
        .any(|range| range.trim().eq_ignore_ascii_case("text/event-stream"))
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    const NAME: &str = "Last-Event-ID";
    let Some(value) = headers.get(NAME).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let seq = value
        .to_str()
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let refused = || {
        vec![at_parameter(
            NAME,
            "expected the id of an event of this stream",
        )]
    };
    seq.map(Some).ok_or_else(|| ApiError::Invalid(refused()))
}

async fn stream(state: State, id: JobId, after: u64) -> Result<Response, ApiError> {
    if state.draining.is_cancelled() {
        return Err(ApiError::Draining);
    }
    let permit = state.watch()?;
    let page = wait::events(&state, &id, after, limits::EVENT_PAGE_MAX, Duration::ZERO).await?;
    let page = page.ok_or(ApiError::JobUnknown)?;
    if page.ended && page.events.is_empty() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let heartbeat = KeepAlive::new().interval(state.config.heartbeat);
    let tail = Tail {
        state,
        id,
        after,
        page: Some(page),
        _permit: permit,
    };
    let sse = Sse::new(follow(tail)).keep_alive(heartbeat);
    // Proxies hold small answers back unless told not to.
    Ok(([("x-accel-buffering", "no")], sse).into_response())
}

/// Where a stream stands in a job's events.
struct Tail {
    state: State,
    id: JobId,
    /// The last event sent.
    after: u64,
    /// Read, not yet sent.
    page: Option<EventPage>,
    _permit: OwnedSemaphorePermit,
}

/// Everything from where the tail stands until the job's last event, the drain,
/// or a failure of the store: then the caller comes back with `Last-Event-ID`.
fn follow(tail: Tail) -> impl Stream<Item = Result<SseEvent, Infallible>> + Send {
    let hello = SseEvent::default().retry(RECONNECT);
    let events = stream::unfold(Some(tail), |tail| async move {
        let mut tail = tail?;
        match tail.next().await {
            Ok(Some((events, ended))) => Some((events, (!ended).then_some(tail))),
            Ok(None) => None,
            Err(error) => {
                let reason = error.to_string();
                tracing::warn!(job = %tail.id, reason, "an event stream broke off");
                None
            }
        }
    });
    stream::once(std::future::ready(hello))
        .chain(events.flat_map(stream::iter))
        .map(Ok)
}

impl Tail {
    /// The next events to send and whether they are the last; nothing when the
    /// server drains or the job is forgotten.
    async fn next(&mut self) -> Result<Option<(Vec<SseEvent>, bool)>, ApiError> {
        let page = match self.page.take() {
            Some(page) => page,
            None if self.state.draining.is_cancelled() => return Ok(None),
            None => {
                let (limit, wait) = (limits::EVENT_PAGE_MAX, limits::WAIT_MAX);
                let page = wait::events(&self.state, &self.id, self.after, limit, wait).await?;
                match page {
                    Some(page) => page,
                    None => return Ok(None),
                }
            }
        };
        let mut sent = Vec::with_capacity(page.events.len() + 1);
        if page.missed {
            sent.extend(self.gap(&page).await?);
        }
        sent.extend(page.events.iter().map(|event| to_sse(event, true)));
        self.after = page.events.last().map_or(self.after, |event| event.seq);
        Ok(Some((sent, page.ended)))
    }

    /// Stands for the events that are no longer kept, with the job as it is now.
    /// Has no `id:`, so that who breaks off here sees it again.
    async fn gap(&self, page: &EventPage) -> Result<Option<SseEvent>, ApiError> {
        #[derive(Serialize)]
        struct Data {
            after: u64,
            job: JobView,
        }
        let Some(job) = self.state.broker.get(&self.id).await? else {
            return Ok(None);
        };
        let data = Data {
            after: self.after,
            job: convert::job(&job),
        };
        let first = page.events.first();
        let gap = Event {
            seq: first.map_or(self.after, |event| event.seq.saturating_sub(1)),
            at: first.map_or_else(|| self.state.clock.now(), |event| event.at),
            job: self.id,
            kind: GAP.to_owned(),
            step: None,
            data: Payload::of(&data).expect("a job has a JSON form"),
        };
        Ok(Some(to_sse(&gap, false)))
    }
}

fn to_sse(event: &Event, with_id: bool) -> SseEvent {
    let data = serde_json::to_string(&convert::event(event)).expect("an event has a JSON form");
    // Raw newlines of a JSON document stand between its tokens, where a space will do.
    let data = data.replace(['\n', '\r'], " ");
    let kind = event.kind.replace(char::is_control, " ");
    let sse = SseEvent::default().event(kind).data(data);
    if with_id {
        sse.id(event.seq.to_string())
    } else {
        sse
    }
}
