//! The only place that reads the clock, and the alarms of one worker.
//!
//! A worker has thousands of deadlines and almost none of them ever passes: each call ends before
//! its timeout, each connection speaks before it is idle for too long. So a deadline is a slot in a
//! slab, armed by writing a number; one driver sleeps until the earliest of them and then sweeps.
//! Arming costs a store (measured 1.2 ns beside 53 to 210 ns for a timer of the runtime), and the
//! sweep happens about once per timeout's length, however many calls came and went.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use locum_policy::{Clock, Time};
use pin_project_lite::pin_project;
use slab::Slab;
use tokio::sync::watch;

/// Time since the process first asked, the same axis for every worker.
#[expect(clippy::disallowed_methods, reason = "this is the clock that everyone is given time from")]
pub fn now() -> Time {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    Time::ZERO + START.elapsed()
}

/// Where a proxy's time comes from.
#[derive(Clone, Default)]
pub enum Source {
    /// The system's clock.
    #[default]
    System,
    /// A clock that moves only when it is moved: what happens under it happens the same way again.
    Hand(Arc<Hand>),
}

impl Source {
    /// The present.
    pub fn now(&self) -> Time {
        match self {
            Self::System => now(),
            Self::Hand(hand) => hand.now(),
        }
    }

    /// Waits until it is `at`.
    async fn reach(&self, at: Time) {
        match self {
            Self::System => tokio::time::sleep(now().until(at)).await,
            Self::Hand(hand) => hand.reach(at).await,
        }
    }

    /// Lets those who were woken go first, so that what is told of the next alarm includes theirs.
    async fn rest(&self) {
        if let Self::Hand(_) = self {
            tokio::task::yield_now().await;
        }
    }

    /// A worker waits for nothing before `at`.
    fn waits_for(&self, at: Time) {
        if let Self::Hand(hand) = self {
            hand.next.store(at.as_nanos(), Ordering::SeqCst);
        }
    }
}

/// A clock for tests, moved by hand. It begins at zero.
pub struct Hand {
    now: watch::Sender<Time>,
    next: AtomicU64,
}

impl Hand {
    /// One that stands at zero.
    pub fn new() -> Arc<Self> {
        let next = AtomicU64::new(Time::NEVER.as_nanos());
        Arc::new(Self { now: watch::Sender::new(Time::ZERO), next })
    }

    /// Where it stands.
    pub fn now(&self) -> Time {
        *self.now.borrow()
    }

    /// The earliest time that the worker of a proxy with one worker may wait for, or one before it.
    pub fn next(&self) -> Time {
        Time::from_nanos(self.next.load(Ordering::SeqCst))
    }

    /// Moves it on to `at`; back it does not go.
    pub fn move_to(&self, at: Time) {
        self.now.send_if_modified(|now| {
            let moves = at > *now;
            *now = at.max(*now);
            moves
        });
    }

    async fn reach(&self, at: Time) {
        // The sender is `self`, so it outlives the wait.
        let _ = self.now.subscribe().wait_for(|now| *now >= at).await;
    }
}

/// The present as a `Date` field has it (RFC 9110 §5.6.7).
#[expect(clippy::disallowed_methods, reason = "the wall clock is read to be told, never to decide")]
pub(crate) fn http_date() -> String {
    httpdate::fmt_http_date(std::time::SystemTime::now())
}

/// How long it is until a date as fields have it; nothing, if it has passed.
#[expect(
    clippy::disallowed_methods,
    reason = "a date can be compared with nothing but the wall clock"
)]
pub(crate) fn until_http_date(text: &str) -> Option<Duration> {
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(std::time::SystemTime::now()).unwrap_or_default())
}

/// Seconds since 1970, for the access log.
#[expect(clippy::disallowed_methods, reason = "the wall clock is read to be told, never to decide")]
pub(crate) fn unix_time() -> f64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

