//! An image as it is kept.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An image drawn anew as a JPEG, its longest edge at most
/// [`super::limits::EDGE_MAX`] pixels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The JPEG; in JSON as Base64.
    #[serde(serialize_with = "encoded", deserialize_with = "decoded")]
    pub jpeg: Bytes,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// SHA-256 of the JPEG, in hex.
    pub sha256: String,
    /// What it looks like, see [`super::repeats`].
    pub look: u64,
    /// The file ended early: the lower part of the picture is missing.
    pub truncated: bool,
}

fn encoded<S: Serializer>(jpeg: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&BASE64_STANDARD.encode(jpeg))
}

fn decoded<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    let text = String::deserialize(deserializer)?;
    let jpeg = BASE64_STANDARD.decode(text).map_err(de::Error::custom)?;
    Ok(jpeg.into())
}
