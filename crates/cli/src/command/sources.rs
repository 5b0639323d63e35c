//! `lovage sources`.

use std::time::Instant;

use comfy_table::Table;
use futures_util::future::join_all;
use lovage_pipeline::news::limits::SEARCH_TIMEOUT;
use lovage_pipeline::news::{Query, SearchError, Trial};
use serde::Serialize;
use tokio::time::timeout;

use crate::args::Output;
use crate::args::sources::SourcesCheck;
use crate::compose;
use crate::config::Settings;
use crate::exit::{self, Exit};
use crate::sources::{self, Doors, Listed};
use crate::view::{out, table};

/// What came of trying one source.
#[derive(Serialize)]
struct Row {
    source: String,
    /// Whether its key is set; none where it needs none.
    key: Option<bool>,
    status: Status,
    /// Pages that fit the query.
    hits: Option<usize>,
    /// All entries, of a feed.
    entries: Option<usize>,
    newest: Option<String>,
    ms: Option<u64>,
    /// The error, or how to have it asked.
    detail: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Ok,
    Failed,
    Off,
}

pub(crate) async fn check(args: &SourcesCheck, settings: &Settings) -> Result<(), Exit> {
    let query = Query::about(&args.query, compose::clock().now());
    let doors = Doors::open(&settings.research)?;
    let listed = sources::all(&settings.research, &doors);
    let rows = join_all(listed.iter().map(|one| row(one, &query))).await;
    match args.output {
        Output::Json => out::json(&rows)?,
        Output::Table => out::print(shown(&rows))?,
    }
    let with = |status| rows.iter().filter(|row| row.status == status).count();
    match (with(Status::Failed), with(Status::Ok)) {
        (0, 0) => Err(Exit::new(exit::ERROR, "no source is asked")),
        (0, _) => Ok(()),
        (failed, ok) => {
            let message = format!("{failed} of {} sources failed", failed + ok);
            Err(Exit::new(exit::ERROR, message))
        }
    }
}

async fn row(listed: &Listed, query: &Query) -> Row {
    let begin = Instant::now();
    let tried = match &listed.source {
        Ok(source) => {
            let late = SearchError::Timeout(SEARCH_TIMEOUT.as_secs());
            let tried = timeout(SEARCH_TIMEOUT, source.check(query)).await;
            Ok(tried.unwrap_or(Err(late)))
        }
        Err(to_do) => Err(to_do.clone()),
    };
    let ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (status, trial, detail) = match tried {
        Ok(Ok(trial)) => (Status::Ok, Some(trial), None),
        Ok(Err(error)) => (Status::Failed, None, Some(error.to_string())),
        Err(to_do) => (Status::Off, None, Some(to_do)),
    };
    let of = |part: fn(&Trial) -> Option<usize>| trial.as_ref().and_then(part);
    Row {
        source: listed.name.clone(),
        key: listed.has_keys,
        status,
        hits: of(|trial| Some(trial.hits)),
        entries: of(|trial| trial.entries),
        newest: trial
            .as_ref()
            .and_then(|trial| Some(trial.newest?.to_string())),
        ms: (status != Status::Off).then_some(ms),
        detail,
    }
}

fn shown(rows: &[Row]) -> Table {
    let mut table = table::table(&[
        "SOURCE", "KEY", "STATUS", "HITS", "ENTRIES", "NEWEST", "MS", "WHY",
    ]);
    for row in rows {
        let number = |number: Option<u64>| number.map_or_else(String::new, |n| n.to_string());
        let count = |count: Option<usize>| count.map_or_else(String::new, |n| n.to_string());
        table.add_row([
            row.source.clone(),
            match row.key {
                None => "not needed",
                Some(true) => "set",
                Some(false) => "missing",
            }
            .to_owned(),
            match row.status {
                Status::Ok => "ok",
                Status::Failed => "failed",
                Status::Off => "off",
            }
            .to_owned(),
            count(row.hits),
            count(row.entries),
            row.newest.clone().unwrap_or_default(),
            number(row.ms),
            row.detail.clone().unwrap_or_default(),
        ]);
    }
    table
}
