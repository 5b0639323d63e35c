//! Splits extracted text into sentences, as byte ranges of that text.
//!
//! The standard segmentation (UAX 29) splits inside a Korean quotation and
//! after `Dr.`; a sentence that is copied word for word must be whole.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

/// Words that end in a full stop without ending a sentence.
const ABBREVIATIONS: &[&str] = &[
    "mr", "mrs", "ms", "dr", "prof", "rev", "gen", "sen", "rep", "gov", "lt", "col", "sgt", "capt",
    "st", "mt", "jr", "sr", "vs", "fig", "approx", "dept", "est", "jan", "feb", "mar", "apr",
    "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec",
];

/// Words that begin a sentence more often than they follow `U.S.`.
const STARTERS: &[&str] = &[
    "The", "A", "An", "It", "He", "She", "They", "We", "I", "In", "On", "At", "But", "And", "This",
    "That", "These", "Those", "Its", "His", "Her", "Their", "If", "When", "While", "After",
    "Before", "As", "For", "However", "Not", "There",
];

/// Words that follow a time of day without starting a sentence.
const AFTER_TIME: &[&str] = &[
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
    "ET",
    "EST",
    "EDT",
    "CT",
    "CST",
    "PT",
    "PST",
    "PDT",
    "GMT",
    "UTC",
    "KST",
    "BST",
    "CET",
];

/// What follows a Korean quotation within the same sentence.
const QUOTATIVES: &[&str] = &[
    "고",
    "라고",
    "이라고",
    "라며",
    "이라며",
    "며",
    "면서",
    "라면서",
    "이라면서",
    "라는",
    "이라는",
    "는",
    "란",
    "이란",
    "라",
    "하고",
    "하며",
];

/// The sentences of a text, in order, as byte ranges without surrounding
/// white space. A line break always ends a sentence: lines are paragraphs.
pub(crate) fn sentences(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        split_paragraph(text, start..start + line.len(), &mut found);
        start += line.len();
    }
    found
}

/// A sentence without the dateline or byline an agency puts before it:
/// `(한빛=모아통신) 백도윤 기자 = ` or `LUMEN BAY (Northline) - `.
pub(crate) fn without_byline(text: &str, sentence: Range<usize>) -> Range<usize> {
    static BYLINE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r"(?x)^(?:
                (?:[\[(][^\])\n]{1,40}[\])]\s*)? [가-힣\s·,]{0,30} (?:기자|특파원)\s*=\s*
                | [\[(][가-힣]{1,10}=[^\])\n]{1,20}[\])]\s*
                | \p{Lu}{2}[\p{L}\s.,'-]{0,40} \([\p{L}\s]{1,40}\)\s*[-–—]+\s+
            )",
        )
        .expect("the byline pattern compiles")
    });
    let length = BYLINE.find(&text[sentence.clone()]).map_or(0, |m| m.end());
    sentence.start + length..sentence.end
}

fn split_paragraph(text: &str, paragraph: Range<usize>, found: &mut Vec<Range<usize>>) {
    let offset = paragraph.start;
    let line = &text[paragraph];
    let mut quotes = Quotes::of(line);
    let (mut start, mut end) = (0, 0);
    while let Some(c) = line[end..].chars().next() {
        let at = end;
        end += c.len_utf8();
        if !is_terminator(c) {
            quotes.see(c, at);
            continue;
        }
        end = run_end(line, end, &mut quotes);
        let (before, run, rest) = (&line[start..at], &line[at..end], &line[end..]);
        if !quotes.open() && ends_sentence(before, c, run, rest) {
            push_trimmed(text, offset + start..offset + end, found);
            start = end;
        }
    }
    push_trimmed(text, offset + start..offset + line.len(), found);
}

/// The end of a run of terminators and closing quotes or brackets.
fn run_end(paragraph: &str, from: usize, quotes: &mut Quotes) -> usize {
    let mut end = from;
    while let Some(c) = paragraph[end..].chars().next() {
        let belongs = is_terminator(c) || is_closer(c) || (c == '"' && quotes.straight.open);
        if !belongs {
            break;
        }
        quotes.see(c, end);
        end += c.len_utf8();
    }
    end
}

