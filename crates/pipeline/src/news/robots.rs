//! What a site lets robots read (RFC 9309).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use texting_robots::Robot;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use url::Url;

use super::host::{Hosts, Off};
use super::limits::{HOSTS_MAX, ROBOTS_FAILURE_KEPT, ROBOTS_KEPT, ROBOTS_PATTERNS_MAX};
use crate::net::{Fetch, FetchError, Origin, Request, Want};

/// The name in robots.txt that addresses us.
const AGENT: &str = "lovage";

/// The rules of one host.
enum Rules {
    /// No rules: everything may be read.
    Open,
    /// The rules cannot be known, and why: nothing may be read.
    Unknown(String),
    Given(Robot),
}

/// Rules, and how long they hold.
struct Kept {
    rules: Rules,
    until: Instant,
}

/// Rules of the hosts of one process, each asked once a day.
#[derive(Default)]
pub(crate) struct Robots {
    hosts: Mutex<HashMap<String, Arc<OnceCell<Kept>>>>,
}

/// What the rules say of one address.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Access {
    /// Why it may not be read; nothing where it may.
    pub(crate) closed: Option<String>,
    /// Seconds that the site wants between requests.
    pub(crate) delay: Option<Duration>,
}

impl Robots {
    /// Whether an address may be read. A host whose rules are not known yet
    /// is asked for them when its turn has come.
    ///
    /// # Errors
    /// When the host is left alone.
    pub(crate) async fn access(
        &self,
        fetch: &dyn Fetch,
        hosts: &Hosts,
        url: &Url,
        origin: Origin,
    ) -> Result<Access, Off> {
        let cell = self.cell(url, origin);
        let asked = cell.get_or_try_init(|| ask(fetch, hosts, url, origin));
        let kept = asked.await?;
        let (closed, delay) = match &kept.rules {
            Rules::Open => (None, None),
            Rules::Unknown(why) => (Some(format!("robots.txt cannot be read: {why}")), None),
            Rules::Given(robot) => {
                let closed = !robot.allowed(url.as_str());
                (
                    closed.then(|| "closed by robots.txt".to_owned()),
                    robot.delay,
                )
            }
        };
        Ok(Access {
            closed,
            delay: delay.and_then(|seconds| Duration::try_from_secs_f32(seconds).ok()),
        })
    }

    /// Where the rules of a host are kept: those that wait for one answer
    /// share it.
    fn cell(&self, url: &Url, origin: Origin) -> Arc<OnceCell<Kept>> {
        // What a stranger's address was refused, the operator's may be told.
        let host = format!("{} {}", origin.as_str(), url.origin().ascii_serialization());
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() >= HOSTS_MAX && !hosts.contains_key(&host) {
            hosts.clear();
        }
        let cell = hosts.entry(host).or_default();
        if cell.get().is_some_and(|kept| kept.until <= Instant::now()) {
            *cell = Arc::default();
        }
        Arc::clone(cell)
    }
}

async fn ask(fetch: &dyn Fetch, hosts: &Hosts, url: &Url, origin: Origin) -> Result<Kept, Off> {
    let rules = match url.join("/robots.txt") {
        Ok(address) => {
            let _turn = hosts.turn(&address, None).await?;
            let request = Request::named_by(origin, address, Want::Robots);
            rules(fetch, &request).await
        }
        Err(error) => Rules::Unknown(error.to_string()),
    };
    let kept = match rules {
        Rules::Unknown(_) => ROBOTS_FAILURE_KEPT,
        Rules::Open | Rules::Given(_) => ROBOTS_KEPT,
    };
    Ok(Kept {
        rules,
        until: Instant::now() + kept,
    })
}

async fn rules(fetch: &dyn Fetch, request: &Request) -> Rules {
    match fetch.send(request).await {
        Ok(page) if (200..300).contains(&page.status) => {
            let read = tokio::task::spawn_blocking(move || read(&page.body));
            let read = read.await.unwrap_or_else(|error| Err(error.to_string()));
            read.map_or_else(Rules::Unknown, Rules::Given)
        }
        Ok(page) if (400..500).contains(&page.status) => Rules::Open,
        // Sites without the file answer with their home page.
        Err(FetchError::ContentType(_)) => Rules::Open,
        Ok(page) => Rules::Unknown(format!("http status {}", page.status)),
        Err(error) => Rules::Unknown(error.to_string()),
    }
}

