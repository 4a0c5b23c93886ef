//! What a call holds of the gates it passed. Whatever is dropped unsettled counts as ignored.

use std::sync::Arc;

use crate::gates::breaker::{self, Breaker};
use crate::gates::concurrency::{Place, QUEUE_TIMEOUT, Turn};
use crate::gates::deadline::Allotted;
use crate::outcome::Rules;
use crate::policy::Bound;
use crate::{Cause, Class, Event, Kind, Observer, Outcome, Time};

/// A place among the calls in flight.
#[derive(Default)]
pub(super) enum Occupied {
    /// Nothing caps them.
    #[default]
    Nothing,
    /// A place.
    Place { _place: Place },
    /// In shadow: a place, or a turn in a queue that nobody really waits in.
    Shadow { turn: Turn, policy: Bound },
}

impl Occupied {
    /// The call is over; of a shadow, tells what the queue would have done to it.
    pub(super) fn settle(self, now: Time, observer: &impl Observer) {
        let Self::Shadow { turn, policy } = self else { return };
        let Some(parts) = policy.parts() else { return };
        let Some(part) = &parts.places else { return };
        let waited = turn.since().until(now);
        if part.gate.settings().queue_timeout.is_some_and(|timeout| waited >= timeout)
            && turn.still_waits()
        {
            observer
                .event(now, &Event::WouldReject(&part.gate.rejection(&parts.name, QUEUE_TIMEOUT)));
        }
    }
}

/// A breaker's permit, with what is needed to settle it later.
pub(super) struct Fuse {
    policy: Bound,
    breaker: Arc<Breaker>,
    rules: Rules,
    /// Taken when settled.
    permit: Option<breaker::Permit>,
}

impl Fuse {
    pub(super) fn new(
        policy: &Bound,
        breaker: &Arc<Breaker>,
        rules: Rules,
        permit: breaker::Permit,
    ) -> Self {
        Self { policy: policy.clone(), breaker: Arc::clone(breaker), rules, permit: Some(permit) }
    }

    fn settle(mut self, cause: Cause, allotted: &Allotted, now: Time, observer: &impl Observer) {
        let Some(permit) = self.permit.take() else { return };
        let class = self.rules.class(cause, allotted);
        let mut changes = Vec::new();
        let stale = self.breaker.settle(permit, class, now, &mut changes);
        let policy = self.policy.name();
        observer.event(now, &Event::Settled { policy, kind: Kind::Breaker, class, stale });
        if let Some(fuses) = self.policy.parts().and_then(|parts| parts.fuses.as_ref()) {
            breaker::tell(&changes, policy, fuses.per, &self.breaker, observer);
        }
    }
}

impl Drop for Fuse {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.breaker.release(permit);
        }
    }
}

/// What one attempt holds: of the route's policy, and of its endpoint's.
#[derive(Default)]
pub(super) struct Permits {
    pub(super) fuse: Option<Fuse>,
    pub(super) endpoint_fuse: Option<Fuse>,
    pub(super) endpoint_place: Occupied,
    pub(super) allotted: Allotted,
}

impl Permits {
    /// The attempt ended with `cause`.
    pub(super) fn settle(self, cause: Cause, now: Time, observer: &impl Observer) -> Outcome {
        let outcome = self.outcome(cause);
        // Inner before outer, as they were passed the other way.
        for fuse in [self.endpoint_fuse, self.fuse].into_iter().flatten() {
            fuse.settle(cause, &self.allotted, now, observer);
        }
        self.endpoint_place.settle(now, observer);
        outcome
    }

    /// Whether there is anything to settle.
    pub(super) fn any(&self) -> bool {
        self.fuse.is_some()
            || self.endpoint_fuse.is_some()
            || !matches!(self.endpoint_place, Occupied::Nothing)
    }

    /// How a call ends whose last attempt ended with `cause`.
    fn outcome(&self, cause: Cause) -> Outcome {
        let rules = self.fuse.as_ref().map_or_else(Rules::default, |fuse| fuse.rules);
        match (cause, rules.class(cause, &self.allotted)) {
            (Cause::Cancelled, _) => Outcome::Cancelled,
            (Cause::Timeout, _) if self.allotted.ends_call => Outcome::Deadline,
            (Cause::Timeout | Cause::Unavailable, _) | (_, Class::Failure | Class::Overload) => {
                Outcome::Failure
            }
            (_, Class::Success | Class::Ignored) => Outcome::Success,
        }
    }
}

/// The permits of a call whose answer has begun, until its body ends.
///
/// Dropped unsettled they count as ignored, and nobody is told that the call is over.
#[derive(Default)]
pub struct Held {
    pub(super) place: Occupied,
    pub(super) permits: Permits,
    /// What is told when the call is over; absent if it was told already.
    pub(super) call: Option<Begun>,
}

/// A call that is not over yet.
#[derive(Clone, Copy)]
pub(super) struct Begun {
    pub(super) arrived: Time,
    pub(super) attempts: u32,
}

impl Held {
    /// The answer's body ended at `now`; `cause` is what the attempt came to after all: that of its
    /// head, or [`Cause::Truncated`], [`Cause::Timeout`] or [`Cause::Cancelled`] if the body did not
    /// end well. Tells `observer` that the call is over.
    pub fn settle(self, cause: Cause, now: Time, observer: &impl Observer) {
        let Self { place, permits, call } = self;
        let outcome = permits.settle(cause, now, observer);
        place.settle(now, observer);
        if let Some(Begun { arrived, attempts }) = call {
            observer.event(now, &Event::Done { outcome, attempts, took: arrived.until(now) });
        }
    }
}
