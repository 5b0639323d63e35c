//! The offline writer: sentences copied word for word, in order, attributed.

use jiff::Timestamp;
use jiff::civil::Date;

use crate::script::hangul::mostly_hangul;
use crate::script::types::{
    Article, Check, Citation, Corpus, Dossier, Language, Line, Origin, OutlineSection, Plan,
    Script, ScriptRequest, ScriptType, Section, Source,
};

use super::plan::{sentences, sentences_total};
use super::relevance::usable;
use super::score::{Candidate, Pool};
use super::select::select;

/// Writes without a language model. Every sentence is a byte range of the
/// article it cites; lines of origin `template` name a source and state no
/// fact. The same input gives the same script; `now` decides only what
/// counts as recent. No sections when no source covers the topic.
pub fn write(request: &ScriptRequest, plan: &Plan, dossier: &Dossier, now: Timestamp) -> Script {
    let articles = in_language(usable(&[&request.topic], dossier), plan.language);
    let pool = Pool::new(&request.topic, &articles, now);
    let budgets = budgets(plan, sentences_total(request, plan.language));
    // What others wrote is quoted in moderation, however few they are.
    let ours = dossier.corpus == Corpus::Sample;
    let chosen = select(&pool, &plan.sections, &budgets, ours);
    let attributed = request.script_type != ScriptType::Short;
    let sections = plan
        .sections
        .iter()
        .zip(chosen)
        .filter(|(_, chosen)| !chosen.is_empty())
        .map(|(outline, chosen)| section(outline, &pool, chosen, plan.language, attributed))
        .collect();
    Script::assemble(sections, plan.language)
}

/// Only the articles in the language of the script, if there are any: a
/// copied sentence cannot be translated.
fn in_language(articles: Vec<&Article>, language: Language) -> Vec<&Article> {
    let matching: Vec<&Article> = articles
        .iter()
        .copied()
        .filter(|a| mostly_hangul(&a.text) == (language == Language::Ko))
        .collect();
    if matching.is_empty() {
        articles
    } else {
        matching
    }
}

/// Sentences per section. An outline that asks for more than the type has is
/// cut where it asks for most.
fn budgets(plan: &Plan, total: usize) -> Vec<usize> {
    let mut budgets: Vec<usize> = plan
        .sections
        .iter()
        .map(|s| sentences(s, plan.language))
        .collect();
    let wanted: usize = budgets.iter().sum();
    for _ in total..wanted {
        if let Some(largest) = budgets.iter_mut().max()
            && *largest > 1
        {
            *largest -= 1;
        }
    }
    budgets
}

fn section(
    outline: &OutlineSection,
    pool: &Pool<'_>,
    chosen: Vec<usize>,
    language: Language,
    attributed: bool,
) -> Section {
    let mut chosen: Vec<&Candidate<'_>> = {
        let mut ordered = chosen;
        ordered.sort_unstable(); // best article first, then as in the article
        ordered.into_iter().map(|i| &pool.candidates[i]).collect()
    };
    chosen.sort_by_key(|c| date(&c.article.source).unwrap_or(Date::MAX));
    let mut lines = Vec::new();
    let mut speaking: Option<&str> = None;
    for candidate in chosen {
        let source = &candidate.article.source;
        if attributed && speaking != Some(&source.id) {
            speaking = Some(&source.id);
            lines.push(template(attribution(source, language)));
        }
        lines.push(extracted(candidate));
    }
    Section {
        id: outline.id.clone(),
        heading: outline.heading.clone(),
        lines,
    }
}

fn template(text: String) -> Line {
    Line {
        id: String::new(),
        text,
        origin: Origin::Template,
        cites: Vec::new(),
        support: None,
        check: Check::None,
        image: None,
    }
}

fn extracted(candidate: &Candidate<'_>) -> Line {
    Line {
        id: String::new(),
        text: candidate.text.to_owned(),
        origin: Origin::Extracted,
        cites: vec![Citation {
            source: candidate.article.source.id.clone(),
            start: candidate.range.start,
            end: candidate.range.end,
            quote: candidate.text.to_owned(),
        }],
        support: Some(1.0),
        check: Check::Verbatim,
        image: None,
    }
}

/// "From X (date):", without the date where it is unknown.
fn attribution(source: &Source, language: Language) -> String {
    let site = source.site.split_whitespace().collect::<Vec<_>>().join(" ");
    match (date(source), language == Language::Ko) {
        (Some(day), true) => {
            format!(
                "{site}({}년 {}월 {}일)에 따르면:",
                day.year(),
                day.month(),
                day.day()
            )
        }
        (None, true) => format!("{site}에 따르면:"),
        (Some(day), false) => format!("From {site} ({}):", day.strftime("%B %-d, %Y")),
        (None, false) => format!("From {site}:"),
    }
}

/// The day of publication where it was published, which is the date its
/// readers saw.
fn date(source: &Source) -> Option<Date> {
    source.published.as_deref()?.get(..10)?.parse().ok()
}
