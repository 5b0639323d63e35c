//! What goes into a script job, what its steps hand on, and what comes out.
//!
//! `ScriptResult` is schema `script-result/1`. Unknown values are `null`,
//! never 0; a field that this version does not fill is absent or empty.

use jiff::{Span, SpanRelativeTo, Timestamp, Unit};
use serde::{Deserialize, Serialize};
use url::Url;

use super::hangul::is_hangul;

/// The kind of text to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScriptType {
    /// A narrated video of about five minutes.
    #[default]
    Youtube,
    /// A short news piece.
    News,
    /// A clip of under a minute.
    Short,
    /// A blog post.
    Blog,
    /// A longer report.
    Report,
}

/// The language to write in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// The language of the topic: Korean when it holds Hangul, else English.
    #[default]
    Auto,
    /// Korean.
    Ko,
    /// English.
    En,
}

impl Language {
    /// Korean when the text holds Hangul, else English. Statistical detectors
    /// fail on texts as short as a topic or a query.
    pub fn of(text: &str) -> Self {
        if text.chars().any(is_hangul) {
            Self::Ko
        } else {
            Self::En
        }
    }

    /// The language to write in: itself, or that of the topic for `auto`.
    pub fn resolve(self, topic: &str) -> Self {
        match self {
            Self::Auto => Self::of(topic),
            Self::Ko | Self::En => self,
        }
    }

    /// `auto`, `ko` or `en`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Ko => "ko",
            Self::En => "en",
        }
    }
}

/// Which writer to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The language model when one is configured, else the extractive writer.
    #[default]
    Auto,
    /// The language model; an error when none is configured.
    Llm,
    /// The offline writer, always.
    Extractive,
}

/// What to do when the language model fails for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnLlmFailure {
    /// Go on with the offline planner or writer; the result says `degraded`.
    #[default]
    Extractive,
    /// Fail the job.
    Fail,
}

/// The input of kind `script.generate`. Unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptRequest {
    /// What the script is about; 1 to 500 characters, no control characters.
    pub topic: String,
    /// Kind of text; default `youtube`.
    #[serde(default, rename = "type")]
    pub script_type: ScriptType,
    /// Language; default `auto`.
    #[serde(default)]
    pub language: Language,
    /// Length aimed at; the type decides where it is silent.
    #[serde(default)]
    pub length: Length,
    /// Tone, such as `neutral` or `lively`; at most 60 characters.
    #[serde(default)]
    pub tone: Option<String>,
    /// Who is spoken to; at most 200 characters.
    #[serde(default)]
    pub audience: Option<String>,
    /// Oldest news wanted; default a week.
    #[serde(default)]
    pub since: Since,
    /// How many sources to read at most; 1 to 30, default 12.
    #[serde(default = "default_max_sources")]
    pub max_sources: usize,
    /// How many images to fetch at most; 0 to 10, default 10.
    #[serde(default = "default_max_images")]
    pub max_images: usize,
    /// Pages to read beside what the sources find; at most 20, http or https.
    #[serde(default)]
    pub seed_urls: Vec<Url>,
    /// Sites that may be read, or must not be.
    #[serde(default)]
    pub domains: Domains,
    /// Which writer; default `auto`.
    #[serde(default)]
    pub mode: Mode,
    /// What to do when the language model fails for good; default `extractive`.
    #[serde(default)]
    pub on_llm_failure: OnLlmFailure,
    /// What the job may cost; at a limit it ends with what it has.
    #[serde(default)]
    pub budget: Budget,
    /// Whether answers of earlier jobs may be used again; default yes.
    #[serde(default = "default_cache")]
    pub cache: bool,
}

pub(super) fn default_max_sources() -> usize {
    12
}

pub(super) fn default_max_images() -> usize {
    10
}

pub(crate) fn default_cache() -> bool {
    true
}

/// Length aimed at: at most one of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Length {
    /// Reading time, 10 to 3600 seconds.
    #[serde(default)]
    pub seconds: Option<u32>,
    /// Words, 20 to 10,000.
    #[serde(default)]
    pub words: Option<u32>,
}

