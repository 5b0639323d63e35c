//! A server that talks TLS, and the certificates for it.

use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, Issuer,
    KeyPair,
};
use tempfile::TempDir;

use super::{RedisServer, free_port};

/// Files of one authority, a server and a client that it signed for.
#[derive(Debug)]
pub struct Certificates {
    dir: TempDir,
}

impl Certificates {
    /// Makes an authority, and certificates for `127.0.0.1` and for a client.
    ///
    /// # Panics
    /// When they cannot be made or written.
    pub fn make() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder can be made");
        let made = Self { dir };
        let mut authority = CertificateParams::default();
        authority.distinguished_name = named("authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key can be made");
        let authority =
            CertifiedIssuer::self_signed(authority, key).expect("an authority can be made");
        made.write("ca.pem", &authority.pem());
        made.sign(&authority, "server", "127.0.0.1");
        made.sign(&authority, "client", "worker");
        made
    }

    fn sign(&self, authority: &Issuer<'_, KeyPair>, who: &str, name: &str) {
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::new([name.to_owned()]).expect("a plain name");
        params.distinguished_name = named(who);
        let signed = params.signed_by(&key, authority).expect("it can be signed");
        self.write(&format!("{who}.pem"), &signed.pem());
        self.write(&format!("{who}.key"), &key.serialize_pem());
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.file(file), text).expect("a temporary file can be written");
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The authority's certificate.
    pub fn ca(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// The client's certificate and its key.
    pub fn client(&self) -> (PathBuf, PathBuf) {
        (self.file("client.pem"), self.file("client.key"))
    }

    /// Settings of a server that talks TLS on a port, and asks for a client's
    /// certificate if `both`.
    pub fn settings(&self, port: u16, both: bool) -> Vec<String> {
        let path = |name| self.file(name).display().to_string();
        let pairs = [
            ("--tls-port", port.to_string()),
            ("--tls-ca-cert-file", path("ca.pem")),
            ("--tls-cert-file", path("server.pem")),
            ("--tls-key-file", path("server.key")),
            (
                "--tls-auth-clients",
                if both { "yes" } else { "no" }.to_owned(),
            ),
        ];
        let words = pairs.map(|(name, value)| [name.to_owned(), value]);
        words.into_iter().flatten().collect()
    }
}

/// A name of its own: OpenSSL takes a certificate of its authority's name for self-signed.
fn named(who: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, who);
    name
}

/// A server with a port for TLS beside the plain one that tests use to set it up.
#[derive(Debug)]
pub struct TlsServer {
    /// The server, on its plain port.
    pub plain: RedisServer,
    /// What it and its clients show one another.
    pub certificates: Certificates,
    port: u16,
}

impl TlsServer {
    /// Starts a server; it asks for a client's certificate if `both`.
    ///
    /// # Panics
    /// As [`RedisServer::start`].
    pub async fn start(both: bool) -> Self {
        let (port, certificates) = (free_port(), Certificates::make());
        let settings = certificates.settings(port, both);
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        Self {
            plain: RedisServer::start_with(&settings).await,
            certificates,
            port,
        }
    }

    /// Its port for TLS on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }
}
