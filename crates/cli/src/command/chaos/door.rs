//! One address that leads to whichever server is the master, as a load balancer
//! or a moving IP address would.

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use crate::exit::Exit;

/// The address. Dropping it closes it and every connection.
pub(super) struct Door {
    port: u16,
    target: watch::Sender<u16>,
    _task: AbortOnDropHandle<()>,
}

impl Door {
    /// A new address that leads to `target`, a port of this machine.
    pub(super) async fn open(target: u16) -> Result<Self, Exit> {
        let closed = |error| Exit::because("cannot listen", &error);
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(closed)?;
        let port = listener.local_addr().map_err(closed)?.port();
        let target = watch::Sender::new(target);
        let task = tokio::spawn(serve(listener, target.subscribe()));
        Ok(Self {
            port,
            target,
            _task: AbortOnDropHandle::new(task),
        })
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Leads to another port from now on; the connections there are end.
    pub(super) fn lead_to(&self, target: u16) {
        self.target.send_replace(target);
    }
}

async fn serve(listener: TcpListener, target: watch::Receiver<u16>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((client, _)) = listener.accept() => {
                connections.spawn(pass(client, target.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Passes bytes on until one side ends or the address leads elsewhere.
async fn pass(mut client: TcpStream, mut target: watch::Receiver<u16>) -> std::io::Result<()> {
    let port = *target.borrow_and_update();
    let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    tokio::select! {
        passed = copy_bidirectional(&mut client, &mut server) => passed.map(drop),
        _ = target.changed() => Ok(()),
    }
}
