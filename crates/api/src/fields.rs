//! Fields of a request, read one by one: everything that is wrong is said at once.

use std::fmt::Display;
use std::time::Duration;

use jiff::Timestamp;
use lovage_client::wire::{FieldError, UniqueRequest};
use lovage_core::clock;
use lovage_core::id::check_label;
use lovage_core::job::Unique;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::body;
use crate::error::{ApiError, at_pointer};

/// What is wrong with the fields of a request.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    pub(crate) errors: Vec<FieldError>,
}

impl Fields {
    /// What was read, unless something is wrong.
    pub(crate) fn all_right<T>(self, read: T) -> Result<T, ApiError> {
        if self.errors.is_empty() {
            Ok(read)
        } else {
            Err(ApiError::Invalid(self.errors))
        }
    }

    pub(crate) fn refuse(&mut self, pointer: &str, detail: impl Into<String>) {
        self.errors.push(at_pointer(pointer, detail));
    }

    pub(crate) fn take<T, E: Display>(
        &mut self,
        pointer: &str,
        read: Option<Result<T, E>>,
    ) -> Option<T> {
        match read? {
            Ok(value) => Some(value),
            Err(error) => {
                self.refuse(pointer, error.to_string());
                None
            }
        }
    }

    /// The input as a value. Valid JSON may still be too deep or hold half a character.
    pub(crate) fn input(&mut self, raw: &RawValue) -> Option<Value> {
        self.take("/input", Some(body::read_any(raw.get())))
    }

    pub(crate) fn time(&mut self, pointer: &str, text: Option<&str>) -> Option<Timestamp> {
        let text = text?;
        let read = text.parse::<Timestamp>().ok().map(clock::to_millis);
        if read.is_none() {
            let got: String = text.chars().take(40).collect();
            let expected = "expected a time such as 2026-01-31T09:30:00Z";
            self.refuse(pointer, format!("{expected}, got {got:?}"));
        }
        read
    }

    pub(crate) fn run_at(
        &mut self,
        run_at: Option<&str>,
        delay_s: Option<u64>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        if run_at.is_some() && delay_s.is_some() {
            self.refuse("/delay_s", "expected run_at or delay_s, got both");
        }
        let delayed = delay_s.map(|seconds| clock::after(now, Duration::from_secs(seconds)));
        self.time("/run_at", run_at).or(delayed)
    }

    pub(crate) fn within(&mut self, pointer: &str, number: Option<u64>, max: u64) -> Option<u64> {
        let number = number?;
        if (1..=max).contains(&number) {
            return Some(number);
        }
        self.refuse(pointer, format!("expected 1 to {max}, got {number}"));
        None
    }

    pub(crate) fn unique(&mut self, unique: UniqueRequest) -> Unique {
        self.label("/unique/key", &unique.key);
        let window = self.within("/unique/for_s", unique.for_s, u64::MAX);
        Unique {
            key: unique.key,
            window: window.map(Duration::from_secs),
        }
    }

    pub(crate) fn label(&mut self, pointer: &str, text: &str) {
        if let Err(detail) = check_label(text) {
            self.refuse(pointer, detail);
        }
    }
}
