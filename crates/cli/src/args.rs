//! The command line.

pub(crate) mod cache;
pub(crate) mod celery;
pub(crate) mod limit;
pub(crate) mod queue;
pub(crate) mod sources;

use std::num::{IntErrorKind, ParseIntError};
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use uuid::Uuid;

use self::cache::CacheAction;
use self::celery::CeleryAction;
use self::limit::LimitAction;
use self::queue::{DeadAction, QueueAction};
use self::sources::SourcesAction;

/// A job queue and worker system for long, costly LLM jobs.
#[derive(Debug, Parser)]
#[command(name = "lovage", version, propagate_version = true, after_help = EXITS)]
pub(crate) struct Cli {
    /// Settings file; without it ./lovage.toml, if there is one.
    #[arg(long, global = true, value_name = "FILE", env = "LOVAGE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXITS: &str = "Exit codes: 0 ok, 1 error, 2 usage, 3 job failed (generate: or its sources were insufficient), 4 timed out, 130 interrupted";

/// Every command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write one script here and now, on the embedded store: no server, no key.
    Generate(Generate),
    /// Serve API, worker and store in one process.
    Up(Up),
    /// Serve the API.
    Api(Api),
    /// Run jobs.
    Worker(Worker),
    /// Enqueue a job at a server; prints its id.
    Enqueue(Enqueue),
    /// Show a job.
    Status(Target),
    /// Wait until a job is over, then show it.
    Wait(Wait),
    /// Print a job's result.
    Result(ResultOf),
    /// Follow a job's events.
    Watch(Watch),
    /// List jobs.
    List(List),
    /// Cancel a job.
    Cancel(Target),
    /// Run a failed or cancelled job again from its last checkpoint.
    Retry(Target),
    /// Give a job a value that it waits for, now or later.
    Signal(Signal),
    /// List the kinds of jobs, each with an input to begin from.
    Kinds(Kinds),
    /// Show queues, pause and limit them.
    Queue {
        /// What to do with them.
        #[command(subcommand)]
        action: QueueAction,
    },
    /// Show and set what accounts with providers may use, for all workers.
    Limit {
        /// What to do with them.
        #[command(subcommand)]
        action: LimitAction,
    },
    /// Show jobs that failed, run them again.
    Dead {
        /// What to do with them.
        #[command(subcommand)]
        action: DeadAction,
    },
    /// Try the news sources.
    Sources {
        /// What to do with them.
        #[command(subcommand)]
        action: SourcesAction,
    },
    /// Show what jobs share.
    Cache {
        /// What to do with it.
        #[command(subcommand)]
        action: CacheAction,
    },
    /// Look at Celery, whose producers' tasks a worker runs too.
    Celery {
        /// What to do with it.
        #[command(subcommand)]
        action: CeleryAction,
    },
    /// Measure this machine: the queue, and the Redis floor in the same run.
    Bench(Bench),
    /// A process of `bench`.
    #[command(hide = true)]
    BenchPart(BenchPart),
    /// Break workers and Redis at random, and check that nothing is lost or done twice.
    Chaos(Chaos),
    /// Check or show the settings.
    Config {
        /// What to do with them.
        #[command(subcommand)]
        action: ConfigAction,
    },
    /// Print completions for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// What a script is to be like, and what it may cost.
#[derive(Debug, Args)]
#[group(requires = "topic")]
pub(crate) struct Wishes {
    /// Seconds it takes to read aloud.
    #[arg(long, value_name = "SECONDS", conflicts_with = "words", allow_negative_numbers = true, value_parser = whole::<u32>)]
    pub(crate) seconds: Option<u32>,
    /// Words.
    #[arg(long, value_name = "WORDS", allow_negative_numbers = true, value_parser = whole::<u32>)]
    pub(crate) words: Option<u32>,
    /// Tone, such as neutral or lively.
    #[arg(long)]
    pub(crate) tone: Option<String>,
    /// Who is spoken to.
    #[arg(long)]
    pub(crate) audience: Option<String>,
    /// Oldest news wanted, such as 7d or 36h.
    #[arg(long, value_name = "AGE")]
    pub(crate) since: Option<String>,
    /// Most tokens; at the limit it ends with what it has.
    #[arg(long, value_name = "TOKENS", allow_negative_numbers = true, value_parser = whole::<u64>)]
    pub(crate) max_tokens: Option<u64>,
    /// Most US dollars; needs llm.price_in and llm.price_out.
    #[arg(long, value_name = "USD", allow_negative_numbers = true, value_parser = dollars)]
    pub(crate) max_cost: Option<f64>,
    /// Most seconds of work.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = whole::<u64>)]
    pub(crate) deadline: Option<u64>,
}

/// Arguments of `generate`.
#[derive(Debug, Args)]
pub(crate) struct Generate {
    /// What the script is about, 1 to 500 characters.
    #[arg(required_unless_present_any = ["resume", "replay"], value_name = "TOPIC")]
    pub(crate) topic: Option<String>,
    /// Kind of text.
    #[arg(
        long = "type",
        value_enum,
        default_value = "youtube",
        requires = "topic"
    )]
    pub(crate) script_type: ScriptType,
    /// Language; auto is the topic's.
    #[arg(long, value_enum, default_value = "auto", requires = "topic")]
    pub(crate) lang: Lang,
    #[command(flatten)]
    pub(crate) wishes: Wishes,
    /// Print what the script will probably use of a model; write nothing.
    #[arg(long, conflicts_with = "resume")]
    pub(crate) dry_run: bool,
    /// Format of the script on stdout.
    #[arg(short, long, visible_alias = "format", value_name = "FORMAT", value_parser = script_formats(), default_value = "markdown")]
    pub(crate) output: String,
    #[command(flatten)]
    pub(crate) graph: GraphOptions,
    /// Folder of the embedded store.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<String>,
    /// Go on with an interrupted job from its last checkpoint.
    #[arg(long, value_name = "ID", conflicts_with_all = ["topic", "script_type", "lang", "Wishes"])]
    pub(crate) resume: Option<Uuid>,
    /// Write every call and page of this run into an empty folder.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["resume", "replay", "dry_run"])]
    pub(crate) record: Option<PathBuf>,
    /// Run a recorded run again, without network; another topic is asked in vain.
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    pub(crate) replay: Option<PathBuf>,
}

