//! Canvases played through with the plans alone: each task that a plan sends
//! is run and finished, until nothing is left. What Celery 5.7.0 sent and
//! stored for the same canvas is in the golden file.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use lovage_core::payload::Payload;
use serde_json::{Value, json};

use super::{End, Ending, check, meta};
use crate::canvas::{Part, Step, map};
use crate::chord::{follow, succeeded};
use crate::config::CeleryConfig;
use crate::envelope::open;
use crate::exception::Exception;
use crate::message::Task;
use crate::result::{Meta, State};

const CAPTURED: &str = include_str!("../../golden/canvas-5.7.0.jsonl");
const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn config() -> CeleryConfig {
    CeleryConfig::new("redis://localhost")
}

/// Celery's Redis and a worker, in memory.
#[derive(Default)]
struct World {
    waiting: VecDeque<String>,
    sent: Vec<String>,
    results: BTreeMap<String, Value>,
    sizes: BTreeMap<String, u64>,
    parts: BTreeMap<String, BTreeMap<(u64, String), String>>,
}

impl World {
    /// The world after the producer of a scenario has sent its messages.
    fn of(scenario: &Scenario) -> Self {
        Self {
            waiting: scenario.by_producer().cloned().collect(),
            sizes: scenario.sizes.clone(),
            ..Self::default()
        }
    }

    fn play(&mut self) {
        while let Some(message) = self.waiting.pop_front() {
            let task = Task::decode(message.as_bytes(), &TimeZone::UTC).unwrap();
            check(&task, &config(), NOW).unwrap();
            let ending = Ending::of(&task, &end(&task), &config(), NOW);
            self.apply(ending.before);
            self.store(&meta(&task, &ending.end, ending.children, None));
            self.apply(ending.after);
        }
    }

    fn store(&mut self, meta: &Meta<'_>) {
        let status = match meta.state {
            State::Success => "SUCCESS",
            State::Failure => "FAILURE",
            _ => panic!("no other state ends a task here"),
        };
        let mut stored = json!({
            "status": status, "result": value(&meta.result), "task_id": meta.id,
            "children": meta.children.iter().map(value).collect::<Vec<_>>(),
        });
        if let Some(group) = meta.group {
            stored["group_id"] = group.into();
        }
        if let Some(parent) = meta.parent {
            stored["parent_id"] = parent.into();
        }
        self.results.insert(meta.id.to_owned(), stored);
    }

    fn apply(&mut self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Send(message) => {
                    self.waiting.push_back(message.seal());
                    self.sent.push(message.seal());
                }
                Step::Fail(failed) => {
                    let mut stored = json!({
                        "status": "FAILURE", "result": failed.exception,
                        "task_id": failed.id, "children": [],
                    });
                    if let Some(group) = failed.group {
                        stored["group_id"] = group.into();
                    }
                    self.results.insert(failed.id, stored);
                }
                Step::Size { group, size } => drop(self.sizes.insert(group, size)),
                Step::Part(part) => self.part(&part),
                Step::Over { group } => drop(self.parts.remove(&group)),
            }
        }
    }

    fn part(&mut self, part: &Part) {
        let kept = serde_json::to_string(&(1, &part.id, part.state, &part.result)).unwrap();
        let parts = self.parts.entry(part.group.clone()).or_default();
        parts.insert((part.index.unwrap_or(u64::MAX), part.id.clone()), kept);
        if parts.len() as u64 == self.sizes[&part.group] {
            let parts: Vec<String> = parts.values().cloned().collect();
            let results = succeeded(&parts).map(|parts| {
                Payload::of(&parts.iter().map(|part| &part.3).collect::<Vec<_>>()).unwrap()
            });
            self.apply(follow(part, results, &config(), NOW));
        }
    }
}

/// What was captured of one canvas.
#[derive(serde::Deserialize)]
struct Scenario {
    scenario: String,
    messages: Vec<String>,
    results: Vec<Value>,
    sizes: BTreeMap<String, u64>,
}

impl Scenario {
    fn named(name: &str) -> Self {
        let mut all = CAPTURED
            .lines()
            .map(|line| serde_json::from_str::<Self>(line).unwrap());
        all.find(|scenario| scenario.scenario == name).unwrap()
    }

    /// What the producer sent: it sent the first message.
    fn by_producer(&self) -> impl Iterator<Item = &String> {
        let producer = origin_of(&self.messages[0]);
        self.messages
            .iter()
            .filter(move |message| origin_of(message) == producer)
    }

