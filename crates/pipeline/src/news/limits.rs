//! Every bound on research. Units are in the names or the types.

use std::time::Duration;

use crate::net::limits::TOTAL_TIMEOUT;

/// Time one source has to answer all queries of a job.
pub const SEARCH_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a parsed feed is used before it is asked again.
pub const FEED_KEPT: Duration = Duration::from_secs(600);
/// How long a feed that failed is left alone.
pub const FEED_FAILURE_KEPT: Duration = Duration::from_secs(60);
/// Entries read from one feed, newest first as feeds list them.
pub const FEED_ENTRIES_MAX: usize = 500;
/// Hits one source gives for one query.
pub const HITS_MAX: usize = 30;
/// Requests to sources in flight at once: two to each of a dozen services, and
/// some feeds.
pub const SEARCHES_AT_ONCE: usize = 32;
/// Queries that one source answers at once.
pub const QUERIES_AT_ONCE: usize = 2;
/// Longest wait for a service's turn; whoever would wait longer does without.
pub const TURN_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long a service that refused us is left alone, unless it says.
pub const SERVICE_OFF: Duration = Duration::from_secs(60);
/// The longest that a service may ask for.
pub const SERVICE_OFF_MAX: Duration = Duration::from_secs(3_600);
/// Answers kept of one service, where they are.
pub const ANSWERS_KEPT: usize = 16;
/// Headlines of one job that are looked for at the other sources.
pub const LEADS_MAX: usize = 3;

/// Pages being read at once; the fetcher bounds the requests among them.
pub const READS_AT_ONCE: usize = 8;
/// After this, reading stops as soon as [`ENOUGH_ARTICLES`] are readable.
pub const READING_DEADLINE: Duration = Duration::from_secs(25);
/// After this, reading stops whatever there is.
pub const READING_CUTOFF: Duration = Duration::from_secs(60);
/// Readable pages that are enough once the deadline has passed.
pub const ENOUGH_ARTICLES: usize = 3;

/// Requests to one host at once.
pub const HOST_REQUESTS: usize = 2;
/// Time between two requests to one live host.
pub const HOST_GAP: Duration = Duration::from_millis(500);
/// Longest `Crawl-delay` that is waited for.
pub const CRAWL_DELAY_MAX: Duration = Duration::from_secs(10);
/// How long the rules of a host, or that it has none, are believed.
pub const ROBOTS_KEPT: Duration = Duration::from_secs(24 * 3_600);
/// How long a host whose rules could not be read is not read.
pub const ROBOTS_FAILURE_KEPT: Duration = Duration::from_secs(600);
/// Time for the requests of one article, the second one included.
pub const ARTICLE_TIMEOUT: Duration = TOTAL_TIMEOUT;
/// Rules of one robots.txt with a `$`: each is kept as a compiled pattern.
pub const ROBOTS_PATTERNS_MAX: usize = 1_000;
/// How long a host that refused us is left alone.
pub const HOST_OFF: Duration = Duration::from_secs(600);
/// Hosts remembered; the memory starts anew beyond it.
pub const HOSTS_MAX: usize = 1_000;

/// Tags in a page; more is an attack on the parser, not an article.
pub const TAGS_MAX: usize = 50_000;
/// Tags in the headline or the summary that a source gives.
pub const SUMMARY_TAGS_MAX: usize = 1_000;
/// Attributes of one tag.
pub const ATTRIBUTES_MAX: usize = 5_000;
/// Depth of nested elements; text extraction recurses that deep.
pub const DEPTH_MAX: usize = 400;
/// Characters of extracted text that are kept.
pub const TEXT_CHARS_MAX: usize = 60_000;
/// Characters of a title that are kept.
pub const TITLE_CHARS_MAX: usize = 300;
/// Characters that are kept of the name of a site or of authors.
pub const NAME_CHARS_MAX: usize = 200;

// A page begun at the deadline can still end before the cut-off.
const _: () =
    assert!(READING_DEADLINE.as_millis() + TOTAL_TIMEOUT.as_millis() <= READING_CUTOFF.as_millis());
// The longest wait for a host's turn must leave time to read its page.
const _: () = assert!(CRAWL_DELAY_MAX.as_millis() < READING_DEADLINE.as_millis());
const _: () = assert!(HOST_GAP.as_millis() <= CRAWL_DELAY_MAX.as_millis());
// A search that waited for its turn has as long again to be answered.
const _: () = assert!(TURN_WAIT_MAX.as_millis() * 2 <= SEARCH_TIMEOUT.as_millis());
const _: () = assert!(FEED_FAILURE_KEPT.as_millis() <= FEED_KEPT.as_millis());
