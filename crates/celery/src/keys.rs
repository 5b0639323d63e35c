//! Every key and channel of Celery that the bridge touches, and its own four.

use crate::config::CeleryConfig;

/// Names of one broker and one result backend.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    /// `global_keyprefix` of the broker.
    pub(crate) prefix: String,
    /// `global_keyprefix` of the result backend, with its underscore.
    pub(crate) result_prefix: String,
    /// Database number of the broker.
    pub(crate) database: i64,
    /// Between a queue and its priority.
    pub(crate) sep: String,
    /// Priorities that have a list of their own, ascending from 0.
    pub(crate) steps: Vec<u8>,
}

impl Keys {
    /// The names that `config` asks for on a broker in `database`.
    pub(crate) fn new(config: &CeleryConfig, database: i64) -> Self {
        Self {
            prefix: config.key_prefix.clone(),
            result_prefix: separated(&config.result_prefix),
            database,
            sep: config.priority_sep.clone(),
            steps: config.priority_steps.clone(),
        }
    }

    /// The step whose list takes messages of `priority`, as kombu's `bisect` picks it.
    pub(crate) fn step(&self, priority: u8) -> u8 {
        let priority = priority.min(9);
        let above = self.steps.partition_point(|step| *step <= priority);
        let step = above.checked_sub(1).map(|at| self.steps[at]);
        step.or(self.steps.last().copied()).unwrap_or(0)
    }

    /// The list of a queue for one step.
    pub(crate) fn queue(&self, queue: &str, step: u8) -> String {
        match step {
            0 => format!("{}{queue}", self.prefix),
            step => format!("{}{queue}{}{step}", self.prefix, self.sep),
        }
    }

    /// The lists of a queue, the most urgent first.
    pub(crate) fn lists(&self, queue: &str) -> Vec<String> {
        let lists = self.steps.iter().map(|step| self.queue(queue, *step));
        lists.collect()
    }

    /// Hash of messages that Celery workers hold, by delivery tag.
    pub(crate) fn unacked(&self) -> String {
        self.broker("unacked")
    }

    /// Sorted set of the same tags, by the time they were taken.
    pub(crate) fn unacked_index(&self) -> String {
        self.broker("unacked_index")
    }

    /// Held by whoever gives back what dead workers took.
    pub(crate) fn unacked_mutex(&self) -> String {
        self.broker("unacked_mutex")
    }

    /// Set of the queues of an exchange.
    pub(crate) fn bindings(&self, exchange: &str) -> String {
        self.broker(&format!("_kombu.binding.{exchange}"))
    }

    /// The same, for kombu from 5.7, which sweeps the other.
    pub(crate) fn permanent_bindings(&self, exchange: &str) -> String {
        self.broker(&format!("_kombu.binding_permanent.{exchange}"))
    }

    /// A member of those sets.
    pub(crate) fn binding(&self, routing_key: &str, pattern: &str, queue: &str) -> String {
        [routing_key, pattern, queue].join(&self.sep)
    }