    /// What the worker sent.
    fn by_worker(&self) -> impl Iterator<Item = &String> {
        let producer = origin_of(&self.messages[0]);
        self.messages
            .iter()
            .filter(move |message| origin_of(message) != producer)
    }
}

fn origin_of(message: &str) -> String {
    let message: Value = serde_json::from_str(message).unwrap();
    message["headers"]["origin"].as_str().unwrap().to_owned()
}

fn value(payload: &Payload) -> Value {
    payload.read().unwrap()
}

/// What the tasks of the captured scenarios do.
fn end(task: &Task) -> End {
    if let Some(calls) = map::calls(task) {
        let results: Vec<Payload> = calls.unwrap().iter().map(result).collect();
        return End::Success(map::gather(&results));
    }
    let args: Vec<Value> = task.args.read().unwrap();
    let sum = |numbers: &[Value]| {
        numbers
            .iter()
            .map(|n| n.as_i64().unwrap())
            .sum::<i64>()
            .into()
    };
    let result: Value = match task.name.as_str() {
        "add" => sum(&args),
        "xsum" => sum(args[0].as_array().unwrap()),
        "echo" => args[0].clone(),
        "onerr" => format!("errback:{}", args[0].as_str().unwrap()).into(),
        "fail" => {
            let exc_message = vec![Payload::of(&args[0]).unwrap()];
            return End::Failure(Exception {
                exc_type: "ValueError".to_owned(),
                exc_message,
                exc_module: "builtins".to_owned(),
            });
        }
        other => panic!("no task {other}"),
    };
    End::Success(Payload::of(&result).unwrap())
}

fn result(task: &Task) -> Payload {
    match end(task) {
        End::Success(result) => result,
        other => panic!("{other:?}"),
    }
}

/// Headers, body and properties of a message without what differs from run to
/// run or is only shown, and with absent, null and empty options alike.
fn comparable(message: &String) -> Value {
    let (body, headers) = open(message.as_bytes()).unwrap();
    let (mut body, mut headers) = (value(&body), value(&headers));
    for name in ["origin", "argsrepr", "kwargsrepr"] {
        headers.as_object_mut().unwrap().remove(name);
    }
    let embed = body[2].as_object_mut().unwrap();
    embed.retain(|_, value| !value.is_null() && value != &json!([]));
    if let Some(chord) = embed.get_mut("chord") {
        let options = chord["options"].as_object_mut().unwrap();
        options.retain(|name, value| name != "root_id" && !value.is_null() && value != &json!([]));
    }
    let envelope: Value = serde_json::from_str(message).unwrap();
    let mut properties = envelope["properties"].clone();
    properties.as_object_mut().unwrap().remove("delivery_tag");
    json!({"headers": headers, "body": body, "properties": properties})
}

fn played(name: &str) -> (Scenario, World) {
    let scenario = Scenario::named(name);
    let mut world = World::of(&scenario);
    world.play();
    (scenario, world)
}

/// Plays a scenario that Celery's own worker finished, and compares all that
/// was sent and stored.
fn assert_as_celery(name: &str) {
    let (captured, world) = played(name);
    let sent: Vec<Value> = world.sent.iter().map(comparable).collect();
    let expected: Vec<Value> = captured.by_worker().map(comparable).collect();
    assert_eq!(sent, expected, "{name}: messages");
    let expected = captured.results.into_iter();
    let expected: BTreeMap<String, Value> = expected
        .map(|result| (result["task_id"].as_str().unwrap().to_owned(), result))
        .collect();
    assert_eq!(world.results, expected, "{name}: results");
    assert_eq!(world.sizes, captured.sizes, "{name}: sizes of chords");
    assert!(world.parts.is_empty(), "{name}: all chords are over");
}

#[test]
fn chains_end_as_with_celery() {
    assert_as_celery("w12_chain");
    assert_as_celery("w15_chain_fail");
    assert_as_celery("w16_chain_to_group");
}

#[test]
fn chords_end_as_with_celery() {
    assert_as_celery("w13_chord");
    assert_as_celery("w14_chord_fail");
    assert_as_celery("w17_task_group_task");
}

#[test]
fn a_starmap_ends_as_with_celery() {
    assert_as_celery("w31_starmap");
}

