//! Signatures sent as tasks: plain ones, chains, groups, chords.

use std::sync::Arc;

use lovage_core::clock::Clock;
use lovage_core::payload::Payload;

use crate::backend::Backend;
use crate::config::CeleryConfig;
use crate::signature::Signature;
use crate::transport::{RedisResult, Transport};

/// What sending and finishing need.
#[derive(Clone)]
pub(crate) struct Canvas {
    pub(crate) transport: Transport,
    pub(crate) backend: Backend,
    pub(crate) config: Arc<CeleryConfig>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Canvas {
    /// Sends a signature with `results` in front of its arguments; gives its result
    /// tuple, as `children` of a result holds it.
    pub(crate) async fn send(
        &self,
        signature: &Signature,
        results: &[Payload],
        root: &str,
        parent: &str,
    ) -> RedisResult<Payload> {
        let _ = (signature, results, root, parent);
        todo!("canvas")
    }
}
