//! The sides from which a topic is analysed, and the outlines.
//!
//! To add a side, add a variant, its prompt file and its sections here.

use serde::{Deserialize, Serialize};

use crate::prompts::{self, Prompt};
use crate::script::length;
use crate::script::types::{Language, OutlineSection, Plan, ScriptRequest};

/// A side of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// What is established.
    Facts,
    /// Demand, money, interests.
    Market,
    /// How it works and what is unsolved.
    Technical,
}

/// A section: id, Korean and English heading, Korean and English goal, words.
type Template = (&'static str, [&'static str; 2], [&'static str; 2], u32);

/// Ids that the offline writer has cue words for are its own; see `extractive/cue.rs`.
const FACTS: [Template; 2] = [
    (
        "what",
        ["무슨 일이 있었나", "What happened"],
        ["누가 무엇을 언제 하는가?", "Who does what, and when?"],
        80,
    ),
    (
        "background",
        ["배경", "Background"],
        ["어떻게 여기까지 왔는가?", "What led to this?"],
        60,
    ),
];
const MARKET: [Template; 2] = [
    (
        "numbers",
        ["시장을 숫자로 보면", "The market in figures"],
        [
            "수요, 가격, 비용, 규모는 얼마인가?",
            "How large are demand, prices, costs and size?",
        ],
        80,
    ),
    (
        "views",
        ["이해관계와 경쟁", "Interests and rivals"],
        [
            "누가 무엇을 원하고 누구와 겨루는가?",
            "Who wants what, and who competes with whom?",
        ],
        60,
    ),
];
const TECHNICAL: [Template; 2] = [
    (
        "technology",
        ["기술과 작동 방식", "How it works"],
        [
            "어떤 기술과 장비가 어떻게 쓰이는가?",
            "Which technology and equipment is used, and how?",
        ],
        80,
    ),
    (
        "next",
        ["한계와 다음 과제", "Limits and what comes next"],
        [
            "어떤 한계와 위험이 있고 다음에 무엇을 풀어야 하는가?",
            "Which limits and risks are there, and what is to be solved next?",
        ],
        60,
    ),
];
const DOCUMENT: [Template; 5] = [
    (
        "summary",
        ["요약", "Summary"],
        ["한눈에 보면 무엇이 중요한가?", "What matters, at a glance?"],
        60,
    ),
    (
        "facts",
        ["확인된 사실", "What is known"],
        ["무엇이 확인되었는가?", "What is established?"],
        120,
    ),
    (
        "market",
        ["시장", "Market"],
        [
            "시장 분석은 무엇을 말하는가?",
            "What does the market analysis say?",
        ],
        120,
    ),
    (
        "technical",
        ["기술", "Technology"],
        [
            "기술 분석은 무엇을 말하는가?",
            "What does the technical analysis say?",
        ],
        120,
    ),
    (
        "outlook",
        ["전망", "Outlook"],
        [
            "분석을 함께 보면 무엇이 남는가?",
            "What follows when the analyses are seen together?",
        ],
        80,
    ),
];

impl Side {
    /// All sides, in the order of the document.
    pub const ALL: [Self; 3] = [Self::Facts, Self::Market, Self::Technical];

    /// Its name: that of its step, and of its section in the document.
    pub fn name(self) -> &'static str {
        match self {
            Self::Facts => "facts",
            Self::Market => "market",
            Self::Technical => "technical",
        }
    }

    pub(super) fn prompt(self) -> Prompt {
        match self {
            Self::Facts => prompts::FACTS,
            Self::Market => prompts::MARKET,
            Self::Technical => prompts::TECHNICAL,
        }
    }

    fn templates(self) -> &'static [Template] {
        match self {
            Self::Facts => &FACTS,
            Self::Market => &MARKET,
            Self::Technical => &TECHNICAL,
        }
    }

    /// The plan of this side's analysis.
    pub(super) fn plan(self, topic: &Plan) -> Plan {
        with(topic, sections(self.templates(), topic.language))
    }

    /// Whether a section is one of this side's.
    pub(super) fn has(self, section: &str) -> bool {
        self.templates().iter().any(|(id, ..)| *id == section)
    }
}

/// The plan of all analyses together.
pub(super) fn all(topic: &Plan) -> Plan {
    let templates = Side::ALL.into_iter().flat_map(Side::templates);
    let templates: Vec<_> = templates.copied().collect();
    with(topic, sections(&templates, topic.language))
}

/// The plan of the document, as long as the request wishes.
pub(super) fn document(topic: &Plan, request: &ScriptRequest) -> Plan {
    let mut sections = sections(&DOCUMENT, topic.language);
    if let Some(words) = length::wished(request, topic.language) {
        length::fit(&mut sections, words);
    }
    with(topic, sections)
}

fn with(topic: &Plan, sections: Vec<OutlineSection>) -> Plan {
    Plan {
        sections,
        ..topic.clone()
    }
}

fn sections(templates: &[Template], language: Language) -> Vec<OutlineSection> {
    let column = usize::from(language != Language::Ko);
    let section = |(id, headings, goals, words): &Template| OutlineSection {
        id: (*id).to_owned(),
        heading: headings[column].to_owned(),
        goal: goals[column].to_owned(),
        target_words: *words,
    };
    templates.iter().map(section).collect()
}
