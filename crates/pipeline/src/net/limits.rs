//! Every bound on what is fetched. Units are in the names or the types.

use std::time::Duration;

/// Time to connect, name resolution included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest silence while an answer is read.
pub const READ_TIMEOUT: Duration = Duration::from_secs(8);
/// Time for one page: every redirect and the whole body.
pub const TOTAL_TIMEOUT: Duration = Duration::from_secs(20);
/// Time for one image: a script can do without it.
pub const IMAGE_TIMEOUT: Duration = Duration::from_secs(15);

/// Requests for one page; all but the first follow a redirect.
pub const REQUESTS_MAX: usize = 5;
/// Requests in flight per process, unless the settings say otherwise.
pub const DOWNLOADS: usize = 5;
/// Longest address that is asked for.
pub const URL_BYTES_MAX: usize = 2_048;

/// Addresses of one name that are tried; the others are judged and left.
pub const ADDRESSES_MAX: usize = 8;

/// Decoded bytes of an article page.
pub const HTML_BYTES_MAX: usize = 3_000_000;
/// Decoded bytes of a feed.
pub const FEED_BYTES_MAX: usize = 3_000_000;
/// Decoded bytes of a robots.txt.
pub const ROBOTS_BYTES_MAX: usize = 500_000;
/// Bytes of an image.
pub const IMAGE_BYTES_MAX: usize = 8_000_000;
/// Decoded bytes of what a search service says.
pub const ANSWER_BYTES_MAX: usize = 1_000_000;

// A page that connects late and then falls silent must still end by its own
// read timeout, which names the cause, before the total one cuts it.
const _: () =
    assert!(CONNECT_TIMEOUT.as_millis() + READ_TIMEOUT.as_millis() < TOTAL_TIMEOUT.as_millis());
// One request and at least one redirect, or no moved page can be read.
const _: () = assert!(REQUESTS_MAX >= 2);
const _: () = assert!(DOWNLOADS >= 1);
// All bodies in flight at once stay within 40 MB.
const _: () = assert!(DOWNLOADS * IMAGE_BYTES_MAX <= 40_000_000);
const _: () = assert!(HTML_BYTES_MAX <= IMAGE_BYTES_MAX);
const _: () = assert!(ROBOTS_BYTES_MAX <= HTML_BYTES_MAX);
