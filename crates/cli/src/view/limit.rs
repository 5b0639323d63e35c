//! Limits of providers as a table.

use comfy_table::Table;
use lovage_client::wire::LimitView;

use super::table::table;

/// One row per account and model.
pub(crate) fn limits(limits: &[LimitView]) -> Table {
    let mut table = table(&[
        "NAME",
        "WORKERS",
        "RPM",
        "TPM",
        "IN FLIGHT",
        "USD TODAY",
        "RATE",
        "CALLS",
        "REFUSED",
        "TOKENS",
        "USD",
    ]);
    for limit in limits {
        let (own, set, totals) = (&limit.settings, &limit.overrides, &limit.totals);
        let dollars = |value: f64| format!("{value:.4}");
        table.add_row([
            limit.name.clone(),
            limit.workers.to_string(),
            left(limit.requests_left, set.rpm.or(own.rpm), set.rpm.is_some()),
            left(limit.tokens_left, set.tpm.or(own.tpm), set.tpm.is_some()),
            of(
                limit.in_flight.to_string(),
                set.concurrency.or(own.concurrency),
                set.concurrency.is_some(),
            ),
            of(
                dollars(limit.spent_usd_day),
                set.budget_usd_day.or(own.budget_usd_day),
                set.budget_usd_day.is_some(),
            ),
            rate(limit),
            totals.settled.to_string(),
            totals.throttled.to_string(),
            (totals.tokens_input + totals.tokens_output).to_string(),
            dollars(totals.cost_usd),
        ]);
    }
    table
}

/// What is left of a limit at once; nothing where there is none.
fn left(left: Option<f64>, limit: Option<u64>, set: bool) -> String {
    let left = left.map(|left| format!("{:.0}", left.floor()));
    left.map_or_else(String::new, |left| of(left, limit, set))
}

/// A value and its limit; a star marks one that a person has set.
fn of(value: String, limit: Option<impl ToString>, set: bool) -> String {
    let star = if set { "*" } else { "" };
    limit.map_or(value.clone(), |limit| {
        format!("{value} of {}{star}", limit.to_string())
    })
}

/// The part of the limits that is used, and how long the provider is left alone.
fn rate(limit: &LimitView) -> String {
    let part = format!("{:.0} %", limit.factor * 100.0);
    match limit.cooling_s {
        0.0 => part,
        seconds => format!("{part}, cools {seconds:.0} s"),
    }
}
