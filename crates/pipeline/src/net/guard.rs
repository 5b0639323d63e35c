//! Which addresses may be asked: the defence against requests that a stranger
//! steers into this network (SSRF).
//!
//! Two checks that need each other. [`check_url`] judges the text of an
//! address, IP literals included, because an HTTP client never resolves
//! those. [`PublicDns`] judges what a name resolves to, and the connection
//! uses exactly the addresses it lets through, so a name that changes its
//! answer between check and connection gains nothing.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::Origin;
use super::limits::{ADDRESSES_MAX, URL_BYTES_MAX};

/// Ports that public web servers use.
const PORTS: [u16; 4] = [80, 443, 8080, 8443];

/// Suffixes that never lead to the public web: RFC 6761, 6762, 7686, 8375,
/// 9476, and the names that private networks and clusters give themselves.
const PRIVATE_SUFFIXES: [&str; 15] = [
    "localhost",
    "local",
    "localdomain",
    "internal",
    "intranet",
    "private",
    "corp",
    "home",
    "lan",
    "svc",
    "home.arpa",
    "onion",
    "alt",
    "test",
    "invalid",
];

/// Longest name, and longest part of one between two dots (RFC 1035).
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// What Azure gives its machines for name service, health and secrets: a
/// public address that answers inside a virtual machine only.
const AZURE_INSIDE: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);

/// Why an address is not asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not http or https.
    #[error("scheme {0} is not http or https")]
    Scheme(String),
    /// A user name or password in the address.
    #[error("the address carries credentials")]
    Credentials,
    /// A port that public web servers do not use.
    #[error("port {0} is not 80, 443, 8080 or 8443")]
    Port(u16),
    /// A name that belongs to a private network, or none at all.
    #[error("host {0} is not a public name")]
    Host(String),
    /// An IP address outside the public internet.
    #[error("{0} is not a public address")]
    Address(IpAddr),
    /// A connection whose other end is not known.
    #[error("the address of the server is not known")]
    UnknownPeer,
    /// Longer than any real address.
    #[error("the address is longer than {URL_BYTES_MAX} bytes")]
    Length,
}

/// An address on the public internet. Holding one is the proof it was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicAddr(IpAddr);

impl PublicAddr {
    /// Check an address.
    ///
    /// # Errors
    /// [`Refusal::Address`] when it is private, reserved or a tunnel to such.
    pub fn new(ip: IpAddr) -> Result<Self, Refusal> {
        let public = match ip {
            IpAddr::V4(v4) => is_public_v4(v4),
            IpAddr::V6(v6) => is_public_v6(v6),
        };
        if public {
            Ok(Self(ip))
        } else {
            Err(Refusal::Address(ip))
        }
    }

    /// The address.
    pub fn ip(self) -> IpAddr {
        self.0
    }
}

/// IANA IPv4 special-purpose registry, everything that is not globally
/// reachable, and the 6to4 relay range, which leads back into any of it.
fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127, _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
            | (224..=255, _, _)
    );
    !special && ip != AZURE_INSIDE
}

/// Global unicast (2000::/3) without the protocol assignments (2001::/23:
/// Teredo, benchmarking, ORCHID) and the documentation ranges. An address
/// that carries an IPv4 one is judged by that; one that names an IPv4 host
/// behind its network (ISATAP, RFC 5214) by both.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    if isatap_v4(ip).is_some_and(|v4| !is_public_v4(v4)) {
        return false;
    }
    if let Some(v4) = embedded_v4(ip) {
        return is_public_v4(v4);
    }
    let [a, b, ..] = ip.segments();
    let global_unicast = a & 0xe000 == 0x2000;
    let protocol = a == 0x2001 && b & 0xfe00 == 0;
    let documentation = (a == 0x2001 && b == 0x0db8) || (a == 0x3fff && b & 0xf000 == 0);
    global_unicast && !protocol && !documentation
}

/// The IPv4 address inside a mapped (::ffff:0:0/96), NAT64 (64:ff9b::/96) or
/// 6to4 (2002::/16) address.
fn embedded_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    match ip.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] => Some(v4_of(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4_of(high, low)),
        [0x2002, high, low, ..] => Some(v4_of(high, low)),
        _ => None,
    }
}

/// The IPv4 address at the end of an ISATAP one: `…:0:5efe:a.b.c.d`, the
/// first of these with the universal bit or without.
fn isatap_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    match ip.segments() {
        [.., 0 | 0x200, 0x5efe, high, low] => Some(v4_of(high, low)),
        _ => None,
    }
}

fn v4_of(high: u16, low: u16) -> Ipv4Addr {
    let [a, b] = high.to_be_bytes();
    let [c, d] = low.to_be_bytes();
    Ipv4Addr::new(a, b, c, d)
}

