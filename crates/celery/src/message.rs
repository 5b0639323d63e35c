//! A task as its producer sent it (protocol 2, and 1 as Celery 3 speaks it).

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use lovage_core::payload::Payload;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::envelope::{self, Envelope, Properties};
use crate::json::{self, Raw};
use crate::signature::Signature;
use crate::time;

/// Length of arguments shown where the producer does not show them, in bytes.
const REPR_BYTES_MAX: usize = 1_024;

/// A task message, decoded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Task {
    /// Its id to Celery; any text.
    pub(crate) id: String,
    /// The task's name.
    pub(crate) name: String,
    /// Positional arguments, a JSON array.
    pub(crate) args: Payload,
    /// Keyword arguments, a JSON object.
    pub(crate) kwargs: Payload,
    /// Not before this time.
    pub(crate) eta: Option<Timestamp>,
    /// Not to be started after this time.
    pub(crate) expires: Option<Timestamp>,
    /// The text of `expires` as it came, for what is relayed.
    pub(crate) expires_text: Option<String>,
    /// Retries before this message.
    pub(crate) retries: u32,
    /// Seconds until it is killed, and until it is asked to stop; above zero, of any size.
    pub(crate) time_limit: (Option<f64>, Option<f64>),
    /// The group it is a member of.
    pub(crate) group: Option<String>,
    /// Its place in the group.
    pub(crate) group_index: Option<u64>,
    /// The first task of its canvas; itself when none is named.
    pub(crate) root_id: String,
    /// The task that sent it.
    pub(crate) parent_id: Option<String>,
    /// No result is to be written.
    pub(crate) ignore_result: bool,
    /// Its arguments as Python shows them, for events.
    pub(crate) args_repr: String,
    /// Its keyword arguments as Python shows them.
    pub(crate) kwargs_repr: String,
    /// Stamps, by name.
    pub(crate) stamps: BTreeMap<String, Payload>,
    /// `traceparent`, where the producer traces.
    pub(crate) traceparent: Option<String>,
    /// Celery's priority, 0 (most urgent) to 9.
    pub(crate) priority: u8,
    /// Queue it came through.
    pub(crate) routing_key: String,
    /// Exchange it came through.
    pub(crate) exchange: String,
    /// Called with the result.
    pub(crate) callbacks: Vec<Signature>,
    /// Called with the id of the failed task.
    pub(crate) errbacks: Vec<Signature>,
    /// Remaining steps, the next one last.
    pub(crate) chain: Vec<Signature>,
    /// Runs when the whole group is done.
    pub(crate) chord: Option<Signature>,
}

/// A message that cannot be a job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct Refused {
    /// The id of its task, where one can be read.
    pub(crate) id: Option<String>,
    /// Its task's name, where one can be read.
    pub(crate) name: Option<String>,
    /// What was expected and what came; never the message's content at length.
    pub(crate) reason: String,
}

impl Task {
    /// Reads an envelope as it stands in a queue's list. `zone` is of times that name none.
    ///
    /// # Errors
    /// When it is no message of a task, or of a content type that is not taken:
    /// pickle is never decoded.
    pub(crate) fn decode(raw: &[u8], zone: &TimeZone) -> Result<Self, Refused> {
        let nameless = |reason| Fields::default().refused(reason);
        let text = envelope::text_of(raw).map_err(nameless)?;
        let envelope = Envelope::read(&text).map_err(nameless)?;
        let headers = envelope.headers.map_or_else(
            || Ok(Fields::default()),
            |raw| json::object(raw.get(), "headers").map_err(nameless),
        )?;
        let refused = |reason| headers.refused(reason);
        let properties = envelope.properties().map_err(refused)?;
        let body = envelope.body().map_err(refused)?;
        if json::shape(&body) == "an object" {
            let body: Fields<'_> = json::object(&body, "body").map_err(refused)?;
            let fields = headers.or(&body);
            return Call::of_protocol_1(&body)
                .and_then(|call| fields.task(call, &properties, zone))
                .map_err(|reason| fields.refused(reason));
        }
        Call::of_protocol_2(&body)
            .and_then(|call| headers.task(call, &properties, zone))
            .map_err(refused)
    }
}

