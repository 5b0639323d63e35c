//! The figures, each beside its floor and its target.

use comfy_table::Table;
use serde::Serialize;

use super::machine::Machine;
use crate::args::Section;
use crate::view::table;

/// Everything measured in one run. What was not measured is absent.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) version: &'static str,
    pub(super) machine: Machine,
    /// Jobs of one measurement of throughput.
    pub(super) jobs: usize,
    /// Size of the large backlog.
    pub(super) backlog: usize,
    /// How often figures beside a floor were measured, in turn with it.
    pub(super) rounds: usize,
    pub(super) figures: Vec<Figure>,
    /// What holds the server during the drain by one process at 256 slots.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) drain_commands: Vec<ServerCommand>,
    /// Batch size against throughput and latency.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) curve: Vec<CurvePoint>,
    /// Who downloads when, for each number of downloads at a time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) lanes: Vec<Lanes>,
    /// Steps of a job against its time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) fan_out: Vec<FanOutPoint>,
}

/// One measured thing.
#[derive(Debug, Serialize)]
pub(super) struct Figure {
    pub(super) section: Section,
    pub(super) name: String,
    pub(super) value: f64,
    pub(super) unit: &'static str,
    /// What it is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) floor: Option<Floor>,
    /// Value by floor; of several rounds the median of their ratios.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ratio: Option<f64>,
    /// What the ratio should be, or the value where there is no floor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) target: Option<Target>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) met: Option<bool>,
}

/// What a figure is compared with, in the figure's unit.
#[derive(Debug, Serialize)]
pub(super) struct Floor {
    pub(super) name: String,
    pub(super) value: f64,
}

/// What a figure should be.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

/// A command of the server, with its share of every job; what a script calls counts for both.
#[derive(Debug, Serialize)]
pub(super) struct ServerCommand {
    pub(super) command: String,
    pub(super) calls_per_job: f64,
    pub(super) us_per_job: f64,
}

/// One batch size, one step at a time: claim a batch, settle it.
#[derive(Debug, Serialize)]
pub(super) struct CurvePoint {
    pub(super) batch: usize,
    pub(super) jobs_per_s: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
}

/// One job of this many steps, in seconds from its enqueue to its end.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct FanOutPoint {
    pub(super) store: &'static str,
    pub(super) steps: usize,
    pub(super) side_by_side_s: f64,
    pub(super) one_by_one_s: f64,
}

/// Downloads of one run.
#[derive(Debug, Serialize)]
pub(super) struct Lanes {
    pub(super) at_once: usize,
    pub(super) downloads: Vec<Download>,
}

/// One download, from the request to the answer, in seconds of its run.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Download {
    pub(super) begin_s: f64,
    pub(super) end_s: f64,
}

impl Lanes {
    pub(super) fn new(at_once: usize, downloads: Vec<Download>) -> Self {
        Self { at_once, downloads }
    }
}

impl Figure {
    pub(super) fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            section: Section::Floor,
            name: name.into(),
            value: short(value),
            unit,
            floor: None,
            ratio: None,
            target: None,
            met: None,
        }
    }

    /// Beside its floor.
    pub(super) fn beside(self, name: impl Into<String>, floor: f64) -> Self {
        let ratio = self.value / floor;
        self.beside_with_ratio(name, floor, ratio)
    }

    /// Beside its floor, with the ratio made elsewhere.
    pub(super) fn beside_with_ratio(
        mut self,
        name: impl Into<String>,
        floor: f64,
        ratio: f64,
    ) -> Self {
        self.floor = Some(Floor {
            name: name.into(),
            value: short(floor),
        });
        self.ratio = Some(short(ratio));
        self
    }

    pub(super) fn at_least(self, least: f64) -> Self {
        let met = self.judged() >= least;
        self.with(Target::AtLeast(least), met)
    }

    pub(super) fn at_most(self, most: f64) -> Self {
        let met = self.judged() <= most;
        self.with(Target::AtMost(most), met)
    }

    fn judged(&self) -> f64 {
        self.ratio.unwrap_or(self.value)
    }

    fn with(mut self, target: Target, met: bool) -> Self {
        self.target = Some(target);
        self.met = Some(met);
        self
    }

    /// As a row of a table: figure, value, floor, ratio, target, met.
    pub(super) fn cells(&self) -> [String; 6] {
        let floor = self.floor.as_ref();
        let target = self.target.map(|target| match target {
            Target::AtLeast(least) => format!("≥ {least}"),
            Target::AtMost(most) => format!("≤ {most}"),
        });
        [
            self.name.clone(),
            format!("{} {}", grouped(self.value), self.unit),
            floor.map_or_else(String::new, |floor| {
                format!("{} {} ({})", grouped(floor.value), self.unit, floor.name)
            }),
            self.ratio
                .map_or_else(String::new, |ratio| ratio.to_string()),
            target.unwrap_or_default(),
            self.met
                .map_or("", |met| if met { "yes" } else { "NO" })
                .to_owned(),
        ]
    }
}

