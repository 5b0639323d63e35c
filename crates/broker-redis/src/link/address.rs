//! A URL as the servers it names.

use std::path::Path;

use lovage_core::error::BrokerError;
use redis::io::tcp::TcpSettings;
use redis::{
    Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, TlsCertificates,
};

use super::PEER_TIMEOUT;
use crate::config::{RedisConfig, Tls};

const EXPECTED: &str = "the Redis URL cannot be read: expected \
    redis://[user:password@]host[:port][/db], redis+unix:///path, \
    redis-cluster://host:port,host:port or redis-sentinel://host:port,host:port/master[/db], \
    with rediss for TLS";

/// Which servers to use, and how.
pub(super) struct Address {
    pub(super) kind: Kind,
    /// At least one; all with the same login, database and TLS.
    pub(super) nodes: Vec<ConnectionInfo>,
    /// The files of the TLS settings, where the URL asks for TLS.
    pub(super) certificates: Option<TlsCertificates>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    One,
    Cluster,
    /// The nodes are sentinels, which know where this master is.
    Sentinel {
        master: String,
    },
}

/// Whether this is a URL as [`RedisConfig::url`] describes it.
pub fn is_address(url: &str) -> bool {
    read_url(url).is_some()
}

impl Address {
    pub(super) fn read(config: &RedisConfig) -> Result<Self, BrokerError> {
        let (kind, mut nodes) =
            read_url(&config.url).ok_or_else(|| BrokerError::Unfit(EXPECTED.to_owned()))?;
        let encrypted = matches!(nodes[0].addr(), ConnectionAddr::TcpTls { .. });
        let certificates = encrypted.then(|| read_files(&config.tls)).transpose()?;
        if let Some(certificates) = &certificates {
            for node in &mut nodes {
                *node = with_certificates(node, certificates)?;
            }
        }
        Ok(Self {
            kind,
            nodes,
            certificates,
        })
    }
}

/// `None` where the URL has another form; the driver's own words may hold the password.
fn read_url(url: &str) -> Option<(Kind, Vec<ConnectionInfo>)> {
    let (scheme, rest) = url.split_once("://")?;
    let Some((driver, kind)) = scheme.split_once('-') else {
        return Some((Kind::One, vec![node(url)?]));
    };
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, format!("?{query}")),
        None => (rest, String::new()),
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (kind, db) = match kind {
        "cluster" => (Kind::Cluster, path),
        "sentinel" => {
            let (master, db) = path.split_once('/').unwrap_or((path, ""));
            let named = !master.is_empty();
            let master = master.to_owned();
            (named.then_some(Kind::Sentinel { master })?, db)
        }
        _ => return None,
    };
    let (login, hosts) = match authority.rsplit_once('@') {
        Some((login, hosts)) => (format!("{login}@"), hosts),
        None => (String::new(), authority),
    };
    let nodes = hosts
        .split(',')
        .map(|host| {
            let host = with_default_port(host, &kind);
            node(&format!("{driver}://{login}{host}/{db}{query}"))
        })
        .collect::<Option<_>>()?;
    Some((kind, nodes))
}

/// Sentinels listen on a port of their own.
fn with_default_port(host: &str, kind: &Kind) -> String {
    let names_port = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| !port.ends_with(']'));
    match kind {
        Kind::Sentinel { .. } if !names_port => format!("{host}:26379"),
        _ => host.to_owned(),
    }
}

fn node(url: &str) -> Option<ConnectionInfo> {
    let tcp = TcpSettings::default().set_nodelay(true);
    #[cfg(target_os = "linux")]
    let tcp = tcp.set_user_timeout(PEER_TIMEOUT);
    Some(url.into_connection_info().ok()?.set_tcp_settings(tcp))
}

/// The same server, reached with these certificates.
fn with_certificates(
    node: &ConnectionInfo,
    certificates: &TlsCertificates,
) -> Result<ConnectionInfo, BrokerError> {
    let client = Client::build_with_tls(node.clone(), certificates.clone());
    let client = client
        .map_err(|error| BrokerError::Unfit(format!("the TLS files cannot be used: {error}")))?;
    Ok(client.get_connection_info().clone())
}

