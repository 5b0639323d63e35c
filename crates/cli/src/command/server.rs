//! A private `redis-server`, for commands that measure and that break things.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::exit::{self, Exit};

/// Longest time the server may take to answer, which includes loading its append-only file.
const START: Duration = Duration::from_secs(20);
/// Pause between two looks at a server that does not answer yet.
const LOOK: Duration = Duration::from_millis(10);
/// Longest wait for the answer to one command.
const ANSWER: Duration = Duration::from_secs(10);
/// Longest wait for a server that was asked to end.
const END: Duration = Duration::from_secs(10);

/// A `redis-server` on a free loopback port, ended when dropped.
pub(super) struct Server {
    port: u16,
    folder: PathBuf,
    settings: Vec<String>,
    process: Child,
}

impl Server {
    /// The version of the installed `redis-server`; nothing when there is none.
    pub(super) async fn version() -> Option<String> {
        let said = Command::new("redis-server").arg("--version").output().await;
        let said = String::from_utf8(said.ok()?.stdout).ok()?;
        // Redis server v=7.0.15 sha=00000000:0 …
        let version = said.split(' ').find_map(|word| word.strip_prefix("v="));
        version.map(str::to_owned)
    }

    /// Starts it in a folder of its own below `folder`, without persistence where
    /// `settings` say nothing else, and waits until it answers.
    pub(super) async fn start(folder: &Path, settings: &[&str]) -> Result<Self, Exit> {
        let port = free_port()
            .await
            .map_err(|error| Exit::because("no free port", &error))?;
        let folder = folder.join(format!("redis-{port}"));
        std::fs::create_dir_all(&folder)
            .map_err(|error| Exit::because("cannot make a folder for redis-server", &error))?;
        let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
        let process = launch(port, &folder, &settings).map_err(unstarted)?;
        let server = Self {
            port,
            folder,
            settings,
            process,
        };
        server.answers().await?;
        Ok(server)
    }

    /// Its process, while it runs.
    pub(super) fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// The folder with its files.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Sends one command; the reply as text.
    ///
    /// # Errors
    /// When it cannot be sent, is not answered in time, or is refused.
    pub(super) async fn ask(&self, words: &[&str]) -> Result<String, Exit> {
        let asking = Command::new("redis-cli")
            .args(["-e", "-p", &self.port.to_string()])
            .args(words)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let refused = |why: &str| Exit::new(exit::ERROR, format!("redis {words:?}: {why}"));
        let output = tokio::time::timeout(ANSWER, asking)
            .await
            .map_err(|_| refused("no answer"))?
            .map_err(|error| Exit::because("redis-cli does not run", &error))?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        } else {
            Err(refused(&String::from_utf8_lossy(&output.stderr)))
        }
    }

    /// Sends a signal.
    pub(super) fn signal(&self, signal: Signal) {
        send(&self.process, signal);
    }

    /// Ends it as a crash would; returns when it is gone.
    pub(super) async fn kill(&mut self) {
        // Fails only for a process that is gone already.
        let _ = self.process.kill().await;
    }

    /// Asks it to end, as a supervisor would; returns when it is gone.
    pub(super) async fn end(&mut self) {
        self.signal(Signal::SIGTERM);
        if tokio::time::timeout(END, self.process.wait())
            .await
            .is_err()
        {
            self.kill().await;
        }
    }

    /// Starts it again, on its port and in its folder; returns when it answers.
    pub(super) async fn again(&mut self) -> Result<(), Exit> {
        self.process = launch(self.port, &self.folder, &self.settings).map_err(unstarted)?;
        self.answers().await
    }

    async fn answers(&self) -> Result<(), Exit> {
        let answering = async {
            while self
                .ask(&["PING"])
                .await
                .map_or(true, |reply| reply != "PONG")
            {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(START, answering)
            .await
            .map_err(|_| Exit::new(exit::ERROR, "redis-server does not answer"))
    }
}

/// Sends a signal to a child; one that is gone gets none.
pub(super) fn send(child: &Child, signal: Signal) {
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(id) = id {
        let _ = signal::kill(Pid::from_raw(id), signal);
    }
}

fn launch(port: u16, folder: &Path, settings: &[String]) -> std::io::Result<Child> {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no", "--dir"])
        .arg(folder)
        .args(settings)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
}

fn unstarted(error: std::io::Error) -> Exit {
    if error.kind() == std::io::ErrorKind::NotFound {
        return Exit::new(exit::ERROR, "redis-server is not installed");
    }
    Exit::because("redis-server does not start", &error)
}

async fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port())
}
