//! How many tokens a text or a call will be, before the provider has counted.

use crate::script::hangul::is_hangul;

use super::{ChatRequest, Message, ladder};

/// Tokens of a Hangul syllable.
const HANGUL: f64 = 0.82;
/// Tokens of any other character.
const OTHER: f64 = 0.24;
/// Tokens of a picture in low detail, whatever its size (OpenAI, "Images and
/// vision": the base cost of `detail: low`).
pub const PICTURE_TOKENS: u64 = 85;
/// Tokens that frame a message: who speaks, where it begins and ends (OpenAI
/// Cookbook, "How to count tokens with tiktoken").
const MESSAGE_TOKENS: u64 = 4;
/// Allowance for an answer without a bound of its own.
pub const ANSWER_TOKENS: u64 = 1_024;

/// Tokens of a text, estimated: 0.82 per Hangul syllable and 0.24 per other
/// character, fitted to `o200k` on news text (within 15 %).
pub fn tokens_estimate(text: &str) -> usize {
    let (mut hangul, mut other) = (0_usize, 0_usize);
    for c in text.chars() {
        match is_hangul(c) {
            true => hangul += 1,
            false => other += 1,
        }
    }
    (HANGUL * hangul as f64 + OTHER * other as f64).ceil() as usize
}

/// Tokens of what is sent: the conversation as it goes out, with the schema
/// where there is one, and its pictures.
pub fn prompt_tokens(request: &ChatRequest) -> u64 {
    conversation_tokens(&ladder::conversation(request))
}

/// Tokens of messages as they go out.
pub(crate) fn conversation_tokens(messages: &[Message]) -> u64 {
    let message = |message: &Message| {
        MESSAGE_TOKENS
            + tokens_estimate(&message.text) as u64
            + PICTURE_TOKENS * message.pictures.len() as u64
    };
    messages.iter().map(message).sum()
}

/// The most tokens an answer may have: the bound that is sent, because that is
/// what providers count against the limit when a call begins.
pub fn answer_tokens(request: &ChatRequest) -> u64 {
    request.max_tokens.map_or(ANSWER_TOKENS, u64::from)
}

/// What the estimates of one model have been wrong by: an exponentially
/// weighted mean of used over estimated prompt tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Correction(f64);

impl Default for Correction {
    fn default() -> Self {
        Correction(1.0)
    }
}

impl Correction {
    /// What one more call counts.
    const WEIGHT: f64 = 0.2;
    /// A provider that counts something else entirely moves the factor no
    /// further than this, either way.
    const BOUND: f64 = 4.0;

    /// The estimate, corrected; rounded up.
    pub fn apply(self, estimate: u64) -> u64 {
        (estimate as f64 * self.0).ceil() as u64
    }

    /// Takes in what a call has really used. Calls without an estimate or
    /// without a count teach nothing.
    pub fn learn(&mut self, estimate: u64, used: u64) {
        if estimate == 0 || used == 0 {
            return;
        }
        let ratio = (used as f64 / estimate as f64).clamp(1.0 / Self::BOUND, Self::BOUND);
        self.0 += Self::WEIGHT * (ratio - self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Message, Picture, Role};
    use super::*;

    #[test]
    fn texts_cost_by_their_script() {
        let cases = [("", 0), ("Seoul", 2), ("서울", 2), ("서울 bus", 3)];
        for (text, tokens) in cases {
            assert_eq!(tokens_estimate(text), tokens, "{text:?}");
        }
    }

    #[test]
    fn a_request_is_its_messages_its_pictures_and_its_schema() {
        let picture = Picture {
            media_type: "image/png",
            bytes: bytes::Bytes::from_static(&[0; 100_000]),
        };
        let mut request = ChatRequest {
            messages: vec![Message::new(Role::User, "Seoul")],
            schema: None,
            max_tokens: None,
            temperature: None,
        };
        assert_eq!(prompt_tokens(&request), 6);
        assert_eq!(answer_tokens(&request), ANSWER_TOKENS);
        request.messages[0].pictures = vec![picture.clone(), picture];
        request.max_tokens = Some(300);
        assert_eq!(prompt_tokens(&request), 6 + 2 * PICTURE_TOKENS);
        assert_eq!(answer_tokens(&request), 300);
        let plain = prompt_tokens(&request);
        request.schema = Some(("plan".to_owned(), serde_json::json!({"type": "object"})));
        assert!(prompt_tokens(&request) > plain);
    }

    #[test]
    fn a_wrong_estimate_is_corrected_call_by_call() {
        let mut correction = Correction::default();
        assert_eq!(correction.apply(1_000), 1_000);
        for _ in 0..30 {
            correction.learn(1_000, 1_300);
        }
        assert!((1_290..=1_301).contains(&correction.apply(1_000)));
        correction.learn(0, 50);
        correction.learn(50, 0);
        assert!((1_290..=1_301).contains(&correction.apply(1_000)));
        correction.learn(1, 1_000_000);
        assert!(
            correction.apply(1_000) < 1_900,
            "one call moves it a little"
        );
    }
}
