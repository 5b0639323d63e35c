//! A handler that says when it begins and ends, and waits to be let go.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use lovage_workflow::{Context, Failure, Handler, JobInfo, Payload};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use crate::world::SOON;

/// What a gated handler does when it is told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stubborn {
    /// It stops.
    No,
    /// It waits on, until it is dropped.
    Yes,
}

/// The test's side of the gate.
pub(crate) struct Gate {
    begun: UnboundedReceiver<JobInfo>,
    ended: UnboundedReceiver<()>,
    open: Arc<Semaphore>,
    peak: Arc<AtomicUsize>,
}

/// The handler's side. Its result is the number of its attempt.
pub(crate) struct Gated {
    stubborn: Stubborn,
    begun: UnboundedSender<JobInfo>,
    ended: UnboundedSender<()>,
    open: Arc<Semaphore>,
    running: Arc<AtomicUsize>,
    peak: Arc<AtomicUsize>,
}

impl Gate {
    pub(crate) fn new(stubborn: Stubborn) -> (Self, Gated) {
        let (begun_in, begun) = unbounded_channel();
        let (ended_in, ended) = unbounded_channel();
        let open = Arc::new(Semaphore::new(0));
        let peak = Arc::new(AtomicUsize::new(0));
        let gated = Gated {
            stubborn,
            begun: begun_in,
            ended: ended_in,
            open: open.clone(),
            running: Arc::default(),
            peak: peak.clone(),
        };
        let gate = Self {
            begun,
            ended,
            open,
            peak,
        };
        (gate, gated)
    }

    /// Waits for the next attempt to begin.
    pub(crate) async fn begun(&mut self) -> JobInfo {
        let begun = timeout(SOON, self.begun.recv()).await;
        begun.expect("an attempt begins").unwrap()
    }

    /// Whether an attempt has begun that was not waited for.
    pub(crate) fn has_begun(&self) -> bool {
        !self.begun.is_empty()
    }

    /// Waits for the next attempt to end, in whatever way.
    pub(crate) async fn ended(&mut self) {
        let ended = timeout(SOON, self.ended.recv()).await;
        ended.expect("an attempt ends").unwrap();
    }

    /// Lets attempts go.
    pub(crate) fn open(&self, attempts: usize) {
        self.open.add_permits(attempts);
    }

    /// The most attempts that ran at once.
    pub(crate) fn peak(&self) -> usize {
        self.peak.load(Ordering::SeqCst)
    }
}

/// Counts an attempt until it is dropped.
struct Run<'a>(&'a Gated);

impl<'a> Run<'a> {
    fn begin(gated: &'a Gated, context: &Context) -> Self {
        let now = gated.running.fetch_add(1, Ordering::SeqCst) + 1;
        gated.peak.fetch_max(now, Ordering::SeqCst);
        let _ = gated.begun.send(context.job().clone());
        Self(gated)
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
        let _ = self.0.ended.send(());
    }
}

#[async_trait]
impl Handler for Gated {
    async fn run(&self, context: Context) -> Result<Payload, Failure> {
        let _run = Run::begin(self, &context);
        let stubborn = self.stubborn == Stubborn::Yes;
        tokio::select! {
            permit = self.open.acquire() => permit.unwrap().forget(),
            () = context.stop().cancelled(), if !stubborn => return Err(Failure::Stopped),
        }
        context.done(&context.job().attempt)
    }
}
