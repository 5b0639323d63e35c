//! The one thread that writes.
//!
//! It takes the operations that gathered while it was busy and runs them in
//! one transaction, so that many share the cost of a commit and one alone
//! waits for nobody. Each has a savepoint of its own: what one of them could
//! not do undoes no other. Callers hear of their operation after the commit.

use std::ops::Deref;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use lovage_core::clock::Clock;
use lovage_core::error::BrokerError;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::config::SqliteConfig;
use crate::error::{broker_error, closed, repeated};
use crate::wake::{Bells, Listener, Topic};

/// Operations that wait or run.
const QUEUE_MAX: usize = 1_024;
/// Operations in one transaction.
const COMMIT_MAX: usize = 256;
/// How often another process's writes are looked for while somebody waits for them.
const POLL: Duration = Duration::from_millis(250);

/// What an operation works with: the transaction, the time, and whom to wake.
pub(crate) struct Write<'a> {
    tx: &'a Transaction<'a>,
    /// When the operation runs.
    pub(crate) now: Timestamp,
    /// How long a worker keeps its jobs without extending.
    pub(crate) lease: Duration,
    rings: Vec<Topic>,
    keep: bool,
}

impl<'a> Write<'a> {
    /// An operation of its own.
    pub(crate) fn new(tx: &'a Transaction<'a>, now: Timestamp, lease: Duration) -> Self {
        Self {
            tx,
            now,
            lease,
            rings: Vec::new(),
            keep: true,
        }
    }

    /// Wakes whoever waits for `topic`, once the operation is committed.
    pub(crate) fn ring(&mut self, topic: Topic) {
        self.rings.push(topic);
    }

    /// Answers as if the operation had run, but keeps nothing of it.
    pub(crate) fn keep_nothing(&mut self) {
        self.keep = false;
    }
}

impl Deref for Write<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.tx
    }
}