/// Arguments of `up`.
#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Address to listen on.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) listen: Option<String>,
    /// Folder of the embedded store.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<String>,
}

/// Arguments of `api`.
#[derive(Debug, Args)]
pub(crate) struct Api {
    /// Address to listen on.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) listen: Option<String>,
}

/// Arguments of `worker`.
#[derive(Debug, Args)]
pub(crate) struct Worker {
    /// Jobs held at once.
    #[arg(long, value_name = "N")]
    pub(crate) concurrency: Option<u32>,
    /// Queue to take jobs from; may be given more than once.
    #[arg(long = "queue", value_name = "NAME")]
    pub(crate) queues: Vec<String>,
    /// Celery's broker, whose producers' tasks are run too; `[celery]` in the settings says which.
    #[arg(long, value_name = "URL")]
    pub(crate) celery: Option<String>,
}

/// Which server to talk to.
#[derive(Debug, Args)]
pub(crate) struct Server {
    /// Address of the API.
    #[arg(
        long,
        value_name = "URL",
        env = "LOVAGE_URL",
        default_value = "http://127.0.0.1:8080"
    )]
    pub(crate) server: String,
}

/// How to print what a server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Arguments of commands about one job.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// The job's id.
    pub(crate) id: Uuid,
    /// How to print it.
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) server: Server,
}

