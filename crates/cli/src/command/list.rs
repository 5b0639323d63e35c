//! `lovage list`.

use lovage_client::ListQuery;
use lovage_client::wire::JobState;

use super::remote::{client, refused};
use crate::args::{List, Output};
use crate::exit::{self, Exit};
use crate::view::{out, table};

pub(crate) async fn run(args: &List) -> Result<(), Exit> {
    let client = client(&args.server)?;
    let mut query = ListQuery {
        states: args
            .states
            .iter()
            .map(|text| state(text))
            .collect::<Result<_, _>>()?,
        queue: args.queue.clone(),
        kind: args.kind.clone(),
        session: args.session.clone(),
        tag: args.tag.clone(),
        ..ListQuery::default()
    };
    let mut jobs = Vec::new();
    while jobs.len() < args.limit {
        query.limit = Some((args.limit - jobs.len()).min(200));
        let page = client.list(&query).await.map_err(refused)?;
        jobs.extend(page.jobs);
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            break;
        }
    }
    match args.output {
        Output::Json => out::json(&jobs),
        Output::Table => out::print(table::jobs(&jobs)),
    }
}

fn state(text: &str) -> Result<JobState, Exit> {
    serde_json::from_value(text.into()).map_err(|_| {
        let expected = "scheduled, queued, running, waiting, succeeded, failed, cancelled";
        Exit::new(
            exit::USAGE,
            format!("--state must be one of {expected}; got {text:?}"),
        )
    })
}