/// Decides whether a run such as `.` or `."` ends the sentence `before`.
fn ends_sentence(before: &str, terminator: char, run: &str, rest: &str) -> bool {
    let after = rest.trim_start();
    if after.is_empty() {
        return true;
    }
    if after.len() == rest.len() {
        return false; // 1.92, example.com, `"…"며`
    }
    let next: String = after.chars().take_while(|c| c.is_alphanumeric()).collect();
    let quoted = run.chars().any(|c| is_closer(c) || c == '"');
    if quoted && QUOTATIVES.contains(&next.as_str()) {
        return false;
    }
    if next.starts_with(char::is_lowercase) {
        return false; // `"Stop." she said`, `approx. five`
    }
    terminator != '.' || !is_abbreviation(before, &next)
}

/// Whether the full stop after `before` belongs to an abbreviation, given the
/// word that follows.
fn is_abbreviation(before: &str, next: &str) -> bool {
    let word = before.rsplit(char::is_whitespace).next().unwrap_or(before);
    let word = word.trim_start_matches(|c: char| !c.is_alphanumeric());
    let lower = word.to_lowercase();
    if before.trim().chars().all(|c| c.is_ascii_digit()) && !before.trim().is_empty() {
        return true; // "1. First point"
    }
    if lower == "a.m" || lower == "p.m" {
        return AFTER_TIME.contains(&next) || next.starts_with(|c: char| c.is_ascii_digit());
    }
    if lower == "no" {
        return next.starts_with(|c: char| c.is_ascii_digit());
    }
    let mut letters = word.chars();
    let initial =
        letters.next().is_some_and(|c| c.is_ascii_uppercase()) && letters.next().is_none();
    let dotted = word.contains('.')
        && word
            .split('.')
            .all(|part| part.len() == 1 && part.is_ascii());
    if dotted {
        return !STARTERS.contains(&next);
    }
    (initial && word != "I") || ABBREVIATIONS.contains(&lower.as_str())
}

fn is_terminator(c: char) -> bool {
    matches!(c, '.' | '!' | '?' | '…' | '。' | '！' | '？')
}

fn is_closer(c: char) -> bool {
    // A straight single mark after a full stop closes; it opens after a space.
    matches!(c, '”' | '’' | '\'' | '」' | '』' | ')' | ']' | '》' | '〉')
}

fn push_trimmed(text: &str, range: Range<usize>, found: &mut Vec<Range<usize>>) {
    let raw = &text[range.clone()];
    let trimmed = raw.trim();
    if !trimmed.is_empty() {
        let start = range.start + (raw.len() - raw.trim_start().len());
        found.push(start..start + trimmed.len());
    }
}

/// Which double quotation marks are open. A mark that is never closed in the
/// paragraph opens nothing.
struct Quotes {
    straight: Quote,
    curly: Quote,
    corner: Quote,
}

struct Quote {
    open: bool,
    /// Where the paragraph closes one for the last time.
    last_closer: Option<usize>,
}

impl Quote {
    fn until(closer: Option<usize>) -> Self {
        Self {
            open: false,
            last_closer: closer,
        }
    }

    fn opens(&mut self, at: usize) {
        self.open = self.last_closer.is_some_and(|last| last > at);
    }
}

impl Quotes {
    fn of(paragraph: &str) -> Self {
        Self {
            straight: Quote::until(paragraph.rfind('"')),
            curly: Quote::until(paragraph.rfind('”')),
            corner: Quote::until(paragraph.rfind('」')),
        }
    }

    /// Notes the character at a byte of the paragraph.
    fn see(&mut self, c: char, at: usize) {
        match c {
            '"' if self.straight.open => self.straight.open = false,
            '"' => self.straight.opens(at),
            '“' => self.curly.opens(at),
            '”' => self.curly.open = false,
            '「' => self.corner.opens(at),
            '」' => self.corner.open = false,
            _ => {}
        }
    }

