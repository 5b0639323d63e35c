//! Plans of signatures that no capture shows.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use lovage_core::payload::Payload;
use serde_json::{Value, json};

use super::fail::Errbacks;
use super::plan::{Origin, Planner, STEPS_MAX, Step};
use super::refusal::Refusal;
use super::shape::DEPTH_MAX;
use super::{Place, map};
use crate::config::CeleryConfig;
use crate::exception::Exception;
use crate::message::Task;
use crate::signature::Signature;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn config() -> CeleryConfig {
    CeleryConfig {
        queues: vec!["first".to_owned(), "second".to_owned()],
        ..CeleryConfig::new("redis://localhost")
    }
}

fn origin() -> Origin {
    Origin {
        root: "root".to_owned(),
        parent: "parent".to_owned(),
        traceparent: None,
    }
}

fn signature(value: &Value) -> Signature {
    Payload::of(value).unwrap().read().unwrap()
}

/// What is planned when a signature is sent with the result 7.
fn planned(value: &Value) -> Result<Vec<Step>, Refusal> {
    let config = config();
    let mut planner = Planner::new(&config, NOW);
    let results = [Payload::of(&7).unwrap()];
    planner.send(
        signature(value),
        &results,
        &origin(),
        Place::after("parent"),
    )?;
    Ok(planner.steps)
}

/// The tasks that are sent.
fn sent(value: &Value) -> Vec<Task> {
    tasks(&planned(value).unwrap())
}

fn tasks(steps: &[Step]) -> Vec<Task> {
    let messages = steps.iter().filter_map(|step| match step {
        Step::Send(message) => Some(message),
        _ => None,
    });
    messages
        .map(|message| Task::decode(message.seal().as_bytes(), &TimeZone::UTC).unwrap())
        .collect()
}

fn task(name: &str) -> Value {
    json!({"task": name})
}

fn of(kind: &str, tasks: &[Value]) -> Value {
    json!({"task": format!("celery.{kind}"), "subtask_type": kind, "kwargs": {"tasks": tasks}})
}

fn chord(header: Value, body: Value) -> Value {
    json!({"task": "celery.chord", "subtask_type": "chord", "kwargs": {"header": header, "body": body}})
}

#[test]
fn a_task_without_a_queue_goes_to_the_first_one() {
    let tasks = sent(&task("a"));
    assert_eq!(
        (tasks[0].routing_key.as_str(), tasks[0].args.as_str()),
        ("first", "[7]")
    );
    let other = sent(&json!({"task": "a", "options": {"routing_key": "r"}}));
    assert_eq!(other[0].routing_key, "r");
    let both =
        sent(&json!({"task": "a", "options": {"routing_key": "r", "queue": "q", "exchange": "e"}}));
    assert_eq!(both[0].routing_key, "q");
}