/// What is called, and what follows it.
struct Call<'a> {
    args: &'a RawValue,
    kwargs: &'a RawValue,
    embed: Embed<'a>,
    /// Times that name no zone are in UTC, not in the app's.
    utc: bool,
}

/// What follows a task.
#[derive(Deserialize, Default)]
struct Embed<'a> {
    #[serde(borrow)]
    callbacks: Raw<'a>,
    #[serde(borrow)]
    errbacks: Raw<'a>,
    #[serde(borrow)]
    chain: Raw<'a>,
    #[serde(borrow)]
    chord: Raw<'a>,
}

impl<'a> Call<'a> {
    /// A body `[args, kwargs, embed]`.
    fn of_protocol_2(body: &'a str) -> Result<Self, String> {
        let expected = "[args, kwargs, embed]";
        if json::shape(body) != "a list" {
            return Err(json::unexpected("body", expected, body));
        }
        let parts: Vec<&RawValue> =
            serde_json::from_str(body).map_err(|error| format!("body is no JSON: {error}"))?;
        let [args, kwargs, embed] = parts[..] else {
            let got = parts.len();
            return Err(format!(
                "expected body to be {expected}, got a list of {got}"
            ));
        };
        let embed = match embed.get() {
            "null" => Embed::default(),
            text => json::object(text, "embed")?,
        };
        Ok(Self {
            args: shaped(args, "args", "a list")?,
            kwargs: shaped(kwargs, "kwargs", "an object")?,
            embed,
            utc: false,
        })
    }

    /// A body that is an object with all that the headers hold in protocol 2.
    fn of_protocol_1(body: &Fields<'a>) -> Result<Self, String> {
        let empty = |text| serde_json::from_str(text).expect("an empty list or object is JSON");
        Ok(Self {
            args: shaped(body.args.unwrap_or_else(|| empty("[]")), "args", "a list")?,
            kwargs: shaped(
                body.kwargs.unwrap_or_else(|| empty("{}")),
                "kwargs",
                "an object",
            )?,
            embed: Embed {
                callbacks: body.callbacks,
                errbacks: body.errbacks,
                chain: None,
                chord: body.chord,
            },
            utc: json::member(body.utc, "utc", "true or false")?.unwrap_or(true),
        })
    }
}

/// The headers, or the body of protocol 1, as they came.
#[derive(Deserialize, Default, Clone, Copy)]
struct Fields<'a> {
    #[serde(borrow)]
    task: Raw<'a>,
    #[serde(borrow)]
    id: Raw<'a>,
    #[serde(borrow)]
    eta: Raw<'a>,
    #[serde(borrow)]
    expires: Raw<'a>,
    #[serde(borrow)]
    retries: Raw<'a>,
    #[serde(borrow)]
    timelimit: Raw<'a>,
    #[serde(borrow)]
    group: Raw<'a>,
    #[serde(borrow)]
    group_index: Raw<'a>,
    #[serde(borrow)]
    root_id: Raw<'a>,
    #[serde(borrow)]
    parent_id: Raw<'a>,
    #[serde(borrow)]
    ignore_result: Raw<'a>,
    #[serde(borrow)]
    argsrepr: Raw<'a>,
    #[serde(borrow)]
    kwargsrepr: Raw<'a>,
    #[serde(borrow)]
    stamps: Raw<'a>,
    #[serde(borrow)]
    traceparent: Raw<'a>,
    // In the body of protocol 1 only.
    #[serde(borrow)]
    taskset: Raw<'a>,
    #[serde(borrow)]
    args: Raw<'a>,
    #[serde(borrow)]
    kwargs: Raw<'a>,
    #[serde(borrow)]
    utc: Raw<'a>,
    #[serde(borrow)]
    callbacks: Raw<'a>,
    #[serde(borrow)]
    errbacks: Raw<'a>,
    #[serde(borrow)]
    chord: Raw<'a>,
}

