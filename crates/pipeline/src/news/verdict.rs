//! What came of a page: readable, closed, or not an article at all.

use std::sync::LazyLock;

use dom_query::{Document, Matcher};
use regex::Regex;

use super::text::selector;
use super::token::is_hangul;
use crate::script::types::Verdict;

/// A page with more text than this is read, whatever its notices say.
const CLOSED_CHARS_MAX: usize = 1_500;
/// Least length of an article. A Hangul syllable counts twice, as it says
/// about as much as two Latin letters.
const ARTICLE_LETTERS_MIN: usize = 180;
/// Above this share of link text a page is a list.
const LINK_DENSITY_MAX: f64 = 0.5;

static BLOCKED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?ix) checking\s+your\s+browser | ddos\s+protection\s+by | verify\s+(?:that\s+)?you\s+are\s+(?:a\s+)?human
        | enable\s+javascript\s+and\s+cookies\s+to\s+continue | attention\s+required!\s*\|\s*cloudflare
        | ^\s*(?:access\s+denied|403\s+forbidden) | unusual\s+traffic | 비정상적인\s*(?:접근|접속) | 자동화된\s*(?:접근|요청)",
    )
    .expect("the pattern is valid")
});

static PAYWALL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?ix) subscribe\s+(?:now\s+)?to\s+(?:continue|keep|read) | already\s+a\s+(?:subscriber|member)\?
        | subscribers?\s+only | to\s+continue\s+reading,?\s+(?:subscribe|log\s+in|sign\s+in)
        | 유료\s*(?:회원|구독자)\s*(?:전용|만) | 구독자\s*전용 | 이\s*기사는\s*유료
        | 로그인\s*(?:후|하시면)\s*전문 | 남은\s*기사를?\s*(?:더\s*)?보(?:시)?려면",
    )
    .expect("the pattern is valid")
});

static PAYWALL_PART: LazyLock<Matcher> =
    LazyLock::new(|| selector(r#"[class*="paywall"], [id*="paywall"]"#));

/// What the pages show about themselves, before and after cleaning.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signs<'a> {
    /// The visible text of the whole page.
    pub(crate) visible: &'a str,
    /// The extracted text with its notices: the cleaning removes the marks
    /// of a paywall, so they are looked for here.
    pub(crate) raw: &'a str,
    /// The extracted text without them.
    pub(crate) clean: &'a str,
    /// Share of link text.
    pub(crate) link_density: f64,
    /// The page itself says that it is not free to read.
    pub(crate) closed: bool,
}

/// Judge a page. Only `ok` may be cited.
pub(crate) fn judge(signs: Signs<'_>) -> Verdict {
    let chars = signs.clean.chars().count();
    let short = chars < CLOSED_CHARS_MAX;
    if short && BLOCKED.is_match(signs.visible) {
        Verdict::Blocked
    } else if short && (signs.closed || PAYWALL.is_match(signs.raw)) {
        Verdict::Paywall
    } else if signs.link_density > LINK_DENSITY_MAX {
        Verdict::Listing
    } else if letters(signs.clean) < ARTICLE_LETTERS_MIN {
        Verdict::TooShort
    } else {
        Verdict::Ok
    }
}

/// Whether a part of the page is named as its paywall and shows something.
pub(crate) fn has_paywall(doc: &Document) -> bool {
    let part = doc.select_matcher(&PAYWALL_PART);
    part.iter().any(|node| !node.text().trim().is_empty())
}

fn letters(text: &str) -> usize {
    text.chars().map(|c| if is_hangul(c) { 2 } else { 1 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNS: Signs<'static> = Signs {
        visible: "",
        raw: "",
        clean: "",
        link_density: 0.0,
        closed: false,
    };

    fn judged(text: &str, link_density: f64) -> Verdict {
        judge(Signs {
            visible: text,
            raw: text,
            clean: text,
            link_density,
            ..SIGNS
        })
    }

    #[test]
    fn pages_are_told_apart() {
        let article = "The council voted for the plan on Friday. ".repeat(6);
        assert_eq!(judged(&article, 0.1), Verdict::Ok);
        assert_eq!(judged(&article, 0.6), Verdict::Listing);
        assert_eq!(judged("Nothing here.", 0.0), Verdict::TooShort);
        let with = |notice: &str| judged(&format!("{article}{notice}"), 0.0);
        assert_eq!(with("Subscribe to continue reading."), Verdict::Paywall);
        assert_eq!(with("이 기사는 유료 회원 전용입니다."), Verdict::Paywall);
        assert_eq!(with("Checking your browser"), Verdict::Blocked);
    }

    #[test]
    fn a_notice_beside_a_long_text_closes_nothing() {
        let article = "The council voted for the plan on Friday. ".repeat(60);
        assert_eq!(
            judged(&format!("{article} Already a subscriber?"), 0.0),
            Verdict::Ok
        );
    }

    #[test]
    fn short_korean_news_are_articles() {
        let text = "15일 한빛시청 광장에서 열린 김장 나눔 행사에 시민 400명이 참여했다. ".repeat(3);
        assert_eq!(judged(&text, 0.0), Verdict::Ok);
    }
}