/// Arguments of `enqueue`.
#[derive(Debug, Args)]
pub(crate) struct Enqueue {
    /// What to do, such as script.generate.
    pub(crate) kind: String,
    /// The job's input: a JSON document, @FILE, or - for stdin.
    pub(crate) input: String,
    /// Queue to wait in.
    #[arg(long)]
    pub(crate) queue: Option<String>,
    /// 0 to 9, 9 first.
    #[arg(long, allow_negative_numbers = true, value_parser = whole::<u8>)]
    pub(crate) priority: Option<u8>,
    /// Seconds before it may start.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = whole::<u64>)]
    pub(crate) delay: Option<u64>,
    /// Attempts before it has failed.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u32>)]
    pub(crate) attempts: Option<u32>,
    /// Seconds one attempt may take.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = whole::<u64>)]
    pub(crate) timeout: Option<u64>,
    /// Conversation it belongs to.
    #[arg(long)]
    pub(crate) session: Option<String>,
    /// Label to find it by; may be given more than once.
    #[arg(long = "tag")]
    pub(crate) tags: Vec<String>,
    /// The same key and job gives the same job again instead of a second one.
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
    /// Check the job and print what it will probably use of a model; enqueue nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How to print the job.
    #[arg(short, long, value_enum)]
    pub(crate) output: Option<Output>,
    #[command(flatten)]
    pub(crate) server: Server,
}

/// Arguments of `wait`.
#[derive(Debug, Args)]
pub(crate) struct Wait {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Seconds to wait at most.
    #[arg(long, default_value_t = 600)]
    pub(crate) timeout: u64,
}

/// Arguments of `result`.
#[derive(Debug, Args)]
pub(crate) struct ResultOf {
    /// The job's id.
    pub(crate) id: Uuid,
    /// Format of the result: json, all, or one that its kind has.
    #[arg(
        short,
        long,
        visible_alias = "format",
        value_name = "FORMAT",
        default_value = "json"
    )]
    pub(crate) output: String,
    #[command(flatten)]
    pub(crate) graph: GraphOptions,
    #[command(flatten)]
    pub(crate) server: Server,
}

/// How a graph is shown.
#[derive(Debug, Args)]
pub(crate) struct GraphOptions {
    /// With graph or all: the viewer it is shaped for, canonical, reactflow, cytoscape or d3.
    #[arg(long = "for", value_name = "VIEWER")]
    pub(crate) viewer: Option<String>,
    /// With graph or all: a node for each line, too.
    #[arg(long)]
    pub(crate) lines: bool,
}

impl GraphOptions {
    /// Those that were given, as the API names them.
    pub(crate) fn given(&self) -> Vec<(String, String)> {
        let viewer = self.viewer.clone().map(|viewer| ("for".to_owned(), viewer));
        let lines = self.lines.then(|| ("lines".to_owned(), "true".to_owned()));
        viewer.into_iter().chain(lines).collect()
    }
}

/// The formats of a script.
fn script_formats() -> PossibleValuesParser {
    let own = lovage_pipeline::render::script();
    let own = own.iter().map(|rendering| rendering.format);
    PossibleValuesParser::new(own.chain(["json", "all"]))
}

/// Arguments of `watch`.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// The job's id.
    pub(crate) id: Uuid,
    /// Begin after this event.
    #[arg(long, default_value_t = 0, value_name = "SEQ")]
    pub(crate) after: u64,
    /// How to print the events.
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) server: Server,
}

/// Arguments of `list`.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only jobs in this state; may be given more than once.
    #[arg(long = "state")]
    pub(crate) states: Vec<String>,
    /// Only this queue.
    #[arg(long)]
    pub(crate) queue: Option<String>,
    /// Only this kind.
    #[arg(long)]
    pub(crate) kind: Option<String>,
    /// Only this session.
    #[arg(long)]
    pub(crate) session: Option<String>,
    /// Only with this tag.
    #[arg(long)]
    pub(crate) tag: Option<String>,
    /// Jobs to print at most.
    #[arg(long, default_value_t = 50, value_parser = one_or_more)]
    pub(crate) limit: usize,
    /// How to print them.
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) server: Server,
}