    fn open(&self) -> bool {
        self.straight.open || self.curly.open || self.corner.open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<&str> {
        sentences(text)
            .into_iter()
            .map(|range| &text[range])
            .collect()
    }

    #[test]
    fn splits_where_a_reader_would() {
        let table: &[&[&str]] = &[
            // Korean quotations stay whole, with and without a space after them.
            &[
                r#"그는 "지난 6개월 동안 사고는 없었다. 앞으로도 그럴 것이다"며 "필요한 서비스"라고 말했다."#,
                "다음 문장이다.",
            ],
            &[
                r#"남 교수는 "보존 기간부터 정해야 한다." 고 말했다."#,
                "의회는 논의한다.",
            ],
            &["그는 “안전하다.”라고 밝혔다.", "시는 답하지 않았다."],
            &["‘안전이 먼저다.’ 라는 구호가 걸렸다.", "반대도 있다."],
            &[r#"만족도는 78.4%였다."#, r#"불만은 1.5배 늘었다."#],
            &["확대…하루 1800명이 탄다.", "요금은 2026.11.16부터 오른다."],
            // English quotations.
            &[
                r#""I am not against the battery," she said."#,
                r#""I want them to charge it when the fish are not here.""#,
            ],
            &[r#""Stop it." she said, and left."#, "Nobody followed."],
            &["“It works. It is cheap.”", "The engineer smiled."],
            &["'안전이 먼저다.' 라는 구호가 걸렸다.", "반대도 있다."],
            // Times, states, titles, initials, decimals.
            &[
                "It charges between 5 p.m. and 1 a.m.",
                "Harbor Grid expects more.",
            ],
            &["It opens at 5 p.m. Tuesday in the hall.", "Entry is free."],
            &["The U.S. Senate voted.", "It passed."],
            &["It was made in the U.S.", "The cost was $1.92 a liter."],
            &["Dr. Ines Okafor met J. K. Voss.", "They spoke to Mr. Lee."],
            &[
                "See No. 5 in the list.",
                "The answer is no.",
                "Nothing else matters.",
            ],
            &["Really?!", "Yes!", "Wait... what?"],
            &["1. First point.", "2. Second point."],
            &["He left (at last).", "She stayed."],
        ];
        for expected in table {
            assert_eq!(&split(&expected.join(" ")), expected);
        }
    }

    #[test]
    fn a_line_break_always_ends_a_sentence() {
        assert_eq!(
            split("제목 줄\n \n본문이다. 둘째다.\n"),
            ["제목 줄", "본문이다.", "둘째다."]
        );
        assert_eq!(
            split("An \"open quote. Never closed.\nNext line."),
            ["An \"open quote.", "Never closed.", "Next line."]
        );
    }

    #[test]
    fn nothing_but_white_space_is_lost() {
        const PIECES: [&str; 12] = [
            "\"", "“", "”", ". ", "…", "다.", "\n", "A", "1.", "(", "」", " ",
        ];
        let mut state = 3_u32;
        for _ in 0..500 {
            let mut text = String::new();
            for _ in 0..30 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                text.push_str(PIECES[(state >> 16) as usize % PIECES.len()]);
            }
            let dense = |text: &str| text.split_whitespace().collect::<String>();
            assert_eq!(dense(&split(&text).concat()), dense(&text));
        }
    }

    #[test]
    fn bylines_are_cut_and_sentences_are_not() {
        for (text, rest) in [
            (
                "(한빛=모아통신) 백도윤 기자 = 한빛시가 밝혔다.",
                "한빛시가 밝혔다.",
            ),
            (
                "[한빛=모아통신] 백도윤 기자 = 한빛시가 밝혔다.",
                "한빛시가 밝혔다.",
            ),
            (
                "LUMEN BAY (Northline) - Lumen Bay switched on.",
                "Lumen Bay switched on.",
            ),
            ("SEOUL, Nov. 3 is a date.", "SEOUL, Nov. 3 is a date."),
            ("Iron-air cells are cheap.", "Iron-air cells are cheap."),
            ("N1 노선이 늘었다.", "N1 노선이 늘었다."),
        ] {
            assert_eq!(&text[without_byline(text, 0..text.len())], rest);
        }
    }
}
