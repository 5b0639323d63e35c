//! What the language model is asked, word for word.
//!
//! Prompts are versioned: a checkpoint made with another version is made
//! anew. Raise the version with every change to the text or the schema.

use jiff::civil::Date;
use serde_json::{Value, json};

use crate::extractive;
use crate::llm::{ChatRequest, Message, Role};

use super::evidence::Evidence;
use super::types::{Corpus, Generator, Language, Plan, ScriptRequest, ScriptType};

/// Version of the planner's prompt and schema.
pub const PLANNER_VERSION: &str = "planner/1";
/// Version of the writer's prompt.
pub const WRITER_VERSION: &str = "writer/1";

const PLANNER: &str = include_str!("../prompts/planner.md");
const WRITER: &str = include_str!("../prompts/writer.md");
/// Bounds of the answers, with room for a reasoning model's thoughts.
const PLANNER_TOKENS_MAX: u32 = 4_000;
const WRITER_TOKENS_MAX: u32 = 8_000;

/// Asks for a plan, as JSON. `today` anchors words such as "latest".
pub fn planner(request: &ScriptRequest, today: Date) -> ChatRequest {
    let language = request.language.resolve(&request.topic);
    let system = PLANNER
        .replace("{type}", kind(request.script_type))
        .replace("{language}", name(language))
        .replace("{date}", &today.to_string());
    ChatRequest {
        messages: vec![
            message(Role::System, system),
            message(
                Role::User,
                format!("<topic>{}</topic>", unmarked(&request.topic)),
            ),
        ],
        schema: Some(("plan".to_owned(), plan_schema())),
        max_tokens: Some(PLANNER_TOKENS_MAX),
        temperature: Some(0.2),
    }
}

/// Asks for the script of a plan, resting on the evidence alone. Must not be
/// called with empty evidence: the answer would be invented.
pub fn writer(request: &ScriptRequest, plan: &Plan, evidence: &Evidence) -> ChatRequest {
    let system = WRITER
        .replace("{type}", kind(request.script_type))
        .replace("{language}", name(plan.language))
        .replace("{no_source}", no_source(plan.language));
    let mut user = format!(
        "Topic: {}\nTitle: {}\nAngle: {}\n\nSECTIONS\n",
        unmarked(&request.topic),
        unmarked(&plan.title),
        unmarked(&plan.angle)
    );
    for section in &plan.sections {
        let (heading, goal) = (unmarked(&section.heading), unmarked(&section.goal));
        user.push_str(&format!(
            "## {heading}\n({goal} About {} words.)\n",
            section.target_words
        ));
    }
    user.push_str("\nEVIDENCE\n");
    user.push_str(&evidence.text);
    ChatRequest {
        messages: vec![message(Role::System, system), message(Role::User, user)],
        schema: None,
        max_tokens: Some(WRITER_TOKENS_MAX),
        temperature: Some(0.4),
    }
}

/// How a result written by a model introduces itself.
pub fn generator(language: Language, corpus: Corpus, model: Option<String>) -> Generator {
    let korean = language == Language::Ko;
    let mut notice = String::from(if korean {
        "이 원고는 언어 모델이 기사를 근거로 썼습니다. 인용은 자동으로 대조했으며, 뜻까지 확인한 것은 아닙니다."
    } else {
        "Written by a language model from the cited articles. Citations were compared automatically, which does not prove their meaning."
    });
    if corpus == Corpus::Sample {
        notice.push_str(extractive::sample_notice(language));
    }
    Generator {
        kind: "llm".to_owned(),
        name: WRITER_VERSION.to_owned(),
        model,
        llm: true,
        notice,
    }
}

/// What the writer puts where the evidence is silent.
pub(crate) fn no_source(language: Language) -> &'static str {
    if language == Language::Ko {
        "(자료 없음)"
    } else {
        "(no source found)"
    }
}

/// The shape of the planner's answer. Every property is required and no other
/// allowed, as strict structured output demands.
fn plan_schema() -> Value {
    let text = json!({"type": "string"});
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["title", "angle", "sections", "queries"],
        "properties": {
            "title": text,
            "angle": text,
            "sections": {"type": "array", "items": {
                "type": "object",
                "additionalProperties": false,
                "required": ["id", "heading", "goal", "target_words"],
                "properties": {"id": text, "heading": text, "goal": text, "target_words": {"type": "integer"}}
            }},
            "queries": {"type": "array", "items": {
                "type": "object",
                "additionalProperties": false,
                "required": ["q", "lang", "why"],
                "properties": {"q": text, "lang": text, "why": text}
            }}
        }
    })
}

fn message(role: Role, text: String) -> Message {
    Message::new(role, text)
}

/// One line that opens and closes no tag.
pub(super) fn unmarked(text: &str) -> String {
    let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    one_line.replace('<', "‹").replace('>', "›")
}

pub(super) fn name(language: Language) -> &'static str {
    if language == Language::Ko {
        "Korean"
    } else {
        "English"
    }
}

fn kind(script_type: ScriptType) -> &'static str {
    match script_type {
        ScriptType::Youtube => "narrated YouTube script of about five minutes",
        ScriptType::News => "short news piece",
        ScriptType::Short => "script for a clip of under a minute",
        ScriptType::Blog => "blog post",
        ScriptType::Report => "detailed report",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(topic: &str) -> ScriptRequest {
        serde_json::from_value(json!({"topic": topic, "type": "news"})).unwrap()
    }

    #[test]
    fn the_planner_is_asked_in_the_language_of_the_topic() {
        let asked = planner(&request("조력 <배터리>\n"), Date::constant(2026, 11, 21));
        let system = &asked.messages[0].text;
        assert!(system.starts_with("You plan a short news piece in Korean. Today is 2026-11-21."));
        assert!(!system.contains(['{', '}']), "{system}");
        assert_eq!(asked.messages[1].text, "<topic>조력 ‹배터리›</topic>");
        let (_, schema) = asked.schema.unwrap();
        assert_eq!(schema["additionalProperties"], json!(false));
    }

    #[test]
    fn the_writer_sees_the_sections_and_the_evidence_only() {
        let request = request("tides");
        let plan = crate::extractive::plan(&request);
        let evidence = Evidence {
            text: "<evidence>\n[S1] a | b | c\n</evidence>\n".to_owned(),
            ..Evidence::default()
        };
        let asked = writer(&request, &plan, &evidence);
        let (system, user) = (&asked.messages[0].text, &asked.messages[1].text);
        assert!(
            system.contains("Write in English.") && system.contains("exactly: (no source found).")
        );
        assert!(!system.contains(['{', '}']), "{system}");
        assert!(
            plan.sections
                .iter()
                .all(|s| user.contains(&format!("## {}\n", s.heading)))
        );
        assert!(user.ends_with(&evidence.text));
        assert_eq!(asked.schema, None);
    }
}