impl ServerCommand {
    pub(super) fn new(command: &str, calls_per_job: f64, us_per_job: f64) -> Self {
        Self {
            command: command.to_owned(),
            calls_per_job: short(calls_per_job),
            us_per_job: short(us_per_job),
        }
    }
}

impl CurvePoint {
    pub(super) fn new(batch: usize, jobs_per_s: f64, p50_ms: f64, p99_ms: f64) -> Self {
        Self {
            batch,
            jobs_per_s: short(jobs_per_s),
            p50_ms: short(p50_ms),
            p99_ms: short(p99_ms),
        }
    }
}

impl FanOutPoint {
    /// To the millisecond, in which stores keep time.
    pub(super) fn new(
        store: &'static str,
        steps: usize,
        side_by_side: f64,
        one_by_one: f64,
    ) -> Self {
        let whole = |seconds: f64| (seconds * 1_000.0).round() / 1_000.0;
        Self {
            store,
            steps,
            side_by_side_s: whole(side_by_side),
            one_by_one_s: whole(one_by_one),
        }
    }
}

/// Heads of the columns of [`Figure::cells`].
pub(super) const HEADS: [&str; 6] = ["FIGURE", "VALUE", "FLOOR", "RATIO", "TARGET", "MET"];

impl Report {
    pub(super) fn new(machine: Machine, jobs: usize, backlog: usize, rounds: usize) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            machine,
            jobs,
            backlog,
            rounds,
            figures: Vec::new(),
            drain_commands: Vec::new(),
            curve: Vec::new(),
            lanes: Vec::new(),
            fan_out: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, section: Section, figure: Figure) {
        self.figures.push(Figure { section, ..figure });
    }

    /// For people.
    pub(super) fn table(&self) -> Table {
        let mut table = table::table(&HEADS);
        for figure in &self.figures {
            table.add_row(figure.cells());
        }
        table
    }
}

/// Three figures that mean something; thousands whole.
fn short(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let digits = 2 - value.abs().log10().floor() as i32;
    if digits <= 0 {
        return value.round();
    }
    let factor = 10f64.powi(digits);
    (value * factor).round() / factor
}

/// Thousands set apart: `1,234,567`.
pub(super) fn grouped(value: f64) -> String {
    if value.abs() < 10_000.0 {
        return value.to_string();
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_for_the_ratio_where_there_is_a_floor() {
        let figure = Figure::new("drain", 50.0, "/s")
            .beside("LPUSH", 100.0)
            .at_least(0.4);
        assert_eq!((figure.ratio, figure.met), (Some(0.5), Some(true)));
        let figure = Figure::new("server", 9.5, "µs").at_most(9.0);
        assert_eq!((figure.ratio, figure.met), (None, Some(false)));
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(short(0.012_345), 0.0123);
        assert_eq!(short(123.456), 123.0);
        assert_eq!(short(1_234_567.8), 1_234_568.0);
        assert_eq!(grouped(1_234_567.0), "1,234,567");
        assert_eq!(grouped(123_456.0), "123,456");
        assert_eq!(grouped(0.05), "0.05");
    }
}
