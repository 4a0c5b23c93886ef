//! One stream each way with one call: what came and was not used yet, and what may still be sent.
//!
//! The connection puts items in, the reader takes all there are at once, and says when it has used so
//! many that its peer should hear of it. What is counted, and how much, docs/native.md says.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use locum_wire::native::{ITEM, WINDOW};
use locum_wire::rpc::{Body, Form};

/// Both streams of a call.
#[derive(Debug)]
pub(crate) struct Flow(Mutex<State>);

#[derive(Debug)]
struct State {
    arrived: Items,
    /// What the peer may still send.
    window: i64,
    /// Whether nothing more comes.
    ended: bool,
    reader: Option<Waker>,
    /// What may still be sent to the peer.
    credit: i64,
    /// Whether nobody takes any more.
    closed: bool,
    writer: Option<Waker>,
}

/// Items as they came.
#[derive(Debug, Default)]
pub(crate) struct Items {
    bytes: Vec<u8>,
    /// Where each begins and ends, and whether it is JSON.
    places: VecDeque<(usize, usize, bool)>,
}

/// The peer sent more than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMuch;

/// Those to be woken, once no lock is held: a waker may own the last of a task.
pub(crate) type Wakers = [Option<Waker>; 2];

/// What an item of so many bytes counts.
pub(crate) const fn cost(bytes: usize) -> i64 {
    // Invariant: a buffer has less than 2^63 bytes.
    bytes as i64 + ITEM as i64
}

impl Flow {
    /// At the beginning of a call; whether anything `comes` with it.
    pub(crate) fn new(comes: bool) -> Self {
        Self(Mutex::new(State {
            arrived: Items::default(),
            window: i64::from(WINDOW),
            ended: !comes,
            reader: None,
            credit: i64::from(WINDOW),
            closed: false,
            writer: None,
        }))
    }

    /// An item came; whom to tell.
    ///
    /// # Errors
    ///
    /// It was not to come.
    pub(crate) fn arrive(&self, item: &Body<'_>) -> Result<Option<Waker>, TooMuch> {
        let mut state = self.lock();
        if state.window <= 0 || state.ended {
            return Err(TooMuch);
        }
        state.window -= cost(item.bytes.len());
        state.arrived.push(item);
        Ok(state.reader.take())
    }

    /// Nothing more comes.
    pub(crate) fn end(&self) -> Option<Waker> {
        let mut state = self.lock();
        state.ended = true;
        state.reader.take()
    }

    /// The peer can take so much more.
    pub(crate) fn add(&self, credit: u32) -> Option<Waker> {
        let mut state = self.lock();
        state.credit = state.credit.saturating_add(i64::from(credit));
        if state.credit > 0 { state.writer.take() } else { None }
    }

    /// The call is over: nothing more comes or goes.
    pub(crate) fn close(&self) -> Wakers {
        let mut state = self.lock();
        (state.ended, state.closed) = (true, true);
        [state.reader.take(), state.writer.take()]
    }

    /// Swaps all that came for `empty`; `false`: nothing more will.
    pub(crate) fn poll_take(&self, empty: &mut Items, task: &Context<'_>) -> Poll<bool> {
        let mut state = self.lock();
        if !state.arrived.places.is_empty() {
            std::mem::swap(&mut state.arrived, empty);
            return Poll::Ready(true);
        }
        if state.ended {
            return Poll::Ready(false);
        }
        let before = state.reader.replace(task.waker().clone());
        drop(state);
        drop(before);
        Poll::Pending
    }

    /// The peer is told that it can send so much more.
    pub(crate) fn widen(&self, credit: u32) {
        self.lock().window += i64::from(credit);
    }

    /// Waits until something may be sent; `false`: nobody takes it any more.
    pub(crate) fn poll_credit(&self, task: &Context<'_>) -> Poll<bool> {
        let mut state = self.lock();
        if state.closed {
            return Poll::Ready(false);
        }
        if state.credit > 0 {
            return Poll::Ready(true);
        }
        let before = state.writer.replace(task.waker().clone());
        drop(state);
        drop(before);
        Poll::Pending
    }