impl<'a> Fields<'a> {
    /// These, and those of `body` where there are none.
    fn or(&self, body: &Self) -> Self {
        Self {
            task: self.task.or(body.task),
            id: self.id.or(body.id),
            eta: self.eta.or(body.eta),
            expires: self.expires.or(body.expires),
            retries: self.retries.or(body.retries),
            timelimit: self.timelimit.or(body.timelimit),
            group: self.group.or(body.taskset).or(body.group),
            group_index: self.group_index.or(body.group_index),
            root_id: self.root_id.or(body.root_id),
            parent_id: self.parent_id.or(body.parent_id),
            ignore_result: self.ignore_result.or(body.ignore_result),
            argsrepr: self.argsrepr.or(body.argsrepr),
            kwargsrepr: self.kwargsrepr.or(body.kwargsrepr),
            stamps: self.stamps.or(body.stamps),
            traceparent: self.traceparent.or(body.traceparent),
            ..*body
        }
    }

    /// The message refused, with what can be read of it.
    fn refused(&self, reason: String) -> Refused {
        let readable = |raw, name| json::text(raw, name).ok().flatten().map(Cow::into_owned);
        Refused {
            id: readable(self.id, "id").filter(|id| !id.is_empty()),
            name: readable(self.task, "task"),
            reason,
        }
    }

    fn task(
        &self,
        call: Call<'a>,
        properties: &Properties<'_>,
        zone: &TimeZone,
    ) -> Result<Task, String> {
        let zone = if call.utc { &TimeZone::UTC } else { zone };
        let id = required(self.id, "id")?;
        let (exchange, routing_key) = properties.route();
        Ok(Task {
            name: required(self.task, "task")?,
            eta: time_of(self.eta, "eta", zone)?,
            expires: time_of(self.expires, "expires", zone)?,
            expires_text: optional(self.expires, "expires").ok().flatten(),
            retries: json::member(self.retries, "retries", "a whole number")?.unwrap_or(0),
            time_limit: self.time_limit()?,
            group: optional(self.group, "group")?,
            group_index: json::member(self.group_index, "group_index", "a whole number")?,
            root_id: optional(self.root_id, "root_id")?.unwrap_or_else(|| id.clone()),
            parent_id: optional(self.parent_id, "parent_id")?,
            ignore_result: json::member(self.ignore_result, "ignore_result", "true or false")?
                .unwrap_or(false),
            args_repr: shown(self.argsrepr, call.args),
            kwargs_repr: shown(self.kwargsrepr, call.kwargs),
            stamps: json::member(self.stamps, "stamps", "an object")?.unwrap_or_default(),
            // Only for people: a task does not fail of it.
            traceparent: optional(self.traceparent, "traceparent").ok().flatten(),
            priority: properties.priority(),
            routing_key: routing_key.into_owned(),
            exchange: exchange.into_owned(),
            callbacks: signatures(call.embed.callbacks, "callbacks")?,
            errbacks: signatures(call.embed.errbacks, "errbacks")?,
            chain: signatures(call.embed.chain, "chain")?,
            chord: call
                .embed
                .chord
                .map(|raw| signature(raw, "chord"))
                .transpose()?,
            args: Payload::from(call.args.to_owned()),
            kwargs: Payload::from(call.kwargs.to_owned()),
            id,
        })
    }

    /// Both limits in seconds; zero is none, as it is to Celery.
    fn time_limit(&self) -> Result<(Option<f64>, Option<f64>), String> {
        let limits: Vec<Option<f64>> =
            json::member(self.timelimit, "timelimit", "a list of numbers")?.unwrap_or_default();
        let limit = |at: usize| {
            limits
                .get(at)
                .copied()
                .flatten()
                .filter(|limit| *limit > 0.0)
        };
        Ok((limit(0), limit(1)))
    }
}

/// A document of the shape that is expected.
fn shaped<'a>(raw: &'a RawValue, name: &str, expected: &str) -> Result<&'a RawValue, String> {
    if json::shape(raw.get()) == expected {
        Ok(raw)
    } else {
        Err(json::unexpected(name, expected, raw.get()))
    }
}

fn optional(raw: Raw<'_>, name: &str) -> Result<Option<String>, String> {
    Ok(json::text(raw, name)?.map(Cow::into_owned))
}

fn required(raw: Raw<'_>, name: &str) -> Result<String, String> {
    optional(raw, name)?
        .filter(|text| !text.is_empty())
        .ok_or_else(|| format!("the message has no {name}"))
}

