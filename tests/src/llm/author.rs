//! What the stand-in says when it is not scripted: a plan, a script, one of
//! several analyses or a revised story, made from the words of the prompt by
//! fixed rules.

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
    if user.contains("\nSENTENCES\n") {
        return corrections(&user);
    }
    let text = revised(&user).unwrap_or_else(|| script(&user));
    // A request that holds the beginning of the text asks for the rest of it.
    let begun = spoken(request, "assistant");
    match text.strip_prefix(begun.trim_end()) {
        Some(rest) if !rest.trim().is_empty() => rest.trim_start().to_owned(),
        _ => text,
    }
}

/// The text of a prompt that has one to revise, between tags `<text-…>`. An edit
/// request `replace A with B` is done; any other adds a sentence at the end.
fn revised(user: &str) -> Option<String> {
    let (_, tagged) = user.split_once("\n<text-")?;
    let (mark, rest) = tagged.split_once(">\n")?;
    let (text, _) = rest.split_once(&format!("\n</text-{mark}>"))?;
    let asked = user.lines().nth(1).unwrap_or_default();
    let replaced = asked.strip_prefix("replace ").and_then(|asked| {
        let (old, new) = asked.split_once(" with ")?;
        Some(text.replace(old, new))
    });
    Some(replaced.unwrap_or_else(|| format!("{text} It was changed as asked.")))
}

pub(super) fn wants_plan(request: &Value) -> bool {
    let prompt = request["messages"].to_string();
    !request["response_format"].is_null()
        || (prompt.contains("sections") && prompt.contains("queries"))
}

/// Everything one role has said.
pub(super) fn spoken(request: &Value, role: &str) -> String {
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
    let evidence = match user.split_once("\nANALYSES\n") {
        Some((_, analyses)) => cited(analyses),
        None => evidence(user),
    };
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

/// For each sentence under review, one that stands in the source it cites.
fn corrections(user: &str) -> String {
    let evidence = evidence(user);
    let lines = user.lines().filter_map(|line| {
        let (id, rest) = line.split_once(": ")?;
        let cited = |source: &&Evidence| rest.contains(&format!("[{}]", source.id));
        let number = id.strip_prefix('L')?;
        let source = number
            .parse::<u32>()
            .ok()
            .and(evidence.iter().find(cited))?;
        Some(format!("{id}: {} [{}]", source.sentences[0], source.id))
    });
    lines.collect::<Vec<_>>().join("\n")
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

/// The sentences of analyses by their first source: lines `sentence [S1][S2]`.
fn cited(analyses: &str) -> Vec<Evidence> {
    let mut sources: Vec<Evidence> = Vec::new();
    for line in analyses.lines().map(str::trim) {
        let Some((sentence, marks)) = line.split_once(" [S") else {
            continue;
        };
        let digits = marks.split(']').next().unwrap_or_default();
        let id = format!("S{digits}");
        match sources.iter_mut().find(|source| source.id == id) {
            Some(source) => source.sentences.push(sentence.to_owned()),
            None => sources.push(Evidence {
                id,
                sentences: vec![sentence.to_owned()],
            }),
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
