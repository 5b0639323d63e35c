//! What makes two enqueue requests the same.

use axum::http::HeaderMap;
use lovage_client::wire::EnqueueRequest;
use lovage_core::id::check_label;
use sha2::{Digest, Sha256};

use crate::convert::Caller;
use crate::error::{ApiError, at_parameter};

const KEY: &str = "idempotency-key";

/// SHA-256 of the request with its fields in order: two requests that differ
/// in spaces and order of fields only have the same one.
pub(crate) fn fingerprint(request: &EnqueueRequest) -> String {
    let mut value = serde_json::to_value(request).expect("a request has a JSON form");
    value.sort_all_objects();
    hex(&Sha256::digest(value.to_string()))
}

/// Lowercase hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the headers of an enqueue request say.
pub(crate) fn caller(headers: &HeaderMap) -> Result<Caller, ApiError> {
    let refused = |detail: String| ApiError::Invalid(vec![at_parameter("Idempotency-Key", detail)]);
    let key = match headers.get(KEY) {
        None => None,
        Some(value) => {
            let text = value
                .to_str()
                .map_err(|_| refused("expected visible ASCII".to_owned()))?;
            check_label(text).map_err(refused)?;
            Some(text.to_owned())
        }
    };
    let traceparent = headers.get("traceparent");
    let traceparent = traceparent.and_then(|value| value.to_str().ok());
    Ok(Caller {
        key,
        // A broken one starts a new trace, says W3C Trace Context.
        traceparent: traceparent
            .filter(|text| is_traceparent(text))
            .map(str::to_owned),
    })
}

/// The `Idempotency-Key` of one job of a batch.
pub(crate) fn of_item(caller: &Caller, index: usize) -> Caller {
    Caller {
        key: caller.key.as_ref().map(|key| format!("{key}#{index}")),
        ..caller.clone()
    }
}

/// Version 00 of W3C Trace Context, and what later versions have in common with it.
fn is_traceparent(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    let hex = |part: &str, len: usize| {
        part.len() == len
            && part
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let some = |part: &str| part.bytes().any(|b| b != b'0');
    match parts[..] {
        [version, trace, span, flags] => {
            hex(version, 2)
                && version != "ff"
                && hex(trace, 32)
                && some(trace)
                && hex(span, 16)
                && some(span)
                && hex(flags, 2)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_and_order_do_not_make_another_request_and_values_do() {
        let of = |text: &str| fingerprint(&serde_json::from_str(text).unwrap());
        let first = of(r#"{"kind":"a","input":{"x":1,"y":[{"b":1,"a":2}]}}"#);
        let same = of(r#"{ "input": {"y": [{"a":2, "b":1}], "x":1}, "kind": "a" }"#);
        let other = of(r#"{"kind":"a","input":{"x":1,"y":[{"b":1,"a":3}]}}"#);
        assert_eq!(first, same);
        assert_ne!(first, other);
        assert_eq!(first.len(), 64);
    }

    #[test]
    fn a_broken_traceparent_is_none() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert!(is_traceparent(good));
        for bad in [
            "",
            "00",
            &good.to_uppercase(),
            &good.replace('7', "g"),
            &good[..54],
        ] {
            assert!(!is_traceparent(bad), "{bad}");
        }
        assert!(!is_traceparent(&format!(
            "00-{}-b7ad6b7169203331-01",
            "0".repeat(32)
        )));
    }
}
