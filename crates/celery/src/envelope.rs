//! Envelopes: kombu's frame around a body and its headers.

use std::borrow::Cow;
use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::read::ZlibDecoder;
use lovage_core::limits;
use lovage_core::payload::Payload;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::json::{self, Raw};

/// Size that a compressed body may have when inflated, in bytes: an input, and
/// the results that a canvas carries along.
const INFLATED_BYTES_MAX: usize = limits::RESULT_BYTES_MAX;

/// Where a message goes, and its properties.
#[derive(Debug, Clone)]
pub(crate) struct Address<'a> {
    pub(crate) exchange: &'a str,
    pub(crate) routing_key: &'a str,
    pub(crate) priority: u8,
    /// 2 is kept over a restart, 1 is not.
    pub(crate) delivery_mode: u8,
    pub(crate) correlation_id: Option<&'a str>,
    pub(crate) reply_to: Option<&'a str>,
}

/// The envelope around a JSON body, with a fresh delivery tag. Both texts may
/// hold what [`crate::json::strict`] made; Python gets its own tokens.
pub(crate) fn seal(body: &str, headers: &Payload, address: &Address<'_>) -> String {
    let sealed = Sealed {
        body: BASE64.encode(json::pythonic(body).as_bytes()),
        content_encoding: "utf-8",
        content_type: "application/json",
        headers,
        properties: SealedProperties {
            correlation_id: address.correlation_id,
            reply_to: address.reply_to,
            delivery_mode: address.delivery_mode,
            delivery_info: DeliveryInfo {
                exchange: address.exchange,
                routing_key: address.routing_key,
            },
            priority: address.priority,
            body_encoding: "base64",
            delivery_tag: Uuid::new_v4(),
        },
    };
    let text = serde_json::to_string(&sealed).expect("texts, numbers and a payload have JSON");
    json::pythonic(&text).into_owned()
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Sealed<'a> {
    body: String,
    content_encoding: &'a str,
    content_type: &'a str,
    headers: &'a Payload,
    properties: SealedProperties<'a>,
}

#[derive(Serialize)]
struct SealedProperties<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<&'a str>,
    delivery_mode: u8,
    delivery_info: DeliveryInfo<'a>,
    priority: u8,
    body_encoding: &'a str,
    delivery_tag: Uuid,
}

#[derive(Serialize)]
struct DeliveryInfo<'a> {
    exchange: &'a str,
    routing_key: &'a str,
}

/// The JSON body and headers of an envelope that is no task: control messages.
///
/// # Errors
/// What was expected and what came.
pub(crate) fn open(raw: &[u8]) -> Result<(Payload, Payload), String> {
    let text = text_of(raw)?;
    let envelope = Envelope::read(&text)?;
    let body = envelope.body()?;
    let body = Payload::parse(&body).map_err(|error| format!("body is no JSON: {error}"))?;
    let headers = envelope.headers.map_or("{}", |headers| headers.get());
    let headers = Payload::parse(headers).map_err(|error| format!("headers: {error}"))?;
    Ok((body, headers))
}

/// An envelope's text, as strict JSON.
///
/// # Errors
/// When the bytes are no text.
pub(crate) fn text_of(raw: &[u8]) -> Result<Cow<'_, str>, String> {
    let text = std::str::from_utf8(raw).map_err(|error| {
        let at = error.valid_up_to();
        format!("expected the message to be UTF-8, got other bytes at {at}")
    })?;
    Ok(json::strict(text))
}

/// An envelope as it came, borrowed. Nothing in it is required here, so that an
/// id can be read out of one that is wrong elsewhere.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Envelope<'a> {
    #[serde(borrow)]
    body: Raw<'a>,
    #[serde(borrow)]
    content_encoding: Raw<'a>,
    #[serde(borrow)]
    content_type: Raw<'a>,
    /// An object, where the producer is no stranger.
    #[serde(borrow)]
    pub(crate) headers: Raw<'a>,
    #[serde(borrow)]
    properties: Raw<'a>,
}

/// How a message travels.
#[derive(Deserialize, Default)]
pub(crate) struct Properties<'a> {
    #[serde(borrow)]
    body_encoding: Raw<'a>,
    #[serde(borrow)]
    delivery_info: Raw<'a>,
    #[serde(borrow)]
    priority: Raw<'a>,
}