    /// The queue that such a member binds to `routing_key`.
    pub(crate) fn bound<'a>(&self, member: &'a str, routing_key: &str) -> Option<&'a str> {
        let mut parts = member.split(self.sep.as_str());
        let matches = parts.next() == Some(routing_key);
        parts.nth(1).filter(|_| matches)
    }

    /// Channel of remote control.
    pub(crate) fn pidbox(&self) -> String {
        self.broker(&format!("/{}.celery.pidbox", self.database))
    }

    /// Channel of events of a type, `task.received` or `worker.heartbeat` say.
    pub(crate) fn events(&self, routing_key: &str) -> String {
        self.broker(&format!("/{}.celeryev/{routing_key}", self.database))
    }

    /// Key of a task's result, and channel of the same name.
    pub(crate) fn result(&self, task: &str) -> String {
        format!("{}celery-task-meta-{task}", self.result_prefix)
    }

    /// The saved tree of a group's results.
    pub(crate) fn group(&self, group: &str) -> String {
        format!("{}celery-taskset-meta-{group}", self.result_prefix)
    }

    /// How many parts a chord's header has.
    pub(crate) fn chord_size(&self, group: &str) -> String {
        self.group(group) + ".s"
    }

    /// The parts that are done, in order.
    pub(crate) fn chord_parts(&self, group: &str) -> String {
        self.group(group) + ".j"
    }

    /// What is added to the size, where a part replaced itself by a group.
    pub(crate) fn chord_added(&self, group: &str) -> String {
        self.group(group) + ".t"
    }

    /// Which parts were counted, from Celery 5.7.
    pub(crate) fn chord_seen(&self, group: &str) -> String {
        self.group(group) + ".d"
    }

    /// Who sends the body, from Celery 5.7.
    pub(crate) fn chord_claim(&self, group: &str) -> String {
        self.group(group) + ".c"
    }

    /// Hash of the messages that bridges hold, by entry.
    pub(crate) fn ledger(&self) -> String {
        self.broker("lovage.ledger")
    }

    /// Sorted set of the same entries, by the time their bridge was last heard of.
    pub(crate) fn ledger_seen(&self) -> String {
        self.broker("lovage.ledger.seen")
    }

    /// List of messages that cannot be jobs.
    pub(crate) fn dead(&self) -> String {
        self.broker("lovage.dead")
    }

    /// Sorted set of revoked task ids, by time.
    pub(crate) fn revoked(&self) -> String {
        self.broker("lovage.revoked")
    }

    fn broker(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

/// A prefix with the underscore that Celery adds to one that ends in no separator.
fn separated(prefix: &str) -> String {
    match prefix.chars().next_back() {
        None | Some(':' | '_' | '-' | '.') => prefix.to_owned(),
        Some(_) => format!("{prefix}_"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        Keys::new(&CeleryConfig::new("redis://localhost/0"), 0)
    }

    #[test]
    fn a_priority_has_the_list_that_kombu_gives_it() {
        let keys = keys();
        let steps: Vec<u8> = (0..=11).map(|priority| keys.step(priority)).collect();
        assert_eq!(steps, [0, 0, 0, 3, 3, 3, 6, 6, 6, 9, 9, 9]);
        assert_eq!(
            keys.lists("celery"),
            [
                "celery",
                "celery\u{6}\u{16}3",
                "celery\u{6}\u{16}6",
                "celery\u{6}\u{16}9"
            ]
        );
    }

    #[test]
    fn other_steps_and_separators_are_followed() {
        let mut config = CeleryConfig::new("redis://localhost/2");
        config.priority_steps = (0..10).collect();
        config.priority_sep = ":".to_owned();
        config.key_prefix = "pfx".to_owned();
        let keys = Keys::new(&config, 2);
        assert_eq!(keys.queue("celery", keys.step(4)), "pfxcelery:4");
        assert_eq!(keys.queue("celery", keys.step(0)), "pfxcelery");
        assert_eq!(keys.pidbox(), "pfx/2.celery.pidbox");
        assert_eq!(keys.events("task.multi"), "pfx/2.celeryev/task.multi");
        assert_eq!(keys.unacked_index(), "pfxunacked_index");
        assert_eq!(keys.binding("q", "", "q"), "q::q");
        assert_eq!(keys.ledger(), "pfxlovage.ledger");
        assert_eq!(keys.result("1"), "celery-task-meta-1");
    }

    #[test]
    fn a_binding_names_the_queue_of_its_routing_key_only() {
        let keys = keys();
        let member = keys.binding("oid", "", "oid.reply.celery.pidbox");
        assert_eq!(member, "oid\u{6}\u{16}\u{6}\u{16}oid.reply.celery.pidbox");
        assert_eq!(keys.bound(&member, "oid"), Some("oid.reply.celery.pidbox"));
        assert_eq!(keys.bound(&member, "other"), None);
        assert_eq!(keys.bound("oid", "oid"), None);
    }

    #[test]
    fn a_prefix_of_results_gets_celerys_underscore() {
        for (prefix, key) in [
            ("", "celery-task-meta-1"),
            ("app", "app_celery-task-meta-1"),
            ("app_", "app_celery-task-meta-1"),
            ("app:", "app:celery-task-meta-1"),
            ("app-", "app-celery-task-meta-1"),
            ("app.", "app.celery-task-meta-1"),
            ("应用", "应用_celery-task-meta-1"),
        ] {
            let mut config = CeleryConfig::new("redis://localhost/0");
            config.result_prefix = prefix.to_owned();
            let keys = Keys::new(&config, 0);
            assert_eq!(keys.result("1"), key);
            let group = key.replace("task-meta", "taskset-meta");
            assert_eq!(keys.chord_parts("1"), format!("{group}.j"));
        }
    }
}
