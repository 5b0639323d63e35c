//! Runs of `generate` that are recorded, and played again.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use lovage_core::clock::Clock;
use lovage_core::error::chain;
use lovage_core::id::QueueName;
use lovage_core::payload::Payload;
use lovage_pipeline::tape::Tape;
use lovage_worker::Worker;
use serde::{Deserialize, Serialize};

use crate::compose::{self, Store};
use crate::config::Settings;
use crate::exit::{self, Exit};

/// What stands beside the questions and answers.
const FILE: &str = "recording.json";
/// The version of all that is in the folder.
const VERSION: u32 = 1;

/// What a recorded run was given, beside what it was told.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recording {
    version: u32,
    /// When it began.
    now: Timestamp,
    /// The job's input.
    input: serde_json::Value,
    /// The settings that decide what it does, without secrets.
    pub(super) settings: Vec<(String, toml::Value)>,
}

impl Recording {
    /// Reads what `folder` says of its run.
    pub(super) fn read(folder: &Path) -> Result<Self, Exit> {
        let path = folder.join(FILE);
        let what = format!("the recording {} cannot be read", path.display());
        let text = std::fs::read(&path).map_err(|error| unusable(&what, &error))?;
        let recording: Self =
            serde_json::from_slice(&text).map_err(|error| unusable(&what, &error))?;
        if recording.version != VERSION {
            let found = recording.version;
            let why = format!("{what}: it has version {found}, this program knows {VERSION}");
            return Err(Exit::new(exit::USAGE, why));
        }
        Ok(recording)
    }

    /// What the recorded job was asked.
    pub(super) fn input(&self) -> Result<Payload, Exit> {
        Payload::of(&self.input)
            .map_err(|error| Exit::because("the recorded input has no JSON form", &error))
    }
}

/// Where a run takes place: in the world, or on a tape.
#[derive(Default)]
pub(super) struct Scene {
    tape: Option<Arc<Tape>>,
    clock: Option<Arc<dyn Clock>>,
}

impl Scene {
    /// In the world at one moment, and onto a tape.
    pub(super) async fn recorded(
        folder: &Path,
        settings: &Settings,
        input: &Payload,
    ) -> Result<Self, Exit> {
        let what = format!("cannot record into {}", folder.display());
        let tape = Tape::record(folder).await;
        let tape = tape.map_err(|error| unusable(&what, &error))?;
        let recording = Recording {
            version: VERSION,
            now: compose::clock().now(),
            input: input.read().map_err(|error| Exit::because(&what, &error))?,
            settings: settings.recorded(),
        };
        let text =
            serde_json::to_vec_pretty(&recording).map_err(|error| Exit::because(&what, &error))?;
        std::fs::write(folder.join(FILE), text).map_err(|error| Exit::because(&what, &error))?;
        Ok(Self {
            tape: Some(Arc::new(tape)),
            clock: Some(Arc::new(Still(recording.now))),
        })
    }

    /// On a tape, at the time it was recorded.
    pub(super) async fn played(folder: &Path, recording: &Recording) -> Result<Self, Exit> {
        let what = format!("the recording {} cannot be read", folder.display());
        let tape = Tape::play(folder).await;
        let tape = tape.map_err(|error| unusable(&what, &error))?;
        Ok(Self {
            tape: Some(Arc::new(tape)),
            clock: Some(Arc::new(Still(recording.now))),
        })
    }

    /// A worker there.
    pub(super) fn worker(
        &self,
        settings: &Settings,
        store: &Store,
        queues: Vec<QueueName>,
    ) -> Result<Worker, Exit> {
        let Some(tape) = &self.tape else {
            return compose::worker(settings, store, queues);
        };
        let deps = compose::taped(settings, store, tape)?;
        let mut handlers = compose::kinds().handlers(&deps);
        if let Some(clock) = &self.clock {
            handlers = handlers.at(clock);
        }
        Ok(compose::worker_with(settings, store, queues, handlers))
    }

    /// Whether the run is on a tape.
    pub(super) fn is_taped(&self) -> bool {
        self.tape.is_some()
    }

    /// What is wrong with the tape after the run.
    pub(super) fn troubled(&self) -> Option<Exit> {
        let trouble = self.tape.as_ref()?.troubled()?;
        Some(Exit::new(exit::ERROR, trouble))
    }

    /// Waits until the tape is not what it should be; in the world for ever.
    pub(super) async fn trouble(&self) -> Exit {
        match &self.tape {
            Some(tape) => Exit::new(exit::ERROR, tape.trouble().await),
            None => std::future::pending().await,
        }
    }
}

fn unusable(what: &str, error: &dyn std::error::Error) -> Exit {
    Exit::new(exit::USAGE, format!("{what}: {}", chain(error)))
}

/// A clock that stands still. A search asks for what is newer than some second,
/// so a run that is to be played word for word knows one moment only. Its
/// steps then take no time in the result, and no time off the job's deadline.
struct Still(Timestamp);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        self.0
    }
}
