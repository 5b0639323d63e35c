//! A server that shows Markdown as a viewer would, and what a browser made of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use lovage_tests::browser::{Browser, Locator};
use pulldown_cmark::{Event, Options, Parser, html};
use serde_json::Value;
use tokio::net::TcpListener;

/// Where Mermaid is: a file `mermaid.min.js`.
const MERMAID: &str = "LOVAGE_TEST_MERMAID";
const PAGE: &str = include_str!("viewer.html");
/// Longest time until a page has drawn itself.
const DRAWN_MAX: Duration = Duration::from_secs(60);

/// What is asked of a page that has drawn itself.
const LOOK: &str = r#"
    const all = (selector) => [...document.querySelectorAll(selector)];
    const text = (element) => element.textContent;
    const spills = (node) => node.querySelector("text").getBBox().width > node.querySelector("path").getBBox().width;
    const cells = (row) => [...row.cells].map(text);
    const svg = document.querySelector("figure svg");
    const tables = all("main table");
    return {
        headings: all("main h1, main h2").map(text),
        svgs: all("main figure svg").length,
        error: document.querySelector("figure").dataset.error ?? (document.querySelector(".error-icon, .error-text") && "drawn"),
        boxes: all("figure svg .timeline-node").length,
        spilt: all("figure svg .timeline-node").filter(spills).map(text),
        timeline: [...(svg?.querySelectorAll("text") ?? [])].map(text).join(" ").replace(/\s/g, ""),
        links: all("main a").map((link) => link.href),
        tables: tables.map((table) => [table.rows.length, table.rows[0].cells.length]),
        rows: [...tables[0].tBodies[0].rows].map(cells),
        strange: all("main :is(script, img, iframe, object, embed, form, input, a:not([href^=http]), foreignObject, svg a)").map((one) => one.outerHTML),
        pwned: window.pwned,
    };
"#;

/// A browser, and the server whose pages it shows.
pub(crate) struct Viewer {
    pub(crate) browser: Browser,
    page: Arc<Mutex<String>>,
    origin: String,
}

impl Viewer {
    /// Starts both; nothing where there is no Mermaid or no browser is wanted.
    pub(crate) async fn start() -> Option<Self> {
        let mermaid = std::env::var(MERMAID).ok();
        let Some(mermaid) = mermaid.filter(|_| Browser::available()) else {
            eprintln!("left out: {MERMAID} names no mermaid.min.js, or LOVAGE_TEST_BROWSER=off");
            return None;
        };
        let mermaid = std::fs::read_to_string(mermaid).expect("mermaid.min.js can be read");
        let page = Arc::new(Mutex::new(String::new()));
        let shown = Arc::clone(&page);
        let script = [("content-type", "text/javascript; charset=utf-8")];
        let pages = Router::new()
            .route("/mermaid.min.js", get(async move || (script, mermaid)))
            .route("/", get(async move || Html(shown.lock().unwrap().clone())));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, pages).await });
        Some(Self {
            browser: Browser::start().await,
            page,
            origin,
        })
    }

    /// What the browser made of a report.
    pub(crate) async fn show(&self, markdown: &str) -> Value {
        *self.page.lock().unwrap() = PAGE.replace("<!-- report -->", &html(markdown));
        let client = self.browser.client();
        client.goto(&self.origin).await.unwrap();
        let drawn = client.wait().at_most(DRAWN_MAX);
        drawn
            .for_element(Locator::Css("body[data-shown]"))
            .await
            .unwrap();
        // A picture for whoever works on the report.
        if let Ok(folder) = std::env::var("LOVAGE_TEST_SCREENSHOTS") {
            let number = client.execute("return Date.now()", vec![]).await.unwrap();
            let picture = client.screenshot().await.unwrap();
            std::fs::write(format!("{folder}/report-{number}.png"), picture).unwrap();
        }
        client.execute(LOOK, vec![]).await.unwrap()
    }

    /// What the pages asked of anybody but their own server.
    pub(crate) async fn strangers(&self) -> Vec<String> {
        let mut asked = self.browser.requests().await;
        assert!(
            asked.contains(&self.origin),
            "the log is of these pages: {asked:?}"
        );
        asked.retain(|url| !url.starts_with(&self.origin) && !url.starts_with("data:"));
        asked
    }
}

/// Markdown as a careful viewer shows it: tables and front matter are known, HTML is text.
fn html(markdown: &str) -> String {
    let known = Options::ENABLE_TABLES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
    let events = Parser::new_ext(markdown, known).map(|event| match event {
        Event::Html(html) | Event::InlineHtml(html) => Event::Text(html),
        other => other,
    });
    let mut page = String::new();
    html::push_html(&mut page, events);
    page
}
