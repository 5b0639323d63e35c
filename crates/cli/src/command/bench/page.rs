//! The figures inside a Markdown page, between two marks.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::report::{HEADS, Report, grouped};
use super::{bars, chart, lanes};
use crate::args::Section;
use crate::exit::{self, Exit};

/// Around what is replaced.
const BEGIN: &str = "<!-- figures: begin -->";
const END: &str = "<!-- figures: end -->";
/// The drawn curve, beside the page.
const CURVE: &str = "batch-curve.svg";
/// The drawn downloads, beside the page.
const LANES: &str = "images.svg";
/// The drawn times of jobs by their steps, beside the page.
const FAN_OUT: &str = "fan-out.svg";

/// A page to be refreshed.
pub(super) struct Page {
    path: PathBuf,
    before: String,
    after: String,
}

impl Page {
    /// Reads it: a page without marks is refused before anything is measured.
    pub(super) fn read(path: &Path) -> Result<Self, Exit> {
        let page = std::fs::read_to_string(path).map_err(|error| refused(path, &error))?;
        let parts = around(&page).ok_or_else(|| {
            let why = format!("{} lacks the marks {BEGIN} and {END}", path.display());
            Exit::new(exit::USAGE, why)
        })?;
        Ok(Self {
            path: path.to_owned(),
            before: parts.0.to_owned(),
            after: parts.1.to_owned(),
        })
    }

    /// Writes the figures between the marks, and the pictures beside the page.
    pub(super) fn refresh(&self, report: &Report) -> Result<(), Exit> {
        let failed = |error| refused(&self.path, &error);
        if let Some(picture) = chart::draw(&report.curve) {
            std::fs::write(self.path.with_file_name(CURVE), picture).map_err(failed)?;
        }
        if let Some(picture) = lanes::draw(&report.lanes) {
            std::fs::write(self.path.with_file_name(LANES), picture).map_err(failed)?;
        }
        if let Some(picture) = bars::draw(&report.fan_out) {
            std::fs::write(self.path.with_file_name(FAN_OUT), picture).map_err(failed)?;
        }
        let (before, after) = (&self.before, &self.after);
        let page = format!("{before}{BEGIN}\n\n{}\n{END}{after}", figures(report));
        std::fs::write(&self.path, page).map_err(failed)
    }
}

fn refused(path: &Path, error: &std::io::Error) -> Exit {
    Exit::because(&format!("cannot refresh {}", path.display()), error)
}

/// What stands before and after the marks.
fn around(page: &str) -> Option<(&str, &str)> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some((before, after))
}

fn figures(report: &Report) -> String {
    let mut text = machine(report);
    for section in Section::ALL {
        let figures = report.figures.iter();
        let figures: Vec<_> = figures.filter(|one| one.section == section).collect();
        if !figures.is_empty() {
            let _ = writeln!(text, "\n### {}\n", section.title());
            row(&mut text, &HEADS.map(str::to_lowercase));
            row(&mut text, &HEADS.map(|_| "---".to_owned()));
            for figure in figures {
                row(&mut text, &figure.cells());
            }
        }
        match section {
            Section::Drain => commands(&mut text, report),
            Section::Curve => curve(&mut text, report),
            Section::Images if !report.lanes.is_empty() => {
                let _ = writeln!(
                    text,
                    "\n![Who downloads when: one, five and ten images at a time]({LANES})"
                );
            }
            Section::FanOut => fan_out(&mut text, report),
            _ => {}
        }
    }
    text
}

fn row(text: &mut String, cells: &[String]) {
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

fn machine(report: &Report) -> String {
    let machine = &report.machine;
    let cpus = machine.cpus.map(|cpus| format!("{cpus} processors"));
    let memory = machine.memory_gib.map(|gib| format!("{gib} GiB"));
    let redis = machine.redis.as_ref().map(|redis| format!("Redis {redis}"));
    let files = machine
        .files
        .as_ref()
        .map(|files| format!("files on {files}"));
    let facts = [
        cpus,
        machine.cpu.clone(),
        memory,
        Some(machine.system.clone()),
        files,
        redis,
        machine
            .load_before
            .map(|load| format!("load {load} before the run")),
        Some(format!(
            "lovage {}, {} build",
            report.version, machine.build
        )),
    ];
    let facts: Vec<String> = facts.into_iter().flatten().collect();
    format!(
        "Machine: {}. {} jobs per drain, a large backlog of {}, {} rounds.\n",
        facts.join(", "),
        grouped(report.jobs as f64),
        grouped(report.backlog as f64),
        report.rounds
    )
}

fn commands(text: &mut String, report: &Report) {
    if report.drain_commands.is_empty() {
        return;
    }
    text.push_str(
        "\nWhat holds the server in the drain by one process at 256 slots (`INFO commandstats`; \
         `evalsha` contains what its script calls):\n\n",
    );
    row(
        text,
        &["command", "calls per job", "µs per job"].map(str::to_owned),
    );
    row(text, &["---"; 3].map(str::to_owned));
    for command in &report.drain_commands {
        let (calls, us) = (command.calls_per_job, command.us_per_job);
        row(
            text,
            &[command.command.clone(), calls.to_string(), us.to_string()],
        );
    }
}

fn curve(text: &mut String, report: &Report) {
    if report.curve.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n### {}\n", Section::Curve.title());
    let _ = writeln!(
        text,
        "![Jobs per second and milliseconds by batch size]({CURVE})\n"
    );
    row(
        text,
        &["batch", "jobs/s", "p50, ms", "p99, ms"].map(str::to_owned),
    );
    row(text, &["---"; 4].map(str::to_owned));
    for point in &report.curve {
        let cells = [
            point.batch.to_string(),
            grouped(point.jobs_per_s),
            point.p50_ms.to_string(),
            point.p99_ms.to_string(),
        ];
        row(text, &cells);
    }
}

fn fan_out(text: &mut String, report: &Report) {
    if report.fan_out.is_empty() {
        return;
    }
    let _ = writeln!(
        text,
        "\n![Seconds of a job by its steps, side by side and one by one]({FAN_OUT})\n"
    );
    let heads = ["store", "steps of 2 s", "side by side, s", "one by one, s"];
    row(text, &heads.map(str::to_owned));
    row(text, &heads.map(|_| "---".to_owned()));
    for point in &report.fan_out {
        let cells = [
            point.store.to_owned(),
            point.steps.to_string(),
            format!("{:.3}", point.side_by_side_s),
            format!("{:.3}", point.one_by_one_s),
        ];
        row(text, &cells);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_is_taken_out() {
        let page = format!("# A\n{BEGIN}\nold\n{END}\nB\n");
        assert_eq!(around(&page), Some(("# A\n", "\nB\n")));
        assert_eq!(around(&format!("{END}{BEGIN}")), None);
    }
}
