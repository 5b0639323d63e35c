//! The link between a worker and its store: counts calls, and fails them on demand.

use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, pending};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use lovage_core::broker::{
    Broker, CancelReply, Claim, Claimed, Claims, Enqueued, RedriveReply, Settle, Settled,
    SignalReply, Spawn, Swept, Wake,
};
use lovage_core::checkpoint::Checkpoint;
use lovage_core::error::BrokerError;
use lovage_core::event::{EventPage, NewEvent};
use lovage_core::id::{JobId, QueueName, WorkerId};
use lovage_core::job::{Child, Job, NewJob};
use lovage_core::lease::Lease;
use lovage_core::payload::Payload;
use lovage_core::query::{Filter, JobPage, Page, QueueStats};
use lovage_core::queue::QueueLimits;
use lovage_tests::model::ModelBroker;
use tokio::sync::watch;

/// What a worker calls a store for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verb {
    Register,
    Deregister,
    Claim,
    Held,
    Wake,
    Extend,
    Checkpoint,
    Checkpoints,
    Emit,
    Spawn,
    Children,
    Settle,
    Reclaim,
    Prune,
    Ping,
}

/// How a call fares.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// It has no effect and fails.
    RequestLost,
    /// It has its effect and fails.
    AnswerLost,
    /// It fails, and a claim has its effect after this time all the same.
    Late(Duration),
    /// It has its effect, and the answer comes after this time.
    Slow(Duration),
    /// It has no effect and never answers.
    Hangs,
    /// The store's driver panics.
    Panics,
}

type Refuses = Box<dyn Fn(&Settle) -> bool + Send>;

#[derive(Default)]
struct State {
    next: BTreeMap<Verb, VecDeque<Fault>>,
    always: BTreeMap<Verb, Fault>,
    cut: bool,
    refuses: Option<Refuses>,
    claimer: Option<WorkerId>,
}

/// A store as one worker sees it.
pub(crate) struct Link {
    store: ModelBroker,
    state: Mutex<State>,
    calls: watch::Sender<BTreeMap<Verb, usize>>,
}

impl Link {
    pub(crate) fn new(store: ModelBroker) -> Self {
        Self {
            store,
            state: Mutex::default(),
            calls: watch::Sender::default(),
        }
    }

    /// The next call of this verb that has no fault yet has this one.
    pub(crate) fn next(&self, verb: Verb, fault: Fault) {
        self.state().next.entry(verb).or_default().push_back(fault);
    }

    /// Every call of this verb has this fault, until [`Link::mend`].
    pub(crate) fn always(&self, verb: Verb, fault: Fault) {
        self.state().always.insert(verb, fault);
    }

    /// Every call fails without effect, until [`Link::mend`].
    pub(crate) fn cut(&self) {
        self.state().cut = true;
    }

    /// No call fails any more.
    pub(crate) fn mend(&self) {
        *self.state() = State::default();
    }

    /// Every batch with a settle like this is refused for good.
    pub(crate) fn refuse(&self, like: impl Fn(&Settle) -> bool + Send + 'static) {
        self.state().refuses = Some(Box::new(like));
    }

    /// Calls of this verb so far.
    pub(crate) fn calls(&self, verb: Verb) -> usize {
        self.calls.borrow().get(&verb).copied().unwrap_or(0)
    }

    /// Calls of every verb so far.
    pub(crate) fn all_calls(&self) -> usize {
        self.calls.borrow().values().sum()
    }

    /// Waits for this many more calls of a verb.
    pub(crate) async fn more(&self, verb: Verb, count: usize) {
        let enough = self.calls(verb) + count;
        let mut calls = self.calls.subscribe();
        let reached = calls.wait_for(|calls| calls.get(&verb).copied().unwrap_or(0) >= enough);
        let reached = tokio::time::timeout(crate::world::SOON, reached).await;
        reached
            .unwrap_or_else(|_| panic!("{verb:?} is not called any more"))
            .unwrap();
    }

    /// Who claimed last.
    pub(crate) fn claimer(&self) -> WorkerId {
        self.state().claimer.unwrap()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn count(&self, verb: Verb) -> Option<Fault> {
        self.calls
            .send_modify(|calls| *calls.entry(verb).or_default() += 1);
        let mut state = self.state();
        if state.cut {
            return Some(Fault::RequestLost);
        }
        let next = state.next.get_mut(&verb).and_then(VecDeque::pop_front);
        next.or_else(|| state.always.get(&verb).copied())
    }

    async fn through<T>(
        &self,
        verb: Verb,
        call: impl Future<Output = Result<T, BrokerError>>,
    ) -> Result<T, BrokerError> {
        match self.count(verb) {
            None => call.await,
            Some(Fault::RequestLost | Fault::Late(_)) => Err(lost()),
            Some(Fault::AnswerLost) => {
                let _ = call.await;
                Err(lost())
            }
            Some(Fault::Slow(time)) => {
                let answer = call.await;
                tokio::time::sleep(time).await;
                answer
            }
            Some(Fault::Hangs) => pending().await,
            Some(Fault::Panics) => panic!("the driver panics"),
        }
    }
}

fn lost() -> BrokerError {
    BrokerError::Unavailable("the link is cut".into())
}

#[async_trait]
impl Broker for Link {
    fn name(&self) -> &'static str {
        self.store.name()
    }

