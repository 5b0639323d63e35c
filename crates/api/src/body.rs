//! Request bodies: bounded in size and time, JSON by declaration, read strictly.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_path_to_error::Segment;
use tokio::time::timeout;

use crate::error::{ApiError, at_pointer};
use crate::params::SHOWN_CHARS_MAX;
use crate::state::State;

/// Characters of a parser's complaint that are repeated: it may quote what was sent.
const COMPLAINT_CHARS_MAX: usize = 400;

/// A body that was sent as JSON and is text; not yet read.
#[derive(Debug)]
pub(crate) struct JsonText(String);

impl JsonText {
    /// Reads the text as `T`.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        read(&self.0)
    }
}

impl FromRequest<State> for JsonText {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &State) -> Result<Self, ApiError> {
        check_media_type(request.headers())?;
        let bytes = arrived(request, state).await?;
        String::from_utf8(bytes.into())
            .map(Self)
            .map_err(|error| ApiError::NotUtf8(error.utf8_error().valid_up_to()))
    }
}

/// The absence of a body, where one would be dropped: nothing, or an empty object.
#[derive(Debug)]
pub(crate) struct NoBody;

impl FromRequest<State> for NoBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &State) -> Result<Self, ApiError> {
        let bytes = arrived(request, state).await?;
        match bytes.trim_ascii() {
            b"" | b"{}" => Ok(Self),
            _ => Err(ApiError::Invalid(vec![at_pointer(
                "",
                "expected no body, got one",
            )])),
        }
    }
}

async fn arrived(request: Request, state: &State) -> Result<Bytes, ApiError> {
    let max = state.config.body_bytes_max;
    let body = timeout(
        state.config.read_timeout,
        Bytes::from_request(request, state),
    );
    let rejection = match body.await {
        Ok(Ok(bytes)) => return Ok(bytes),
        Ok(Err(rejection)) => rejection,
        Err(_) => return Err(ApiError::BodyTimeout),
    };
    Err(if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        ApiError::BodyTooLarge { max }
    } else {
        // The connection broke off: nobody reads this.
        ApiError::BodyTimeout
    })
}

fn check_media_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let value = headers.get(header::CONTENT_TYPE);
    let sent = value.map_or(Ok("nothing"), |value| value.to_str());
    let sent = sent.unwrap_or("something unreadable");
    let essence = sent.split(';').next().unwrap_or_default().trim();
    let is_json = essence.eq_ignore_ascii_case("application/json")
        || (essence.starts_with("application/") && essence.ends_with("+json"));
    if is_json {
        Ok(())
    } else {
        let shown = sent.chars().take(SHOWN_CHARS_MAX).collect();
        Err(ApiError::MediaType(shown))
    }
}

/// Reads JSON text as `T`; says where it does not fit.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, ApiError> {
    // serde would take an array for a struct, field by field.
    if text.trim_start().starts_with('[') {
        return Err(ApiError::Invalid(vec![at_pointer(
            "",
            "expected an object, got an array",
        )]));
    }
    read_any(text)
}

/// Reads JSON text as a `T` that may be an array.
pub(crate) fn read_any<T: DeserializeOwned>(text: &str) -> Result<T, ApiError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let pointer = pointer(error.path());
        refused(&pointer, error.inner())
    })?;
    deserializer.end().map_err(|error| refused("", &error))?;
    Ok(value)
}

fn refused(pointer: &str, error: &serde_json::Error) -> ApiError {
    let full = error.to_string();
    let bare = full
        .rsplit_once(" at line ")
        .map_or(&*full, |(bare, _)| bare);
    let message: String = in_words_of_json(bare)
        .chars()
        .take(COMPLAINT_CHARS_MAX)
        .collect();
    match error.classify() {
        Category::Data => ApiError::Invalid(vec![at_pointer(pointer, message)]),
        Category::Syntax | Category::Eof | Category::Io => ApiError::MalformedJson {
            line: error.line(),
            column: error.column(),
            message,
        },
    }
}

