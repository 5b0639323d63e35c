//! Logs: to standard error, as text for people or JSON for machines.

use std::io::{self, IsTerminal as _};

use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{Format, Log};

/// What a command that talks to a person logs, unless a filter was asked for.
const QUIET: &str = "warn";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Text { colours: bool },
    Json,
}

/// Sends this process's log to standard error. A second call changes nothing.
pub(crate) fn init(log: &Log) {
    start(&log.filter, log.format);
}

/// [`init`] for a command whose answer is on standard output: it logs warnings
/// only, unless a filter was asked for.
pub(crate) fn init_quiet(log: &Log) {
    start(quiet_filter(log), log.format);
}

fn start(filter: &str, format: Format) {
    // Any value but an empty one counts: https://no-color.org
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let style = style(format, io::stderr().is_terminal(), no_color);
    // Fails only when a log is already set up, which is then the one to keep.
    let _ = subscriber(filter, style, io::stderr).try_init();
}

fn quiet_filter(log: &Log) -> &str {
    if log.filter_is_set {
        &log.filter
    } else {
        QUIET
    }
}

fn style(format: Format, terminal: bool, no_color: bool) -> Style {
    match format {
        Format::Json => Style::Json,
        Format::Auto if !terminal => Style::Json,
        Format::Auto | Format::Text => Style::Text {
            colours: terminal && !no_color,
        },
    }
}

fn subscriber<W>(filter: &str, style: Style, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(writer);
    match style {
        Style::Text { colours } => Box::new(builder.with_ansi(colours).finish()),
        // The list of spans repeats what the current span says.
        Style::Json => Box::new(
            builder
                .json()
                .flatten_event(true)
                .with_span_list(false)
                .finish(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::{Style, init, init_quiet, quiet_filter, style, subscriber};
    use crate::config::{Format, Log};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(filter: &str, style: Style, events: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        tracing::subscriber::with_default(
            subscriber(filter, style, move || writer.clone()),
            events,
        );
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn log(filter: &str, filter_is_set: bool) -> Log {
        Log {
            filter: filter.to_owned(),
            filter_is_set,
            format: Format::Auto,
        }
    }

    #[test]
    fn the_style_follows_the_format_the_terminal_and_no_color() {
        for (format, terminal, no_color, expected) in [
            (Format::Auto, true, false, Style::Text { colours: true }),
            (Format::Auto, true, true, Style::Text { colours: false }),
            (Format::Auto, false, false, Style::Json),
            (Format::Text, true, false, Style::Text { colours: true }),
            (Format::Text, false, false, Style::Text { colours: false }),
            (Format::Json, true, false, Style::Json),
        ] {
            assert_eq!(style(format, terminal, no_color), expected);
        }
    }

    #[test]
    fn a_quiet_command_logs_warnings_unless_a_filter_was_set() {
        assert_eq!(quiet_filter(&log("info", false)), "warn");
        assert_eq!(quiet_filter(&log("info", true)), "info");
        assert_eq!(quiet_filter(&log("lovage=debug", true)), "lovage=debug");
    }

    #[test]
    fn json_is_one_object_per_line_with_the_fields_beside_the_message() {
        let text = logged("info", Style::Json, || {
            let _span = tracing::info_span!("attempt", kind = "script.generate").entered();
            tracing::info!(queue = "default", "claimed");
            tracing::info!("settled");
        });
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["message"], "claimed");
        assert_eq!(lines[0]["queue"], "default");
        assert_eq!(lines[0]["level"], "INFO");
        assert_eq!(lines[0]["span"]["kind"], "script.generate");
    }

    #[test]
    fn text_has_no_colours_unless_asked_for() {
        let event = || tracing::warn!("slow");
        let plain = logged("info", Style::Text { colours: false }, event);
        assert!(
            plain.contains("slow") && !plain.contains('\u{1b}'),
            "{plain}"
        );
        let coloured = logged("info", Style::Text { colours: true }, event);
        assert!(coloured.contains('\u{1b}'), "{coloured}");
    }

    #[test]
    fn the_filter_drops_what_it_does_not_name() {
        let text = logged("lovage=debug,warn", Style::Json, || {
            tracing::debug!(target: "lovage::claim", "ours");
            tracing::info!(target: "hyper", "theirs");
        });
        assert!(text.contains("ours") && !text.contains("theirs"), "{text}");
    }

    #[test]
    fn a_second_init_changes_nothing() {
        init(&log("off", true));
        init_quiet(&log("off", true));
    }
}
