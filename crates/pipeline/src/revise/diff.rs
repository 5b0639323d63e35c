//! What a revision has changed: lines, and the words inside them.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use similar::{ChangeTag, DiffOp, DiffTag, InlineChange, InlineChangeOptions, TextDiff};

/// Unchanged lines shown around a change.
const CONTEXT_LINES: usize = 2;
/// A revised paragraph is compared word by word when this much of it has stayed.
const ALIKE_MIN: f32 = 0.3;
/// Texts that are hard to compare are compared less finely from here on.
const PATIENCE: Duration = Duration::from_secs(2);

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It stands in both texts.
    Equal,
    /// In the old one alone.
    Delete,
    /// In the new one alone.
    Insert,
}

/// A run of a line's characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// The characters.
    pub text: String,
    /// Whether the other text does not have them: all of a line that came or
    /// went, the changed words of one that was rewritten.
    pub changed: bool,
}

/// A line of a hunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffLine {
    /// What became of it.
    pub change: Change,
    /// Its number in the old text, from 1.
    pub old: Option<usize>,
    /// Its number in the new text, from 1.
    pub new: Option<usize>,
    /// Its text.
    pub pieces: Vec<Piece>,
}

/// A change with the lines around it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hunk {
    /// Its first line in the old text, from 1.
    pub old_start: usize,
    /// Its lines there.
    pub old_lines: usize,
    /// Its first line in the new text, from 1.
    pub new_start: usize,
    /// Its lines there.
    pub new_lines: usize,
    /// Lines of both, in order.
    pub lines: Vec<DiffLine>,
}

/// From the old text to the new one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diff {
    /// In the unified format that `patch` and `git` read; empty when nothing changed.
    pub unified: String,
    /// The same for a program to show.
    pub hunks: Vec<Hunk>,
}

/// A diff in numbers. A word is what stands between blanks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Changed {
    /// Lines that came.
    pub lines_added: usize,
    /// Lines that went; a rewritten line came and went.
    pub lines_removed: usize,
    /// Words that came.
    pub words_added: usize,
    /// Words that went.
    pub words_removed: usize,
    /// Share of the old words that have stayed, 0 to 1.
    pub kept: f64,
}

/// Compares two texts. Takes up to seconds: call it off the async loop.
pub(super) fn diff(old: &str, new: &str) -> (Diff, Changed) {
    let lines = TextDiff::configure().timeout(PATIENCE).diff_lines(old, new);
    let unified = lines
        .unified_diff()
        .context_radius(CONTEXT_LINES)
        .header("story", "revised")
        .to_string();
    let fine = Instant::now() + PATIENCE;
    let groups = lines.grouped_ops(CONTEXT_LINES);
    let hunks: Vec<_> = groups.iter().map(|ops| hunk(&lines, ops, fine)).collect();
    let changed = count(&hunks, old.split_whitespace().count());
    (Diff { unified, hunks }, changed)
}

fn hunk(diff: &TextDiff<'_, '_, str>, ops: &[DiffOp], fine: Instant) -> Hunk {
    let mut options = InlineChangeOptions::new();
    options.min_ratio(ALIKE_MIN).semantic_cleanup(true);
    let lines = ops.iter().flat_map(|op| {
        let changes = diff.iter_inline_changes_with_options_deadline(op, options, Some(fine));
        let mut lines: Vec<_> = changes.map(|change| line(&change)).collect();
        let pieces = || lines.iter().flat_map(|line| &line.pieces);
        if op.tag() != DiffTag::Equal && !pieces().any(|piece| piece.changed) {
            // Nothing alike: every line came or went as a whole.
            let pieces = lines.iter_mut().flat_map(|line| &mut line.pieces);
            pieces.for_each(|piece| piece.changed = true);
        }
        lines
    });
    let (first, last) = (&ops[0], &ops[ops.len() - 1]);
    let start = |range: std::ops::Range<usize>| range.start + 1;
    Hunk {
        old_start: start(first.old_range()),
        old_lines: last.old_range().end - first.old_range().start,
        new_start: start(first.new_range()),
        new_lines: last.new_range().end - first.new_range().start,
        lines: lines.collect(),
    }
}

fn line(change: &InlineChange<'_, str>) -> DiffLine {
    let mut pieces: Vec<Piece> = Vec::new();
    for (changed, text) in change.values() {
        let text = text.trim_end_matches('\n');
        match pieces.last_mut() {
            Some(last) if last.changed == *changed => last.text.push_str(text),
            _ if text.is_empty() => {}
            _ => pieces.push(Piece {
                text: text.to_owned(),
                changed: *changed,
            }),
        }
    }
    DiffLine {
        change: match change.tag() {
            ChangeTag::Equal => Change::Equal,
            ChangeTag::Delete => Change::Delete,
            ChangeTag::Insert => Change::Insert,
        },
        old: change.old_index().map(|index| index + 1),
        new: change.new_index().map(|index| index + 1),
        pieces,
    }
}

