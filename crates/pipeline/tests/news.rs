//! Research in the bundled sample: the same code as live, from raw bytes on.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use lovage_pipeline::net::{CorpusFetcher, Fetch, FetchError, Page, Request, Want};
use lovage_pipeline::news::{
    Finds, Inquiry, NewsSource, Query, Research, ResearchWatch, SearchError, feeds,
};
use lovage_pipeline::script::types::{
    Article, Corpus, Domains, Dossier, PlannedQuery, Since, Source, Verdict,
};
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

const KO: &str = "한빛시 자율주행 심야버스";
const EN: &str = "Lumen Bay tidal battery";

/// One article of the sample's index.
#[derive(Deserialize)]
struct Listed {
    id: String,
    title: String,
    site: String,
    date: String,
    url: String,
}

fn corpus(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(path);
    std::fs::read_to_string(path).unwrap()
}

fn listed() -> Vec<Listed> {
    serde_json::from_str(&corpus("index.json")).unwrap()
}

fn now() -> Timestamp {
    "2026-11-21T00:00:00Z".parse().unwrap()
}

fn query(q: &str) -> PlannedQuery {
    let korean = q.chars().any(|c| ('가'..='힣').contains(&c));
    PlannedQuery {
        q: q.to_owned(),
        lang: if korean { "ko" } else { "en" }.to_owned(),
        why: "test".to_owned(),
    }
}

/// The queries of the offline planner.
fn queries(topic: &str) -> Vec<PlannedQuery> {
    let ko = ["", " 최신", " 배경", " 숫자", " 우려"];
    let en = ["", " latest", " background", " figures", " criticism"];
    let endings = if topic.is_ascii() { en } else { ko };
    endings
        .map(|ending| query(&format!("{topic}{ending}")))
        .into()
}

async fn run_with(research: &Research, topic: &str, seeds: &[Url]) -> Dossier {
    run_watched(research, topic, seeds, 12, &()).await
}

async fn run_watched(
    research: &Research,
    topic: &str,
    seeds: &[Url],
    max_sources: usize,
    watch: &dyn ResearchWatch,
) -> Dossier {
    run_until(research, topic, seeds, max_sources, watch, None).await
}

async fn run_until(
    research: &Research,
    topic: &str,
    seeds: &[Url],
    max_sources: usize,
    watch: &dyn ResearchWatch,
    deadline: Option<Instant>,
) -> Dossier {
    let inquiry = Inquiry {
        topic,
        queries: &queries(topic),
        seed_urls: seeds,
        max_sources,
        // The sample is read as if it were live, too, where pages can be too old.
        since: Since::try_from("90d".to_owned()).unwrap(),
        domains: &Domains::default(),
        now: now(),
        deadline,
    };
    research.run(&inquiry, watch).await
}

async fn run(topic: &str) -> Dossier {
    run_with(&Research::sample(), topic, &[]).await
}

/// Articles by their id in the index.
fn by_id(dossier: &Dossier) -> BTreeMap<String, Article> {
    let ids: HashMap<String, String> = listed()
        .into_iter()
        .map(|page| (page.url.trim_end_matches('/').to_owned(), page.id))
        .collect();
    let id = |article: &Article| {
        let url = article.source.url.as_str();
        let url = url.split('?').next().unwrap().trim_end_matches('/');
        ids.get(url).cloned().unwrap_or_else(|| url.to_owned())
    };
    dossier
        .articles
        .iter()
        .map(|article| (id(article), article.clone()))
        .collect()
}

/// All twelve articles, each found by a topic that it is about.
async fn all_articles() -> BTreeMap<String, Article> {
    let mut all = BTreeMap::new();
    for topic in [
        KO,
        EN,
        "한빛시 김장 나눔 행사",
        "Ferry timetable winter season",
    ] {
        all.extend(by_id(&run(topic).await));
    }
    all
}

#[tokio::test]
async fn dates_titles_and_sites_are_as_published() {
    let articles = all_articles().await;
    for page in listed() {
        let source = &articles[&page.id].source;
        assert_eq!(
            source.published.as_deref(),
            Some(page.date.as_str()),
            "{}",
            page.id
        );
        let same = |text: &str| text.replace('…', "...");
        assert_eq!(same(&source.title), same(&page.title), "{}", page.id);
        if page.id != "en3" {
            assert_eq!(source.site, page.site, "{}", page.id);
        }
    }
    let from = |id: &str| articles[id].source.date_from.clone().unwrap();
    assert_eq!(from("ko1"), "jsonld");
    assert_eq!(from("ko2"), "data");
    assert_eq!(from("ko3"), "visible");
    assert_eq!(from("ko5"), "time");
    assert_eq!(from("en3"), "feed");
    // A page that names no site is known by its host.
    assert_eq!(articles["en3"].source.site, "northline.example");
}

