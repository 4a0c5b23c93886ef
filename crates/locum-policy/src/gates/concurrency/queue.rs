//! Who waits for a place, in order of arrival.

use std::collections::{BTreeMap, BTreeSet};
use std::task::Waker;
use std::time::Duration;

use crate::Time;

/// A queue of numbered turns. A number that is not in it has had its turn.
#[derive(Default)]
pub(super) struct Queue {
    next: u64,
    waiting: BTreeMap<u64, Waiting>,
    /// Those that were removed without their turn, until they have been told.
    expired: BTreeSet<u64>,
}

/// What is known of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// It waits.
    Waiting,
    /// It waited too long.
    Expired,
    /// It has had its turn, and with it a place.
    Served,
}

struct Waiting {
    since: Time,
    waker: Option<Waker>,
}

impl Queue {
    /// One more waits; the number names its turn.
    pub(super) fn push(&mut self, now: Time) -> u64 {
        let number = self.next;
        self.next += 1;
        self.waiting.insert(number, Waiting { since: now, waker: None });
        number
    }

    /// The turn of whoever waits longest has come; hands out what wakes it, if it sleeps already.
    pub(super) fn pop(&mut self) -> Option<Option<Waker>> {
        self.waiting.pop_first().map(|(_, waiting)| waiting.waker)
    }

    /// Removes whoever waits longest if that is at least `timeout`.
    pub(super) fn expire_first(&mut self, timeout: Duration, now: Time) -> bool {
        let Some(first) = self.waiting.first_entry() else { return false };
        let old = first.get().since.until(now) >= timeout;
        if old {
            self.expired.insert(first.remove_entry().0);
        }
        old
    }

    /// Remembers how to wake `number`, if it still waits.
    pub(super) fn wait(&mut self, number: u64, waker: &Waker) -> bool {
        let Some(waiting) = self.waiting.get_mut(&number) else { return false };
        match &mut waiting.waker {
            Some(known) => known.clone_from(waker),
            unknown => *unknown = Some(waker.clone()),
        }
        true
    }

    pub(super) fn status(&self, number: u64) -> Status {
        if self.waiting.contains_key(&number) {
            Status::Waiting
        } else if self.expired.contains(&number) {
            Status::Expired
        } else {
            Status::Served
        }
    }

    /// Forgets `number`; tells what was known of it.
    pub(super) fn remove(&mut self, number: u64) -> Status {
        let status = self.status(number);
        self.waiting.remove(&number);
        self.expired.remove(&number);
        status
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}
