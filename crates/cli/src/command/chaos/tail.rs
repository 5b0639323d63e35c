//! The end of an append-only file that is not surely on the disk.
//!
//! A process that is killed loses nothing it has handed to the system; a power
//! cut does. This cuts a file back to what it was a second ago, which is the
//! most that `appendfsync everysec` may lose.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::task::AbortOnDropHandle;

/// What Redis calls the folder of its append-only files.
const FOLDER: &str = "appendonlydir";
/// How often the length is noted.
const NOTE: Duration = Duration::from_millis(50);
/// How much a power cut takes.
const UNSYNCED: Duration = Duration::from_secs(1);

/// A file's length at a time.
struct Length {
    at: Instant,
    file: PathBuf,
    bytes: u64,
}

/// The lengths of the newest append-only file of a folder during the last second.
pub(super) struct Tail {
    lengths: Arc<Mutex<VecDeque<Length>>>,
    _task: AbortOnDropHandle<()>,
}

impl Tail {
    /// Notes the lengths from now on.
    pub(super) fn watch(folder: &Path) -> Self {
        let lengths = Arc::<Mutex<VecDeque<Length>>>::default();
        let task = tokio::spawn(note(folder.join(FOLDER), lengths.clone()));
        Self {
            lengths,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// Cuts the file of a server that has ended back to its length a second ago; says by how much.
    ///
    /// Nothing when the file was begun since: what it replaces was synced with it.
    pub(super) fn cut(self, folder: &Path) -> io::Result<u64> {
        let Some((file, bytes)) = newest(&folder.join(FOLDER)) else {
            return Ok(0);
        };
        let mut lengths = self.lengths.lock().expect("no panic while locked");
        let mut lengths = lengths.drain(..).filter(|length| length.file == file);
        let Some(oldest) = lengths.find(|length| length.at.elapsed() <= UNSYNCED) else {
            return Ok(0);
        };
        OpenOptions::new()
            .write(true)
            .open(&file)?
            .set_len(oldest.bytes)?;
        Ok(bytes - oldest.bytes)
    }
}

async fn note(folder: PathBuf, lengths: Arc<Mutex<VecDeque<Length>>>) {
    let mut tick = interval(NOTE);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let at = Instant::now();
        let mut lengths = lengths.lock().expect("no panic while locked");
        if let Some((file, bytes)) = newest(&folder) {
            lengths.push_back(Length { at, file, bytes });
        }
        while lengths
            .front()
            .is_some_and(|first| at - first.at > UNSYNCED)
        {
            lengths.pop_front();
        }
    }
}

/// The file that is being appended to, and its length.
fn newest(folder: &Path) -> Option<(PathBuf, u64)> {
    let files = std::fs::read_dir(folder).ok()?.flatten();
    let appended = files.filter_map(|file| {
        let path = file.path();
        let name = path.file_name()?.to_str()?;
        let number = name.strip_suffix(".incr.aof")?.rsplit('.').next()?;
        Some((number.parse::<u64>().ok()?, path))
    });
    let (_, path) = appended.max()?;
    let bytes = std::fs::metadata(&path).ok()?.len();
    Some((path, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_written_within_a_second_is_cut_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let files = folder.path().join(FOLDER);
        std::fs::create_dir(&files).unwrap();
        let file = files.join("appendonly.aof.2.incr.aof");
        std::fs::write(files.join("appendonly.aof.1.incr.aof"), "old").unwrap();
        let tail = Tail::watch(folder.path());
        for text in ["synced", "synced late"] {
            std::fs::write(&file, text).unwrap();
            tokio::time::sleep(Duration::from_millis(900)).await;
        }
        assert_eq!(tail.cut(folder.path()).unwrap(), 5);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "synced");
    }
}