/// Sites by host; one stands for its subdomains too. At most 50 in each list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Domains {
    /// Only these, unless empty.
    #[serde(default)]
    pub allow: Vec<String>,
    /// Never these.
    #[serde(default)]
    pub deny: Vec<String>,
}

/// What one job may cost. `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// US dollars, above 0. Needs a price for the model.
    #[serde(default)]
    pub max_cost_usd: Option<f64>,
    /// Tokens of all calls, above 0.
    #[serde(default)]
    pub max_tokens: Option<u64>,
    /// Seconds of work in all attempts, waits in between not counted; above 0.
    #[serde(default)]
    pub deadline_s: Option<u64>,
}

/// How old news may be, such as `7d`, `36h` or `2w`; an hour to 90 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Since {
    hours: u32,
}

impl Since {
    /// Three months, which is as far back as news indexes reach.
    const HOURS_MAX: u32 = 90 * 24;

    /// The age.
    pub fn hours(self) -> u32 {
        self.hours
    }
}

impl Default for Since {
    fn default() -> Self {
        Self { hours: 7 * 24 }
    }
}

impl TryFrom<String> for Since {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("expected an age such as 7d, 36h or 2w, at most 90d, got {text:?}");
        let span: Span = text.parse().map_err(|_| wrong())?;
        let hours = span
            .total((Unit::Hour, SpanRelativeTo::days_are_24_hours()))
            .map_err(|_| wrong())?;
        if hours < 1.0 || hours > f64::from(Self::HOURS_MAX) {
            return Err(wrong());
        }
        Ok(Self {
            hours: hours as u32,
        })
    }
}

impl From<Since> for String {
    fn from(since: Since) -> Self {
        if since.hours.is_multiple_of(24) {
            format!("{}d", since.hours / 24)
        } else {
            format!("{}h", since.hours)
        }
    }
}

/// One section to write.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutlineSection {
    /// Short id, unique in the outline, such as `what`.
    pub id: String,
    /// Heading in the language of the script.
    pub heading: String,
    /// What the section is to answer.
    pub goal: String,
    /// Length aimed at, in words.
    pub target_words: u32,
}

/// One search query and why it is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedQuery {
    /// The words to search for.
    pub q: String,
    /// `ko` or `en`.
    pub lang: String,
    /// What it is meant to find.
    pub why: String,
}

/// The planner's answer; checkpoint `plan`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Working title.
    pub title: String,
    /// The angle taken.
    pub angle: String,
    /// `ko` or `en`, never `auto`.
    pub language: Language,
    /// One to six sections.
    pub sections: Vec<OutlineSection>,
    /// One to six queries.
    pub queries: Vec<PlannedQuery>,
}

/// What came of fetching and reading a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Readable; the only verdict that may be cited.
    Ok,
    /// Behind a paywall.
    Paywall,
    /// Refused by the site.
    Blocked,
    /// Too little text.
    TooShort,
    /// A list of links, not an article.
    Listing,
    /// Closed by robots.txt.
    Robots,
    /// Could not be fetched or read.
    Error,
}

/// One page of the research, cited or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// `S1`, `S2`, … in order of relevance.
    pub id: String,
    /// The address it was fetched from.
    pub url: Url,
    /// The address without tracking, used to find duplicates.
    pub canonical_url: String,
    /// Headline.
    pub title: String,
    /// Name of the site, or its host.
    pub site: String,
    /// Author, where the page names one.
    pub author: Option<String>,
    /// Time of publication as the page gives it (RFC 3339 with its own offset).
    pub published: Option<String>,
    /// Where the date was found: `jsonld`, `meta`, `data`, `time`, `visible`, `url`, `feed`.
    pub date_from: Option<String>,
    /// When it was fetched.
    pub fetched_at: Timestamp,
    /// Language of the text, as whatlang sees it.
    pub lang: Option<String>,
    /// What came of it.
    pub verdict: Verdict,
    /// Which extractor gave the text: `selector`, `readability`, `generic`, `jsonld`.
    pub text_from: Option<String>,
    /// Characters of text.
    pub chars: usize,
    /// SHA-256 of the text, hex.
    pub sha256: Option<String>,
    /// Relevance to the topic, 0 to 1.
    pub relevance: Option<f64>,
    /// Whether the script cites it.
    pub used: bool,
    /// How many citations point to it.
    pub citations: usize,
    /// The source this one repeats.
    pub duplicate_of: Option<String>,
    /// The sources that repeat this one.
    pub also_reported_by: Vec<String>,
    /// Why it could not be read.
    pub error: Option<String>,
}

