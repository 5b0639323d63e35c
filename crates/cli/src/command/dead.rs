//! `lovage dead`: jobs that failed.

use lovage_client::wire::JobState;
use lovage_client::{Client, ClientError, ListQuery};
use uuid::Uuid;

use super::remote::{client, refused};
use crate::args::queue::{DeadList, Redrive};
use crate::args::{List, Output};
use crate::exit::{self, Exit};
use crate::view::{note, out};

/// Jobs of one page.
const PAGE: usize = 200;

pub(crate) async fn list(args: DeadList) -> Result<(), Exit> {
    let failed = List {
        states: vec![JobState::Failed.as_str().to_owned()],
        queue: args.queue,
        kind: args.kind,
        session: None,
        tag: None,
        limit: args.limit,
        output: args.output,
        server: args.server,
    };
    super::list::run(&failed).await
}

/// How many jobs were run again, and how many were not.
#[derive(Default)]
struct Count {
    redriven: usize,
    refused: usize,
}

pub(crate) async fn redrive(args: &Redrive) -> Result<(), Exit> {
    let client = client(&args.server)?;
    let mut count = Count::default();
    if args.all {
        redrive_all(&client, args, &mut count).await?;
    } else {
        redrive_these(&client, &args.ids, args.output, &mut count).await?;
    }
    let Count { redriven, refused } = count;
    if refused == 0 {
        return Ok(());
    }
    let message = format!(
        "{refused} of {} jobs were not run again",
        redriven + refused
    );
    Err(Exit::new(exit::ERROR, message))
}

/// Goes through the dead list once, newest first: a job that fails anew stands
/// before the cursor and is not met again.
async fn redrive_all(client: &Client, args: &Redrive, count: &mut Count) -> Result<(), Exit> {
    let mut query = ListQuery {
        states: vec![JobState::Failed],
        queue: args.queue.clone(),
        kind: args.kind.clone(),
        limit: Some(PAGE),
        ..ListQuery::default()
    };
    loop {
        let page = client.list(&query).await.map_err(refused)?;
        let ids: Vec<_> = page.jobs.iter().map(|job| job.id).collect();
        redrive_these(client, &ids, args.output, count).await?;
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            return Ok(());
        }
    }
}

async fn redrive_these(
    client: &Client,
    ids: &[Uuid],
    output: Output,
    count: &mut Count,
) -> Result<(), Exit> {
    for id in ids {
        match client.retry(*id).await {
            Ok(job) => {
                count.redriven += 1;
                match output {
                    Output::Table => out::print(job.id)?,
                    Output::Json => out::json_line(&job)?,
                }
            }
            // One that cannot be run again keeps no other from it.
            Err(ClientError::Problem(problem)) if matches!(problem.status, 404 | 409) => {
                count.refused += 1;
                note::say(format_args!("{id}: {problem}"));
            }
            Err(error) => return Err(refused(error)),
        }
    }
    Ok(())
}
