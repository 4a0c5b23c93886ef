//! The calls in flight on one connection.
//!
//! Calls are numbered from 0, +1 a call, as Go does: a small number is short on the wire, and "no call
//! above that one" has a meaning. A call lives in a *slot*, whose place never changes while its caller
//! holds it. From the number to the place leads a ring, indexed by the low bits of the number; a call
//! that is still waiting when the ring comes round to it again moves into a small map. So finding a
//! call takes one index, and one that waits for hours costs nobody anything.

use rustc_hash::FxHashMap;

/// Slots with a `T` each, which is kept from call to call (it may own buffers).
#[derive(Debug)]
pub(super) struct Slots<T> {
    slots: Vec<Slot<T>>,
    /// When each slot's call is given up; apart from the slots, so that a sweep reads little.
    deadlines: Vec<u64>,
    /// Places that nobody holds, the one used last on top, because it is warm.
    free: Vec<u32>,
    /// Places of waiting calls by the low bits of their numbers. Its length is a power of two.
    ring: Vec<u32>,
    /// Places of waiting calls that lost their place in the ring to later ones.
    strays: FxHashMap<u64, u32>,
    next: u64,
    waiting: usize,
    /// No deadline is before this.
    earliest: u64,
}

#[derive(Debug)]
struct Slot<T> {
    /// The number of the call that waits here; `SETTLED` if none does.
    id: u64,
    value: T,
}

/// Never: no deadline.
pub(super) const NEVER: u64 = u64::MAX;

const SETTLED: u64 = u64::MAX;
const NOWHERE: u32 = u32::MAX;
const SMALLEST_RING: usize = 64;
/// Space for more slots than this is given back once no call is in flight.
const KEPT: usize = 1024;

impl<T: Default> Slots<T> {
    pub(super) fn new() -> Self {
        Self {
            slots: Vec::new(),
            deadlines: Vec::new(),
            free: Vec::new(),
            ring: vec![NOWHERE; SMALLEST_RING],
            strays: FxHashMap::default(),
            next: 0,
            waiting: 0,
            earliest: NEVER,
        }
    }

    /// How many calls wait for their answers.
    pub(super) const fn waiting(&self) -> usize {
        self.waiting
    }

    /// The number of the next call.
    pub(super) const fn next_id(&self) -> u64 {
        self.next
    }

    /// Passes over a number: it belongs to a call whose answer nobody waits for.
    pub(super) const fn skip_id(&mut self) -> u64 {
        let id = self.next;
        self.next += 1;
        id
    }