/// A source with its extracted text; citations are byte ranges into `text`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Article {
    /// What the result will show of it.
    pub source: Source,
    /// Extracted text; lines are paragraphs. Empty unless the verdict is `ok`.
    pub text: String,
    /// What the page shows, its own choice first. A dossier that was stored
    /// before there were images has to keep its form, which steps are found by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<PageImage>,
}

/// An image as a page names it; not looked at yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageImage {
    /// Where it is: http or https.
    pub url: Url,
    /// What the page calls it; may be empty.
    pub alt: String,
}

/// What the research found; checkpoint `research`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Dossier {
    /// Every page looked at, best first, duplicates and unusable ones included.
    pub articles: Vec<Article>,
    /// Per query: how many hits and from which sources.
    pub queries: Vec<QueryReport>,
    /// Topics that can be tried where nothing was found (the sample corpus).
    pub suggestions: Vec<String>,
    /// Whether the pages are the bundled sample or the live web.
    pub corpus: Corpus,
    /// What went wrong on the way without stopping it.
    pub warnings: Vec<Warning>,
}

/// Where pages came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Corpus {
    /// The live web.
    #[default]
    Live,
    /// The bundled fictional sample.
    Sample,
}

/// What a query brought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueryReport {
    /// The words searched for.
    pub q: String,
    /// `ko` or `en`.
    pub lang: String,
    /// Number of hits.
    pub hits: usize,
    /// Names of the sources that gave them.
    pub via: Vec<String>,
}

/// Something that went wrong without stopping the job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Warning {
    /// Stable code, such as `source_failed` or `unknown_citation`.
    pub code: String,
    /// For a person.
    pub detail: String,
}

/// A pointer from a line to the passage that carries it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Citation {
    /// Source id, always one of `sources`.
    pub source: String,
    /// First byte of the passage in the source's text (UTF-8).
    pub start: usize,
    /// One past its last byte.
    pub end: usize,
    /// The passage.
    pub quote: String,
}

/// Who wrote a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// A language model.
    Llm,
    /// Copied word for word from a source.
    Extracted,
    /// A fixed phrase that states no fact.
    Template,
}

/// What the deterministic check says of a line. It flags; it never says "true".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Its words and numbers stand in the cited passage.
    Verified,
    /// Some of its words do.
    Weak,
    /// It holds a number the passage does not.
    NumberMismatch,
    /// Its words do not stand in the cited passage.
    Unsupported,
    /// Copied word for word.
    Verbatim,
    /// Nothing to check: it cites nothing.
    None,
}

/// One line of the script: one sentence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// `L1`, `L2`, … through the whole script.
    pub id: String,
    /// The sentence, without citation marks.
    pub text: String,
    /// Who wrote it.
    pub origin: Origin,
    /// What it rests on.
    pub cites: Vec<Citation>,
    /// Support score, 0 to 1; `null` when it cites nothing.
    pub support: Option<f64>,
    /// The check's word.
    pub check: Check,
    /// Id of the image to show with it.
    #[serde(default)]
    pub image: Option<String>,
}

/// One written section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// Id of the outline's section.
    pub id: String,
    /// Heading.
    pub heading: String,
    /// Sentences in order.
    pub lines: Vec<Line>,
}

