//! What a call holds of the gates it passed. Whatever is dropped unsettled counts as ignored.

use std::sync::Arc;

use crate::gates::breaker::{self, Breaker};
use crate::gates::concurrency::{QUEUE_TIMEOUT, Turn};
use crate::gates::deadline::Cut;
use crate::policy::{Bound, Fuses};
use crate::{Cause, Class, Event, Kind, Observer, Outcome, Time};

/// The permits of a call whose answer has begun, until its body ends.
///
/// Dropped unsettled they count as ignored, and nobody is told that the call is over.
#[derive(Default)]
pub struct Held {
    /// Of the call's policy: its place for the whole call, its breaker for each attempt.
    pub(super) own: Permits,
    /// Of the endpoint's policy, for each attempt.
    endpoint: Option<Box<Permits>>,
    /// What it means if the last attempt's time is over.
    pub(super) cut: Cut,
    arrived: Time,
    attempts: u32,
    /// Whether the end of the call is still to be told.
    under_way: bool,
}

impl Held {
    /// Of a call that holds nothing yet.
    pub(super) fn begin(arrived: Time) -> Self {
        Self { arrived, under_way: true, ..Self::default() }
    }

    /// An attempt is sent.
    pub(super) const fn count_attempt(&mut self) {
        self.attempts += 1;
    }

    /// How many attempts were sent.
    pub(super) const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Whether the end of the call was not told yet.
    pub(super) const fn is_under_way(&self) -> bool {
        self.under_way
    }

    /// The answer's body ended at `now`; `cause` is what the attempt came to after all: that of its
    /// head, or [`Cause::Truncated`], [`Cause::Timeout`] or [`Cause::Cancelled`] if the body did not
    /// end well. Tells `observer` that the call is over.
    #[inline]
    pub fn settle(mut self, cause: Cause, now: Time, observer: &impl Observer) {
        let outcome = self.settle_attempt(cause, now, observer);
        self.end(outcome, now, observer);
    }

    /// The call is over: its place is given back, and its end told.
    pub(super) fn end(&mut self, outcome: Outcome, now: Time, observer: &impl Observer) {
        self.own.leave(now, observer);
        if std::mem::take(&mut self.under_way) {
            let (attempts, took) = (self.attempts, self.arrived.until(now));
            observer.event(now, &Event::Done { outcome, attempts, took });
        }
    }

    /// The attempt ended with `cause`; tells how the call ends if no other follows.
    pub(super) fn settle_attempt(
        &mut self,
        cause: Cause,
        now: Time,
        observer: &impl Observer,
    ) -> Outcome {
        let outcome = self.outcome(cause);
        // Inner before outer, as they were passed the other way.
        self.settle_endpoint(cause, now, observer);
        self.own.settle(cause, self.cut, now, observer);
        outcome
    }

    /// How the call ends if its attempt ends with `cause` and no other follows.
    pub(super) fn outcome(&self, cause: Cause) -> Outcome {
        match (cause, self.class(cause)) {
            (Cause::Cancelled, _) => Outcome::Cancelled,
            (Cause::Timeout, _) if self.cut.ends_call() => Outcome::Deadline,
            (Cause::Timeout | Cause::Unavailable, _) | (_, Class::Failure | Class::Overload) => {
                Outcome::Failure
            }
            (_, Class::Success | Class::Ignored) => Outcome::Success,
        }
    }

    /// Tells the endpoint's policy how the attempt ended.
    pub(super) fn settle_endpoint(&mut self, cause: Cause, now: Time, observer: &impl Observer) {
        if let Some(mut permits) = self.endpoint.take() {
            permits.settle(cause, self.cut, now, observer);
            permits.leave(now, observer);
        }
    }

    /// What `cause` counts as.
    pub(super) fn class(&self, cause: Cause) -> Class {
        self.own.class(cause, self.cut)
    }

    /// Takes over what another holds of an attempt.
    pub(super) fn adopt(&mut self, mut other: Self) {
        self.own.adopt(&mut other.own);
        self.endpoint = other.endpoint.take();
        self.cut = other.cut;
    }

