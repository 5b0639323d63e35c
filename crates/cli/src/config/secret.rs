//! Texts that must not be printed.

use std::fmt;

use url::Url;

/// What is printed in place of a secret.
pub(super) const MASK: &str = "***";

/// Query parameters that carry a secret in some feed or store address.
const SECRET_PARAMETERS: [&str; 10] = [
    "access_token",
    "api-key",
    "api_key",
    "apikey",
    "auth",
    "key",
    "pass",
    "password",
    "secret",
    "token",
];

/// A key, or an address that may hold a password. Prints as `***`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(super) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The secret itself, for the one place that sends it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// `text` without the passwords of the address it may be; other text is left alone.
pub(crate) fn masked(text: &str) -> String {
    let url = Url::parse(text).ok().filter(Url::has_authority);
    url.and_then(|url| masked_url(text, url))
        .unwrap_or_else(|| masked_text(text))
}

/// None: the address has credentials at a place where it cannot have any.
fn masked_url(text: &str, plain: Url) -> Option<String> {
    let mut url = plain.clone();
    if url.password().is_some() {
        url.set_password(Some(MASK)).ok()?;
    } else if !url.username().is_empty() {
        // Alone it is as likely a token as a name.
        url.set_username(MASK).ok()?;
    }
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    if pairs.iter().any(|(name, _)| is_secret(name)) {
        let mut query = url.query_pairs_mut();
        query.clear();
        for (name, value) in &pairs {
            query.append_pair(name, if is_secret(name) { MASK } else { value });
        }
    }
    Some(if url == plain {
        text.to_owned()
    } else {
        url.into()
    })
}

/// In a broken address the password may stand anywhere before the last '@'.
fn masked_text(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, rest)) if text.contains(':') => format!("{MASK}@{rest}"),
        _ => text.to_owned(),
    }
}

fn is_secret(parameter: &str) -> bool {
    SECRET_PARAMETERS.contains(&parameter.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::{Secret, masked};

    #[test]
    fn an_address_prints_without_its_password() {
        for (address, expected) in [
            ("", ""),
            (".lovage", ".lovage"),
            ("/srv/lovage@2", "/srv/lovage@2"),
            ("redis://host:6379/0", "redis://host:6379/0"),
            ("https://example.org", "https://example.org"),
            (
                "https://example.org/@me/feed",
                "https://example.org/@me/feed",
            ),
            ("redis://:hunter2@host:6379", "redis://:***@host:6379"),
            ("redis://me:hunter2@host", "redis://me:***@host"),
            ("https://hunter2@host/feed", "https://***@host/feed"),
            (
                "unix:///run/r.sock?db=1&pass=hunter2",
                "unix:///run/r.sock?db=1&pass=***",
            ),
            (
                "https://host/feed?API_KEY=hunter2",
                "https://host/feed?API_KEY=***",
            ),
            ("redis://:hunter2/x@host:6379", "***@host:6379"),
            ("me:hunter2@host:6379", "***@host:6379"),
            ("hunter2@host:6379", "***@host:6379"),
            ("redis://:hunter2@/0", "***@/0"),
            ("HTTPS://Example.org/a b", "HTTPS://Example.org/a b"),
        ] {
            assert_eq!(masked(address), expected);
        }
    }

    #[test]
    fn a_secret_prints_as_stars() {
        let secret = Secret::new("hunter2");
        assert_eq!(
            format!("{secret} {secret:?} {:?}", Some(&secret)),
            "*** *** Some(***)"
        );
        assert_eq!(secret.expose(), "hunter2");
    }
}
