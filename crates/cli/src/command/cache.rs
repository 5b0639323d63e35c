//! `lovage cache`.

use comfy_table::Table;
use lovage_core::cache::CacheStats as Counted;
use serde::Serialize;

use crate::args::Output;
use crate::args::cache::CacheStats;
use crate::compose;
use crate::config::Settings;
use crate::exit::Exit;
use crate::view::{out, table};

/// What the cache holds and did.
#[derive(Serialize)]
struct Stats {
    values: u64,
    bytes: u64,
    shelves: Vec<Shelf>,
}

/// What one part of it did, since the store is there.
#[derive(Serialize)]
struct Shelf {
    shelf: &'static str,
    hits: u64,
    shared: u64,
    misses: u64,
}

pub(crate) async fn stats(args: &CacheStats, settings: &Settings) -> Result<(), Exit> {
    let store = compose::store(settings).await?;
    let counts = store.cache.counts().await;
    let counts = counts.map_err(|error| Exit::because("the store failed", &error))?;
    let stats = stats_of(counts);
    match args.output {
        Output::Json => out::json(&stats),
        Output::Table => {
            let sum = format!("{} values, {} bytes", stats.values, stats.bytes);
            out::print(format!("{}\n{sum}", shown(&stats.shelves)))
        }
    }
}

fn stats_of(counts: Counted) -> Stats {
    let shelves = counts.shelves.into_iter().map(|(shelf, counts)| Shelf {
        shelf: shelf.as_str(),
        hits: counts.hits,
        shared: counts.shared,
        misses: counts.misses,
    });
    Stats {
        values: counts.values,
        bytes: counts.bytes,
        shelves: shelves.collect(),
    }
}

fn shown(shelves: &[Shelf]) -> Table {
    let mut table = table::table(&["WHAT", "HITS", "SHARED", "MISSES"]);
    for shelf in shelves {
        let numbers = [shelf.hits, shelf.shared, shelf.misses].map(|number| number.to_string());
        let [hits, shared, misses] = numbers;
        table.add_row([shelf.shelf.to_owned(), hits, shared, misses]);
    }
    table
}
