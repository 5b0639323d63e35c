//! What processes and servers used: the processor, memory, the network.

use std::collections::BTreeMap;

use lovage_broker_redis::Probe;

use super::report::ServerCommand;
use super::store::failed;
use crate::exit::Exit;

/// Ticks of a second in `/proc`, the same on every Linux.
const TICKS: f64 = 100.0;
/// Commands of a list of the costliest.
const COMMANDS_MAX: usize = 12;

/// Seconds of processor that a process has used, its threads together; to
/// 10 ms. Nothing where there is no `/proc`.
pub(super) fn cpu_s(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold spaces.
    let mut after_name = stat.rsplit(')').next()?.split_whitespace().skip(11);
    let mut ticks = || after_name.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS)
}

/// Memory of a process that is in RAM, in bytes.
pub(super) fn resident_bytes(pid: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1_024.0)
}

/// What a Redis server says of itself, at one time.
pub(super) struct ServerUsage(BTreeMap<String, String>);

impl ServerUsage {
    pub(super) async fn now(probe: &Probe) -> Result<Self, Exit> {
        let text: String = probe.ask(&["INFO", "everything"]).await.map_err(failed)?;
        let facts = text.lines().filter_map(|line| line.split_once(':'));
        let facts = facts.map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        Ok(Self(facts.collect()))
    }

    fn number(&self, name: &str) -> f64 {
        let value = self.0.get(name).and_then(|value| value.parse().ok());
        value.unwrap_or(0.0)
    }

    /// Seconds of processor of the thread that runs commands.
    pub(super) fn cpu_s(&self) -> f64 {
        self.number("used_cpu_user_main_thread") + self.number("used_cpu_sys_main_thread")
    }

    /// Memory it allocated, in bytes.
    pub(super) fn memory_bytes(&self) -> f64 {
        self.number("used_memory")
    }

    /// Bytes it received.
    pub(super) fn received_bytes(&self) -> f64 {
        self.number("total_net_input_bytes")
    }

    /// Bytes it sent.
    pub(super) fn sent_bytes(&self) -> f64 {
        self.number("total_net_output_bytes")
    }

    /// The longest that one command held the server since `CONFIG RESETSTAT`, in
    /// ms; a script is one command. Wants [`track_longest`] before.
    pub(super) fn longest_ms(&self) -> f64 {
        let spreads = self
            .0
            .iter()
            .filter(|(name, _)| name.starts_with("latency_percentiles_usec_"));
        let longest = spreads.filter_map(|(_, value)| field(value, "p100"));
        longest.fold(0.0, f64::max) / 1_000.0
    }

    /// The costliest commands since `before`, for each of `jobs` jobs.
    pub(super) fn commands_since(&self, before: &Self, jobs: usize) -> Vec<ServerCommand> {
        let mut commands: Vec<ServerCommand> = self
            .0
            .iter()
            .filter_map(|(name, value)| {
                let command = name.strip_prefix("cmdstat_")?;
                let was = before.0.get(name);
                let more = |what| {
                    let was = was.and_then(|value| field(value, what)).unwrap_or(0.0);
                    Some((field(value, what)? - was) / jobs as f64)
                };
                Some(ServerCommand::new(command, more("calls")?, more("usec")?))
            })
            .collect();
        commands.sort_by(|a, b| b.us_per_job.total_cmp(&a.us_per_job));
        commands.truncate(COMMANDS_MAX);
        commands
    }
}

/// `usec` of `calls=2,usec=7,…`.
fn field(value: &str, name: &str) -> Option<f64> {
    let mut fields = value.split(',').filter_map(|field| field.split_once('='));
    fields.find(|(field, _)| *field == name)?.1.parse().ok()
}

/// Begins to note the longest call of every command.
pub(super) async fn track_longest(probe: &Probe) -> Result<(), Exit> {
    let name = "latency-tracking-info-percentiles";
    for words in [
        &["CONFIG", "SET", name, "100"][..],
        &["CONFIG", "RESETSTAT"],
    ] {
        let () = probe.ask(words).await.map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_something() {
        if !cfg!(target_os = "linux") {
            return;
        }
        assert!(cpu_s(std::process::id()).is_some());
        assert!(resident_bytes(std::process::id()).is_some_and(|bytes| bytes > 1e6));
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let value = "calls=2,usec=7,usec_per_call=3.50";
        assert_eq!(field(value, "usec"), Some(7.0));
        assert_eq!(field(value, "per_call"), None);
    }
}
