//! One attempt: breaker, endpoint and its gates, and the sending against the clock.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use crate::gates::breaker::{Breaker, Per};
use crate::gates::deadline::Allotted;
use crate::gates::fault::Injection;
use crate::policy::{Bound, Timing};
use crate::{
    Attempt, AttemptKind, Call, Cause, Clock, Ended, Endpoint, Event, Exchange, Kind, Observer,
    Rejection, Time,
};

use super::Held;
use super::entry::{Stop, enter, fuse, throttle};
use super::permits::Permits;
use super::race::before;

/// What all attempts of a call have in common.
pub(super) struct Trial<'a, C, X, O> {
    pub(super) policy: &'a Bound,
    pub(super) timing: &'a Timing,
    pub(super) call: &'a Call<'a>,
    pub(super) deadline: Option<Time>,
    pub(super) clock: &'a C,
    pub(super) exchange: &'a X,
    pub(super) observer: &'a O,
}

/// How an attempt went.
pub(super) enum Tried<R> {
    /// It was sent to this endpoint, and ended by itself (`None`: its time was over).
    Sent(u32, Option<Ended<R>>),
    /// It was not sent: a gate refused.
    Refused(Rejection),
    /// It was not sent: there is no endpoint.
    Unavailable,
}

impl<'a, C: Clock, X: Exchange, O: Observer> Trial<'a, C, X, O> {
    /// Tries once, from `now`, at the endpoint that was `chosen`, or else at one that `tried` does not
    /// name if there is one. What the attempt holds of gates it leaves in `held`; `sent` is told the
    /// endpoint when it is sent.
    ///
    /// # Cancel safety
    ///
    /// Dropping it cancels the attempt.
    pub(super) async fn attempt(
        &self,
        number: u32,
        kind: AttemptKind,
        chosen: Option<&Endpoint<'a>>,
        tried: &[u32],
        now: Time,
        held: &mut Held,
        sent: impl FnOnce(u32),
    ) -> Tried<X::Reply> {
        let mut now = now;
        let mut allotted = match self.allot(now) {
            Ok(allotted) => allotted,
            Err(rejection) => return Tried::Refused(rejection),
        };
        let own = &mut held.own;
        if let Err(rejection) = throttle(self.policy, self.call, number, now, own, self.observer) {
            return Tried::Refused(rejection);
        }
        if let Some(per) = self.policy.per().filter(|per| *per != Per::Endpoint) {
            let breaker = breaker_of(self.policy, per, self.call.method, now);
            if let Err(rejection) =
                self.fuse(self.policy, breaker, number, now, allotted.deadline, &mut held.own)
            {
                return Tried::Refused(rejection);
            }
        }
        let Some(endpoint) = chosen.copied().or_else(|| self.exchange.pick(tried, now)) else {
            return Tried::Unavailable;
        };
        let deadline = allotted.deadline;
        let mut attempt = Attempt { number, kind, endpoint, deadline, started: now };
        if self.policy.per() == Some(Per::Endpoint) || attempt.endpoint.policy.is_some() {
            if let Err(rejection) =
                self.enter(&endpoint, number, &mut now, &mut allotted, held).await
            {
                // In a box, so that attempts that are let in at once do not carry its room about.
                let willing = self.find_willing(
                    endpoint,
                    rejection,
                    number,
                    kind,
                    tried,
                    &mut now,
                    &mut allotted,
                    held,
                );
                match Box::pin(willing).await {
                    Ok(willing) => attempt.endpoint = willing,
                    Err(rejection) => return Tried::Refused(rejection),
                }
            }
            attempt.started = now;
            attempt.deadline = allotted.deadline;
        }
        held.cut = allotted.cut;
        held.count_attempt();
        sent(attempt.endpoint.id);
        self.observer.event(now, &Event::Attempt(&attempt));
        let ended = match self.injection(&attempt) {
            None => before(pin!(self.exchange.send(&attempt)), attempt.deadline, self.clock).await,
            Some(injection) => Box::pin(self.send_faulty(&attempt, injection)).await,
        };
        self.watch_time(now);
        Tried::Sent(attempt.endpoint.id, ended)
    }

