//! Long-polls: waiting for a job to be over without asking again and again.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use lovage_core::event::EventPage;
use lovage_core::id::JobId;
use lovage_core::job::Job;
use lovage_core::limits;
use tokio::time::Instant;

use crate::error::ApiError;
use crate::params::Params;
use crate::state::State;

/// How long a caller wants to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait {
    /// How long; at most [`limits::WAIT_MAX`].
    pub(crate) time: Duration,
    /// It was a preference, to be answered with `Preference-Applied`.
    preferred: bool,
}

impl Wait {
    /// `?wait=30`, else `Prefer: wait=30`, else none. A preference beyond the
    /// bound is cut, a parameter refused.
    pub(crate) fn of(headers: &HeaderMap, params: &mut Params) -> Self {
        let max = limits::WAIT_MAX.as_secs();
        let asked = params.one("wait", &format!("0 to {max} seconds"), |text| {
            text.parse().ok().filter(|seconds| *seconds <= max)
        });
        let preferred = prefer_wait(headers);
        Self {
            time: Duration::from_secs(asked.or(preferred).unwrap_or(0).min(max)),
            preferred: asked.is_none() && preferred.is_some(),
        }
    }

    /// Says in the answer that the preference was honoured.
    pub(crate) fn confirm(self, headers: &mut HeaderMap) {
        if self.preferred {
            let applied = format!("wait={}", self.time.as_secs());
            let value = HeaderValue::from_str(&applied).expect("a number is a header value");
            headers.insert("preference-applied", value);
        }
    }
}

/// The first `wait` among the preferences (RFC 7240). What is not understood is passed over.
fn prefer_wait(headers: &HeaderMap) -> Option<u64> {
    headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', ';']))
        .find_map(|preference| {
            let (name, value) = preference.split_once('=')?;
            let is_wait = name.trim().eq_ignore_ascii_case("wait");
            let value = value.trim().trim_matches('"');
            is_wait.then(|| value.parse().ok())?
        })
}

/// The job when it is over, or as it stands when the time is up or the server drains.
pub(crate) async fn until_final(
    state: &State,
    id: &JobId,
    wait: Wait,
) -> Result<Option<Job>, ApiError> {
    let job = state.broker.get(id).await?;
    if wait.time.is_zero() || job.as_ref().is_none_or(|job| job.status.is_final()) {
        return Ok(job);
    }
    let _permit = state.watch()?;
    let deadline = Instant::now() + wait.time;
    let mut after = 0;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let page = events(state, id, after, limits::EVENT_PAGE_MAX, left).await?;
        let Some(page) = page.filter(|page| !page.ended) else {
            break;
        };
        after = page.events.last().map_or(after, |event| event.seq);
        if left.is_zero() || state.draining.is_cancelled() {
            break;
        }
    }
    Ok(state.broker.get(id).await?)
}

/// The job's events after `after`, waiting up to `wait` for one unless the
/// server drains. Nothing where the id is unknown.
pub(crate) async fn events(
    state: &State,
    id: &JobId,
    after: u64,
    limit: usize,
    wait: Duration,
) -> Result<Option<EventPage>, ApiError> {
    if state.draining.is_cancelled() || wait.is_zero() {
        return Ok(state
            .broker
            .events(id, after, limit, Duration::ZERO)
            .await?);
    }
    tokio::select! {
        page = state.broker.events(id, after, limit, wait) => Ok(page?),
        () = state.draining.cancelled() => {
            Ok(state.broker.events(id, after, limit, Duration::ZERO).await?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preference_is_read_among_others_and_nonsense_is_passed_over() {
        let wait = |values: &[&'static str]| {
            let headers = values.iter().map(|value| {
                let name = axum::http::HeaderName::from_static("prefer");
                (name, HeaderValue::from_static(value))
            });
            prefer_wait(&headers.collect())
        };
        assert_eq!(wait(&["wait=30"]), Some(30));
        assert_eq!(wait(&["respond-async, WAIT = \"7\"; x=y"]), Some(7));
        assert_eq!(wait(&["return=minimal", "wait=5"]), Some(5));
        assert_eq!(wait(&["wait=soon", "wait", "wait=-1", "=", ""]), None);
        assert_eq!(wait(&[]), None);
    }
}
