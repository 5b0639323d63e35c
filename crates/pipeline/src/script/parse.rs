//! Reads what the language model wrote: the planner's JSON, the writer's text.
//!
//! Models drift from any format. What can be read is read; what may not be
//! there (unknown sources, addresses) is removed and counted.

use std::collections::{BTreeSet, HashSet};
use std::sync::LazyLock;

use regex::Regex;
use serde::Deserialize;

use crate::extractive::sentence::sentences;
use crate::visible::visible;

use super::length::SECTION_WORDS_MAX;
use super::prompt;
use super::types::{
    Check, Citation, Language, Line, Origin, OutlineSection, Plan, PlannedQuery, Script, Section,
};

const SECTIONS_MAX: usize = 6;
const QUERIES_MAX: usize = 6;
/// Bound of every text of a plan, as the prompt says.
const TEXT_CHARS_MAX: usize = 400;

/// Why an answer is no plan. Worded for quoting back to the model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No JSON object of the right shape.
    #[error("not the JSON that was asked for: {0}")]
    Shape(String),
    /// The right shape with a value out of bounds.
    #[error("{pointer}: expected {expected}, got {came}")]
    Value {
        /// JSON pointer (RFC 6901) to the value.
        pointer: String,
        /// What was asked for.
        expected: String,
        /// What came.
        came: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanAnswer {
    title: String,
    angle: String,
    sections: Vec<OutlineSection>,
    queries: Vec<PlannedQuery>,
}

/// Reads the planner's answer, which may be wrapped in prose or a code
/// fence. `language` is the script's own, never `auto`. The language of each
/// query is told from its letters, whatever the model says.
pub fn plan(answer: &str, language: Language) -> Result<Plan, PlanError> {
    let json = match (answer.find('{'), answer.rfind('}')) {
        (Some(first), Some(last)) if first < last => &answer[first..=last],
        _ => return Err(PlanError::Shape("no object in the answer".to_owned())),
    };
    let answer: PlanAnswer =
        serde_json::from_str(json).map_err(|e| PlanError::Shape(e.to_string()))?;
    count("/sections", answer.sections.len(), SECTIONS_MAX)?;
    count("/queries", answer.queries.len(), QUERIES_MAX)?;
    let mut ids = HashSet::new();
    let mut sections = Vec::new();
    for (number, section) in answer.sections.into_iter().enumerate() {
        let at = format!("/sections/{number}");
        let section = OutlineSection {
            id: text(&format!("{at}/id"), &section.id)?,
            heading: text(&format!("{at}/heading"), &section.heading)?,
            goal: text(&format!("{at}/goal"), &section.goal)?,
            target_words: words(&format!("{at}/target_words"), section.target_words)?,
        };
        if !ids.insert(section.id.clone()) {
            return Err(wrong(&format!("{at}/id"), "an id of its own", &section.id));
        }
        sections.push(section);
    }
    let queries = answer
        .queries
        .into_iter()
        .enumerate()
        .map(|(number, query)| {
            let q = text(&format!("/queries/{number}/q"), &query.q)?;
            let why = text(&format!("/queries/{number}/why"), &query.why)?;
            Ok(PlannedQuery {
                lang: Language::of(&q).code().to_owned(),
                q,
                why,
            })
        });
    Ok(Plan {
        title: text("/title", &answer.title)?,
        angle: text("/angle", &answer.angle)?,
        language,
        sections,
        queries: queries.collect::<Result<_, PlanError>>()?,
    })
}

fn count(pointer: &str, came: usize, most: usize) -> Result<(), PlanError> {
    if (1..=most).contains(&came) {
        return Ok(());
    }
    Err(wrong(
        pointer,
        &format!("1 to {most} items"),
        &came.to_string(),
    ))
}

fn words(pointer: &str, came: u32) -> Result<u32, PlanError> {
    if (1..=SECTION_WORDS_MAX).contains(&came) {
        return Ok(came);
    }
    Err(wrong(
        pointer,
        &format!("1 to {SECTION_WORDS_MAX}"),
        &came.to_string(),
    ))
}

/// A text on one line, 1 to 400 characters.
fn text(pointer: &str, came: &str) -> Result<String, PlanError> {
    let one_line = visible(came)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let chars = one_line.chars().filter(|c| !c.is_control()).count();
    if (1..=TEXT_CHARS_MAX).contains(&chars) {
        return Ok(one_line.chars().filter(|c| !c.is_control()).collect());
    }
    Err(wrong(
        pointer,
        &format!("1 to {TEXT_CHARS_MAX} characters"),
        &chars.to_string(),
    ))
}

fn wrong(pointer: &str, expected: &str, came: &str) -> PlanError {
    PlanError::Value {
        pointer: pointer.to_owned(),
        expected: expected.to_owned(),
        came: came.to_owned(),
    }
}

/// The writer's text, taken apart.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Written {
    /// The script; citations name their source and still point at byte 0..0:
    /// `verify::check` finds the passages.
    pub script: Script,
    /// Marks naming no known source, removed.
    pub unknown_citations: usize,
    /// Addresses, removed.
    pub urls_removed: usize,
    /// Ids of the plan's sections that were not written.
    pub missing_sections: Vec<String>,
}

