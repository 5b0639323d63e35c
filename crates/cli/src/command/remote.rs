//! Commands that are one call about a job: `status`, `wait`, `cancel`, `retry`, `signal`.

use std::time::Duration;

use lovage_client::wire::{JobState, JobView, SignalRequest};
use lovage_client::{Client, ClientError};

use super::document;
use crate::args::{Output, Server, Signal, Target, Wait};
use crate::exit::{self, Exit};
use crate::view::{out, table};

/// A caller of the server that was named.
pub(crate) fn client(server: &Server) -> Result<Client, Exit> {
    Client::new(&server.server, None).map_err(|error| Exit::new(exit::USAGE, error))
}

/// What the server said, as an exit: a request it cannot read is a usage error, the rest are failures.
pub(crate) fn refused(error: ClientError) -> Exit {
    match &error {
        ClientError::Problem(problem) if matches!(problem.status, 400 | 413 | 415 | 422) => {
            Exit::new(exit::USAGE, problem)
        }
        ClientError::Problem(problem) => Exit::new(exit::ERROR, problem),
        ClientError::Unreachable(_) => Exit::because("is the server at --server running?", &error),
        ClientError::Protocol(_) => Exit::because("the server was not understood", &error),
    }
}

fn show(job: &JobView, output: Output) -> Result<(), Exit> {
    match output {
        Output::Json => out::json(job),
        Output::Table => out::print(table::job(job)),
    }
}

pub(crate) async fn status(args: &Target) -> Result<(), Exit> {
    show(
        &client(&args.server)?.job(args.id).await.map_err(refused)?,
        args.output,
    )
}

pub(crate) async fn wait(args: &Wait) -> Result<(), Exit> {
    let target = &args.target;
    let timeout = Duration::from_secs(args.timeout);
    let job = client(&target.server)?
        .wait(target.id, timeout)
        .await
        .map_err(refused)?;
    show(&job, target.output)?;
    ended(&job, args.timeout)
}

/// The exit of a command that waited for a job.
pub(crate) fn ended(job: &JobView, timeout_s: u64) -> Result<(), Exit> {
    match job.state {
        JobState::Succeeded => Ok(()),
        JobState::Failed | JobState::Cancelled => Err(Exit::silent(exit::JOB_FAILED)),
        state => Err(Exit::new(
            exit::TIMED_OUT,
            format!("still {} after {timeout_s} s", state.as_str()),
        )),
    }
}

pub(crate) async fn cancel(args: &Target) -> Result<(), Exit> {
    show(
        &client(&args.server)?
            .cancel(args.id)
            .await
            .map_err(refused)?,
        args.output,
    )
}

pub(crate) async fn retry(args: &Target) -> Result<(), Exit> {
    show(
        &client(&args.server)?
            .retry(args.id)
            .await
            .map_err(refused)?,
        args.output,
    )
}

pub(crate) async fn signal(args: &Signal) -> Result<(), Exit> {
    let client = client(&args.server)?;
    let signal = SignalRequest {
        name: args.name.clone(),
        data: document::read("value", &args.data)?,
    };
    let job = client.signal(args.id, &signal).await.map_err(refused)?;
    show(&job, args.output)
}