/// Takes milliseconds of computing: not for the async loop.
fn read(body: &[u8]) -> Result<Robot, String> {
    let patterns = body.iter().filter(|byte| **byte == b'$').count();
    if patterns > ROBOTS_PATTERNS_MAX {
        return Err(format!("more than {ROBOTS_PATTERNS_MAX} rules with a $"));
    }
    Robot::new(AGENT, body).map_err(|error| error.to_string())
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
                cache_control: None,
                retry_after: None,
                body: body.into(),
            })
        }
    }

    fn site(answer: Result<(u16, &'static str), FetchError>) -> Site {
        Site {
            answer,
            asked: AtomicUsize::new(0),
        }
    }

    fn url(path: &str) -> Url {
        Url::parse("https://n.example").unwrap().join(path).unwrap()
    }

    async fn access(answer: Result<(u16, &'static str), FetchError>, path: &str) -> Access {
        let (site, hosts, robots) = (site(answer), Hosts::new(Duration::ZERO), Robots::default());
        let first = robots
            .access(&site, &hosts, &url(path), Origin::Stranger)
            .await
            .unwrap();
        let again = robots
            .access(&site, &hosts, &url(path), Origin::Stranger)
            .await
            .unwrap();
        assert_eq!(again, first);
        assert_eq!(site.asked.load(Ordering::SeqCst), 1, "asked once per host");
        first
    }

    #[tokio::test(start_paused = true)]
    async fn rules_hold_for_a_day_and_their_absence_for_minutes() {
        for (answer, kept) in [
            (Ok((200, "User-agent: *\nDisallow: /a")), ROBOTS_KEPT),
            (Ok((404, "")), ROBOTS_KEPT),
            (Ok((500, "")), ROBOTS_FAILURE_KEPT),
            (Err(FetchError::Timeout(8)), ROBOTS_FAILURE_KEPT),
        ] {
            let site = site(answer.clone());
            let (hosts, robots) = (Hosts::new(Duration::ZERO), Robots::default());
            let begin = Instant::now();
            for (after, asked) in [
                (Duration::ZERO, 1),
                (kept - Duration::from_secs(1), 1),
                (kept, 2),
            ] {
                tokio::time::advance(begin + after - Instant::now()).await;
                robots
                    .access(&site, &hosts, &url("/"), Origin::Stranger)
                    .await
                    .unwrap();
                assert_eq!(
                    site.asked.load(Ordering::SeqCst),
                    asked,
                    "{answer:?} {after:?}"
                );
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_is_asked_for_its_rules_when_its_turn_has_come() {
        let gap = Duration::from_millis(500);
        let (hosts, robots) = (Hosts::new(gap), Robots::default());
        let site = site(Ok((404, "")));
        let begin = Instant::now();
        drop(hosts.turn(&url("/"), None).await);
        robots
            .access(&site, &hosts, &url("/a"), Origin::Stranger)
            .await
            .unwrap();
        assert_eq!(begin.elapsed(), gap);
        hosts.refused(&url("/"));
        let other = url("http://n.example:8080/");
        assert_eq!(
            robots.access(&site, &hosts, &other, Origin::Stranger).await,
            Err(Off)
        );
        assert_eq!(site.asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn rules_are_followed() {
        let rules = "User-agent: *\nDisallow: /\n\nUser-agent: lovage\nDisallow: /private\nCrawl-delay: 2\n";
        let open = access(Ok((200, rules)), "/news/1").await;
        assert_eq!(open.closed, None);
        assert_eq!(open.delay, Some(Duration::from_secs(2)));
        let closed = access(Ok((200, rules)), "/private/1").await.closed;
        assert_eq!(closed.as_deref(), Some("closed by robots.txt"));
    }

    #[tokio::test]
    async fn rules_built_to_fill_the_memory_are_not_kept() {
        let rules = |patterns: usize| -> &'static str {
            format!("User-agent: *\n{}", "Disallow: /a$\n".repeat(patterns)).leak()
        };
        let most = access(Ok((200, rules(ROBOTS_PATTERNS_MAX))), "/b").await;
        assert_eq!(most.closed, None);
        let more = access(Ok((200, rules(ROBOTS_PATTERNS_MAX + 1))), "/b").await;
        let why = "robots.txt cannot be read: more than 1000 rules with a $";
        assert_eq!(more.closed.as_deref(), Some(why));
    }

    #[tokio::test]
    async fn a_missing_file_allows_and_a_broken_site_forbids() {
        let timeout = FetchError::Timeout(8);
        let home_page = FetchError::ContentType("text/html".into());
        for (answer, why) in [
            (Ok((404, "")), None),
            (Ok((403, "")), None),
            (Ok((500, "")), Some("http status 500")),
            (Ok((503, "")), Some("http status 503")),
            (Err(timeout), Some("timed out after 8 s")),
            (Err(home_page), None),
        ] {
            let closed = access(answer.clone(), "/a").await.closed;
            let expected = why.map(|why| format!("robots.txt cannot be read: {why}"));
            assert_eq!(closed, expected, "{answer:?}");
        }
    }
}