/// Reads the writer's text into the sections of the plan, in the plan's
/// order. `known` are the ids that may be cited.
pub fn script(text: &str, plan: &Plan, known: &[String]) -> Written {
    if plan.sections.is_empty() {
        return Written::default();
    }
    let mut reader = Reader::new(&plan.sections, known);
    let headed = text
        .lines()
        .any(|line| reader.heading(line.trim()).is_some());
    if !headed {
        reader.current = Current::Section(0);
    }
    for line in text.lines() {
        reader.read(line);
    }
    reader.finish(plan.language)
}

/// One sentence outside of a script, as the writer's lines are read: without
/// marks and addresses. `None` where there is no sentence.
pub(super) fn sentence(text: &str, known: &[String]) -> Option<(Line, Written)> {
    let mut reader = Reader::new(&[], known);
    let mut lines = reader.lines_of(unlisted(text.trim())).into_iter();
    let line = lines.next()?;
    lines.next().is_none().then_some((line, reader.written))
}

/// Where the next line goes.
#[derive(Clone, Copy)]
enum Current {
    /// Before the first heading: greetings are dropped, cited lines kept.
    Preamble,
    Section(usize),
    /// A list of sources of the model's own: ours is made by code.
    Dropped,
}

/// What a line of the writer's text was.
pub(super) enum Was<'a> {
    /// The heading of a section, or of something that is dropped.
    Heading,
    /// Sentences of a section, perhaps none.
    Sentences(&'a OutlineSection, &'a [Line]),
    /// Nothing that is kept.
    Nothing,
}

/// Reads the text line by line, as it is written.
pub(super) struct Reader {
    outline: Vec<OutlineSection>,
    known: BTreeSet<String>,
    lines: Vec<Vec<Line>>,
    claimed: Vec<bool>,
    current: Current,
    written: Written,
}

impl Reader {
    /// Before the first line of a text with these sections.
    pub(super) fn new(outline: &[OutlineSection], known: &[String]) -> Self {
        Self {
            outline: outline.to_vec(),
            known: known.iter().cloned().collect(),
            lines: vec![Vec::new(); outline.len()],
            claimed: vec![false; outline.len()],
            current: Current::Preamble,
            written: Written::default(),
        }
    }

    /// The sections whose headings have not come yet.
    pub(super) fn missing(&self) -> impl Iterator<Item = &OutlineSection> {
        let sections = self.outline.iter().zip(&self.claimed);
        sections
            .filter(|(_, claimed)| !**claimed)
            .map(|(section, _)| section)
    }

