//! What real producers and workers of Celery sent, from `golden/`, read and
//! written anew.

use std::collections::BTreeMap;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use lovage_core::payload::Payload;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::CeleryConfig;
use crate::envelope::{Address, open, seal};
use crate::exception::Exception;
use crate::json::{pythonic, strict};
use crate::keys::Keys;
use crate::message::Task;
use crate::result::{Extended, Meta, State};
use crate::signature::Signature;

const TASKS: [&str; 6] = [
    include_str!("../golden/tasks-5.2.7.jsonl"),
    include_str!("../golden/tasks-5.3.6.jsonl"),
    include_str!("../golden/tasks-5.4.0.jsonl"),
    include_str!("../golden/tasks-5.5.3.jsonl"),
    include_str!("../golden/tasks-5.6.3.jsonl"),
    include_str!("../golden/tasks-5.7.0.jsonl"),
];

/// A message that a producer pushed.
#[derive(Deserialize)]
struct Pushed {
    scenario: String,
    list: String,
    message: String,
}

/// A result that a worker published, and the task's message where it has more fields.
#[derive(Deserialize)]
struct Published {
    scenario: String,
    key: String,
    result: String,
    message: Option<String>,
}

/// A message of remote control or an event.
#[derive(Deserialize)]
struct Control {
    scenario: String,
    key: String,
    message: String,
}

fn rows<T: for<'a> Deserialize<'a>>(lines: &str) -> Vec<T> {
    let rows = lines.lines().map(serde_json::from_str);
    rows.collect::<Result<_, _>>().expect("rows")
}

fn keys() -> Keys {
    Keys::new(&CeleryConfig::new("redis://localhost/0"), 0)
}