fn read_files(tls: &Tls) -> Result<TlsCertificates, BrokerError> {
    let client_tls = match &tls.client {
        Some((certificate, key)) => Some(ClientTlsConfig {
            client_cert: read_file(certificate)?,
            client_key: read_file(key)?,
        }),
        None => None,
    };
    Ok(TlsCertificates {
        client_tls,
        root_cert: tls.ca.as_deref().map(read_file).transpose()?,
    })
}

fn read_file(path: &Path) -> Result<Vec<u8>, BrokerError> {
    std::fs::read(path).map_err(|error| {
        BrokerError::Unfit(format!(
            "the TLS file {} cannot be read: {error}",
            path.display()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kind and hosts of a URL.
    fn told(url: &str) -> Option<(Kind, Vec<String>)> {
        let (kind, nodes) = read_url(url)?;
        let hosts = nodes.iter().map(|node| node.addr().to_string());
        Some((kind, hosts.collect()))
    }

    #[test]
    fn every_form_of_url_names_its_servers() {
        let sentinel = |master: &str| Kind::Sentinel {
            master: master.to_owned(),
        };
        for (url, kind, hosts) in [
            ("redis://h", Kind::One, vec!["h:6379"]),
            ("rediss://me:pw@h:1/2", Kind::One, vec!["h:1"]),
            ("redis+unix:///run/r.sock", Kind::One, vec!["/run/r.sock"]),
            ("valkey://h", Kind::One, vec!["h:6379"]),
            ("redis-cluster://a:1,b:2", Kind::Cluster, vec!["a:1", "b:2"]),
            (
                "rediss-cluster://:pw@a,b",
                Kind::Cluster,
                vec!["a:6379", "b:6379"],
            ),
            (
                "redis-cluster://[::1]:7,[::2]",
                Kind::Cluster,
                vec!["::1:7", "::2:6379"],
            ),
            (
                "redis-sentinel://a,b:2/main",
                sentinel("main"),
                vec!["a:26379", "b:2"],
            ),
            (
                "valkeys-sentinel://a/main/3",
                sentinel("main"),
                vec!["a:26379"],
            ),
        ] {
            let hosts = hosts.into_iter().map(str::to_owned).collect();
            assert_eq!(told(url), Some((kind, hosts)), "{url}");
        }
    }

    #[test]
    fn login_and_database_are_those_of_every_server() {
        let (_, nodes) = read_url("redis-sentinel://me:p%40w@a,b/main/3").unwrap();
        assert_eq!(nodes.len(), 2);
        for node in nodes {
            let redis = node.redis_settings();
            assert_eq!(
                (redis.username(), redis.password(), redis.db()),
                (Some("me"), Some("p@w"), 3)
            );
        }
    }

    #[test]
    fn anything_else_is_refused_without_being_repeated() {
        for url in [
            "redis//:secret@host",
            "http://:secret@host",
            "redis-ring://:secret@host",
            "redis-cluster://:secret@",
            "redis-cluster://:secret@a,,b",
            "redis-cluster://:secret@a:port",
            "redis-sentinel://:secret@a,b",
            "redis-sentinel://:secret@a/main/x",
        ] {
            assert!(!is_address(url), "{url}");
            let error = Address::read(&RedisConfig::new(url)).err().unwrap();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains("redis-cluster://"), "{shown}");
            assert!(!shown.contains("secret"), "{shown}");
        }
    }

    #[test]
    fn a_missing_tls_file_is_told_by_name() {
        let config = RedisConfig {
            tls: Tls {
                ca: Some("no/such/ca.pem".into()),
                client: None,
            },
            ..RedisConfig::new("rediss://host")
        };
        let error = Address::read(&config).err().unwrap().to_string();
        assert!(error.contains("no/such/ca.pem"), "{error}");
    }
}