#[tokio::test]
async fn copies_of_a_wire_story_are_marked_and_kept_apart() {
    let korean = by_id(&run(KO).await);
    let english = by_id(&run(EN).await);
    for (articles, kept, copy) in [(&korean, "ko1", "ko2"), (&english, "en1", "en3")] {
        let (kept, copy) = (&articles[kept].source, &articles[copy].source);
        assert_eq!(copy.duplicate_of.as_ref(), Some(&kept.id));
        assert_eq!(kept.duplicate_of, None);
        assert_eq!(kept.also_reported_by, std::slice::from_ref(&copy.id));
    }
    let repeats = |articles: &BTreeMap<String, Article>| {
        articles
            .values()
            .filter(|article| article.source.duplicate_of.is_some())
            .count()
    };
    assert_eq!((repeats(&korean), repeats(&english)), (1, 1));
}

#[tokio::test]
async fn what_is_beside_the_topic_is_left_out() {
    let korean = by_id(&run(KO).await);
    assert_eq!(
        korean.keys().collect::<Vec<_>>(),
        ["ko1", "ko2", "ko3", "ko4", "ko5"]
    );
    let english = by_id(&run(EN).await);
    assert_eq!(
        english.keys().collect::<Vec<_>>(),
        ["en1", "en2", "en3", "en4", "en5"]
    );
}

#[tokio::test]
async fn a_named_page_beside_the_topic_is_left_out_with_a_warning() {
    for (topic, seed, id) in [
        (KO, "https://daily.hanbit.example/news/ko6", "ko6"),
        (EN, "https://courier.lumenbay.example/news/en6", "en6"),
    ] {
        let seeds = [Url::parse(seed).unwrap()];
        let dossier = run_with(&Research::sample(), topic, &seeds).await;
        assert!(!by_id(&dossier).contains_key(id));
        assert_eq!(dossier.warnings[0].code, "seed_not_relevant");
    }
}

#[tokio::test(start_paused = true)]
async fn pages_that_cannot_be_cited_say_why() {
    let seeds = [
        "https://dealwire.example/exclusive",
        "https://daily.hanbit.example/society",
        "https://shielded.example/story",
        "https://checking.example/story",
        "https://daily.hanbit.example/removed",
        "https://daily.hanbit.example/never",
        "https://elsewhere.example/",
        "https://slow.example/story",
    ]
    .map(|seed| Url::parse(seed).unwrap());
    let dossier = run_with(&Research::sample(), EN, &seeds).await;
    let verdict = |seed: &Url| {
        let mut sources = dossier.articles.iter().map(|article| &article.source);
        sources.find(|source| source.url == *seed).unwrap().verdict
    };
    assert_eq!(
        seeds.each_ref().map(verdict),
        [
            Verdict::Paywall,
            Verdict::Listing,
            Verdict::Blocked,
            Verdict::Blocked,
            Verdict::Error,
            Verdict::Error,
            // Its robots.txt cannot be read, so nothing of it may be.
            Verdict::Robots,
            Verdict::Error,
        ]
    );
    let error = |seed: &Url| {
        let mut sources = dossier.articles.iter().map(|article| &article.source);
        let source = sources.find(|source| source.url == *seed).unwrap();
        source.error.clone().unwrap()
    };
    assert_eq!(error(&seeds[4]), "http status 404");
    assert_eq!(error(&seeds[7]), "timed out after 20 s");
    let unreadable = dossier
        .articles
        .iter()
        .filter(|article| article.source.verdict != Verdict::Ok);
    for article in unreadable {
        assert_eq!(article.text, "");
        assert_eq!(article.source.relevance, None);
    }
    let readable = dossier
        .articles
        .iter()
        .map(|article| article.source.verdict == Verdict::Ok);
    assert!(
        readable.is_sorted_by(|before, after| before >= after),
        "readable ones come first"
    );
}

#[tokio::test]
async fn an_unknown_topic_finds_nothing_and_says_what_to_try() {
    for topic in [
        "화성 탐사 로켓 발사",
        "Lumen Bay casino scandal",
        "quantum knitting",
    ] {
        let dossier = run(topic).await;
        assert!(
            dossier.articles.is_empty(),
            "{topic}: {:?}",
            by_id(&dossier).keys()
        );
        assert_eq!(dossier.suggestions, [KO, EN]);
        assert_eq!(dossier.corpus, Corpus::Sample);
    }
    assert!(run(KO).await.suggestions.is_empty());
}

