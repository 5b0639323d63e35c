//! Words for comparing texts: lowercase, Korean particles stripped, and the
//! two-syllable pieces of Korean words, which stand in for a dictionary:
//! `심야버스` and `버스` then share `버스`.

/// English words that say nothing about a topic.
const STOPWORDS: [&str; 48] = [
    "a", "about", "after", "all", "an", "and", "are", "as", "at", "be", "been", "but", "by", "can",
    "does", "for", "from", "had", "has", "have", "her", "his", "how", "in", "into", "is", "it",
    "its", "not", "of", "on", "or", "than", "that", "the", "their", "they", "this", "to", "was",
    "were", "what", "when", "which", "who", "will", "with", "would",
];

/// Korean particles, longest first: the first that fits is the one stripped.
const PARTICLES: [&str; 34] = [
    "에서는",
    "으로는",
    "에게서",
    "이라고",
    "까지는",
    "부터는",
    "에서",
    "에게",
    "으로",
    "까지",
    "부터",
    "보다",
    "처럼",
    "라고",
    "이나",
    "에는",
    "과의",
    "와의",
    "이며",
    "하고",
    "은",
    "는",
    "이",
    "가",
    "을",
    "를",
    "의",
    "에",
    "도",
    "로",
    "과",
    "와",
    "만",
    "며",
];

/// The tokens of a text in order, repeats included.
pub(crate) fn tokens(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for run in runs(text) {
        if run.chars().all(is_hangul) {
            push_korean(&run, &mut found);
        } else if !STOPWORDS.contains(&run.as_str()) && (run.len() > 1 || is_digits(&run)) {
            found.push(run);
        }
    }
    found
}

/// Whether a text is Korean: at least a tenth of its letters are Hangul.
///
/// A tenth, because a Korean headline may be mostly Latin names.
pub(crate) fn is_korean(text: &str) -> bool {
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    let hangul = text.chars().filter(|c| is_hangul(*c)).count();
    hangul > 0 && hangul * 10 >= letters
}

pub(crate) fn is_hangul(c: char) -> bool {
    ('가'..='힣').contains(&c)
}

fn is_digits(run: &str) -> bool {
    run.bytes().all(|b| b.is_ascii_digit())
}

/// Runs of letters and digits, lowercased; Hangul and other scripts apart,
/// so that `N1에` gives `n1` and its particle.
fn runs(text: &str) -> Vec<String> {
    let mut runs: Vec<String> = Vec::new();
    let mut before: Option<bool> = None;
    for c in text.chars() {
        if !c.is_alphanumeric() {
            before = None;
            continue;
        }
        let hangul = is_hangul(c);
        match runs.last_mut() {
            Some(run) if before == Some(hangul) => run.extend(c.to_lowercase()),
            _ => runs.push(c.to_lowercase().collect()),
        }
        before = Some(hangul);
    }
    runs
}

/// A Korean word without its particle, then its two-syllable pieces.
///
/// What is left of one syllable is dropped: it is a particle or a counter.
fn push_korean(word: &str, found: &mut Vec<String>) {
    let stem: Vec<char> = stem(word).chars().collect();
    if stem.len() < 2 || PARTICLES.contains(&word) {
        return;
    }
    found.push(stem.iter().collect());
    if stem.len() > 2 {
        found.extend(stem.windows(2).map(|pair| pair.iter().collect::<String>()));
    }
}

fn stem(word: &str) -> &str {
    PARTICLES
        .iter()
        .filter_map(|particle| word.strip_suffix(particle))
        // A stem of one syllable is more often a cut word than a noun.
        .find(|stem| stem.chars().count() >= 2)
        .unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn particles_are_stripped_and_syllable_pairs_added() {
        assert_eq!(
            tokens("한빛시가 심야버스를"),
            ["한빛시", "한빛", "빛시", "심야버스", "심야", "야버", "버스"]
        );
    }

    #[test]
    fn scripts_in_one_word_are_told_apart() {
        assert_eq!(tokens("N1에서 1800명"), ["n1", "1800"]);
    }

    #[test]
    fn english_function_words_are_left_out() {
        assert_eq!(tokens("The tide at Lumen Bay"), ["tide", "lumen", "bay"]);
    }

    #[test]
    fn a_stem_keeps_two_syllables() {
        assert_eq!(tokens("도로"), ["도로"]);
        assert_eq!(tokens("도로는"), ["도로"]);
    }

    #[test]
    fn korean_is_told_by_its_letters() {
        assert!(is_korean("Nvidia H200 수출"));
        assert!(!is_korean("Lumen Bay tidal battery"));
        assert!(!is_korean("2026"));
    }
}
