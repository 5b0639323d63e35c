//! A story in passages that a model can rewrite whole, one after the other.

use std::ops::Range;

/// Characters of a passage. Its revision has to fit into one answer, and grow:
/// 6,000 Korean characters are about 5,000 tokens.
const CHARS_MAX: usize = 6_000;

/// Where to cut: passages as byte ranges that make up the whole story, cut
/// between paragraphs where possible, else between sentences, else between
/// words, else anywhere.
pub(super) fn passages(story: &str) -> Vec<Range<usize>> {
    let mut passages = Vec::new();
    let mut start = 0;
    while start < story.len() {
        let rest = &story[start..];
        let length = match rest.char_indices().nth(CHARS_MAX) {
            Some((limit, _)) => cut(&rest[..limit]),
            None => rest.len(),
        };
        passages.push(start..start + length);
        start += length;
    }
    passages
}

/// Bytes of the longest beginning that ends well; all of it when none does.
fn cut(text: &str) -> usize {
    let after = |found: Option<usize>, mark: &str| found.map(|at| at + mark.len());
    let paragraph = after(text.rfind("\n\n"), "\n\n").or(after(text.rfind('\n'), "\n"));
    let sentence = || {
        let ends = [". ", "? ", "! ", "” ", "\" "];
        ends.iter()
            .filter_map(|end| after(text.rfind(end), end))
            .max()
    };
    let word = || after(text.rfind(' '), " ");
    // A border near the beginning would make a passage of almost nothing.
    let far = |at: &usize| *at >= text.len() / 4;
    let found = paragraph.filter(far);
    let found = found.or_else(|| sentence().filter(far));
    found.or_else(|| word().filter(far)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(story: &str) -> Vec<&str> {
        passages(story)
            .into_iter()
            .map(|range| &story[range])
            .collect()
    }

    #[test]
    fn passages_make_up_the_story_and_end_where_a_paragraph_does() {
        assert_eq!(texts("One.\n\nTwo."), ["One.\n\nTwo."]);
        let paragraph = "그날 밤 버스는 오지 않았다. ".repeat(100) + "\n\n";
        let story = paragraph.repeat(12);
        let parts = texts(&story);
        assert_eq!(parts.concat(), story);
        assert!(parts.len() > 2);
        for part in &parts {
            assert!(part.chars().count() <= CHARS_MAX && part.ends_with("\n\n"));
        }
    }

    #[test]
    fn without_paragraphs_a_sentence_a_word_or_anything_ends_it() {
        for (story, end) in [
            ("They waited. ".repeat(2_000), ". "),
            ("word ".repeat(5_000), "word "),
            ("가".repeat(20_000), "가"),
        ] {
            let parts = texts(&story);
            assert_eq!(parts.concat(), story);
            assert!(parts.len() > 1 && parts.iter().all(|part| part.ends_with(end)));
        }
    }
}
