//! The bundled sample articles as a dossier, as the research step would make it.

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use lovage_pipeline::script::types::{
    Article, Corpus, Dossier, ScriptRequest, ScriptType, Source, Verdict,
};
use serde_json::Value;

#[allow(dead_code, reason = "not every test file asks for a script")]
pub(crate) const KO_TOPIC: &str = "한빛시 자율주행 심야버스";
pub(crate) const EN_TOPIC: &str = "Lumen Bay tidal battery";

/// The Korean articles: `S2` repeats `S1`, `S6` is about something else.
pub(crate) fn korean() -> Dossier {
    dossier(&["ko1", "ko2", "ko3", "ko4", "ko5", "ko6"], &[("S2", "S1")])
}

/// The English articles: `S3` repeats `S1`, `S6` is about something else.
pub(crate) fn english() -> Dossier {
    dossier(&["en1", "en2", "en3", "en4", "en5", "en6"], &[("S3", "S1")])
}

pub(crate) fn now() -> Timestamp {
    "2026-11-21T00:00:00Z"
        .parse()
        .expect("the bundled sample is well-formed")
}

#[allow(dead_code, reason = "not every test file asks for a script")]
pub(crate) fn request(topic: &str, script_type: ScriptType) -> ScriptRequest {
    let value = serde_json::json!({ "topic": topic, "type": script_type });
    serde_json::from_value(value).expect("the bundled sample is well-formed")
}

fn dossier(names: &[&str], duplicates: &[(&str, &str)]) -> Dossier {
    let index = read("index.json");
    let index: Vec<Value> =
        serde_json::from_str(&index).expect("the bundled sample is well-formed");
    let articles = names.iter().enumerate().map(|(number, name)| {
        let entry = index
            .iter()
            .find(|entry| entry["id"] == *name)
            .expect("the bundled sample is well-formed");
        article(
            &format!("S{}", number + 1),
            entry,
            read(&format!("gold/{name}.txt")),
        )
    });
    let mut articles: Vec<Article> = articles.collect();
    for (copy_id, original) in duplicates {
        let copy = articles
            .iter_mut()
            .find(|a| a.source.id == *copy_id)
            .expect("the bundled sample is well-formed");
        copy.source.duplicate_of = Some((*original).to_owned());
        let original = articles
            .iter_mut()
            .find(|a| a.source.id == *original)
            .expect("the bundled sample is well-formed");
        original.source.also_reported_by.push((*copy_id).to_owned());
    }
    Dossier {
        articles,
        corpus: Corpus::Sample,
        ..Dossier::default()
    }
}

fn article(id: &str, entry: &Value, text: String) -> Article {
    let field = |name: &str| {
        entry[name]
            .as_str()
            .expect("the bundled sample is well-formed")
            .to_owned()
    };
    Article {
        source: Source {
            id: id.to_owned(),
            url: field("url")
                .parse()
                .expect("the bundled sample is well-formed"),
            canonical_url: field("url"),
            title: field("title"),
            site: field("site"),
            author: None,
            published: Some(field("date")),
            date_from: Some("jsonld".to_owned()),
            fetched_at: now(),
            lang: Some(field("lang")),
            verdict: Verdict::Ok,
            text_from: Some("selector".to_owned()),
            chars: text.chars().count(),
            sha256: None,
            relevance: None,
            used: false,
            citations: 0,
            duplicate_of: None,
            also_reported_by: Vec::new(),
            error: None,
        },
        text,
        images: Vec::new(),
    }
}

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(file);
    fs::read_to_string(path).expect("the bundled sample is well-formed")
}
