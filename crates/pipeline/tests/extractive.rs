//! The offline planner and writer on the sample articles.

mod sample;

use std::collections::BTreeSet;

use lovage_pipeline::extractive::{generator, plan, usable, write};
use lovage_pipeline::script::types::{
    Article, Check, Checks, Corpus, Dossier, Language, Origin, OutlineSection, Script, ScriptType,
    Verdict,
};
use lovage_pipeline::script::verify;
use sample::{EN_TOPIC, KO_TOPIC, english, korean, now, request};

const TYPES: [ScriptType; 5] = [
    ScriptType::Youtube,
    ScriptType::News,
    ScriptType::Short,
    ScriptType::Blog,
    ScriptType::Report,
];

fn topics() -> [(&'static str, Dossier); 2] {
    [(KO_TOPIC, korean()), (EN_TOPIC, english())]
}

fn script(topic: &str, script_type: ScriptType, dossier: &Dossier) -> Script {
    let request = request(topic, script_type);
    write(&request, &plan(&request), dossier, now())
}

fn checked(script: &mut Script, dossier: &mut Dossier) -> Checks {
    verify::check(script, dossier)
}

#[test]
fn every_type_in_both_languages_fills_every_section_of_its_outline() {
    for (topic, dossier) in topics() {
        for (script_type, sentences) in TYPES.into_iter().zip([13, 9, 4, 13, 19]) {
            let plan = plan(&request(topic, script_type));
            let script = script(topic, script_type, &dossier);
            assert_eq!(
                script.sections.iter().map(|s| &s.id).collect::<Vec<_>>(),
                plan.sections.iter().map(|s| &s.id).collect::<Vec<_>>(),
            );
            let copied = script
                .lines()
                .filter(|l| l.origin == Origin::Extracted)
                .count();
            assert!(
                script
                    .sections
                    .iter()
                    .all(|s| s.lines.iter().any(|l| l.origin == Origin::Extracted))
            );
            assert!(
                copied <= sentences && copied + 1 >= sentences,
                "{topic} {script_type:?}: {copied}"
            );
            assert!(script.words > 0 && script.seconds > 0);
        }
    }
}

#[test]
fn every_sentence_is_a_cited_byte_range_of_its_article() {
    for (topic, mut dossier) in topics() {
        for script_type in TYPES {
            let mut script = script(topic, script_type, &dossier);
            for line in script.lines().filter(|l| l.origin == Origin::Extracted) {
                let [cite] = line.cites.as_slice() else {
                    panic!("{line:?} cites one source");
                };
                let article = dossier
                    .articles
                    .iter()
                    .find(|a| a.source.id == cite.source)
                    .unwrap();
                assert_eq!(&article.text[cite.start..cite.end], line.text);
                assert_eq!(cite.quote, line.text);
            }
            let checks = checked(&mut script, &mut dossier);
            assert_eq!(checks.span_exact, Some(1.0));
            assert_eq!(checks.number_support, Some(1.0));
            assert_eq!(checks.citation_coverage, Some(1.0));
            assert!(checks.max_redundancy.unwrap() <= 0.3, "{checks:?}");
            assert!(
                script
                    .lines()
                    .all(|l| l.origin == Origin::Template || l.check == Check::Verbatim)
            );
        }
    }
}

#[test]
fn template_lines_name_a_source_and_cite_nothing() {
    for (topic, dossier) in topics() {
        let script = script(topic, ScriptType::Report, &dossier);
        let sites: Vec<&str> = dossier
            .articles
            .iter()
            .map(|a| a.source.site.as_str())
            .collect();
        for line in script.lines().filter(|l| l.origin == Origin::Template) {
            assert!(
                sites.iter().any(|site| line.text.contains(site)),
                "{}",
                line.text
            );
            assert!(line.cites.is_empty() && line.support.is_none() && line.check == Check::None);
        }
    }
    let korean = script(KO_TOPIC, ScriptType::Report, &korean());
    assert!(
        korean
            .lines()
            .any(|l| l.text == "한빛일보(2026년 11월 16일)에 따르면:")
    );
    let english = script(EN_TOPIC, ScriptType::Report, &english());
    assert!(
        english
            .lines()
            .any(|l| l.text == "From Grid Monitor (November 18, 2026):")
    );
}

#[test]
fn neither_copies_nor_other_subjects_are_cited() {
    for (topic, mut dossier) in topics() {
        let copies: Vec<String> = dossier
            .articles
            .iter()
            .filter(|a| a.source.duplicate_of.is_some() || a.source.id == "S6")
            .map(|a| a.source.id.clone())
            .collect();
        let mut script = script(topic, ScriptType::Report, &dossier);
        let checks = checked(&mut script, &mut dossier);
        let used: BTreeSet<&str> = dossier
            .articles
            .iter()
            .filter(|a| a.source.used)
            .map(|a| a.source.id.as_str())
            .collect();
        assert_eq!(used.len(), checks.sources_used);
        assert_eq!(checks.sources_used, 4);
        assert!(
            copies.iter().all(|id| !used.contains(id.as_str())),
            "{used:?}"
        );
        let citations: usize = dossier.articles.iter().map(|a| a.source.citations).sum();
        assert_eq!(
            citations,
            script.lines().map(|l| l.cites.len()).sum::<usize>()
        );
    }
}

#[test]
fn no_source_gives_much_more_than_its_share() {
    for (topic, mut dossier) in topics() {
        let mut script = script(topic, ScriptType::Report, &dossier);
        checked(&mut script, &mut dossier);
        assert!(dossier.articles.iter().all(|a| a.source.citations <= 5));
    }
}

#[test]
fn two_runs_are_equal() {
    for (topic, dossier) in topics() {
        for script_type in TYPES {
            assert_eq!(
                script(topic, script_type, &dossier),
                script(topic, script_type, &dossier)
            );
        }
    }
}

#[test]
fn an_unknown_topic_gives_no_script() {
    for (topic, dossier) in [
        ("화성 탐사 로봇", korean()),
        ("Lumen Bay airport strike", english()),
    ] {
        assert!(usable(&[topic], &dossier).is_empty(), "{topic}");
        assert!(
            script(topic, ScriptType::Youtube, &dossier)
                .sections
                .is_empty()
        );
    }
    assert!(
        script(KO_TOPIC, ScriptType::Youtube, &Dossier::default())
            .sections
            .is_empty()
    );
}

#[test]
fn unreadable_pages_are_never_used() {
    let mut dossier = korean();
    for article in &mut dossier.articles {
        article.source.verdict = Verdict::Paywall;
    }
    assert!(
        script(KO_TOPIC, ScriptType::News, &dossier)
            .sections
            .is_empty()
    );
}

#[test]
fn one_source_alone_still_fills_every_section() {
    let mut dossier = korean();
    dossier.articles.truncate(1);
    let script = script(KO_TOPIC, ScriptType::Youtube, &dossier);
    assert_eq!(script.sections.len(), 6);
    assert!(
        script
            .lines()
            .filter(|l| l.origin == Origin::Extracted)
            .count()
            <= 7
    );
}

#[test]
fn a_real_source_alone_is_quoted_in_moderation() {
    for (topic, mut dossier) in topics() {
        dossier.corpus = Corpus::Live;
        dossier.articles.truncate(1);
        for script_type in TYPES {
            let script = script(topic, script_type, &dossier);
            let copied = script.lines().filter(|l| l.origin == Origin::Extracted);
            assert_eq!(
                copied.count(),
                if script_type == ScriptType::Short {
                    4
                } else {
                    5
                }
            );
            assert!(
                script
                    .sections
                    .iter()
                    .all(|s| s.lines.iter().any(|l| l.origin == Origin::Extracted)),
                "what has nothing to say is left out"
            );
        }
    }
}

#[test]
fn real_sources_give_no_more_than_their_share() {
    for (topic, mut dossier) in topics() {
        dossier.corpus = Corpus::Live;
        for script_type in TYPES {
            let mut script = script(topic, script_type, &dossier);
            checked(&mut script, &mut dossier);
            assert!(dossier.articles.iter().all(|a| a.source.citations <= 5));
        }
    }
}

#[test]
fn an_outline_of_a_language_model_is_followed() {
    let request = request(EN_TOPIC, ScriptType::Youtube);
    let mut plan = plan(&request);
    plan.sections = [
        (
            "fish",
            "Herring and noise",
            "What do fishers and biologists say about herring and decibels?",
        ),
        (
            "cost",
            "What it costs",
            "What does the pilot cost, and who pays the loan?",
        ),
    ]
    .map(|(id, heading, goal)| OutlineSection {
        id: id.to_owned(),
        heading: heading.to_owned(),
        goal: goal.to_owned(),
        target_words: 80,
    })
    .to_vec();
    let script = write(&request, &plan, &english(), now());
    let text = |section: usize| {
        let lines = &script.sections[section].lines;
        lines
            .iter()
            .map(|l| l.text.as_str())
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert!(text(0).contains("herring"), "{}", text(0));
    assert!(text(1).contains("cost"), "{}", text(1));
}

#[test]
fn a_hostile_article_costs_neither_time_nor_a_panic() {
    let mut dossier = english();
    let text = format!("{}\n{}", EN_TOPIC, "\"(“… ".repeat(20_000));
    dossier.articles[0].text = text;
    dossier.articles[1].text = format!("{EN_TOPIC} works. ").repeat(5_000);
    let script = script(EN_TOPIC, ScriptType::Report, &dossier);
    assert!(!script.sections.is_empty());
}

#[test]
fn plans_are_in_the_language_of_the_topic_unless_told() {
    let mut request = request(KO_TOPIC, ScriptType::Youtube);
    let korean = plan(&request);
    assert_eq!(korean.language, Language::Ko);
    let queries: Vec<&str> = korean.queries.iter().map(|q| q.q.as_str()).collect();
    assert_eq!(queries[..2], [KO_TOPIC, "한빛시 자율주행 심야버스 최신"]);
    assert!(korean.queries.iter().all(|q| q.lang == "ko"));
    request.language = Language::En;
    let english = plan(&request);
    assert_eq!(english.language, Language::En);
    assert!(english.sections.iter().all(|s| s.heading.is_ascii()));
    assert_eq!(english.queries, korean.queries);
}

#[test]
fn the_notice_says_what_this_is() {
    let korean = generator(Language::Ko, Corpus::Sample);
    assert!(!korean.llm && korean.kind == "extractive" && korean.name == "builtin-extractive/1");
    assert!(korean.notice.contains("추출 방식") && korean.notice.contains("예시용 가상 기사"));
    let english = generator(Language::En, Corpus::Sample);
    assert!(english.notice.contains("not by a language model"));
    assert!(english.notice.contains("fictional sample articles"));
    assert!(
        !generator(Language::En, Corpus::Live)
            .notice
            .contains("fictional")
    );
}

#[test]
fn articles_without_dates_come_last_and_are_attributed_without_one() {
    let mut dossier = english();
    dossier
        .articles
        .iter_mut()
        .for_each(|a: &mut Article| a.source.published = None);
    let script = script(EN_TOPIC, ScriptType::News, &dossier);
    let attributions: Vec<&str> = script
        .lines()
        .filter(|l| l.origin == Origin::Template)
        .map(|l| l.text.as_str())
        .collect();
    assert!(
        attributions.contains(&"From Grid Monitor:"),
        "{attributions:?}"
    );
}