/// Check an address before it is asked: scheme, credentials, port, host.
///
/// An IP literal is judged here; a name still has to pass [`PublicDns`].
///
/// # Errors
/// The first rule it breaks.
pub fn check_url(url: &Url) -> Result<(), Refusal> {
    check_form(url)?;
    match url.port_or_known_default() {
        Some(port) if PORTS.contains(&port) => {}
        port => return Err(Refusal::Port(port.unwrap_or(0))),
    }
    match url.host() {
        Some(Host::Ipv4(ip)) => PublicAddr::new(IpAddr::V4(ip)).map(drop),
        Some(Host::Ipv6(ip)) => PublicAddr::new(IpAddr::V6(ip)).map(drop),
        Some(Host::Domain(name)) => check_name(name),
        None => Err(Refusal::Host(String::new())),
    }
}

/// The rules that hold for every address, trusted ones included.
fn check_form(url: &Url) -> Result<(), Refusal> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Refusal::Scheme(url.scheme().to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Refusal::Credentials);
    }
    if url.as_str().len() > URL_BYTES_MAX {
        return Err(Refusal::Length);
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), Refusal> {
    // `Url` has lowercased it and turned full-width letters into ASCII.
    let bare = name.strip_suffix('.').unwrap_or(name);
    let private = PRIVATE_SUFFIXES.iter().any(|suffix| {
        bare.strip_suffix(suffix)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    });
    let malformed = bare.len() > NAME_BYTES_MAX || !bare.split('.').all(is_label);
    let dotless = !bare.contains('.');
    if private || malformed || dotless {
        return Err(Refusal::Host(name.to_owned()));
    }
    Ok(())
}

/// Letters, digits and hyphens, as hosts are named; and the underscore, which
/// some are though they should not be.
fn is_label(label: &str) -> bool {
    let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=LABEL_BYTES_MAX).contains(&label.len()) && label.bytes().all(named)
}

/// How the address of a hop was allowed, which decides how it is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passage {
    /// By the rules: the name must resolve to public addresses only.
    Public,
    /// Named by the operator, on a host that is trusted: wherever it resolves to.
    Trusted,
}

/// Hosts that the operator runs and vouches for, as exact `host:port`.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrustedHosts(Vec<String>);

impl TrustedHosts {
    pub(crate) fn new(hosts: &[String]) -> Self {
        Self(hosts.iter().map(|host| host.to_ascii_lowercase()).collect())
    }

    /// Check one hop, and say by which way it may be reached.
    ///
    /// The trust is for addresses that the operator has named: a stranger must
    /// not be able to point at the operator's hosts.
    pub(crate) fn check(&self, url: &Url, origin: Origin) -> Result<Passage, Refusal> {
        if origin == Origin::Operator && self.holds(url) {
            check_form(url)?;
            return Ok(Passage::Trusted);
        }
        check_url(url)?;
        Ok(Passage::Public)
    }

    fn holds(&self, url: &Url) -> bool {
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return false;
        };
        let asked = format!("{host}:{port}");
        self.0.contains(&asked)
    }
}

/// Turns a name into addresses. An argument, so that tests bring their own.
pub type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// The lookup of the operating system.
pub(crate) fn system_lookup() -> Lookup {
    Arc::new(|name| {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(found.map(|addr| addr.ip()).collect())
        })
    })
}

/// A resolver that answers with public addresses only.
///
/// One private address among the answers refuses the whole name: a name that
/// mixes them is an attempt to be tried until the private one is chosen.
#[derive(Clone)]
pub struct PublicDns {
    lookup: Lookup,
}

impl PublicDns {
    /// A resolver over a lookup.
    pub fn new(lookup: Lookup) -> Self {
        Self { lookup }
    }
}

impl Resolve for PublicDns {
    fn resolve(&self, name: Name) -> Resolving {
        let answer = (self.lookup)(name.as_str().to_owned());
        Box::pin(async move {
            let mut public = Vec::new();
            for ip in answer.await? {
                let ip = PublicAddr::new(ip)?.ip();
                // Port 0 leaves the choice to the address that is asked.
                public.push(SocketAddr::new(ip, 0));
            }
            public.truncate(ADDRESSES_MAX);
            if public.is_empty() {
                return Err(io::Error::from(io::ErrorKind::AddrNotAvailable).into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_is_for_one_port_and_for_what_the_operator_names() {
        let hosts = TrustedHosts::new(&["Intranet:8080".to_owned(), "10.0.0.7:80".to_owned()]);
        let check = |url: &str, origin| {
            let url = Url::parse(url).unwrap();
            hosts.check(&url, origin).ok()
        };
        for trusted in ["http://intranet:8080/feed", "http://10.0.0.7/feed"] {
            assert_eq!(
                check(trusted, Origin::Operator),
                Some(Passage::Trusted),
                "{trusted}"
            );
            assert_eq!(check(trusted, Origin::Stranger), None, "{trusted}");
        }
        for refused in [
            "http://intranet/",
            "http://intranet:9090/",
            "https://10.0.0.7/",
        ] {
            assert_eq!(check(refused, Origin::Operator), None, "{refused}");
        }
        for origin in [Origin::Operator, Origin::Stranger] {
            let public = check("https://example.com/", origin);
            assert_eq!(public, Some(Passage::Public), "{origin:?}");
        }
    }
}
