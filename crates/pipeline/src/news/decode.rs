//! Bytes to text: byte order mark, then `Content-Type`, then the page's own
//! `<meta>`, then a guess.

use std::sync::LazyLock;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{EUC_KR, Encoding, UTF_8};
use regex::bytes::Regex;

/// How far into a page a `<meta>` charset is looked for; HTML says 1024, but
/// old pages put scripts before it.
const META_BYTES: usize = 4_096;

static META: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?i-u)<meta[^>]{0,200}charset\s*=\s*["']?\s*([A-Za-z0-9_:.-]{2,30})"#)
        .expect("the pattern is valid")
});

/// Decode a page. Never fails: what cannot be decoded becomes `U+FFFD`.
pub(crate) fn decode(body: &[u8], content_type: Option<&str>) -> String {
    let (encoding, mark) = match Encoding::for_bom(body) {
        Some((encoding, mark)) => (encoding, mark),
        None => (choose(body, content_type), 0),
    };
    let (text, _) = encoding.decode_without_bom_handling(&body[mark..]);
    text.into_owned()
}

fn choose(body: &[u8], content_type: Option<&str>) -> &'static Encoding {
    let declared = [content_type.and_then(header_label), meta_label(body)];
    // Text in another charset is hardly ever valid UTF-8 by chance, while
    // servers that declare an old default for UTF-8 pages are common.
    if !body.is_ascii() && std::str::from_utf8(body).is_ok() {
        return UTF_8;
    }
    let fitting = declared
        .into_iter()
        .flatten()
        .find(|encoding| fits(encoding, body));
    fitting.unwrap_or_else(|| guess(body))
}

fn header_label(content_type: &str) -> Option<&'static Encoding> {
    let media_type: mime::Mime = content_type.parse().ok()?;
    label(media_type.get_param(mime::CHARSET)?.as_str().as_bytes())
}

fn meta_label(body: &[u8]) -> Option<&'static Encoding> {
    let head = &body[..body.len().min(META_BYTES)];
    label(META.captures(head)?.get(1)?.as_bytes())
}

/// A charset by name; Korean servers also use names that WHATWG does not list.
fn label(name: &[u8]) -> Option<&'static Encoding> {
    let korean = [b"cp949".as_slice(), b"ms949", b"uhc", b"x-windows-949"];
    if korean.iter().any(|known| name.eq_ignore_ascii_case(known)) {
        return Some(EUC_KR);
    }
    Encoding::for_label(name)
}

/// Whether at most one character in a hundred is undecodable: a page with one
/// broken byte keeps its charset, a page in another charset does not.
fn fits(encoding: &&'static Encoding, body: &[u8]) -> bool {
    let (text, broken) = encoding.decode_without_bom_handling(body);
    if !broken {
        return true;
    }
    let wrong = text.chars().filter(|c| *c == '\u{fffd}').count();
    wrong * 100 <= text.chars().count()
}

fn guess(body: &[u8]) -> &'static Encoding {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(body, true);
    detector.guess(None, Utf8Detection::Allow)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "한빛시 심야버스가 다음 달부터 세 개 노선으로 늘어난다. 뷁 똠방";

    fn euc_kr(text: &str) -> Vec<u8> {
        EUC_KR.encode(text).0.into_owned()
    }

    #[test]
    fn charset_is_found_by_the_cascade() {
        let html = format!("<html><body>{TEXT}</body></html>");
        let meta = |charset: &str| {
            format!(r#"<html><head><meta charset="{charset}"></head><body>{TEXT}</body></html>"#)
        };
        let old = format!(
            r#"<meta http-equiv="Content-Type" content="text/html; charset=ks_c_5601-1987">{TEXT}"#
        );
        let marked = [b"\xef\xbb\xbf".as_slice(), html.as_bytes()].concat();
        let utf16: Vec<u8> = [0xfeff]
            .into_iter()
            .chain(html.encode_utf16())
            .flat_map(u16::to_le_bytes)
            .collect();
        let cases: Vec<(&str, Vec<u8>, Option<&str>)> = vec![
            (
                "mark beats header",
                marked,
                Some("text/html; charset=euc-kr"),
            ),
            ("utf-16 mark", utf16, None),
            (
                "header utf-8",
                html.clone().into(),
                Some("text/html; charset=utf-8"),
            ),
            (
                "header euc-kr",
                euc_kr(&html),
                Some("text/html; charset=EUC-KR"),
            ),
            (
                "header cp949",
                euc_kr(&html),
                Some("text/html; charset=cp949"),
            ),
            (
                "header quoted",
                euc_kr(&html),
                Some("text/html; charset=\"ms949\""),
            ),
            ("meta", euc_kr(&meta("euc-kr")), Some("text/html")),
            ("old meta", euc_kr(&old), None),
            (
                "wrong header, right meta",
                euc_kr(&meta("euc-kr")),
                Some("text/html; charset=utf-8"),
            ),
            (
                "declared old, is utf-8",
                meta("euc-kr").into(),
                Some("text/html; charset=euc-kr"),
            ),
            (
                "declared latin, is utf-8",
                html.clone().into(),
                Some("text/html; charset=iso-8859-1"),
            ),
            ("undeclared utf-8", html.clone().into(), None),
            ("undeclared euc-kr", euc_kr(&html.repeat(4)), None),
            (
                "unknown label",
                euc_kr(&html.repeat(4)),
                Some("text/html; charset=klingon"),
            ),
        ];
        for (name, body, content_type) in cases {
            let text = decode(&body, content_type);
            assert!(text.contains(TEXT), "{name}: {text}");
        }
    }

    #[test]
    fn one_broken_byte_does_not_change_the_charset() {
        let mut body = TEXT.repeat(10).into_bytes();
        body.push(0xff);
        let text = decode(&body, Some("text/html; charset=utf-8"));
        assert!(text.starts_with(TEXT));
        assert!(text.ends_with('\u{fffd}'));
    }
}
