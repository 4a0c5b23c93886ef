#![doc = include_str!("../../docs/concurrency.md")]

use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use crate::rejection::Facts;
use crate::settings::{Error, Mode, at_least, at_most};
use crate::{Kind, Rejection, Time};

use self::queue::{Queue, Status};

mod queue;

/// A cap on the calls in flight.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema),
    serde(deny_unknown_fields)
)]
#[cfg_attr(feature = "serde", schemars(rename = "ConcurrencySettings"))]
pub struct Settings {
    /// Enforced, watched in shadow, or off; absent: as the whole policy.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub mode: Option<Mode>,
    /// Calls in flight. Too small: an idle service refuses; too large: a busy one drowns.
    pub max: u32,
    /// Calls that may wait for a place; absent: none.
    #[cfg_attr(feature = "serde", serde(default))]
    pub queue: u32,
    /// How long one waits at most; absent: until its deadline.
    #[cfg_attr(
        feature = "serde",
        serde(
            default,
            with = "crate::serial::maybe_duration",
            skip_serializing_if = "Option::is_none"
        ),
        schemars(with = "Option<String>")
    )]
    pub queue_timeout: Option<Duration>,
}

impl Settings {
    /// At most `max` calls in flight, and nobody waits.
    pub const fn new(max: u32) -> Self {
        Self { mode: None, max, queue: 0, queue_timeout: None }
    }

    fn check(&self) -> Result<(), Error> {
        at_least("concurrency.max", self.max, 1)?;
        at_most("concurrency.max", self.max, MOST)?;
        at_most("concurrency.queue", self.queue, MOST)?;
        if self.queue == 0 && self.queue_timeout.is_some() {
            let remedy = "set `queue`, or remove `queue_timeout`";
            return Err(Error::new(
                "concurrency.queue_timeout",
                "nobody may wait: `queue` is 0",
                remedy,
            ));
        }
        Ok(())
    }

    pub(crate) fn same_but_mode(&self, other: &Self) -> bool {
        Self { mode: None, ..self.clone() } == Self { mode: None, ..other.clone() }
    }
}

const MOST: u32 = 1 << 30;

/// Places for calls in flight, and the queue before them.
pub struct Places {
    settings: Settings,
    /// `in flight << 32 | waiting`. Who waits is counted under the lock only, so while the low half
    /// is zero a place is taken and given back without it.
    load: AtomicU64,
    queue: Mutex<Queue>,
}

/// A turn in the queue; dropped, it leaves no trace, and gives on a place it was just handed.
pub struct Turn {
    places: Arc<Places>,
    number: u64,
    since: Time,
}

/// What a call gets.
pub enum Entry {
    /// A place, to be [given back](Places::give_back).
    Place,
    /// A turn in the queue.
    Turn(Turn),
    /// Nothing: places and queue are full.
    Full,
}

impl Places {
    pub(crate) fn build(settings: &Settings) -> Result<Self, Error> {
        settings.check()?;
        Ok(Self { settings: settings.clone(), load: AtomicU64::new(0), queue: Mutex::default() })
    }

    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// A place if one is free and nobody waits for it, else a turn if the queue has room.
    #[inline]
    pub fn enter(self: &Arc<Self>, now: Time) -> Entry {
        if self.take_if_nobody_waits() {
            return Entry::Place;
        }
        if self.settings.queue == 0 {
            return Entry::Full;
        }
        self.queue_up(now)
    }

    #[cold]
    fn queue_up(self: &Arc<Self>, now: Time) -> Entry {
        let mut queue = self.lock();
        if queue.len() >= self.settings.queue as usize {
            return Entry::Full;
        }
        // A place may have been freed since; after this step, its owner will look at the queue.
        if !self.count_waiter_if_full(queue.len()) {
            return Entry::Place;
        }
        let number = queue.push(now);
        Entry::Turn(Turn { places: Arc::clone(self), number, since: now })
    }

