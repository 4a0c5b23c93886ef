//! What a call holds of the gates it passed. Whatever is dropped unsettled counts as ignored.

use std::sync::Arc;
use std::time::Duration;

use crate::gates::breaker::{self, Breaker};
use crate::gates::concurrency::{Sample, Turn};
use crate::gates::deadline::Cut;
use crate::outcome::Heard;
use crate::policy::{Bound, Fuses};
use crate::{Cause, Class, Event, Kind, Observer, Outcome, Time};

/// The permits of a call whose answer has begun, until its body ends.
///
/// Dropped unsettled they count as ignored, and nobody is told that the call is over.
///
/// Aligned, so that it is moved on in the same pieces in which it was moved here; in others each move
/// would wait for the one before.
#[derive(Default)]
#[repr(align(16))]
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
    /// Whether the throttle let the attempt pass, and is to be told what became of it.
    throttled: bool,
    fuse: Option<Fuse>,
    /// How the last attempt ended.
    last: Option<(Cause, Cut)>,
}

/// A place among the calls in flight.
#[derive(Default)]
pub(super) enum Occupied {
    /// Nothing caps them, or (in shadow) there was none.
    #[default]
    Nothing,
    /// A place, since then.
    Place(Time),
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

    pub(super) fn pass_throttle(&mut self, policy: &Bound) {
        if self.policy.is_open() {
            self.policy = policy.clone();
        }
        self.throttled = true;
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

    /// Takes over what another was given for an attempt by throttle and breaker of the same policy.
    fn adopt(&mut self, other: &mut Self) {
        if !other.throttled && other.fuse.is_none() {
            return;
        }
        if self.policy.is_open() {
            self.policy = std::mem::take(&mut other.policy);
        }
        self.throttled = std::mem::take(&mut other.throttled);
        self.fuse = other.fuse.take();
    }

    fn class(&self, cause: Cause, cut: Cut) -> Class {
        self.fuses().map(|fuses| fuses.rules).unwrap_or_default().class(cause, cut)
    }

    fn fuses(&self) -> Option<&Fuses> {
        self.policy.parts().and_then(|parts| parts.fuses.as_ref())
    }

    /// Tells throttle and breaker how the attempt ended.
    #[inline]
    pub(super) fn settle(&mut self, cause: Cause, cut: Cut, now: Time, observer: &impl Observer) {
        self.last = Some((cause, cut));
        if std::mem::take(&mut self.throttled)
            && let Some(throttle) = self.policy.throttle()
        {
            throttle.settle(cause.heard(cut), now);
        }
        self.settle_fuse(cause, cut, now, observer);
    }

    /// Tells the breaker how the attempt ended.
    pub(super) fn settle_fuse(
        &mut self,
        cause: Cause,
        cut: Cut,
        now: Time,
        observer: &impl Observer,
    ) {
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
    #[inline]
    pub(super) fn leave(&mut self, now: Time, observer: &impl Observer) {
        if matches!(self.place, Occupied::Nothing) {
            return;
        }
        if let Some(parts) = self.policy.parts()
            && let Some(part) = &parts.places
        {
            if part.shadow {
                part.gate.expire_before(now);
            }
            match &self.place {
                Occupied::Place(since) if part.gate.learns() => {
                    if let Some(sample) = self.sample(since.until(now)) {
                        part.gate.learn(sample, now);
                    }
                }
                Occupied::Shadow(turn) => {
                    if let Some(refused) = turn.refused(now) {
                        let rejection = part.gate.rejection(&parts.name, refused);
                        observer.event(now, &Event::WouldReject(&rejection));
                    }
                }
                Occupied::Nothing | Occupied::Place(_) => {}
            }
        }
        self.vacate(Some(now));
    }

    /// What a call that took so long tells of how busy the peer is.
    fn sample(&self, took: Duration) -> Option<Sample> {
        let (cause, cut) = self.last?;
        match cause.heard(cut) {
            Heard::Accepted { worked: true } => Some(Sample::Took(took)),
            Heard::Overload => Some(Sample::Dropped),
            // Failures and refusals come quickly, however busy the peer is.
            Heard::Accepted { worked: false } | Heard::Failed | Heard::Nothing => None,
        }
    }

    fn vacate(&mut self, now: Option<Time>) {
        if let Occupied::Place(_) = std::mem::take(&mut self.place)
            && let Some(part) = self.policy.parts().and_then(|parts| parts.places.as_ref())
        {
            part.gate.give_back(now);
        }
    }
}

impl Permits {
    /// The attempt ended without a word about the peer.
    #[cold]
    fn release(&mut self) {
        if let Some(Fuse { breaker, permit }) = self.fuse.take()
            && let Some(breaker) = breaker.as_deref().or_else(|| self.policy.breaker())
        {
            breaker.release(permit);
        }
    }
}

impl Drop for Permits {
    #[inline]
    fn drop(&mut self) {
        // Settled ones hold nothing, and most are.
        if self.fuse.is_some() || !matches!(self.place, Occupied::Nothing) {
            self.release();
            self.vacate(None);
        }
    }
}
