//! `lovage enqueue`.

use std::io::Read;

use lovage_client::wire::EnqueueRequest;
use serde_json::value::RawValue;

use super::remote::{client, refused};
use crate::args::{Enqueue, Output};
use crate::exit::{self, Exit};
use crate::view::{out, table};

pub(crate) async fn run(args: Enqueue) -> Result<(), Exit> {
    let client = client(&args.server)?;
    let request = EnqueueRequest {
        kind: args.kind,
        input: input(&args.input)?,
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

/// A JSON document from the argument itself, a file or stdin.
fn input(text: &str) -> Result<Box<RawValue>, Exit> {
    let document = match text.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path).map_err(|error| {
            Exit::new(
                exit::USAGE,
                format!("cannot read the input from {path}: {error}"),
            )
        })?,
        None if text == "-" => {
            let mut stdin = String::new();
            std::io::stdin()
                .read_to_string(&mut stdin)
                .map_err(|error| {
                    Exit::new(
                        exit::USAGE,
                        format!("cannot read the input from stdin: {error}"),
                    )
                })?;
            stdin
        }
        None => text.to_owned(),
    };
    serde_json::from_str(&document).map_err(|error| {
        let expected = r#"expected a JSON document such as '{"topic": "…"}', @FILE or -"#;
        Exit::new(
            exit::USAGE,
            format!("the input is not JSON ({error}); {expected}"),
        )
    })
}