    /// Of a gate in shadow: removes from the queue those who would have given up by `now`.
    pub(crate) fn expire(&self, now: Time) {
        let Some(timeout) = self.settings.queue_timeout else { return };
        if self.load.load(Ordering::Relaxed) & WAITING == 0 {
            return;
        }
        let mut queue = self.lock();
        while queue.expire_first(timeout, now) {
            self.load.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// In flight and waiting.
    pub fn load(&self) -> (u32, u32) {
        let load = self.load.load(Ordering::Relaxed);
        ((load >> 32) as u32, (load & WAITING) as u32)
    }

    pub(crate) fn rejection(&self, policy: &str, reason: &'static str) -> Rejection {
        let Settings { max, queue, queue_timeout, .. } = self.settings;
        let detail = match (reason, queue_timeout) {
            (QUEUE_TIMEOUT, Some(timeout)) => {
                format!("waited {} for one of {max} places", crate::text::spoken(timeout))
            }
            _ if queue == 0 => format!("{max} calls are in flight"),
            _ => format!("{max} calls are in flight and {queue} wait"),
        };
        Facts {
            policy: policy.into(),
            kind: Kind::Concurrency,
            reason,
            retry_after: None,
            detail,
            limit: None,
        }
        .into()
    }

    fn take_if_nobody_waits(&self) -> bool {
        let free = |load| {
            let (waiting, in_flight) = (load & WAITING, load >> 32);
            (waiting == 0 && in_flight < u64::from(self.settings.max)).then(|| load + ONE_IN_FLIGHT)
        };
        self.load.try_update(Ordering::AcqRel, Ordering::Relaxed, free).is_ok()
    }

    /// Under the lock: one more waits, or, if a place is free for it, takes that.
    fn count_waiter_if_full(&self, waiting: usize) -> bool {
        let full = |load: u64| {
            let free = waiting == 0 && load >> 32 < u64::from(self.settings.max);
            Some(if free { load + ONE_IN_FLIGHT } else { load + 1 })
        };
        let before = self.load.try_update(Ordering::AcqRel, Ordering::Relaxed, full);
        let (Ok(before) | Err(before)) = before;
        !(waiting == 0 && before >> 32 < u64::from(self.settings.max))
    }

    /// Gives a place back: to who waits first, if anybody does.
    #[inline]
    pub fn give_back(&self) {
        let nobody_waits = |load| (load & WAITING == 0).then(|| load - ONE_IN_FLIGHT);
        if self.load.try_update(Ordering::AcqRel, Ordering::Relaxed, nobody_waits).is_ok() {
            return;
        }
        self.hand_on();
    }

    #[cold]
    fn hand_on(&self) {
        let mut queue = self.lock();
        match queue.pop() {
            Some(waker) => {
                self.load.fetch_sub(1, Ordering::AcqRel);
                drop(queue);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            // Whoever waited has left in the meantime.
            None => {
                self.load.fetch_sub(ONE_IN_FLIGHT, Ordering::AcqRel);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const ONE_IN_FLIGHT: u64 = 1 << 32;
const WAITING: u64 = ONE_IN_FLIGHT - 1;

/// The reason of who waited too long.
pub(crate) const QUEUE_TIMEOUT: &str = "queue_timeout";
/// The reason of who found everything full.
pub(crate) const OVERLOADED: &str = "overloaded";

impl Turn {
    /// Resolves when the turn has come.
    ///
    /// # Cancel safety
    ///
    /// The turn stays where it is in the queue; polled again, the wait goes on.
    pub async fn come(&self) {
        poll_fn(|context| {
            if self.places.lock().wait(self.number, context.waker()) {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
    }

    /// Whether the turn has come; the place that came with it is then the caller's to give back.
    pub(crate) fn redeem(mut self) -> bool {
        if self.still_waits() {
            return false;
        }
        self.number = TAKEN;
        true
    }

    /// Whether its turn has not come.
    pub(crate) fn still_waits(&self) -> bool {
        self.places.lock().status(self.number) != Status::Served
    }

    /// Since when it waits.
    pub(crate) const fn since(&self) -> Time {
        self.since
    }
}

const TAKEN: u64 = u64::MAX;

impl Drop for Turn {
    fn drop(&mut self) {
        if self.number == TAKEN {
            return;
        }
        let mut queue = self.places.lock();
        match queue.remove(self.number) {
            Status::Waiting => {
                self.places.load.fetch_sub(1, Ordering::AcqRel);
            }
            Status::Expired => {}
            Status::Served => {
                drop(queue);
                self.places.give_back();
            }
        }
    }
}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Places")
            .field("settings", &self.settings)
            .field("load", &self.load())
            .finish()
    }
}
