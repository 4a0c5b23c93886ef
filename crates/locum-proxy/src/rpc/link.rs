//! A connection to an endpoint that carries many calls at once.
//!
//! A call is written into the buffer of its link, and takes a slot. The link's task
//! ([`drive`](super::drive)) sends what has gathered in one write, and puts every answer that comes into
//! its slot. A link takes calls from the moment it is there: what waits for the connection waits in the
//! buffer.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use locum_policy::Time;
use locum_wire::gob::Described;
use locum_wire::rpc::{Body, CallHead, Calls, EncodeError, Failure, Limits, OwnedBody, Protocol};
use slab::Slab;

use super::taker::Taker;
use crate::upstream::Endpoint;

/// A connection that carries calls, made or about to be.
pub(crate) struct Link {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) protocol: Protocol,
    pub(super) state: RefCell<State>,
}

pub(super) struct State {
    pub(super) calls: Calls,
    /// To be sent; the first `written` bytes were.
    pub(super) out: Vec<u8>,
    pub(super) written: usize,
    /// How many bytes were sent before those in `out`.
    pub(super) before: u64,
    /// Up to where in all that is sent something may have left although `written` does not say so: what is
    /// under TLS leaves in records, of which the last counts them all.
    pub(super) risked: u64,
    pub(super) slots: Slab<Slot>,
    /// Calls so far.
    issued: u64,
    /// Whether the peer is told of calls that are given up.
    cancels: bool,
    pub(super) phase: Phase,
    /// The link's task.
    pub(super) driver: Option<Waker>,
    /// Who waits for room.
    crowd: Slab<Waker>,
}

/// What a link does with another call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It takes it.
    Taking,
    /// It takes no more, and ends with the last that it has.
    Retired,
    /// It is gone.
    Closed,
}

/// A call that waits for its answer.
pub(super) struct Slot {
    /// What the call is known by: its count, and the slot in the lowest bits, so that the answer to an
    /// earlier one in the same slot is not taken for its own.
    pub(super) id: u64,
    /// Where in all that is sent it begins.
    pub(super) begins: u64,
    waker: Option<Waker>,
    answer: Option<Answered>,
    /// Whom it is for, if that one takes its answers in its own time.
    taker: Option<Rc<Taker>>,
}

/// How a call that was sent ended.
#[derive(Debug)]
pub(crate) enum Answered {
    Reply(OwnedBody),
    Failure(Box<Failure<'static>>),
    /// The answer cannot be read.
    Unreadable(String),
    Lost(Lost),
}

/// Why there will be no answer.
#[derive(Clone, Debug)]
pub(crate) enum Lost {
    /// No connection could be made.
    Connect { text: Arc<str>, timed_out: bool },
    /// The connection ended before anything of the call was sent.
    NotSent(Arc<str>),
    /// The peer goes away and did not begin it.
    Refused,
    /// The connection ended.
    Broken(Arc<str>),
}

impl Link {
    pub(super) fn new(endpoint: &Arc<Endpoint>, protocol: Protocol, cancels: bool) -> Rc<Self> {
        let state = State {
            calls: Calls::new(protocol),
            out: Vec::new(),
            written: 0,
            before: 0,
            risked: 0,
            slots: Slab::new(),
            issued: 0,
            cancels,
            phase: Phase::Taking,
            driver: None,
            crowd: Slab::new(),
        };
        Rc::new(Self { endpoint: Arc::clone(endpoint), protocol, state: RefCell::new(state) })
    }

    /// Whether it takes another call, if not at once then later.
    pub(super) fn is_taking(&self) -> bool {
        self.state.borrow().phase == Phase::Taking
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state.borrow().phase == Phase::Closed
    }

    /// Calls that wait for their answers.
    pub(super) fn in_flight(&self) -> usize {
        self.state.borrow().slots.len()
    }

    /// Waits until there is room for a call, or the link takes none any more.
    pub(super) fn room(&self) -> Room<'_> {
        Room { link: self, place: None }
    }

    /// Sends a call; `head.id` is given here.
    ///
    /// # Errors
    ///
    /// The argument cannot be said in the protocol of this link; nothing was sent.
    pub(super) fn send(
        self: &Rc<Self>,
        head: CallHead<'_>,
        args: &Body<'_>,
        hint: Option<&Described>,
        taker: Option<&Rc<Taker>>,
    ) -> Result<Sent, EncodeError> {
        let mut state = self.state.borrow_mut();
        let State { calls, out, before, slots, issued, driver, .. } = &mut *state;
        let begins = *before + out.len() as u64;
        *issued += 1;
        let slot = slots.vacant_entry();
        let key = slot.key();
        let id = *issued << SLOT_BITS | key as u64;
        let limits = Limits::default();
        calls.forward(out, &CallHead { id, ..head }, args, hint, &limits)?;
        slot.insert(Slot { id, begins, waker: None, answer: None, taker: taker.cloned() });
        if let Some(driver) = driver.take() {
            driver.wake();
        }
        drop(state);
        Ok(Sent { link: Rc::clone(self), key })
    }

    /// Whether so many types were defined on it that others may find no room.
    pub(super) fn is_worn(&self) -> bool {
        self.state.borrow().calls.is_worn(&Limits::default())
    }

    /// Takes no more calls, and ends with the last that it has.
    pub(super) fn retire(&self) {
        let mut state = self.state.borrow_mut();
        state.retire();
        state.driver.take().into_iter().for_each(Waker::wake);
    }

