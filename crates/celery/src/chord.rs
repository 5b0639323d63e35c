//! Chords: a header whose parts are counted, and the body that gets their results.

use std::collections::HashMap;

use jiff::Timestamp;
use lovage_core::payload::Payload;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::backend::ChordPart;
use crate::canvas::{Canvas, Errbacks, Origin, Part, Place, Planner, Step};
use crate::config::CeleryConfig;
use crate::exception::Exception;
use crate::json;
use crate::transport::RedisResult;

/// One part as it is kept: `[1, id, state, result]`.
#[derive(Deserialize)]
pub(crate) struct Kept(IgnoredAny, String, String, pub(crate) Payload);

/// A group's results as its producer saved them, groups within it nested.
#[derive(Deserialize)]
struct Saved {
    result: Node,
}

/// A task, or a group with its members: `[[id, parent], members]`.
#[derive(Deserialize)]
struct Node((String, IgnoredAny), Option<Vec<Node>>);

/// A result as it is stored.
#[derive(Deserialize)]
struct Stored {
    status: String,
    result: Payload,
}

impl Canvas {
    /// Counts a part. When it is the last, gives what is to be done next: send
    /// the body, or fail it.
    pub(crate) async fn part(&self, part: &Part) -> RedisResult<Vec<Step>> {
        let kept =
            Payload::of(&(1, &part.id, part.state, &part.result)).expect("payloads are JSON");
        let kept = json::pythonic(kept.as_str());
        match self
            .backend
            .chord_part(&part.group, &part.id, part.index, &kept)
            .await?
        {
            ChordPart::Waiting => Ok(Vec::new()),
            ChordPart::Complete(parts) => {
                let results = self.results(&part.group, &parts).await?;
                Ok(follow(part, results, &self.config, self.clock.now()))
            }
        }
    }

    /// The results of all parts in order, in a saved group's nesting.
    async fn results(
        &self,
        group: &str,
        parts: &[String],
    ) -> RedisResult<Result<Payload, Exception>> {
        let parts = match succeeded(parts) {
            Ok(parts) => parts,
            Err(exception) => return Ok(Err(exception)),
        };
        let Some(saved) = self.backend.saved_group(group).await? else {
            let results: Vec<Payload> = parts.into_iter().map(|part| part.3).collect();
            return Ok(Ok(Payload::of(&results).expect("payloads are JSON")));
        };
        let saved: Saved = match serde_json::from_str(&saved) {
            Ok(saved) => saved,
            Err(error) => return Ok(Err(join_error(&error.to_string()))),
        };
        let mut results: HashMap<String, Payload> =
            parts.into_iter().map(|part| (part.1, part.3)).collect();
        for id in saved.result.ids() {
            if results.contains_key(id) {
                continue;
            }
            match self.stored(id).await? {
                Some(result) => results.insert(id.to_owned(), result),
                None => return Ok(Err(join_error(&format!("{id} has no result")))),
            };
        }
        Ok(Ok(saved.result.join(&results)))
    }

    /// The result of a task that has succeeded.
    async fn stored(&self, id: &str) -> RedisResult<Option<Payload>> {
        let text = self.backend.get(id).await?;
        let stored =
            text.and_then(|text| serde_json::from_str::<Stored>(&json::strict(&text)).ok());
        Ok(stored
            .filter(|stored| stored.status == "SUCCESS")
            .map(|stored| stored.result))
    }
}

impl Node {
    /// The ids of its tasks.
    fn ids(&self) -> Vec<&str> {
        match &self.1 {
            Some(members) => members.iter().flat_map(Self::ids).collect(),
            None => vec![self.0.0.as_str()],
        }
    }

    /// Its result, or the list of its members'; all are there.
    fn join(&self, results: &HashMap<String, Payload>) -> Payload {
        match &self.1 {
            Some(members) => {
                let members: Vec<Payload> = members.iter().map(|node| node.join(results)).collect();
                Payload::of(&members).expect("payloads are JSON")
            }
            None => results
                .get(&self.0.0)
                .cloned()
                .unwrap_or_else(Payload::null),
        }
    }
}

/// The parts, when none of them failed.
pub(crate) fn succeeded(parts: &[String]) -> Result<Vec<Kept>, Exception> {
    parts
        .iter()
        .map(|part| {
            let part: Kept = serde_json::from_str(&json::strict(part))
                .map_err(|error| join_error(&error.to_string()))?;
            if part.2 == "FAILURE" || part.2 == "REVOKED" {
                Err(dependency(&part))
            } else {
                Ok(part)
            }
        })
        .collect()
}