/// Arguments of `kinds`.
#[derive(Debug, Args)]
pub(crate) struct Kinds {
    /// How to print them.
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

/// Arguments of `signal`.
#[derive(Debug, Args)]
pub(crate) struct Signal {
    /// The job's id.
    pub(crate) id: Uuid,
    /// The name it waits for.
    pub(crate) name: String,
    /// The value: a JSON document, @FILE, or - for stdin.
    #[arg(default_value = "null", value_name = "JSON")]
    pub(crate) data: String,
    /// How to print the job.
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) server: Server,
}

/// Arguments of `bench`.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Measure everything: minutes, and gigabytes of memory, instead of a quick look.
    #[arg(long)]
    pub(crate) all: bool,
    /// Measure these sections only.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        value_name = "SECTION,...",
        conflicts_with = "all"
    )]
    pub(crate) only: Vec<Section>,
    /// Jobs per measurement of throughput [default: 20000, with --all 200000].
    #[arg(long, value_parser = one_or_more)]
    pub(crate) jobs: Option<usize>,
    /// Times a figure is measured in turn with its floor [default: 1, with --all 3].
    #[arg(long, value_parser = one_or_more)]
    pub(crate) rounds: Option<usize>,
    /// Jobs of the large backlog.
    #[arg(long, default_value_t = 1_000_000, value_parser = one_or_more)]
    pub(crate) backlog: usize,
    /// Write the figures into this Markdown page, too, and a picture beside it.
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
    /// How to print the figures.
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

/// Arguments of `bench-part`.
#[derive(Debug, Args)]
pub(crate) struct BenchPart {
    /// The server to work with.
    #[arg(long)]
    pub(crate) url: String,
    /// What to be.
    #[command(subcommand)]
    pub(crate) role: PartRole,
}

/// What a process of a measurement is.
#[derive(Debug, Subcommand)]
pub(crate) enum PartRole {
    /// Runs jobs.
    Worker {
        /// Jobs held at once.
        #[arg(long)]
        slots: usize,
    },
    /// Serves HTTP.
    Api,
}

/// One part of `bench`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Section {
    /// What Redis itself does here.
    Floor,
    /// Jobs through worker processes.
    Drain,
    /// The drain with an append-only file.
    Durability,
    /// Jobs into the store, over HTTP too.
    Enqueue,
    /// Batch size against latency.
    Curve,
    /// One job at a time, and a worker without any.
    Idle,
    /// Memory of Redis per job, and of a worker with many.
    Memory,
    /// Cost with a small and with a large backlog.
    Backlog,
    /// Renewing many leases.
    Leases,
    /// Many jobs due, or to be forgotten, at once.
    Due,
    /// Jobs that wait for a language model.
    Model,
    /// Images of a slow server, some at a time.
    Images,
    /// Steps side by side, and requests at once.
    FanOut,
}

impl Section {
    /// In the order they are measured.
    pub(crate) const ALL: [Self; 13] = [
        Self::Floor,
        Self::Drain,
        Self::Durability,
        Self::Enqueue,
        Self::Curve,
        Self::Idle,
        Self::Memory,
        Self::Backlog,
        Self::Leases,
        Self::Due,
        Self::Model,
        Self::Images,
        Self::FanOut,
    ];

    /// Whether a quick look includes it.
    pub(crate) fn is_quick(self) -> bool {
        matches!(
            self,
            Self::Floor | Self::Drain | Self::Enqueue | Self::Idle | Self::Model
        )
    }

    /// Its heading.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Floor => "Floor: what Redis itself does",
            Self::Drain => "Drain: jobs through worker processes, results stored",
            Self::Durability => "Durability: the drain with an append-only file",
            Self::Enqueue => "Enqueue",
            Self::Curve => "Curve: batch size against latency",
            Self::Idle => "Idle: one job at a time, and a worker without any",
            Self::Memory => "Memory",
            Self::Backlog => "Backlog: cost against what waits",
            Self::Leases => "Leases: renewing many",
            Self::Due => "Due: many jobs at once",
            Self::Model => "Model: jobs that wait",
            Self::Images => "Images: ten of a slow server, some at a time",
            Self::FanOut => "Fan-out: steps side by side, and jobs at once",
        }
    }
}

