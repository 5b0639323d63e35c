//! Removing a reasoning model's `<think>` blocks from a text that arrives in pieces.

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// Lets the answer through and holds the thinking back.
///
/// Some servers put the opening tag into the prompt, so that only the closing
/// one arrives; then everything before it was thinking.
#[derive(Debug, Default)]
pub(crate) struct ThinkFilter {
    held: String,
    thinking: bool,
    begun: bool,
}

/// What a piece added to the visible text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Visible {
    /// All that was visible before turned out to be thinking.
    pub(crate) reset: bool,
    /// What to append, after the reset if there is one.
    pub(crate) text: String,
}

impl ThinkFilter {
    /// Takes the next piece. The end of it is held back while it may be part of a tag.
    pub(crate) fn push(&mut self, piece: &str) -> Visible {
        self.held.push_str(piece);
        let mut visible = Visible::default();
        while let Some((at, tag)) = self.next_tag() {
            let before: String = self.held.drain(..at).collect();
            self.held.drain(..tag.len());
            if tag == OPEN {
                self.show(&before, &mut visible);
            } else if !self.thinking {
                self.begun = false;
                visible = Visible {
                    reset: true,
                    text: String::new(),
                };
            }
            self.thinking = tag == OPEN;
        }
        let safe = self.held.len() - self.partial_tag();
        let before: String = self.held.drain(..safe).collect();
        if !self.thinking {
            self.show(&before, &mut visible);
        }
        visible
    }

    /// What was still held back when the text ended.
    pub(crate) fn finish(&mut self) -> String {
        let held = std::mem::take(&mut self.held);
        let mut visible = Visible::default();
        if !self.thinking {
            self.show(&held, &mut visible);
        }
        visible.text
    }

    /// The first tag that means something here: inside a block only its end does.
    fn next_tag(&self) -> Option<(usize, &'static str)> {
        let close = self.held.find(CLOSE).map(|at| (at, CLOSE));
        if self.thinking {
            return close;
        }
        let open = self.held.find(OPEN).map(|at| (at, OPEN));
        match (open, close) {
            (Some(open), Some(close)) => Some(open.min(close)),
            (open, close) => open.or(close),
        }
    }

    /// Appends to the visible text, which never begins with white space.
    fn show(&mut self, text: &str, visible: &mut Visible) {
        let text = if self.begun { text } else { text.trim_start() };
        self.begun |= !text.is_empty();
        visible.text.push_str(text);
    }

    /// Bytes at the end that may be the beginning of a tag.
    fn partial_tag(&self) -> usize {
        let fits = |len: &usize| {
            [OPEN, CLOSE].iter().any(|tag| {
                tag.get(..*len)
                    .is_some_and(|start| self.held.ends_with(start))
            })
        };
        (1..CLOSE.len()).rev().find(fits).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The visible text when the input is cut at every one of `cuts`.
    fn filter(pieces: &[&str]) -> String {
        let mut think = ThinkFilter::default();
        let mut text = String::new();
        for piece in pieces {
            let visible = think.push(piece);
            if visible.reset {
                text.clear();
            }
            text.push_str(&visible.text);
        }
        text.push_str(&think.finish());
        text
    }

    #[test]
    fn thinking_is_removed_wherever_the_text_is_cut() {
        let cases = [
            ("<think>음, 어디 보자</think>\n\n답 < 3", "답 < 3"),
            ("no thoughts", "no thoughts"),
            ("이것은 생각\n</think>답", "답"),
            ("<think>never ended", ""),
            ("a <think>b</think> c", "a  c"),
            ("ends in <thin", "ends in <thin"),
        ];
        for (text, visible) in cases {
            for (cut, _) in text.char_indices() {
                let (head, tail) = text.split_at(cut);
                assert_eq!(filter(&[head, tail]), visible, "{text:?} cut at {cut}");
            }
        }
    }
}
