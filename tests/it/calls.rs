//! What the stand-in model was asked, by topic and by step.

use std::collections::BTreeMap;
use std::time::Duration;

use lovage_tests::llm::{Answer, StandIn};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// The step that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The planner.
    Plan,
    /// The writer.
    Write,
    /// The review of flagged sentences.
    Review,
}

/// How often one topic was asked about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Calls {
    /// By the planner.
    pub(crate) plan: usize,
    /// By the writer.
    pub(crate) write: usize,
}

/// Every call so far, those included whose answer nobody waited for.
pub(crate) fn by_topic(llm: &StandIn) -> BTreeMap<String, Calls> {
    let mut calls: BTreeMap<String, Calls> = BTreeMap::new();
    for request in llm.received() {
        let (step, topic) = asked(&request.body);
        let calls = calls.entry(topic).or_default();
        match step {
            Step::Plan => calls.plan += 1,
            Step::Write => calls.write += 1,
            // Only what a test makes the writer invent is reviewed.
            Step::Review => {}
        }
    }
    calls
}

/// Who asks, and about what.
pub(crate) fn asked(body: &Value) -> (Step, String) {
    let messages = body["messages"].as_array().into_iter().flatten();
    let user = messages.filter(|message| message["role"] == "user");
    for text in user.filter_map(|message| message["content"].as_str()) {
        if let Some((_, rest)) = text.split_once("<topic>") {
            let topic = rest.split("</topic>").next().unwrap_or_default();
            return (Step::Plan, topic.to_owned());
        }
        if let Some(topic) = text.lines().find_map(|line| line.strip_prefix("Topic: ")) {
            return (Step::Write, topic.to_owned());
        }
        if let Some(topic) = text.lines().find_map(|line| line.strip_prefix("About: ")) {
            return (Step::Review, topic.to_owned());
        }
    }
    panic!("neither the planner nor the writer asks: {body}");
}

/// A rule for the stand-in: the planner is answered, the writer waits for ever.
pub(crate) fn writer_is_silent(body: &Value) -> Answer {
    match asked(body).0 {
        Step::Plan | Step::Review => Answer::by_default(body),
        Step::Write => Answer::silence(),
    }
}

/// Makes the stand-in answer by `rule`, and tells which step is being answered.
pub(crate) fn listen(llm: &StandIn, rule: fn(&Value) -> Answer) -> mpsc::UnboundedReceiver<Step> {
    let (tell, steps) = mpsc::unbounded_channel();
    llm.respond_with(move |body| {
        // Nobody may listen any more.
        let _ = tell.send(asked(body).0);
        rule(body)
    });
    steps
}

/// Waits until the stand-in was asked so often. It tells when it answers, not
/// when it is asked: so this looks now and then.
pub(crate) async fn until_asked(llm: &StandIn, calls: usize) {
    let ask = async {
        while llm.calls() < calls {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let asked = timeout(Duration::from_secs(60), ask).await;
    assert!(asked.is_ok(), "asked {} times, not {calls}", llm.calls());
}
