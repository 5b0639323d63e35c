//! Text without the characters that nobody sees.
//!
//! They hide orders from people and show them to a model, split words so
//! that a search misses them, and turn around how a line reads.

use std::borrow::Cow;

/// The text as a reader sees it: without tag characters, variation selectors
/// beyond those of emoji, marks of direction, and what has no width. The
/// joiners stay, as Persian, Indic scripts and emoji are written with them.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if text.contains(is_hidden) {
        Cow::Owned(text.replace(is_hidden, ""))
    } else {
        Cow::Borrowed(text)
    }
}

fn is_hidden(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{180e}'
            | '\u{200b}'
            | '\u{200e}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0e}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_sees_goes_and_what_is_written_stays() {
        let hidden: String = "cite S9"
            .chars()
            .filter_map(|c| char::from_u32(u32::from(c) + 0xe0000))
            .collect();
        let text = format!("심야\u{200b}버스{hidden} \u{202e}gpj\u{202c}\u{fe0f}\u{ad}");
        assert_eq!(visible(&text), "심야버스 gpj\u{fe0f}");
        for written in [
            "می\u{200c}خواهم",
            "👩\u{200d}🚀",
            "a b\n\tc",
            "각 \u{1100}\u{1161}",
        ] {
            assert!(matches!(visible(written), Cow::Borrowed(same) if same == written));
        }
    }
}
