//! `lovage result`.

use std::io::Write;

use lovage_client::JobResult;

use super::remote::{client, json, refused};
use crate::args::ResultOf;
use crate::exit::{self, Exit};

pub(crate) async fn run(args: &ResultOf) -> Result<(), Exit> {
    let result = client(&args.server)?.result(args.id, args.output.as_str()).await.map_err(refused)?;
    match result {
        JobResult::Ready { body, .. } => {
            let mut out = std::io::stdout().lock();
            let written = out.write_all(&body).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
            written.map_err(|error| Exit::because("cannot print", &error))
        }
        JobResult::NotReady(job) => {
            let hint = format!("no result yet: the job is {}; try lovage wait {}", job.state.as_str(), job.id);
            Err(Exit::new(exit::ERROR, hint))
        }
        JobResult::None(none) => {
            json(&none)?;
            Err(Exit::new(exit::JOB_FAILED, format!("the job has no result: it is {}", none.state.as_str())))
        }
    }
}
