//! Markup that is built to exhaust a parser, told before it is parsed: parsing
//! is quadratic in open tags, and in the attributes of one tag.

use super::limits::ATTRIBUTES_MAX;

/// What there is too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Flood {
    #[error("more than {0} tags")]
    Tags(usize),
    #[error("more than {ATTRIBUTES_MAX} attributes in a tag")]
    Attributes,
}

/// Whether a parser may have it.
pub(super) fn check(html: &str, tags_max: usize) -> Result<(), Flood> {
    let opened = html.as_bytes().windows(2);
    let tags = opened
        .filter(|pair| pair[0] == b'<' && pair[1].is_ascii_alphabetic())
        .count();
    if tags > tags_max {
        return Err(Flood::Tags(tags_max));
    }
    if attributes(html) > ATTRIBUTES_MAX {
        return Err(Flood::Attributes);
    }
    Ok(())
}

/// Where a parser may be inside a tag (HTML, section 13.2.5).
#[derive(Clone, Copy)]
enum At {
    /// Behind `<`.
    Open,
    /// In the tag's name.
    Tag,
    /// Before an attribute's name.
    Gap,
    Name,
    AfterName,
    /// Behind `=`.
    Equals,
    Bare,
    Single,
    Double,
}

const PLACES: usize = 9;

impl At {
    const ALL: [At; PLACES] = [
        At::Open,
        At::Tag,
        At::Gap,
        At::Name,
        At::AfterName,
        At::Equals,
        At::Bare,
        At::Single,
        At::Double,
    ];

    /// Where the next byte leads; nowhere where it ends the tag, or there is none.
    fn next(self, byte: u8) -> Option<At> {
        let blank = byte.is_ascii_whitespace();
        Some(match (self, byte) {
            (At::Single, b'\'') | (At::Double, b'"') => At::Gap,
            (At::Single | At::Double, _) => self,
            (_, b'>') => return None,
            (At::Open, _) if byte == b'/' || byte.is_ascii_alphabetic() => At::Tag,
            (At::Open, _) => return None,
            (At::Equals, b'"') => At::Double,
            (At::Equals, b'\'') => At::Single,
            (At::Equals, _) if blank => At::Equals,
            (At::Equals | At::Bare, _) if !blank => At::Bare,
            (At::Name | At::AfterName, b'=') => At::Equals,
            (At::Name | At::AfterName, _) if blank => At::AfterName,
            (_, b'/') => At::Gap,
            (_, _) if blank => At::Gap,
            (At::Tag, _) => At::Tag,
            _ => At::Name,
        })
    }
}

/// Most attributes that any tag can have. What is a tag depends on comments
/// and scripts around it; so each `<` may begin one here, and of those that
/// have come to the same place the longest goes on.
fn attributes(html: &str) -> usize {
    let mut most = 0;
    let mut live: [Option<usize>; PLACES] = [None; PLACES];
    for byte in html.bytes() {
        let mut next = [None; PLACES];
        for at in At::ALL {
            let Some(count) = live[at as usize] else {
                continue;
            };
            let Some(to) = at.next(byte) else {
                continue;
            };
            let begins = matches!((at, to), (At::Gap | At::AfterName, At::Name));
            let count = count + usize::from(begins);
            most = most.max(count);
            next[to as usize] = next[to as usize].max(Some(count));
        }
        live = next;
        if byte == b'<' {
            live[At::Open as usize] = Some(0);
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_counted_wherever_a_tag_may_begin() {
        for (html, expected) in [
            ("plain text without any", 0),
            ("<a>", 0),
            ("<p>many words outside of a tag</p> 1 < 2", 0),
            ("<a b c=d e='f g' h=\"i j\" k>", 5),
            ("<a b=1/c/d>", 1),
            ("<a/b/c>", 2),
            ("<a b=\"c'd\"e f>", 3),
            ("<a b = c d>", 2),
            ("<a b=c\"d e>", 2),
            ("<a b =\">\" c>", 2),
            // No value: a quote in the name of a tag.
            ("<a=\"b c d\">", 2),
            ("</a=\"b c\">", 1),
            // A quote that a comment opened hides nothing.
            ("<!-- <a b=\" --><c d e f g h i>", 6),
        ] {
            assert_eq!(attributes(html), expected, "{html}");
        }
    }

    #[test]
    fn floods_are_refused() {
        let many = |count: usize| -> String {
            let attributes: String = (0..count).map(|i| format!(" a{i}=\">\"")).collect();
            format!("<a{attributes}>")
        };
        assert_eq!(check(&many(ATTRIBUTES_MAX), 1), Ok(()));
        assert_eq!(check(&many(ATTRIBUTES_MAX + 1), 1), Err(Flood::Attributes));
        assert_eq!(check("<b><b>", 1), Err(Flood::Tags(1)));
    }
}
