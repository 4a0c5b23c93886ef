//! The context of a call: how long it has, who asks, what travels along.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use locum_wire::rpc::{Metadata, TraceParent};
use tokio::time::Instant;

use self::node::Node;

pub(crate) use self::ambient::Entered;
pub(crate) use self::node::{Arrived, GivenUp, Peer};

mod ambient;
pub(crate) mod keys;
mod node;

/// The context of a call: its deadline, whether it was given up, who asks, what travels along.
///
/// Whoever calls makes one, or derives one from the context of the call being handled; that way a
/// deadline and a cancellation reach whatever is called on the way. A derived context never has more
/// time than the one it comes from, and is cancelled with it, but not the other way.
///
/// A clone is the same context. Making one allocates nothing; what is derived is one allocation.
///
/// ```
/// use std::time::Duration;
/// use locum::Cx;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let cx = Cx::new().with_timeout(Duration::from_millis(500));
/// let longer = cx.with_timeout(Duration::from_secs(9));
/// assert_eq!(longer.deadline(), cx.deadline());
/// cx.cancel();
/// longer.cancelled().await;
/// # }
/// ```
pub struct Cx(State);

enum State {
    /// Nobody could cancel it.
    Background,
    /// Shared by its clones, once there is something to share.
    Own(OnceLock<Arc<Node>>),
    /// Shared. A server makes one for each call and clones it, and setting a lock costs as much as all else
    /// of that.
    Shared(Arc<Node>),
}

impl Cx {
    /// A context without a deadline; of nobody's call, with nothing to travel along.
    pub const fn new() -> Self {
        Self(State::Own(OnceLock::new()))
    }

    /// The same, that is never cancelled: what calls have that nobody waits for.
    pub const fn background() -> Self {
        Self(State::Background)
    }

    /// The context of the call that this task is handling; outside any the [background](Self::background).
    ///
    /// It is what methods without a parameter `cx: &Cx` go by.
    pub fn current() -> Self {
        ambient::current()
    }

    /// Runs `future` with this as its [current](Self::current) context.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops `future`; nothing else is kept.
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        ambient::scope(self, future).await
    }

    /// A context of its own, that can be cancelled without cancelling this one.
    #[must_use]
    pub fn child(&self) -> Self {
        self.derive(|_| ())
    }

    /// A child that has no more time than `timeout` from now.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        match Instant::now().checked_add(timeout) {
            Some(deadline) => self.with_deadline(deadline),
            // Beyond what the system's clock can say.
            None => self.child(),
        }
    }

    /// A child whose time is over at `deadline`, or earlier if this one's is.
    #[must_use]
    pub fn with_deadline(&self, deadline: Instant) -> Self {
        self.derive(|child| {
            child.deadline = Some(child.deadline.map_or(deadline, |own| own.min(deadline)));
        })
    }

    /// A child with which `name` and `value` travel, as a header would. Only the native protocol
    /// carries them; names are told apart by case.
    #[must_use]
    pub fn with_metadata(&self, name: &str, value: &str) -> Self {
        self.derive(|child| Metadata::encode(&[(name, value)], &mut child.metadata))
    }

    /// A child that belongs to `trace`.
    #[must_use]
    pub fn with_trace(&self, trace: TraceParent) -> Self {
        self.derive(|child| child.trace = Some(trace))
    }

    /// A child with a span of its own in the same trace; it begins a trace, not sampled, where there
    /// is none.
    #[must_use]
    pub fn with_span(&self) -> Self {
        // Every `RandomState` has keys of its own.
        let random = || RandomState::new().hash_one("span") | 1;
        let parent_id = random().to_be_bytes();
        let trace = self.trace().map_or_else(
            || {
                let id = u128::from(random()) << 64 | u128::from(random());
                TraceParent { trace_id: id.to_be_bytes(), parent_id, flags: 0 }
            },
            |trace| TraceParent { parent_id, ..trace },
        );
        self.with_trace(trace)
    }

    /// When its time is over, if ever.
    pub fn deadline(&self) -> Option<Instant> {
        self.node()?.deadline
    }

    /// How much time is left: nothing, once it is over; `None`: there is no deadline.
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Gives the call up, with all that is derived from it. Does nothing to the
    /// [background](Self::background).
    pub fn cancel(&self) {
        if let Some(node) = self.shared() {
            node.give_up();
        }
    }

    /// Whether it was given up, or its time is over.
    pub fn is_cancelled(&self) -> bool {
        self.is_given_up() || self.deadline().is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Waits until it is given up, or its time is over.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future forgets about it.
    ///
    /// # Panics
    ///
    /// With a deadline, when polled outside a Tokio runtime with time enabled.
    pub async fn cancelled(&self) {
        match self.deadline() {
            Some(deadline) => {
                // Over in time is as good as in vain.
                let _ = tokio::time::timeout_at(deadline, self.given_up()).await;
            }
            None => self.given_up().await,
        }
    }

    /// The address of whoever called, in a server, over TCP.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.node()?.peer.as_ref()?.address
    }

    /// Who called, in a server that asks for a certificate or a token.
    pub fn identity(&self) -> Option<&str> {
        self.node()?.peer.as_ref()?.identity.as_deref()
    }

    /// What came with the call that is handled, and what was [added](Self::with_metadata) here. What
    /// came is not passed on by itself: it may be a secret between the two.
    pub fn metadata(&self) -> Metadata<'_> {
        self.node().map(|node| well_formed(&node.metadata)).unwrap_or_default()
    }

    /// The trace that the call belongs to.
    pub fn trace(&self) -> Option<TraceParent> {
        self.node()?.trace
    }
}