#[derive(Deserialize, Default)]
struct Route<'a> {
    #[serde(borrow)]
    exchange: Raw<'a>,
    #[serde(borrow)]
    routing_key: Raw<'a>,
}

impl<'a> Envelope<'a> {
    /// Splits an envelope's text.
    ///
    /// # Errors
    /// When it is no JSON object.
    pub(crate) fn read(text: &'a str) -> Result<Self, String> {
        json::object(text, "the message")
    }

    /// The properties; none of them when there are none.
    ///
    /// # Errors
    /// When they are something else than an object.
    pub(crate) fn properties(&self) -> Result<Properties<'a>, String> {
        self.properties.map_or_else(
            || Ok(Properties::default()),
            |raw| json::object(raw.get(), "properties"),
        )
    }

    /// The body as strict JSON text.
    ///
    /// # Errors
    /// When it is of another content type, or broken.
    pub(crate) fn body(&self) -> Result<Cow<'a, str>, String> {
        self.check_content()?;
        let encoding = json::text(self.properties()?.body_encoding, "body_encoding")?;
        let body = json::text(self.body, "body")?.ok_or("the message has no body")?;
        let bytes = match encoding.as_deref() {
            Some(name) if name.eq_ignore_ascii_case("base64") => BASE64
                .decode(body.as_bytes())
                .map_err(|error| format!("body is no base64: {error}"))?,
            // A compressed body is no text, so this one is not compressed.
            None | Some("utf-8") => return Ok(strict(body)),
            Some(name) => return Err(format!("body_encoding {} is not known", brief(name))),
        };
        let bytes = match self.compression()?.as_deref() {
            None => bytes,
            // Python calls zlib's format gzip.
            Some("application/x-gzip") => inflate(&bytes)?,
            Some(name) => return Err(format!("compression {} is not taken", brief(name))),
        };
        let text = String::from_utf8(bytes)
            .map_err(|error| format!("body is no UTF-8: {}", error.utf8_error()))?;
        Ok(strict(Cow::Owned(text)))
    }

    /// Only JSON in UTF-8 is taken: pickle is a program, and none is run.
    fn check_content(&self) -> Result<(), String> {
        match json::text(self.content_type, "content-type")?.as_deref() {
            Some("application/json") => {}
            Some(name) => return Err(format!("content type {} is not taken", brief(name))),
            None => return Err("the message has no content type".to_owned()),
        }
        match json::text(self.content_encoding, "content-encoding")?.as_deref() {
            None => Ok(()),
            Some(name) if ["utf-8", "utf8", "us-ascii"].contains(&&*name.to_lowercase()) => Ok(()),
            Some(name) => Err(format!("content encoding {} is not taken", brief(name))),
        }
    }

    fn compression(&self) -> Result<Option<Cow<'a, str>>, String> {
        #[derive(Deserialize)]
        struct Headers<'a> {
            #[serde(borrow)]
            compression: Raw<'a>,
        }
        let Some(raw) = self.headers else {
            return Ok(None);
        };
        let headers: Headers<'a> = json::object(raw.get(), "headers")?;
        json::text(headers.compression, "compression")
    }
}

impl<'a> Properties<'a> {
    /// Celery's priority, 0 (most urgent) to 9; 0 when none can be read, as in kombu.
    pub(crate) fn priority(&self) -> u8 {
        let number: Option<f64> = json::member(self.priority, "priority", "a number")
            .ok()
            .flatten();
        // The cast saturates, and takes no number as 0.
        number.unwrap_or(0.0).min(9.0) as u8
    }

    /// Exchange and routing key.
    pub(crate) fn route(&self) -> (Cow<'a, str>, Cow<'a, str>) {
        let route: Route<'a> = self
            .delivery_info
            .and_then(|raw| json::object(raw.get(), "delivery_info").ok())
            .unwrap_or_default();
        let text = |raw, name| json::text(raw, name).ok().flatten().unwrap_or_default();
        (
            text(route.exchange, "exchange"),
            text(route.routing_key, "routing_key"),
        )
    }
}

