//! The deterministic check against the sample articles.

mod sample;

use lovage_pipeline::script::parse;
use lovage_pipeline::script::types::{Check, Dossier, Language, OutlineSection, Plan, Verdict};
use lovage_pipeline::script::verify::{SUPPORT_MIN, Verifier, check};
use sample::{english, korean};

/// Sentences that say what their source says, in other words.
const PARAPHRASES: &[(&str, &str)] = &[
    ("S1", "자율주행 심야버스 노선이 1개에서 3개로 늘어난다."),
    (
        "S1",
        "요금은 1,500원이고, 기존 심야버스보다 650원 저렴하다.",
    ),
    ("S1", "N1 노선은 하루 평균 1,800명이 넘게 이용한다."),
    (
        "S1",
        "이용객 2100명 조사에서 78.4%가 만족한다고 답했지만 31%는 급정거를 불편하다고 했다.",
    ),
    ("S1", "차량은 모두 18대이고 시험 운전자가 1명씩 탑승한다."),
    (
        "S3",
        "한빛시는 2028년에 무인 운행을 하는 것이 목표지만 조례가 아직 없다.",
    ),
    (
        "S3",
        "시의회는 25일 공청회에서 주행 기록을 60초 동안 보존하는 조례 개정안을 다룬다.",
    ),
    (
        "S4",
        "버스노조는 심야 운행 인력 64명의 고용 대책을 요구했다.",
    ),
    (
        "S5",
        "밤 11시 이후 한빛시에서 이동하는 사람은 하루 평균 9만4천 명이다.",
    ),
    (
        "S5",
        "N1이 다니기 시작한 뒤 노선 주변 심야 택시 호출이 12% 감소했다.",
    ),
];
const EN_PARAPHRASES: &[(&str, &str)] = &[
    (
        "S1",
        "The battery can power 11,000 homes through a winter night, its operator says.",
    ),
    (
        "S1",
        "Harbor Grid spent 31 million dollars on the project, 4 million more than planned.",
    ),
    (
        "S1",
        "It is expected to displace 9,200 tons of diesel a year at the backup plant.",
    ),
    (
        "S2",
        "The tidal battery has a round-trip efficiency of 46 percent, about half that of lithium-ion.",
    ),
    (
        "S2",
        "Availability was only 71 percent during sea trials because kelp fouled the blades.",
    ),
    (
        "S4",
        "Hydrophones recorded 112 decibels, 6 decibels above the level in the permit.",
    ),
    (
        "S4",
        "Harbor Grid offered to stop 2 inner turbines between midnight and 4 a.m.",
    ),
    (
        "S5",
        "The council voted 7 to 2 for continuous noise monitoring.",
    ),
    (
        "S5",
        "The council set aside $240,000 to compensate fishing crews.",
    ),
];

/// The same with a number that no source gives.
const CHANGED_NUMBERS: &[(&str, &str)] = &[
    ("S1", "요금은 1800원이고, 기존 심야버스보다 650원 저렴하다."),
    ("S1", "차량은 모두 28대가 투입되고, 시험 운전자가 탑승한다."),
    (
        "S3",
        "한빛시는 2038년 무인 운행을 목표로 하고 있지만 관련 조례는 아직 없다.",
    ),
    (
        "S4",
        "한빛버스노조는 심야 운행 인력 94명의 고용 대책을 요구했다.",
    ),
    (
        "S5",
        "밤 11시 이후 이동하는 사람은 하루 평균 9만 6000명이었다.",
    ),
];
const EN_CHANGED_NUMBERS: &[(&str, &str)] = &[
    (
        "S1",
        "The battery can power 12,000 homes through a winter night.",
    ),
    ("S1", "Harbor Grid spent $31 billion on the project."),
    (
        "S2",
        "The tidal battery has a round-trip efficiency of 64 percent.",
    ),
    (
        "S5",
        "The council voted 8 to 2 on Friday to require noise monitoring.",
    ),
];

/// Sentences that no source says.
const INVENTIONS: &[(&str, &str)] = &[
    (
        "S1",
        "국토교통부 장관은 개통식에 참석해 축하 인사를 전했다.",
    ),
    ("S3", "해외 도시들은 드론 택시 도입을 서두르고 있다."),
];
const EN_INVENTIONS: &[(&str, &str)] = &[
    (
        "S1",
        "Investors in Norway welcomed similar plans for offshore wind parks.",
    ),
    (
        "S5",
        "Several celebrities attended the opening ceremony and praised local chefs.",
    ),
];

fn verdict(dossier: &Dossier, source: &str, sentence: &str) -> (Check, f64) {
    let support = Verifier::new(dossier).support(sentence, &[source]);
    (support.check, support.score)
}

#[test]
fn paraphrases_are_verified_and_point_at_their_passage() {
    for (dossier, table) in [(korean(), PARAPHRASES), (english(), EN_PARAPHRASES)] {
        let verifier = Verifier::new(&dossier);
        for (source, sentence) in table {
            let support = verifier.support(sentence, &[source]);
            assert_eq!(support.check, Check::Verified, "{sentence}: {support:?}");
            let text = &dossier
                .articles
                .iter()
                .find(|a| a.source.id == *source)
                .unwrap()
                .text;
            let passage = &support.passages[0];
            assert_eq!(text[passage.start..passage.end], passage.quote);
            assert!(!passage.quote.is_empty());
        }
    }
}

