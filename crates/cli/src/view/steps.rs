//! A job's steps as they happen: bars on a terminal, nothing elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Deserialize;

use crate::view::wait;

/// One bar that moves through the steps; finished steps stay above it.
pub(crate) struct Steps {
    bar: ProgressBar,
    visible: bool,
}

#[derive(Deserialize)]
struct Progress {
    current: u64,
    total: u64,
    message: Option<String>,
}

#[derive(Deserialize)]
struct Degraded {
    detail: String,
}

#[derive(Deserialize)]
struct Waiting {
    reason: String,
    signal: Option<String>,
    until: String,
}

#[derive(Deserialize)]
struct Spawned {
    group: String,
    count: usize,
}

#[derive(Deserialize)]
struct Signalled {
    name: String,
}

#[derive(Deserialize)]
struct Finished {
    ms: u64,
}

impl Steps {
    /// Bars on stderr when it is a terminal.
    pub(crate) fn new() -> Self {
        let visible = std::io::stderr().is_terminal();
        let target = if visible {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_style(style("{spinner} {prefix:<12} {wide_msg}"));
        if visible {
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        Self { bar, visible }
    }

    /// Whether anything is drawn.
    pub(crate) fn visible(&self) -> bool {
        self.visible
    }

    /// Shows an event.
    pub(crate) fn event(&self, kind: &str, step: Option<&str>, data: &str) {
        match (kind, step) {
            ("attempt_started", _) => self.bar.set_message("started"),
            ("step_started", Some(step)) => self.begin(step),
            ("progress", Some(step)) => self.progress(step, data),
            ("step_finished", Some(step)) => self.finish(step, data),
            ("degraded", Some(step)) => self.degraded(step, data),
            ("waiting", _) => self.waiting(data),
            ("spawned", _) => self.spawned(data),
            ("signalled", _) => self.signalled(data),
            ("succeeded" | "failed" | "cancelled", _) => self.bar.finish_and_clear(),
            _ => {}
        }
    }

    /// A line above the bar.
    pub(crate) fn say(&self, line: &str) {
        self.bar.println(line);
    }

    fn begin(&self, step: &str) {
        self.bar
            .set_style(style("{spinner} {prefix:<12} {wide_msg}"));
        self.bar.set_prefix(step.to_owned());
        self.bar.set_message("");
    }

    fn progress(&self, step: &str, data: &str) {
        let Ok(progress) = serde_json::from_str::<Progress>(data) else {
            return;
        };
        self.bar.set_style(style(
            "{spinner} {prefix:<12} {bar:24} {pos}/{len} {wide_msg}",
        ));
        self.bar.set_prefix(step.to_owned());
        self.bar.set_length(progress.total);
        self.bar.set_position(progress.current);
        self.bar.set_message(progress.message.unwrap_or_default());
    }

    fn degraded(&self, step: &str, data: &str) {
        let Ok(why) = serde_json::from_str::<Degraded>(data) else {
            return;
        };
        self.say(&format!("! {step:<12} without the model: {}", why.detail));
    }

    fn waiting(&self, data: &str) {
        let Ok(wait) = serde_json::from_str::<Waiting>(data) else {
            return;
        };
        let (signal, until) = (wait.signal.as_deref(), Some(wait.until.as_str()));
        self.say(&format!("… {}", wait::text(&wait.reason, signal, until)));
    }

    fn spawned(&self, data: &str) {
        let Ok(Spawned { group, count }) = serde_json::from_str(data) else {
            return;
        };
        self.say(&format!("+ {group:<12} {count} children"));
    }

    fn signalled(&self, data: &str) {
        let Ok(Signalled { name }) = serde_json::from_str(data) else {
            return;
        };
        self.say(&format!("✓ {:<12} {name}", "signal"));
    }

    fn finish(&self, step: &str, data: &str) {
        let ms = serde_json::from_str::<Finished>(data).map_or(0, |finished| finished.ms);
        self.say(&format!(
            "✓ {step:<12} {:.2} s",
            Duration::from_millis(ms).as_secs_f64()
        ));
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("the template is one of ours")
        .progress_chars("━╸─")
}