/// Nanoseconds since 1970, for traces.
#[expect(clippy::disallowed_methods, reason = "the wall clock is read to be told, never to decide")]
pub(crate) fn unix_nanos() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos().try_into().unwrap_or(u64::MAX))
}

/// The alarms of one worker.
#[derive(Default)]
pub(crate) struct Alarms {
    source: Source,
    /// The time of this turn; zero until somebody asks.
    turn: Cell<Time>,
    slots: RefCell<Slab<Slot>>,
    /// No armed slot is earlier. May be too early: a slot disarmed leaves it as it is.
    earliest: Cell<Time>,
    driver: RefCell<Option<Waker>>,
}

pin_project! {
    /// A task whose turns are told apart. A future by hand: an `async` block would have room for the task twice,
    /// as it came and as it is polled, and there is one of these for each idle connection.
    pub(crate) struct Turns<F> {
        alarms: Rc<Alarms>,
        #[pin]
        task: F,
    }
}

impl<F: Future<Output = ()>> Future for Turns<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        this.alarms.turn.set(Time::ZERO);
        let polled = this.task.poll(cx);
        this.alarms.turn.set(Time::ZERO);
        polled
    }
}

struct Slot {
    /// When it goes off; `NEVER` is disarmed.
    at: Time,
    rang: bool,
    waker: Option<Waker>,
}

impl Alarms {
    pub(crate) fn new(source: Source) -> Rc<Self> {
        Rc::new(Self { source, earliest: Cell::new(Time::NEVER), ..Self::default() })
    }

    /// The present, as it was when it was first asked for in this turn of a task. A turn never
    /// waits, so it is over in microseconds, and one reading of the clock serves all of it.
    pub(crate) fn now(&self) -> Time {
        if self.turn.get() == Time::ZERO {
            self.turn.set(self.source.now());
        }
        self.turn.get()
    }

    /// The present, for whoever has no turns.
    pub(crate) fn read(&self) -> Time {
        self.source.now()
    }

    /// Runs a task so that each of its turns reads the clock anew, and once.
    pub(crate) fn turns<F: Future<Output = ()>>(self: Rc<Self>, task: F) -> Turns<F> {
        Turns { alarms: self, task }
    }

    /// An alarm, disarmed.
    pub(crate) fn alarm(self: &Rc<Self>) -> Alarm {
        let slot = Slot { at: Time::NEVER, rang: false, waker: None };
        Alarm { alarms: Rc::clone(self), slot: self.slots.borrow_mut().insert(slot) }
    }

