//! Query parameters and path segments: each is honoured or refused.

use std::str::FromStr;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use lovage_client::wire::FieldError;
use lovage_core::id::InvalidId;
use url::form_urlencoded;

use crate::error::{ApiError, at_parameter};

/// Characters of a wrong value that are repeated.
pub(crate) const SHOWN_CHARS_MAX: usize = 80;

/// The query parameters that nobody asked for yet, and what is wrong with the others.
#[derive(Debug, Default)]
pub(crate) struct Params {
    left: Vec<(String, String)>,
    errors: Vec<FieldError>,
}

impl Params {
    fn parse(query: &str) -> Self {
        Self {
            left: form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
            errors: Vec::new(),
        }
    }

    /// Every value of a parameter, in order.
    pub(crate) fn all(&mut self, name: &str) -> Vec<String> {
        self.left
            .extract_if(.., |(key, _)| key == name)
            .map(|(_, value)| value)
            .collect()
    }

    /// The one value of a parameter.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        let mut values = self.all(name);
        if values.len() > 1 {
            self.refuse(name, format!("expected once, got {} times", values.len()));
        }
        values.pop()
    }

    /// The one value of a parameter, read by `read`.
    pub(crate) fn one<T>(
        &mut self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(name)?;
        let value = read(&text);
        if value.is_none() {
            let got: String = text.chars().take(SHOWN_CHARS_MAX).collect();
            self.refuse(name, format!("expected {expected}, got {got:?}"));
        }
        value
    }

    /// Remembers that a parameter is wrong.
    pub(crate) fn refuse(&mut self, name: &str, detail: impl Into<String>) {
        self.errors.push(at_parameter(name, detail));
    }

    /// Refuses when a parameter was wrong or is left over.
    pub(crate) fn finish(mut self) -> Result<(), ApiError> {
        for (name, _) in std::mem::take(&mut self.left) {
            let name: String = name.chars().take(SHOWN_CHARS_MAX).collect();
            self.refuse(
                &name,
                "expected a parameter of this path, see /openapi.json; there is none of this name",
            );
        }
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(ApiError::Invalid(self.errors))
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

/// The absence of query parameters, where any would be dropped.
#[derive(Debug)]
pub(crate) struct NoParams;

impl<S: Sync> FromRequestParts<S> for NoParams {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let params = Params::from_request_parts(parts, state).await?;
        params.finish().map(|()| Self)
    }
}

/// The one variable segment of the path, parsed.
#[derive(Debug)]
pub(crate) struct Segment<T>(pub(crate) T);

impl<S: Sync + Send, T: FromStr<Err = InvalidId>> FromRequestParts<S> for Segment<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| refused("path", rejection.body_text()))?;
        parsed(&text).map(Self)
    }
}

/// The two variable segments of the path: one parsed, and a name below it.
#[derive(Debug)]
pub(crate) struct Segments<T>(pub(crate) T, pub(crate) String);

impl<S: Sync + Send, T: FromStr<Err = InvalidId>> FromRequestParts<S> for Segments<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path((text, name)) = Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| refused("path", rejection.body_text()))?;
        Ok(Self(parsed(&text)?, name))
    }
}

fn parsed<T: FromStr<Err = InvalidId>>(text: &str) -> Result<T, ApiError> {
    text.parse()
        .map_err(|error: InvalidId| refused(error.what, error.to_string()))
}

fn refused(name: &str, detail: String) -> ApiError {
    ApiError::Invalid(vec![at_parameter(name, detail)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_wrong_with_a_query_is_said_at_once() {
        let mut params = Params::parse("a=1&a=2&b=x&c=%E2%98%83&state=x&state=y");
        assert_eq!(params.all("state"), ["x", "y"]);
        assert_eq!(params.text("a").as_deref(), Some("2"));
        assert_eq!(
            params.one("b", "a number", |text| text.parse::<u8>().ok()),
            None
        );
        let Err(ApiError::Invalid(errors)) = params.finish() else {
            panic!("three parameters are wrong");
        };
        let said: Vec<_> = errors
            .iter()
            .map(|error| (error.parameter.as_deref().unwrap(), error.detail.as_str()))
            .collect();
        assert_eq!(
            said,
            [
                ("a", "expected once, got 2 times"),
                ("b", "expected a number, got \"x\""),
                (
                    "c",
                    "expected a parameter of this path, see /openapi.json; there is none of this name"
                ),
            ]
        );
    }
}