/// Arguments of `chaos`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = CHAOS)]
pub(crate) struct Chaos {
    #[command(subcommand)]
    pub(crate) role: Option<ChaosRole>,
    /// Minutes of disturbances, shared by the ways to write to disk; fractions are fine.
    #[arg(long, default_value = "1", value_name = "N", value_parser = minutes)]
    pub(crate) minutes: f64,
    /// When Redis writes its append-only file to disk.
    #[arg(long, value_enum, default_value = "both")]
    pub(crate) fsync: Fsync,
    /// Worker processes at a time.
    #[arg(long, default_value_t = 4, value_parser = one_or_more)]
    pub(crate) workers: usize,
    /// Jobs enqueued per second.
    #[arg(long, default_value_t = 20, value_parser = one_or_more)]
    pub(crate) rate: usize,
    /// Replicas that must have a write before it is acknowledged: 0 or 1.
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u32).range(..=1))]
    pub(crate) wait_replicas: u32,
    /// Draws the same disturbances again; without it one is drawn, and printed.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Keep the ledger of calls, the workers' logs and Redis's files in this folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
    /// How to print the figures.
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

const CHAOS: &str = "Needs redis-server and redis-cli, and starts its own. Exits with 1 when a job was lost, finished \
twice, or ran a step again without a reason; what Redis may lose by its own promise is counted apart. docs/chaos.md says more";

/// What a process of `chaos` is, other than the one that breaks things.
#[derive(Debug, Subcommand)]
pub(crate) enum ChaosRole {
    /// One of the workers.
    #[command(hide = true)]
    Worker(ChaosWorker),
}

/// Arguments of a worker of `chaos`.
#[derive(Debug, Args)]
pub(crate) struct ChaosWorker {
    /// The store.
    #[arg(long)]
    pub(crate) store: String,
    /// Replicas that must have a write before it is acknowledged.
    #[arg(long)]
    pub(crate) wait_replicas: u32,
    /// The file of calls.
    #[arg(long)]
    pub(crate) ledger: PathBuf,
    /// Its name in the ledger.
    #[arg(long)]
    pub(crate) name: String,
}

fn minutes(text: &str) -> Result<f64, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number| (0.01..=10_000.0).contains(number));
    number.ok_or_else(|| "expected a number of minutes, 0.01 to 10000".to_owned())
}

/// A number of a type that has no sign.
fn whole<T: FromStr<Err = ParseIntError>>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|error: ParseIntError| match error.kind() {
            IntErrorKind::PosOverflow => "the number is too large".to_owned(),
            _ => "expected a whole number from 0 up".to_owned(),
        })
}

fn dollars(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| "expected US dollars, such as 0.5".to_owned())
}

fn one_or_more(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "expected a whole number of at least 1".to_owned())
}

/// Arguments of `config`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigAction {
    /// Say whether the settings are good.
    Check,
    /// Print the settings in force, secrets masked.
    Show,
}

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
        pub(crate) enum $name { $($(#[$variant_doc])* $variant),+ }

        impl $name {
            /// The name used everywhere.
            pub(crate) fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}

named!(
    /// When Redis writes its append-only file to disk.
    Fsync {
        /// Once a second.
        Everysec = "everysec",
        /// Before each answer.
        Always = "always",
        /// First one, then the other.
        Both = "both",
    }
);
named!(
    /// Kind of text.
    ScriptType {
        /// A narrated video of about five minutes.
        Youtube = "youtube",
        /// A short news piece.
        News = "news",
        /// A clip of under a minute.
        Short = "short",
        /// A blog post.
        Blog = "blog",
        /// A longer report.
        Report = "report",
    }
);
named!(
    /// Language of the text.
    Lang {
        /// The topic's.
        Auto = "auto",
        /// Korean.
        Ko = "ko",
        /// English.
        En = "en",
    }
);
