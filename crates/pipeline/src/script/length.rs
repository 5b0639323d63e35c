//! How long a piece is to be.

use super::types::{Language, OutlineSection, ScriptRequest, ScriptType};

/// Words a second, read aloud. English 2.5; Korean 5.5 syllables of which the
/// bundled sample has 3.0 to a word.
const EN_WORDS_PER_SECOND: f64 = 2.5;
const KO_WORDS_PER_SECOND: f64 = 5.5 / 3.0;
/// Most words of one section.
pub(super) const SECTION_WORDS_MAX: u32 = 2_000;

/// Words that are asked for, where the request says how long.
pub(crate) fn wished(request: &ScriptRequest, language: Language) -> Option<u32> {
    let of = |seconds| words_in(seconds, language);
    request.length.words.or(request.length.seconds.map(of))
}

/// Words aimed at: those asked for, else what is usual for the type.
pub(crate) fn words(request: &ScriptRequest, language: Language) -> u32 {
    let usual = match request.script_type {
        ScriptType::Youtube => words_in(300, language),
        ScriptType::Short => words_in(50, language),
        ScriptType::News => 200,
        ScriptType::Blog => 600,
        ScriptType::Report => 1_000,
    };
    wished(request, language).unwrap_or(usual)
}

fn words_in(seconds: u32, language: Language) -> u32 {
    let rate = match language {
        Language::Ko => KO_WORDS_PER_SECOND,
        Language::Auto | Language::En => EN_WORDS_PER_SECOND,
    };
    (f64::from(seconds) * rate).round() as u32
}

/// Makes the sections' lengths add up to `words`, their proportions kept.
pub(crate) fn fit(sections: &mut [OutlineSection], words: u32) {
    let planned: u32 = sections.iter().map(|section| section.target_words).sum();
    let factor = f64::from(words) / f64::from(planned.max(1));
    for section in sections {
        let fitted = (f64::from(section.target_words) * factor).round() as u32;
        section.target_words = fitted.clamp(1, SECTION_WORDS_MAX);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wish_decides_and_the_type_where_there_is_none() {
        let table = [
            (json!({"topic": "tides"}), 750),
            (json!({"topic": "조력"}), 550),
            (json!({"topic": "tides", "length": {"seconds": 60}}), 150),
            (json!({"topic": "조력", "length": {"seconds": 60}}), 110),
            (
                json!({"topic": "tides", "type": "report", "length": {"words": 80}}),
                80,
            ),
            (json!({"topic": "tides", "type": "news"}), 200),
        ];
        for (request, expected) in table {
            let request: ScriptRequest = serde_json::from_value(request).unwrap();
            let language = request.language.resolve(&request.topic);
            assert_eq!(words(&request, language), expected, "{request:?}");
        }
    }

    #[test]
    fn sections_are_fitted_in_proportion_and_none_to_nothing() {
        let section = |target_words| OutlineSection {
            id: "a".to_owned(),
            heading: "A".to_owned(),
            goal: "?".to_owned(),
            target_words,
        };
        let mut sections = [section(100), section(300), section(1)];
        fit(&mut sections, 40);
        let words: Vec<_> = sections.iter().map(|one| one.target_words).collect();
        assert_eq!(words, [10, 30, 1]);
    }
}
