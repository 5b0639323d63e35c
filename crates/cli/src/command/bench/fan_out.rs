//! Steps of one job side by side, and jobs at once: how close they come to the
//! time of the longest one.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lovage_core::broker::Broker;
use lovage_core::id::JobId;
use lovage_core::job::NewJob;
use lovage_core::limits;
use lovage_core::payload::Payload;
use lovage_core::status::Status;
use lovage_pipeline::llm::OpenAi;
use lovage_workflow::{Context, Failure, Handler, Handlers};

use super::load::{self, Running, SMALL_BYTES};
use super::report::{FanOutPoint, Figure, Report};
use super::spread::median;
use super::stand_in::{self, StandIn};
use super::store::{self, Store, failed};
use super::{Setup, say};
use crate::args::Section;
use crate::command::server::Server;
use crate::exit::{self, Exit};

/// Steps of a job.
const STEPS: [usize; 5] = [1, 2, 4, 8, 16];
const STEPS_MAX: usize = STEPS[STEPS.len() - 1];
/// How long the model thinks in a step.
const STEP: Duration = Duration::from_secs(2);
/// How long it thinks in each of three jobs at once, the slowest last.
const JOBS: [Duration; 3] = [
    Duration::from_millis(2_000),
    Duration::from_millis(2_200),
    Duration::from_millis(2_400),
];
/// What being side by side may cost, in percent.
const OVERHEAD_MAX: f64 = 1.0;

/// Asks the model once in each of its steps, `bound` at a time.
struct Ask {
    llm: Arc<OpenAi>,
    steps: usize,
    bound: usize,
}

#[async_trait]
impl Handler for Ask {
    async fn run(&self, context: Context) -> Result<Payload, Failure> {
        let places = (0..self.steps).collect();
        let answers = context
            .fan_out("ask", places, self.bound, |_| stand_in::ask(&self.llm))
            .await?;
        let answers: Vec<String> = answers.into_iter().collect::<Result<_, _>>()?;
        context.done(&answers)
    }
}

pub(super) async fn measure(setup: &Setup, report: &mut Report) -> Result<(), Exit> {
    say("fan-out: sqlite");
    let sqlite = store::sqlite(&setup.folder, "fan-out.db").await?;
    both("sqlite", &sqlite, setup.rounds, report).await?;
    if setup.redis.is_some() {
        say("fan-out: redis");
        let server = Server::start(&setup.folder, &[]).await?;
        let redis = store::redis(&server.url()).await?;
        both("redis", &redis, setup.rounds, report).await?;
    }
    Ok(())
}

async fn both(
    name: &'static str,
    broker: &Store,
    rounds: usize,
    report: &mut Report,
) -> Result<(), Exit> {
    steps(name, broker, rounds, report).await?;
    jobs(name, broker, rounds, report).await
}

/// Jobs of more and more steps, each alone on its worker; then all of them, step by step.
async fn steps(
    name: &'static str,
    broker: &Store,
    rounds: usize,
    report: &mut Report,
) -> Result<(), Exit> {
    let model = StandIn::start(STEP).await?;
    let llm = Arc::new(model.client(STEPS_MAX * STEPS.len())?);
    let handlers = |bound: fn(usize) -> usize| {
        STEPS.into_iter().fold(Handlers::new(), |handlers, steps| {
            let (llm, bound) = (Arc::clone(&llm), bound(steps));
            handlers.with(&kind(steps), Ask { llm, steps, bound })
        })
    };
    let running = Running::start(broker.clone(), handlers(|steps| steps), STEPS.len());
    let mut side_by_side = [const { Vec::new() }; STEPS.len()];
    for _ in 0..rounds {
        for (steps, seconds) in STEPS.into_iter().zip(&mut side_by_side) {
            seconds.push(together(broker.as_ref(), &[kind(steps)]).await?.1);
        }
    }
    running.stop().await?;
    let running = Running::start(broker.clone(), handlers(|_| 1), STEPS.len());
    let (one_by_one, _) = together(broker.as_ref(), &STEPS.map(kind)).await?;
    running.stop().await?;

    let [one, more @ ..] = &side_by_side;
    let points = STEPS.into_iter().zip(&side_by_side).zip(&one_by_one);
    let points = points.map(|((steps, side_by_side), one_by_one)| {
        FanOutPoint::new(name, steps, median(side_by_side), *one_by_one)
    });
    report.fan_out.extend(points);
    for (steps, seconds) in STEPS.into_iter().skip(1).zip(more) {
        let what = format!("{name}, {steps} steps of 2 s side by side, beyond one");
        add(what, &overheads(seconds, one), report);
    }
    Ok(())
}

