//! The message of one task.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use lovage_core::payload::Payload;
use serde::Serialize;

use super::options::{array, read};
use super::plan::Origin;
use super::refusal::Refusal;
use crate::config::CeleryConfig;
use crate::envelope::{Address, seal};
use crate::signature::Signature;

/// A task to be put into a queue of Celery.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Message {
    /// The queue it goes to.
    pub(crate) queue: String,
    /// Celery's priority.
    pub(crate) priority: u8,
    /// Its task's id.
    pub(crate) id: String,
    /// Where its sender once waited for answers; relayed.
    reply_to: Option<String>,
    headers: Payload,
    args: Vec<Payload>,
    kwargs: BTreeMap<String, Payload>,
    embed: Embed,
}

/// What follows from the task; members of a group share its texts.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Embed {
    callbacks: Option<Payload>,
    errbacks: Option<Payload>,
    chain: Option<Payload>,
    chord: Option<Payload>,
}

impl Message {
    /// The message of a signature of one task, whose id is in its options.
    pub(super) fn new(
        signature: &Signature,
        id: String,
        args: Vec<Payload>,
        origin: &Origin,
        config: &CeleryConfig,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        Ok(Self {
            queue: queue(signature, config)?,
            priority: priority(signature)?,
            reply_to: signature.read("reply_to")?,
            headers: headers(signature, &id, &args, origin, config, now)?,
            embed: Embed {
                callbacks: some_list(signature, "link")?,
                errbacks: some_list(signature, "link_error")?,
                chain: signature.option("chain").cloned(),
                chord: signature.option("chord").cloned(),
            },
            kwargs: signature.kwargs.clone(),
            id,
            args,
        })
    }

    /// The envelope around it.
    pub(crate) fn seal(&self) -> String {
        let address = Address {
            exchange: "",
            routing_key: &self.queue,
            priority: self.priority,
            delivery_mode: 2,
            correlation_id: Some(&self.id),
            reply_to: self.reply_to.as_deref(),
        };
        let body = serde_json::to_string(&(&self.args, &self.kwargs, &self.embed))
            .expect("payloads are JSON");
        seal(&body, &self.headers, &address)
    }
}

/// Where it goes: its queue, or the bridge's first. Its parent's queue counts
/// for nothing, as with Celery.
fn queue(signature: &Signature, config: &CeleryConfig) -> Result<String, Refusal> {
    if let Some(queue) = signature.read::<String>("queue")? {
        return Ok(queue);
    }
    let exchange: Option<String> = signature.read("exchange")?;
    if let Some(exchange) = exchange.filter(|exchange| !exchange.is_empty()) {
        return Err(Refusal::Unsupported(format!(
            "the exchange {exchange} without a queue"
        )));
    }
    match signature
        .read("routing_key")?
        .or_else(|| config.queues.first().cloned())
    {
        Some(queue) => Ok(queue),
        None => Err(Refusal::Malformed("no queue is set up".to_owned())),
    }
}

fn priority(signature: &Signature) -> Result<u8, Refusal> {
    let priority: f64 = signature.read("priority")?.unwrap_or(0.0);
    // The cast is saturating; what is above 9 goes to the last list.
    Ok(priority as u8)
}

/// A list of signatures; none when it is empty.
fn some_list(signature: &Signature, name: &str) -> Result<Option<Payload>, Refusal> {
    let list = signature.list(name)?;
    Ok((!list.is_empty()).then(|| array(&list)))
}

/// Headers of protocol 2.
#[derive(Serialize)]
struct Headers<'a> {
    lang: &'static str,
    task: &'a str,
    id: &'a str,
    shadow: Option<&'a Payload>,
    eta: Option<String>,
    expires: Option<String>,
    group: Option<&'a Payload>,
    group_index: Option<&'a Payload>,
    retries: u32,
    timelimit: [Option<&'a Payload>; 2],
    root_id: String,
    parent_id: String,
    argsrepr: String,
    kwargsrepr: String,
    origin: &'a str,
    ignore_result: bool,
    replaced_task_nesting: u32,
    stamped_headers: Option<&'a [String]>,
    stamps: BTreeMap<&'a str, Option<&'a Payload>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
}