/// The written script; checkpoint `write`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Script {
    /// Reading time in seconds (Korean 5.5 syllables/s, English 2.5 words/s).
    pub seconds: u32,
    /// Number of words.
    pub words: u32,
    /// Sections in order.
    pub sections: Vec<Section>,
}

impl Script {
    /// Sections in order: lines are numbered through, words and reading time
    /// counted. Headings are not read aloud.
    pub fn assemble(mut sections: Vec<Section>, language: Language) -> Self {
        let (mut words, mut syllables, mut number) = (0, 0, 0);
        for line in sections.iter_mut().flat_map(|s| &mut s.lines) {
            number += 1;
            line.id = format!("L{number}");
            words += line.text.split_whitespace().count();
            syllables += line.text.chars().filter(|c| c.is_alphanumeric()).count();
        }
        // Reading speed: 5.5 Korean syllables or 2.5 English words a second.
        let seconds = if language == Language::Ko {
            syllables as f64 / 5.5
        } else {
            words as f64 / 2.5
        };
        Self {
            seconds: seconds.round() as u32,
            words: words as u32,
            sections,
        }
    }

    /// Every line, in reading order.
    pub fn lines(&self) -> impl Iterator<Item = &Line> {
        self.sections.iter().flat_map(|s| &s.lines)
    }
}

/// An image that was fetched, found fit and kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// `I1`, `I2`, …; those that proved unfit leave gaps.
    pub id: String,
    /// Id of the source whose page shows it.
    pub source: String,
    /// Where it was fetched from.
    pub url: Url,
    /// Path under which the API serves what was kept.
    pub stored: String,
    /// What it shows, for somebody who cannot see it: in the model's words, or
    /// in the page's. May be empty.
    pub alt: String,
    /// Pixels of what was kept.
    pub width: u32,
    /// Pixels of what was kept.
    pub height: u32,
    /// Bytes of what was kept.
    pub bytes: usize,
    /// SHA-256 of what was kept, in hex.
    pub sha256: String,
    /// The file ended early: the lower part of the picture is missing.
    pub truncated: bool,
    /// What a model saw; `null` where none looked.
    pub analysis: Option<ImageAnalysis>,
    /// Id of the section it belongs to.
    pub used_in: Option<String>,
}

/// What a model saw in an image. A description, not a fact to be cited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageAnalysis {
    /// What is to be seen.
    pub what: String,
    /// Words that can be read in it.
    pub text_in_image: String,
    /// What sort of image it is.
    pub kind: ImageKind,
    /// How well it fits the topic, 0 (not at all) to 3.
    pub relevant: u8,
}

/// What sort of image it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageKind {
    /// A photograph.
    Photo,
    /// A chart, a map or a table.
    Chart,
    /// A sign of a company or a site.
    Logo,
    /// Advertising.
    Ad,
    /// Something else.
    Other,
}

/// How the job as a whole came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResultStatus {
    /// As planned.
    Ok,
    /// With a fallback somewhere; `degraded` names the steps.
    Degraded,
    /// The sources do not cover the topic; nothing was written.
    InsufficientSources,
}

/// Who made the text, said plainly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Generator {
    /// `llm` or `extractive`.
    pub kind: String,
    /// Name and version, such as `builtin-extractive/1`.
    pub name: String,
    /// Model, when a language model wrote it.
    pub model: Option<String>,
    /// Whether a language model wrote it.
    pub llm: bool,
    /// One sentence for the reader, shown in every rendering.
    pub notice: String,
}

/// How long a step took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// Step.
    pub step: String,
    /// Start.
    pub started_at: Timestamp,
    /// Milliseconds of work.
    pub ms: u64,
    /// Items worked on, where that means something.
    pub items: Option<usize>,
    /// Of these, how many failed.
    pub failed: Option<usize>,
    /// Milliseconds of it spent waiting for a limit; `null` where it was not measured.
    #[serde(default)]
    pub queue_ms: Option<u64>,
    /// Attempts of the job that it took.
    #[serde(default = "once")]
    pub attempts: u32,
    /// Whether the last attempt found it done.
    #[serde(default)]
    pub cached: bool,
}