/// What becomes of the body.
pub(crate) fn follow(
    part: &Part,
    results: Result<Payload, Exception>,
    config: &CeleryConfig,
    now: Timestamp,
) -> Vec<Step> {
    let origin = Origin {
        parent: part.id.clone(),
        ..part.origin.clone()
    };
    // The body's place is the chord's: any part may be the last.
    let place = Place::after(&part.group).at("body", 0);
    let mut planner = Planner::new(config, now);
    let sent = results.and_then(|results| {
        let sent = planner.send(part.body.clone(), &[results], &origin, place);
        sent.map_err(|refusal| join_error(&refusal.to_string()))
    });
    if let Err(exception) = sent {
        planner = Planner::new(config, now);
        let mut body = part.body.clone();
        if body
            .options
            .get("group_id")
            .is_some_and(|id| id.read::<&str>().is_ok_and(|id| id == part.group))
        {
            // As Celery has it: the failure of a body does not name its header.
            body.options.remove("group_id");
        }
        planner.fail_or_log(&body, &exception, Errbacks::Call, &origin, place);
    }
    planner.steps.push(Step::Over {
        group: part.group.clone(),
    });
    planner.steps
}

fn dependency(part: &Kept) -> Exception {
    let raised = match part.3.read::<Exception>() {
        Ok(exception) => exception.repr(),
        Err(_) => part.3.as_str().to_owned(),
    };
    chord_error(&format!("Dependency {} raised {raised}", part.1))
}

fn join_error(reason: &str) -> Exception {
    chord_error(&format!("Join error: {reason}"))
}

fn chord_error(text: &str) -> Exception {
    Exception::new("celery.exceptions", "ChordError", text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KEPT: [&str; 3] = [
        r#"[1, "a", "SUCCESS", 1]"#,
        r#"[1, "b", "SUCCESS", NaN]"#,
        r#"[1, "c", "SUCCESS", {"k": 12345678901234567890123}]"#,
    ];

    fn part(body: serde_json::Value) -> Part {
        Part {
            group: "g".to_owned(),
            id: "c".to_owned(),
            index: Some(2),
            state: "SUCCESS",
            result: Payload::null(),
            body: Payload::of(&body).unwrap().read().unwrap(),
            origin: Origin {
                root: "root".to_owned(),
                parent: "c".to_owned(),
                traceparent: None,
            },
        }
    }

    fn next(body: serde_json::Value, results: Result<Payload, Exception>) -> Vec<Step> {
        follow(
            &part(body),
            results,
            &CeleryConfig::new("redis://localhost"),
            Timestamp::UNIX_EPOCH,
        )
    }

    #[test]
    fn results_stand_in_the_nesting_that_the_producer_saved() {
        let kept = succeeded(&KEPT.map(str::to_owned)).unwrap();
        let results = kept.into_iter().map(|part| (part.1, part.3)).collect();
        let text = r#"{"result": [["g", null], [[["x", null], [[["c", ["p", null]], null], [["a", null], null]]], [["a", null], null]]]}"#;
        let saved: Saved = serde_json::from_str(text).unwrap();
        assert_eq!(saved.result.ids(), ["c", "a", "a"]);
        assert_eq!(
            saved.result.join(&results).as_str(),
            r#"[[{"k": 12345678901234567890123},1],1]"#
        );
    }

    #[test]
    fn a_part_that_failed_or_was_revoked_is_named() {
        let revoked = r#"[1, "b", "REVOKED", {"exc_type": "TaskRevokedError", "exc_message": ["terminated"], "exc_module": "celery.exceptions"}]"#;
        let kept = [KEPT[0].to_owned(), revoked.to_owned()];
        let exception = succeeded(&kept).err().unwrap();
        assert_eq!(exception.exc_type, "ChordError");
        assert_eq!(
            exception.exc_message[0].as_str(),
            r#""Dependency b raised TaskRevokedError('terminated')""#
        );
    }

    #[test]
    fn a_body_that_cannot_be_sent_fails_and_the_chord_is_over() {
        let body = json!({"task": "x", "subtask_type": null, "options": {"task_id": "body", "exchange": "news"}});
        let steps = next(body, Ok(Payload::null()));
        let [Step::Fail(failed), Step::Over { group }] = steps.as_slice() else {
            panic!("{steps:?}")
        };
        assert_eq!((failed.id.as_str(), group.as_str()), ("body", "g"));
        let text = failed.exception.exc_message[0].as_str();
        assert!(text.contains("Join error: the exchange news"), "{text}");
    }

    #[test]
    fn a_body_without_an_id_has_the_same_one_whichever_part_is_last() {
        let body = json!({"task": "x"});
        let results = Payload::parse("[1]").unwrap();
        let once = next(body.clone(), Ok(results.clone()));
        let other = Part {
            id: "a".to_owned(),
            ..part(body)
        };
        let again = follow(
            &other,
            Ok(results),
            &CeleryConfig::new("redis://localhost"),
            Timestamp::UNIX_EPOCH,
        );
        let id = |steps: &[Step]| match &steps[0] {
            Step::Send(message) => message.id.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(id(&once), id(&again));
    }
}