/// Three jobs at once, in turn with the slowest alone.
async fn jobs(name: &str, broker: &Store, rounds: usize, report: &mut Report) -> Result<(), Exit> {
    let mut models = Vec::new();
    let mut handlers = Handlers::new();
    for (place, thinks) in JOBS.into_iter().enumerate() {
        let model = StandIn::start(thinks).await?;
        let llm = Arc::new(model.client(1)?);
        let ask = Ask {
            llm,
            steps: 1,
            bound: 1,
        };
        handlers = handlers.with(&kind(place), ask);
        models.push(model);
    }
    let running = Running::start(broker.clone(), handlers, JOBS.len());
    let (mut all, mut slowest) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        slowest.push(together(broker.as_ref(), &[kind(JOBS.len() - 1)]).await?.1);
        let kinds: Vec<String> = (0..JOBS.len()).map(kind).collect();
        all.push(together(broker.as_ref(), &kinds).await?.1);
    }
    running.stop().await?;
    let what = format!("{name}, jobs of 2.0, 2.2 and 2.4 s at once, beyond the slowest");
    add(what, &overheads(&all, &slowest), report);
    Ok(())
}

fn kind(number: usize) -> String {
    format!("bench.ask-{number}")
}

/// What each round took beyond what it is compared with, in percent.
fn overheads(seconds: &[f64], floor: &[f64]) -> Vec<f64> {
    let rounds = seconds.iter().zip(floor);
    rounds
        .map(|(taken, floor)| (taken / floor - 1.0) * 100.0)
        .collect()
}

fn add(what: String, overheads: &[f64], report: &mut Report) {
    let figure = Figure::new(what, median(overheads), "%").at_most(OVERHEAD_MAX);
    report.add(Section::FanOut, figure);
}

/// Enqueues a job of each kind at once. Gives the seconds from then to the end
/// of each, as the store knows them, and to the end of the last.
async fn together(broker: &dyn Broker, kinds: &[String]) -> Result<(Vec<f64>, f64), Exit> {
    let jobs: Vec<NewJob> = kinds
        .iter()
        .map(|kind| load::job(kind, SMALL_BYTES))
        .collect();
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    broker.enqueue(jobs, false).await.map_err(failed)?;
    let mut seconds = Vec::with_capacity(ids.len());
    for id in ids {
        seconds.push(lasted(broker, &id).await?);
    }
    let last = seconds.iter().copied().fold(0.0, f64::max);
    Ok((seconds, last))
}

/// Waits for the end of a job, and gives the seconds it took. It is listened to:
/// looking again and again would be a load of its own.
async fn lasted(broker: &dyn Broker, id: &JobId) -> Result<f64, Exit> {
    let gone = || Exit::new(exit::ERROR, format!("job {id} is gone"));
    let mut after = 0;
    loop {
        let page = broker.events(id, after, limits::EVENT_PAGE_MAX, limits::WAIT_MAX);
        let page = page.await.map_err(failed)?.ok_or_else(gone)?;
        after = page.events.last().map_or(after, |event| event.seq);
        if page.ended {
            break;
        }
    }
    let job = broker.get(id).await.map_err(failed)?.ok_or_else(gone)?;
    let times = job.finished_at.filter(|_| job.status == Status::Succeeded);
    let finished = times.ok_or_else(|| {
        let why = job.error.map_or_else(String::new, |error| error.message);
        Exit::new(exit::ERROR, format!("job {id} did not succeed: {why}"))
    })?;
    Ok(finished.duration_since(job.created_at).as_secs_f64())
}