/// A complaint about a value of the wrong type or size, without the names that
/// types have in Rust.
fn in_words_of_json(complaint: &str) -> String {
    let wrong = ["invalid type: ", "invalid value: "]
        .iter()
        .find_map(|begin| complaint.strip_prefix(begin));
    let Some((got, expected)) = wrong.and_then(|wrong| wrong.rsplit_once(", expected ")) else {
        return complaint.to_owned();
    };
    let expected = match expected {
        "u8" => "an integer from 0 to 255",
        "u32" => "an integer from 0 to 4294967295",
        "u64" => "an integer from 0 up",
        "f64" => "a number",
        "a sequence" => "an array",
        "a map" => "an object",
        other if other.starts_with("struct ") => "an object",
        other => other,
    };
    let got = match got {
        "sequence" => "an array",
        "map" => "an object",
        other => other,
    };
    format!("expected {expected}, got {got}")
}

/// The JSON Pointer (RFC 6901) of a place.
fn pointer(path: &serde_path_to_error::Path) -> String {
    let mut pointer = String::new();
    for segment in path.iter() {
        pointer.push('/');
        match segment {
            Segment::Seq { index } => pointer.push_str(&index.to_string()),
            Segment::Map { key } => {
                pointer.push_str(&escaped(key));
            }
            Segment::Enum { variant } => pointer.push_str(variant),
            Segment::Unknown => pointer.push('?'),
        }
    }
    pointer
}

/// A name as a part of a JSON Pointer, cut to what is shown.
pub(crate) fn escaped(name: &str) -> String {
    let shown: String = name.chars().take(SHOWN_CHARS_MAX).collect();
    shown.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use lovage_client::wire::EnqueueRequest;

    use super::*;

    fn complaint(text: &str) -> (String, String) {
        match read::<EnqueueRequest>(text).unwrap_err() {
            ApiError::Invalid(mut errors) => {
                let error = errors.remove(0);
                (error.pointer.unwrap(), error.detail)
            }
            other => (String::from("-"), other.to_string()),
        }
    }

    #[test]
    fn what_does_not_fit_is_named_with_its_place() {
        let case = |text: &str, pointer: &str, begin: &str| {
            let (place, said) = complaint(text);
            assert_eq!(place, pointer, "{text}: {said}");
            assert!(said.starts_with(begin), "{text}: {said}");
        };
        case(
            r#"{"kind":"a","input":1,"qeueu":1}"#,
            "/qeueu",
            "unknown field `qeueu`",
        );
        case(
            r#"{"kind":"a","input":1,"a~/b":1}"#,
            "/a~0~1b",
            "unknown field",
        );
        case(
            r#"{"kind":"a","input":1,"webhook":"x"}"#,
            "/webhook",
            "unknown field",
        );
        case(
            r#"{"kind":"a","input":1,"priority":300}"#,
            "/priority",
            "expected an integer from 0 to 255, got integer `300`",
        );
        case(
            r#"{"kind":"a","input":1,"delay_s":1.5}"#,
            "/delay_s",
            "expected an integer from 0 up, got floating point `1.5`",
        );
        case(
            r#"{"kind":"a","input":1,"tags":{}}"#,
            "/tags",
            "expected an array, got an object",
        );
        case(
            r#"{"kind":"a","input":1,"unique":7}"#,
            "/unique",
            "expected an object, got integer `7`",
        );
        case(
            r#"{"kind":", expected u8","input":1,"queue":true}"#,
            "/queue",
            "expected a string, got boolean `true`",
        );
        case(
            r#"{"kind":"a","input":1,"id":"x"}"#,
            "/id",
            "UUID parsing failed",
        );
        case(
            r#"{"kind":"a","input":1,"unique":{"key":"k","on_conflict":"x"}}"#,
            "/unique/on_conflict",
            "unknown variant",
        );
        case(r#"{"input":1}"#, "", "missing field `kind`");
        case(
            r#"{"kind":"a","kind":"b","input":1}"#,
            "",
            "duplicate field `kind`",
        );
        case(
            r#" ["script.generate", {"topic": "x"}]"#,
            "",
            "expected an object, got an array",
        );
        case("{\"kind\":\n \"a\",}", "-", "line 2 column 6: ");
        case(
            r#"{"kind":"a","input":1} x"#,
            "-",
            "line 1 column 24: trailing characters",
        );
        case("", "-", "line 1 column 0: EOF");
        case(r#"{"kind":"a","input":[1,}"#, "-", "line 1 column 24: ");
    }
}
