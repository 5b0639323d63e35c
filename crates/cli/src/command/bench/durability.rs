//! What an append-only file costs: the same drain with and without, in turn.

use super::drain::{self, Shape};
use super::report::{Figure, Report};
use super::spread::median;
use super::{Setup, say};
use crate::args::Section;
use crate::exit::Exit;

/// Name, server options, least ratio to the first.
const CASES: [(&str, &[&str], f64); 3] = [
    ("none", &[], 1.0),
    (
        "everysec",
        &["--appendonly", "yes", "--appendfsync", "everysec"],
        0.75,
    ),
    (
        "always",
        &["--appendonly", "yes", "--appendfsync", "always"],
        0.45,
    ),
];

/// Drains by one worker process at 256 slots.
pub(super) async fn measure(setup: &Setup, report: &mut Report) -> Result<(), Exit> {
    if setup.redis.is_none() {
        return Ok(());
    }
    let mut rates: [Vec<f64>; CASES.len()] = Default::default();
    for round in 1..=setup.rounds {
        for (rates, (name, options, _)) in rates.iter_mut().zip(CASES) {
            say(&format!(
                "durability: AOF {name}, round {round} of {}",
                setup.rounds
            ));
            let shape = Shape {
                keep_input: false,
                workers: 1,
                slots: 256,
                options,
            };
            rates.push(drain::redis(setup, shape).await?.per_s);
        }
    }
    let [without, ..] = &rates;
    for (rates, (name, _, least)) in rates.iter().zip(CASES).skip(1) {
        let ratios: Vec<f64> = rates.iter().zip(without).map(|(a, b)| a / b).collect();
        let figure = Figure::new(format!("redis drain, AOF {name}"), median(rates), "jobs/s")
            .beside_with_ratio("without AOF", median(without), median(&ratios))
            .at_least(least);
        report.add(Section::Durability, figure);
    }
    Ok(())
}
