//! The command line of queues and of the dead list.

use clap::{Args, Subcommand};
use lovage_client::wire::RateRequest;
use uuid::Uuid;

use super::{Output, Server, one_or_more, whole};

/// Arguments of `queue`.
#[derive(Debug, Subcommand)]
pub(crate) enum QueueAction {
    /// Show what each queue holds, and its limits.
    Ls(QueueList),
    /// Give no more jobs of a queue to workers; running ones go on.
    Pause(QueueTarget),
    /// Give jobs of a queue to workers again.
    Resume(QueueTarget),
    /// Limit what a queue gives to workers, in place of its limits before.
    Limit(QueueLimit),
}

/// Arguments of `queue ls`.
#[derive(Debug, Args)]
pub(crate) struct QueueList {
    /// How to print them.
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) server: Server,
}

/// Arguments of commands about one queue.
#[derive(Debug, Args)]
pub(crate) struct QueueTarget {
    /// The queue's name.
    pub(crate) queue: String,
    /// How to print it.
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) server: Server,
}

/// Arguments of `queue limit`.
#[derive(Debug, Args)]
#[group(id = "limits", required = true, multiple = true, args = ["length", "concurrency", "rate", "weights", "none"])]
pub(crate) struct QueueLimit {
    /// Jobs that wait to be started at most; more are refused.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u64>)]
    pub(crate) length: Option<u64>,
    /// Jobs running at once, over all workers.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u32>)]
    pub(crate) concurrency: Option<u32>,
    /// Jobs started per second, minute, hour or day, over all workers: 10/s, 600/m.
    #[arg(long, value_parser = rate)]
    pub(crate) rate: Option<RateRequest>,
    /// Jobs started at once after a pause; without it what the rate allows in 10 ms, at least 1.
    #[arg(long, value_name = "N", requires = "rate", allow_negative_numbers = true, value_parser = whole::<u32>)]
    pub(crate) burst: Option<u32>,
    /// A tenant's share among jobs of one priority, 1 to 100; may be given more than once.
    #[arg(long = "weight", value_name = "TENANT=N", value_parser = weight)]
    pub(crate) weights: Vec<(String, u8)>,
    /// No limits, and even shares.
    #[arg(long, conflicts_with_all = ["length", "concurrency", "rate", "weights"])]
    pub(crate) none: bool,
    #[command(flatten)]
    pub(crate) target: QueueTarget,
}

/// Arguments of `dead`.
#[derive(Debug, Subcommand)]
pub(crate) enum DeadAction {
    /// List jobs that failed.
    Ls(DeadList),
    /// Run failed jobs again, each from its last checkpoint; prints a line for each.
    Redrive(Redrive),
}

/// Arguments of `dead ls`.
#[derive(Debug, Args)]
pub(crate) struct DeadList {
    /// Only this queue.
    #[arg(long)]
    pub(crate) queue: Option<String>,
    /// Only this kind.
    #[arg(long)]
    pub(crate) kind: Option<String>,
    /// Jobs to print at most.
    #[arg(long, default_value_t = 50, value_parser = one_or_more)]
    pub(crate) limit: usize,
    /// How to print them.
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) server: Server,
}

/// Arguments of `dead redrive`.
#[derive(Debug, Args)]
pub(crate) struct Redrive {
    /// Ids of the jobs.
    #[arg(
        value_name = "ID",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    pub(crate) ids: Vec<Uuid>,
    /// Every job that failed.
    #[arg(long)]
    pub(crate) all: bool,
    /// Of all, only this queue.
    #[arg(long, requires = "all")]
    pub(crate) queue: Option<String>,
    /// Of all, only this kind.
    #[arg(long, requires = "all")]
    pub(crate) kind: Option<String>,
    /// How to print them: their ids, or a JSON document on each line.
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) server: Server,
}

fn rate(text: &str) -> Result<RateRequest, String> {
    let expected = || "expected jobs per s, m, h or d, such as 10/s or 600/m".to_owned();
    let (jobs, unit) = text.split_once('/').ok_or_else(expected)?;
    let per_s = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(expected()),
    };
    Ok(RateRequest {
        jobs: jobs.parse().map_err(|_| expected())?,
        per_s,
        burst: None,
    })
}

fn weight(text: &str) -> Result<(String, u8), String> {
    let parts = text.split_once('=');
    let read = parts.and_then(|(tenant, number)| Some((tenant.to_owned(), number.parse().ok()?)));
    read.ok_or_else(|| "expected a tenant and its share, such as night=3".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_by_its_unit() {
        for (text, jobs, per_s) in [
            ("10/s", 10, 1),
            ("600/m", 600, 60),
            ("5/h", 5, 3_600),
            ("1/d", 1, 86_400),
        ] {
            let read = rate(text).unwrap();
            assert_eq!((read.jobs, read.per_s, read.burst), (jobs, per_s, None));
        }
        for bad in ["", "10", "10/", "/s", "10/w", "-1/s", "1.5/s", "10/s/s"] {
            assert!(rate(bad).unwrap_err().contains("10/s"), "{bad}");
        }
    }

    #[test]
    fn a_weight_has_a_tenant_and_a_number() {
        assert_eq!(weight("night=3"), Ok(("night".to_owned(), 3)));
        for bad in ["night", "night=", "night=x", "night=300"] {
            assert!(weight(bad).is_err(), "{bad}");
        }
    }
}