    /// Whether a heading has come.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.current, Current::Preamble)
    }

    /// Takes the next line.
    pub(super) fn read(&mut self, line: &str) -> Was<'_> {
        let line = visible(line);
        let line = line.trim();
        if let Some(heading) = self.heading(line) {
            self.current = self.enter(&heading);
            return Was::Heading;
        }
        let line = unlisted(line);
        if line.is_empty() || line.starts_with("```") || line.chars().all(|c| "-*_=".contains(c)) {
            return Was::Nothing;
        }
        let mut lines = self.lines_of(line);
        let section = match self.current {
            Current::Section(section) => section,
            Current::Preamble => {
                lines.retain(|line| !line.cites.is_empty());
                0
            }
            Current::Dropped => return Was::Nothing,
        };
        let before = self.lines[section].len();
        self.lines[section].extend(lines);
        Was::Sentences(&self.outline[section], &self.lines[section][before..])
    }

    /// The heading a line is, without its marks: `## 1. What`, or `**What**`
    /// where the plan has such a section.
    fn heading(&self, line: &str) -> Option<String> {
        let marked = line.trim_start_matches('#');
        let bare = plain_heading(marked);
        let planned = || {
            self.outline
                .iter()
                .any(|s| plain_heading(&s.heading) == bare)
        };
        let is_heading = (marked.len() < line.len() && !bare.is_empty())
            || (line.starts_with("**") && planned());
        is_heading.then_some(bare)
    }

    /// The section a heading opens: the one so named, else the next unwritten
    /// one, else the last.
    fn enter(&mut self, heading: &str) -> Current {
        const SOURCE_LISTS: &[&str] = &[
            "sources",
            "references",
            "citations",
            "출처",
            "참고",
            "참고 자료",
            "참고자료",
        ];
        let named = self
            .outline
            .iter()
            .position(|s| plain_heading(&s.heading) == heading);
        if named.is_none() && SOURCE_LISTS.contains(&heading) {
            return Current::Dropped;
        }
        let from = match self.current {
            Current::Section(section) => section + 1,
            Current::Preamble | Current::Dropped => 0,
        };
        let next = || (from..self.claimed.len()).find(|section| !self.claimed[*section]);
        let section = named
            .or_else(next)
            .unwrap_or(self.claimed.len().saturating_sub(1));
        self.claimed[section] = true;
        Current::Section(section)
    }

    /// The sentences of a line. A mark belongs to the sentence before it; a
    /// sentence without one shares the next mark on its line.
    fn lines_of(&mut self, line: &str) -> Vec<Line> {
        let line = without_tags(&self.without_urls(&line.replace("**", "")));
        let (clean, marks) = self.without_marks(&line);
        if is_no_source(&clean) {
            return vec![written_line(clean, Origin::Template, Vec::new())];
        }
        let spans = sentences(&clean);
        let mut cites: Vec<Vec<String>> = vec![Vec::new(); spans.len()];
        for (at, source) in marks {
            let owner = spans.iter().rposition(|span| span.start < at).unwrap_or(0);
            if let Some(own) = cites.get_mut(owner)
                && !own.contains(&source)
            {
                own.push(source);
            }
        }
        for i in (1..cites.len()).rev() {
            if cites[i - 1].is_empty() {
                cites[i - 1] = cites[i].clone();
            }
        }
        let pairs = spans.into_iter().zip(cites);
        pairs
            .map(|(span, cites)| written_line(clean[span].to_owned(), Origin::Llm, cites))
            .collect()
    }

    fn without_urls(&mut self, line: &str) -> String {
        static LINK: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r#"!?\[([^\]]*)\]\(\s*<?[^)\s]*>?(?:\s+["'(][^)]*)?\s*\)"#)
                .expect("the link pattern compiles")
        });
        static ADDRESS: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(
                r#"(?i)\s*[(<]?(?:\b[a-z][a-z0-9+.-]*://|\bwww\.|\b(?:javascript|vbscript|data|file|blob|mailto):\S)[^\s<>()"'\[\]]*[)>]?"#,
            )
            .expect("the address pattern compiles")
        });
        // `[S1](https://…)` keeps its mark, `[the paper](https://…)` its words.
        let mut removed = 0;
        let line = LINK.replace_all(line, |captures: &regex::Captures<'_>| {
            removed += 1;
            let label = &captures[1];
            if MARK_LABEL.is_match(label) {
                format!("[{label}]")
            } else {
                label.to_owned()
            }
        });
        let line = ADDRESS.replace_all(&line, |captures: &regex::Captures<'_>| {
            removed += 1;
            // A full stop at the end was the sentence's.
            if captures[0].ends_with('.') { "." } else { "" }
        });
        self.written.urls_removed += removed;
        line.into_owned()
    }

    /// The line without marks, and where each known source was named in it.
    fn without_marks(&mut self, line: &str) -> (String, Vec<(usize, String)>) {
        static MARK: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r"\s*[\[【]\s*(?i:S)\d+(?:\s*[,;·/]\s*(?i:S)?\d+)*\s*[\]】]")
                .expect("the mark pattern compiles")
        });
        let mut clean = String::new();
        let mut marks = Vec::new();
        let mut end = 0;
        for mark in MARK.find_iter(line) {
            clean.push_str(&line[end..mark.start()]);
            end = mark.end();
            let digits = mark
                .as_str()
                .split(|c: char| !c.is_ascii_digit())
                .filter(|d| !d.is_empty());
            for id in digits.map(|number| format!("S{number}")) {
                if self.known.contains(&id) {
                    marks.push((clean.len(), id));
                } else {
                    self.written.unknown_citations += 1;
                }
            }
        }
        clean.push_str(&line[end..]);
        let lead = clean.len() - clean.trim_start().len();
        marks
            .iter_mut()
            .for_each(|(at, _)| *at = at.saturating_sub(lead));
        (clean.trim().to_owned(), marks)
    }

    fn finish(mut self, language: Language) -> Written {
        let mut sections = Vec::new();
        for (outline, lines) in self.outline.iter().zip(self.lines) {
            if lines.is_empty() {
                self.written.missing_sections.push(outline.id.clone());
            } else {
                sections.push(Section {
                    id: outline.id.clone(),
                    heading: outline.heading.clone(),
                    lines,
                });
            }
        }
        self.written.script = Script::assemble(sections, language);
        self.written
    }
}

