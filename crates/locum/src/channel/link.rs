//! A connection that is made again when it is lost.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arc_swap::ArcSwapOption;
use locum_wire::rpc::Limits;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::backoff::Backoff;
use super::connection::{self, Connection};
use super::dial::{Address, Dialer, Unconnected};
use super::drive::{Driver, Ended, KeepaliveSettings};

use crate::transport::Io;

/// What links of one channel have in common.
pub(super) struct LinkSettings {
    pub(super) dialer: Dialer,
    pub(super) connection: connection::Settings,
    pub(super) limits: Limits,
    pub(super) backoff: Backoff,
    pub(super) keepalive: Option<KeepaliveSettings>,
    /// Told when a connection was lost or could not be made: then its address may be an old one.
    pub(super) lost: Arc<Notify>,
}

/// One of the connections to an endpoint: made when a call needs it, and again when it was lost.
pub(super) struct Link {
    address: Address,
    settings: Arc<LinkSettings>,
    /// Of the jitter.
    seed: u64,
    current: ArcSwapOption<Connection>,
    state: Mutex<State>,
    /// Told when a connection is there, or could not be made.
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// Whether a task sees to a connection.
    dialing: bool,
    /// No more connections are made.
    closed: bool,
    /// Calls that wait for one.
    waiting: usize,
    /// Tries in a row that came to nothing; a connection that broke before the peer answered anything is
    /// one.
    failures: u32,
    /// All tries that came to nothing.
    failed: u64,
    /// Before this there is no other.
    not_before: Option<Instant>,
    /// Why the last one failed.
    error: Option<Unconnected>,
    /// Connections that take no more calls but still have some.
    retired: Vec<Weak<Connection>>,
}

/// What becomes of a call while no connection can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// It waits.
    Wait,
    /// It fails with the next try, because it may go elsewhere.
    Fail,
}

/// Why a call goes on without a connection.
#[derive(Debug)]
pub(super) enum NotReady {
    /// None could be made.
    Failed(Unconnected),
    /// The link is closed: its endpoint is gone, or the whole channel.
    Closed,
}