    /// Sends an attempt that meets a fault. In a box, so that the others do not carry its room about.
    async fn send_faulty(
        &self,
        attempt: &Attempt<'_>,
        injection: Injection,
    ) -> Option<Ended<X::Reply>> {
        let mut attempt = *attempt;
        let deadline = attempt.deadline;
        let faulty = async {
            if let Some(delay) = injection.delay {
                self.clock.sleep_until(attempt.started + delay).await;
                // The peer is told the time that is left by now.
                attempt.started = self.clock.now();
            }
            match injection.abort {
                Some(status) => self.exchange.abort(&attempt, status),
                None => self.exchange.send(&attempt).await,
            }
        };
        before(pin!(faulty), deadline, self.clock).await
    }

    /// Goes on from `endpoint`, which has refused, to one whose gates let the attempt in.
    async fn find_willing(
        &self,
        mut endpoint: Endpoint<'a>,
        mut rejection: Rejection,
        number: u32,
        kind: AttemptKind,
        tried: &[u32],
        now: &mut Time,
        allotted: &mut Allotted,
        held: &mut Held,
    ) -> Result<Endpoint<'a>, Rejection> {
        let exchange = self.exchange;
        // A hedge is for another endpoint or none.
        let mut refused = if kind == AttemptKind::Hedge { tried.to_vec() } else { Vec::new() };
        let mut avoid = tried.to_vec();
        loop {
            self.observer
                .event(*now, &Event::Skipped { endpoint: endpoint.name, rejection: &rejection });
            // Time that went by waiting here is gone at every other endpoint as well.
            if rejection.kind == Kind::Deadline {
                return Err(rejection);
            }
            refused.push(endpoint.id);
            avoid.push(endpoint.id);
            // One that was tried before is better than none, but one that refused is not.
            let willing = |endpoint: &Endpoint<'_>| !refused.contains(&endpoint.id);
            let next = exchange.pick(&avoid, *now).filter(willing);
            match next.or_else(|| exchange.pick(&refused, *now).filter(willing)) {
                Some(next) => endpoint = next,
                None => return Err(rejection),
            }
            match self.enter(&endpoint, number, now, allotted, held).await {
                Ok(()) => return Ok(endpoint),
                Err(again) => rejection = again,
            }
        }
    }

    /// Takes the attempt through the gates of one endpoint, or leaves them as if it had not come.
    async fn enter(
        &self,
        endpoint: &Endpoint<'a>,
        number: u32,
        now: &mut Time,
        allotted: &mut Allotted,
        held: &mut Held,
    ) -> Result<(), Rejection> {
        let entered = self.pass(endpoint, number, now, allotted, held).await;
        if entered.is_err() {
            held.settle_endpoint(Cause::Unavailable, *now, self.observer);
            if self.policy.per() == Some(Per::Endpoint) {
                // The throttle has let the attempt pass, wherever it goes.
                held.own.settle_fuse(Cause::Unavailable, held.cut, *now, self.observer);
            }
        }
        entered
    }

    /// The gates of one endpoint: the breaker of `per = "endpoint"`, then its own policy.
    async fn pass(
        &self,
        endpoint: &Endpoint<'a>,
        number: u32,
        now: &mut Time,
        allotted: &mut Allotted,
        held: &mut Held,
    ) -> Result<(), Rejection> {
        if self.policy.per() == Some(Per::Endpoint) {
            let breaker = breaker_of(self.policy, Per::Endpoint, endpoint.name, *now);
            let deadline = allotted.deadline;
            self.fuse_endpoint(self.policy, breaker, number, *now, deadline, &mut held.own)?;
        }
        let Some((policy, parts)) =
            endpoint.policy.and_then(|policy| Some((policy, policy.parts()?)))
        else {
            return Ok(());
        };
        let began = *now;
        let entered =
            enter(parts, self.call, allotted.deadline, now, self.clock, self.observer).await;
        let place = entered.map_err(|stop| match stop {
            Stop::Rejected(rejection) => rejection,
            Stop::TimedOut => self.timing.terms.rejection(self.policy.name(), Duration::ZERO),
        })?;
        held.endpoint().occupy(policy, place);
        if *now != began {
            *allotted = self.allot(*now)?;
        }
        throttle(policy, self.call, number, *now, held.endpoint(), self.observer)?;
        let Some(per) = policy.per() else { return Ok(()) };
        let target = if per == Per::Method { self.call.method } else { endpoint.name };
        let breaker = breaker_of(policy, per, target, *now);
        let (now, deadline) = (*now, allotted.deadline);
        if per == Per::Method {
            return self.fuse(policy, breaker, number, now, deadline, held.endpoint());
        }
        self.fuse_endpoint(policy, breaker, number, now, deadline, held.endpoint())
    }

    /// Asks the breaker of an endpoint. While the upstream panics it does not refuse, unless it was
    /// forced open by hand.
    fn fuse_endpoint(
        &self,
        policy: &Bound,
        breaker: Option<Arc<Breaker>>,
        number: u32,
        now: Time,
        deadline: Option<Time>,
        permits: &mut Permits,
    ) -> Result<(), Rejection> {
        let asked = breaker.clone();
        let fused = self.fuse(policy, breaker, number, now, deadline, permits);
        if fused.is_err() && self.exchange.panics(now) {
            let asked = asked.as_deref().or_else(|| policy.breaker());
            if !asked.is_some_and(|breaker| breaker.is_forced_open(now)) {
                return Ok(());
            }
        }
        fused
    }

    fn fuse(
        &self,
        policy: &Bound,
        breaker: Option<Arc<Breaker>>,
        number: u32,
        now: Time,
        deadline: Option<Time>,
        permits: &mut Permits,
    ) -> Result<(), Rejection> {
        fuse(policy, breaker, self.call, number, now, deadline, permits, self.observer)
    }

    /// The time an attempt that starts `now` has. Inlined, or else its result is copied as a whole
    /// right after it was written in parts, which costs 10 ns of waiting for the store.
    #[inline(always)]
    fn allot(&self, now: Time) -> Result<Allotted, Rejection> {
        let allotted = self.timing.terms.allot(now, self.deadline);
        if let (Ok(allotted), None) = (&allotted, &self.timing.shadow) {
            return Ok(*allotted);
        }
        self.watch_allotment(now);
        allotted.map_err(|left| self.timing.terms.rejection(self.policy.name(), left))
    }

    /// Tells whether a deadline in shadow would have left an attempt enough time.
    #[cold]
    fn watch_allotment(&self, now: Time) {
        if let Some(terms) = &self.timing.shadow
            && let Err(left) = terms.allot(now, terms.deadline(self.call))
        {
            let rejection = terms.rejection(self.policy.name(), left);
            self.observer.event(now, &Event::WouldReject(&rejection));
        }
    }
}

