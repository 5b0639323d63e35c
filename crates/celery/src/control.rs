//! Remote control: `celery inspect`, `celery status`, revoke, Flower.

mod inspect;
mod revoke;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use lovage_core::payload::Payload;
use redis::aio::PubSubSink;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{interval, timeout};

use crate::bridge::Parts;
use crate::envelope::{Address, open, seal};
use crate::events;
use crate::transport::RedisResult;

/// How often it is made sure that commands are still heard.
const LOOK: Duration = Duration::from_secs(5);
/// Longest wait for the server to say so.
const LOOK_MAX: Duration = Duration::from_secs(5);
/// How long an answer waits for whoever asked, in ms.
const REPLY_MS: i64 = 10_000;

/// A command to one worker or to all.
#[derive(Deserialize)]
struct Command {
    method: String,
    #[serde(default)]
    arguments: Option<Payload>,
    #[serde(default)]
    destination: Option<Vec<String>>,
    #[serde(default)]
    pattern: Option<String>,
    #[serde(default)]
    ticket: Option<String>,
    #[serde(default)]
    reply_to: Option<ReplyTo>,
}

/// Whom to answer.
#[derive(Deserialize)]
struct ReplyTo {
    exchange: String,
    routing_key: String,
}

#[derive(Deserialize)]
struct Clock {
    #[serde(default)]
    clock: Option<u64>,
}

/// An answer; none where none is given.
type Answer = Option<Payload>;

/// Does what it is told until the bridge stops.
pub(crate) async fn obey(parts: Arc<Parts>) {
    let channel = parts.canvas.transport.keys().pidbox();
    let link = &parts.canvas.transport.link;
    while let Some(subscription) = parts.celery.insist(|| link.subscription(&channel)).await {
        let (mut sink, mut messages) = subscription.split();
        let mut looks = interval(LOOK);
        loop {
            tokio::select! {
                message = messages.next() => match message {
                    Some(message) => hear(&parts, message.get_payload_bytes()).await,
                    None => break,
                },
                _ = looks.tick() => if !hears(&mut sink, &channel).await { break },
                () = parts.stop.cancelled() => return,
            }
        }
        tracing::warn!("Celery's remote control is not heard: listening anew");
    }
}

/// Whether the server still knows that this connection listens: one that broke in
/// silence would look as if nobody said anything.
async fn hears(sink: &mut PubSubSink, channel: &str) -> bool {
    let asked = timeout(LOOK_MAX, sink.subscribe(channel)).await;
    matches!(asked, Ok(Ok(())))
}

async fn hear(parts: &Parts, raw: &[u8]) {
    let command = open(raw).and_then(|(body, headers)| {
        if let Ok(Clock { clock: Some(clock) }) = headers.read() {
            parts.events.heard(clock);
        }
        body.read::<Command>().map_err(|error| error.to_string())
    });
    match command {
        Ok(command) if is_meant(parts, &command) => {
            let answer = carry_out(parts, &command).await;
            if let (Some(answer), Some(reply_to)) = (answer, &command.reply_to) {
                // Whoever asked may be gone, and asks again if not.
                let replied = reply(parts, &command, reply_to, &answer).await;
                if let Err(error) = replied {
                    tracing::debug!(%error, "an answer to Celery's remote control is lost");
                }
            }
        }
        Ok(_) => {}
        Err(reason) => tracing::warn!(
            reason,
            "a command of Celery's remote control cannot be read"
        ),
    }
}

fn is_meant(parts: &Parts, command: &Command) -> bool {
    let names = command.destination.as_ref();
    names.is_none_or(|names| names.contains(&parts.config.name))
}

async fn carry_out(parts: &Parts, command: &Command) -> Answer {
    if command.pattern.is_some() {
        return error("destinations by pattern are not supported: give names");
    }
    match command.method.as_str() {
        "revoke" => revoke::by_ids(parts, command, false).await,
        "terminate" => revoke::by_ids(parts, command, true).await,
        "revoke_by_stamped_headers" => revoke::by_stamps(parts, command).await,
        "enable_events" => switched(parts, true),
        "disable_events" => switched(parts, false),
        "heartbeat" => {
            events::tell_worker(parts, "worker-heartbeat").await;
            None
        }
        "add_consumer" => consumer(parts, command, true).await,
        "cancel_consumer" => consumer(parts, command, false).await,
        _ => inspect::answer(parts, command).await,
    }
}

impl Command {
    fn arguments<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Answer> {
        let arguments = self
            .arguments
            .as_ref()
            .filter(|given| given.as_str() != "null");
        let text = arguments.map_or("{}", Payload::as_str);
        serde_json::from_str(text).map_err(|wrong| error(&format!("{}: {wrong}", self.method)))
    }
}

fn switched(parts: &Parts, on: bool) -> Answer {
    let already = if parts.events.switch(on) {
        ""
    } else {
        "already "
    };
    let state = if on { "enabled" } else { "disabled" };
    ok(&format!("task events {already}{state}"))
}

async fn consumer(parts: &Parts, command: &Command, add: bool) -> Answer {
    #[derive(Deserialize)]
    struct Of {
        queue: String,
    }
    let Of { queue } = match command.arguments() {
        Ok(of) => of,
        Err(answer) => return answer,
    };
    if !add {
        parts.queues.remove(&queue);
        return ok(&format!("no longer consuming from {queue}"));
    }
    if let Err(invalid) = queue.parse::<lovage_core::id::QueueName>() {
        return error(&invalid.to_string());
    }
    let declared = parts.canvas.transport.declare(std::slice::from_ref(&queue));
    if let Err(failed) = declared.await {
        return error(&failed.to_string());
    }
    parts.queues.add(&queue);
    ok(&format!("add consumer {queue}"))
}

fn of(value: &impl Serialize) -> Answer {
    Some(Payload::of(value).expect("names, numbers and payloads have a JSON form"))
}

fn ok(text: &str) -> Answer {
    of(&json!({ "ok": text }))
}

fn error(text: &str) -> Answer {
    of(&json!({ "error": text }))
}

async fn reply(
    parts: &Parts,
    command: &Command,
    to: &ReplyTo,
    answer: &Payload,
) -> RedisResult<()> {
    let (transport, name) = (&parts.canvas.transport, parts.config.name.as_str());
    let keys = transport.keys();
    let mut ask = redis::pipe();
    ask.smembers(keys.bindings(&to.exchange));
    let (members,): (Vec<String>,) = transport.link.send(&ask).await?;
    let body = of(&BTreeMap::from([(name, answer)])).expect("an answer was made");
    let headers = of(&json!({ "ticket": command.ticket, "clock": parts.events.tick() }));
    let address = Address {
        exchange: &to.exchange,
        routing_key: &to.routing_key,
        priority: 0,
        delivery_mode: 1,
        correlation_id: None,
        reply_to: None,
    };
    let message = seal(
        body.as_str(),
        &headers.expect("headers were made"),
        &address,
    );
    let mut send = redis::pipe();
    for queue in members
        .iter()
        .filter_map(|member| keys.bound(member, &to.routing_key))
    {
        let list = keys.queue(queue, 0);
        send.lpush(&list, &message).ignore();
        send.pexpire(&list, REPLY_MS).ignore();
    }
    transport.link.send(&send).await
}