#[tokio::test]
async fn ids_follow_relevance() {
    for topic in [KO, EN] {
        let dossier = run(topic).await;
        for (index, article) in dossier.articles.iter().enumerate() {
            assert_eq!(article.source.id, format!("S{}", index + 1));
        }
        let originals = dossier
            .articles
            .iter()
            .filter(|one| one.source.duplicate_of.is_none());
        let relevance: Vec<f64> = originals.map(|one| one.source.relevance.unwrap()).collect();
        assert!(relevance.is_sorted_by(|a, b| a >= b), "{relevance:?}");
        assert!(
            relevance.iter().all(|score| (0.25..=1.0).contains(score)),
            "{relevance:?}"
        );
    }
}

#[tokio::test]
async fn two_runs_give_the_same_bytes() {
    for topic in [KO, EN] {
        let first = serde_json::to_string(&run(topic).await).unwrap();
        let second = serde_json::to_string(&run(topic).await).unwrap();
        assert_eq!(first, second);
    }
}

#[tokio::test]
async fn at_most_max_sources_pages_are_read_and_named_ones_first() {
    let seeds = [
        "https://daily.hanbit.example/news/ko1",
        "https://saebyeok.example/news/ko4",
    ]
    .map(|seed| Url::parse(seed).unwrap());
    let research = Research::sample();
    let one = run_watched(&research, KO, &seeds, 1, &()).await;
    assert_eq!(by_id(&one).keys().collect::<Vec<_>>(), ["ko1"]);
    assert_eq!(one.warnings[0].code, "seed_not_read");
}

#[derive(Default)]
struct Watched(Mutex<(usize, Vec<(usize, usize)>)>);

impl ResearchWatch for Watched {
    fn found(&self, hits: usize) {
        self.0.lock().unwrap().0 = hits;
    }
    fn article(&self, source: &Source, done: usize, total: usize) {
        assert!(source.url.host_str().unwrap().ends_with(".example"));
        self.0.lock().unwrap().1.push((done, total));
    }
}

#[tokio::test]
async fn progress_is_told_page_by_page() {
    let watched = Watched::default();
    let research = Research::sample();
    let dossier = run_watched(&research, EN, &[], 12, &watched).await;
    let (hits, told) = watched.0.into_inner().unwrap();
    assert!(hits >= dossier.articles.len());
    let expected: Vec<(usize, usize)> = (1..=hits).map(|done| (done, hits)).collect();
    assert_eq!(told, expected);
}

#[tokio::test]
async fn queries_are_reported_with_their_sources() {
    let dossier = run(KO).await;
    let first = &dossier.queries[0];
    assert_eq!((first.q.as_str(), first.lang.as_str()), (KO, "ko"));
    assert!(first.hits >= 5, "{first:?}");
    assert_eq!(
        first.via,
        [
            "daily.hanbit.example/feed.xml",
            "www.hbtraffic.example/rss.xml"
        ]
    );
}

/// A source that never finds anything, each in its own way.
struct Broken(Option<SearchError>);

