//! A private Redis server, for commands that need one to themselves.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use crate::exit::{self, Exit};

/// Longest time the server may take to listen.
const START: Duration = Duration::from_secs(10);
/// Pause between two looks whether it listens.
const LOOK: Duration = Duration::from_millis(5);

/// A `redis-server` on a free loopback port, ended when dropped.
pub(crate) struct Server {
    port: u16,
    process: Child,
}

impl Server {
    /// The version of the installed `redis-server`; nothing when there is none.
    pub(crate) async fn version() -> Option<String> {
        let said = Command::new("redis-server").arg("--version").output().await;
        let said = String::from_utf8(said.ok()?.stdout).ok()?;
        // Redis server v=7.0.15 sha=00000000:0 …
        let version = said.split(' ').find_map(|word| word.strip_prefix("v="));
        version.map(str::to_owned)
    }

    /// Starts it in a folder of its own below `folder`, without persistence
    /// unless `options` say so (`&["--appendonly", "yes"]`), and waits until it listens.
    pub(crate) async fn start(folder: &Path, options: &[&str]) -> Result<Self, Exit> {
        let port = free_port()
            .await
            .map_err(|error| Exit::because("no free port", &error))?;
        let folder = folder.join(format!("redis-{port}"));
        std::fs::create_dir_all(&folder)
            .map_err(|error| Exit::because("cannot make a folder for redis-server", &error))?;
        let mut process = spawn(port, &folder, options)
            .map_err(|error| Exit::because("redis-server does not start", &error))?;
        let listening = async {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                if process.try_wait().is_ok_and(|ended| ended.is_some()) {
                    return false;
                }
                tokio::time::sleep(LOOK).await;
            }
            true
        };
        match tokio::time::timeout(START, listening).await {
            Ok(true) => Ok(Self { port, process }),
            _ => Err(Exit::new(exit::ERROR, "redis-server does not listen")),
        }
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Its port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its process, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.id()
    }
}

fn spawn(port: u16, folder: &Path, options: &[&str]) -> io::Result<Child> {
    Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .args(["--port", &port.to_string(), "--dir"])
        .arg(folder)
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
}

async fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port())
}
