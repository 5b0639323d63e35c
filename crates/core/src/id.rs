//! Names and ids, parsed once: whoever holds one holds a valid one.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::limits;

/// A text that is not a valid name or id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be {expected}, got {got:?}")]
pub struct InvalidId {
    /// What was being parsed, such as `queue`.
    pub what: &'static str,
    /// What would have been accepted.
    pub expected: &'static str,
    /// What came, cut to a printable length.
    pub got: String,
}

impl InvalidId {
    pub(crate) fn new(what: &'static str, expected: &'static str, got: &str) -> Self {
        Self {
            what,
            expected,
            got: got.chars().take(80).collect(),
        }
    }
}

/// The id of a job: a UUID, version 7 unless the caller brought its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(Uuid);

impl JobId {
    /// A new id that sorts by `now`; the rest of it is random.
    pub fn at(now: Timestamp) -> Self {
        Self(uuid_at(now))
    }

    /// The UUID itself.
    pub fn uuid(self) -> Uuid {
        self.0
    }
}

impl From<Uuid> for JobId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for JobId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Uuid::try_parse(text).map(Self).map_err(|_| {
            InvalidId::new(
                "job id",
                "a UUID such as 0199d3a4-7c1e-7b52-9c55-3f1f0c7a2b10",
                text,
            )
        })
    }
}

/// One start of a worker process, or its re-registration after it lost its lease.
///
/// Never reused: a token made under an old id can never become valid again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkerId(Uuid);

impl WorkerId {
    /// A new id that sorts by `now`; the rest of it is random.
    pub fn at(now: Timestamp) -> Self {
        Self(uuid_at(now))
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

impl FromStr for WorkerId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Uuid::try_parse(text)
            .map(Self)
            .map_err(|_| InvalidId::new("worker id", "a UUID", text))
    }
}

pub(crate) fn uuid_at(now: Timestamp) -> Uuid {
    let seconds = u64::try_from(now.as_second()).unwrap_or(0);
    let nanos = u32::try_from(now.subsec_nanosecond()).unwrap_or(0);
    Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos))
}

const NAME: &str = "1 to 64 of a-z, 0-9, '.', '_', '-', beginning with a letter or digit";

fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    (1..=limits::NAME_BYTES_MAX).contains(&bytes.len())
        && (bytes[0].is_ascii_lowercase() || bytes[0].is_ascii_digit())
        && bytes
            .iter()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(b))
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal) => {
        $(#[$doc])*
        ///
        /// 1 to 64 of `a-z 0-9 . _ -`, beginning with a letter or digit.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(Arc<str>);

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $type {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                if is_name(text) { Ok(Self(text.into())) } else { Err(InvalidId::new($what, NAME, text)) }
            }
        }

        impl TryFrom<String> for $type {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0.as_ref().to_owned()
            }
        }
    };
}

name!(
    /// What a job does, such as `script.generate`; decides its handler.
    Kind, "kind"
);
name!(
    /// A queue: jobs of one queue share their order, its workers and its pause.
    QueueName, "queue"
);
name!(
    /// Who a job belongs to; tenants share a queue fairly and do not see one another.
    Tenant, "tenant"
);

impl Default for QueueName {
    fn default() -> Self {
        Self("default".into())
    }
}

impl Default for Tenant {
    fn default() -> Self {
        Self("default".into())
    }
}

/// How urgent a job is inside its queue: 0 to 9, 9 first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Priority(u8);

impl Priority {
    /// The number, 0 to 9.
    pub fn get(self) -> u8 {
        self.0
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self(5)
    }
}

impl TryFrom<u8> for Priority {
    type Error = InvalidId;

    fn try_from(number: u8) -> Result<Self, InvalidId> {
        if number <= 9 {
            Ok(Self(number))
        } else {
            Err(InvalidId::new("priority", "0 to 9", &number.to_string()))
        }
    }
}

impl From<Priority> for u8 {
    fn from(priority: Priority) -> Self {
        priority.0
    }
}

/// Checks a text that callers choose: a key, session, tag, or the name of a
/// group or signal.
///
/// # Errors
/// Unless it is 1 to [`limits::KEY_BYTES_MAX`] bytes without control
/// characters: what was expected and what came.
pub fn check_label(text: &str) -> Result<(), String> {
    let max = limits::KEY_BYTES_MAX;
    if (1..=max).contains(&text.len()) && !text.contains(char::is_control) {
        return Ok(());
    }
    let got = if text.len() > max {
        format!("{} bytes", text.len())
    } else {
        format!("{text:?}")
    };
    Err(format!(
        "expected 1 to {max} bytes without control characters, got {got}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_once_and_say_what_was_expected() {
        assert_eq!(
            "script.generate".parse::<Kind>().unwrap().as_str(),
            "script.generate"
        );
        for bad in [
            "",
            ".x",
            "Upper",
            "a b",
            "a:b",
            "a{b}",
            "한글",
            &"x".repeat(65),
        ] {
            let error = bad.parse::<QueueName>().unwrap_err();
            assert!(
                error.to_string().starts_with("queue must be 1 to 64"),
                "{error}"
            );
        }
    }

    #[test]
    fn ids_sort_by_their_time() {
        let early = JobId::at(Timestamp::from_millisecond(1_000).unwrap());
        let late = JobId::at(Timestamp::from_millisecond(2_000).unwrap());
        assert!(early < late);
        assert_eq!(early.to_string().parse::<JobId>().unwrap(), early);
    }

    #[test]
    fn a_label_is_short_and_has_no_control_characters() {
        for good in ["a", "승인 1", &"x".repeat(limits::KEY_BYTES_MAX)] {
            assert_eq!(check_label(good), Ok(()));
        }
        for bad in ["", "a\nb", &"x".repeat(limits::KEY_BYTES_MAX + 1)] {
            let detail = check_label(bad).unwrap_err();
            assert!(detail.starts_with("expected 1 to 200 bytes"), "{detail}");
        }
    }

    #[test]
    fn priority_beyond_nine_is_refused() {
        assert!(Priority::try_from(10).is_err());
        assert_eq!(Priority::default().get(), 5);
    }
}
