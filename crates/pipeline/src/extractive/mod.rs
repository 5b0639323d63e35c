//! The offline planner and writer: whole sentences copied from the sources,
//! chosen and ordered by fixed rules. Not a language model, and it says so.

mod cue;
mod dangling;
mod plan;
mod relevance;
mod score;
mod select;
pub(crate) mod sentence;
pub(crate) mod vector;
mod write;

use crate::script::types::{Corpus, Generator, Language};

pub use plan::plan;
pub use relevance::usable;
pub use write::write;

/// Name and version, as results show it.
pub const NAME: &str = "builtin-extractive/1";

/// What is added where the sources are the bundled sample.
pub(crate) fn sample_notice(language: Language) -> &'static str {
    if language == Language::Ko {
        " 기사는 모두 예시용 가상 기사입니다."
    } else {
        " The sources are fictional sample articles."
    }
}

/// How a result made here introduces itself.
pub fn generator(language: Language, corpus: Corpus) -> Generator {
    let korean = language == Language::Ko;
    let mut notice = String::from(if korean {
        "이 원고는 언어 모델이 아니라 추출 방식으로 만들었습니다. 인용 표시가 있는 문장은 기사 원문 그대로입니다."
    } else {
        "Made by extraction, not by a language model. Sentences with a citation are copied word for word from the source."
    });
    if corpus == Corpus::Sample {
        notice.push_str(sample_notice(language));
    }
    Generator {
        kind: "extractive".to_owned(),
        name: NAME.to_owned(),
        model: None,
        llm: false,
        notice,
    }
}
