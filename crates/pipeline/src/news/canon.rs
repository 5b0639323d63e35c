//! One key for the many addresses of one page. Only for finding duplicates:
//! the page is fetched from the address it was found under.

use url::Url;

/// Query keys that say where a reader came from, not what is read.
const TRACKING: [&str; 12] = [
    "fbclid", "gclid", "dclid", "msclkid", "yclid", "igshid", "mc_cid", "mc_eid", "ref", "ref_src",
    "cmpid", "oc",
];

/// Prefixes of the same site for phones and caches.
const HOST_PREFIXES: [&str; 3] = ["www.", "m.", "amp."];

/// The key: https, no credentials or fragment, host without `www.`, `m.` and
/// `amp.`, path without `/amp` and the last slash, query sorted and without
/// tracking.
pub(crate) fn canonical(url: &Url) -> String {
    let host = bare_host(url.host_str().unwrap_or_default());
    let port = url.port().map(|port| format!(":{port}"));
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/amp").unwrap_or(path);
    let query = query(url);
    let mark = if query.is_empty() { "" } else { "?" };
    format!(
        "https://{host}{}{path}{mark}{query}",
        port.unwrap_or_default()
    )
}

/// A host without `www.`, `m.` and `amp.`.
pub(crate) fn bare_host(host: &str) -> &str {
    let mut bare = host;
    while let Some(rest) = HOST_PREFIXES
        .iter()
        .find_map(|prefix| bare.strip_prefix(prefix))
        // `m.kr` is a whole name, not a phone site.
        .filter(|rest| rest.contains('.'))
    {
        bare = rest;
    }
    bare
}

fn query(url: &Url) -> String {
    let mut kept: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(key, _)| !key.starts_with("utm_") && !TRACKING.contains(&key.as_ref()))
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .collect();
    kept.sort();
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(kept)
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canon(url: &str) -> String {
        canonical(&Url::parse(url).unwrap())
    }

    #[test]
    fn addresses_of_one_page_have_one_key() {
        for same in [
            "https://news.example/a/1",
            "http://www.news.example/a/1/",
            "https://m.news.example/a/1?utm_source=rss&utm_medium=feed",
            "https://amp.news.example/a/1/amp/",
            "https://www.m.news.example/a/1?fbclid=x#comments",
            "https://user:secret@news.example:443/a/1",
        ] {
            assert_eq!(canon(same), "https://news.example/a/1", "{same}");
        }
    }

    #[test]
    fn what_is_read_stays_in_the_key() {
        assert_eq!(
            canon("https://n.example/read?oid=001&aid=9&utm_x=1"),
            "https://n.example/read?aid=9&oid=001"
        );
        assert_ne!(
            canon("https://n.example/?id=1"),
            canon("https://n.example/?id=2")
        );
        assert_ne!(
            canon("https://n.example:8443/a"),
            canon("https://n.example/a")
        );
        assert_eq!(canon("https://m.kr/a"), "https://m.kr/a");
    }
}