/// What the library asks of it.
impl Cx {
    /// That of a call that has come in; in the memory of `idle`, that of a call that is over, unless somebody
    /// still has it.
    pub(crate) fn of_call(idle: Option<Self>, arrived: Arrived<'_>) -> Self {
        if let Some(Self(State::Shared(mut node))) = idle
            && let Some(alone) = Arc::get_mut(&mut node)
        {
            alone.reuse(arrived);
            return Self(State::Shared(node));
        }
        let mut node = Node::default();
        node.reuse(arrived);
        Self::of_node(node)
    }

    /// What travels with a call that goes out.
    pub(crate) fn outgoing(&self) -> Metadata<'_> {
        let added = self.node().and_then(|node| node.metadata.get(node.received..));
        added.map(well_formed).unwrap_or_default()
    }

    /// Whether it was given up. Unlike [`is_cancelled`](Self::is_cancelled) it reads no clock.
    pub(crate) fn is_given_up(&self) -> bool {
        self.node().is_some_and(|node| node.is_given_up())
    }

    /// Waits until it is given up; for the background, for ever and at no cost. What waits for many
    /// things need not set an alarm for each: the deadline is not looked at.
    pub(crate) fn given_up(&self) -> GivenUp<'_> {
        GivenUp::new(self.shared())
    }

    /// Makes it the current one until what this returns is dropped.
    pub(crate) fn enter(&mut self) -> Entered<'_> {
        Entered::new(self)
    }

    /// A child that `change` makes differ.
    fn derive(&self, change: impl FnOnce(&mut Node)) -> Self {
        let mut child = Node::child_of(self.shared());
        change(&mut child);
        Self::of_node(child)
    }

    fn of_node(node: Node) -> Self {
        Self(State::Shared(Arc::new(node)))
    }

    /// What there is to know, if there is anything.
    fn node(&self) -> Option<&Arc<Node>> {
        match &self.0 {
            State::Background => None,
            State::Own(node) => node.get(),
            State::Shared(node) => Some(node),
        }
    }

    /// What is shared with clones and children.
    fn shared(&self) -> Option<&Arc<Node>> {
        match &self.0 {
            State::Background => None,
            State::Own(node) => Some(node.get_or_init(Arc::default)),
            State::Shared(node) => Some(node),
        }
    }
}

/// `bytes` came as metadata or were written as such.
fn well_formed(bytes: &[u8]) -> Metadata<'_> {
    Metadata::parse(bytes).expect("metadata are well-formed")
}

impl Clone for Cx {
    fn clone(&self) -> Self {
        match self.shared() {
            Some(node) => Self(State::Shared(Arc::clone(node))),
            None => Self::background(),
        }
    }
}

impl Default for Cx {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Cx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cx = f.debug_struct("Cx");
        cx.field("remaining", &self.remaining()).field("given_up", &self.is_given_up());
        cx.field("peer", &self.peer()).field("identity", &self.identity());
        // Values may be secrets.
        let names: Vec<_> = self.metadata().iter().map(|(name, _)| name).collect();
        cx.field("metadata", &names).field("trace", &self.trace()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: TraceParent = TraceParent { trace_id: [1; 16], parent_id: [2; 8], flags: 1 };

    /// The context of a call of tenant blue, made of `idle`.
    fn of_blue(idle: Option<Cx>) -> Cx {
        let mut metadata = Vec::new();
        Metadata::encode(&[("tenant", "blue")], &mut metadata);
        let peer = Arc::new(Peer { address: None, identity: Some("blue".to_owned()) });
        let deadline = Some(Instant::now());
        let metadata = well_formed(&metadata);
        Cx::of_call(idle, Arrived { deadline, peer: &peer, metadata, trace: Some(TRACE) })
    }

    /// That of a call that says nothing of itself.
    fn of_nobody(idle: Option<Cx>) -> Cx {
        let (peer, metadata) = (Arc::default(), Metadata::default());
        Cx::of_call(idle, Arrived { deadline: None, peer: &peer, metadata, trace: None })
    }

    #[test]
    fn a_call_knows_nothing_of_the_one_whose_memory_it_has() {
        let blue = of_blue(None);
        blue.cancel();
        let memory = blue.node().map(Arc::as_ptr);
        let cx = of_nobody(Some(blue));
        assert_eq!(cx.node().map(Arc::as_ptr), memory);
        assert_eq!((cx.deadline(), cx.identity(), cx.trace()), (None, None, None));
        assert!(cx.metadata().is_empty() && cx.outgoing().is_empty() && !cx.is_given_up());
        assert_eq!(of_blue(Some(cx)).metadata().get("tenant"), Some("blue"));
    }

    #[test]
    fn a_context_that_somebody_keeps_is_not_the_next_calls() {
        let keeps: [fn(&Cx) -> Cx; 2] = [Cx::clone, Cx::child];
        for keep in keeps {
            let blue = of_blue(None);
            let kept = keep(&blue);
            let cx = of_nobody(Some(blue));
            cx.cancel();
            assert_eq!(kept.metadata().get("tenant"), Some("blue"));
            assert_eq!((kept.identity(), kept.trace()), (Some("blue"), Some(TRACE)));
            assert!(!kept.is_given_up());
        }
    }
}