    /// A slot for the next call, which is given up at `deadline`; its place.
    pub(super) fn insert(&mut self, deadline: u64) -> u32 {
        let id = self.skip_id();
        let place = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { id: SETTLED, value: T::default() });
            self.deadlines.push(NEVER);
            // 2^32 slots would be more than fits into memory.
            (self.slots.len() - 1) as u32
        });
        self.slots[place as usize].id = id;
        self.deadlines[place as usize] = deadline;
        self.earliest = self.earliest.min(deadline);
        self.waiting += 1;
        if self.waiting * 2 > self.ring.len() {
            self.grow();
        }
        self.enter_ring(id, place);
        place
    }

    /// What belongs to the slot at `place`.
    ///
    /// Invariant: the caller holds `place`.
    pub(super) fn at(&mut self, place: u32) -> &mut T {
        &mut self.slots[place as usize].value
    }

    /// What belongs to the call `id`, if it waits.
    pub(super) fn find(&mut self, id: u64) -> Option<&mut T> {
        let place = self.place_of(id)?;
        Some(self.at(place))
    }

    /// The call `id` waits no longer: a late answer to it finds nobody. Its slot stays with its caller.
    pub(super) fn settle(&mut self, id: u64) -> Option<&mut T> {
        let place = self.place_of(id)?;
        self.leave_ring(id);
        let slot = &mut self.slots[place as usize];
        slot.id = SETTLED;
        self.deadlines[place as usize] = NEVER;
        self.waiting -= 1;
        Some(&mut slot.value)
    }

    /// The caller of `id` leaves the slot at `place`. Tells whether the call still waited.
    pub(super) fn leave(&mut self, id: u64, place: u32) -> bool {
        let waited = self.slots[place as usize].id == id && self.settle(id).is_some();
        self.free.push(place);
        if self.free.len() == self.slots.len() && self.slots.len() > KEPT {
            let next = self.next;
            *self = Self { next, ..Self::new() };
        }
        waited
    }

    /// The call `id` in the slot at `place`, if it still waits, is given up at `deadline` instead.
    pub(super) fn postpone(&mut self, id: u64, place: u32, deadline: u64) {
        if self.slots[place as usize].id == id {
            self.deadlines[place as usize] = deadline;
            self.earliest = self.earliest.min(deadline);
        }
    }

    /// Settles the waiting calls that `which` says, in the order of their places.
    pub(super) fn settle_those(
        &mut self,
        mut which: impl FnMut(u64, &T) -> bool,
        mut settled: impl FnMut(u64, &mut T),
    ) {
        for place in 0..self.slots.len() {
            let slot = &self.slots[place];
            let id = slot.id;
            if id != SETTLED
                && which(id, &slot.value)
                && let Some(value) = self.settle(id)
            {
                settled(id, value);
            }
        }
    }

    /// Settles the calls whose deadlines are not after `now`.
    pub(super) fn expire(&mut self, now: u64, mut expired: impl FnMut(u64, &mut T)) {
        let mut earliest = NEVER;
        for place in 0..self.deadlines.len() {
            let deadline = self.deadlines[place];
            if deadline > now {
                earliest = earliest.min(deadline);
                continue;
            }
            let id = self.slots[place].id;
            if let Some(value) = self.settle(id) {
                expired(id, value);
            }
        }
        self.earliest = earliest;
    }

    /// No deadline is before this.
    pub(super) const fn earliest(&self) -> u64 {
        self.earliest
    }

    fn place_of(&self, id: u64) -> Option<u32> {
        let place = self.ring[self.index(id)];
        match self.slots.get(place as usize) {
            Some(slot) if slot.id == id && id != SETTLED => Some(place),
            _ => self.strays.get(&id).copied(),
        }
    }

    fn index(&self, id: u64) -> usize {
        id as usize & (self.ring.len() - 1)
    }

    fn enter_ring(&mut self, id: u64, place: u32) {
        let index = self.index(id);
        let displaced = std::mem::replace(&mut self.ring[index], place);
        if displaced != NOWHERE {
            self.strays.insert(self.slots[displaced as usize].id, displaced);
        }
    }

    fn leave_ring(&mut self, id: u64) {
        let index = self.index(id);
        match self.slots.get(self.ring[index] as usize) {
            Some(slot) if slot.id == id => self.ring[index] = NOWHERE,
            _ => _ = self.strays.remove(&id),
        }
    }

    /// Twice the ring, with all who wait but the newest, which is yet to enter.
    fn grow(&mut self) {
        let newest = self.next - 1;
        self.ring = vec![NOWHERE; self.ring.len() * 2];
        self.strays.clear();
        for place in 0..self.slots.len() {
            let id = self.slots[place].id;
            if id == SETTLED || id == newest {
                continue;
            }
            // Whichever of two comes later stays in the ring; the other is found all the same.
            self.enter_ring(id, place as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(Option<u8>),
        Skip,
        /// An answer to the call of this number.
        Answer(u64),
        /// The caller of that of all held calls leaves.
        Leave(usize),
        Expire(u8),
        Refuse(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => proptest::option::of(any::<u8>()).prop_map(Step::Insert),
            1 => Just(Step::Skip),
            3 => (0u64..400).prop_map(Step::Answer),
            3 => any::<usize>().prop_map(Step::Leave),
            1 => any::<u8>().prop_map(Step::Expire),
            1 => (0u64..400).prop_map(Step::Refuse),
        ];
        proptest::collection::vec(step, 0..400)
    }

    proptest! {
        /// Whatever happens, the slots agree with a map from numbers to deadlines.
        #[test]
        fn slots_behave_as_a_map(steps in steps()) {
            let mut slots = Slots::<u64>::new();
            let mut model = HashMap::<u64, u64>::new();
            let mut held = Vec::new();
            let mut next = 0;
            for step in steps {
                match step {
                    Step::Insert(deadline) => {
                        let deadline = deadline.map_or(NEVER, u64::from);
                        let place = slots.insert(deadline);
                        *slots.at(place) = next;
                        model.insert(next, deadline);
                        held.push((next, place));
                        next += 1;
                    }
                    Step::Skip => {
                        prop_assert_eq!(slots.skip_id(), next);
                        next += 1;
                    }
                    Step::Answer(id) => {
                        prop_assert_eq!(slots.settle(id).copied(), model.remove(&id).map(|_| id));
                    }
                    Step::Leave(which) if !held.is_empty() => {
                        let (id, place) = held.swap_remove(which % held.len());
                        prop_assert_eq!(slots.leave(id, place), model.remove(&id).is_some());
                    }
                    Step::Leave(_) => {}
                    Step::Expire(now) => {
                        let now = u64::from(now);
                        let mut expired = Vec::new();
                        slots.expire(now, |id, value| expired.push((id, *value)));
                        for (id, value) in expired {
                            prop_assert_eq!(id, value);
                            prop_assert!(model.remove(&id).is_some_and(|deadline| deadline <= now));
                        }
                        prop_assert!(model.values().all(|deadline| *deadline > now));
                    }
                    Step::Refuse(last) => {
                        let mut refused = 0;
                        slots.settle_those(|id, _| id > last, |_, _| refused += 1);
                        let before = model.len();
                        model.retain(|id, _| *id <= last);
                        prop_assert_eq!(refused, before - model.len());
                    }
                }
                prop_assert_eq!(slots.waiting(), model.len());
                prop_assert!(model.values().all(|deadline| *deadline >= slots.earliest()));
                for id in model.keys() {
                    let place = slots.place_of(*id).expect("it waits");
                    prop_assert_eq!(*slots.at(place), *id);
                }
            }
        }
    }

    #[test]
    fn a_call_that_waits_for_long_is_still_found() {
        let mut slots = Slots::<u64>::new();
        let first = slots.insert(NEVER);
        *slots.at(first) = 7;
        for _ in 0..100_000 {
            let id = slots.next_id();
            let place = slots.insert(NEVER);
            assert!(slots.settle(id).is_some());
            assert!(!slots.leave(id, place));
        }
        assert_eq!((slots.waiting(), slots.slots.len()), (1, 2));
        assert_eq!(slots.settle(0).copied(), Some(7));
    }

    #[test]
    fn space_of_a_burst_is_given_back() {
        let mut slots = Slots::<u64>::new();
        let held: Vec<_> = (0..10_000).map(|id| (id, slots.insert(NEVER))).collect();
        assert_eq!(slots.waiting(), 10_000);
        for (id, place) in held {
            assert!(slots.leave(id, place));
        }
        assert_eq!((slots.slots.capacity(), slots.ring.len()), (0, SMALLEST_RING));
        assert_eq!(slots.next_id(), 10_000);
    }
}
