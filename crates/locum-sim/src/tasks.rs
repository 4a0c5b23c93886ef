//! The calls in flight: futures polled by hand, each in a box that is used again.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

use locum_policy::{Clock as _, Time};

use crate::agenda::{Agenda, Item, Key, Rank};

/// The tasks on an agenda.
pub(crate) struct Tasks<'a, F> {
    agenda: &'a Agenda,
    slots: Vec<Slot<F>>,
    free: Vec<u32>,
    woken: Arc<Mutex<Vec<u32>>>,
}

struct Slot<F> {
    /// The call's number.
    id: u64,
    future: Pin<Box<Option<F>>>,
    waker: Waker,
    /// When it began to wait, as a number of the agenda.
    since: u64,
    /// Where the agenda holds that it was woken.
    awake: Option<Key>,
    /// Where the agenda holds that its caller gives up.
    cancel: Option<Key>,
}

struct Flag {
    task: u32,
    woken: Arc<Mutex<Vec<u32>>>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner).push(self.task);
    }
}

/// What a step was.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing is due.
    Idle,
    /// A task went on, or ended.
    Task,
    /// The breakers are due.
    Tick,
    /// Something of the owner's.
    Outside(u64),
}

impl<'a, F: Future<Output = ()>> Tasks<'a, F> {
    pub(crate) fn new(agenda: &'a Agenda) -> Self {
        Self { agenda, slots: Vec::new(), free: Vec::new(), woken: Arc::default() }
    }

    pub(crate) const fn agenda(&self) -> &'a Agenda {
        self.agenda
    }

    /// Starts `future` now; its caller gives it up at `cancel_at`.
    pub(crate) fn start(&mut self, id: u64, future: F, cancel_at: Option<Time>) {
        let task = self.free.pop().unwrap_or_else(|| self.add_slot());
        let cancel = cancel_at.map(|at| (at, Rank::End, self.agenda.begin()));
        if let Some(key) = cancel {
            self.agenda.add(key, Item::Cancel(task));
        }
        let slot = &mut self.slots[task as usize];
        slot.id = id;
        slot.cancel = cancel;
        slot.future.set(Some(future));
        self.go_on(task);
    }

    fn add_slot(&mut self) -> u32 {
        let task = u32::try_from(self.slots.len()).expect("fewer than 2^32 calls in flight");
        let flag = Flag { task, woken: Arc::clone(&self.woken) };
        self.slots.push(Slot {
            id: 0,
            future: Box::pin(None),
            waker: Waker::from(Arc::new(flag)),
            since: 0,
            awake: None,
            cancel: None,
        });
        task
    }

    /// Lets the next thing happen that is due at or before `to`.
    pub(crate) fn step(&mut self, to: Time) -> Step {
        self.note_woken();
        match self.agenda.next(to) {
            None => return Step::Idle,
            Some(Item::Tick) => return Step::Tick,
            Some(Item::Outside(number)) => return Step::Outside(number),
            Some(Item::Poll(task)) => self.go_on(task),
            Some(Item::Cancel(task)) => self.cancel(task),
        }
        Step::Task
    }

    /// The calls that nothing has ended, in their order; they are gone afterwards.
    pub(crate) fn abandon(&mut self) {
        let mut left: Vec<_> = self.slots.iter_mut().filter(|slot| slot.future.is_some()).collect();
        left.sort_by_key(|slot| slot.id);
        for slot in left {
            slot.future.set(None);
        }
    }

    /// Lets `task` go on: what it waits for may have come.
    pub(crate) fn go_on(&mut self, task: u32) {
        self.agenda.poll_as(task);
        let slot = &mut self.slots[task as usize];
        slot.awake.take().into_iter().for_each(|key| self.agenda.remove(key));
        let Some(future) = slot.future.as_mut().as_pin_mut() else { return };
        if future.poll(&mut Context::from_waker(&slot.waker)).is_ready() {
            self.end(task);
        } else {
            slot.since = self.agenda.begin();
        }
    }

    /// At the very instant at which it ends by itself, it does that.
    fn cancel(&mut self, task: u32) {
        self.slots[task as usize].cancel = None;
        if self.agenda.ends_now(task) {
            self.go_on(task);
        }
        if self.slots[task as usize].future.is_some() {
            self.end(task);
        }
    }

    fn end(&mut self, task: u32) {
        let slot = &mut self.slots[task as usize];
        slot.future.set(None);
        let left = [slot.awake.take(), slot.cancel.take()];
        left.into_iter().flatten().for_each(|key| self.agenda.remove(key));
        self.free.push(task);
    }

    /// Puts on the agenda whom others have woken: they go on after all that ends now.
    fn note_woken(&mut self) {
        let woken = mem::take(&mut *self.woken.lock().unwrap_or_else(PoisonError::into_inner));
        for task in woken {
            let slot = &mut self.slots[task as usize];
            if slot.future.is_some() && slot.awake.is_none() {
                let key = (self.agenda.now(), Rank::Wait, slot.since);
                slot.awake = Some(key);
                self.agenda.add(key, Item::Poll(task));
            }
        }
    }
}
