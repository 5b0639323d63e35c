//! What an operator says about the Celery side.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// How to reach Celery's broker and what its tasks are here.
#[derive(Debug, Clone)]
pub struct CeleryConfig {
    /// Celery's `broker_url`, with its database number.
    pub broker_url: String,
    /// Celery's `result_backend`; the broker's when the same.
    pub result_backend: String,
    /// Whom to trust and who we are, where an address asks for TLS (`rediss`).
    pub tls: Tls,
    /// Queues whose messages are taken, the default queue of follow-up tasks first.
    pub queues: Vec<String>,
    /// Tasks by their Celery name.
    pub tasks: BTreeMap<String, Mapping>,
    /// Name of this worker to `celery inspect`, `name@host`.
    pub name: String,
    /// Jobs this process runs at once; what `inspect stats` shows.
    pub concurrency: usize,
    /// Celery's `result_expires`; zero keeps results for ever.
    pub result_expires: Duration,
    /// Celery's `result_extended`: names and arguments in results.
    pub result_extended: bool,
    /// Celery's `task_track_started`: the state STARTED is written.
    pub track_started: bool,
    /// Celery's `worker_send_task_events`, until someone switches it.
    pub task_events: bool,
    /// Celery's `broker_transport_options["visibility_timeout"]`: after that long,
    /// messages that a dead Celery worker took are given back.
    pub visibility_timeout: Duration,
    /// `broker_transport_options["global_keyprefix"]`.
    pub key_prefix: String,
    /// `result_backend_transport_options["global_keyprefix"]`.
    pub result_prefix: String,
    /// `broker_transport_options["sep"]`.
    pub priority_sep: String,
    /// `broker_transport_options["priority_steps"]`, in order.
    pub priority_steps: Vec<u8>,
    /// Tasks of this process that are taken and not over; more stay in Celery's list.
    pub open_max: usize,
}

impl CeleryConfig {
    /// Celery's defaults on one Redis, for the queue `celery` and no task.
    pub fn new(broker_url: impl Into<String>) -> Self {
        let broker_url = broker_url.into();
        Self {
            result_backend: broker_url.clone(),
            broker_url,
            tls: Tls::default(),
            queues: vec!["celery".to_owned()],
            tasks: BTreeMap::new(),
            name: "lovage@localhost".to_owned(),
            concurrency: 1,
            result_expires: Duration::from_secs(86_400),
            result_extended: false,
            track_started: false,
            task_events: false,
            visibility_timeout: Duration::from_secs(3_600),
            key_prefix: String::new(),
            result_prefix: String::new(),
            priority_sep: "\u{6}\u{16}".to_owned(),
            priority_steps: vec![0, 3, 6, 9],
            open_max: 1_000,
        }
    }
}

/// Files in PEM form, read when a bridge starts.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// The authorities that may have signed the server's certificate; without
    /// it those that the system trusts.
    pub ca: Option<PathBuf>,
    /// Our certificate and its key, for servers that ask for one.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// What a Celery task is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The kind of job.
    pub kind: String,
    /// How its arguments become the kind's input.
    pub shape: Shape,
}

/// How the arguments of a task become an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// An object of the keyword arguments, and of the positional ones under these
    /// names in this order. A single object as only argument is the input itself.
    Named(Vec<String>),
    /// `{"args": [..], "kwargs": {..}}` as they came.
    Call,
}
