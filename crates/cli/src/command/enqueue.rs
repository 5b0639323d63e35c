//! `lovage enqueue`.

use lovage_client::wire::EnqueueRequest;

use super::document;
use super::remote::{client, refused};
use crate::args::{Enqueue, Output};
use crate::exit::Exit;
use crate::view::{out, table};

pub(crate) async fn run(args: Enqueue) -> Result<(), Exit> {
    let client = client(&args.server)?;
    let request = EnqueueRequest {
        kind: args.kind,
        input: document::read("input", &args.input)?,
        queue: args.queue,
        priority: args.priority,
        run_at: None,
        delay_s: args.delay,
        expires_at: None,
        attempts_max: args.attempts,
        timeout_s: args.timeout,
        unique: None,
        session: args.session,
        tags: args.tags,
        id: None,
    };
    if args.dry_run {
        let estimate = client.estimate(&request).await.map_err(refused)?;
        return match args.output {
            Some(Output::Json) => out::json(&estimate),
            None | Some(Output::Table) => out::print(table::estimate(&estimate)),
        };
    }
    let job = client
        .enqueue(&request, args.idempotency_key.as_deref())
        .await
        .map_err(refused)?;
    match args.output {
        None => out::print(job.id),
        Some(Output::Table) => out::print(table::job(&job)),
        Some(Output::Json) => out::json(&job),
    }
}
