//! A headless Chromium for one test: a driver and a browser of its own on a
//! free port, with a profile that is thrown away.
//!
//! Nothing it shows can reach anything but this machine. What a page wrote to
//! its console and what it asked for over the network can be read afterwards.

use std::process::Stdio;
use std::time::Duration;

use axum::http::Method;
pub use fantoccini::Locator;
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, geteuid};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Set to `off` to skip every test that needs a browser.
pub const SWITCH: &str = "LOVAGE_TEST_BROWSER";

const DRIVER: &str = "chromedriver";
/// Longest wait for the driver to listen.
const START_MAX: Duration = Duration::from_secs(60);
/// What the driver says when it listens.
const LISTENS: &str = "was started successfully on port ";

/// A browser with one empty page. Dropping it ends all its processes and
/// removes its profile.
#[derive(Debug)]
pub struct Browser {
    client: Client,
    driver: Child,
    _profile: TempDir,
}

/// One line of the driver's log of a kind, such as `browser` or `performance`.
#[derive(Debug)]
struct Log(&'static str);

impl WebDriverCompatibleCommand for Log {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({"type": self.0}).to_string()))
    }
}

impl Browser {
    /// Whether tests with a browser are to run: `false` when `LOVAGE_TEST_BROWSER=off`.
    ///
    /// A missing browser is no reason to skip; it fails the test that starts one.
    pub fn available() -> bool {
        std::env::var(SWITCH).map_or(true, |value| value != "off")
    }

    /// Starts a browser of 1280 × 1600 pixels.
    ///
    /// # Panics
    /// When `chromedriver` or Chromium is not installed or does not start.
    pub async fn start() -> Self {
        let profile = tempfile::tempdir().expect("a temporary folder can be made");
        // A group of its own, so that no process of the browser outlives it.
        let mut driver = Command::new(DRIVER)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{DRIVER} cannot be started: {error}"));
        let port = timeout(START_MAX, port(&mut driver)).await;
        let port = port.expect("the driver listens in time");
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities(&profile))
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap_or_else(|error| panic!("the browser cannot be started: {error}"));
        Self {
            client,
            driver,
            _profile: profile,
        }
    }

    /// What drives it: goes to addresses, finds elements, runs scripts.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What the page wrote to its console since the last call, warnings and
    /// errors of the browser included.
    ///
    /// # Panics
    /// When the browser does not answer.
    pub async fn console(&self) -> Vec<String> {
        let entries = self.log("browser").await;
        let text = |entry: &Value| entry["message"].as_str().unwrap_or_default().to_owned();
        entries.iter().map(text).collect()
    }

    /// The addresses that pages asked for since the last call, whether or not
    /// an answer came; those of the browser's own pages are not counted.
    ///
    /// # Panics
    /// When the browser does not answer.
    pub async fn requests(&self) -> Vec<String> {
        let entries = self.log("performance").await;
        let messages = entries.iter().filter_map(|entry| {
            let message: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let event = &message["message"];
            let asked = event["method"] == "Network.requestWillBeSent";
            let url = event["params"]["request"]["url"].as_str()?;
            (asked && !url.starts_with("chrome:")).then(|| url.to_owned())
        });
        messages.collect()
    }

    async fn log(&self, kind: &'static str) -> Vec<Value> {
        let answer = self.client.issue_cmd(Log(kind)).await;
        let answer = answer.expect("the driver answers with its log");
        answer.as_array().cloned().unwrap_or_default()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let group = self.driver.id().and_then(|id| i32::try_from(id).ok());
        if let Some(group) = group {
            // It may have ended by itself.
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
    }
}

/// The port that the driver says it listens on; the rest of what it says is read, too.
async fn port(driver: &mut Child) -> u16 {
    let stdout = driver.stdout.take().expect("it was piped");
    let mut lines = BufReader::new(stdout).lines();
    while let Some(line) = lines.next_line().await.expect("the driver speaks UTF-8") {
        if let Some((_, port)) = line.split_once(LISTENS) {
            let port = port.trim_end_matches('.').parse();
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return port.expect("the driver names its port");
        }
    }
    panic!("{DRIVER} ended before it listened");
}

fn capabilities(profile: &TempDir) -> Capabilities {
    let mut args = vec![
        "--headless=new".to_owned(),
        "--window-size=1280,1600".to_owned(),
        "--disable-gpu".to_owned(),
        "--disable-dev-shm-usage".to_owned(),
        "--no-first-run".to_owned(),
        // No name but this machine's leads anywhere.
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1".to_owned(),
        format!("--user-data-dir={}", profile.path().display()),
    ];
    if geteuid().is_root() {
        args.push("--no-sandbox".to_owned()); // Chromium's sandbox refuses root
    }
    let wanted = json!({
        "browserName": "chrome",
        "goog:chromeOptions": {"args": args},
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
    });
    let Value::Object(wanted) = wanted else {
        unreachable!("it is an object");
    };
    wanted.into_iter().collect()
}