/// One caller's operation, whatever it answers with.
trait Operation: Send {
    /// Runs it; may be run again, in another transaction, when the first one was lost.
    /// Says whether there is anything to keep.
    fn run(&mut self, write: &mut Write<'_>) -> bool;

    /// Tells the caller, with `lost` that it could not be committed.
    fn answer(self: Box<Self>, lost: Option<BrokerError>);
}

struct Asked<F, T> {
    work: F,
    outcome: Result<T, BrokerError>,
    caller: oneshot::Sender<Result<T, BrokerError>>,
    _room: OwnedSemaphorePermit,
}

impl<F, T> Operation for Asked<F, T>
where
    F: Fn(&mut Write<'_>) -> Result<T, BrokerError> + Send,
    T: Send,
{
    fn run(&mut self, write: &mut Write<'_>) -> bool {
        self.outcome = (self.work)(write);
        self.outcome.is_ok() && write.keep
    }

    fn answer(self: Box<Self>, lost: Option<BrokerError>) {
        let outcome = match lost {
            Some(error) => Err(error),
            None => self.outcome,
        };
        // The caller may have gone away; what it asked for is done all the same.
        let _ = self.caller.send(outcome);
    }
}

enum Message {
    Run(Box<dyn Operation>),
    /// Somebody waits for a wake: look for other processes' writes from now on.
    Listen,
}

/// The way to the writing thread, which ends when this is dropped.
///
/// It is not joined: it may be waiting for another process, and the file
/// needs no farewell.
pub(crate) struct Writer {
    thread: mpsc::Sender<Message>,
    room: Arc<Semaphore>,
    bells: Arc<Bells>,
}

impl Writer {
    /// Starts the thread on a connection of its own.
    pub(crate) fn start(conn: Connection, config: &SqliteConfig) -> Result<Self, BrokerError> {
        let (sender, inbox) = mpsc::channel();
        let bells = Arc::new(Bells::default());
        let writing = Writing {
            conn,
            inbox,
            bells: bells.clone(),
            clock: config.clock.clone(),
            lease: config.lease,
            seen: 0,
        };
        thread::Builder::new()
            .name("lovage-sqlite".to_owned())
            .spawn(move || writing.run())
            .map_err(|error| BrokerError::Unavailable(error.into()))?;
        Ok(Self {
            thread: sender,
            room: Arc::new(Semaphore::new(QUEUE_MAX)),
            bells,
        })
    }

    /// Runs `work` in the next transaction; answers when it is committed.
    ///
    /// `work` is still run when the caller goes away meanwhile, and run again
    /// when its transaction is lost to another operation's failure.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Write<'_>) -> Result<T, BrokerError> + Send + 'static,
    ) -> Result<T, BrokerError> {
        let room = self.room.clone().acquire_owned().await;
        let (caller, answer) = oneshot::channel();
        let asked = Asked {
            work,
            outcome: Err(closed()),
            caller,
            _room: room.map_err(|_| closed())?,
        };
        self.thread
            .send(Message::Run(Box::new(asked)))
            .map_err(|_| closed())?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Begins to listen; what is rung from now on is heard.
    pub(crate) fn listen(&self, topics: Vec<Topic>) -> Listener {
        let listener = Bells::listen(&self.bells, topics);
        if self.bells.rouse() {
            // A thread that is gone rings nothing; the next call says so.
            let _ = self.thread.send(Message::Listen);
        }
        listener
    }
}

/// The thread's side.
struct Writing {
    conn: Connection,
    inbox: mpsc::Receiver<Message>,
    bells: Arc<Bells>,
    clock: Arc<dyn Clock>,
    lease: Duration,
    /// `data_version` as it was when last looked at.
    seen: i64,
}

impl Writing {
    fn run(mut self) {
        loop {
            match self.next() {
                Ok(Message::Run(first)) => {
                    let batch = self.gather(first);
                    self.commit(batch);
                }
                Ok(Message::Listen) | Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
            self.notice_others();
        }
    }

    fn next(&self) -> Result<Message, mpsc::RecvTimeoutError> {
        self.bells.rest();
        if self.bells.is_empty() {
            Ok(self.inbox.recv()?)
        } else {
            self.inbox.recv_timeout(POLL)
        }
    }

    fn gather(&self, first: Box<dyn Operation>) -> Vec<Box<dyn Operation>> {
        let mut batch = vec![first];
        while batch.len() < COMMIT_MAX {
            match self.inbox.try_recv() {
                Ok(Message::Run(operation)) => batch.push(operation),
                Ok(Message::Listen) => {}
                Err(_) => break,
            }
        }
        batch
    }

    /// Commits the operations together; where that fails, each alone.
    fn commit(&mut self, mut batch: Vec<Box<dyn Operation>>) {
        if batch.len() > 1 {
            match self.commit_together(&mut batch) {
                Ok(rings) => {
                    batch.into_iter().for_each(|one| one.answer(None));
                    return self.bells.ring(&rings);
                }
                Err(Lost::All(error)) => {
                    return batch
                        .into_iter()
                        .for_each(|one| one.answer(Some(repeated(&error))));
                }
                Err(Lost::ByOne) => {}
            }
        }
        for operation in batch {
            self.commit_alone(operation);
        }
    }

    fn commit_together(&mut self, batch: &mut [Box<dyn Operation>]) -> Result<Vec<Topic>, Lost> {
        let tx = begin(&mut self.conn).map_err(Lost::All)?;
        let mut rings = Vec::new();
        for operation in batch {
            savepoint(&tx, "SAVEPOINT operation")?;
            let mut write = Write::new(&tx, self.clock.now(), self.lease);
            let keep = operation.run(&mut write);
            if keep {
                rings.append(&mut write.rings);
            }
            // Some failures (a full disk, say) end the transaction of all.
            if tx.is_autocommit() {
                return Err(Lost::ByOne);
            }
            if !keep {
                savepoint(&tx, "ROLLBACK TO operation")?;
            }
            savepoint(&tx, "RELEASE operation")?;
        }
        commit(tx).map_err(|_| Lost::ByOne)?;
        Ok(rings)
    }

    fn commit_alone(&mut self, mut operation: Box<dyn Operation>) {
        let tx = match begin(&mut self.conn) {
            Ok(tx) => tx,
            Err(error) => return operation.answer(Some(broker_error(error))),
        };
        let mut write = Write::new(&tx, self.clock.now(), self.lease);
        let keep = operation.run(&mut write);
        let rings = write.rings;
        if !keep {
            drop(tx);
            return operation.answer(None);
        }
        match commit(tx) {
            Ok(()) => {
                operation.answer(None);
                self.bells.ring(&rings);
            }
            Err(error) => operation.answer(Some(broker_error(error))),
        }
    }

    /// Wakes everyone when another process has written: it cannot say whom.
    fn notice_others(&mut self) {
        if self.bells.is_empty() {
            return;
        }
        let version = self
            .conn
            .prepare_cached("PRAGMA data_version")
            .and_then(|mut statement| statement.query_row([], |row| row.get(0)));
        match version {
            Ok(version) if version == self.seen => {}
            Ok(version) => {
                self.seen = version;
                self.bells.ring_all();
            }
            Err(error) => tracing::debug!(%error, "cannot look for other processes' writes"),
        }
    }
}

/// Why a transaction of several operations came to nothing.
enum Lost {
    /// The store takes no writes now, whosever they are.
    All(rusqlite::Error),
    /// One of them may be the cause, and is found by running each alone.
    ByOne,
}

fn begin(conn: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    conn.transaction_with_behavior(TransactionBehavior::Immediate)
}

/// Commits; a test may end the process just before or just after.
fn commit(tx: Transaction<'_>) -> rusqlite::Result<()> {
    #[cfg(test)]
    crate::killed::pass(crate::killed::Moment::Before);
    let committed = tx.commit();
    #[cfg(test)]
    crate::killed::pass(crate::killed::Moment::After);
    committed
}

fn savepoint(tx: &Transaction<'_>, sql: &str) -> Result<(), Lost> {
    tx.prepare_cached(sql)
        .and_then(|mut statement| statement.execute([]))
        .map(drop)
        .map_err(|_| Lost::ByOne)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect;
    use crate::statement::{all, execute, sql};

    fn add(write: &Write<'_>, queue: &str) -> Result<(), BrokerError> {
        execute(write, sql!("queue_add"), [queue]).map(drop)
    }

    #[tokio::test]
    async fn what_one_operation_undoes_stays_in_its_batch() {
        let dir = tempfile::tempdir().unwrap();
        let config = SqliteConfig::new(dir.path().join("jobs.db"));
        let writer = Writer::start(connect::writer(&config).unwrap(), &config).unwrap();
        // While the file is held, the first operation waits and the others gather.
        let other = Connection::open(&config.path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let (first, failed, undone, last, ()) = tokio::join!(
            writer.run(|write| add(write, "first")),
            writer.run(|write| {
                add(write, "failed")?;
                Err::<(), _>(BrokerError::LeaseLost)
            }),
            writer.run(|write| {
                write.keep_nothing();
                add(write, "undone")
            }),
            writer.run(|write| add(write, "last")),
            async { other.execute_batch("COMMIT").unwrap() },
        );
        assert!(matches!(failed, Err(BrokerError::LeaseLost)));
        first.and(undone).and(last).unwrap();
        let queues = all(&other, sql!("queues_read"), [], |row| {
            row.get::<_, String>("queue")
        });
        assert_eq!(queues.unwrap(), ["first", "last"]);
    }
}