impl Link {
    pub(super) fn new(address: Address, settings: Arc<LinkSettings>, seed: u64) -> Self {
        Self {
            address,
            settings,
            seed,
            current: ArcSwapOption::empty(),
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    pub(super) const fn address(&self) -> &Address {
        &self.address
    }

    /// The connection, if it is there.
    pub(super) fn connection(&self) -> Option<Arc<Connection>> {
        let current = self.current.load();
        current.as_ref().filter(|connection| connection.is_open()).cloned()
    }

    /// The connection, if it is there, and all that are still being answered on.
    pub(super) fn connections(&self) -> Vec<Arc<Connection>> {
        let current = self.current.load_full();
        let state = self.lock();
        let mut all: Vec<_> = state.retired.iter().filter_map(Weak::upgrade).collect();
        all.extend(current);
        all
    }

    /// Calls in flight on it.
    pub(super) fn in_flight(&self) -> u32 {
        self.current.load().as_ref().map_or(0, |connection| connection.in_flight())
    }

    /// Whether there is none, and none is to be had just now.
    pub(super) fn is_failing(&self) -> bool {
        if self.current.load().as_ref().is_some_and(|connection| connection.is_open()) {
            return false;
        }
        let state = self.lock();
        state.failures > 0 && state.not_before.is_some_and(|at| at > Instant::now())
    }

    /// Waits for the connection, and sees to it that there will be one.
    ///
    /// # Errors
    ///
    /// Why there is none: with [`Patience::Fail`] as soon as it is known, otherwise only once the link is
    /// closed.
    pub(super) async fn ready(
        self: &Arc<Self>,
        patience: Patience,
    ) -> Result<Arc<Connection>, NotReady> {
        let mut failed_before = None;
        let _waiting = Waiting::begin(self);
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(connection) = self.connection() {
                return Ok(connection);
            }
            {
                let mut state = self.lock();
                if state.closed {
                    return Err(NotReady::Closed);
                }
                let before = *failed_before.get_or_insert(state.failed);
                if patience == Patience::Fail
                    && state.failed > before
                    && let Some(error) = &state.error
                {
                    return Err(NotReady::Failed(error.clone()));
                }
                if !std::mem::replace(&mut state.dialing, true) {
                    tokio::spawn(Arc::clone(self).run(Dialing(Some(Arc::clone(self)))));
                }
            }
            changed.await;
        }
    }

    /// Why the last try to connect failed, unless a later one did not.
    pub(super) fn error(&self) -> Option<Unconnected> {
        self.lock().error.clone()
    }

    /// No more connections are made. The one there is is closed once its calls are answered.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        if let Some(connection) = &*self.current.load() {
            connection.retire();
        }
        self.changed.notify_waiters();
    }

    /// The task: makes a connection, and drives it until it is over. Tries for as long as calls wait.
    async fn run(self: Arc<Self>, dialing: Dialing) {
        loop {
            let not_before = self.lock().not_before;
            if let Some(at) = not_before.filter(|at| *at > Instant::now()) {
                sleep_until(at).await;
            }
            if self.is_unwanted() {
                return dialing.disarm();
            }
            match self.settings.dialer.dial(&self.address).await {
                Ok((io, said)) => {
                    let (connection, mut driver) = self.begin(io, &said);
                    drop(dialing);
                    let ended = (&mut driver).await;
                    self.current.compare_and_swap(&connection, None);
                    self.over(&ended);
                    return driver.hang_up().await;
                }
                Err(error) => self.failed(error),
            }
        }
    }

    /// A connection is there.
    fn begin(&self, io: Io, said: &[u8]) -> (Arc<Connection>, Driver) {
        let LinkSettings { connection, limits, keepalive, .. } = &*self.settings;
        let connection = Arc::new(Connection::new(*connection));
        let driver = Driver::new(Arc::clone(&connection), io, said, limits, *keepalive);
        let previous = self.current.swap(Some(Arc::clone(&connection)));
        let mut state = self.lock();
        state.retired.retain(|retired| retired.strong_count() > 0);
        state.retired.extend(previous.as_ref().map(Arc::downgrade));
        state.error = None;
        if state.closed {
            connection.retire();
        }
        (connection, driver)
    }

    /// Whether nobody waits for a connection any more; then nobody sees to one either.
    fn is_unwanted(&self) -> bool {
        let mut state = self.lock();
        let unwanted = state.waiting == 0 || state.closed;
        // Under the same lock, so that whoever comes later finds that it has to begin anew.
        state.dialing = !unwanted;
        unwanted
    }

    /// A connection is over.
    fn over(&self, ended: &Ended) {
        if ended.answered {
            let mut state = self.lock();
            (state.failures, state.not_before) = (0, None);
        } else if !ended.abandoned {
            let reason = format!("{}: closed before the peer answered anything", self.address);
            self.failed(Unconnected { reason: reason.into(), timed_out: false });
        }
        self.settings.lost.notify_one();
    }

    fn failed(&self, error: Unconnected) {
        let mut state = self.lock();
        state.failures = state.failures.saturating_add(1);
        state.failed += 1;
        let wait = self.settings.backoff.wait(state.failures, self.seed);
        state.not_before = Instant::now().checked_add(wait);
        state.error = Some(error);
        drop(state);
        self.changed.notify_waiters();
        self.settings.lost.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that waits for a connection.
struct Waiting<'a>(&'a Link);

impl<'a> Waiting<'a> {
    fn begin(link: &'a Link) -> Self {
        link.lock().waiting += 1;
        Self(link)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.lock().waiting -= 1;
    }
}

/// Held by the task while it sees to a connection. Dropped, also with the runtime, somebody else may.
struct Dialing(Option<Arc<Link>>);

impl Dialing {
    /// Somebody else may already.
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for Dialing {
    fn drop(&mut self) {
        if let Some(link) = &self.0 {
            link.lock().dialing = false;
            link.changed.notify_waiters();
        }
    }
}
