//! The section `[celery]`: the bridge to Celery.

use std::collections::BTreeMap;

use lovage_celery::{CeleryConfig, Mapping, Shape};
use lovage_core::id::{Kind, QueueName};
use toml::{Table, Value};

use super::error::ConfigError;
use super::layers::Layers;
use super::secret::Secret;

/// Seconds of a year.
const YEAR_S: u64 = 366 * 24 * 3600;

/// The bridge to Celery.
pub(crate) struct Celery {
    /// Celery's `broker_url`; empty where there is no bridge.
    pub(crate) broker_url: Secret,
    /// Celery's `result_backend`; empty where it is the broker.
    pub(crate) result_backend: Secret,
    config: CeleryConfig,
}

impl Celery {
    pub(super) fn read(from: &Layers) -> Result<Self, ConfigError> {
        let address = |key, may| {
            from.parsed(key, may, |text| {
                (text.is_empty() || is_redis(text)).then(|| Secret::new(text))
            })
        };
        let config = CeleryConfig {
            queues: queues(from)?,
            tasks: tasks(from)?,
            result_expires: from.seconds("celery.result_expires_s", 0..=YEAR_S)?,
            result_extended: from.flag("celery.result_extended")?,
            track_started: from.flag("celery.track_started")?,
            task_events: from.flag("celery.task_events")?,
            visibility_timeout: from.seconds("celery.visibility_timeout_s", 1..=YEAR_S)?,
            key_prefix: from.text("celery.key_prefix")?.to_owned(),
            result_prefix: from.text("celery.result_prefix")?.to_owned(),
            priority_sep: from.text("celery.priority_sep")?.to_owned(),
            priority_steps: priority_steps(from)?,
            open_max: from.whole("celery.open_max", 1..=100_000)?,
            ..CeleryConfig::new("")
        };
        Ok(Self {
            broker_url: address(
                "celery.broker_url",
                "an address such as \"redis://user:password@host:6379/0\", or \"\" for no bridge",
            )?,
            result_backend: address(
                "celery.result_backend",
                "an address such as \"redis://host:6379/1\", or \"\" for the broker's",
            )?,
            config,
        })
    }

    /// The bridge of a worker with so many slots, where there is one.
    pub(crate) fn bridge(&self, concurrency: usize) -> Option<CeleryConfig> {
        let broker_url = self.broker_url.expose();
        let results = match self.result_backend.expose() {
            "" => broker_url,
            other => other,
        };
        (!broker_url.is_empty()).then(|| CeleryConfig {
            broker_url: broker_url.to_owned(),
            result_backend: results.to_owned(),
            name: format!("lovage-{}@{}", std::process::id(), host()),
            concurrency,
            ..self.config.clone()
        })
    }
}

fn is_redis(text: &str) -> bool {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    matches!(scheme, Some("redis" | "rediss")) && url::Url::parse(text).is_ok()
}

/// The name of this machine, as far as it can be learnt without asking the network.
fn host() -> String {
    let named = std::env::var("HOSTNAME")
        .ok()
        .filter(|name| !name.is_empty());
    let named = named.or_else(|| std::fs::read_to_string("/etc/hostname").ok());
    named.map_or_else(|| "localhost".to_owned(), |name| name.trim().to_owned())
}

fn queues(from: &Layers) -> Result<Vec<String>, ConfigError> {
    let queues = from.list(
        "celery.queues",
        "a list of queue names (1 to 64 of a-z, 0-9, '.', '_', '-'), Celery's default queue first",
        |text| text.parse::<QueueName>().is_ok().then(|| text.to_owned()),
    )?;
    if queues.is_empty() {
        return Err(from.invalid("celery.queues", "at least one queue"));
    }
    Ok(queues)
}

fn priority_steps(from: &Layers) -> Result<Vec<u8>, ConfigError> {
    let value = &from.entry("celery.priority_steps").value;
    let step = |value: &Value| value.as_integer().and_then(|step| u8::try_from(step).ok());
    let steps: Option<Vec<u8>> = value
        .as_array()
        .and_then(|steps| steps.iter().map(step).collect());
    steps
        .filter(|steps| {
            steps.first() == Some(&0) && steps.is_sorted() && steps.iter().all(|&step| step <= 9)
        })
        .ok_or_else(|| {
            let expected =
                "a list of numbers that ascend from 0, to 9 at the most, such as [0, 3, 6, 9]";
            from.invalid("celery.priority_steps", expected)
        })
}

const TASKS: &str = "a list such as [{ task = \"shop.tasks.write\", kind = \"script.generate\", args = [\"topic\"] }]; \
                     args = \"call\" gives the kind {\"args\": [..], \"kwargs\": {..}}";

fn tasks(from: &Layers) -> Result<BTreeMap<String, Mapping>, ConfigError> {
    let refused = || from.invalid("celery.tasks", TASKS);
    let listed = from
        .entry("celery.tasks")
        .value
        .as_array()
        .ok_or_else(refused)?;
    let mut tasks = BTreeMap::new();
    for task in listed {
        let (name, mapping) = task.as_table().and_then(mapping).ok_or_else(refused)?;
        if tasks.insert(name.clone(), mapping).is_some() {
            return Err(from.invalid(
                "celery.tasks",
                format!("each task once, {name:?} stands there twice"),
            ));
        }
    }
    Ok(tasks)
}

fn mapping(task: &Table) -> Option<(String, Mapping)> {
    if task
        .keys()
        .any(|key| !["task", "kind", "args"].contains(&key.as_str()))
    {
        return None;
    }
    let text = |key| task.get(key).and_then(Value::as_str);
    let name = text("task").filter(|name| !name.is_empty())?;
    let kind = text("kind").filter(|kind| kind.parse::<Kind>().is_ok())?;
    let shape = match task.get("args") {
        None => Shape::Named(Vec::new()),
        Some(Value::String(call)) if call == "call" => Shape::Call,
        Some(names) => {
            let names = names.as_array()?.iter();
            Shape::Named(
                names
                    .map(|name| name.as_str().map(str::to_owned))
                    .collect::<Option<_>>()?,
            )
        }
    };
    let kind = kind.to_owned();
    Some((name.to_owned(), Mapping { kind, shape }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<(String, Mapping)> {
        mapping(&text.parse::<Table>().unwrap())
    }

    #[test]
    fn a_task_names_a_kind_and_how_its_arguments_are_called() {
        let (name, mapping) =
            parsed("task = \"a.b\"\nkind = \"script.generate\"\nargs = [\"topic\"]").unwrap();
        assert_eq!(name, "a.b");
        assert_eq!(mapping.shape, Shape::Named(vec!["topic".to_owned()]));
        let (_, mapping) = parsed("task = \"a.b\"\nkind = \"k\"\nargs = \"call\"").unwrap();
        assert_eq!(mapping.shape, Shape::Call);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for wrong in [
            "task = \"a.b\"",
            "kind = \"k\"",
            "task = \"\"\nkind = \"k\"",
            "task = \"a\"\nkind = \"no kind\"",
            "task = \"a\"\nkind = \"k\"\nargs = 3",
            "task = \"a\"\nkind = \"k\"\nargs = \"other\"",
            "task = \"a\"\nkind = \"k\"\narguments = [\"x\"]",
        ] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }
}