#[test]
fn numbers_that_a_float_cannot_hold_are_relayed() {
    let text =
        r#"{"task":"a","args":[10000000000000000000000000000000000000001],"kwargs":{"x":1e400}}"#;
    let config = config();
    let mut planner = Planner::new(&config, NOW);
    let signature = Payload::parse(text).unwrap().read().unwrap();
    planner
        .send(signature, &[], &origin(), Place::after("parent"))
        .unwrap();
    let task = &tasks(&planner.steps)[0];
    assert_eq!(
        task.args.as_str(),
        "[10000000000000000000000000000000000000001]"
    );
    assert_eq!(task.kwargs.as_str(), r#"{"x":1e400}"#);
}

#[test]
fn times_are_numbers_texts_or_typed() {
    let at: Timestamp = "1970-01-01T00:00:09Z".parse().unwrap();
    let typed = json!({"__type__": "datetime", "__value__": "1970-01-01T00:00:09+00:00"});
    for (name, value) in [
        ("countdown", json!(9)),
        ("eta", json!("1970-01-01T00:00:09")),
        ("eta", typed.clone()),
    ] {
        assert_eq!(
            sent(&json!({"task": "a", "options": {name: value}}))[0].eta,
            Some(at),
            "{name}"
        );
    }
    for value in [json!(9.0), json!("1970-01-01T00:00:09"), typed] {
        assert_eq!(
            sent(&json!({"task": "a", "options": {"expires": value}}))[0].expires,
            Some(at)
        );
    }
}

#[test]
fn what_a_signature_says_is_in_the_message() {
    let options = json!({
        "task_id": "t", "priority": 6, "time_limit": 10, "soft_time_limit": 5, "ignore_result": true,
        "stamped_headers": ["order"], "order": [1, 2], "headers": {"traceparent": "mine"},
        "link_error": {"task": "e"}, "link": [],
    });
    let task = &sent(&json!({"task": "a", "immutable": true, "options": options}))[0];
    assert_eq!(
        (task.id.as_str(), task.priority, task.args.as_str()),
        ("t", 6, "[]")
    );
    assert_eq!(task.time_limit, (Some(10.0), Some(5.0)));
    assert!(task.ignore_result && task.callbacks.is_empty());
    assert_eq!(task.stamps["order"].as_str(), "[1,2]");
    assert_eq!(task.traceparent.as_deref(), Some("mine"));
    assert_eq!(task.errbacks[0].task, "e");
    assert_eq!(
        (task.root_id.as_str(), task.parent_id.as_deref()),
        ("root", Some("parent"))
    );
}

#[test]
fn a_chain_of_chains_is_one_chain() {
    let outer = json!({"chain": [task("after")], "link": task("callback"), "link_error": task("errback"), "task_id": "end"});
    let mut chain = of("chain", &[task("a"), of("chain", &[task("b"), task("c")])]);
    chain["options"] = outer;
    let first = &sent(&chain)[0];
    assert_eq!(
        (first.name.as_str(), first.errbacks[0].task.as_str()),
        ("a", "errback")
    );
    let rest: Vec<&str> = first.chain.iter().map(|step| step.task.as_str()).collect();
    assert_eq!(rest, ["after", "c", "b"]);
    let last = &first.chain[1];
    assert_eq!(last.options["task_id"].as_str(), "\"end\"");
    assert!(last.options["link"].as_str().contains("callback"));
    assert!(
        first.callbacks.is_empty()
            && first
                .chain
                .iter()
                .skip(1)
                .all(|step| step.options.contains_key("link_error"))
    );
}

#[test]
fn a_group_before_a_step_is_a_chord() {
    let steps = planned(&of(
        "chain",
        &[of("group", &[task("a"), task("b")]), task("c"), task("d")],
    ))
    .unwrap();
    let Step::Size { group, size } = &steps[0] else {
        panic!("{:?}", steps[0])
    };
    assert_eq!(*size, 2);
    let members = tasks(&steps);
    let indexes: Vec<_> = members
        .iter()
        .map(|task| (task.group.as_deref(), task.group_index))
        .collect();
    assert_eq!(
        indexes,
        [
            (Some(group.as_str()), Some(0)),
            (Some(group.as_str()), Some(1))
        ]
    );
    let body = members[0].chord.as_ref().unwrap();
    assert_eq!(body.task, "c");
    assert!(
        body.options["chain"].as_str().contains("\"d\""),
        "the chain goes on after the body"
    );
    assert!(members[0].chain.is_empty());
}

#[test]
fn parts_of_a_header_are_counted_where_they_end() {
    let inner = chord(
        json!([task("x"), task("y")]),
        of("group", &[task("p"), task("q"), task("r")]),
    );
    let chain = of(
        "chain",
        &[
            task("a"),
            of("group", &[task("b"), of("group", &[task("c")])]),
        ],
    );
    let steps = planned(&chord(json!([task("m"), chain, inner]), task("body"))).unwrap();
    let sizes: Vec<u64> = steps
        .iter()
        .filter_map(|step| {
            if let Step::Size { size, .. } = step {
                Some(*size)
            } else {
                None
            }
        })
        .collect();
    assert_eq!(sizes, [1 + 2 + 3, 2]);
}

#[test]
fn a_group_at_the_end_of_a_header_counts_for_the_chord() {
    let chain = of("chain", &[task("a"), of("group", &[task("b"), task("c")])]);
    let steps = planned(&chord(json!([chain]), task("body"))).unwrap();
    let Step::Size { group, size: 2 } = &steps[0] else {
        panic!("{:?}", steps[0])
    };
    let first = tasks(&steps).remove(0);
    assert!(
        first.chord.is_none() && first.group.is_none(),
        "the chain counts at its end"
    );
    let next = &first.chain[0];
    let members = sent(&serde_json::to_value(next).unwrap());
    assert_eq!(members.len(), 2);
    for member in &members {
        assert_eq!(member.group.as_ref(), Some(group));
        assert_eq!(member.chord.as_ref().unwrap().task, "body");
    }
}

#[test]
fn an_empty_header_sends_the_body() {
    let tasks = sent(&chord(json!([]), task("body")));
    assert_eq!(
        (tasks[0].name.as_str(), tasks[0].args.as_str()),
        ("body", "[[]]")
    );
}

#[test]
fn maps_within_a_canvas_get_no_result() {
    let kwargs = json!({"task": task("add"), "it": [[1, 2], [3, 4], [5, 6]], "n": 2});
    let map = json!({"task": "celery.map", "subtask_type": "xmap", "kwargs": kwargs});
    assert_eq!(sent(&map)[0].args.as_str(), "[]");
    let chunks =
        sent(&json!({"task": "celery.chunks", "subtask_type": "chunks", "kwargs": kwargs}));
    let items: Vec<&str> = chunks.iter().map(|task| task.kwargs.as_str()).collect();
    assert_eq!(chunks[0].name, map::STARMAP);
    assert!(
        items[0].contains("[[1,2],[3,4]]") && items[1].contains("[[5,6]]"),
        "{items:?}"
    );
}

#[test]
fn what_is_not_supported_or_malformed_is_refused() {
    let group_with_callback = json!({
        "task": "celery.group", "subtask_type": "group", "kwargs": {"tasks": [task("a")]},
        "options": {"link": task("b")},
    });
    for (value, reason) in [
        (
            json!({"task": "a", "subtask_type": "own"}),
            "a signature of type own is not supported",
        ),
        (
            json!({"task": "a", "options": {"exchange": "news"}}),
            "the exchange news without a queue is not supported",
        ),
        (group_with_callback, "a callback of a group"),
        (of("chain", &[]), "a chain without steps"),
        (
            json!({"task": "a", "subtask_type": "chord"}),
            "without header",
        ),
        (
            json!({"task": "a", "options": {"queue": 7}}),
            "queue of a signature",
        ),
        (
            json!({"task": "a", "options": {"countdown": 1e300}}),
            "countdown of a signature is out of range",
        ),
    ] {
        let refusal = planned(&value).unwrap_err().to_string();
        assert!(refusal.contains(reason), "{refusal}");
    }
}

#[test]
fn depth_and_number_are_bounded() {
    let mut deep = task("a");
    for _ in 0..=DEPTH_MAX {
        deep = of("group", &[deep]);
    }
    assert_eq!(planned(&deep), Err(Refusal::TooDeep(DEPTH_MAX)));
    let many = vec![task("a"); STEPS_MAX + 1];
    assert_eq!(
        planned(&of("group", &many)),
        Err(Refusal::TooMany(STEPS_MAX))
    );
    assert_eq!(planned(&of("group", &many[1..])).unwrap().len(), STEPS_MAX);
}

#[test]
fn failing_a_chord_fails_its_body_and_the_chord_around_it() {
    let mut inner = chord(
        json!([task("a")]),
        json!({"task": "b", "options": {"task_id": "body"}}),
    );
    inner["options"] = json!({
        "chord": task("outer"), "group_id": "g", "group_index": 4,
        "chain": [{"task": "n", "options": {"task_id": "next"}}],
    });
    let config = config();
    let mut planner = Planner::new(&config, NOW);
    let exception = Exception::new("builtins", "ValueError", "bad");
    planner
        .fail(
            &signature(&inner),
            &exception,
            Errbacks::Leave,
            &origin(),
            Place::after("parent"),
        )
        .unwrap();
    let [Step::Fail(body), Step::Part(part), Step::Fail(next)] = planner.steps.as_slice() else {
        panic!("{:?}", planner.steps)
    };
    assert_eq!(
        (body.id.as_str(), body.group.as_deref(), next.id.as_str()),
        ("body", Some("g"), "next")
    );
    assert_eq!(
        (part.group.as_str(), part.index, part.body.task.as_str()),
        ("g", Some(4), "outer")
    );
}

#[test]
fn an_errback_that_cannot_be_sent_hinders_no_other() {
    let config = config();
    let mut planner = Planner::new(&config, NOW);
    let errbacks = [json!({"task": "x", "subtask_type": "own"}), task("tell")]
        .map(|value| Payload::of(&value).unwrap());
    planner.call_errbacks(&errbacks, "failed", &origin(), Place::after("failed"));
    let tasks = tasks(&planner.steps);
    assert_eq!(tasks.len(), 1);
    assert_eq!(
        (tasks[0].args.as_str(), tasks[0].parent_id.as_deref()),
        (r#"["failed"]"#, Some("failed"))
    );
}

#[test]
fn calls_of_a_map_are_bounded_and_checked() {
    let call = |name: &str, it: Value| {
        let task = sent(
            &json!({"task": name, "immutable": true, "kwargs": {"task": task("add"), "it": it}}),
        )
        .remove(0);
        map::calls(&task)
    };
    assert!(call("add", json!([])).is_none());
    let calls = call(map::STARMAP, json!([[1, 2], [3, 4]]))
        .unwrap()
        .unwrap();
    assert_eq!(calls[1].args.as_str(), "[3,4]");
    assert_ne!(calls[0].id, calls[1].id);
    assert_eq!(
        call(map::MAP, json!([[1]])).unwrap().unwrap()[0]
            .args
            .as_str(),
        "[[1]]"
    );
    assert_eq!(
        call(map::STARMAP, json!([1]))
            .unwrap()
            .unwrap_err()
            .exc_type,
        "TypeError"
    );
    assert_eq!(
        call(map::MAP, json!(7)).unwrap().unwrap_err().exc_type,
        "TypeError"
    );
    let many = call(map::MAP, json!(vec![0; map::ITEMS_MAX + 1])).unwrap();
    assert_eq!(many.unwrap_err().exc_type, "ValueError");
}
