//! The worker processes: started, killed, stopped, and told a wrong time.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::Instant;

use super::ledger;
use crate::args::Chaos;
use crate::command::server;
use crate::exit::Exit;

/// A worker process.
struct Member {
    name: String,
    process: Child,
    /// Closing it ends the process.
    stdin: ChildStdin,
    stopped_until: Option<Instant>,
}

/// A worker that was killed.
#[derive(Debug, Clone)]
pub(super) struct Killed {
    /// Its name in the ledger.
    pub(super) worker: String,
    /// When, in ms of the machine's clock.
    pub(super) at: i64,
}

/// All worker processes.
pub(super) struct Crew {
    members: Vec<Member>,
    store: String,
    wait_replicas: u32,
    folder: PathBuf,
    started: usize,
    /// Those that were killed.
    pub(super) killed: Vec<Killed>,
}

impl Crew {
    /// Starts the workers of `store`, which write into `folder`.
    pub(super) fn start(args: &Chaos, store: String, folder: &Path) -> Result<Self, Exit> {
        let mut crew = Self {
            members: Vec::new(),
            store,
            wait_replicas: args.wait_replicas,
            folder: folder.to_owned(),
            started: 0,
            killed: Vec::new(),
        };
        for _ in 0..args.workers {
            crew.join()?;
        }
        Ok(crew)
    }

    /// The file all of them write to.
    pub(super) fn ledger(&self) -> PathBuf {
        self.folder.join("ledger")
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// Kills one and starts another.
    pub(super) async fn kill(&mut self, place: usize) -> Result<(), Exit> {
        let mut member = self.members.swap_remove(place);
        let at = ledger::now();
        // Fails only for a process that is gone already.
        let _ = member.process.kill().await;
        self.killed.push(Killed {
            worker: member.name,
            at,
        });
        self.join()
    }

    /// Stops one for a while; [`Crew::wake_due`] lets it go on.
    pub(super) fn stop(&mut self, place: usize, time: Duration) {
        let member = &mut self.members[place];
        server::send(&member.process, Signal::SIGSTOP);
        member.stopped_until = Some(Instant::now() + time);
    }

    /// Lets those go on whose time is over.
    pub(super) fn wake_due(&mut self) {
        let now = Instant::now();
        self.wake_if(|until| until <= now);
    }

    /// Lets all go on.
    pub(super) fn wake_all(&mut self) {
        self.wake_if(|_| true);
    }

    fn wake_if(&mut self, due: impl Fn(Instant) -> bool) {
        for member in &mut self.members {
            if member.stopped_until.is_some_and(&due) {
                member.stopped_until = None;
                server::send(&member.process, Signal::SIGCONT);
            }
        }
    }

    /// Sets one's clock off by so many ms.
    pub(super) async fn set_clock(&mut self, place: usize, ahead_ms: i64) {
        let line = format!("{ahead_ms}\n");
        // One that died by itself is found out by its jobs.
        let _ = self.members[place].stdin.write_all(line.as_bytes()).await;
    }

    /// The names of those that ended by themselves.
    pub(super) fn dead(&mut self) -> Vec<String> {
        let members = self.members.iter_mut();
        let dead = members.filter_map(|member| match member.process.try_wait() {
            Ok(None) => None,
            Ok(Some(_)) | Err(_) => Some(member.name.clone()),
        });
        dead.collect()
    }

    /// Ends all; returns when they are gone.
    pub(super) async fn end(self) {
        for mut member in self.members {
            let _ = member.process.kill().await;
        }
    }

    fn join(&mut self) -> Result<(), Exit> {
        let failed = |error: std::io::Error| Exit::because("a worker does not start", &error);
        self.started += 1;
        let name = format!("w{}", self.started);
        let log = std::fs::File::create(self.folder.join(format!("{name}.log"))).map_err(failed)?;
        let program = std::env::current_exe().map_err(failed)?;
        let mut process = Command::new(program)
            .args(["chaos", "worker", "--store", &self.store, "--name", &name])
            .args(["--wait-replicas", &self.wait_replicas.to_string()])
            .arg("--ledger")
            .arg(self.ledger())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let stdin = process.stdin.take().expect("its standard input is a pipe");
        self.members.push(Member {
            name,
            process,
            stdin,
            stopped_until: None,
        });
        Ok(())
    }
}
