//! `lovage limit`.

use lovage_client::wire::ProviderLimits;

use super::remote::{client, refused};
use crate::args::Output;
use crate::args::limit::{LimitLs, LimitSet};
use crate::exit::Exit;
use crate::view::{limit, out};

pub(crate) async fn list(args: &LimitLs) -> Result<(), Exit> {
    let list = client(&args.server)?.limits().await.map_err(refused)?;
    match args.output {
        Output::Json => out::json(&list.limits),
        Output::Table => out::print(limit::limits(&list.limits)),
    }
}

pub(crate) async fn set(args: &LimitSet) -> Result<(), Exit> {
    let limits = ProviderLimits {
        rpm: args.rpm,
        tpm: args.tpm,
        concurrency: args.concurrency,
        budget_usd_day: args.budget_usd_day,
    };
    let set = client(&args.server)?.set_limits(&args.name, &limits).await;
    let set = set.map_err(refused)?;
    match args.output {
        Output::Json => out::json(&set),
        Output::Table => out::print(limit::limits(std::slice::from_ref(&set))),
    }
}
