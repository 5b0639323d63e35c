//! Private servers for one test each: one server, with TLS, behind sentinels,
//! or as a cluster. Dropping them ends them.

pub mod cluster;
pub mod sentinel;
pub mod tls;

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// Set to `off` to skip every test that needs a `redis-server`.
pub const SWITCH: &str = "LOVAGE_TEST_REDIS";

/// Longest wait for the server to answer, which includes loading its append-only file.
const READY_MAX: Duration = Duration::from_secs(20);
/// Pause between two looks at a server that does not answer yet.
const READY_PAUSE: Duration = Duration::from_millis(5);
/// Longest wait for the reply to one command.
const REPLY_MAX: Duration = Duration::from_secs(10);
/// Longest wait for several servers to agree on who is what.
const AGREED_MAX: Duration = Duration::from_secs(30);
/// Pause between two looks at servers that have not agreed yet.
const AGREED_PAUSE: Duration = Duration::from_millis(50);
/// A master waits 5 s for further replicas before it sends its data to the first.
const SYNC_AT_ONCE: [&str; 2] = ["--repl-diskless-sync-delay", "0"];
/// Ports tried before giving up: another process may take one between its choice and the start.
const PORTS_TRIED: usize = 10;

/// What a process of `redis-server` is.
#[derive(Debug, Clone)]
enum Mode {
    /// Keeps data; these are its settings.
    Server(Vec<String>),
    /// Watches servers; this is its file of settings.
    Sentinel(String),
}

/// A `redis-server` process on a free loopback port, in a folder of its own.
/// Dropping it kills the process and removes the folder.
#[derive(Debug)]
pub struct RedisServer {
    port: u16,
    program: String,
    mode: Mode,
    process: Option<Child>,
    dir: TempDir,
}

impl RedisServer {
    /// Whether tests with Redis are to run: `false` when `LOVAGE_TEST_REDIS=off`.
    ///
    /// A missing binary is no reason to skip; it fails the test that starts one.
    pub fn available() -> bool {
        std::env::var(SWITCH).map_or(true, |value| value != "off")
    }

    /// Starts a server without persistence and waits until it answers.
    ///
    /// # Panics
    /// When there is no `redis-server` to start, or it does not answer.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts a server with more settings, such as
    /// `&["--appendonly", "yes", "--appendfsync", "always"]`.
    ///
    /// # Panics
    /// As [`RedisServer::start`].
    pub async fn start_with(args: &[&str]) -> Self {
        Self::start_program("redis-server", args).await
    }

    /// Starts another program that takes the same settings, such as `valkey-server`.
    ///
    /// # Panics
    /// As [`RedisServer::start`].
    pub async fn start_program(program: &str, args: &[&str]) -> Self {
        let args = args.iter().map(ToString::to_string).collect();
        Self::start_as(program, Mode::Server(args)).await
    }

    async fn start_as(program: &str, mode: Mode) -> Self {
        let mut server = Self {
            port: 0,
            program: program.to_owned(),
            mode,
            process: None,
            dir: tempfile::tempdir().expect("a temporary folder can be made"),
        };
        for _ in 0..PORTS_TRIED {
            server.port = free_port();
            if server.launch().await {
                return server;
            }
        }
        panic!(
            "{program} ended at once on {PORTS_TRIED} ports as {:?}",
            server.mode
        );
    }

