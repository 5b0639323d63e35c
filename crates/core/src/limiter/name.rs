//! What an account and model is called.

use std::fmt;
use std::str::FromStr;

use crate::id::InvalidId;

/// Bytes of a name at most.
const BYTES_MAX: usize = 200;
const EXPECTED: &str = "provider/model#mark, such as openai/gpt-5.4-mini#a1b2c3d4";

/// An account with a provider and one of its models: `provider/model#mark`.
///
/// The mark tells accounts apart without telling anything of their keys.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LimitName(String);

impl LimitName {
    /// The name of these; characters that cannot stand in a name become `-`.
    ///
    /// ```
    /// use lovage_core::limiter::LimitName;
    /// let name = LimitName::new("openai", "my model", "a1b2");
    /// assert_eq!(name.as_str(), "openai/my-model#a1b2");
    /// assert_eq!((name.provider(), name.model()), ("openai", "my-model"));
    /// ```
    pub fn new(provider: &str, model: &str, mark: &str) -> Self {
        let word = |text: &str, also: &[char], most: usize| -> String {
            let kept =
                |c: char| c.is_ascii_alphanumeric() || "._-:".contains(c) || also.contains(&c);
            let mut word: String = text.chars().take(most).collect();
            word = word.replace(|c: char| !kept(c), "-");
            if word.is_empty() {
                "-".to_owned()
            } else {
                word
            }
        };
        let (provider, mark) = (word(provider, &[], 40), word(mark, &[], 40));
        Self(format!(
            "{provider}/{}#{mark}",
            word(model, &['/', '@'], 100)
        ))
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Who answers.
    pub fn provider(&self) -> &str {
        self.0.split_once('/').map_or("", |(provider, _)| provider)
    }

    /// What is asked for.
    pub fn model(&self) -> &str {
        let rest = self.0.split_once('/').map_or("", |(_, rest)| rest);
        rest.rsplit_once('#').map_or(rest, |(model, _)| model)
    }
}

impl fmt::Display for LimitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LimitName {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let parts = text.split_once('/').and_then(|(provider, rest)| {
            let (model, mark) = rest.rsplit_once('#')?;
            Some(Self::new(provider, model, mark))
        });
        // Whatever a name may not hold would have been replaced.
        parts
            .filter(|name| name.0 == text && text.len() <= BYTES_MAX)
            .ok_or_else(|| InvalidId::new("name of a limit", EXPECTED, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back_as_written() {
        for name in [
            LimitName::new("openai", "gpt-5.4-mini", "a1b2c3d4"),
            LimitName::new("openai", "accounts/x/models/llama{v3}", "00"),
            LimitName::new("", "", ""),
            LimitName::new(&"p".repeat(500), &"모".repeat(500), &"m".repeat(500)),
        ] {
            assert_eq!(name.as_str().parse(), Ok(name.clone()), "{name}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [
            "",
            "openai",
            "openai/gpt",
            "openai#a/b",
            "a b/c#d",
            "a/{b}#c",
            "a/b#",
        ] {
            let refused = bad.parse::<LimitName>().unwrap_err();
            assert!(refused.to_string().contains("provider/model#mark"), "{bad}");
        }
    }
}