#[async_trait]
impl NewsSource for Broken {
    fn name(&self) -> &str {
        "broken"
    }
    async fn search(&self, _: &Query) -> Result<Finds, SearchError> {
        match self.0.clone() {
            Some(error) => Err(error),
            None => std::future::pending().await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_source_is_a_warning_and_stops_nothing() {
    let status = Broken(Some(SearchError::Status(429)));
    for (broken, detail) in [
        (status, "broken: answered with http status 429"),
        (Broken(None), "broken: did not answer within 10 s"),
    ] {
        let research = Research::sample().with_source(Arc::new(broken));
        let dossier = run_with(&research, KO, &[]).await;
        assert_eq!(dossier.warnings.len(), 1, "one for five queries");
        assert_eq!(dossier.warnings[0].code, "source_failed");
        assert_eq!(dossier.warnings[0].detail, detail);
        assert_eq!(dossier.articles.len(), 5);
    }
}

/// The sample, with a few hosts that behave badly; counts what is asked.
#[derive(Default)]
struct Web {
    asked: Mutex<HashMap<String, usize>>,
}

impl Web {
    fn asked(&self, url: &str) -> usize {
        self.asked.lock().unwrap().get(url).copied().unwrap_or(0)
    }

    fn page(url: &Url, status: u16, body: &'static str) -> Page {
        Page {
            url: url.clone(),
            status,
            content_type: Some("text/html".into()),
            etag: None,
            last_modified: None,
            cache_control: None,
            retry_after: None,
            body: Bytes::from_static(body.as_bytes()),
        }
    }
}

#[async_trait]
impl Fetch for Web {
    async fn send(&self, request: &Request) -> Result<Page, FetchError> {
        let Request { url, want, .. } = request;
        *self
            .asked
            .lock()
            .unwrap()
            .entry(url.to_string())
            .or_default() += 1;
        match (url.host_str(), want) {
            (Some("hangs.example"), Want::Html) => std::future::pending().await,
            (Some("closed.example"), Want::Robots) => {
                Ok(Self::page(url, 200, "User-agent: *\nDisallow: /private"))
            }
            (Some("hangs.example" | "limits.example" | "flaky.example"), Want::Robots) => {
                Ok(Self::page(url, 404, ""))
            }
            (Some("limits.example"), _) => Ok(Self::page(url, 429, "")),
            (Some("flaky.example"), _) => Err(FetchError::Network("reset".into())),
            _ => CorpusFetcher.send(request).await,
        }
    }
}

fn live(web: &Arc<Web>) -> Research {
    let fetch = Arc::clone(web) as Arc<dyn Fetch>;
    Research::live(feeds(CorpusFetcher::feeds(), &fetch), fetch)
}

#[tokio::test(start_paused = true)]
async fn a_feed_is_fetched_once_for_all_queries_and_runs() {
    let web = Arc::new(Web::default());
    let research = live(&web);
    for topic in [KO, EN] {
        run_with(&research, topic, &[]).await;
    }
    for feed in CorpusFetcher::feeds() {
        assert_eq!(web.asked(feed.as_str()), 1, "{feed}");
    }
    assert_eq!(web.asked("https://n.moapress.example/robots.txt"), 1);
    tokio::time::advance(lovage_pipeline::news::limits::FEED_KEPT).await;
    run_with(&research, KO, &[]).await;
    for feed in CorpusFetcher::feeds() {
        assert_eq!(web.asked(feed.as_str()), 2, "{feed}");
    }
}

#[tokio::test(start_paused = true)]
async fn sites_are_left_alone_when_they_ask_for_it() {
    let web = Arc::new(Web::default());
    let seeds = [
        "https://closed.example/private/1",
        "https://limits.example/1",
        "https://limits.example/2",
        "https://limits.example/3",
        "https://limits.example/4",
        "https://flaky.example/1",
    ]
    .map(|seed| Url::parse(seed).unwrap());
    let dossier = run_with(&live(&web), KO, &seeds).await;
    let source = |seed: &Url| {
        let mut sources = dossier.articles.iter().map(|article| &article.source);
        sources.find(|source| source.url == *seed).unwrap()
    };
    assert_eq!(source(&seeds[0]).verdict, Verdict::Robots);
    assert_eq!(web.asked(seeds[0].as_str()), 0);
    // The first is asked; the others see that it was refused.
    let asked: usize = seeds[1..5]
        .iter()
        .map(|seed| web.asked(seed.as_str()))
        .sum();
    assert_eq!(asked, 1);
    for seed in &seeds[1..5] {
        assert_eq!(source(seed).verdict, Verdict::Blocked);
    }
    assert_eq!(web.asked(seeds[5].as_str()), 2, "tried once more");
    assert_eq!(source(&seeds[5]).verdict, Verdict::Error);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_hangs_does_not_hold_up_the_rest() {
    let web = Arc::new(Web::default());
    let seeds = [Url::parse("https://hangs.example/1").unwrap()];
    let begin = Instant::now();
    let dossier = run_with(&live(&web), KO, &seeds).await;
    assert_eq!(
        begin.elapsed(),
        lovage_pipeline::news::limits::READING_DEADLINE
    );
    assert_eq!(dossier.articles.len(), 6);
    let last = &dossier.articles[5].source;
    assert_eq!(
        (last.verdict, last.url.host_str()),
        (Verdict::Error, Some("hangs.example"))
    );
    assert_eq!(dossier.warnings[0].code, "research_deadline");
}

#[tokio::test(start_paused = true)]
async fn at_its_deadline_it_ends_with_what_it_has() {
    let seeds = [Url::parse("https://hangs.example/1").unwrap()];
    // Of a page that hangs and so many others: with enough of them, half of the
    // time is left to write.
    for (others, seconds) in [(5, 4), (2, 8)] {
        let web = Arc::new(Web::default());
        let begin = Instant::now();
        let deadline = Some(begin + Duration::from_secs(8));
        let dossier = run_until(&live(&web), KO, &seeds, 1 + others, &(), deadline).await;
        assert_eq!(begin.elapsed(), Duration::from_secs(seconds));
        let articles = dossier.articles.iter();
        let read = articles.filter(|one| one.source.verdict == Verdict::Ok);
        assert!((1..=others).contains(&read.count()), "{others} others");
        assert_eq!(dossier.warnings[0].code, "research_deadline");
    }
}
