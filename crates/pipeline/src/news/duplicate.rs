//! Finds reports that repeat one another, such as copies of a wire story.
//!
//! Measured by how much of the shorter text stands in the longer one, not by
//! how alike both are: an editor who cuts a story in half still repeats it.

use std::collections::HashSet;

/// Characters per shingle.
const SHINGLE: usize = 5;
/// From this share on, the shorter text repeats the longer one.
const CONTAINMENT_MIN: f64 = 0.55;
/// Characters compared; a repeated story shows long before.
const COMPARED_CHARS: usize = 10_000;

type Shingles = HashSet<[char; SHINGLE]>;

/// For each text, the index of the longer one that it repeats, if any.
///
/// Of texts that repeat one another the longest is kept; of equally long
/// ones, the first. What is kept repeats nothing.
pub(crate) fn repeats(texts: &[&str]) -> Vec<Option<usize>> {
    let shingles: Vec<Shingles> = texts.iter().map(|text| shingles(text)).collect();
    let mut longest_first: Vec<usize> = (0..texts.len()).collect();
    longest_first.sort_by_key(|&i| (std::cmp::Reverse(shingles[i].len()), i));

    let mut kept: Vec<usize> = Vec::new();
    let mut repeats = vec![None; texts.len()];
    for i in longest_first {
        let original = kept
            .iter()
            .copied()
            .find(|&longer| containment(&shingles[i], &shingles[longer]) >= CONTAINMENT_MIN);
        match original {
            Some(longer) => repeats[i] = Some(longer),
            None => kept.push(i),
        }
    }
    repeats
}

/// Runs of five letters or digits; blanks and punctuation differ between
/// copies of one text.
fn shingles(text: &str) -> Shingles {
    let letters: Vec<char> = text
        .chars()
        .filter(|c| c.is_alphanumeric())
        .take(COMPARED_CHARS)
        .collect();
    letters
        .windows(SHINGLE)
        .filter_map(|run| run.try_into().ok())
        .collect()
}

/// Share of the shorter set that the longer one holds (overlap coefficient).
fn containment(shorter: &Shingles, longer: &Shingles) -> f64 {
    if shorter.is_empty() {
        return 0.0;
    }
    let shared = shorter.iter().filter(|run| longer.contains(*run)).count();
    // At most `COMPARED_CHARS`, exact in a float.
    shared as f64 / shorter.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORY: &str = "Lumen Bay switched on a tidal battery on Tuesday. \
        It stores electricity from six seabed turbines in iron-air cells. \
        Harbor Grid spent $31 million on the project.";

    #[test]
    fn a_shortened_copy_repeats_the_longer_story() {
        let copy = "LUMEN BAY (Northline) - Lumen Bay switched on a tidal battery on Tuesday. \
            Harbor Grid spent $31 million on the project!";
        assert_eq!(repeats(&[copy, STORY]), [Some(1), None]);
    }

    #[test]
    fn another_story_about_the_topic_repeats_nothing() {
        let other =
            "A report on the Lumen Bay tidal battery says that its efficiency is 46 percent.";
        assert_eq!(repeats(&[STORY, other]), [None, None]);
    }

    #[test]
    fn of_equal_texts_the_first_is_kept() {
        assert_eq!(repeats(&[STORY, STORY, STORY]), [None, Some(0), Some(0)]);
    }

    #[test]
    fn empty_texts_repeat_nothing() {
        assert_eq!(repeats(&["", STORY, ""]), [None, None, None]);
    }
}