/// A zlib stream's content; a small one may inflate to anything, so it is bounded.
fn inflate(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut inflated = Vec::new();
    ZlibDecoder::new(bytes)
        .take(INFLATED_BYTES_MAX as u64 + 1)
        .read_to_end(&mut inflated)
        .map_err(|error| format!("body is no zlib stream: {error}"))?;
    if inflated.len() > INFLATED_BYTES_MAX {
        return Err(format!(
            "body inflates to more than {INFLATED_BYTES_MAX} bytes"
        ));
    }
    Ok(inflated)
}

/// [`json::strict`] of a text that may be owned already.
fn strict(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => json::strict(text),
        Cow::Owned(text) => match json::strict(&text) {
            Cow::Owned(strict) => Cow::Owned(strict),
            Cow::Borrowed(_) => Cow::Owned(text),
        },
    }
}

/// The start of a text that somebody else chose, quoted, for an error.
pub(crate) fn brief(text: &str) -> String {
    format!("{:?}", text.chars().take(64).collect::<String>())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use super::*;

    fn deflate(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    fn control() -> Address<'static> {
        Address {
            exchange: "reply.celery.pidbox",
            routing_key: "oid",
            priority: 0,
            delivery_mode: 1,
            correlation_id: None,
            reply_to: None,
        }
    }

    #[test]
    fn what_is_sealed_is_opened() {
        let headers = Payload::parse(r#"{"clock":4}"#).expect("JSON");
        let sealed = seal(r#"{"w":["é","\ud800"]}"#, &headers, &control());
        let (body, back) = open(sealed.as_bytes()).expect("an envelope");
        assert_eq!(body.as_str(), r#"{"w":["é","\ud800"]}"#);
        assert_eq!(back, headers);
    }

    #[test]
    fn python_gets_its_own_tokens_and_gives_them() {
        let nan = r#"{"__type__":"float","__value__":"nan"}"#;
        let headers = Payload::parse(&format!(r#"{{"clock":{nan}}}"#)).expect("JSON");
        let sealed = seal(nan, &headers, &control());
        assert!(sealed.contains(r#""headers":{"clock":NaN}"#), "{sealed}");
        assert!(sealed.contains(&BASE64.encode("NaN")), "{sealed}");
        let (body, back) = open(sealed.as_bytes()).expect("an envelope");
        assert_eq!((body.as_str(), back), (nan, headers));
    }

    #[test]
    fn every_message_has_a_tag_of_its_own() {
        let headers = Payload::parse("{}").expect("JSON");
        let (one, other) = (
            seal("1", &headers, &control()),
            seal("1", &headers, &control()),
        );
        assert_ne!(one, other);
    }

    #[test]
    fn a_bomb_is_not_inflated() {
        let fits = deflate(&vec![b' '; INFLATED_BYTES_MAX]);
        assert_eq!(inflate(&fits).expect("fits").len(), INFLATED_BYTES_MAX);
        let bomb = deflate(&vec![b' '; INFLATED_BYTES_MAX + 1]);
        assert!(bomb.len() < INFLATED_BYTES_MAX / 100);
        let error = inflate(&bomb).expect_err("a bomb");
        assert_eq!(error, "body inflates to more than 16777216 bytes");
    }

    #[test]
    fn a_broken_stream_is_refused() {
        let whole = deflate(b"[[], {}, {}]");
        let cut = &whole[..whole.len() - 6];
        let mut wrong = whole.clone();
        *wrong.last_mut().expect("bytes") ^= 1;
        for bytes in [cut, &wrong, b"[[], {}, {}]", b""] {
            let error = inflate(bytes).expect_err("no stream");
            assert!(error.starts_with("body is no zlib stream"), "{error}");
        }
    }

    #[test]
    fn a_priority_is_one_of_ten() {
        for (text, priority) in [
            ("0", 0),
            ("3", 3),
            ("9", 9),
            ("10", 9),
            ("1e300", 9),
            ("-4", 0),
            ("2.0", 2),
            ("null", 0),
            ("\"high\"", 0),
        ] {
            let text = format!(r#"{{"priority": {text}}}"#);
            let properties: Properties<'_> = json::object(&text, "properties").expect("JSON");
            assert_eq!(properties.priority(), priority, "{text}");
        }
    }
}
