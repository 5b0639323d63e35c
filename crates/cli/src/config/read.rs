//! One key as one type; every refusal says what was expected, what came, and from where.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Value;

use super::error::{ConfigError, Origin};
use super::layers::Layers;

impl Layers {
    /// Whether the value was given by somebody, even if it equals the default.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.entry(key).origin != Origin::Default
    }

    pub(super) fn invalid(&self, key: &str, expected: impl Display) -> ConfigError {
        let entry = self.entry(key);
        ConfigError::Invalid {
            key: key.to_owned(),
            expected: expected.to_string(),
            got: entry.shown(),
            origin: entry.origin.clone(),
        }
    }

    pub(super) fn text(&self, key: &str) -> Result<&str, ConfigError> {
        let text = self.entry(key).value.as_str();
        text.ok_or_else(|| self.invalid(key, "text"))
    }

    pub(super) fn flag(&self, key: &str) -> Result<bool, ConfigError> {
        let flag = self.entry(key).value.as_bool();
        flag.ok_or_else(|| self.invalid(key, "true or false"))
    }

    pub(super) fn seconds(
        &self,
        key: &str,
        bounds: RangeInclusive<u64>,
    ) -> Result<Duration, ConfigError> {
        self.whole(key, bounds).map(Duration::from_secs)
    }

    pub(super) fn milliseconds(
        &self,
        key: &str,
        bounds: RangeInclusive<u64>,
    ) -> Result<Duration, ConfigError> {
        self.whole(key, bounds).map(Duration::from_millis)
    }

    pub(super) fn whole<T>(&self, key: &str, bounds: RangeInclusive<T>) -> Result<T, ConfigError>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let number = self.entry(key).value.as_integer();
        number
            .and_then(|number| T::try_from(number).ok())
            .filter(|number| bounds.contains(number))
            .ok_or_else(|| {
                let (least, most) = (bounds.start(), bounds.end());
                self.invalid(key, format_args!("a whole number from {least} to {most}"))
            })
    }

    /// US dollars up to `most`, as a number or a text; `None` for an empty text.
    pub(super) fn dollars(&self, key: &str, most: f64) -> Result<Option<f64>, ConfigError> {
        let value = &self.entry(key).value;
        let number = match value {
            Value::String(text) if text.trim().is_empty() => return Ok(None),
            Value::String(text) => text.trim().parse().ok(),
            Value::Float(number) => Some(*number),
            Value::Integer(number) => Some(*number as f64),
            _ => None,
        };
        number
            .filter(|number| (0.0..=most).contains(number))
            .map(Some)
            .ok_or_else(|| {
                let expected = format_args!("US dollars from 0 to {most}, or \"\" for none");
                self.invalid(key, expected)
            })
    }

    /// One of the named choices.
    pub(super) fn one_of<T: Copy>(
        &self,
        key: &str,
        choices: &[(&str, T)],
    ) -> Result<T, ConfigError> {
        let name = self.entry(key).value.as_str();
        let choice = choices.iter().find(|(known, _)| name == Some(*known));
        choice.map(|(_, choice)| *choice).ok_or_else(|| {
            let names: Vec<String> = choices
                .iter()
                .map(|(name, _)| format!("{name:?}"))
                .collect();
            self.invalid(key, format_args!("one of {}", names.join(", ")))
        })
    }

    /// A text that `parse` accepts.
    pub(super) fn parsed<T>(
        &self,
        key: &str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        let text = self.entry(key).value.as_str();
        text.and_then(parse)
            .ok_or_else(|| self.invalid(key, expected))
    }

    /// A list of texts, each of which `parse` accepts.
    pub(super) fn list<T>(
        &self,
        key: &str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, ConfigError> {
        let items = self.entry(key).value.as_array();
        items
            .and_then(|items| items.iter().map(Value::as_str).collect::<Option<Vec<_>>>())
            .and_then(|texts| texts.into_iter().map(parse).collect())
            .ok_or_else(|| self.invalid(key, expected))
    }
}