    /// Where it listens, such as `redis://127.0.0.1:6379`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends the process with SIGKILL, as a crash would; returns when it is gone.
    pub async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await.expect("a child can be killed");
        }
    }

    /// Starts the server again on the same port and folder, killing it first if
    /// it runs; returns when it answers.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn restart(&mut self) {
        self.kill().await;
        assert!(
            self.launch().await,
            "redis-server did not come up again on port {}",
            self.port
        );
    }

    /// Sends one command on a connection of its own and returns the reply as text.
    ///
    /// An array is given line by line.
    ///
    /// # Errors
    /// When the server cannot be reached or answers with an error.
    pub async fn command(&self, words: &[&str]) -> io::Result<String> {
        timeout(REPLY_MAX, send(self.port, words))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Starts the process and waits for it; `false` when it ended instead of answering.
    async fn launch(&mut self) -> bool {
        let spawned = self
            .invocation()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let process = spawned.unwrap_or_else(|error| {
            panic!(
                "cannot start {} ({error}): install it, or set {SWITCH}=off to skip these tests",
                self.program
            )
        });
        let process = self.process.insert(process);
        let deadline = Instant::now() + READY_MAX;
        while Instant::now() < deadline {
            if process.try_wait().is_ok_and(|ended| ended.is_some()) {
                return false;
            }
            match timeout(REPLY_MAX, send(self.port, &["PING"])).await {
                Ok(Ok(reply)) if reply == "PONG" => return true,
                _ => sleep(READY_PAUSE).await,
            }
        }
        panic!(
            "{} on port {} does not answer after {READY_MAX:?}",
            self.program, self.port
        );
    }

    fn invocation(&self) -> Command {
        let mut command = Command::new(&self.program);
        let dir = self.dir.path();
        match &self.mode {
            Mode::Server(args) => command
                .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
                .args(["--port", &self.port.to_string(), "--dir"])
                .arg(dir)
                .args(args),
            Mode::Sentinel(settings) => command
                .arg(sentinel_file(dir, self.port, settings))
                .arg("--sentinel"),
        };
        command
    }
}

/// A sentinel keeps what it learns in its file of settings.
fn sentinel_file(dir: &Path, port: u16, settings: &str) -> std::path::PathBuf {
    let file = dir.join("sentinel.conf");
    let place = format!("bind 127.0.0.1\nport {port}\ndir {}\n", dir.display());
    std::fs::write(&file, place + settings).expect("a temporary file can be written");
    file
}

/// Looks again until servers have agreed on something.
///
/// # Panics
/// When they do not, in the time that is more than enough for it.
async fn agreed<F: Future<Output = bool>>(what: &str, look: impl Fn() -> F) {
    let deadline = Instant::now() + AGREED_MAX;
    while !look().await {
        assert!(Instant::now() < deadline, "not in {AGREED_MAX:?}: {what}");
        sleep(AGREED_PAUSE).await;
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .expect("the loopback has a free port")
        .port()
}

/// One command and its reply in RESP 2.
async fn send(port: u16, words: &[&str]) -> io::Result<String> {
    let mut stream = BufReader::new(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?);
    let mut request = format!("*{}\r\n", words.len());
    for word in words {
        request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    stream.write_all(request.as_bytes()).await?;
    let (mut parts, mut left) = (Vec::new(), 1);
    while left > 0 {
        left -= 1;
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let line = line.trim_end();
        match line.split_at_checked(1) {
            Some(("+" | ":", text)) => parts.push(text.to_owned()),
            Some(("$", length)) => parts.push(read_bulk(&mut stream, length).await?),
            Some(("*", count)) => left += count.parse::<usize>().map_err(io::Error::other)?,
            _ => return Err(io::Error::other(line.to_owned())),
        }
    }
    Ok(parts.join("\n"))
}

async fn read_bulk(stream: &mut BufReader<TcpStream>, length: &str) -> io::Result<String> {
    let length: usize = length.parse().map_err(io::Error::other)?;
    let mut bulk = vec![0; length + 2];
    stream.read_exact(&mut bulk).await?;
    bulk.truncate(length);
    String::from_utf8(bulk).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_killed_server_comes_back_on_its_port_with_what_it_had_written() {
        if !RedisServer::available() {
            return;
        }
        let mut server =
            RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"]).await;
        let url = server.url();
        server.command(&["SET", "kept", "값"]).await.unwrap();
        server.kill().await;
        assert!(server.command(&["PING"]).await.is_err());
        server.restart().await;
        assert_eq!(server.url(), url);
        assert_eq!(server.command(&["GET", "kept"]).await.unwrap(), "값");
    }

    #[tokio::test]
    async fn two_servers_share_nothing() {
        if !RedisServer::available() {
            return;
        }
        let (one, other) = tokio::join!(RedisServer::start(), RedisServer::start());
        one.command(&["SET", "key", "1"]).await.unwrap();
        assert_eq!(other.command(&["DBSIZE"]).await.unwrap(), "0");
        assert!(one.command(&["NO-SUCH-COMMAND"]).await.is_err());
        let info = one.command(&["INFO", "server"]).await.unwrap();
        assert!(info.contains("redis_version"), "{info}");
    }
}
