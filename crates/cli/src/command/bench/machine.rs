//! The machine the figures are of.

use std::path::Path;

use serde::Serialize;

/// What a reader has to know to compare. What cannot be found out is absent.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    /// Processors that this process may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cpus: Option<usize>,
    /// Their make.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cpu: Option<String>,
    /// Memory, in GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) memory_gib: Option<f64>,
    /// Operating system and its version.
    pub(super) system: String,
    /// File system of the stores and append-only files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) files: Option<String>,
    /// Version of the Redis server; absent where none is installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) redis: Option<String>,
    /// Processes that wanted to run in the minute before: what others did here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) load_before: Option<f64>,
    /// `release`, or `debug`: then no figure says anything.
    pub(super) build: &'static str,
}

impl Machine {
    /// This machine, with the stores in `folder`.
    pub(super) fn this(redis: Option<String>, folder: &Path) -> Self {
        let cpus = std::thread::available_parallelism();
        let version = read("/proc/sys/kernel/osrelease");
        let memory = fact("/proc/meminfo", "MemTotal");
        let memory = memory.and_then(|kib| kib.split(' ').next()?.parse::<f64>().ok());
        Self {
            cpus: cpus.ok().map(usize::from),
            cpu: fact("/proc/cpuinfo", "model name"),
            memory_gib: memory.map(|kib| (kib / 1_048_576.0).round()),
            system: format!(
                "{} {}",
                std::env::consts::OS,
                version.as_deref().unwrap_or_default().trim()
            )
            .trim()
            .to_owned(),
            files: file_system(folder),
            redis,
            load_before: load(),
            build: if cfg!(debug_assertions) {
                "debug"
            } else {
                "release"
            },
        }
    }
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

fn load() -> Option<f64> {
    read("/proc/loadavg")?.split(' ').next()?.parse().ok()
}

/// The value of `name : value`.
fn fact(path: &str, name: &str) -> Option<String> {
    let text = read(path)?;
    let mut facts = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = facts.find(|(found, _)| found.trim() == name)?;
    Some(value.trim().to_owned())
}

/// The type of the file system that holds `folder`: of the longest mount point above it.
fn file_system(folder: &Path) -> Option<String> {
    let mounts = read("/proc/self/mounts")?;
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    let above = mounts.filter(|(point, _)| folder.starts_with(point));
    let nearest = above.max_by_key(|(point, _)| point.len());
    nearest.map(|(_, kind)| kind.to_owned())
}
