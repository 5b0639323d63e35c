//! A master and its replica, watched by three sentinels.

use futures_util::future::join_all;

use super::{Mode, RedisServer, SYNC_AT_ONCE, agreed};

/// What the sentinels call the master.
const NAME: &str = "main";
const SENTINELS: usize = 3;

/// Two servers and the sentinels that replace one by the other. Dropping it ends them.
#[derive(Debug)]
pub struct SentinelGroup {
    servers: [RedisServer; 2],
    sentinels: Vec<RedisServer>,
}

impl SentinelGroup {
    /// Starts all and waits until the sentinels know the replica and one another.
    ///
    /// # Panics
    /// As [`RedisServer::start`], or when they do not find one another.
    pub async fn start() -> Self {
        let (master, replica) = tokio::join!(
            RedisServer::start_with(&SYNC_AT_ONCE),
            RedisServer::start_with(&SYNC_AT_ONCE)
        );
        follow(&replica, &master).await;
        let port = master.port();
        let settings = format!(
            "sentinel monitor {NAME} 127.0.0.1 {port} 2\n\
             sentinel down-after-milliseconds {NAME} 1000\n\
             sentinel failover-timeout {NAME} 3000\n"
        );
        let sentinels = (0..SENTINELS)
            .map(|_| RedisServer::start_as("redis-server", Mode::Sentinel(settings.clone())));
        let group = Self {
            sentinels: join_all(sentinels).await,
            servers: [master, replica],
        };
        group.led_by(0).await;
        group
    }

    /// Where the sentinels are, and the master's name.
    pub fn url(&self) -> String {
        let hosts = self.sentinels.iter().map(|sentinel| sentinel.port());
        let hosts: Vec<String> = hosts.map(|port| format!("127.0.0.1:{port}")).collect();
        format!("redis-sentinel://{}/{NAME}", hosts.join(","))
    }

    /// The two servers; the first is the master until a failover.
    pub fn servers(&self) -> &[RedisServer; 2] {
        &self.servers
    }

    /// The sentinels.
    pub fn sentinels(&self) -> &[RedisServer] {
        &self.sentinels
    }

    /// Has the replica take over in good order.
    ///
    /// # Panics
    /// When the sentinels refuse.
    pub async fn fail_over(&self) {
        let ask = ["SENTINEL", "FAILOVER", NAME];
        let asked = self.sentinels[0].command(&ask).await;
        asked.expect("a replica is there to take over");
    }

    /// Ends a server with SIGKILL.
    pub async fn kill(&mut self, at: usize) {
        self.servers[at].kill().await;
    }

    /// Starts a server that was killed, as a replica of the other.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn restart(&mut self, at: usize) {
        self.servers[at].restart().await;
        // Left alone, the sentinels would do this some seconds later.
        follow(&self.servers[at], &self.servers[1 - at]).await;
    }

    /// Waits until every sentinel says that this server is the master, and that
    /// the other could replace it.
    ///
    /// # Panics
    /// When it does not become so.
    pub async fn led_by(&self, at: usize) {
        let port = self.servers[at].port();
        let line = format!("status=ok,address=127.0.0.1:{port},slaves=1,sentinels={SENTINELS}");
        for sentinel in &self.sentinels {
            agreed(&line, || async {
                let info = sentinel.command(&["INFO", "sentinel"]).await;
                info.is_ok_and(|info| info.contains(&line))
            })
            .await;
        }
        self.follows(1 - at).await;
    }

    /// Waits until this server is the master and takes writes.
    ///
    /// # Panics
    /// When it does not become so.
    pub async fn taken_over(&self, at: usize) {
        agreed("a replica takes over", || async {
            let info = self.servers[at].command(&["INFO", "replication"]).await;
            info.is_ok_and(|info| info.contains("role:master"))
        })
        .await;
    }

    async fn follows(&self, at: usize) {
        agreed("the replica follows", || async {
            let info = self.servers[at].command(&["INFO", "replication"]).await;
            info.is_ok_and(|info| info.contains("master_link_status:up"))
        })
        .await;
    }
}

async fn follow(replica: &RedisServer, master: &RedisServer) {
    let port = master.port().to_string();
    let told = replica.command(&["REPLICAOF", "127.0.0.1", &port]).await;
    told.expect("a server can be made a replica");
}