fn time_of(raw: Raw<'_>, name: &str, zone: &TimeZone) -> Result<Option<Timestamp>, String> {
    let Some(raw) = raw else { return Ok(None) };
    time::read_json(raw.get(), zone).map(Some).ok_or_else(|| {
        let got = envelope::brief(raw.get());
        format!("expected {name} to be an ISO 8601 time, got {got}")
    })
}

/// As the producer shows the arguments, or as Python would.
fn shown(raw: Raw<'_>, arguments: &RawValue) -> String {
    match optional(raw, "arguments") {
        Ok(Some(text)) => text,
        _ => json::repr(arguments.get(), REPR_BYTES_MAX),
    }
}

/// Signatures: a list of them, or a single one.
fn signatures(raw: Raw<'_>, name: &str) -> Result<Vec<Signature>, String> {
    let Some(raw) = raw else {
        return Ok(Vec::new());
    };
    if json::shape(raw.get()) == "an object" {
        return Ok(vec![signature(raw, name)?]);
    }
    serde_json::from_str(raw.get()).map_err(|error| format!("{name} cannot be read: {error}"))
}

fn signature(raw: &RawValue, name: &str) -> Result<Signature, String> {
    serde_json::from_str(raw.get()).map_err(|error| format!("{name} cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD as BASE64;
    use serde_json::{Value, json};

    use super::*;

    fn decode(message: &Value) -> Result<Task, Refused> {
        Task::decode(message.to_string().as_bytes(), &TimeZone::UTC)
    }

    fn message(body: &str) -> Value {
        json!({
            "body": BASE64.encode(body),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {"task": "add", "id": "1"},
            "properties": {"body_encoding": "base64", "delivery_tag": "t"},
        })
    }

    /// A good message with one member replaced.
    fn with(pointer: &str, value: Value) -> Value {
        let mut message = message("[[], {}, {}]");
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
        let parent = message.pointer_mut(parent).expect("its parent");
        parent[name] = value;
        message
    }

    #[test]
    fn a_task_and_an_id_are_all_that_must_be_there() {
        let task = decode(&json!({
            "body": "[[1], {\"k\": true}, null]",
            "content-type": "application/json",
            "headers": {"task": "add", "id": "1"},
        }))
        .expect("a task");
        let expected = Task {
            id: "1".to_owned(),
            name: "add".to_owned(),
            args: Payload::parse("[1]").expect("JSON"),
            kwargs: Payload::parse("{\"k\": true}").expect("JSON"),
            eta: None,
            expires: None,
            expires_text: None,
            retries: 0,
            time_limit: (None, None),
            group: None,
            group_index: None,
            root_id: "1".to_owned(),
            parent_id: None,
            ignore_result: false,
            args_repr: "[1]".to_owned(),
            kwargs_repr: "{'k': True}".to_owned(),
            stamps: BTreeMap::new(),
            traceparent: None,
            priority: 0,
            routing_key: String::new(),
            exchange: String::new(),
            callbacks: Vec::new(),
            errbacks: Vec::new(),
            chain: Vec::new(),
            chord: None,
        };
        assert_eq!(task, expected);
    }

    #[test]
    fn arguments_are_not_looked_into() {
        let huge = format!("1{}", "0".repeat(40));
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        let deeper = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for value in [
            huge.as_str(),
            &deep,
            &deeper,
            r#""\ud800x""#,
            r#"{"__type__": "datetime", "__value__": "2024-01-02T03:04:05+00:00"}"#,
            r#"{"\udfff": {"a" : 1e400}}"#,
        ] {
            let body = format!(
                r#"[[{value}], {{"k": {value}}}, {{"chain": [{{"task": "a", "args": [{value}]}}]}}]"#
            );
            let task = decode(&message(&body)).expect("a task");
            assert_eq!(task.args.as_str(), format!("[{value}]"));
            assert_eq!(task.kwargs.as_str(), format!(r#"{{"k": {value}}}"#));
            assert_eq!(task.chain[0].args[0].as_str(), value);
        }
        let nan = decode(&message("[[NaN, -Infinity], {}, {}]")).expect("a task");
        assert_eq!(json::pythonic(nan.args.as_str()), "[NaN, -Infinity]");
        assert_eq!(nan.args_repr, "[nan, -inf]");
    }

    #[test]
    fn what_is_no_envelope_is_refused_without_an_id() {
        for (raw, reason) in [
            (
                &b"this is not json"[..],
                "expected the message to be an object, got true or false",
            ),
            (b"", "expected the message to be an object, got nothing"),
            (b"[]", "expected the message to be an object, got a list"),
            (b"7", "expected the message to be an object, got a number"),
            (
                b"\xff\xfe",
                "expected the message to be UTF-8, got other bytes at 0",
            ),
            (b"{\"body\": ", "the message cannot be read as JSON"),
            (b"{}", "the message has no content type"),
            (b"{\"properties\": {}}", "the message has no content type"),
            (
                b"{\"headers\": 7}",
                "expected headers to be an object, got a number",
            ),
        ] {
            let refused = Task::decode(raw, &TimeZone::UTC).expect_err("no message");
            assert!(refused.reason.starts_with(reason), "{refused}");
            assert_eq!((refused.id, refused.name), (None, None));
        }
    }

    #[test]
    fn what_is_no_task_is_refused_with_its_id() {
        let long = "x".repeat(10_000);
        for (message, reason) in [
            (
                message("not json at all"),
                "expected body to be [args, kwargs, embed], got null",
            ),
            (message("[1, 2"), "body is no JSON"),
            (
                message("[1]"),
                "expected body to be [args, kwargs, embed], got a list of 1",
            ),
            (
                message("[[], {}, {}, 1]"),
                "expected body to be [args, kwargs, embed], got a list of 4",
            ),
            (
                message("7"),
                "expected body to be [args, kwargs, embed], got a number",
            ),
            (
                message("[[1], [2], {}]"),
                "expected kwargs to be an object, got a list",
            ),
            (
                message("[{}, {}, {}]"),
                "expected args to be a list, got an object",
            ),
            (
                message("[null, {}, {}]"),
                "expected args to be a list, got null",
            ),
            (
                message("[[], {}, []]"),
                "expected embed to be an object, got a list",
            ),
            (message(r#"[[], {}, {"chain": 7}]"#), "chain cannot be read"),
            (
                message(r#"[[], {}, {"chord": {"args": []}}]"#),
                "chord cannot be read: a signature",
            ),
            (
                message(r#"[[], {}, {"callbacks": [{"task": "\ud800"}]}]"#),
                "callbacks cannot be read",
            ),
            (with("/body", json!("***")), "body is no base64"),
            (with("/body", json!("YQ")), "body is no base64"),
            (
                with("/body", json!(7)),
                "expected body to be text that is Unicode, got a number",
            ),
            (with("/body", Value::Null), "the message has no body"),
            (with("/body", json!("//8=")), "body is no UTF-8"),
            (
                with("/content-type", json!("application/x-python-serialize")),
                "content type \"application/x-python-serialize\" is not taken",
            ),
            (
                with("/content-type", json!("application/x-yaml")),
                "content type",
            ),
            (
                with("/content-encoding", json!("binary")),
                "content encoding \"binary\"",
            ),
            (
                with("/properties", json!([])),
                "expected properties to be an object, got a list",
            ),
            (
                with("/properties/body_encoding", json!("rot13")),
                "body_encoding \"rot13\"",
            ),
            (
                with("/headers/compression", json!("application/x-bz2")),
                "compression",
            ),
            (
                with("/headers/compression", json!("application/x-gzip")),
                "body is no zlib stream",
            ),
            (
                with("/headers/task", Value::Null),
                "the message has no task",
            ),
            (
                with("/headers/eta", json!("next week")),
                "expected eta to be an ISO 8601 time",
            ),
            (
                with("/headers/eta", json!(long)),
                "expected eta to be an ISO 8601 time",
            ),
            (
                with("/headers/expires", json!(60)),
                "expected expires to be an ISO 8601 time",
            ),
            (
                with("/headers/retries", json!(-1)),
                "expected retries to be a whole number",
            ),
            (
                with("/headers/timelimit", json!(["a"])),
                "expected timelimit to be a list of numbers",
            ),
            (
                with("/headers/group", json!(7)),
                "expected group to be text",
            ),
            (
                with("/headers/stamps", json!([1])),
                "expected stamps to be an object",
            ),
        ] {
            let refused = decode(&message).expect_err("no task");
            assert!(refused.reason.starts_with(reason), "{refused}");
            assert!(refused.reason.len() < 300, "{}", refused.reason.len());
            assert_eq!(refused.id.as_deref(), Some("1"), "{refused}");
        }
    }

    #[test]
    fn an_id_that_cannot_be_one_is_refused() {
        for (id, reason) in [
            (
                json!(7),
                "expected id to be text that is Unicode, got a number",
            ),
            (json!(""), "the message has no id"),
            (Value::Null, "the message has no id"),
        ] {
            let refused = decode(&with("/headers/id", id)).expect_err("no id");
            assert_eq!((refused.id, &*refused.reason), (None, reason));
            assert_eq!(refused.name.as_deref(), Some("add"));
        }
        let surrogate = message("[[], {}, {}]").to_string();
        let surrogate = surrogate.replace("\"1\"", r#""\ud800""#);
        let refused = Task::decode(surrogate.as_bytes(), &TimeZone::UTC).expect_err("no id");
        assert_eq!(refused.id, None);
    }

    #[test]
    fn limits_are_the_hard_one_and_the_soft_one() {
        for (limits, expected) in [
            (json!([30, 20.5]), (Some(30.0), Some(20.5))),
            (json!([null, 1]), (None, Some(1.0))),
            (json!([0, -1]), (None, None)),
            (json!([5]), (Some(5.0), None)),
            (Value::Null, (None, None)),
        ] {
            let task = decode(&with("/headers/timelimit", limits)).expect("a task");
            assert_eq!(task.time_limit, expected);
        }
    }

    #[test]
    fn protocol_1_is_understood() {
        let body = json!({
            "task": "add", "id": "old", "args": [1, 2], "kwargs": {}, "retries": 1,
            "eta": "2030-01-02T03:04:05", "expires": null, "utc": true,
            "group": null, "taskset": "g", "timelimit": [9, null],
            "callbacks": [{"task": "next"}], "errbacks": {"task": "wrong"}, "chord": {"task": "all"},
        });
        let mut envelope = message(&body.to_string());
        envelope["headers"] = json!({});
        let zone = TimeZone::fixed(jiff::tz::offset(8));
        let task = Task::decode(envelope.to_string().as_bytes(), &zone).expect("a task");
        assert_eq!((&*task.id, &*task.name), ("old", "add"));
        assert_eq!(task.args.as_str(), "[1,2]");
        assert_eq!(task.group.as_deref(), Some("g"));
        assert_eq!((task.retries, task.time_limit), (1, (Some(9.0), None)));
        assert_eq!(task.callbacks[0].task, "next");
        assert_eq!(task.errbacks[0].task, "wrong");
        assert_eq!(task.chord.map(|chord| chord.task).as_deref(), Some("all"));
        assert_eq!(task.args_repr, "[1, 2]");
        // Its naive times are in UTC, whatever the app's zone is.
        assert_eq!(task.eta, "2030-01-02T03:04:05Z".parse().ok());

        let local = body.to_string().replace("\"utc\":true", "\"utc\":false");
        envelope["body"] = json!(BASE64.encode(local));
        let task = Task::decode(envelope.to_string().as_bytes(), &zone).expect("a task");
        assert_eq!(task.eta, "2030-01-01T19:04:05Z".parse().ok());
    }

    #[test]
    fn protocol_1_is_refused_with_its_id_too() {
        let mut envelope = message(r#"{"task": "add", "id": "old", "kwargs": [1]}"#);
        envelope["headers"] = Value::Null;
        let refused = decode(&envelope).expect_err("no task");
        assert_eq!(refused.id.as_deref(), Some("old"));
        assert_eq!(
            refused.reason,
            "expected kwargs to be an object, got a list"
        );
    }

    #[test]
    fn headers_win_over_a_body_of_protocol_1() {
        let envelope = message(r#"{"task": "other", "id": "other", "args": [1], "retries": 2}"#);
        let task = decode(&envelope).expect("a task");
        assert_eq!((&*task.id, &*task.name, task.retries), ("1", "add", 2));
        assert_eq!((task.args.as_str(), task.kwargs.as_str()), ("[1]", "{}"));
    }
}
