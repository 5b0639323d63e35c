//! A Redis Cluster: three masters, each with a replica.

use futures_util::future::join_all;

use super::{RedisServer, SYNC_AT_ONCE, agreed};

const MASTERS: usize = 3;
const SLOTS: usize = 16_384;
/// How long a node must be silent before the others replace it.
const NODE_TIMEOUT_MS: &str = "1000";

/// Six servers that know one another. Dropping it ends them.
#[derive(Debug)]
pub struct RedisCluster {
    /// The masters first.
    servers: Vec<RedisServer>,
}

/// One line of `CLUSTER NODES`.
struct Node {
    port: u16,
    is_master: bool,
    slots: Vec<(usize, usize)>,
}

impl RedisCluster {
    /// Starts a cluster and waits until it takes writes and every replica follows.
    ///
    /// # Panics
    /// As [`RedisServer::start`], or when the servers do not come together.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts a cluster whose servers have more settings.
    ///
    /// # Panics
    /// As [`RedisCluster::start`].
    pub async fn start_with(args: &[&str]) -> Self {
        let servers = (0..MASTERS * 2).map(|_| async {
            let mut all = vec!["--cluster-enabled", "yes"];
            all.extend(["--cluster-node-timeout", NODE_TIMEOUT_MS]);
            all.extend(SYNC_AT_ONCE);
            // A replica that has just begun to follow may take over, as in a test it must.
            all.extend(["--cluster-replica-validity-factor", "0"]);
            all.extend(args);
            RedisServer::start_with(&all).await
        });
        let cluster = Self {
            servers: join_all(servers).await,
        };
        cluster.share_slots().await;
        cluster.meet().await;
        cluster.replicate().await;
        cluster
    }

    async fn share_slots(&self) {
        for (at, master) in self.servers[..MASTERS].iter().enumerate() {
            let first = at * SLOTS / MASTERS;
            let last = (at + 1) * SLOTS / MASTERS - 1;
            let (first, last) = (first.to_string(), last.to_string());
            tell(master, &["CLUSTER", "ADDSLOTSRANGE", &first, &last]).await;
            let epoch = (at + 1).to_string();
            tell(master, &["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).await;
        }
    }

    async fn meet(&self) {
        let port = self.servers[0].port().to_string();
        for server in &self.servers[1..] {
            tell(server, &["CLUSTER", "MEET", "127.0.0.1", &port]).await;
        }
        let all = format!("cluster_known_nodes:{}\r", self.servers.len());
        self.all_say(&["CLUSTER", "INFO"], &all).await;
    }

    async fn replicate(&self) {
        let (masters, replicas) = self.servers.split_at(MASTERS);
        for (master, replica) in masters.iter().zip(replicas) {
            let id = tell(master, &["CLUSTER", "MYID"]).await;
            tell(replica, &["CLUSTER", "REPLICATE", &id]).await;
        }
        self.all_say(&["CLUSTER", "INFO"], "cluster_state:ok\r")
            .await;
        for replica in replicas {
            says(replica, &["INFO", "replication"], "master_link_status:up\r").await;
        }
        // Whoever is asked must know who follows whom, or it could not be replaced.
        for server in &self.servers {
            agreed("every replica is known", || async {
                let nodes = nodes(server).await;
                nodes.iter().filter(|node| !node.is_master).count() == MASTERS
            })
            .await;
        }
    }

    async fn all_say(&self, words: &[&str], wanted: &str) {
        for server in &self.servers {
            says(server, words, wanted).await;
        }
    }

    /// Where two of the masters are; the driver finds the others.
    pub fn url(&self) -> String {
        let hosts = self.servers[..2].iter().map(|server| server.port());
        let hosts: Vec<String> = hosts.map(|port| format!("127.0.0.1:{port}")).collect();
        format!("redis-cluster://{}", hosts.join(","))
    }

    /// Every server, masters and replicas.
    pub fn servers(&self) -> &[RedisServer] {
        &self.servers
    }

    /// The place in [`servers`](Self::servers) of the master that has a key now.
    ///
    /// # Panics
    /// When no server that answers knows it.
    pub async fn owner(&self, key: &str) -> usize {
        for server in &self.servers {
            let Ok(slot) = server.command(&["CLUSTER", "KEYSLOT", key]).await else {
                continue;
            };
            let slot: usize = slot.parse().expect("a slot is a number");
            let has = |(first, last): &(usize, usize)| (*first..=*last).contains(&slot);
            let nodes = nodes(server).await;
            let owner = nodes.iter().find(|node| node.slots.iter().any(has));
            let port = owner.expect("every slot has a master").port;
            let at = self.servers.iter().position(|server| server.port() == port);
            return at.expect("it is one of ours");
        }
        panic!("no server of the cluster answers");
    }

    /// Ends one server with SIGKILL.
    pub async fn kill(&mut self, at: usize) {
        self.servers[at].kill().await;
    }

    /// Starts a server that was killed; it follows the master that replaced it.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn restart(&mut self, at: usize) {
        self.servers[at].restart().await;
    }

    /// Waits until another master than the one at this place has the key.
    ///
    /// # Panics
    /// When none takes over.
    pub async fn taken_over(&self, key: &str, from: usize) {
        agreed("a replica takes over", || async {
            self.owner(key).await != from
        })
        .await;
    }
}

async fn tell(server: &RedisServer, words: &[&str]) -> String {
    let answer = server.command(words).await;
    answer.unwrap_or_else(|error| panic!("{words:?}: {error}"))
}

/// Waits until a server's answer has a line.
async fn says(server: &RedisServer, words: &[&str], wanted: &str) {
    agreed(wanted, || async {
        tell(server, words).await.contains(wanted)
    })
    .await;
}

/// What a server knows of the cluster.
async fn nodes(server: &RedisServer) -> Vec<Node> {
    let text = tell(server, &["CLUSTER", "NODES"]).await;
    text.lines().filter_map(read_node).collect()
}

/// `id host:port@bus flags master ping pong epoch link slot slot-slot …`
fn read_node(line: &str) -> Option<Node> {
    let words: Vec<&str> = line.split(' ').collect();
    let (_, port) = words.get(1)?.split('@').next()?.rsplit_once(':')?;
    let flags: Vec<&str> = words.get(2)?.split(',').collect();
    let slots = words.get(8..)?.iter().filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some((first.parse().ok()?, last.parse().ok()?))
    });
    Some(Node {
        port: port.parse().ok()?,
        is_master: flags.contains(&"master"),
        slots: slots.collect(),
    })
}