fn count(hunks: &[Hunk], words: usize) -> Changed {
    let mut changed = Changed::default();
    for line in hunks.iter().flat_map(|hunk| &hunk.lines) {
        let (lines, words) = match line.change {
            Change::Equal => continue,
            Change::Delete => (&mut changed.lines_removed, &mut changed.words_removed),
            Change::Insert => (&mut changed.lines_added, &mut changed.words_added),
        };
        *lines += 1;
        let pieces = line.pieces.iter().filter(|piece| piece.changed);
        *words += pieces
            .map(|piece| piece.text.split_whitespace().count())
            .sum::<usize>();
    }
    changed.kept = match words {
        0 => 1.0,
        words => 1.0 - changed.words_removed.min(words) as f64 / words as f64,
    };
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "The bus came late.\n\nMina waited at the stop.\n\nIt rained.\n";

    fn changed_words(diff: &Diff, change: Change) -> Vec<String> {
        let lines = diff.hunks.iter().flat_map(|hunk| &hunk.lines);
        let pieces = lines.filter(|line| line.change == change);
        let pieces = pieces.flat_map(|line| &line.pieces);
        pieces
            .filter(|piece| piece.changed)
            .map(|piece| piece.text.trim().to_owned())
            .collect()
    }

    #[test]
    fn equal_texts_have_no_diff() {
        let (diff, changed) = diff(OLD, OLD);
        assert_eq!(diff, Diff::default());
        assert_eq!((changed.words_removed, changed.kept), (0, 1.0));
    }

    #[test]
    fn a_changed_word_is_marked_inside_its_line() {
        let new = OLD.replace("Mina waited", "Jun waited");
        let (diff, changed) = diff(OLD, &new);
        assert_eq!(changed_words(&diff, Change::Delete), ["Mina"]);
        assert_eq!(changed_words(&diff, Change::Insert), ["Jun"]);
        let [hunk] = diff.hunks.as_slice() else {
            panic!("{:?}", diff.hunks)
        };
        assert_eq!((hunk.old_start, hunk.old_lines), (1, 5));
        assert_eq!((hunk.new_start, hunk.new_lines), (1, 5));
        let gone = hunk.lines.iter().find(|line| line.change == Change::Delete);
        assert_eq!(gone.unwrap().old, Some(3));
        assert_eq!((changed.words_added, changed.words_removed), (1, 1));
        assert!((changed.kept - 10.0 / 11.0).abs() < 1e-9, "{changed:?}");
        assert!(
            diff.unified
                .starts_with("--- story\n+++ revised\n@@ -1,5 +1,5 @@\n")
        );
        assert!(
            diff.unified
                .contains("-Mina waited at the stop.\n+Jun waited at the stop.\n")
        );
    }

    #[test]
    fn a_line_that_comes_or_goes_counts_whole_and_a_missing_last_break_is_no_trouble() {
        let (gone, counted) = diff(OLD, "The bus came late.\n\nMina waited at the stop.");
        assert_eq!(counted.words_removed, 2, "{gone:?}");
        let (_, counted) = diff("", "One two\nthree");
        assert_eq!((counted.lines_added, counted.words_added), (2, 3));
        assert_eq!(counted.kept, 1.0);
        let (all, counted) = diff("밤 버스", "아침 배");
        assert_eq!((counted.words_removed, counted.kept), (2, 0.0));
        assert_eq!(all.hunks.len(), 1);
    }

    #[test]
    fn the_hunks_hold_every_line_that_changed_and_nothing_twice() {
        let line = |number: usize| format!("paragraph {number} of the story\n");
        let old: String = (0..300).map(line).collect();
        let new: String = (0..300)
            .map(|number| match number % 50 {
                7 => format!("paragraph {number} of the tale\n"),
                9 => String::new(),
                _ => line(number),
            })
            .collect();
        let (diff, changed) = diff(&old, &new);
        assert_eq!((changed.lines_added, changed.lines_removed), (6, 12));
        assert_eq!(diff.hunks.len(), 6);
        let numbers: Vec<_> = diff.hunks.iter().flat_map(|hunk| &hunk.lines).collect();
        let old_numbers: Vec<_> = numbers.iter().filter_map(|line| line.old).collect();
        assert!(old_numbers.is_sorted_by(|a, b| a < b));
        for line in numbers {
            let text: String = line
                .pieces
                .iter()
                .map(|piece| piece.text.as_str())
                .collect();
            let (text_lines, number) = match line.change {
                Change::Insert => (&new, line.new),
                _ => (&old, line.old),
            };
            assert_eq!(text_lines.lines().nth(number.unwrap() - 1), Some(&*text));
        }
    }
}
