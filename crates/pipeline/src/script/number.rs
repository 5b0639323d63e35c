//! The numbers a text states, whatever way they are written.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// Longer runs of digits are serial numbers.
const DIGITS_MAX: usize = 15;

const KOREAN_UNITS: &[(&str, f64)] = &[
    ("천만", 1e7),
    ("백만", 1e6),
    ("십만", 1e5),
    ("조", 1e12),
    ("억", 1e8),
    ("만", 1e4),
    ("천", 1e3),
    ("백", 1e2),
];
const ENGLISH_UNITS: &[(&str, f64)] = &[
    ("trillion", 1e12),
    ("billion", 1e9),
    ("million", 1e6),
    ("thousand", 1e3),
];
const WORDS: &[(&str, i128)] = &[
    ("one", 1),
    ("two", 2),
    ("three", 3),
    ("four", 4),
    ("five", 5),
    ("six", 6),
    ("seven", 7),
    ("eight", 8),
    ("nine", 9),
    ("ten", 10),
    ("eleven", 11),
    ("twelve", 12),
    ("한", 1),
    ("두", 2),
    ("세", 3),
    ("네", 4),
    ("다섯", 5),
    ("여섯", 6),
    ("일곱", 7),
    ("여덟", 8),
    ("아홉", 9),
    ("열", 10),
];

/// The numbers written in digits, in thousandths: `9만 4000`, `94,000` and
/// `94 thousand` are one number. Digits of a name such as `N2` are none.
pub(crate) fn numbers(text: &str) -> BTreeSet<i128> {
    static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r"(?i)(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(?:(천만|백만|십만|조|억|만|천|백)|[\s-]?(trillion|billion|million|thousand))?",
        )
        .expect("the number pattern compiles")
    });
    let mut found = BTreeSet::new();
    let mut open: Option<Sum> = None;
    for captures in NUMBER.captures_iter(text) {
        let whole = captures.get_match();
        if text[..whole.start()].ends_with(|c: char| c.is_ascii_alphabetic()) {
            continue;
        }
        let Some((value, unit)) = value(&captures) else {
            continue;
        };
        let continues = open
            .as_ref()
            .filter(|sum| value < sum.unit && text[sum.end..whole.start()].trim().is_empty());
        let total = continues.map_or(0.0, |sum| sum.total) + value;
        if continues.is_none()
            && let Some(sum) = open.take()
        {
            found.insert(thousandths(sum.total));
        }
        open = Some(Sum {
            total,
            unit,
            end: whole.end(),
        });
    }
    found.extend(open.map(|sum| thousandths(sum.total)));
    found
}

/// `numbers`, and small ones written as words ("two", "두").
pub(crate) fn numbers_and_words(text: &str) -> BTreeSet<i128> {
    let mut found = numbers(text);
    let lower = text.to_lowercase();
    for word in lower.split(|c: char| !c.is_alphanumeric()) {
        let number = WORDS.iter().find(|(name, _)| *name == word);
        found.extend(number.map(|(_, value)| value * 1000));
    }
    found
}

/// The text with `1,500원이고` written as `1500 원이고`, so that a number is
/// the same word whatever it counts and however it is grouped.
pub(crate) fn set_apart(text: &str) -> String {
    static DIGITS: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(\d{1,3}(?:,\d{3})+|\d+)(\p{Hangul}?)").expect("the digit pattern compiles")
    });
    let spaced = DIGITS.replace_all(text, |found: &Captures<'_>| {
        let gap = if found[2].is_empty() { "" } else { " " };
        format!("{}{gap}{}", found[1].replace(',', ""), &found[2])
    });
    spaced.into_owned()
}

/// A number that a smaller one may still be added to: `9만` before `4000`.
struct Sum {
    total: f64,
    /// Unit of its last part; 0 when nothing can follow.
    unit: f64,
    end: usize,
}

/// A match's value, and its Korean unit or 0.
fn value(captures: &Captures<'_>) -> Option<(f64, f64)> {
    let digits = captures[1].replace(',', "");
    if digits.len() > DIGITS_MAX {
        return None;
    }
    let fraction = captures.get(2).map_or("", |m| m.as_str());
    let number: f64 = format!("{digits}{fraction}").parse().ok()?;
    if let Some(unit) = captures.get(3) {
        let factor = factor(KOREAN_UNITS, unit.as_str());
        return Some((number * factor, factor));
    }
    let factor = captures.get(4).map_or(1.0, |unit| {
        factor(ENGLISH_UNITS, &unit.as_str().to_lowercase())
    });
    Some((number * factor, 0.0))
}

fn factor(units: &[(&str, f64)], name: &str) -> f64 {
    units
        .iter()
        .find(|(unit, _)| *unit == name)
        .map_or(1.0, |(_, factor)| *factor)
}

fn thousandths(value: f64) -> i128 {
    (value * 1000.0).round() as i128
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> Vec<i128> {
        numbers(text).into_iter().collect()
    }

    #[test]
    fn one_number_in_any_spelling() {
        for text in [
            "9만 4000명",
            "9만4천명",
            "94,000 people",
            "94000",
            "94 thousand",
        ] {
            assert_eq!(whole(text), [94_000_000], "{text}");
        }
        assert_eq!(whole("$31 million"), whole("3100만 달러"));
        assert_eq!(whole("1억 2000만원"), [120_000_000_000]);
        assert_eq!(whole("78.4%였고 $1.92 a liter."), [1920, 78_400]);
    }

    #[test]
    fn neighbours_stay_apart_and_names_are_no_numbers() {
        assert_eq!(whole("밤 11시 30분"), [11_000, 30_000]);
        assert_eq!(whole("7 to 2"), [2000, 7000]);
        assert_eq!(whole("N2와 N3 노선"), [0_i128; 0]);
        assert_eq!(
            whole("96억원 가운데 42억원"),
            [4_200_000_000_000, 9_600_000_000_000]
        );
    }

    #[test]
    fn words_count_where_they_are_evidence() {
        assert!(numbers("two inner turbines").is_empty());
        assert!(numbers_and_words("two inner turbines").contains(&2000));
        assert!(numbers_and_words("시험 운전자가 한 명씩").contains(&1000));
    }
}