/// The headers of a signature's message; those that it brings go over them.
fn headers(
    signature: &Signature,
    id: &str,
    args: &[Payload],
    origin: &Origin,
    config: &CeleryConfig,
    now: Timestamp,
) -> Result<Payload, Refusal> {
    let stamped: Vec<String> = signature.read("stamped_headers")?.unwrap_or_default();
    let headers = Headers {
        lang: "py",
        task: &signature.task,
        id,
        shadow: signature.option("shadow"),
        eta: eta(signature, now)?,
        expires: time(signature, "expires", now)?,
        group: signature.option("group_id"),
        group_index: signature.option("group_index"),
        retries: 0,
        timelimit: [
            signature.option("time_limit"),
            signature.option("soft_time_limit"),
        ],
        root_id: signature
            .read("root_id")?
            .unwrap_or_else(|| origin.root.clone()),
        parent_id: signature
            .read("parent_id")?
            .unwrap_or_else(|| origin.parent.clone()),
        argsrepr: shown(&array(args)),
        kwargsrepr: shown(&Payload::of(&signature.kwargs).expect("payloads are JSON")),
        origin: &config.name,
        ignore_result: signature.read("ignore_result")?.unwrap_or(false),
        replaced_task_nesting: 0,
        stamped_headers: (!stamped.is_empty()).then_some(stamped.as_slice()),
        stamps: stamped
            .iter()
            .map(|name| (name.as_str(), signature.option(name)))
            .collect(),
        traceparent: origin.traceparent.as_deref(),
    };
    let headers = Payload::of(&headers).expect("headers have a JSON form");
    signature
        .option("headers")
        .map_or(Ok(headers.clone()), |own| over(&headers, own))
}

/// One object with the fields of both, `own` over `headers`.
fn over(headers: &Payload, own: &Payload) -> Result<Payload, Refusal> {
    let mut all: BTreeMap<String, Payload> = read(headers, "headers")?;
    all.extend(read::<BTreeMap<String, Payload>>(own, "headers")?);
    Ok(Payload::of(&all).expect("payloads are JSON"))
}

/// When it is to start: a countdown counts from now.
fn eta(signature: &Signature, now: Timestamp) -> Result<Option<String>, Refusal> {
    match signature
        .read::<f64>("countdown")?
        .filter(|seconds| *seconds != 0.0)
    {
        Some(seconds) => later(now, seconds, "countdown").map(Some),
        None => time(signature, "eta", now),
    }
}

/// A time of an option: seconds from now, a text that is relayed, or the same
/// typed as kombu 5.3 does it.
fn time(signature: &Signature, name: &str, now: Timestamp) -> Result<Option<String>, Refusal> {
    #[derive(serde::Deserialize)]
    struct Typed {
        #[serde(rename = "__value__")]
        value: String,
    }
    let Some(value) = signature.option(name) else {
        return Ok(None);
    };
    match value.as_str().as_bytes().first() {
        Some(b'{') => read::<Typed>(value, name).map(|typed| Some(typed.value)),
        Some(b'"') => read(value, name).map(Some),
        _ => later(now, read(value, name)?, name).map(Some),
    }
}

/// The time that is `seconds` from now.
fn later(now: Timestamp, seconds: f64, name: &str) -> Result<String, Refusal> {
    SignedDuration::try_from_secs_f64(seconds)
        .ok()
        .and_then(|wait| now.checked_add(wait).ok())
        .map(crate::time::write)
        .ok_or_else(|| {
            Refusal::Malformed(format!("{name} of a signature is out of range: {seconds}"))
        })
}

/// Bytes of arguments shown in headers, for logs and events.
const SHOWN_MAX: usize = 1_024;

/// Arguments as Python shows them.
pub(super) fn shown(value: &Payload) -> String {
    crate::json::repr(value.as_str(), SHOWN_MAX)
}
