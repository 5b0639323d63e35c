//! Sentences that lean on the one before them.

/// Openings that point back, apart by `|`.
const OPENINGS: &str = "이 가운데|이 중|그는|그녀는|그러나|그런데|그래서|하지만|다만|또|또한|이에|이를|이는|\
    이날|이로써|이 때문에|반면|나머지|따라서|여기에|이어|However|But|And|So|Yet|He|She|It|They|This|That|\
    These|Those|His|Her|Their|Its|In other words|Not everyone|Meanwhile|Instead|Also";
/// Korean pronouns that point back from any early place.
const PRONOUNS: [&str; 3] = ["이들", "이를", "이에"];
/// Who speaks, when only the sentence before says so.
const UNNAMED: [&str; 3] = ["he ", "she ", "they "];

/// Whether a sentence, standing alone, would leave the reader asking who or
/// what is meant.
pub(crate) fn is_dangling(text: &str) -> bool {
    let opens = OPENINGS.split('|').any(|opening| {
        text.strip_prefix(opening)
            .is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
    });
    let points_back = text
        .split_whitespace()
        .take(2)
        .any(|word| PRONOUNS.iter().any(|pronoun| word.starts_with(pronoun)));
    opens || points_back || is_unattributed(text)
}

/// Whether it is a quotation of nobody that it names.
fn is_unattributed(text: &str) -> bool {
    if !text.starts_with(['"', '“']) {
        return false;
    }
    let after = text
        .rsplit(['"', '”'])
        .next()
        .unwrap_or_default()
        .trim_start();
    after.is_empty() || UNNAMED.iter().any(|who| after.starts_with(who))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_that_need_the_one_before_are_told() {
        for text in [
            "이 가운데 25%에 그쳤다.",
            "시는 이들을 전환하는 방안을 협의하고 있다.",
            "However, costs rose.",
            "Its owner agreed.",
            "\"I want them to charge it when the fish are not here.\"",
            "\"I am not against the battery,\" she said.",
        ] {
            assert!(is_dangling(text), "{text}");
        }
    }

    #[test]
    fn sentences_that_stand_alone_are_left() {
        for text in [
            "이용객은 1800명이다.",
            "또래 상담이 늘었다.",
            "Items were sold.",
            "\"The tide is predictable,\" said Ines Okafor.",
            "한빛시는 노선을 늘린다.",
        ] {
            assert!(!is_dangling(text), "{text}");
        }
    }
}
