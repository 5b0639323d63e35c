//! Telling Korean text from other text.

/// Whether a character is a Hangul syllable.
pub(crate) fn is_hangul(c: char) -> bool {
    ('\u{ac00}'..='\u{d7a3}').contains(&c)
}

/// Whether at least a third of a text's letters are Hangul. Korean articles
/// quote foreign names; foreign articles quote a Korean word at most.
pub(crate) fn mostly_hangul(text: &str) -> bool {
    let (mut letters, mut hangul) = (0_usize, 0_usize);
    for c in text.chars().filter(|c| c.is_alphabetic()) {
        letters += 1;
        hangul += usize::from(is_hangul(c));
    }
    hangul > 0 && hangul * 3 >= letters
}
