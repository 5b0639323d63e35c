//! A signature: a call that is to be made later, as data.

use std::collections::BTreeMap;

use lovage_core::payload::Payload;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A call as canvas sends it. `options` are those of `apply_async`; an absent
/// one and null are the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
// Not `flatten`: it buffers what it reads, and a payload is text, not a value.
#[serde(try_from = "BTreeMap<String, Payload>")]
pub(crate) struct Signature {
    /// The task's name.
    pub(crate) task: String,
    /// Positional arguments.
    pub(crate) args: Vec<Payload>,
    /// Keyword arguments.
    pub(crate) kwargs: BTreeMap<String, Payload>,
    /// Options of `apply_async`, without those that are null.
    pub(crate) options: BTreeMap<String, Payload>,
    /// `chain`, `group`, `chord` or others; none for a plain task.
    pub(crate) subtask_type: Option<String>,
    /// The result of what ran before is not put in front of its arguments.
    pub(crate) immutable: bool,
    /// Whatever else stands in it, relayed.
    #[serde(flatten)]
    pub(crate) others: BTreeMap<String, Payload>,
}

impl TryFrom<BTreeMap<String, Payload>> for Signature {
    type Error = String;

    fn try_from(mut members: BTreeMap<String, Payload>) -> Result<Self, String> {
        let task: Option<String> = take(&mut members, "task")?;
        let options: Option<BTreeMap<String, Payload>> = take(&mut members, "options")?;
        let mut options = options.unwrap_or_default();
        options.retain(|_, value| value.as_str() != "null");
        Ok(Self {
            task: task.ok_or("a signature without a task")?,
            args: take(&mut members, "args")?.unwrap_or_default(),
            kwargs: take(&mut members, "kwargs")?.unwrap_or_default(),
            options,
            subtask_type: take(&mut members, "subtask_type")?,
            immutable: take(&mut members, "immutable")?.unwrap_or_default(),
            others: members,
        })
    }
}

/// Removes a member and reads it; none when it is absent or null.
fn take<T: DeserializeOwned>(
    members: &mut BTreeMap<String, Payload>,
    name: &str,
) -> Result<Option<T>, String> {
    let Some(member) = members.remove(name) else {
        return Ok(None);
    };
    member
        .read()
        .map_err(|error| format!("`{name}` of a signature: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_relayed_as_it_came() {
        let text = r#"{"task":"add","args":[1e400,"\ud800"],"kwargs":{"k":{"__type__":"decimal","__value__":"1.5"}},"options":{"queue":"q"},"subtask_type":"chain","immutable":true,"chord_size":2}"#;
        let signature: Signature = serde_json::from_str(text).expect("a signature");
        assert_eq!(signature.options["queue"].as_str(), "\"q\"");
        assert_eq!(signature.others["chord_size"].as_str(), "2");
        assert_eq!(serde_json::to_string(&signature).expect("JSON"), text);
    }

    #[test]
    fn what_is_absent_and_what_is_null_are_the_same() {
        let short: Signature = serde_json::from_str(r#"{"task":"a"}"#).expect("a signature");
        let nulls = r#"{"task":"a","args":null,"kwargs":null,"options":{"queue":null},"subtask_type":null,"immutable":null}"#;
        let long: Signature = serde_json::from_str(nulls).expect("a signature");
        assert_eq!(short, long);
    }

    #[test]
    fn what_is_no_signature_says_why() {
        for (text, reason) in [
            ("{}", "a signature without a task"),
            (r#"{"task": 7}"#, "`task` of a signature"),
            (r#"{"task": "a", "args": {}}"#, "`args` of a signature"),
            ("[]", "expected a map"),
        ] {
            let error = serde_json::from_str::<Signature>(text).expect_err(text);
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
}
