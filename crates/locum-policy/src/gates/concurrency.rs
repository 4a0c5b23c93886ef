#![doc = include_str!("../../docs/concurrency.md")]

use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::task::Poll;
use std::time::Duration;

use crate::rejection::Facts;
use crate::settings::Error;
use crate::sync::{AtomicU32, AtomicU64, Mutex, MutexGuard};
use crate::{Call, Kind, Rejection, Time};

use self::gradient::Gradient;
pub(crate) use self::gradient::Sample;
use self::queue::Queue;
pub(crate) use self::queue::Status;
pub use self::settings::{Adaptive, Settings};

mod gradient;
mod queue;
mod settings;

/// Places for calls in flight, and the queue before them.
pub struct Places {
    settings: Settings,
    /// `in flight << 32 | waiting`. Who waits is counted under the lock only, so while the low half
    /// is zero a place is taken and given back without it. Invariant: nobody waits beside a free place,
    /// but while the lock is held.
    load: AtomicU64,
    /// How many may be in flight.
    limit: AtomicU32,
    queue: Mutex<Queue>,
    /// What moves the limit, if anything does.
    gradient: Option<Mutex<Gradient>>,
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

/// Why a call does not get in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Places and queue are full.
    Full,
    /// A call of higher priority took its turn.
    Displaced,
    /// It waited too long.
    TimedOut,
}

impl Places {
    pub(crate) fn build(settings: &Settings) -> Result<Self, Error> {
        settings.check()?;
        let gradient =
            settings.adaptive.as_ref().map(|adaptive| Gradient::new(adaptive, settings.most()));
        let limit = gradient.as_ref().map_or_else(|| settings.most(), Gradient::limit);
        Ok(Self {
            settings: settings.clone(),
            load: AtomicU64::new(0),
            limit: AtomicU32::new(limit),
            queue: Mutex::new(Queue::default()),
            gradient: gradient.map(Mutex::new),
        })
    }

    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// A place if one is free and nobody waits for it, else a turn if the queue has room, or can be made
    /// to have it at the cost of a call of lower priority.
    #[inline]
    pub fn enter(self: &Arc<Self>, call: &Call<'_>, now: Time) -> Entry {
        if self.take_if_nobody_waits() {
            return Entry::Place;
        }
        if self.settings.queue == 0 {
            return Entry::Full;
        }
        self.queue_up(self.priority(call), now)
    }

    /// What the call says of its priority, or what its route says.
    fn priority(&self, call: &Call<'_>) -> u8 {
        let said = self.settings.priority.as_ref().and_then(|key| call.keys.key(key));
        match said.map(<[u8]>::trim_ascii) {
            Some([digit @ b'0'..=b'3']) => digit - b'0',
            _ => call.priority,
        }
    }

    #[cold]
    fn queue_up(self: &Arc<Self>, priority: u8, now: Time) -> Entry {
        let mut queue = self.lock();
        let displaced = if queue.len() >= self.settings.queue as usize {
            // One waits for another, so the count stays as it is.
            let Some(displaced) = queue.displace(priority) else { return Entry::Full };
            displaced
        } else {
            // A place may have been freed since; after this step, its owner will look at the queue.
            if !self.count_waiter_if_full(queue.len()) {
                return Entry::Place;
            }
            None
        };
        let number = queue.push(priority, now);
        drop(queue);
        if let Some(waker) = displaced {
            waker.wake();
        }
        Entry::Turn(Turn { places: Arc::clone(self), number, since: now })
    }

    /// Of a gate in shadow: removes from the queue those who would have given up before `now`.
    pub(crate) fn expire_before(&self, now: Time) {
        let Some(timeout) = self.settings.queue_timeout else { return };
        let age = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        let Some(oldest) = now.as_nanos().checked_sub(age) else { return };
        if self.load().1 == 0 {
            return;
        }
        let mut queue = self.lock();
        let expired = queue.expire(Time::from_nanos(oldest));
        self.load.fetch_sub(expired as u64, Ordering::AcqRel);
    }

    /// In flight and waiting.
    pub fn load(&self) -> (u32, u32) {
        let load = self.load.load(Ordering::Relaxed);
        ((load >> 32) as u32, (load & WAITING) as u32)
    }