fn decode(message: &str) -> Task {
    Task::decode(message.as_bytes(), &TimeZone::UTC).expect("a task")
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// A body by another way than the crate's.
fn body_of(envelope: &Value) -> String {
    let body = BASE64.decode(envelope["body"].as_str().expect("a body"));
    let body = body.expect("base64");
    let body = match envelope["headers"]["compression"].as_str() {
        None => body,
        Some(_) => {
            let mut inflated = Vec::new();
            flate2::write::ZlibDecoder::new(&mut inflated)
                .write_all(&body)
                .expect("a zlib stream");
            inflated
        }
    };
    String::from_utf8(body).expect("UTF-8")
}

fn value(payload: &Payload) -> Value {
    payload.read().expect("JSON")
}

/// Options that are null are left out of what is relayed.
fn as_relayed(mut signature: Value) -> Value {
    let options = signature["options"].as_object_mut().expect("options");
    options.retain(|_, option| !option.is_null());
    signature
}

fn assert_signatures(got: &[Signature], sent: &Value, scenario: &str) {
    let got: Vec<Value> = got.iter().map(|one| json!(one)).collect();
    let sent = sent.as_array().cloned().unwrap_or_default();
    let sent: Vec<Value> = sent.into_iter().map(as_relayed).collect();
    assert_eq!(got, sent, "{scenario}");
}

/// A header's time by another way than the crate's; these producers are in UTC.
fn time_of(header: &Value) -> Option<Timestamp> {
    let text = header.as_str()?;
    let text = if text.ends_with(":00") && text.contains('+') {
        text.to_owned()
    } else {
        format!("{text}Z")
    };
    Some(text.parse().expect("a time"))
}

fn assert_task(sent: &Pushed) {
    let Pushed {
        scenario, message, ..
    } = sent;
    let envelope: Value = serde_json::from_str(message).expect("JSON");
    let (headers, properties) = (&envelope["headers"], &envelope["properties"]);
    let task = decode(message);
    let body: Value = serde_json::from_str(&strict(&body_of(&envelope))).expect("JSON");

    assert_eq!(headers["id"], task.id, "{scenario}");
    assert_eq!(headers["task"], task.name, "{scenario}");
    assert_eq!(body[0], value(&task.args), "{scenario}");
    assert_eq!(body[1], value(&task.kwargs), "{scenario}");
    assert_eq!(time_of(&headers["eta"]), task.eta, "{scenario}");
    assert_eq!(time_of(&headers["expires"]), task.expires, "{scenario}");
    assert_eq!(text(&headers["expires"]), task.expires_text, "{scenario}");
    assert_eq!(headers["retries"], task.retries, "{scenario}");
    let limits = (
        headers["timelimit"][0].as_f64(),
        headers["timelimit"][1].as_f64(),
    );
    assert_eq!(limits, task.time_limit, "{scenario}");
    assert_eq!(text(&headers["group"]), task.group, "{scenario}");
    assert_eq!(
        headers["group_index"].as_u64(),
        task.group_index,
        "{scenario}"
    );
    assert_eq!(headers["root_id"], task.root_id, "{scenario}");
    assert_eq!(text(&headers["parent_id"]), task.parent_id, "{scenario}");
    let ignore = headers["ignore_result"].as_bool().unwrap_or(false);
    assert_eq!(ignore, task.ignore_result, "{scenario}");
    assert_eq!(headers["argsrepr"], task.args_repr, "{scenario}");
    assert_eq!(headers["kwargsrepr"], task.kwargs_repr, "{scenario}");
    assert_eq!(
        text(&headers["traceparent"]),
        task.traceparent,
        "{scenario}"
    );
    let stamps: BTreeMap<String, Value> = task
        .stamps
        .iter()
        .map(|(name, stamp)| (name.clone(), value(stamp)))
        .collect();
    let sent_stamps = headers.get("stamps").cloned().unwrap_or(json!({}));
    assert_eq!(json!(stamps), sent_stamps, "{scenario}");
    assert_eq!(
        properties["delivery_info"]["routing_key"], task.routing_key,
        "{scenario}"
    );
    assert_eq!(
        properties["delivery_info"]["exchange"], task.exchange,
        "{scenario}"
    );
    assert_signatures(&task.callbacks, &body[2]["callbacks"], scenario);
    assert_signatures(&task.errbacks, &body[2]["errbacks"], scenario);
    assert_signatures(&task.chain, &body[2]["chain"], scenario);
    let chord: Vec<Signature> = task.chord.into_iter().collect();
    let sent_chord = match &body[2]["chord"] {
        Value::Null => Value::Null,
        chord => json!([chord]),
    };
    assert_signatures(&chord, &sent_chord, scenario);
    let keys = keys();
    assert_eq!(
        keys.queue(&task.routing_key, keys.step(task.priority)),
        sent.list,
        "{scenario}"
    );
}

#[test]
fn every_task_is_read_as_it_was_sent() {
    for (lines, count) in TASKS.into_iter().zip([47, 49, 49, 49, 49, 49]) {
        let sent: Vec<Pushed> = rows(lines);
        assert_eq!(sent.len(), count);
        for sent in &sent {
            match sent.scenario.as_str() {
                "p15_serializer_pickle" | "p15b_serializer_yaml" => assert_refused(sent),
                _ => assert_task(sent),
            }
        }
    }
}

fn assert_refused(sent: &Pushed) {
    let envelope: Value = serde_json::from_str(&sent.message).expect("JSON");
    let refused = Task::decode(sent.message.as_bytes(), &TimeZone::UTC).expect_err("pickle");
    assert_eq!(refused.id, text(&envelope["headers"]["id"]));
    assert_eq!(refused.name, text(&envelope["headers"]["task"]));
    let reason = format!("content type {} is not taken", envelope["content-type"]);
    assert_eq!(refused.reason, reason);
}

#[test]
fn what_kombu_types_comes_back_as_it_was() {
    let mut seen = 0;
    for lines in TASKS {
        for sent in rows::<Pushed>(lines) {
            if sent.scenario != "p13_types" {
                continue;
            }
            let envelope: Value = serde_json::from_str(&sent.message).expect("JSON");
            let task = decode(&sent.message);
            let body = body_of(&envelope);
            let args = pythonic(task.args.as_str()).into_owned();
            assert!(args.contains("NaN"), "{args}");
            assert!(body.starts_with(&format!("[{args}, ")), "{body}");
            seen += 1;
        }
    }
    // Celery 5.2 does not type what JSON lacks.
    assert_eq!(seen, TASKS.len() - 1);
}

#[test]
fn a_task_is_sealed_as_celery_seals_it() {
    for sent in TASKS.into_iter().flat_map(rows::<Pushed>) {
        let envelope: Value = serde_json::from_str(&sent.message).expect("JSON");
        let plain = envelope["headers"]["compression"].is_null();
        if plain && envelope["content-type"] == "application/json" {
            assert_sealed(&sent.message, &sent.scenario);
        }
    }
}

/// A captured envelope and its parts sealed anew: the same members in the same
/// order, but for the delivery tag.
fn assert_sealed(message: &str, scenario: &str) {
    let mut sent: Value = serde_json::from_str(message).expect("JSON");
    // A leftover of AMQP: Redis does not know it, and workers go by the header.
    let sent_properties = sent["properties"].as_object_mut().expect("properties");
    sent_properties.remove("expiration");
    let properties = sent["properties"].clone();
    let info = &properties["delivery_info"];
    let (correlation_id, reply_to) = (
        text(&properties["correlation_id"]),
        text(&properties["reply_to"]),
    );
    let number = |name: &str| properties[name].as_u64().expect("a number") as u8;
    let (exchange, routing_key) = (text(&info["exchange"]), text(&info["routing_key"]));
    let address = Address {
        exchange: &exchange.expect("an exchange"),
        routing_key: &routing_key.expect("a routing key"),
        priority: number("priority"),
        delivery_mode: number("delivery_mode"),
        correlation_id: correlation_id.as_deref(),
        reply_to: reply_to.as_deref(),
    };
    let (body, headers) = open(message.as_bytes()).expect("an envelope");
    let sealed = seal(body.as_str(), &headers, &address);
    let mut sent_order = order(message);
    sent_order.retain(|name| name != "expiration");
    assert_eq!(order(&sealed), sent_order, "{scenario}");
    let mut sealed: Value = serde_json::from_str(&sealed).expect("JSON");
    for envelope in [&mut sealed, &mut sent] {
        let tag = envelope["properties"]["delivery_tag"].take();
        assert_eq!(tag.as_str().map(str::len), Some(36), "{scenario}");
    }
    assert_eq!(sealed, sent, "{scenario}");
}

/// The names of an envelope and its properties, in order.
fn order(envelope: &str) -> Vec<String> {
    let members = names(envelope);
    let properties: BTreeMap<String, Payload> = serde_json::from_str(envelope).expect("JSON");
    let properties = names(properties["properties"].as_str());
    members.into_iter().chain(properties).collect()
}

/// The names of an object, in order.
fn names(object: &str) -> Vec<String> {
    struct Names(Vec<String>);
    impl<'de> serde::de::Visitor<'de> for Names {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(
            mut self,
            mut map: A,
        ) -> Result<Self::Value, A::Error> {
            while let Some((name, serde::de::IgnoredAny)) = map.next_entry()? {
                self.0.push(name);
            }
            Ok(self.0)
        }
    }
    let mut reader = serde_json::Deserializer::from_str(object);
    serde::Deserializer::deserialize_map(&mut reader, Names(Vec::new())).expect("an object")
}

#[test]
fn remote_control_is_read_and_answered_as_celery_does() {
    let (mut read, mut written) = (0, 0);
    for sent in rows::<Control>(include_str!("../golden/control-5.7.0.jsonl")) {
        let (body, headers) = open(sent.message.as_bytes()).expect("an envelope");
        let envelope: Value = serde_json::from_str(&sent.message).expect("JSON");
        assert_eq!(body.as_str(), body_of(&envelope), "{}", sent.scenario);
        assert_eq!(value(&headers), envelope["headers"], "{}", sent.scenario);
        let routing_key = envelope["properties"]["delivery_info"]["routing_key"].as_str();
        if sent.key == keys().pidbox() {
            assert!(value(&body)["method"].is_string(), "{}", sent.scenario);
            read += 1;
            continue;
        }
        let routing_key = routing_key.expect("a routing key");
        let channel = keys().events(routing_key);
        let list = keys().queue(&format!("{routing_key}.reply.celery.pidbox"), 0);
        assert!([channel, list].contains(&sent.key), "{}", sent.key);
        assert_sealed(&sent.message, &sent.scenario);
        written += 1;
    }
    assert_eq!((read, written), (3, 5));
}

fn state(name: &str) -> State {
    match name {
        "STARTED" => State::Started,
        "RETRY" => State::Retry,
        "SUCCESS" => State::Success,
        "FAILURE" => State::Failure,
        "REVOKED" => State::Revoked,
        other => State::Custom(other.to_owned()),
    }
}

#[test]
fn results_are_written_as_celery_writes_them() {
    let published: Vec<Published> = rows(include_str!("../golden/results-5.7.0.jsonl"));
    assert_eq!(published.len(), 50);
    for row in &published {
        let members: BTreeMap<String, Payload> =
            serde_json::from_str(&strict(&row.result)).expect("JSON");
        let string = |name: &str| -> Option<String> { members.get(name)?.read().ok() };
        let (id, group) = (string("task_id").expect("an id"), string("group_id"));
        let (parent, worker) = (string("parent_id"), string("worker"));
        let task = row.message.as_deref().map(decode);
        let done =
            string("date_done").map_or(Timestamp::UNIX_EPOCH, |done| done.parse().expect("a time"));
        let meta = Meta {
            id: &id,
            state: state(&string("status").expect("a state")),
            result: members["result"].clone(),
            traceback: string("traceback"),
            children: members["children"].read().unwrap_or_default(),
            group: group.as_deref(),
            parent: parent.as_deref(),
            extended: task.as_ref().map(|task| Extended {
                task,
                worker: worker.as_deref().expect("a worker"),
                retries: members["retries"].read().expect("a number"),
            }),
        };
        let written = meta.json(done);
        // A task revoked before it came has null for its children.
        let captured = strict(&row.result).replace(r#""children": null"#, r#""children": []"#);
        assert_eq!(
            names(&strict(&written)),
            names(&captured),
            "{}",
            row.scenario
        );
        let values = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
        assert_eq!(
            values(&strict(&written)),
            values(&captured),
            "{}",
            row.scenario
        );
        assert_eq!(keys().result(&id), row.key);
    }
}

#[test]
fn exceptions_are_those_of_celery() {
    let mut shown = 0;
    for row in rows::<Published>(include_str!("../golden/results-5.7.0.jsonl")) {
        let result: Value = serde_json::from_str(&strict(&row.result)).expect("JSON");
        if !["RETRY", "FAILURE", "REVOKED"].contains(&result["status"].as_str().expect("a state")) {
            continue;
        }
        let exception: Exception = serde_json::from_value(result["result"].clone()).expect("one");
        assert_eq!(json!(exception), result["result"], "{}", row.scenario);
        // The last line of a traceback says the same as ours, where it is the task's own.
        // A time limit that has no arguments shows itself in its own way.
        let plain = result["result"]["exc_message"] != json!([]);
        if plain
            && let ("FAILURE", Some(traceback)) = (
                result["status"].as_str().expect("a state"),
                result["traceback"].as_str(),
            )
        {
            let ours = exception.traceback();
            assert_eq!(
                ours.lines().last(),
                traceback.lines().last(),
                "{}",
                row.scenario
            );
            shown += 1;
        }
    }
    assert!(shown >= 5, "{shown}");
}