    /// An item of so many bytes was sent.
    pub(crate) fn spend(&self, bytes: usize) {
        self.lock().credit -= cost(bytes);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Items {
    fn push(&mut self, item: &Body<'_>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(item.bytes);
        let json = matches!(item.form, Form::Json);
        self.places.push_back((start, self.bytes.len(), json));
    }

    /// The next, unless there is none.
    pub(crate) fn next(&mut self) -> Option<Body<'_>> {
        let Some((start, end, json)) = self.places.pop_front() else {
            self.bytes.clear();
            // What one large item took is given back.
            self.bytes.shrink_to(KEPT);
            return None;
        };
        let bytes = self.bytes.get(start..end).unwrap_or_default();
        Some(Body { bytes, form: if json { Form::Json } else { Form::Postcard } })
    }
}

/// What was used of a stream, until its peer hears of it.
#[derive(Debug, Default)]
pub(crate) struct Used(i64);

impl Used {
    /// An item of so many bytes was used; gives what the peer is to be told, once that is worth a frame.
    pub(crate) fn add(&mut self, bytes: usize) -> Option<u32> {
        self.0 += cost(bytes);
        if self.0 < i64::from(WINDOW / 2) {
            return None;
        }
        let credit = self.0.min(i64::from(u32::MAX));
        self.0 -= credit;
        u32::try_from(credit).ok()
    }
}

/// Room for so many bytes is kept for the next items.
const KEPT: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn item(bytes: &[u8]) -> Body<'_> {
        Body { bytes, form: Form::Postcard }
    }

    fn idle() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    #[test]
    fn items_come_out_as_they_went_in() {
        let flow = Flow::new(true);
        let mut items = Items::default();
        assert_eq!(flow.poll_take(&mut items, &idle()), Poll::Pending);
        flow.arrive(&item(b"one")).unwrap();
        flow.arrive(&Body { bytes: b"2", form: Form::Json }).unwrap();
        flow.arrive(&item(b"")).unwrap();
        flow.end();
        assert_eq!(flow.poll_take(&mut items, &idle()), Poll::Ready(true));
        let mut seen = Vec::new();
        while let Some(Body { bytes, form }) = items.next() {
            seen.push((bytes.to_vec(), matches!(form, Form::Json)));
        }
        assert_eq!(seen, [(b"one".to_vec(), false), (b"2".to_vec(), true), (vec![], false)]);
        assert_eq!(flow.poll_take(&mut items, &idle()), Poll::Ready(false));
        assert_eq!(flow.arrive(&item(b"late")).unwrap_err(), TooMuch);
    }

    #[test]
    fn one_item_may_be_larger_than_the_window_and_no_more_than_one() {
        let flow = Flow::new(true);
        flow.arrive(&item(&vec![0; 1 << 20])).unwrap();
        assert_eq!(flow.arrive(&item(b"")).unwrap_err(), TooMuch);
        assert_eq!(flow.poll_credit(&idle()), Poll::Ready(true));
        flow.spend(1 << 20);
        assert_eq!(flow.poll_credit(&idle()), Poll::Pending);
        flow.add((1 << 20) - WINDOW + ITEM);
        assert_eq!(flow.poll_credit(&idle()), Poll::Pending);
        flow.add(1);
        assert_eq!(flow.poll_credit(&idle()), Poll::Ready(true));
        flow.close();
        assert_eq!(flow.poll_credit(&idle()), Poll::Ready(false));
    }

    #[test]
    fn items_of_no_bytes_are_bounded() {
        let flow = Flow::new(true);
        let sent = (0..).take_while(|_| flow.arrive(&item(b"")).is_ok()).count();
        assert_eq!(sent, (WINDOW / ITEM) as usize);
    }

    proptest! {
        /// A sender that waits for credit never sends too much, and never waits for ever.
        #[test]
        fn both_sides_count_alike(
            sizes in proptest::collection::vec(0usize..200_000, 1..60),
            turns in proptest::collection::vec(any::<bool>(), 0..200),
        ) {
            let (sender, receiver) = (Flow::new(true), Flow::new(true));
            let mut used = Used::default();
            let mut items = Items::default();
            let mut to_send = sizes.iter().peekable();
            let mut received = 0;
            let mut step = |send: bool, received: &mut usize| {
                let mut moved = false;
                if send && to_send.peek().is_some() && sender.poll_credit(&idle()).is_ready() {
                    let size = *to_send.next().unwrap();
                    sender.spend(size);
                    receiver.arrive(&item(&vec![0; size])).unwrap();
                    moved = true;
                }
                if !send && receiver.poll_take(&mut items, &idle()).is_ready() {
                    while let Some(body) = items.next() {
                        *received += 1;
                        if let Some(credit) = used.add(body.bytes.len()) {
                            receiver.widen(credit);
                            sender.add(credit);
                        }
                        moved = true;
                    }
                }
                moved
            };
            for send in turns {
                step(send, &mut received);
            }
            while step(true, &mut received) | step(false, &mut received) {}
            prop_assert_eq!(received, sizes.len());
        }
    }
}
