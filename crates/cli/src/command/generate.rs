//! `lovage generate`: one script, here and now, through the real queue on the embedded store.

use std::path::PathBuf;
use std::sync::Arc;

use lovage_api::{Chosen, Render, choose, show};
use lovage_core::broker::{Broker, Enqueued, RedriveReply};
use lovage_core::error::BrokerError;
use lovage_core::id::JobId;
use lovage_core::job::{Job, NewJob};
use lovage_core::limits;
use lovage_core::payload::Payload;
use lovage_core::status::Status;
use lovage_pipeline::script::types::{ResultStatus, ScriptResult};
use lovage_pipeline::script::{self, request};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::api::stopped;
use super::recording::{Recording, Scene};
use super::{given, worker};
use crate::args::Generate;
use crate::compose::{self, KindRender, Store};
use crate::config::Settings;
use crate::exit::{self, Exit};
use crate::view::steps::Steps;
use crate::view::{note, out, table};

/// Jobs of this command wait apart from those of a server on the same store.
const QUEUE: &str = "generate";

pub(crate) async fn run(args: &Generate, file: &Option<PathBuf>) -> Result<(), Exit> {
    let recording = args.replay.as_deref().map(Recording::read).transpose()?;
    let recorded = recording
        .as_ref()
        .map(|recording| recording.settings.clone());
    let flags = given([("store.data", args.data.clone().map(Into::into))]);
    let settings = super::settings(file, flags, recorded)?;
    crate::telemetry::init_quiet(&settings.log);
    let renderer: Arc<dyn Render> = Arc::new(KindRender(compose::kinds()));
    let formats = renderer.formats(script::KIND);
    let chosen = choose(&formats, &args.output, &args.graph.given())
        .map_err(|unshown| Exit::new(exit::USAGE, unshown.to_string()))?;
    let input = match (args.topic.as_deref(), &recording) {
        (Some(topic), _) => Some(input(args, topic)?),
        (None, recording) => recording.as_ref().map(Recording::input).transpose()?,
    };
    if let Some(input) = input.as_ref().filter(|_| args.dry_run) {
        return estimate(args, &settings, input);
    }
    let scene = scene(args, &settings, recording.as_ref(), input.as_ref()).await?;
    let store = compose::embedded(&settings).await?;
    let broker = store.broker.as_ref();
    let id = match (args.resume, input) {
        (Some(id), _) => resume(broker, &settings, id.into()).await?,
        (None, Some(input)) => enqueue(broker, &settings, input).await?,
        (None, None) => return Err(Exit::new(exit::USAGE, "expected a topic, or --resume ID")),
    };
    let job = run_job(&settings, &store, id, &scene)
        .await
        .map_err(|exit| match scene.is_taped() {
            true => exit,
            false => exit.with_hint(&resume_hint(id)),
        })?;
    print(&job, &renderer, &chosen).await
}

/// Runs a worker on the job's queue until the job is final.
async fn run_job(
    settings: &Settings,
    store: &Store,
    id: JobId,
    scene: &Scene,
) -> Result<Job, Exit> {
    let broker = store.broker.as_ref();
    let queue = get(broker, id).await?.asked.queue;
    let worker = scene.worker(settings, store, vec![queue])?;
    let stop = CancellationToken::new();
    let mut working = tokio::spawn(worker.run(stop.clone().cancelled_owned()));
    let followed = tokio::select! {
        job = follow(broker, id) => job,
        told = stopped() => interrupt(broker, settings, id, told).await,
        trouble = scene.trouble() => {
            let ended = interrupt(broker, settings, id, Ok(())).await;
            Err(ended.err().filter(|exit| exit.code != exit::INTERRUPTED).unwrap_or(trouble))
        }
        ended = &mut working => {
            worker::ended(ended)?;
            return Err(Exit::new(exit::ERROR, "the worker ended before the job"));
        }
    };
    stop.cancel();
    worker::ended(working.await)?;
    let job = followed?;
    scene.troubled().map_or(Ok(job), Err)
}

/// Where the run takes place, as the arguments say.
async fn scene(
    args: &Generate,
    settings: &Settings,
    recording: Option<&Recording>,
    input: Option<&Payload>,
) -> Result<Scene, Exit> {
    match (&args.record, &args.replay, recording, input) {
        (Some(folder), _, _, Some(input)) => Scene::recorded(folder, settings, input).await,
        (_, Some(folder), Some(recording), _) => Scene::played(folder, recording).await,
        _ => Ok(Scene::default()),
    }
}

/// Cancels the job, so that no later run takes it up unasked; its checkpoints stay.
async fn interrupt(
    broker: &dyn Broker,
    settings: &Settings,
    id: JobId,
    told: Result<(), Exit>,
) -> Result<Job, Exit> {
    told?;
    broker.cancel(&id).await.map_err(store)?;
    // A step that does not stop is cancelled over its head after a lease.
    let wait = settings.store.lease_s + 2 * limits::SWEEP;
    broker.events(&id, u64::MAX, 1, wait).await.map_err(store)?;
    Err(Exit::new(exit::INTERRUPTED, "interrupted"))
}

fn resume_hint(id: JobId) -> String {
    format!("go on with: lovage generate --resume {id}")
}

fn store(error: BrokerError) -> Exit {
    Exit::because("the store failed", &error)
}

