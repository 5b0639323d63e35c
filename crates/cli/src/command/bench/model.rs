//! Jobs that wait for a language model: how many one worker holds at once.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use lovage_core::payload::Payload;
use lovage_pipeline::llm::OpenAi;
use lovage_workflow::{Context, Failure, Handler, Handlers};

use super::load::{self, Running, SMALL_BYTES};
use super::report::{Figure, Report};
use super::stand_in::{self, StandIn};
use super::store::{self, Store, failed};
use super::{Setup, say};
use crate::args::Section;
use crate::command::server::Server;
use crate::exit::Exit;

const KIND: &str = "bench.model";
/// Jobs that wait for the model at once.
const WAITERS: usize = 200;
/// How long the stand-in model thinks.
const THINKS: Duration = Duration::from_secs(1);

/// Asks the model once.
struct Ask(OpenAi);

#[async_trait]
impl Handler for Ask {
    async fn run(&self, context: Context) -> Result<Payload, Failure> {
        let answer = stand_in::ask(&self.0).await?;
        context.done(&answer)
    }
}

pub(super) async fn measure(setup: &Setup, report: &mut Report) -> Result<(), Exit> {
    say("model: sqlite");
    let sqlite = store::sqlite(&setup.folder, "model.db").await?;
    add("sqlite", waiting(sqlite).await?, report);
    if setup.redis.is_some() {
        say("model: redis");
        let server = Server::start(&setup.folder, &[]).await?;
        let redis = store::redis(&server.url()).await?;
        add("redis", waiting(redis).await?, report);
    }
    Ok(())
}

fn add(store: &str, seconds: f64, report: &mut Report) {
    let name = format!("{store}, {WAITERS} jobs that each wait 1 s for the model, one worker");
    report.add(Section::Model, Figure::new(name, seconds, "s"));
}

/// Seconds until all are done, with the limit of calls lifted.
async fn waiting(broker: Store) -> Result<f64, Exit> {
    let model = StandIn::start(THINKS).await?;
    let llm = model.client(WAITERS)?;
    let jobs = (0..WAITERS).map(|_| load::job(KIND, SMALL_BYTES)).collect();
    broker.enqueue(jobs, false).await.map_err(failed)?;
    let begun = Instant::now();
    let handlers = Handlers::new().with(KIND, Ask(llm));
    let running = Running::start(broker.clone(), handlers, WAITERS);
    load::succeeded(broker.as_ref(), WAITERS).await?;
    let elapsed = begun.elapsed();
    running.stop().await?;
    Ok(elapsed.as_secs_f64())
}
