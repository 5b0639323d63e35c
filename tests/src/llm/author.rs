//! What the stand-in says when it is not scripted: a plan or a script, made
//! from the words of the prompt by fixed rules.

use std::collections::HashMap;

use serde_json::{Value, json};

/// Lines in each section of a script.
const LINES_PER_SECTION: usize = 2;

/// The text answering a request.
pub(super) fn reply(request: &Value) -> String {
    let user = spoken(request, "user");
    let shown = pictures(request);
    if shown > 0 {
        return descriptions(shown, &user).to_string();
    }
    if wants_plan(request) {
        return plan(topic(&user)).to_string();
    }
    let script = script(&user);
    // A request that holds the beginning of the script asks for the rest of it.
    let begun = spoken(request, "assistant");
    match script.strip_prefix(begun.trim_end()) {
        Some(rest) if !rest.trim().is_empty() => rest.trim_start().to_owned(),
        _ => script,
    }
}

fn wants_plan(request: &Value) -> bool {
    let prompt = request["messages"].to_string();
    !request["response_format"].is_null()
        || (prompt.contains("sections") && prompt.contains("queries"))
}

/// Everything one role has said.
fn spoken(request: &Value, role: &str) -> String {
    let messages = request["messages"].as_array();
    let texts = messages.into_iter().flatten();
    let texts = texts.filter(|message| message["role"] == role);
    let texts: Vec<&str> = texts
        .filter_map(|message| text(&message["content"]))
        .collect();
    texts.join("\n")
}

/// The text of a message, beside pictures too.
fn text(content: &Value) -> Option<&str> {
    let mut parts = content.as_array().into_iter().flatten();
    let beside = || parts.find_map(|part| part["text"].as_str());
    content.as_str().or_else(beside)
}

/// Pictures that a request shows as data URLs of JPEGs, as the client sends them.
pub(super) fn pictures(request: &Value) -> usize {
    let messages = request["messages"].as_array().into_iter().flatten();
    let parts = messages.filter_map(|message| message["content"].as_array());
    let urls = parts
        .flatten()
        .filter_map(|part| part["image_url"]["url"].as_str());
    urls.filter(|url| url.starts_with("data:image/jpeg;base64,"))
        .count()
}

fn descriptions(count: usize, user: &str) -> Value {
    let korean = is_korean(user);
    let entries = (1..=count).map(|i| {
        let (alt, what) = if korean {
            (format!("그림 {i}"), format!("대역이 설명한 그림 {i}"))
        } else {
            (format!("Picture {i}"), format!("What the stand-in says of picture {i}"))
        };
        json!({"i": i, "alt": alt, "what": what, "text_in_image": "", "kind": "chart", "relevant": 2})
    });
    json!({"images": entries.collect::<Vec<_>>()})
}

/// The line that begins with `topic:` or `주제:`, or the first one.
fn topic(user: &str) -> &str {
    let named = user.lines().find_map(|line| {
        let (name, topic) = line.split_once(':')?;
        let name = name.trim().to_lowercase();
        (name == "topic" || name == "주제").then_some(topic)
    });
    let line = named.or_else(|| user.lines().find(|line| !line.trim().is_empty()));
    line.unwrap_or("an unnamed topic").trim().trim_matches('"')
}

fn is_korean(text: &str) -> bool {
    text.contains(|c| ('가'..='힣').contains(&c))
}

fn headings(korean: bool) -> [&'static str; 3] {
    if korean {
        ["무슨 일이 있었나", "숫자로 보기", "앞으로의 일정"]
    } else {
        ["What happened", "The figures", "What comes next"]
    }
}

fn plan(topic: &str) -> Value {
    let topic: String = topic.chars().take(80).collect();
    let korean = is_korean(&topic);
    let (lang, words) = if korean {
        ("ko", ["최신", "배경"])
    } else {
        ("en", ["latest", "background"])
    };
    let ids = ["what", "figures", "next"];
    let sections = ids.iter().zip(headings(korean)).map(|(id, heading)| {
        json!({"id": id, "heading": heading, "goal": format!("{heading}: {topic}"), "target_words": 80})
    });
    let queries = [
        json!({"q": topic, "lang": lang, "why": "the topic itself"}),
        json!({"q": format!("{topic} {}", words[0]), "lang": lang, "why": "what is new"}),
        json!({"q": format!("{topic} {}", words[1]), "lang": lang, "why": "how it came about"}),
    ];
    json!({
        "title": topic,
        "angle": format!("{topic}: what is known"),
        "sections": sections.collect::<Vec<_>>(),
        "queries": queries,
    })
}

/// One source of the prompt: its id and its sentences.
struct Evidence {
    id: String,
    sentences: Vec<String>,
}

fn script(user: &str) -> String {
    let evidence = evidence(user);
    let mut used: HashMap<&str, usize> = HashMap::new();
    let mut sources = evidence.iter().cycle();
    let mut sections = Vec::new();
    for heading in wanted_headings(user) {
        let mut lines = vec![format!("## {heading}")];
        for source in sources.by_ref().take(LINES_PER_SECTION) {
            let turn = used.entry(&source.id).or_default();
            let sentence = &source.sentences[*turn % source.sentences.len()];
            *turn += 1;
            lines.push(format!("{sentence} [{}]", source.id));
        }
        if evidence.is_empty() {
            lines.push(
                if is_korean(user) {
                    "(자료 없음)"
                } else {
                    "(no source found)"
                }
                .to_owned(),
            );
        }
        sections.push(lines.join("\n"));
    }
    sections.join("\n\n") + "\n"
}

/// Headings the prompt asks for: lines `## …`, or `"heading": "…"` of an outline in JSON.
fn wanted_headings(user: &str) -> Vec<String> {
    let marked = user.lines().filter_map(|line| line.strip_prefix("## "));
    let in_json = user
        .split("\"heading\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').nth(1));
    let mut wanted: Vec<String> = marked
        .chain(in_json)
        .map(|text| text.trim().to_owned())
        .collect();
    if wanted.is_empty() {
        wanted = headings(is_korean(user)).map(str::to_owned).to_vec();
    }
    wanted
}

/// The sources of the prompt: a line `[S1] title | site | date`, then the passage.
fn evidence(user: &str) -> Vec<Evidence> {
    let mut sources: Vec<Evidence> = Vec::new();
    for line in user.lines().map(str::trim) {
        match tag(line) {
            Some((id, title)) => sources.push(Evidence {
                id: id.to_owned(),
                sentences: vec![title.split('|').next().unwrap_or(title).trim().to_owned()],
            }),
            None => {
                if let Some(source) = sources.last_mut() {
                    source.sentences.extend(sentences(line));
                }
            }
        }
    }
    for source in &mut sources {
        // The title serves only where there is no passage.
        if source.sentences.len() > 1 {
            source.sentences.remove(0);
        }
    }
    sources
}

/// `[S12] rest` to `S12` and the rest.
fn tag(line: &str) -> Option<(&str, &str)> {
    let (id, rest) = line.strip_prefix('[')?.split_once(']')?;
    let digits = id.strip_prefix('S')?;
    let numbered = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    numbered.then_some((id, rest))
}

fn sentences(passage: &str) -> Vec<String> {
    let mut sentences = vec![String::new()];
    for word in passage.split_whitespace() {
        let last = sentences
            .last_mut()
            .expect("there is always a last sentence");
        if !last.is_empty() {
            last.push(' ');
        }
        last.push_str(word);
        if word.ends_with(['.', '?', '!']) {
            sentences.push(String::new());
        }
    }
    sentences.retain(|sentence| !sentence.is_empty());
    sentences
}
