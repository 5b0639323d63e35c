//! What a site lets robots read (RFC 9309).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use texting_robots::Robot;
use tokio::sync::OnceCell;
use url::Url;

use crate::net::{Fetch, FetchError, Want};

/// The name in robots.txt that addresses us.
const AGENT: &str = "lovage";

/// The rules of one host.
enum Rules {
    /// No rules: everything may be read.
    Open,
    /// The rules cannot be known: nothing may be read.
    Unknown,
    Given(Robot),
}

/// Rules of the hosts of one research run, each asked once.
#[derive(Default)]
pub(crate) struct Robots {
    hosts: Mutex<HashMap<String, Arc<OnceCell<Rules>>>>,
}

/// What the rules say of one address.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Access {
    pub(crate) allowed: bool,
    /// Seconds that the site wants between requests.
    pub(crate) delay: Option<Duration>,
}

impl Robots {
    /// Whether an address may be read. Asks its host once per run.
    pub(crate) async fn access(&self, fetch: &dyn Fetch, url: &Url) -> Access {
        let cell = {
            let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
            let host = url.origin().ascii_serialization();
            Arc::clone(hosts.entry(host).or_default())
        };
        match cell.get_or_init(|| ask(fetch, url)).await {
            Rules::Open => Access {
                allowed: true,
                delay: None,
            },
            Rules::Unknown => Access {
                allowed: false,
                delay: None,
            },
            Rules::Given(robot) => Access {
                allowed: robot.allowed(url.as_str()),
                delay: robot
                    .delay
                    .and_then(|seconds| Duration::try_from_secs_f32(seconds).ok()),
            },
        }
    }
}

async fn ask(fetch: &dyn Fetch, url: &Url) -> Rules {
    let Ok(address) = url.join("/robots.txt") else {
        return Rules::Unknown;
    };
    match fetch.get(&address, Want::Robots).await {
        Ok(page) if (200..300).contains(&page.status) => {
            Robot::new(AGENT, &page.body).map_or(Rules::Unknown, Rules::Given)
        }
        Ok(page) if (400..500).contains(&page.status) => Rules::Open,
        // Sites without the file answer with their home page.
        Err(FetchError::ContentType(_)) => Rules::Open,
        Ok(_) | Err(_) => Rules::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;

    use super::*;
    use crate::net::{Page, Request};

    struct Site {
        answer: Result<(u16, &'static str), FetchError>,
        asked: AtomicUsize,
    }

    #[async_trait]
    impl Fetch for Site {
        async fn send(&self, request: &Request) -> Result<Page, FetchError> {
            let url = &request.url;
            assert_eq!(url.path(), "/robots.txt");
            self.asked.fetch_add(1, Ordering::SeqCst);
            let (status, body) = self.answer.clone()?;
            Ok(Page {
                url: url.clone(),
                status,
                content_type: None,
                etag: None,
                last_modified: None,
                retry_after: None,
                body: body.into(),
            })
        }
    }

    async fn access(answer: Result<(u16, &'static str), FetchError>, path: &str) -> Access {
        let site = Site {
            answer,
            asked: AtomicUsize::new(0),
        };
        let url = Url::parse("https://n.example").unwrap().join(path).unwrap();
        let robots = Robots::default();
        let first = robots.access(&site, &url).await;
        assert_eq!(robots.access(&site, &url).await, first);
        assert_eq!(site.asked.load(Ordering::SeqCst), 1, "asked once per host");
        first
    }

    #[tokio::test]
    async fn rules_are_followed() {
        let rules = "User-agent: *\nDisallow: /\n\nUser-agent: lovage\nDisallow: /private\nCrawl-delay: 2\n";
        let open = access(Ok((200, rules)), "/news/1").await;
        assert!(open.allowed);
        assert_eq!(open.delay, Some(Duration::from_secs(2)));
        assert!(!access(Ok((200, rules)), "/private/1").await.allowed);
    }

    #[tokio::test]
    async fn a_missing_file_allows_and_a_broken_site_forbids() {
        let timeout = FetchError::Timeout(8);
        let home_page = FetchError::ContentType("text/html".into());
        for (answer, allowed) in [
            (Ok((404, "")), true),
            (Ok((403, "")), true),
            (Ok((500, "")), false),
            (Ok((503, "")), false),
            (Err(timeout), false),
            (Err(home_page), true),
        ] {
            assert_eq!(
                access(answer.clone(), "/a").await.allowed,
                allowed,
                "{answer:?}"
            );
        }
    }
}