    /// What is held of the endpoint's policy.
    pub(super) fn endpoint(&mut self) -> &mut Permits {
        self.endpoint.get_or_insert_default()
    }
}

/// What is held of one policy.
#[derive(Default)]
pub(super) struct Permits {
    /// Whose they are. Open while nothing is held.
    policy: Bound,
    place: Occupied,
    fuse: Option<Fuse>,
}

/// A place among the calls in flight.
#[derive(Default)]
pub(super) enum Occupied {
    /// Nothing caps them, or (in shadow) there was none.
    #[default]
    Nothing,
    /// A place.
    Place,
    /// In shadow: a turn in a queue that nobody really waits in.
    Shadow(Box<Turn>),
}

/// A breaker's permit.
struct Fuse {
    /// `None`: the breaker that is bound to the policy.
    breaker: Option<Arc<Breaker>>,
    permit: breaker::Permit,
}

impl Permits {
    pub(super) fn occupy(&mut self, policy: &Bound, place: Occupied) {
        if !matches!(place, Occupied::Nothing) {
            self.policy = policy.clone();
            self.place = place;
        }
    }

    pub(super) fn arm(
        &mut self,
        policy: &Bound,
        breaker: Option<Arc<Breaker>>,
        permit: breaker::Permit,
    ) {
        if self.policy.is_open() {
            self.policy = policy.clone();
        }
        self.fuse = Some(Fuse { breaker, permit });
    }

    /// Takes over another's permit of the same policy's breaker.
    fn adopt(&mut self, other: &mut Self) {
        if let Some(fuse) = other.fuse.take() {
            if self.policy.is_open() {
                self.policy = std::mem::take(&mut other.policy);
            }
            self.fuse = Some(fuse);
        }
    }

    fn class(&self, cause: Cause, cut: Cut) -> Class {
        self.fuses().map(|fuses| fuses.rules).unwrap_or_default().class(cause, cut)
    }

    fn fuses(&self) -> Option<&Fuses> {
        self.policy.parts().and_then(|parts| parts.fuses.as_ref())
    }

    /// Tells the breaker how the attempt ended.
    pub(super) fn settle(&mut self, cause: Cause, cut: Cut, now: Time, observer: &impl Observer) {
        let Some(Fuse { breaker, permit }) = self.fuse.take() else { return };
        let (Some(fuses), Some(breaker)) =
            (self.fuses(), breaker.as_deref().or_else(|| self.policy.breaker()))
        else {
            return;
        };
        let class = fuses.rules.class(cause, cut);
        let mut changes = Vec::new();
        let stale = breaker.settle(permit, class, now, &mut changes);
        let policy = self.policy.name();
        observer.event(now, &Event::Settled { policy, kind: Kind::Breaker, class, stale });
        breaker::tell(&changes, policy, fuses.per, breaker, observer);
    }

    /// Gives the place back; of a shadow, tells what the queue would have done.
    pub(super) fn leave(&mut self, now: Time, observer: &impl Observer) {
        if let Occupied::Shadow(turn) = &self.place
            && turn.still_waits()
            && let Some(parts) = self.policy.parts()
            && let Some(part) = &parts.places
            && part
                .gate
                .settings()
                .queue_timeout
                .is_some_and(|timeout| turn.since().until(now) >= timeout)
        {
            observer
                .event(now, &Event::WouldReject(&part.gate.rejection(&parts.name, QUEUE_TIMEOUT)));
        }
        self.vacate();
    }

    fn vacate(&mut self) {
        if let Occupied::Place = std::mem::take(&mut self.place)
            && let Some(part) = self.policy.parts().and_then(|parts| parts.places.as_ref())
        {
            part.gate.give_back();
        }
    }
}

impl Permits {
    /// The attempt ended without a word about the peer.
    fn release(&mut self) {
        if let Some(Fuse { breaker, permit }) = self.fuse.take()
            && let Some(breaker) = breaker.as_deref().or_else(|| self.policy.breaker())
        {
            breaker.release(permit);
        }
    }
}

impl Drop for Permits {
    fn drop(&mut self) {
        if self.policy.is_open() {
            return;
        }
        self.release();
        self.vacate();
    }
}
