//! A master, its replica, and the address that leads to the master.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep};

use super::door::Door;
use super::tail::Tail;
use crate::command::server::Server;
use crate::exit::{self, Exit};

/// Longest wait for a replica that has everything.
const FOLLOWS: Duration = Duration::from_secs(15);
/// Pause between two looks at a replica.
const LOOK: Duration = Duration::from_millis(20);

/// The store as its callers see it.
pub(super) struct Pair {
    master: Server,
    replica: Server,
    door: Door,
    tail: Tail,
}

impl Pair {
    /// Starts both, with this `appendfsync`, in two folders of `folder`.
    pub(super) async fn start(folder: &Path, fsync: &str) -> Result<Self, Exit> {
        let master = server(&folder.join("one"), fsync).await?;
        let replica = server(&folder.join("other"), fsync).await?;
        let pair = Self {
            door: Door::open(master.port()).await?,
            tail: Tail::watch(master.folder()),
            master,
            replica,
        };
        pair.follow().await?;
        pair.until_replica_follows().await?;
        Ok(pair)
    }

    /// Where callers find the master.
    pub(super) fn url(&self) -> String {
        self.door.url()
    }

    /// The master ends in order and comes back.
    pub(super) async fn restart(&mut self) -> Result<(), Exit> {
        self.master.end().await;
        self.master.again().await
    }

    /// The master is killed and comes back.
    pub(super) async fn kill(&mut self) -> Result<(), Exit> {
        self.master.kill().await;
        self.master.again().await
    }

    /// The master is killed, loses what a power cut may take, and comes back.
    pub(super) async fn cut_power(&mut self) -> Result<(), Exit> {
        self.master.kill().await;
        let folder = self.master.folder();
        let tail = std::mem::replace(&mut self.tail, Tail::watch(folder));
        tail.cut(folder)
            .map_err(|error| Exit::because("the append-only file cannot be cut", &error))?;
        self.master.again().await
    }

    /// The master's process stands still for a while.
    pub(super) async fn freeze(&self, time: Duration) {
        self.master.signal(Signal::SIGSTOP);
        sleep(time).await;
        self.master.signal(Signal::SIGCONT);
    }

    /// The master keeps every command waiting for a while.
    pub(super) async fn pause(&self, time: Duration) -> Result<(), Exit> {
        let millis = time.as_millis().to_string();
        self.ask(&["CLIENT", "PAUSE", &millis, "ALL"]).await
    }

    /// Every connection ends.
    pub(super) async fn cut_connections(&self) -> Result<(), Exit> {
        self.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]).await?;
        self.ask(&["CLIENT", "KILL", "TYPE", "normal"]).await
    }

    /// The master takes no new data for a while.
    pub(super) async fn fill(&self, time: Duration) -> Result<(), Exit> {
        self.ask(&["CONFIG", "SET", "maxmemory", "1"]).await?;
        sleep(time).await;
        self.ask(&["CONFIG", "SET", "maxmemory", "0"]).await
    }

    /// The master dies, the replica takes its place, and the old master follows it.
    ///
    /// Waits first until the replica follows: nobody would promote one that does not.
    pub(super) async fn fail_over(&mut self) -> Result<(), Exit> {
        self.until_replica_follows().await?;
        self.master.kill().await;
        self.replica.ask(&["REPLICAOF", "NO", "ONE"]).await?;
        self.door.lead_to(self.replica.port());
        std::mem::swap(&mut self.master, &mut self.replica);
        self.tail = Tail::watch(self.master.folder());
        self.replica.again().await?;
        self.follow().await
    }

    /// Ends both; returns when they are gone.
    pub(super) async fn end(mut self) {
        self.master.kill().await;
        self.replica.kill().await;
    }

    async fn follow(&self) -> Result<(), Exit> {
        let port = self.master.port().to_string();
        let words = ["REPLICAOF", "127.0.0.1", &port];
        self.replica.ask(&words).await.map(drop)
    }

    async fn until_replica_follows(&self) -> Result<(), Exit> {
        let begun = Instant::now();
        while begun.elapsed() < FOLLOWS {
            let said = self.replica.ask(&["INFO", "replication"]).await?;
            if said.contains("master_link_status:up") {
                return Ok(());
            }
            sleep(LOOK).await;
        }
        Err(Exit::new(exit::ERROR, "the replica does not follow"))
    }

    async fn ask(&self, words: &[&str]) -> Result<(), Exit> {
        self.master.ask(words).await.map(drop)
    }
}

async fn server(folder: &Path, fsync: &str) -> Result<Server, Exit> {
    let settings = [
        "--appendonly",
        "yes",
        "--appendfsync",
        fsync,
        "--repl-diskless-sync-delay",
        "0",
    ];
    Server::start(folder, &settings).await
}