    /// Ends: every call is told what `lost` says of it.
    pub(super) fn close(&self, lost: &Lost) {
        let mut state = self.state.borrow_mut();
        state.phase = Phase::Closed;
        let sent = state.risked.max(state.before + state.written as u64);
        for (_, slot) in &mut state.slots {
            let lost = match lost {
                Lost::Broken(why) if slot.begins >= sent => Lost::NotSent(Arc::clone(why)),
                lost => lost.clone(),
            };
            slot.settle(Answered::Lost(lost));
        }
        state.wake_crowd();
    }
}

impl State {
    /// The client that all calls are of, if it has enough answers for now.
    pub(super) fn held_for(&self, now: Time) -> Option<&Rc<Taker>> {
        let mut takers = self.slots.iter().map(|(_, slot)| slot.taker.as_ref());
        let first = takers.next()?.filter(|taker| taker.holds(now))?;
        takers.all(|taker| taker.is_some_and(|it| Rc::ptr_eq(it, first))).then_some(first)
    }

    /// Gives an answer to the call that has this id, if it still waits.
    pub(super) fn settle(&mut self, id: u64, answer: impl FnOnce() -> Answered) {
        let key = usize::try_from(id & SLOT_MASK).unwrap_or(usize::MAX);
        if let Some(slot) = self.slots.get_mut(key).filter(|slot| slot.id == id) {
            slot.settle(answer());
        }
    }

    /// Takes no more calls, and ends with the last that there is.
    pub(super) fn retire(&mut self) {
        if self.phase == Phase::Taking {
            self.phase = Phase::Retired;
        }
        self.wake_crowd();
    }

    /// Whether another call may be put into the buffer.
    fn has_room(&self) -> bool {
        self.out.len() - self.written < CROWDED && self.slots.len() < MOST_CALLS
    }

    /// Gives up a call at the peer.
    pub(super) fn cancel(&mut self, id: u64) {
        if self.cancels {
            let own = self.own_id();
            self.calls.cancel(&mut self.out, id, own);
        }
    }

    /// Forgets what was sent of the buffer.
    pub(super) fn drain(&mut self) {
        self.before += self.written as u64;
        self.out.drain(..self.written);
        self.written = 0;
        self.wake_crowd();
    }

    /// Tells those who wait for room that there may be some.
    pub(super) fn wake_crowd(&mut self) {
        self.crowd.drain().for_each(Waker::wake);
    }

    /// An id for a call of this side's own, whose answer nobody waits for.
    fn own_id(&mut self) -> u64 {
        self.issued += 1;
        self.issued << SLOT_BITS | SLOT_MASK
    }
}

impl Slot {
    pub(super) fn settle(&mut self, answer: Answered) {
        if self.answer.is_none() {
            self.answer = Some(answer);
            self.waker.take().into_iter().for_each(Waker::wake);
        }
    }
}

/// Somebody who waits for room on a link. Whoever is dropped waits no more.
pub(super) struct Room<'a> {
    link: &'a Link,
    place: Option<usize>,
}

impl Future for Room<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.leave();
        let mut state = self.link.state.borrow_mut();
        if state.has_room() || state.phase != Phase::Taking {
            return Poll::Ready(());
        }
        let place = state.crowd.insert(cx.waker().clone());
        drop(state);
        self.place = Some(place);
        Poll::Pending
    }
}

impl Room<'_> {
    /// Waits no more.
    fn leave(&mut self) {
        let Some(place) = self.place.take() else { return };
        // All may have been woken, and others come since: whoever takes this one's place away is woken for
        // nothing, and looks again.
        let left = self.link.state.borrow_mut().crowd.try_remove(place);
        left.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// A call that was sent. Dropped before its answer, it is given up at the peer, too.
pub(super) struct Sent {
    link: Rc<Link>,
    key: usize,
}

impl Sent {
    /// Ready with how it ended.
    pub(super) fn poll(&self, cx: &Context<'_>) -> Poll<Answered> {
        let mut state = self.link.state.borrow_mut();
        let slot = &mut state.slots[self.key];
        match slot.answer.take() {
            Some(answer) => {
                // What is asked for once more was lost.
                slot.answer = Some(Answered::Lost(Lost::Refused));
                Poll::Ready(answer)
            }
            None => {
                match &mut slot.waker {
                    Some(waker) => waker.clone_from(cx.waker()),
                    none => *none = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
        }
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        let mut state = self.link.state.borrow_mut();
        let slot = state.slots.remove(self.key);
        if state.phase == Phase::Closed {
            return;
        }
        if slot.answer.is_none() {
            state.cancel(slot.id);
        }
        let ends = state.phase == Phase::Retired && state.slots.is_empty();
        if slot.answer.is_none() || ends {
            state.driver.take().into_iter().for_each(Waker::wake);
        }
        if state.slots.len() + 1 == MOST_CALLS {
            state.wake_crowd();
        }
    }
}

/// So many of an id's bits say which slot is its call's.
const SLOT_BITS: u32 = 16;
const SLOT_MASK: u64 = (1 << SLOT_BITS) - 1;
/// Calls of one link; below the number that its slots' bits can say.
const MOST_CALLS: usize = 32 * 1024;
/// With so many bytes unsent, calls wait.
pub(super) const CROWDED: usize = 1 << 20;
