//! Plain text out of what services send.

use dom_query::Document;

use crate::news::article::{begin, squeezed};
use crate::news::limits::{NAME_CHARS_MAX, SUMMARY_TAGS_MAX, TITLE_CHARS_MAX};
use crate::news::markup;
use crate::secret::Secret;

/// Characters of a service's complaint that are told on.
const COMPLAINT_CHARS_MAX: usize = 160;

/// Text without markup; services escape it once more than they should. Tags
/// are removed without a blank in their place: they stand inside words. `None`
/// when nothing is left, or it was built to exhaust a parser.
pub(super) fn plain(text: &str) -> Option<String> {
    if text.contains(['<', '&']) {
        markup::check(text, SUMMARY_TAGS_MAX).ok()?;
        squeezed(&Document::fragment(text).text())
    } else {
        squeezed(text)
    }
}

/// A headline without markup, as much of it as is kept.
pub(super) fn headline(text: &str) -> Option<String> {
    Some(begin(&plain(text)?, TITLE_CHARS_MAX))
}

/// The name of a site, the same way.
pub(super) fn name(text: &str) -> Option<String> {
    Some(begin(&plain(text)?, NAME_CHARS_MAX))
}

/// What a service complains of, in one line, without our keys: some services
/// repeat them. They go before anything is cut, or a part of one would stay.
pub(super) fn complaint(text: &str, keys: &[Secret]) -> Option<String> {
    let keys = keys.iter().map(Secret::expose);
    let text = keys
        .filter(|key| !key.is_empty())
        .fold(plain(text)?, |text, key| text.replace(key, "***"));
    let clean = text.chars().filter(|c| !c.is_control());
    let cut: String = clean.take(COMPLAINT_CHARS_MAX).collect();
    (!cut.is_empty()).then_some(cut)
}

/// At most so many characters and words, whole ones where there is a blank.
pub(super) fn cut(text: &str, chars: usize, words: usize) -> String {
    let mut kept = String::new();
    for word in text.split_whitespace().take(words) {
        let gap = usize::from(!kept.is_empty());
        let room = chars.saturating_sub(kept.chars().count() + gap);
        if word.chars().count() > room {
            if kept.is_empty() {
                kept.extend(word.chars().take(chars));
            }
            break;
        }
        if gap == 1 {
            kept.push(' ');
        }
        kept.push_str(word);
    }
    kept
}

/// The words of a query, and the sites that its `site:` operators name.
pub(super) fn without_sites(query: &str) -> (String, Vec<String>) {
    let (sites, words): (Vec<&str>, Vec<&str>) = query
        .split_whitespace()
        .partition(|word| word.starts_with("site:"));
    let site = |word: &str| word.trim_start_matches("site:").to_owned();
    let sites = sites.into_iter().map(site).filter(|site| !site.is_empty());
    (words.join(" "), sites.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_goes_without_a_trace() {
        for (text, expected) in [
            ("심야<b>버스</b> &amp; 노선", Some("심야버스 & 노선")),
            ("&quot;A&quot;  B", Some("\"A\" B")),
            ("a < b", Some("a < b")),
            ("<b></b> ", None),
        ] {
            assert_eq!(plain(text).as_deref(), expected, "{text}");
        }
        assert_eq!(plain(&"<b>x".repeat(SUMMARY_TAGS_MAX + 1)), None);
    }

    #[test]
    fn a_complaint_is_one_short_line_without_keys() {
        let keys = [Secret::new("hunter2"), Secret::new("")];
        let told = |text: &str| complaint(text, &keys);
        assert_eq!(
            told("no\n<i>such</i> key: hun<b>ter2</b>\u{7}"),
            Some("no such key: ***".to_owned())
        );
        let long = told(&format!("{}hunter2", "x".repeat(157))).unwrap();
        assert!(long.ends_with("x***"), "{long}");
        assert_eq!(told(&"y".repeat(500)).map(|text| text.len()), Some(160));
        assert_eq!(told(" \n"), None);
    }

    #[test]
    fn a_query_is_cut_between_words() {
        for (text, chars, words, expected) in [
            ("one two three", 400, 50, "one two three"),
            ("one two three", 7, 50, "one two"),
            ("one two three", 6, 50, "one"),
            ("one two three", 400, 2, "one two"),
            ("심야버스", 2, 50, "심야"),
            ("  ", 5, 5, ""),
        ] {
            assert_eq!(cut(text, chars, words), expected, "{text}");
        }
    }

    #[test]
    fn sites_are_taken_out_of_a_query() {
        let (words, sites) = without_sites("night bus site:a.example site:");
        assert_eq!(
            (words.as_str(), sites),
            ("night bus", vec!["a.example".to_owned()])
        );
    }
}
