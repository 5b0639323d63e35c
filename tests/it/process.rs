//! The real program, run as a person or a supervisor runs it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use lovage_client::Client;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longest wait for a program to end, or to say something.
const WAIT_MAX: Duration = Duration::from_secs(90);

/// A command line, in an empty folder and an empty environment of its own.
pub(crate) struct Program {
    command: Command,
    home: TempDir,
}

/// A program that has begun. Dropping it kills it.
pub(crate) struct Running {
    name: String,
    child: Child,
    stdout: JoinHandle<Vec<u8>>,
    stderr: watch::Receiver<Vec<String>>,
    _home: TempDir,
}

/// A program that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit code; nothing when a signal ended it.
    pub(crate) code: Option<i32>,
    /// Everything on standard output.
    pub(crate) stdout: String,
    /// Everything on standard error.
    pub(crate) stderr: String,
}

/// A program that serves HTTP.
pub(crate) struct Server {
    /// The process.
    pub(crate) running: Running,
    /// Where it listens, such as `http://127.0.0.1:40000`.
    pub(crate) url: String,
    /// A caller of it.
    pub(crate) client: Client,
}

impl Program {
    /// `lovage` with these arguments.
    pub(crate) fn new<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Self {
        Self::of(&binary(), args)
    }

    /// The `lovage` at `binary` with these arguments.
    pub(crate) fn of<A: AsRef<OsStr>>(binary: &Path, args: impl IntoIterator<Item = A>) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new(binary);
        command
            .args(args)
            .env_clear()
            .current_dir(home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Self { command, home }
    }

    /// With more arguments.
    pub(crate) fn args(mut self, args: &[&str]) -> Self {
        self.command.args(args);
        self
    }

    /// With a variable in its environment.
    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// With more variables in its environment.
    pub(crate) fn envs<'a>(self, all: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        all.into_iter()
            .fold(self, |program, (name, value)| program.env(name, value))
    }

    /// With a file in its working folder.
    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.home.path().join(name), text).unwrap();
        self
    }

    /// With a file of its working folder as standard input.
    pub(crate) fn stdin(mut self, name: &str) -> Self {
        let file = std::fs::File::open(self.home.path().join(name)).unwrap();
        self.command.stdin(file);
        self
    }

    /// With nobody who reads its standard output, as after `| head -1`.
    pub(crate) fn unread(mut self) -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        self.command.stdout(writer);
        self
    }

    /// With nobody who reads its standard error.
    pub(crate) fn unheard(mut self) -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        self.command.stderr(writer);
        self
    }

    /// Begins.
    pub(crate) fn start(mut self) -> Running {
        let mut child = self.command.spawn().unwrap();
        let stdout = tokio::spawn(read(child.stdout.take()));
        let (said, stderr) = watch::channel(Vec::new());
        tokio::spawn(listen(child.stderr.take(), said));
        Running {
            name: format!("{:?}", self.command.as_std()),
            child,
            stdout,
            stderr,
            _home: self.home,
        }
    }

    /// Runs to its end.
    pub(crate) async fn end(self) -> Ended {
        self.start().end().await
    }

    /// Begins, and waits until it listens.
    pub(crate) async fn serve(self) -> Server {
        let running = self.start();
        let line = running.says("listening on http://").await;
        let at = line.find("http://").unwrap();
        let url = line[at..].trim().to_owned();
        Server {
            running,
            client: client(&url),
            url,
        }
    }
}

impl Running {
    /// Waits for a line on standard error that holds `part`; one said before counts too.
    pub(crate) async fn says(&self, part: &str) -> String {
        let find = |lines: &Vec<String>| lines.iter().find(|line| line.contains(part)).cloned();
        let mut stderr = self.stderr.clone();
        let wait = async {
            let said = stderr.wait_for(|lines| find(lines).is_some()).await;
            // Fails when the program ended without saying it.
            find(&*said.ok()?)
        };
        let found = timeout(WAIT_MAX, wait).await.ok().flatten();
        found.unwrap_or_else(|| panic!("never said {part:?}, but:\n{}", self.stderr()))
    }

    /// Everything on standard error so far.
    pub(crate) fn stderr(&self) -> String {
        self.stderr.borrow().join("\n")
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = self
            .child
            .id()
            .expect("the program has not been waited for");
        let id = i32::try_from(id).expect("a process id fits");
        kill(Pid::from_raw(id), signal).unwrap();
    }

    /// Ends it as a crash would (SIGKILL); returns when it is gone.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    pub(crate) async fn end(mut self) -> Ended {
        let Ok(status) = timeout(WAIT_MAX, self.child.wait()).await else {
            panic!("did not end in {WAIT_MAX:?}, but said:\n{}", self.stderr());
        };
        let stdout = (&mut self.stdout).await.unwrap();
        // Fails when the listener has heard everything and is gone.
        while self.stderr.changed().await.is_ok() {}
        Ended {
            code: status.unwrap().code(),
            stdout: String::from_utf8(stdout).expect("the output is UTF-8"),
            stderr: self.stderr(),
        }
    }
}

impl Drop for Running {
    /// A test that fails shows what its programs said.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let ended = self.child.try_wait();
            println!("--- {} ({ended:?}) said:\n{}", self.name, self.stderr());
        }
    }
}

impl Ended {
    /// Panics unless it ended with `code`.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }
}

impl Server {
    /// The answer to a plain GET.
    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        let url = format!("{}{path}", self.url);
        http().get(url).send().await.unwrap()
    }

    /// The document at a path.
    pub(crate) async fn json(&self, path: &str) -> serde_json::Value {
        self.get(path).await.json().await.unwrap()
    }

    /// The answer to a POST of a document.
    pub(crate) async fn post(&self, path: &str, body: &serde_json::Value) -> reqwest::Response {
        let url = format!("{}{path}", self.url);
        http().post(url).json(body).send().await.unwrap()
    }

    /// The answer to a POST of nothing.
    pub(crate) async fn ask(&self, path: &str) -> reqwest::Response {
        let url = format!("{}{path}", self.url);
        http().post(url).send().await.unwrap()
    }
}

/// A caller of the server at `url`.
pub(crate) fn client(url: &str) -> Client {
    install_tls();
    Client::new(url, None).unwrap()
}

/// A plain HTTP client, as curl would be.
pub(crate) fn http() -> reqwest::Client {
    install_tls();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

fn install_tls() {
    // Another test may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The program stands beside the folder of the test programs.
pub(crate) fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let built = test.parent().and_then(Path::parent).unwrap();
    let program = built.join("lovage");
    assert!(
        program.is_file(),
        "{} is missing; build it first: cargo build -p lovage",
        program.display()
    );
    program
}

async fn read(stdout: Option<ChildStdout>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut stdout) = stdout {
        stdout.read_to_end(&mut bytes).await.unwrap();
    }
    bytes
}

async fn listen(stderr: Option<ChildStderr>, said: watch::Sender<Vec<String>>) {
    let Some(stderr) = stderr else { return };
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        said.send_modify(|lines| lines.push(line));
    }
}
