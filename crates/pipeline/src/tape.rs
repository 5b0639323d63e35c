//! What a run asked the world and was told, in a folder: recorded there, or
//! played from there without asking anybody.
//!
//! A folder holds one file per question, `<what>-<digest of it>-<n>.json`, the
//! same question numbered by how often it was asked. Each has what was asked,
//! to be read, and what came of it; nothing where the run stopped waiting.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::fs;
use tokio::sync::watch;

use crate::digest::sha256_hex;

/// Digits of a digest in a file's name: plenty to tell one run's questions apart.
const DIGITS: usize = 16;
/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Characters of a question in an error.
const TOLD_MAX: usize = 300;

/// A folder that is recorded into or played from.
pub struct Tape {
    folder: PathBuf,
    playing: bool,
    /// A question of the recorded run has no answer: it did not wait for all.
    cut: bool,
    asked: Mutex<HashMap<String, usize>>,
    trouble: watch::Sender<Option<String>>,
}

/// One file.
#[derive(Serialize, Deserialize)]
struct Entry {
    asked: Value,
    answer: Value,
}

/// Where the answer to a question belongs.
pub(crate) struct Place {
    path: PathBuf,
    asked: Value,
    told: String,
}

impl Tape {
    /// Records into `folder`, which is made, or empty.
    ///
    /// # Errors
    /// When it cannot be made, or holds something.
    pub async fn record(folder: &Path) -> io::Result<Tape> {
        fs::create_dir_all(folder).await?;
        if fs::read_dir(folder).await?.next_entry().await?.is_some() {
            let why = "it is not empty: one folder holds one run";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
        }
        Ok(Tape::new(folder, false, false))
    }

    /// Plays what `folder` holds.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn play(folder: &Path) -> io::Result<Tape> {
        let mut files = fs::read_dir(folder).await?;
        let mut cut = false;
        while let Some(file) = files.next_entry().await? {
            let entry = read::<Entry>(&file.path()).await;
            cut |= entry.is_ok_and(|entry| entry.answer.is_null());
        }
        Ok(Tape::new(folder, true, cut))
    }

    fn new(folder: &Path, playing: bool, cut: bool) -> Tape {
        Tape {
            folder: folder.to_owned(),
            playing,
            cut,
            asked: Mutex::default(),
            trouble: watch::Sender::new(None),
        }
    }

    /// Waits until something could not be recorded, or was not in the
    /// recording: then the run is not what it should be, and this says why.
    pub async fn trouble(&self) -> String {
        let mut trouble = self.trouble.subscribe();
        let told = trouble.wait_for(Option::is_some).await;
        let told = told.expect("the sender lives in this value").clone();
        told.unwrap_or_default()
    }

    /// What has gone wrong so far.
    pub fn troubled(&self) -> Option<String> {
        self.trouble.borrow().clone()
    }

    pub(crate) fn is_playing(&self) -> bool {
        self.playing
    }

    /// Where the next answer to a question belongs; `told` is the question for people.
    pub(crate) fn place(&self, what: &str, asked: Value, told: &str) -> Place {
        let digest = sha256_hex(asked.to_string());
        let name = format!("{what}-{}", &digest[..DIGITS]);
        let mut counts = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(name.clone()).or_default();
        *count += 1;
        Place {
            path: self.folder.join(format!("{name}-{count}.json")),
            asked,
            told: told.chars().take(TOLD_MAX).collect(),
        }
    }

    /// Writes a question, and what came of it: first nothing, then an answer.
    pub(crate) async fn write(&self, place: &Place, answer: &impl Serialize) {
        let entry = json!({ "asked": place.asked, "answer": answer });
        let text = serde_json::to_vec_pretty(&entry).expect("a document has a JSON form");
        if let Err(error) = fs::write(&place.path, text).await {
            self.tell(format!("cannot write {}: {error}", place.path.display()));
        }
    }

    /// What came of a question when it was recorded. A question that the
    /// recorded run did not wait for is not answered now either; one that it
    /// did not ask is [`Tape::trouble`], and is not answered.
    ///
    /// `may_be_cut`: a run that stopped waiting for some of these may not have
    /// come to others.
    pub(crate) async fn read<T: DeserializeOwned>(&self, place: &Place, may_be_cut: bool) -> T {
        match read::<Entry>(&place.path).await {
            Ok(entry) if entry.answer.is_null() => {}
            Ok(entry) => match serde_json::from_value(entry.answer) {
                Ok(answer) => return answer,
                Err(error) => self.tell(format!("cannot read {}: {error}", place.path.display())),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !(may_be_cut && self.cut) {
                    self.tell(self.missing(place));
                }
            }
            Err(error) => self.tell(format!("cannot read {}: {error}", place.path.display())),
        }
        std::future::pending().await
    }

    fn missing(&self, place: &Place) -> String {
        let name = place.path.file_name().unwrap_or_default().display();
        let folder = self.folder.display();
        format!(
            "the recording in {folder} has no answer to this ({name}): {}",
            place.told
        )
    }

    /// The first trouble is the cause of what follows.
    fn tell(&self, trouble: String) {
        self.trouble.send_if_modified(|told| {
            let first = told.is_none();
            told.get_or_insert(trouble);
            first
        });
    }
}

async fn read<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    if fs::metadata(path).await?.len() > FILE_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    serde_json::from_slice(&fs::read(path).await?).map_err(io::Error::from)
}