    /// Wakes whoever waits with an alarm, though none went off: something else has changed.
    pub(crate) fn wake_all(&self) {
        let wakers: Vec<Waker> =
            self.slots.borrow().iter().filter_map(|(_, slot)| slot.waker.clone()).collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Lets alarms go off; runs as long as the worker does.
    pub(crate) async fn drive(&self) {
        loop {
            let at = self.earliest.get();
            self.source.waits_for(at);
            if at == Time::NEVER {
                poll_fn(|cx| self.poll_earlier(at, cx)).await;
                continue;
            }
            let mut reached = pin!(self.source.reach(at));
            poll_fn(|cx| match self.poll_earlier(at, cx) {
                Poll::Ready(()) => Poll::Ready(()),
                Poll::Pending => reached.as_mut().poll(cx),
            })
            .await;
            self.sweep(self.source.now());
            self.source.rest().await;
        }
    }

    /// Ready when something was armed before `at`.
    fn poll_earlier(&self, at: Time, cx: &Context<'_>) -> Poll<()> {
        if self.earliest.get() < at {
            return Poll::Ready(());
        }
        *self.driver.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Lets go off what is due at `now`, and finds the earliest of the rest.
    fn sweep(&self, now: Time) {
        let mut earliest = Time::NEVER;
        let mut due = Vec::new();
        for (_, slot) in self.slots.borrow_mut().iter_mut() {
            if slot.at <= now {
                slot.at = Time::NEVER;
                slot.rang = true;
                due.extend(slot.waker.take());
            } else {
                earliest = earliest.min(slot.at);
            }
        }
        self.earliest.set(earliest);
        due.into_iter().for_each(Waker::wake);
    }

    fn arm(&self, key: usize, at: Time) {
        let mut slots = self.slots.borrow_mut();
        let slot = &mut slots[key];
        slot.at = at;
        slot.rang = false;
        if at < self.earliest.get() {
            self.earliest.set(at);
            if let Some(driver) = self.driver.borrow_mut().take() {
                driver.wake();
            }
        }
    }
}

/// One deadline that is armed again and again. Dropping it forgets it.
pub(crate) struct Alarm {
    alarms: Rc<Alarms>,
    slot: usize,
}

impl Alarm {
    /// Goes off at `at` unless it is armed otherwise before.
    pub(crate) fn arm(&self, at: Time) {
        self.alarms.arm(self.slot, at);
    }

    /// Goes off `after` from now.
    pub(crate) fn arm_in(&self, after: Duration) {
        self.arm(self.alarms.now() + after);
    }

    /// The present, read once a turn.
    pub(crate) fn now(&self) -> Time {
        self.alarms.now()
    }

    pub(crate) fn disarm(&self) {
        self.alarms.arm(self.slot, Time::NEVER);
    }

    /// Ready once it went off. Pending, it wakes the task when it goes off, and at `wake_all`.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let mut slots = self.alarms.slots.borrow_mut();
        let slot = &mut slots[self.slot];
        if slot.rang {
            return Poll::Ready(());
        }
        match &mut slot.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.alarms.slots.borrow_mut().remove(self.slot);
    }
}

/// A worker's clock, as policies ask for it.
pub(crate) struct WorkerClock(pub(crate) Rc<Alarms>);

impl Clock for WorkerClock {
    fn now(&self) -> Time {
        self.0.now()
    }

    async fn sleep_until(&self, at: Time) {
        let alarm = self.0.alarm();
        alarm.arm(at);
        poll_fn(|cx| alarm.poll(cx)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn an_alarm_goes_off_when_it_is_due_and_not_before() {
        let alarms = Alarms::new(Source::System);
        let (early, late) = (alarms.alarm(), alarms.alarm());
        early.arm(at(10));
        late.arm(at(20));
        let cx = Context::from_waker(Waker::noop());
        alarms.sweep(at(9));
        assert!(early.poll(&cx).is_pending());
        alarms.sweep(at(10));
        assert!(early.poll(&cx).is_ready() && late.poll(&cx).is_pending());
        assert_eq!(alarms.earliest.get(), at(20));
    }

    #[test]
    fn arming_again_replaces_the_deadline_and_forgets_that_it_rang() {
        let alarms = Alarms::new(Source::System);
        let alarm = alarms.alarm();
        let cx = Context::from_waker(Waker::noop());
        alarm.arm(at(10));
        alarm.arm(at(30));
        alarms.sweep(at(20));
        assert!(alarm.poll(&cx).is_pending());
        alarms.sweep(at(30));
        assert!(alarm.poll(&cx).is_ready());
        alarm.disarm();
        assert!(alarm.poll(&cx).is_pending());
    }

    #[test]
    fn a_clock_moved_by_hand_stands_still_until_it_is_moved_and_never_goes_back() {
        let hand = Hand::new();
        let source = Source::Hand(Arc::clone(&hand));
        let mut reached = pin!(source.reach(at(10)));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(reached.as_mut().poll(&mut cx).is_pending());
        hand.move_to(at(9));
        assert!(reached.as_mut().poll(&mut cx).is_pending());
        hand.move_to(at(12));
        assert!(reached.as_mut().poll(&mut cx).is_ready());
        hand.move_to(at(11));
        assert_eq!(source.now(), at(12));
    }

    #[test]
    fn a_dropped_alarm_leaves_no_slot() {
        let alarms = Alarms::new(Source::System);
        drop(alarms.alarm());
        assert!(alarms.slots.borrow().is_empty());
    }
}