fn input(args: &Generate, topic: &str) -> Result<Payload, Exit> {
    let wishes = &args.wishes;
    let mut input = json!({
        "topic": topic, "type": args.script_type.as_str(), "language": args.lang.as_str(),
        "length": { "seconds": wishes.seconds, "words": wishes.words },
        "tone": wishes.tone, "audience": wishes.audience,
        "budget": {
            "max_tokens": wishes.max_tokens, "max_cost_usd": wishes.max_cost,
            "deadline_s": wishes.deadline,
        },
    });
    if let Some(since) = &wishes.since {
        input["since"] = json!(since);
    }
    let request = request::parse(&input).map_err(|wrong| {
        let wrong: Vec<_> = wrong
            .iter()
            .map(|one| format!("{}: {}", one.pointer.trim_start_matches('/'), one.message))
            .collect();
        Exit::new(exit::USAGE, wrong.join("; "))
    })?;
    Payload::of(&request).map_err(|error| Exit::because("the request has no JSON form", &error))
}

/// Prints what a script will probably use, without a store.
fn estimate(args: &Generate, settings: &Settings, input: &Payload) -> Result<(), Exit> {
    let kinds = compose::kinds().priced(settings.llm.prices);
    let entry = kinds.get(script::KIND).expect("the kind is a standard one");
    let of = entry
        .spec
        .estimate
        .as_ref()
        .expect("the kind has an estimate");
    let input = input
        .read()
        .map_err(|error| Exit::because("the request has no JSON form", &error))?;
    let view = lovage_api::estimate_view(script::KIND.to_owned(), of(&input));
    if args.output == "json" {
        out::json(&view)
    } else {
        out::print(table::estimate(&view))
    }
}

/// The same checks and defaults as over HTTP, in a queue of its own.
async fn enqueue(broker: &dyn Broker, settings: &Settings, input: Payload) -> Result<JobId, Exit> {
    let id = JobId::at(compose::clock().now());
    let job = NewJob {
        queue: QUEUE.parse().expect("the name is valid"),
        keep: settings.store.keep_result_s,
        keep_dead: settings.store.keep_failed_s,
        ..script::spec().job(id, input)
    };
    match broker
        .enqueue(vec![job], false)
        .await
        .map_err(store)?
        .first()
    {
        Some(Enqueued::Accepted(_)) => Ok(id),
        _ => Err(Exit::new(exit::ERROR, "the store refused the job")),
    }
}

/// Makes an interrupted job runnable again; one that is over is only shown.
async fn resume(broker: &dyn Broker, settings: &Settings, id: JobId) -> Result<JobId, Exit> {
    match broker.redrive(&id).await.map_err(store)? {
        RedriveReply::Queued => Ok(id),
        RedriveReply::Refused(Status::Running) => {
            note::say(format_args!(
                "job {id} is held by a process that may have died; it goes on within {} s",
                (settings.store.lease_s + limits::SWEEP).as_secs()
            ));
            Ok(id)
        }
        RedriveReply::Refused(_) => Ok(id),
        RedriveReply::Duplicate(other) => Err(Exit::new(
            exit::ERROR,
            format!("job {other} runs in its place"),
        )),
        RedriveReply::NotFound => {
            let hint =
                "the id is printed when a run is interrupted; is this the same --data folder?";
            Err(Exit::new(
                exit::USAGE,
                format!("no job {id} in this store; {hint}"),
            ))
        }
    }
}

/// Shows the job's steps until it is final.
async fn follow(broker: &dyn Broker, id: JobId) -> Result<Job, Exit> {
    let steps = Steps::new();
    steps.say(&format!("  job {id}"));
    let mut after = 0;
    loop {
        let page = broker
            .events(&id, after, limits::EVENT_PAGE_MAX, limits::WAIT_MAX)
            .await
            .map_err(store)?;
        let page = page.ok_or_else(|| Exit::new(exit::ERROR, format!("job {id} is gone")))?;
        for event in &page.events {
            steps.event(&event.kind, event.step.as_deref(), event.data.as_str());
            after = event.seq;
        }
        if page.ended {
            return get(broker, id).await;
        }
    }
}

async fn get(broker: &dyn Broker, id: JobId) -> Result<Job, Exit> {
    broker
        .get(&id)
        .await
        .map_err(store)?
        .ok_or_else(|| Exit::new(exit::ERROR, format!("job {id} is gone")))
}

async fn print(job: &Job, renderer: &Arc<dyn Render>, chosen: &Chosen) -> Result<(), Exit> {
    let Some(payload) = &job.result else {
        let error = job
            .error
            .as_ref()
            .map_or_else(|| job.status.to_string(), |error| error.message.clone());
        return Err(Exit::new(
            exit::JOB_FAILED,
            format!("{error}; {}", resume_hint(job.id)),
        ));
    };
    let result: ScriptResult = payload
        .read()
        .map_err(|error| Exit::because("the result cannot be read", &error))?;
    for warning in &result.warnings {
        note::say(format_args!("{}: {}", warning.code, warning.detail));
    }
    if chosen.is_json() {
        out::json(&result)?; // with its lines broken, for a person
    } else {
        let shown = show(renderer, script::KIND, payload, chosen).await;
        let shown = shown.map_err(|unshown| Exit::new(exit::ERROR, unshown.to_string()))?;
        out::print(shown.body)?;
    }
    match result.status {
        ResultStatus::Ok | ResultStatus::Degraded => Ok(()),
        ResultStatus::InsufficientSources => Err(insufficient(&result)),
    }
}

fn insufficient(result: &ScriptResult) -> Exit {
    let topics: Vec<_> = result
        .suggestions
        .iter()
        .map(|topic| format!("\n  lovage generate {topic:?}"))
        .collect();
    let hint = if topics.is_empty() {
        String::new()
    } else {
        format!("; these topics can be tried:{}", topics.concat())
    };
    Exit::new(
        exit::JOB_FAILED,
        format!("the sources do not cover this topic: nothing was written{hint}"),
    )
}
