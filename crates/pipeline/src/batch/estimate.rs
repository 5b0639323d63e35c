//! What a batch will probably cost: what its items will.

use lovage_workflow::{Catalog, Estimate};
use serde_json::Value;

use super::request;

/// The sum over the items that fit their kind.
pub(super) fn of(input: &Value, kinds: &Catalog) -> Estimate {
    let mut all = Estimate::default();
    let Ok(batch) = request::parse(input, kinds) else {
        return all;
    };
    for item in &batch.inputs {
        let bytes = item.to_string().len();
        let fits = kinds.check(&batch.kind, item, bytes).ok();
        if let Some(estimate) = fits.and_then(|spec| spec.estimate.as_ref()) {
            all.add(estimate(item));
        }
    }
    all
}
