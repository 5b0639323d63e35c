//! `lovage queue`.

use lovage_client::wire::{LimitsRequest, QueueView};

use super::remote::{client, refused};
use crate::args::Output;
use crate::args::queue::{QueueLimit, QueueList, QueueTarget};
use crate::exit::Exit;
use crate::view::{out, table};

pub(crate) async fn list(args: &QueueList) -> Result<(), Exit> {
    let list = client(&args.server)?.queues().await.map_err(refused)?;
    match args.output {
        Output::Json => out::json(&list.queues),
        Output::Table => out::print(table::queues(&list.queues)),
    }
}

pub(crate) async fn pause(args: &QueueTarget) -> Result<(), Exit> {
    let paused = client(&args.server)?.pause(&args.queue).await;
    show(&paused.map_err(refused)?, args.output)
}

pub(crate) async fn resume(args: &QueueTarget) -> Result<(), Exit> {
    let resumed = client(&args.server)?.resume(&args.queue).await;
    show(&resumed.map_err(refused)?, args.output)
}

pub(crate) async fn limit(args: &QueueLimit) -> Result<(), Exit> {
    let target = &args.target;
    let mut limits = LimitsRequest {
        length: args.length,
        concurrency: args.concurrency,
        rate: args.rate,
        weights: args.weights.iter().cloned().collect(),
    };
    if let Some(rate) = &mut limits.rate {
        rate.burst = args.burst;
    }
    let limited = client(&target.server)?.limit(&target.queue, &limits).await;
    show(&limited.map_err(refused)?, target.output)
}

fn show(queue: &QueueView, output: Output) -> Result<(), Exit> {
    match output {
        Output::Json => out::json(queue),
        Output::Table => out::print(table::queues(std::slice::from_ref(queue))),
    }
}
