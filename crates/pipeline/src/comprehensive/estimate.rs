//! What a comprehensive document will probably cost, from its request alone.

use lovage_workflow::Estimate;

use crate::script::estimate::{finished, plan, shown, step, written};
use crate::script::length;
use crate::script::types::ScriptRequest;

use super::integrate;
use super::side::Side;

/// Words of one analysis.
const ANALYSIS_WORDS: u32 = 350;

/// A plan, one analysis for each side, and their integration.
pub(super) fn of(request: &ScriptRequest) -> Estimate {
    let language = request.language.resolve(&request.topic);
    let sides = Side::ALL.len() as u64;
    let analysis = written(ANALYSIS_WORDS, language);
    let document = written(length::words(request, language), language);
    let mut by_step = vec![plan(request)];
    by_step.extend(Side::ALL.map(|side| step(side.name(), 1, shown(request), analysis)));
    by_step.push(step(integrate::STEP, 1, sides * analysis, document));
    finished(by_step, request.mode, &request.budget)
}
