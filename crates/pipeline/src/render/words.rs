//! What the renderings say in their own name, in the language of the result.

use crate::script::types::{Check, Language, Line, ScriptResult, Source};

/// The fixed phrases of one language.
pub(crate) struct Words {
    pub(crate) insufficient: &'static str,
    pub(crate) try_instead: &'static str,
    pub(crate) looked_at: &'static str,
    pub(crate) sources: &'static str,
    pub(crate) timeline: &'static str,
    pub(crate) checks: &'static str,
    pub(crate) usage: &'static str,
    pub(crate) doubtful: &'static str,
    pub(crate) degraded: &'static str,
    pub(crate) low_evidence: &'static str,
    pub(crate) no_date: &'static str,
}

const KO: Words = Words {
    insufficient: "이 주제를 다룬 자료를 찾지 못해 원고를 쓰지 않았습니다.",
    try_instead: "다음 주제를 시험해 볼 수 있습니다:",
    looked_at: "살펴본 자료",
    sources: "출처",
    timeline: "타임라인",
    checks: "검사",
    usage: "사용량",
    doubtful: "⚠ 표시: 인용한 자료에서 확인되지 않은 문장입니다.",
    degraded: "대체 방식으로 처리한 단계:",
    low_evidence: "서로 다른 매체가 둘보다 적습니다.",
    no_date: "날짜 없음",
};

const EN: Words = Words {
    insufficient: "No source covers this topic, so no script was written.",
    try_instead: "Topics that can be tried:",
    looked_at: "Pages looked at",
    sources: "Sources",
    timeline: "Timeline",
    checks: "Checks",
    usage: "Usage",
    doubtful: "⚠ marks a sentence that its source does not confirm.",
    degraded: "Steps that fell back:",
    low_evidence: "Fewer than two sites stand behind this.",
    no_date: "no date",
};

/// The phrases in the language of a result.
pub(crate) fn words(result: &ScriptResult) -> &'static Words {
    if result.language == Language::Ko {
        &KO
    } else {
        &EN
    }
}

/// Whether a line must be shown with a warning.
pub(crate) fn is_doubtful(line: &Line) -> bool {
    matches!(line.check, Check::NumberMismatch | Check::Unsupported)
}

/// The day a source was published, as its page says.
pub(crate) fn day(source: &Source) -> Option<&str> {
    let day = source.published.as_deref()?.get(..10)?;
    day.parse::<jiff::civil::Date>().is_ok().then_some(day)
}

/// What a source is called: its title, or its site where it has none.
pub(crate) fn title(source: &Source) -> &str {
    [&source.title, &source.site]
        .into_iter()
        .find(|text| !text.trim().is_empty())
        .map_or("–", String::as_str)
}

/// Text on one line, without control characters.
pub(crate) fn one_line(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Name of a value as JSON shows it, such as `too_short`.
pub(crate) fn name(value: impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}
