//! What a revision will probably cost, from its request alone.

use lovage_workflow::Estimate;

use crate::llm::tokens_estimate;
use crate::script::estimate::{finished, step};

use super::STEP;
use super::passage::passages;
use super::types::ReviseRequest;

/// Tokens of the rules and of what is shown around a passage.
const AROUND_TOKENS: u64 = 900;

/// One call for each passage, which comes back about as long as it was.
pub(super) fn of(request: &ReviseRequest) -> Estimate {
    let calls = passages(&request.story).len() as u64;
    let story = tokens_estimate(&request.story) as u64;
    let edit = tokens_estimate(&request.edit_request) as u64;
    let passage = story.div_ceil(calls.max(1));
    let by_step = vec![step(STEP, calls, AROUND_TOKENS + edit + passage, passage)];
    finished(by_step, request.mode, &request.budget)
}