static MARK_LABEL: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^\[?\s*(?i:S)\d+\s*\]?$").expect("the label pattern compiles"));

/// A heading without numbering, emphasis and closing colon, in lower case.
fn plain_heading(text: &str) -> String {
    let text = text.trim().trim_matches('*').trim();
    let unnumbered = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let text = match unnumbered.strip_prefix(['.', ')']) {
        Some(rest) if unnumbered.len() < text.len() => rest,
        _ => text,
    };
    text.trim_matches(|c: char| c.is_whitespace() || c == '#' || c == '*' || c == ':')
        .to_lowercase()
}

/// A line without a bullet or number before it.
fn unlisted(line: &str) -> &str {
    static BULLET: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^(?:(?:[-*•·–]|\d{1,2}[.)])\s+|>\s*)+").expect("the bullet pattern compiles")
    });
    let bullet = BULLET.find(line).map_or(0, |m| m.end());
    line[bullet..].trim()
}

/// A line without the tags of HTML; a `<` between numbers stays.
fn without_tags(line: &str) -> String {
    static TAG: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"<!--.*?(?:-->|$)|<[A-Za-z/!?][^<>]*(?:>|$)").expect("the tag pattern compiles")
    });
    let bare = TAG.replace_all(line, "");
    // What stood around a tag must not be one when it is gone.
    if TAG.is_match(&bare) {
        return bare.replace('<', "‹");
    }
    bare.into_owned()
}

fn is_no_source(line: &str) -> bool {
    let bare = line
        .trim_matches(|c: char| !c.is_alphanumeric())
        .to_lowercase();
    matches!(
        bare.as_str(),
        "자료 없음" | "자료없음" | "no source found" | "no sources found"
    )
}

/// The line that stands where no source says anything.
pub(super) fn no_source_line(id: &str, language: Language) -> Line {
    let text = prompt::no_source(language).to_owned();
    Line {
        id: id.to_owned(),
        ..written_line(text, Origin::Template, Vec::new())
    }
}

