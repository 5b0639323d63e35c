//! Lines of a page that are not the article: notices, prompts, captions.

use std::sync::LazyLock;

use regex::Regex;

/// A longer line is a paragraph, whatever words it holds.
const LINE_CHARS_MAX: usize = 200;
/// A line at the edge that is shorter and ends no sentence is a leftover.
const FRAGMENT_CHARS: usize = 40;

static NOTICE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?ix) 무단\s*(?:전재|복제) | 재배포\s*(?:를\s*)?금지 | 저작권자 | AI\s*학습\s*이용
        | 기자\s*(?:프로필|페이지|구독) | 구독\s*응원 | 많이\s*본\s*(?:뉴스|기사) | 인기\s*기사
        | 제보는\s*카카오톡 | 네이버에서\s*구독 | 관련\s*기사\s*보기
        | all\s+rights\s+reserved | ^copyright\b | ^advertisement$ | ^share\s+this | ^read\s+more\b
        | ^related\s+(?:stories|articles) | ^sign\s+up\b | subscribe\s+to\s+(?:our|the)\b
        | newsletter | (?:we|site)\s+uses?\s+cookies | accept\s+all\s+cookies
        | terms\s+of\s+service | privacy\s+(?:policy|centre|center)
        | ^\S+@\S+\.\S+$",
    )
    .expect("the pattern is valid")
});

/// The text without notices, and without fragments before its first and
/// after its last sentence. Short lines in the middle stay: they are
/// subheadings and quotations more often than leftovers.
pub(crate) fn clean(text: &str, title: Option<&str>) -> String {
    let kept: Vec<&str> = text.lines().filter(|line| !is_notice(line)).collect();
    let is_edge = |line: &&str| is_fragment(line) || title.is_some_and(|title| title == *line);
    let start = kept.iter().take_while(|line| is_edge(line)).count();
    let end = kept[start..]
        .iter()
        .rev()
        .take_while(|line| is_edge(line))
        .count();
    kept[start..kept.len() - end].join("\n")
}

fn is_notice(line: &str) -> bool {
    line.chars().count() <= LINE_CHARS_MAX && NOTICE.is_match(line)
}

fn is_fragment(line: &str) -> bool {
    let ends = line.ends_with(['.', '?', '!', '。', '…', '"', '”', '’', '\'', ')', '」']);
    !ends && line.chars().count() < FRAGMENT_CHARS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_go_and_paragraphs_stay() {
        let text = "버스가 늘어난다.\n무단 전재 및 재배포 금지\ndyb@moapress.example";
        assert_eq!(clean(text, None), "버스가 늘어난다.");
        let long = format!(
            "{} newsletter.",
            "The council asked for a report. ".repeat(8)
        );
        assert_eq!(clean(&long, None), long);
    }

    #[test]
    fn fragments_are_cut_at_the_edges_only() {
        let text = "Home\nA title\nFirst sentence.\nA subheading\nLast sentence.\nShare";
        assert_eq!(
            clean(text, Some("A title")),
            "First sentence.\nA subheading\nLast sentence."
        );
    }
}