/// The one message that the bridge sent in a scenario where Celery's worker
/// sent one too, beside it. Ids are made by whoever sends.
fn beside_celery(name: &str) -> (Value, Value, World) {
    let (captured, world) = played(name);
    let [ours] = world.sent.as_slice() else {
        panic!("{name}: {} messages", world.sent.len())
    };
    let [theirs] = captured.by_worker().collect::<Vec<_>>()[..] else {
        panic!("{name}")
    };
    let without_ids = |message: &String| {
        let mut message = comparable(message);
        for id in ["id", "group", "group_index"] {
            message["headers"].as_object_mut().unwrap().remove(id);
        }
        for id in ["correlation_id", "reply_to"] {
            message["properties"].as_object_mut().unwrap().remove(id);
        }
        message
    };
    (without_ids(ours), without_ids(theirs), world)
}

#[test]
fn callbacks_and_errbacks_are_sent_as_by_celery() {
    let (ours, theirs, world) = beside_celery("w18_link");
    assert_eq!(ours, theirs);
    assert!(world.results.values().any(|result| result["result"] == 13));
    let (ours, theirs, world) = beside_celery("w19_link_error");
    assert_eq!(ours, theirs);
    let told = |result: &Value| {
        result["result"]
            .as_str()
            .is_some_and(|text| text.starts_with("errback:"))
    };
    assert!(world.results.values().any(told));
}

/// The results of a scenario's tasks that nobody else waits for, by name.
fn results(name: &str) -> Vec<Value> {
    let (_, world) = played(name);
    assert!(world.parts.is_empty(), "{name}: all chords are over");
    world
        .results
        .into_values()
        .map(|result| result["result"].clone())
        .collect()
}

#[test]
fn a_chord_of_chains_with_a_chain_as_body_ends() {
    // chord([add(1, 1) | add(5), add(2, 2)], xsum | add(1000)).
    let mut all: Vec<i64> = results("p22_nested")
        .iter()
        .map(|result| result.as_i64().unwrap())
        .collect();
    all.sort_unstable();
    assert_eq!(all, [2, 4, 7, 11, 1011]);
}

#[test]
fn an_immutable_callback_gets_no_result() {
    // add(1, 2) with the callbacks add(5, 5), immutable, and echo("z").
    let all = results("p23_immutable_link");
    assert_eq!(all.len(), 3);
    for expected in [3, 10] {
        assert!(all.contains(&expected.into()), "{expected} in {all:?}");
    }
}

#[test]
fn chunks_are_starmaps_of_a_group() {
    let all = results("p25_starmap_chunks");
    assert!(
        all.contains(&json!([0, 2])) && all.contains(&json!([4, 6])),
        "{all:?}"
    );
}

#[test]
fn a_finish_that_is_repeated_sends_the_same_tasks() {
    let scenario = Scenario::named("w18_link");
    let message = scenario.by_producer().next().unwrap();
    let task = Task::decode(message.as_bytes(), &TimeZone::UTC).unwrap();
    let once = Ending::of(&task, &end(&task), &config(), NOW);
    let again = Ending::of(&task, &end(&task), &config(), NOW);
    assert_eq!(once.before, again.before);
    assert!(!once.before.is_empty());
}

fn task_with(callback: Value) -> Task {
    let message = Scenario::named("w18_link").messages.remove(0);
    let task = Task::decode(message.as_bytes(), &TimeZone::UTC).unwrap();
    let callback = Payload::of(&callback).unwrap().read().unwrap();
    Task {
        callbacks: vec![callback],
        ..task
    }
}

#[test]
fn a_success_whose_callback_cannot_be_sent_is_a_failure() {
    let task = task_with(json!({"task": "x", "subtask_type": "own"}));
    let refused = check(&task, &config(), NOW).unwrap_err();
    assert_eq!(refused.exc_type, "NotImplementedError");
    let ending = Ending::of(&task, &End::Success(Payload::null()), &config(), NOW);
    assert_eq!(ending.end, End::Failure(refused));
    assert!(ending.before.is_empty() && ending.children.is_empty());
}

#[test]
fn a_revoked_part_of_a_chord_counts() {
    let scenario = Scenario::named("w13_chord");
    let message = scenario.by_producer().next().unwrap();
    let task = Task::decode(message.as_bytes(), &TimeZone::UTC).unwrap();
    let ending = Ending::of(&task, &End::Revoked("terminated"), &config(), NOW);
    let [Step::Part(part)] = ending.after.as_slice() else {
        panic!("{:?}", ending.after)
    };
    assert_eq!((part.state, part.index), ("REVOKED", Some(0)));
    let exception: Exception = part.result.read().unwrap();
    assert_eq!(exception.repr(), "TaskRevokedError('terminated')");
}
