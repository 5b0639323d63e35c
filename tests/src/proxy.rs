//! A connection to a Redis server that breaks at the worst moment: just before
//! or just after a command took effect.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::{SinkExt, StreamExt};
use redis_protocol::codec::Resp2;
use redis_protocol::resp2::types::{BytesFrame, Resp2Frame};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::codec::Framed;

/// What is lost with the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// The command: the server never sees it.
    Request,
    /// The reply: the server carried the command out.
    Reply,
}

/// A proxy before a server. It speaks RESP 2 and is not for connections that subscribe.
pub struct RedisProxy {
    port: u16,
    plan: Arc<Mutex<Plan>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Plan {
    /// Commands to let pass, and what to lose of the one after them.
    loss: Option<(usize, Lost)>,
    /// Name and first argument of every command since they were last taken.
    passed: Vec<(String, String)>,
}

impl RedisProxy {
    /// A proxy on a free port, before the server on `port` of this machine.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("the loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let plan = Arc::<Mutex<Plan>>::default();
        Self {
            port: address.port(),
            task: tokio::spawn(serve(listener, port, plan.clone())),
            plan,
        }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Lets `pass` commands pass and loses the next one, or its reply, and with it the connection.
    pub fn lose_after(&self, pass: usize, lost: Lost) {
        self.lock().loss = Some((pass, lost));
    }

    /// Whether what was to be lost is lost.
    pub fn has_lost(&self) -> bool {
        self.lock().loss.is_none()
    }

    /// Name and first argument of every command that came since the last call,
    /// the lost ones too: of a script, its hash.
    pub fn take_commands(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.lock().passed)
    }

    fn lock(&self) -> MutexGuard<'_, Plan> {
        lock(&self.plan)
    }
}

impl Drop for RedisProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Plan {
    /// Takes note of a command; says what of it is to be lost.
    fn meet(&mut self, request: &BytesFrame) -> Option<Lost> {
        let words = match request {
            BytesFrame::Array(words) => words.as_slice(),
            _ => &[],
        };
        let word = |place: usize| {
            let text = words.get(place).and_then(BytesFrame::as_str);
            text.unwrap_or_default().to_owned()
        };
        self.passed.push((word(0), word(1)));
        match &mut self.loss {
            Some((0, lost)) => {
                let lost = *lost;
                self.loss = None;
                Some(lost)
            }
            Some((pass, _)) => {
                *pass -= 1;
                None
            }
            None => None,
        }
    }
}

fn lock(plan: &Mutex<Plan>) -> MutexGuard<'_, Plan> {
    plan.lock().expect("no panic while locked")
}

async fn serve(listener: TcpListener, port: u16, plan: Arc<Mutex<Plan>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((client, _)) = listener.accept() => {
                connections.spawn(pass(client, port, plan.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Passes commands and replies on, until one of them is lost or a side ends.
async fn pass(client: TcpStream, port: u16, plan: Arc<Mutex<Plan>>) -> Option<()> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()?;
    for stream in [&client, &server] {
        stream.set_nodelay(true).ok()?;
    }
    let (mut to_client, mut requests) = Framed::new(client, Resp2::default()).split();
    let (mut to_server, mut replies) = Framed::new(server, Resp2::default()).split();
    // For each command under way, whether its reply is to be lost.
    let mut under_way = VecDeque::new();
    loop {
        tokio::select! {
            request = requests.next() => {
                let request = request?.ok()?;
                let lost = lock(&plan).meet(&request);
                if lost == Some(Lost::Request) {
                    return None;
                }
                under_way.push_back(lost.is_some());
                to_server.send(request).await.ok()?;
            }
            reply = replies.next() => {
                let reply = reply?.ok()?;
                if under_way.pop_front()? {
                    return None;
                }
                to_client.send(reply).await.ok()?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::RedisServer;

    async fn ask(proxy: &RedisProxy, words: &[&'static str]) -> Option<BytesFrame> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port)).await;
        let mut framed = Framed::new(stream.unwrap(), Resp2::default());
        let bulk = |word: &&'static str| BytesFrame::BulkString(word.as_bytes().into());
        let request = BytesFrame::Array(words.iter().map(bulk).collect());
        framed.send(request).await.unwrap();
        framed.next().await?.ok()
    }

    #[tokio::test]
    async fn a_lost_request_has_no_effect_and_a_lost_reply_has() {
        if !RedisServer::available() {
            return;
        }
        let server = RedisServer::start().await;
        let proxy = RedisProxy::start(server.port()).await;
        let number = |number| Some(BytesFrame::Integer(number));
        assert_eq!(ask(&proxy, &["INCR", "n"]).await, number(1));
        proxy.lose_after(1, Lost::Request);
        assert_eq!(ask(&proxy, &["INCR", "n"]).await, number(2));
        assert!(!proxy.has_lost());
        assert_eq!(ask(&proxy, &["INCR", "n"]).await, None);
        assert!(proxy.has_lost());
        proxy.lose_after(0, Lost::Reply);
        assert_eq!(ask(&proxy, &["INCR", "n"]).await, None);
        assert_eq!(ask(&proxy, &["INCR", "n"]).await, number(4));
        let commands = proxy.take_commands();
        assert_eq!(commands, vec![("INCR".to_owned(), "n".to_owned()); 5]);
    }
}
