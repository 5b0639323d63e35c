//! `lovage watch`.

use futures_util::TryStreamExt;
use lovage_client::wire::{EventView, JobState};

use super::remote::{client, refused};
use crate::args::{Output, Watch};
use crate::exit::{self, Exit};
use crate::view::out;
use crate::view::steps::Steps;

pub(crate) async fn run(args: &Watch) -> Result<(), Exit> {
    let client = client(&args.server)?;
    let mut events = Box::pin(client.events(args.id, args.after));
    let steps = Steps::new();
    while let Some(event) = events.try_next().await.map_err(refused)? {
        show(&steps, &event, args.output)?;
    }
    drop(steps);
    let job = client.job(args.id).await.map_err(refused)?;
    match job.state {
        JobState::Failed | JobState::Cancelled => {
            let ended = format!("the job is {}", job.state.as_str());
            Err(Exit::new(exit::JOB_FAILED, ended))
        }
        _ => Ok(()),
    }
}

fn show(steps: &Steps, event: &EventView, output: Output) -> Result<(), Exit> {
    match output {
        Output::Json => out::json_line(event),
        Output::Table if steps.visible() => {
            steps.event(&event.kind, event.step.as_deref(), event.data.get());
            Ok(())
        }
        Output::Table => {
            let step = event.step.as_deref().unwrap_or("-");
            out::print(format!(
                "{:>4} {} {:<16} {step}",
                event.seq, event.at, event.kind
            ))
        }
    }
}
