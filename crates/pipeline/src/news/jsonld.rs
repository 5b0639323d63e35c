//! What a page says about its article in JSON-LD (schema.org).

use dom_query::Document;
use serde_json::{Map, Value};

use super::article::squeezed;

/// The first article that the page describes; empty when it describes none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Linked {
    pub(crate) headline: Option<String>,
    pub(crate) published: Option<String>,
    pub(crate) author: Option<String>,
    pub(crate) publisher: Option<String>,
    pub(crate) body: Option<String>,
    /// `isAccessibleForFree: false`.
    pub(crate) closed: bool,
}

impl Linked {
    pub(crate) fn read(doc: &Document) -> Self {
        doc.select(r#"script[type="application/ld+json"]"#)
            .iter()
            .filter_map(|script| serde_json::from_str::<Value>(script.text().trim()).ok())
            .find_map(|value| article(&value).map(Self::from_object))
            .unwrap_or_default()
    }

    fn from_object(object: &Map<String, Value>) -> Self {
        let text = |key: &str| string(object.get(key)?);
        Self {
            headline: text("headline").and_then(|text| squeezed(&text)),
            published: text("datePublished"),
            author: object.get("author").and_then(names),
            publisher: object.get("publisher").and_then(names),
            body: text("articleBody"),
            closed: object.get("isAccessibleForFree").is_some_and(is_false),
        }
    }
}

/// The first object of an article type, in arrays and `@graph` too.
fn article(value: &Value) -> Option<&Map<String, Value>> {
    match value {
        Value::Array(items) => items.iter().find_map(article),
        Value::Object(object) if is_article(object) => Some(object),
        Value::Object(object) => object.get("@graph").and_then(article),
        _ => None,
    }
}

fn is_article(object: &Map<String, Value>) -> bool {
    let matches = |kind: &Value| {
        kind.as_str()
            .is_some_and(|kind| kind.ends_with("Article") || kind == "BlogPosting")
    };
    match object.get("@type") {
        Some(Value::Array(kinds)) => kinds.iter().any(matches),
        Some(kind) => matches(kind),
        None => false,
    }
}

/// Names of people or organisations, however they are wrapped.
fn names(value: &Value) -> Option<String> {
    let string = |value: &Value| squeezed(&string(value)?);
    match value {
        Value::Array(items) => {
            let all: Vec<String> = items.iter().filter_map(names).collect();
            (!all.is_empty()).then(|| all.join(", "))
        }
        Value::Object(object) => string(object.get("name")?),
        other => string(other),
    }
}

fn string(value: &Value) -> Option<String> {
    let text = value.as_str()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Sites write the boolean as a word too.
fn is_false(value: &Value) -> bool {
    value == &Value::Bool(false)
        || value
            .as_str()
            .is_some_and(|word| word.eq_ignore_ascii_case("false"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Linked {
        let html = format!(r#"<script type="application/ld+json">{json}</script>"#);
        Linked::read(&Document::from(html))
    }

    #[test]
    fn an_article_is_found_in_a_graph() {
        let linked = read(
            r#"{"@graph":[{"@type":"WebSite","name":"W"},
               {"@type":["NewsArticle"],"headline":" H ","author":[{"name":"A"},{"name":"B"}],
                "publisher":{"name":"P"},"isAccessibleForFree":"False"}]}"#,
        );
        assert_eq!(linked.headline.as_deref(), Some("H"));
        assert_eq!(linked.author.as_deref(), Some("A, B"));
        assert_eq!(linked.publisher.as_deref(), Some("P"));
        assert!(linked.closed);
    }

    #[test]
    fn broken_or_other_descriptions_say_nothing() {
        assert_eq!(read("{not json"), Linked::default());
        assert_eq!(read(r#"{"@type":"Product","name":"x"}"#), Linked::default());
    }
}
