//! Virtual time: what is still to happen, in the one order in which it does.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use locum_policy::{Clock, Time};

/// A clock that jumps from one thing that happens to the next.
///
/// At one instant first what ends, in the order it began; then what breakers do by themselves; then
/// who waits. Memory is in proportion to what is under way: an alarm that is not needed any more is
/// taken out.
#[derive(Default)]
pub(crate) struct Agenda {
    now: Cell<Time>,
    /// Numbers everything that begins.
    begun: Cell<u64>,
    /// The task that is being polled.
    current: Cell<u32>,
    due: RefCell<BTreeMap<Key, Item>>,
    tick: Cell<Option<Key>>,
}

/// When, in what order of one instant, and the number of its beginning.
pub(crate) type Key = (Time, Rank, u64);

/// The order of one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// Something ends: an attempt, a service, a caller's patience.
    End,
    /// A breaker does something by itself.
    Tick,
    /// A wait is over.
    Wait,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// A task goes on.
    Poll(u32),
    /// A task is given up by its caller.
    Cancel(u32),
    /// The breakers are due.
    Tick,
    /// Something outside the tasks, by its owner's number.
    Outside(u64),
}

impl Agenda {
    /// The number of something that begins now.
    pub(crate) fn begin(&self) -> u64 {
        self.begun.replace(self.begun.get() + 1)
    }

    pub(crate) fn add(&self, key: Key, item: Item) {
        self.due.borrow_mut().insert(key, item);
    }

    pub(crate) fn remove(&self, key: Key) {
        self.due.borrow_mut().remove(&key);
    }

    /// Takes out what happens next, if that is at or before `to`, and moves on to it.
    pub(crate) fn next(&self, to: Time) -> Option<Item> {
        let mut due = self.due.borrow_mut();
        let entry = due.first_entry().filter(|entry| entry.key().0 <= to)?;
        self.now.set(self.now.get().max(entry.key().0));
        Some(entry.remove())
    }

    /// Moves on to `to`, where nothing is due before.
    pub(crate) fn move_on(&self, to: Time) {
        self.now.set(self.now.get().max(to));
    }

    /// Whether an end of `task` is due now.
    pub(crate) fn ends_now(&self, task: u32) -> bool {
        let (first, last) = ((self.now.get(), Rank::End, 0), (self.now.get(), Rank::Tick, 0));
        self.due.borrow().range(first..last).any(|(_, item)| *item == Item::Poll(task))
    }

    /// When the breakers want to be told the time; `None`: not.
    pub(crate) fn set_tick(&self, at: Option<Time>) {
        let key = at.map(|at| (at, Rank::Tick, 0));
        let old = self.tick.replace(key);
        if old != key {
            old.into_iter().for_each(|old| self.remove(old));
        }
        key.into_iter().for_each(|key| self.add(key, Item::Tick));
    }

    /// The task that is being polled.
    pub(crate) fn polled(&self) -> u32 {
        self.current.get()
    }

    pub(crate) fn poll_as(&self, task: u32) {
        self.current.set(task);
    }

    /// Wakes the task that is being polled at `at`, with what ends then.
    pub(crate) fn end_at(&self, at: Time) -> Alarm<'_> {
        Alarm { agenda: self, at, rank: Rank::End, set: None }
    }

    /// The same, without waiting for it: the engine will end what is under way at `at`.
    pub(crate) fn ends_by(&self, at: Time) -> Alarm<'_> {
        let mut alarm = self.end_at(at);
        alarm.arm();
        alarm
    }
}

impl Clock for Agenda {
    fn now(&self) -> Time {
        self.now.get()
    }

    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> {
        Alarm { agenda: self, at, rank: Rank::Wait, set: None }
    }
}

/// Resolves at its time. Dropped, it is forgotten.
pub(crate) struct Alarm<'a> {
    agenda: &'a Agenda,
    at: Time,
    rank: Rank,
    set: Option<Key>,
}

impl Alarm<'_> {
    fn arm(&mut self) {
        let key = (self.at, self.rank, self.agenda.begin());
        self.set = Some(key);
        self.agenda.add(key, Item::Poll(self.agenda.current.get()));
    }
}

impl Future for Alarm<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.agenda.now.get() >= self.at {
            return Poll::Ready(());
        }
        if self.set.is_none() {
            self.arm();
        }
        Poll::Pending
    }
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.set {
            self.agenda.remove(key);
        }
    }
}
