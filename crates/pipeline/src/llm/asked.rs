//! A request as a document: what tells it from every other, with its pictures
//! by their digests.

use serde_json::{Value, json};

use super::{ChatRequest, Llm, Role};
use crate::digest::sha256_hex;

/// Everything that the answer of `llm` to a request depends on.
pub(super) fn asked(llm: &dyn Llm, request: &ChatRequest) -> Value {
    let messages = request.messages.iter().map(|message| {
        let pictures = message.pictures.iter().map(|picture| {
            json!({ "media_type": picture.media_type, "sha256": sha256_hex(&picture.bytes) })
        });
        json!({
            "role": role(message.role),
            "text": message.text,
            "pictures": pictures.collect::<Vec<_>>(),
        })
    });
    json!({
        "provider": llm.name(),
        "model": llm.model(),
        "messages": messages.collect::<Vec<_>>(),
        "schema": request.schema,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
    })
}

fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}
