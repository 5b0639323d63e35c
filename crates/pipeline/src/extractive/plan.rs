//! The offline planner: a fixed outline per type, five queries.

use crate::script::length;
use crate::script::types::{
    Language, OutlineSection, Plan, PlannedQuery, ScriptRequest, ScriptType,
};

/// Words of an average sentence in Korean news text.
const KO_WORDS_PER_SENTENCE: u32 = 14;
/// Words of an average sentence in English news text.
const EN_WORDS_PER_SENTENCE: u32 = 20;
/// Characters of the topic that go into a query; search services refuse long ones.
const QUERY_TOPIC_CHARS_MAX: usize = 200;

/// A section of an outline: id, Korean and English heading and goal.
type Template = (&'static str, [&'static str; 2], [&'static str; 2]);

const HOOK: Template = (
    "hook",
    ["먼저, 한 장면", "To begin with"],
    [
        "왜 지금 들어 볼 만한 이야기인가?",
        "Why is this worth hearing now?",
    ],
);
const WHAT: Template = (
    "what",
    ["무슨 일이 있었나", "What happened"],
    ["누가 무엇을 언제 하는가?", "Who does what, and when?"],
);
const NUMBERS: Template = (
    "numbers",
    ["숫자로 보면", "In figures"],
    [
        "얼마나 많고, 크고, 비싼가?",
        "How many, how large, how costly?",
    ],
);
const BACKGROUND: Template = (
    "background",
    ["배경", "Background"],
    ["어떻게 여기까지 왔는가?", "What led to this?"],
);
const VIEWS: Template = (
    "views",
    ["엇갈리는 목소리", "Differing views"],
    [
        "누가 무엇을 걱정하고 무엇을 요구하는가?",
        "Who worries about what, and who asks for what?",
    ],
);
const NEXT: Template = (
    "next",
    ["앞으로", "What comes next"],
    [
        "다음에 정해질 일은 무엇인가?",
        "What is to be decided or done?",
    ],
);

/// Plans without a language model: the outline of the request's type in the
/// language of the script, and queries in the language of the topic.
pub fn plan(request: &ScriptRequest) -> Plan {
    let language = request.language.resolve(&request.topic);
    let column = usize::from(language != Language::Ko);
    let mut sections: Vec<OutlineSection> = outline(request.script_type)
        .iter()
        .map(|((id, headings, goals), sentences)| OutlineSection {
            id: (*id).to_owned(),
            heading: headings[column].to_owned(),
            goal: goals[column].to_owned(),
            target_words: sentences * words_per_sentence(language),
        })
        .collect();
    if let Some(words) = length::wished(request, language) {
        length::fit(&mut sections, words);
    }
    let angle = [
        "사실, 숫자, 서로 다른 의견을 차례로 본다",
        "Facts, figures and differing views, in turn",
    ];
    Plan {
        title: request.topic.trim().to_owned(),
        angle: angle[column].to_owned(),
        language,
        sections,
        queries: queries(&request.topic),
    }
}

/// How many sentences a section is to have.
pub(crate) fn sentences(section: &OutlineSection, language: Language) -> usize {
    let words = words_per_sentence(language);
    ((section.target_words + words / 2) / words).max(1) as usize
}

/// How many sentences a script has: as many as fill the length asked for, else
/// what is usual for its type.
pub(crate) fn sentences_total(request: &ScriptRequest, language: Language) -> usize {
    let wished = length::wished(request, language);
    let usual = || {
        outline(request.script_type)
            .iter()
            .map(|(_, count)| count)
            .sum()
    };
    let per_sentence = words_per_sentence(language);
    let total = wished.map_or_else(usual, |words| (words + per_sentence / 2) / per_sentence);
    total.max(1) as usize
}

fn words_per_sentence(language: Language) -> u32 {
    if language == Language::Ko {
        KO_WORDS_PER_SENTENCE
    } else {
        EN_WORDS_PER_SENTENCE
    }
}

/// Sections in reading order with their number of sentences.
fn outline(script_type: ScriptType) -> &'static [(Template, u32)] {
    match script_type {
        ScriptType::Short => &[(HOOK, 1), (WHAT, 1), (NUMBERS, 1), (NEXT, 1)],
        ScriptType::News => &[
            (WHAT, 3),
            (NUMBERS, 2),
            (BACKGROUND, 1),
            (VIEWS, 2),
            (NEXT, 1),
        ],
        ScriptType::Youtube => &[
            (HOOK, 1),
            (WHAT, 3),
            (NUMBERS, 3),
            (BACKGROUND, 2),
            (VIEWS, 2),
            (NEXT, 2),
        ],
        ScriptType::Blog => &[
            (HOOK, 1),
            (WHAT, 2),
            (BACKGROUND, 3),
            (NUMBERS, 2),
            (VIEWS, 3),
            (NEXT, 2),
        ],
        ScriptType::Report => &[
            (WHAT, 5),
            (BACKGROUND, 3),
            (NUMBERS, 4),
            (VIEWS, 4),
            (NEXT, 3),
        ],
    }
}

fn queries(topic: &str) -> Vec<PlannedQuery> {
    let topic: String = topic.trim().chars().take(QUERY_TOPIC_CHARS_MAX).collect();
    let language = Language::of(&topic);
    let turns: [(&str, &str); 5] = if language == Language::Ko {
        [
            ("", "주제 그대로"),
            (" 최신", "새 소식"),
            (" 배경", "배경"),
            (" 숫자", "통계와 규모"),
            (" 우려", "비판과 반대"),
        ]
    } else {
        [
            ("", "the topic itself"),
            (" latest", "news"),
            (" background", "what led to it"),
            (" figures", "numbers and scale"),
            (" criticism", "concerns and opposition"),
        ]
    };
    turns
        .into_iter()
        .map(|(suffix, why)| PlannedQuery {
            q: format!("{topic}{suffix}"),
            lang: language.code().to_owned(),
            why: why.to_owned(),
        })
        .collect()
}