impl<C: Clock, X: Exchange, O: Observer> Trial<'_, C, X, O> {
    /// Whether an attempt at `then` would have enough time.
    pub(super) fn has_time(&self, then: Time) -> bool {
        self.timing.terms.allot(then, self.deadline).is_ok()
    }

    /// What the policy does to an attempt that is about to be sent.
    #[inline]
    fn injection(&self, attempt: &Attempt<'_>) -> Option<Injection> {
        let parts = self.policy.parts()?;
        let part = parts.fault.as_ref()?;
        let injection = part.gate.draw(self.call.seed, attempt.number);
        if injection.is_none() {
            return None;
        }
        let (policy, shadow, attempt, at) =
            (&*parts.name, part.shadow, attempt.number, attempt.started);
        self.observer.event(at, &Event::Injected { policy, attempt, injection, shadow });
        (!shadow).then_some(injection)
    }

    /// Tells why a slow attempt is not joined by another.
    pub(super) fn not_hedged(&self, reason: &'static str) {
        let policy = self.policy.name();
        self.observer.event(self.clock.now(), &Event::NotHedged { policy, reason });
    }

    /// Tells of an attempt that began at `started` whether a deadline in shadow would have cut it.
    fn watch_time(&self, started: Time) {
        let Some(terms) = &self.timing.shadow else { return };
        let allotted = terms.allot(started, terms.deadline(self.call)).unwrap_or_default();
        let now = self.clock.now();
        if let Some(deadline) = allotted.deadline.filter(|deadline| *deadline < now) {
            let (took, time) = (started.until(now), started.until(deadline));
            let rejection = terms.cut(self.policy.name(), took, time);
            self.observer.event(now, &Event::WouldReject(&rejection));
        }
    }
}

/// The breaker of `target`; `None`: the one that is bound to the policy.
fn breaker_of(policy: &Bound, per: Per, target: &str, now: Time) -> Option<Arc<Breaker>> {
    let fuses = policy.parts()?.fuses.as_ref().filter(|_| per != Per::Upstream)?;
    Some(fuses.table.get(target, &fuses.numbers, now))
}