    /// How many may be in flight now.
    pub fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed)
    }

    pub(crate) fn rejection(&self, policy: &str, refused: Refused) -> Rejection {
        let (limit, queue) = (self.limit(), self.settings.queue);
        let (reason, detail) = match (refused, self.settings.queue_timeout) {
            (Refused::TimedOut, timeout) => {
                let waited = crate::text::spoken(timeout.unwrap_or_default());
                ("queue_timeout", format!("waited {waited} for one of {limit} places"))
            }
            (Refused::Displaced, _) => {
                ("overloaded", "a call of higher priority took its turn".to_owned())
            }
            (Refused::Full, _) if queue == 0 => {
                ("overloaded", format!("{limit} calls are in flight"))
            }
            (Refused::Full, _) => {
                ("overloaded", format!("{limit} calls are in flight and {queue} wait"))
            }
        };
        Facts {
            policy: policy.into(),
            kind: Kind::Concurrency,
            reason,
            // Nobody can tell when a call in flight will end.
            retry_after: None,
            detail,
            limit: None,
        }
        .into()
    }

    fn take_if_nobody_waits(&self) -> bool {
        let limit = u64::from(self.limit());
        let free = |load| {
            let (waiting, in_flight) = (load & WAITING, load >> 32);
            (waiting == 0 && in_flight < limit).then(|| load + ONE_IN_FLIGHT)
        };
        self.load.fetch_update(Ordering::AcqRel, Ordering::Relaxed, free).is_ok()
    }

    /// Under the lock: one more waits, or, if a place is free for it, takes that.
    fn count_waiter_if_full(&self, waiting: usize) -> bool {
        let limit = u64::from(self.limit());
        let is_free = |load: u64| waiting == 0 && load >> 32 < limit;
        let full = |load: u64| Some(if is_free(load) { load + ONE_IN_FLIGHT } else { load + 1 });
        let before = self.load.fetch_update(Ordering::AcqRel, Ordering::Relaxed, full);
        let (Ok(before) | Err(before)) = before;
        !is_free(before)
    }

    /// Gives a place back: to who waits for one, if anybody does. `now` is when, where that is known.
    #[inline]
    pub fn give_back(&self, now: Option<Time>) {
        let nobody_waits = |load| (load & WAITING == 0).then(|| load - ONE_IN_FLIGHT);
        if self.load.fetch_update(Ordering::AcqRel, Ordering::Relaxed, nobody_waits).is_ok() {
            return;
        }
        self.hand_on(now);
    }

    #[cold]
    fn hand_on(&self, now: Option<Time>) {
        let queue = self.lock();
        self.load.fetch_sub(ONE_IN_FLIGHT, Ordering::AcqRel);
        self.serve(queue, now);
    }

    /// Hands free places to those who wait. While anybody does, nobody moves the load but the holder of
    /// the lock.
    fn serve(&self, mut queue: MutexGuard<'_, Queue>, now: Option<Time>) {
        let now = now.unwrap_or_else(|| queue.latest());
        let limit = u64::from(self.limit());
        let mut served = Vec::new();
        while queue.len() > 0 && self.load.load(Ordering::Acquire) >> 32 < limit {
            let Some(waker) = queue.pop(now) else { break };
            self.load.fetch_add(ONE_IN_FLIGHT - 1, Ordering::AcqRel);
            served.extend(waker);
        }
        drop(queue);
        for waker in served {
            waker.wake();
        }
    }

    /// Whether it wants to know how calls end.
    pub(crate) const fn learns(&self) -> bool {
        self.gradient.is_some()
    }

    /// Learns how a call ended, before its place is given back.
    pub(crate) fn learn(&self, sample: Sample, now: Time) {
        let Some(gradient) = &self.gradient else { return };
        let mut gradient = gradient.lock().unwrap_or_else(PoisonError::into_inner);
        gradient.sample(now, sample, self.load().0);
        let (before, limit) = (self.limit(), gradient.limit());
        if limit == before {
            return;
        }
        self.limit.store(limit, Ordering::Relaxed);
        drop(gradient);
        // Whoever begins to wait has read the limit under the lock: before this, then he is seen here, or
        // after it, then he has seen the new one.
        if limit > before && self.settings.queue > 0 {
            self.serve(self.lock(), Some(now));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const ONE_IN_FLIGHT: u64 = 1 << 32;
const WAITING: u64 = ONE_IN_FLIGHT - 1;

impl Turn {
    /// Resolves when the turn has come, or was taken away.
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

    /// How it stands. If [`Status::Served`], the place that came with it is now the caller's to give
    /// back; else the turn is over.
    pub(crate) fn redeem(mut self) -> Status {
        let status = self.status();
        if status == Status::Served {
            self.number = TAKEN;
        }
        status
    }

    /// How it stands.
    pub(crate) fn status(&self) -> Status {
        self.places.lock().status(self.number)
    }

    /// Since when it waits.
    pub(crate) const fn since(&self) -> Time {
        self.since
    }

    /// Of a gate in shadow, left at `now`: why the call would have been refused, if it would have been.
    pub(crate) fn refused(&self, now: Time) -> Option<Refused> {
        let waited = self.since.until(now);
        let timeout = self.places.settings.queue_timeout.unwrap_or(Duration::MAX);
        match self.status() {
            Status::Displaced => Some(Refused::Displaced),
            Status::Expired => Some(Refused::TimedOut),
            Status::Waiting if waited >= timeout => Some(Refused::TimedOut),
            Status::Waiting | Status::Served => None,
        }
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
            Status::Expired | Status::Displaced => {}
            Status::Served => {
                drop(queue);
                self.places.give_back(None);
            }
        }
    }
}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Places")
            .field("settings", &self.settings)
            .field("load", &self.load())
            .field("limit", &self.limit())
            .finish()
    }
}