#[test]
fn changed_numbers_are_flagged() {
    for (dossier, table) in [(korean(), CHANGED_NUMBERS), (english(), EN_CHANGED_NUMBERS)] {
        for (source, sentence) in table {
            let (check, score) = verdict(&dossier, source, sentence);
            assert_eq!(check, Check::NumberMismatch, "{sentence}: {score}");
        }
    }
}

#[test]
fn inventions_are_not_verified() {
    for (dossier, table) in [(korean(), INVENTIONS), (english(), EN_INVENTIONS)] {
        for (source, sentence) in table {
            let (check, score) = verdict(&dossier, source, sentence);
            assert!(
                matches!(check, Check::Unsupported | Check::Weak),
                "{sentence}: {check:?}"
            );
            assert!(score < SUPPORT_MIN);
        }
    }
}

#[test]
fn another_source_does_not_carry_the_sentence() {
    for (dossier, table) in [(korean(), PARAPHRASES), (english(), EN_PARAPHRASES)] {
        for (source, sentence) in table {
            // Copies of a source carry what it says: S2 of ko1, S3 of en1.
            for article in dossier
                .articles
                .iter()
                .filter(|a| a.source.duplicate_of.is_none())
            {
                let other = &article.source.id;
                if other != source {
                    let (check, score) = verdict(&dossier, other, sentence);
                    assert_ne!(check, Check::Verified, "{other} {score}: {sentence}");
                }
            }
        }
    }
}

#[test]
fn two_sources_carry_a_sentence_together() {
    let dossier = english();
    let sentence = "Delivered power costs 19 cents per kilowatt-hour, and the council voted 7 to 2 for noise monitoring.";
    let support = Verifier::new(&dossier).support(sentence, &["S2", "S5"]);
    assert_eq!(support.check, Check::Verified);
    assert_eq!(support.passages.len(), 2);
    assert_eq!(verdict(&dossier, "S2", sentence).0, Check::NumberMismatch);
}

#[test]
fn across_languages_only_the_numbers_are_compared() {
    let dossier = english();
    assert_eq!(
        verdict(&dossier, "S1", "이 배터리는 1만 1000가구에 전기를 보낸다.").0,
        Check::Weak
    );
    assert_eq!(
        verdict(&dossier, "S1", "이 배터리는 1만 2000가구에 전기를 보낸다.").0,
        Check::NumberMismatch
    );
}

#[test]
fn a_written_script_is_judged_and_its_sources_are_counted() {
    let mut dossier = english();
    dossier.articles[1].source.verdict = Verdict::Paywall;
    let plan = Plan {
        title: "t".to_owned(),
        angle: "a".to_owned(),
        language: Language::En,
        sections: vec![OutlineSection {
            id: "what".to_owned(),
            heading: "What happened".to_owned(),
            goal: "?".to_owned(),
            target_words: 60,
        }],
        queries: Vec::new(),
    };
    let text = "## What happened\nThe council voted 7 to 2 for continuous noise monitoring. [S5]\n\
                It cost $99 million, Harbor Grid spent it on the project. [S1]\n\
                Stay tuned.\n(no source found)";
    let mut script = parse::script(text, &plan, &["S1".to_owned(), "S5".to_owned()]).script;
    let checks = check(&mut script, &mut dossier);
    let found: Vec<Check> = script.lines().map(|line| line.check).collect();
    assert_eq!(
        found,
        [
            Check::Verified,
            Check::NumberMismatch,
            Check::None,
            Check::None
        ]
    );
    assert!(
        script
            .lines()
            .all(|line| line.support.is_some() != line.cites.is_empty())
    );
    assert_eq!(checks.citation_coverage, Some(2.0 / 3.0));
    assert_eq!(checks.number_support, Some(0.5));
    assert_eq!(checks.span_exact, None);
    assert_eq!(checks.sources_used, 2);
    let used: Vec<bool> = dossier.articles.iter().map(|a| a.source.used).collect();
    assert_eq!(used, [true, false, false, false, true, false]);
}

#[test]
fn a_copied_line_that_no_longer_matches_is_not_called_verbatim() {
    let mut dossier = english();
    let plan =
        lovage_pipeline::extractive::plan(&sample::request(sample::EN_TOPIC, Default::default()));
    let request = sample::request(sample::EN_TOPIC, Default::default());
    let mut script = lovage_pipeline::extractive::write(&request, &plan, &dossier, sample::now());
    let line = &mut script.sections[0].lines[1];
    line.text = line.text.replace("11,000", "12,000");
    let checks = check(&mut script, &mut dossier);
    assert_eq!(script.sections[0].lines[1].check, Check::NumberMismatch);
    assert!(checks.span_exact < Some(1.0));
}
