//! What the clones of a context share, and how a cancellation reaches whoever waits for it.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use locum_wire::rpc::{Metadata, TraceParent};
use rustc_hash::FxHashMap;
use tokio::time::Instant;

/// One context. It knows the one it comes from, which does not know it: whoever waits for a
/// cancellation waits at all of them, so what is derived and dropped again costs its parent nothing.
#[derive(Default)]
pub(super) struct Node {
    parent: Option<Arc<Self>>,
    pub(super) deadline: Option<Instant>,
    pub(super) peer: Option<Arc<Peer>>,
    /// Well-formed.
    pub(super) metadata: Vec<u8>,
    /// How many bytes of them came with a call; the others were added here.
    pub(super) received: usize,
    pub(super) trace: Option<TraceParent>,
    given_up: AtomicBool,
    waiting: Mutex<FxHashMap<u64, Waker>>,
}

/// Whom the calls of a connection come from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peer {
    /// Over TCP.
    pub(crate) address: Option<SocketAddr>,
    /// Who that is, if he had to say.
    pub(crate) identity: Option<String>,
}

/// What a call that has come in brings along.
#[derive(Clone, Copy)]
pub(crate) struct Arrived<'a> {
    pub(crate) deadline: Option<Instant>,
    pub(crate) peer: &'a Arc<Peer>,
    pub(crate) metadata: Metadata<'a>,
    pub(crate) trace: Option<TraceParent>,
}

impl Node {
    /// Makes it that of a call that has come in, whatever it was.
    pub(super) fn reuse(&mut self, arrived: Arrived<'_>) {
        let Self { parent, deadline, peer, metadata, received, trace, given_up, waiting } = self;
        *parent = None;
        *deadline = arrived.deadline;
        // Most calls of a connection come from the same.
        if !matches!(peer, Some(peer) if Arc::ptr_eq(peer, arrived.peer)) {
            *peer = Some(Arc::clone(arrived.peer));
        }
        metadata.clear();
        metadata.extend_from_slice(arrived.metadata.as_bytes());
        *received = metadata.len();
        *trace = arrived.trace;
        *given_up.get_mut() = false;
        waiting.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// With all that its parent has.
    pub(super) fn child_of(parent: Option<&Arc<Self>>) -> Self {
        let mut node = Self::default();
        if let Some(parent) = parent {
            node.parent = Some(Arc::clone(parent));
            node.deadline = parent.deadline;
            node.peer = parent.peer.clone();
            node.metadata = parent.metadata.clone();
            node.received = parent.received;
            node.trace = parent.trace;
        }
        node
    }

    /// This one and those that it comes from.
    fn line(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |node| node.parent.as_deref())
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.line().any(|node| node.given_up.load(Ordering::Acquire))
    }

    pub(super) fn give_up(&self) {
        self.given_up.store(true, Ordering::Release);
        let woken = std::mem::take(&mut *self.waiting());
        woken.into_values().for_each(Waker::wake);
    }

    /// Has `waker` woken when this one is given up; `false`: it was.
    fn wait(&self, id: u64, waker: &Waker) -> bool {
        let mut waiting = self.waiting();
        // Looked at under the lock: whoever gives it up after this finds the waker.
        if self.given_up.load(Ordering::Acquire) {
            return false;
        }
        waiting.entry(id).and_modify(|old| old.clone_from(waker)).or_insert_with(|| waker.clone());
        true
    }

    fn waiting(&self) -> MutexGuard<'_, FxHashMap<u64, Waker>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Each line of contexts is let go from its young end, without recursion however long it is.
impl Drop for Node {
    fn drop(&mut self) {
        let mut next = self.parent.take();
        while let Some(mut node) = next.and_then(Arc::into_inner) {
            next = node.parent.take();
        }
    }
}

/// Ready once a context is given up.
#[must_use = "futures do nothing unless polled"]
pub(crate) struct GivenUp<'a> {
    node: Option<&'a Arc<Node>>,
    /// Under which it waits, once it does.
    id: Option<u64>,
}

impl<'a> GivenUp<'a> {
    pub(super) const fn new(node: Option<&'a Arc<Node>>) -> Self {
        Self { node, id: None }
    }
}

impl Future for GivenUp<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<()> {
        let Some(node) = self.node else { return Poll::Pending };
        let id = *self.id.get_or_insert_with(|| NEXT.fetch_add(1, Ordering::Relaxed));
        if node.line().all(|node| node.wait(id, task.waker())) {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }
}

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        if let (Some(node), Some(id)) = (self.node, self.id) {
            for node in node.line() {
                node.waiting().remove(&id);
            }
        }
    }
}

/// The next number of one who waits. Never the same again: at a thousand million a second they last
/// for centuries.
static NEXT: AtomicU64 = AtomicU64::new(0);