    async fn enqueue(&self, jobs: Vec<NewJob>, atomic: bool) -> Result<Vec<Enqueued>, BrokerError> {
        self.store.enqueue(jobs, atomic).await
    }

    async fn register(&self, queue: &QueueName, worker: &WorkerId) -> Result<(), BrokerError> {
        let call = self.store.register(queue, worker);
        self.through(Verb::Register, call).await
    }

    async fn deregister(&self, queue: &QueueName, worker: &WorkerId) -> Result<(), BrokerError> {
        let call = self.store.deregister(queue, worker);
        self.through(Verb::Deregister, call).await
    }

    async fn claim(&self, ask: &Claim) -> Result<Claims, BrokerError> {
        self.state().claimer = Some(ask.worker);
        let late = match self
            .state()
            .next
            .get(&Verb::Claim)
            .and_then(|next| next.front())
        {
            Some(Fault::Late(time)) => Some(*time),
            _ => None,
        };
        if let Some(time) = late {
            let (store, ask) = (self.store.clone(), ask.clone());
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                store.claim(&ask).await
            });
        }
        self.through(Verb::Claim, self.store.claim(ask)).await
    }

    async fn held(
        &self,
        queue: &QueueName,
        worker: &WorkerId,
    ) -> Result<Vec<Claimed>, BrokerError> {
        let call = self.store.held(queue, worker);
        self.through(Verb::Held, call).await
    }

    async fn wake(
        &self,
        queue: &QueueName,
        worker: &WorkerId,
        work: bool,
        timeout: Duration,
    ) -> Result<Wake, BrokerError> {
        let call = self.store.wake(queue, worker, work, timeout);
        self.through(Verb::Wake, call).await
    }

    async fn extend(
        &self,
        queue: &QueueName,
        worker: &WorkerId,
    ) -> Result<Vec<JobId>, BrokerError> {
        let call = self.store.extend(queue, worker);
        self.through(Verb::Extend, call).await
    }

    async fn checkpoint(
        &self,
        lease: &Lease,
        checkpoint: &Checkpoint,
        events: &[NewEvent],
    ) -> Result<(), BrokerError> {
        let call = self.store.checkpoint(lease, checkpoint, events);
        self.through(Verb::Checkpoint, call).await
    }

    async fn emit(&self, lease: &Lease, events: &[NewEvent]) -> Result<(), BrokerError> {
        self.through(Verb::Emit, self.store.emit(lease, events))
            .await
    }

    async fn spawn(&self, spawn: &Spawn) -> Result<(), BrokerError> {
        self.through(Verb::Spawn, self.store.spawn(spawn)).await
    }

    async fn children(&self, id: &JobId) -> Result<Vec<Child>, BrokerError> {
        self.through(Verb::Children, self.store.children(id)).await
    }

    async fn signal(
        &self,
        id: &JobId,
        name: &str,
        data: &Payload,
    ) -> Result<SignalReply, BrokerError> {
        self.store.signal(id, name, data).await
    }

    async fn settle(&self, settles: &[Settle]) -> Result<Vec<Settled>, BrokerError> {
        let refused = match &self.state().refuses {
            Some(refuses) => settles.iter().any(refuses),
            None => false,
        };
        let call = async {
            match refused {
                true => Err(BrokerError::Corrupt("refused by the test".to_owned())),
                false => self.store.settle(settles).await,
            }
        };
        self.through(Verb::Settle, call).await
    }

    async fn cancel(&self, id: &JobId) -> Result<CancelReply, BrokerError> {
        self.store.cancel(id).await
    }

    async fn redrive(&self, id: &JobId) -> Result<RedriveReply, BrokerError> {
        self.store.redrive(id).await
    }

    async fn get(&self, id: &JobId) -> Result<Option<Job>, BrokerError> {
        self.store.get(id).await
    }

    async fn checkpoints(&self, id: &JobId) -> Result<Vec<Checkpoint>, BrokerError> {
        let call = self.store.checkpoints(id);
        self.through(Verb::Checkpoints, call).await
    }

    async fn list(&self, filter: &Filter, page: &Page) -> Result<JobPage, BrokerError> {
        self.store.list(filter, page).await
    }

    async fn events(
        &self,
        id: &JobId,
        after: u64,
        limit: usize,
        wait: Duration,
    ) -> Result<Option<EventPage>, BrokerError> {
        self.store.events(id, after, limit, wait).await
    }

    async fn stats(&self) -> Result<Vec<QueueStats>, BrokerError> {
        self.store.stats().await
    }

    async fn pause(&self, queue: &QueueName, paused: bool) -> Result<(), BrokerError> {
        self.store.pause(queue, paused).await
    }

    async fn limit(&self, queue: &QueueName, limits: &QueueLimits) -> Result<(), BrokerError> {
        self.store.limit(queue, limits).await
    }

    async fn reclaim(&self) -> Result<Swept, BrokerError> {
        self.through(Verb::Reclaim, self.store.reclaim()).await
    }

    async fn prune(&self) -> Result<usize, BrokerError> {
        self.through(Verb::Prune, self.store.prune()).await
    }

    async fn ping(&self) -> Result<(), BrokerError> {
        self.through(Verb::Ping, self.store.ping()).await
    }
}
