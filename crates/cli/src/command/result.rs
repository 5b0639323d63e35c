//! `lovage result`.

use lovage_client::JobResult;

use super::remote::{client, refused};
use crate::args::ResultOf;
use crate::exit::{self, Exit};
use crate::view::out;

pub(crate) async fn run(args: &ResultOf) -> Result<(), Exit> {
    let result = client(&args.server)?
        .result_with(args.id, &args.output, &args.graph.given())
        .await
        .map_err(refused)?;
    match result {
        JobResult::Ready { body, .. } => out::print(String::from_utf8_lossy(&body)),
        JobResult::NotReady(job) => {
            let hint = format!(
                "no result yet: the job is {}; try lovage wait {}",
                job.state.as_str(),
                job.id
            );
            Err(Exit::new(exit::ERROR, hint))
        }
        JobResult::None(none) => {
            out::json(&none)?;
            Err(Exit::new(
                exit::JOB_FAILED,
                format!("the job has no result: it is {}", none.state.as_str()),
            ))
        }
    }
}