fn once() -> u32 {
    1
}

/// What was spent. `null` means unknown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Calls to a language model.
    pub calls: u32,
    /// Answers of a model that came from the cache, without a call.
    #[serde(default)]
    pub cache_hits: u32,
    /// Prompt tokens.
    pub prompt_tokens: Option<u64>,
    /// Completion tokens.
    pub completion_tokens: Option<u64>,
    /// Of the prompt tokens, those served from a cache.
    pub cached_tokens: Option<u64>,
    /// Images that a model described.
    #[serde(default)]
    pub images: u32,
    /// US dollars; `null` where no price is known.
    pub cost_usd: Option<f64>,
    /// Why the cost is what it is.
    pub cost_note: Option<String>,
    /// The same by step, in the order of their first call.
    #[serde(default)]
    pub by_step: Vec<StepUsage>,
}

/// What one step spent, in all attempts. `null` means unknown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepUsage {
    /// Step.
    pub step: String,
    /// Calls to a language model.
    pub calls: u32,
    /// Prompt tokens.
    pub prompt_tokens: Option<u64>,
    /// Completion tokens.
    pub completion_tokens: Option<u64>,
    /// Of the prompt tokens, those served from a cache.
    pub cached_tokens: Option<u64>,
    /// US dollars; `null` where no price is known.
    pub cost_usd: Option<f64>,
}

/// Versions of the prompts that the result was made with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompts {
    /// The planner's.
    pub planner: String,
    /// The writer's; of a comprehensive document, the integrator's.
    pub writer: String,
    /// The review's.
    pub review: String,
}

/// Deterministic measures of the script.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Checks {
    /// Share of factual sentences that carry a citation, 0 to 1.
    pub citation_coverage: Option<f64>,
    /// Share of extracted sentences that equal their passage byte for byte.
    pub span_exact: Option<f64>,
    /// Share of cited sentences whose numbers all stand in their source.
    pub number_support: Option<f64>,
    /// Citation marks naming no source; removed.
    pub unknown_citations: usize,
    /// Addresses the model wrote; removed.
    pub urls_removed: usize,
    /// Sources cited.
    pub sources_used: usize,
    /// Highest Jaccard similarity of two sentences.
    pub max_redundancy: Option<f64>,
}

/// The result of kind `script.generate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScriptResult {
    /// Always `script-result/1`.
    pub schema: String,
    /// The job's id.
    pub job_id: String,
    /// How it came out.
    pub status: ResultStatus,
    /// When the result was made.
    pub created_at: Timestamp,
    /// What was asked, defaults filled in.
    pub request: ScriptRequest,
    /// Who made the text.
    pub generator: Generator,
    /// The prompts' versions; absent where no model was asked.
    #[serde(default)]
    pub prompts: Option<Prompts>,
    /// Live web or bundled sample.
    pub corpus: Corpus,
    /// Steps that fell back.
    pub degraded: Vec<String>,
    /// Fewer than two sites behind a news piece or report.
    pub low_evidence: bool,
    /// `ko` or `en`.
    pub language: Language,
    /// Title.
    pub title: String,
    /// The plan's sections.
    pub outline: Vec<OutlineSection>,
    /// What was searched.
    pub queries: Vec<QueryReport>,
    /// Every page looked at.
    pub sources: Vec<Source>,
    /// Images of the sources that were kept.
    #[serde(default)]
    pub images: Vec<ImageRecord>,
    /// The script; empty when the sources were insufficient.
    pub script: Script,
    /// Time per step.
    pub timings: Vec<Timing>,
    /// What was spent.
    pub usage: Usage,
    /// Deterministic measures.
    pub checks: Checks,
    /// What can be tried instead, when the sources were insufficient.
    pub suggestions: Vec<String>,
    /// What went wrong without stopping it.
    pub warnings: Vec<Warning>,
}
