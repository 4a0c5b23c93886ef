//! The calls in flight, in order of admission, and how many of them have become slow.

use std::time::Duration;

use crate::Time;

/// A list threaded through a slab: admission, settlement and ageing take constant time each.
#[derive(Default)]
pub(super) struct InFlight {
    slots: Vec<Slot>,
    free: Vec<u32>,
    oldest: Option<u32>,
    newest: Option<u32>,
    /// The oldest call that is not slow yet.
    next_slow: Option<u32>,
    slow: u64,
}

struct Slot {
    admitted: Time,
    older: Option<u32>,
    newer: Option<u32>,
    slow: bool,
}

impl InFlight {
    /// A call begins; the number names it until [`end`](Self::end).
    pub(super) fn begin(&mut self, now: Time) -> u32 {
        // Threads may be handed slightly different times; the list stays in order.
        let admitted = self.newest.map_or(now, |newest| now.max(self.slot(newest).admitted));
        let slot = Slot { admitted, older: self.newest, newer: None, slow: false };
        let id = match self.free.pop() {
            Some(id) => {
                self.slots[id as usize] = slot;
                id
            }
            None => {
                self.slots.push(slot);
                u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 calls are in flight")
            }
        };
        match self.newest.replace(id) {
            Some(older) => self.slots[older as usize].newer = Some(id),
            None => self.oldest = Some(id),
        }
        self.next_slow.get_or_insert(id);
        id
    }

    /// The call named `id` is over.
    pub(super) fn end(&mut self, id: u32) {
        let Slot { older, newer, slow, .. } = *self.slot(id);
        match older {
            Some(older) => self.slots[older as usize].newer = newer,
            None => self.oldest = newer,
        }
        match newer {
            Some(newer) => self.slots[newer as usize].older = older,
            None => self.newest = older,
        }
        if self.next_slow == Some(id) {
            self.next_slow = newer;
        }
        self.slow -= u64::from(slow);
        self.free.push(id);
    }

    /// How many calls have been in flight for longer than `threshold`.
    pub(super) fn slow(&mut self, threshold: Duration, now: Time) -> u64 {
        while let Some(id) = self.next_slow
            && self.slot(id).admitted.until(now) > threshold
        {
            self.slots[id as usize].slow = true;
            self.slow += 1;
            self.next_slow = self.slot(id).newer;
        }
        self.slow
    }

    fn slot(&self, id: u32) -> &Slot {
        &self.slots[id as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THRESHOLD: Duration = Duration::from_millis(200);

    #[test]
    fn a_call_is_slow_once_it_took_longer_than_the_threshold() {
        let mut calls = InFlight::default();
        calls.begin(Time::ZERO);
        assert_eq!(calls.slow(THRESHOLD, Time::from_millis(200)), 0);
        assert_eq!(calls.slow(THRESHOLD, Time::from_millis(201)), 1);
    }

    #[test]
    fn ended_calls_leave_from_anywhere() {
        let mut calls = InFlight::default();
        let ids = [0, 10, 20, 30].map(|at| calls.begin(Time::from_millis(at)));
        assert_eq!(calls.slow(THRESHOLD, Time::from_millis(215)), 2);
        calls.end(ids[0]);
        calls.end(ids[2]);
        assert_eq!(calls.slow(THRESHOLD, Time::from_millis(1_000)), 2);
        calls.end(ids[3]);
        calls.end(ids[1]);
        assert_eq!(calls.slow(THRESHOLD, Time::from_millis(1_000)), 0);
        assert_eq!(calls.slots.len(), 4);
        calls.begin(Time::from_millis(2_000));
        assert_eq!(calls.slots.len(), 4, "slots are used again");
    }
}
