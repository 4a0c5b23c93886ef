//! Who waits for a place, and whose turn is next.

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::Duration;

use crate::Time;

/// A queue of numbered turns, by priority. A number that is not in it has had its turn.
#[derive(Default)]
pub(super) struct Queue {
    next: u64,
    /// By priority, and there by arrival.
    levels: [BTreeMap<u64, Waiting>; LEVELS],
    len: usize,
    /// Those that left without their turn, until they have been told.
    gone: BTreeMap<u64, Status>,
    /// Since when there is a queue in which nobody was served after less than [`TARGET`].
    standing: Time,
    /// The latest time that anybody told.
    latest: Time,
}

/// What is known of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// It waits.
    Waiting,
    /// It waited too long.
    Expired,
    /// It gave up its turn to a call of higher priority.
    Displaced,
    /// It has had its turn, and with it a place.
    Served,
}

struct Waiting {
    since: Time,
    waker: Option<Waker>,
}

impl Queue {
    /// One more waits; the number names its turn.
    pub(super) fn push(&mut self, priority: u8, now: Time) -> u64 {
        self.note(now);
        if self.len == 0 {
            self.standing = now;
        }
        let number = self.next;
        self.next += 1;
        self.level(priority).insert(number, Waiting { since: now, waker: None });
        self.len += 1;
        number
    }

    /// The turn of one has come; hands out what wakes it, if it sleeps already.
    ///
    /// The highest priority goes first, and there whoever waits longest; while the queue stands, the
    /// newest, who may still be in time. A queue stands when for [`INTERVAL`] nobody has been served
    /// after less than [`TARGET`] (Nichols and Jacobson, "Controlling Queue Delay", 2012). It is judged
    /// by whoever waits longest also while the newest goes first: or else the first of them, who
    /// hardly waited, would end it.
    pub(super) fn pop(&mut self, now: Time) -> Option<Option<Waker>> {
        let now = self.note(now);
        let level = self.levels.iter_mut().rev().find(|level| !level.is_empty())?;
        if level.first_key_value()?.1.since.until(now) < TARGET {
            self.standing = now;
        }
        let stands = self.standing.until(now) >= INTERVAL;
        let (_, served) = if stands { level.pop_last() } else { level.pop_first() }?;
        self.len -= 1;
        Some(served.waker)
    }

    /// Makes room for a call of `priority`: the newest of the lowest priority, if that is lower, loses
    /// its turn. Hands out what wakes it.
    pub(super) fn displace(&mut self, priority: u8) -> Option<Option<Waker>> {
        let below = &mut self.levels[..usize::from(priority).min(LEVELS)];
        let level = below.iter_mut().find(|level| !level.is_empty())?;
        let (number, displaced) = level.pop_last()?;
        self.len -= 1;
        self.gone.insert(number, Status::Displaced);
        Some(displaced.waker)
    }

    /// Removes those who came before `latest`; tells how many.
    pub(super) fn expire(&mut self, latest: Time) -> usize {
        let before = self.len;
        for level in &mut self.levels {
            while let Some(first) = level.first_entry().filter(|first| first.get().since < latest) {
                self.gone.insert(first.remove_entry().0, Status::Expired);
                self.len -= 1;
            }
        }
        before - self.len
    }

    /// Remembers how to wake `number`, if it still waits.
    pub(super) fn wait(&mut self, number: u64, waker: &Waker) -> bool {
        let waiting = self.levels.iter_mut().find_map(|level| level.get_mut(&number));
        let Some(waiting) = waiting else { return false };
        match &mut waiting.waker {
            Some(known) => known.clone_from(waker),
            unknown => *unknown = Some(waker.clone()),
        }
        true
    }

    pub(super) fn status(&self, number: u64) -> Status {
        if self.levels.iter().any(|level| level.contains_key(&number)) {
            return Status::Waiting;
        }
        self.gone.get(&number).copied().unwrap_or(Status::Served)
    }

    /// Forgets `number`; tells what was known of it.
    pub(super) fn remove(&mut self, number: u64) -> Status {
        if self.levels.iter_mut().any(|level| level.remove(&number).is_some()) {
            self.len -= 1;
            return Status::Waiting;
        }
        self.gone.remove(&number).unwrap_or(Status::Served)
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The latest time that anybody told, for those who do not know it.
    pub(super) const fn latest(&self) -> Time {
        self.latest
    }

    fn note(&mut self, now: Time) -> Time {
        self.latest = self.latest.max(now);
        self.latest
    }

    fn level(&mut self, priority: u8) -> &mut BTreeMap<u64, Waiting> {
        &mut self.levels[usize::from(priority).min(LEVELS - 1)]
    }
}

/// Priorities 0 to 3.
const LEVELS: usize = 4;

/// A wait that is none to speak of.
const TARGET: Duration = Duration::from_millis(5);

/// How long a queue stands before it counts as one that will not go away.
const INTERVAL: Duration = Duration::from_millis(100);
