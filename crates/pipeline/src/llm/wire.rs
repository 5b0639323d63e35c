//! The request body of `POST /chat/completions`.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

use super::ladder::{Bound, Format, Parameter, Shape};
use super::{ChatRequest, Message, Picture, Role};

/// The body for this conversation, in the shape the model is known to take.
pub(crate) fn body(
    model: &str,
    request: &ChatRequest,
    messages: &[Message],
    shape: Shape,
    stream: bool,
) -> Value {
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
    put("model", model.into());
    put("messages", messages.iter().map(message).collect());
    if let Some(temperature) = request.temperature
        && !shape.without_temperature
    {
        put(Parameter::Temperature.as_str(), rounded(temperature));
    }
    match (request.max_tokens, shape.bound) {
        (None, _) | (_, Bound::Unbounded) => None,
        (Some(bound), Bound::MaxTokens) => put(Parameter::MaxTokens.as_str(), bound.into()),
        (Some(bound), Bound::MaxCompletionTokens) => {
            put(Parameter::MaxCompletionTokens.as_str(), bound.into())
        }
    };
    if let Some(format) = response_format(request, shape.format) {
        put(Parameter::ResponseFormat.as_str(), format);
    }
    if stream {
        put("stream", true.into());
        if !shape.without_stream_options {
            put(
                Parameter::StreamOptions.as_str(),
                json!({"include_usage": true}),
            );
        }
    }
    Value::Object(body)
}

fn message(message: &Message) -> Value {
    let role = match message.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    if message.pictures.is_empty() {
        return json!({"role": role, "content": message.text});
    }
    let text = json!({"type": "text", "text": message.text});
    let pictures = message.pictures.iter().map(picture);
    let content: Vec<Value> = std::iter::once(text).chain(pictures).collect();
    json!({"role": role, "content": content})
}

/// `low` detail: what a picture shows is asked for, not its small print, and a
/// picture then costs the same whatever its size.
fn picture(picture: &Picture) -> Value {
    let data = BASE64_STANDARD.encode(&picture.bytes);
    let url = format!("data:{};base64,{data}", picture.media_type);
    json!({"type": "image_url", "image_url": {"url": url, "detail": "low"}})
}

fn response_format(request: &ChatRequest, format: Format) -> Option<Value> {
    let (name, schema) = request.schema.as_ref()?;
    match format {
        Format::JsonSchema => Some(json!({
            "type": "json_schema",
            "json_schema": {"name": name, "strict": true, "schema": schema},
        })),
        Format::JsonObject => Some(json!({"type": "json_object"})),
        Format::Plain => None,
    }
}

/// 0.2, not the 0.20000000298023224 that widening an `f32` gives.
fn rounded(temperature: f32) -> Value {
    ((f64::from(temperature) * 1000.0).round() / 1000.0).into()
}