fn written_line(text: String, origin: Origin, sources: Vec<String>) -> Line {
    let cites = sources.into_iter().map(|source| Citation {
        source,
        start: 0,
        end: 0,
        quote: String::new(),
    });
    Line {
        id: String::new(),
        text,
        origin,
        cites: cites.collect(),
        support: None,
        check: Check::None,
        image: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline() -> Plan {
        let section = |id: &str, heading: &str| OutlineSection {
            id: id.to_owned(),
            heading: heading.to_owned(),
            goal: "?".to_owned(),
            target_words: 50,
        };
        Plan {
            title: "t".to_owned(),
            angle: "a".to_owned(),
            language: Language::En,
            sections: vec![
                section("what", "What happened"),
                section("numbers", "In figures"),
                section("next", "What comes next"),
            ],
            queries: Vec::new(),
        }
    }

    fn read(text: &str) -> Written {
        script(text, &outline(), &["S1".to_owned(), "S2".to_owned()])
    }

    /// Per line `section: sentence <- sources`.
    fn shown(written: &Written) -> Vec<String> {
        let sections = written.script.sections.iter();
        let lines = sections.flat_map(|s| s.lines.iter().map(move |l| (s, l)));
        lines
            .map(|(section, line)| {
                let cites: Vec<&str> = line.cites.iter().map(|c| c.source.as_str()).collect();
                format!("{}: {} <- {}", section.id, line.text, cites.join(","))
            })
            .collect()
    }

    #[test]
    fn a_line_gives_its_sentences_and_their_sources() {
        let table: &[(&str, &[&str])] = &[
            ("It opened. [S1]", &["what: It opened. <- S1"]),
            ("It opened [S1].", &["what: It opened. <- S1"]),
            ("It opened.[S1][S2]", &["what: It opened. <- S1,S2"]),
            (
                "It opened [S1, S2], they say.",
                &["what: It opened, they say. <- S1,S2"],
            ),
            ("It [S1] opened 【s2】.", &["what: It opened. <- S1,S2"]),
            (
                "It opened. [S1] It closed. [S2]",
                &["what: It opened. <- S1", "what: It closed. <- S2"],
            ),
            (
                "It opened. It closed. [S2]",
                &["what: It opened. <- S2", "what: It closed. <- S2"],
            ),
            ("[S1] It opened.", &["what: It opened. <- S1"]),
            ("It opened [S1][S1].", &["what: It opened. <- S1"]),
            ("- It opened. [S1]", &["what: It opened. <- S1"]),
            ("* **It** opened. [S1]", &["what: It opened. <- S1"]),
            ("2) It opened. [S1]", &["what: It opened. <- S1"]),
            ("> It opened. [S1]", &["what: It opened. <- S1"]),
            ("Now listen.", &["what: Now listen. <- "]),
            ("```", &[]),
            ("---", &[]),
            (
                "노선이 늘었다 [S1]. 요금은 1500원이다. [S2]",
                &[
                    "what: 노선이 늘었다. <- S1",
                    "what: 요금은 1500원이다. <- S2",
                ],
            ),
        ];
        for (line, expected) in table {
            let written = read(&format!("## What happened\n{line}"));
            assert_eq!(&shown(&written), expected, "{line}");
            assert_eq!(
                (written.unknown_citations, written.urls_removed),
                (0, 0),
                "{line}"
            );
        }
    }

    #[test]
    fn unknown_sources_and_addresses_are_removed_and_counted() {
        let table = [
            ("It opened. [S9]", "what: It opened. <- ", 1, 0),
            ("It opened. [S1][S9]", "what: It opened. <- S1", 1, 0),
            ("It opened. [S1, S7, S8]", "what: It opened. <- S1", 2, 0),
            (
                "It opened, see https://evil.example/a?b=c. [S1]",
                "what: It opened, see. <- S1",
                0,
                1,
            ),
            (
                "It opened (www.evil.example). [S1]",
                "what: It opened. <- S1",
                0,
                1,
            ),
            (
                "It [opened](https://evil.example/x) today. [S1]",
                "what: It opened today. <- S1",
                0,
                1,
            ),
            (
                "It opened. [S1](https://evil.example)",
                "what: It opened. <- S1",
                0,
                1,
            ),
            (
                "It opened ![x](javascript:alert) [S2].",
                "what: It opened x. <- S2",
                0,
                1,
            ),
        ];
        for (line, expected, unknown, urls) in table {
            let written = read(&format!("## What happened\n{line}"));
            assert_eq!(shown(&written), [expected], "{line}");
            assert_eq!(
                (written.unknown_citations, written.urls_removed),
                (unknown, urls),
                "{line}"
            );
        }
    }

    #[test]
    fn headings_find_their_section() {
        let table: &[(&str, &[&str])] = &[
            (
                "## What happened\nA. [S1]\n## In figures\nB. [S2]",
                &["what: A. <- S1", "numbers: B. <- S2"],
            ),
            (
                "## 1. What happened\nA. [S1]\n### 2) In figures:\nB. [S2]",
                &["what: A. <- S1", "numbers: B. <- S2"],
            ),
            (
                "**What happened**\nA. [S1]\n**In figures:**\nB. [S2]",
                &["what: A. <- S1", "numbers: B. <- S2"],
            ),
            // Out of order: the plan's order wins. Renamed: the next free section.
            (
                "## In figures\nB. [S2]\n## What happened\nA. [S1]",
                &["what: A. <- S1", "numbers: B. <- S2"],
            ),
            (
                "## The news\nA. [S1]\n## Numbers!\nB. [S2]",
                &["what: A. <- S1", "numbers: B. <- S2"],
            ),
            (
                "## What happened\nA. [S1]\n## In figures\nB. [S2]\n## What comes next\nC.\n## More\nD.",
                &[
                    "what: A. <- S1",
                    "numbers: B. <- S2",
                    "next: C. <- ",
                    "next: D. <- ",
                ],
            ),
            // Chatter before, a list of sources after.
            (
                "Here is the script:\n\n## What happened\nA. [S1]\n## Sources\n[S1] Title",
                &["what: A. <- S1"],
            ),
            (
                "A. [S1]\n## In figures\nB. [S2]",
                &["what: A. <- S1", "numbers: B. <- S2"],
            ),
            ("A. [S1]\nB. [S2]", &["what: A. <- S1", "what: B. <- S2"]),
            ("", &[]),
        ];
        for (text, expected) in table {
            assert_eq!(&shown(&read(text)), expected, "{text}");
        }
    }

    #[test]
    fn any_text_is_read_without_a_panic() {
        const PIECES: [&str; 14] = [
            "## ",
            "What happened",
            "\n",
            " ",
            "[S1]",
            "[S",
            "]",
            "(",
            "https://",
            "가.",
            "\"",
            "**",
            "- ",
            "…",
        ];
        let mut state = 7_u32;
        for _ in 0..500 {
            let mut text = String::new();
            for _ in 0..40 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                text.push_str(PIECES[(state >> 16) as usize % PIECES.len()]);
            }
            let written = read(&text);
            let mut lines = written.script.lines();
            assert!(
                lines.all(|l| !l.text.contains("[S1]") && !l.text.contains("https://x")),
                "{text}"
            );
        }
        let empty = Plan {
            sections: Vec::new(),
            ..outline()
        };
        assert_eq!(script("A. [S1]", &empty, &[]), Written::default());
    }

    #[test]
    fn sections_that_were_not_written_are_named() {
        let written = read("## In figures\nB. [S2]");
        assert_eq!(written.missing_sections, ["what", "next"]);
        assert_eq!(written.script.sections.len(), 1);
    }

    #[test]
    fn saying_that_nothing_was_found_states_no_fact() {
        for text in [
            "(no source found)",
            "- (no source found).",
            "(자료 없음)",
            "(자료 없음) [S1]",
        ] {
            let written = read(&format!("## What happened\n{text}"));
            let line = &written.script.sections[0].lines[0];
            assert_eq!(line.origin, Origin::Template, "{text}");
            assert!(line.cites.is_empty());
        }
    }

    const PLAN: &str = r#"{"title":"T","angle":"A","sections":[{"id":"what","heading":"What","goal":"?","target_words":90}],
        "queries":[{"q":"tidal battery","lang":"english","why":"facts"},{"q":"조력 배터리","lang":"en","why":"facts"}]}"#;

    #[test]
    fn a_plan_is_found_in_whatever_surrounds_it() {
        for answer in [
            PLAN.to_owned(),
            format!("Sure!\n```json\n{PLAN}\n```\nDone."),
        ] {
            let plan = plan(&answer, Language::Ko).unwrap();
            assert_eq!(plan.language, Language::Ko);
            let langs: Vec<&str> = plan.queries.iter().map(|q| q.lang.as_str()).collect();
            assert_eq!(langs, ["en", "ko"]);
        }
    }

    #[test]
    fn a_bad_plan_is_refused_with_the_reason() {
        let long = "x".repeat(401);
        let section = r#"{"id":"what","heading":"What","goal":"?","target_words":90}"#;
        let table = [
            (
                "no json".to_owned(),
                "not the JSON that was asked for: no object in the answer",
            ),
            (
                PLAN.replace("\"angle\":\"A\",", ""),
                "missing field `angle`",
            ),
            (
                PLAN.replace("\"angle\"", "\"angel\""),
                "unknown field `angel`",
            ),
            (
                PLAN.replace("\"title\":\"T\"", "\"title\":\" \""),
                "/title: expected 1 to 400 characters, got 0",
            ),
            (
                PLAN.replace("\"T\"", &format!("\"{long}\"")),
                "/title: expected 1 to 400 characters, got 401",
            ),
            (
                PLAN.replace(section, ""),
                "/sections: expected 1 to 6 items, got 0",
            ),
            (
                PLAN.replace(section, &[section; 7].join(",")),
                "/sections: expected 1 to 6 items, got 7",
            ),
            (
                PLAN.replace(section, &[section; 2].join(",")),
                "/sections/1/id: expected an id of its own, got what",
            ),
            (
                PLAN.replace("90", "0"),
                "/sections/0/target_words: expected 1 to 2000, got 0",
            ),
            (
                PLAN.replace("tidal battery", ""),
                "/queries/0/q: expected 1 to 400 characters, got 0",
            ),
        ];
        for (answer, reason) in table {
            let error = plan(&answer, Language::En).expect_err(reason).to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
