//! One attempt: breaker, endpoint and its gates, and the sending against the clock.

use std::sync::Arc;

use crate::gates::breaker::{Breaker, Per};
use crate::gates::deadline::{Allotted, Terms};
use crate::policy::{Bound, Timing};
use crate::{
    Attempt, AttemptKind, Call, Cause, Clock, Ended, Endpoint, Event, Exchange, Observer,
    Rejection, Time,
};

use super::entry::{self, Stop};
use super::permits::Permits;
use super::race::before;

/// What all attempts of a call have in common.
pub(super) struct Trial<'a, C, X, O> {
    pub(super) policy: &'a Bound,
    pub(super) timing: Timing,
    pub(super) call: &'a Call<'a>,
    pub(super) deadline: Option<Time>,
    pub(super) clock: &'a C,
    pub(super) exchange: &'a X,
    pub(super) observer: &'a O,
}

/// How an attempt went.
pub(super) enum Tried<'a, R, C: Clock, O: Observer> {
    /// It was sent and ended by itself.
    Ended { ended: Ended<R>, endpoint: u32, guard: Guard<'a, C, O> },
    /// It was sent and its time was over.
    TimedOut { endpoint: u32, guard: Guard<'a, C, O> },
    /// It was not sent: a gate refused.
    Refused(Rejection),
    /// It was not sent: there is no endpoint.
    Unavailable,
}

/// The permits of an attempt under way; dropped with the run, they are settled as ignored.
pub(super) struct Guard<'a, C: Clock, O: Observer> {
    permits: Option<Permits>,
    clock: &'a C,
    observer: &'a O,
}

impl<C: Clock, O: Observer> Guard<'_, C, O> {
    pub(super) fn take(mut self) -> Permits {
        self.permits.take().unwrap_or_default()
    }

    fn permits(&mut self) -> &mut Permits {
        self.permits.get_or_insert_default()
    }
}

impl<C: Clock, O: Observer> Drop for Guard<'_, C, O> {
    fn drop(&mut self) {
        if let Some(permits) = self.permits.take().filter(Permits::any) {
            permits.settle(Cause::Cancelled, self.clock.now(), self.observer);
        }
    }
}

/// An endpoint that let the attempt in.
struct Chosen<'a> {
    endpoint: Endpoint<'a>,
    allotted: Allotted,
}

impl<'a, C: Clock, X: Exchange, O: Observer> Trial<'a, C, X, O> {
    /// Tries once, from `now`, preferring an endpoint that `tried` does not name.
    ///
    /// # Cancel safety
    ///
    /// Dropping it cancels the attempt and settles its permits as ignored.
    pub(super) async fn attempt(
        &self,
        number: u32,
        kind: AttemptKind,
        tried: &[u32],
        now: Time,
    ) -> Tried<'a, X::Reply, C, O> {
        let mut guard = Guard { permits: None, clock: self.clock, observer: self.observer };
        let mut now = now;
        let allotted = match self.allot(now) {
            Ok(allotted) => allotted,
            Err(rejection) => return Tried::Refused(rejection),
        };
        if let Some(breaker) = self.own_breaker(now) {
            match self.fuse(self.policy, &breaker, number, now, allotted) {
                Ok(fuse) => guard.permits().fuse = fuse,
                Err(rejection) => return Tried::Refused(rejection),
            }
        }
        let chosen = match self.choose(number, tried, allotted, &mut now, guard.permits()).await {
            Ok(Some(chosen)) => chosen,
            Ok(None) => return Tried::Unavailable,
            Err(rejection) => return Tried::Refused(rejection),
        };
        guard.permits().allotted = chosen.allotted;
        let (endpoint, deadline) = (chosen.endpoint, chosen.allotted.deadline);
        let attempt = Attempt { number, kind, endpoint, deadline, started: now };
        self.observer.event(now, &Event::Attempt(&attempt));
        let ended = before(self.exchange.send(&attempt), deadline, self.clock).await;
        self.watch_time(now);
        match ended {
            Some(ended) => Tried::Ended { ended, endpoint: endpoint.id, guard },
            None => Tried::TimedOut { endpoint: endpoint.id, guard },
        }
    }

    /// Finds an endpoint whose gates let the attempt in.
    async fn choose(
        &self,
        number: u32,
        tried: &[u32],
        allotted: Allotted,
        now: &mut Time,
        permits: &mut Permits,
    ) -> Result<Option<Chosen<'a>>, Rejection> {
        let exchange = self.exchange;
        let Some(mut endpoint) = exchange.pick(tried, *now) else { return Ok(None) };
        let mut refused = Vec::new();
        let mut avoid = Vec::new();
        loop {
            let rejection = match self.enter(endpoint, number, allotted, now, permits).await {
                Ok(allotted) => return Ok(Some(Chosen { endpoint, allotted })),
                Err(rejection) => rejection,
            };
            self.observer
                .event(*now, &Event::Skipped { endpoint: endpoint.name, rejection: &rejection });
            refused.push(endpoint.id);
            avoid.clear();
            avoid.extend_from_slice(tried);
            avoid.extend_from_slice(&refused);
            // One that was tried before is better than none, but one that refused is not.
            let fresh = |endpoint: &Endpoint<'_>| !refused.contains(&endpoint.id);
            let next = exchange
                .pick(&avoid, *now)
                .filter(fresh)
                .or_else(|| exchange.pick(&refused, *now).filter(fresh));
            match next {
                Some(next) => endpoint = next,
                None => return Err(rejection),
            }
        }
    }

    /// The gates of one endpoint: the breaker of `per = "endpoint"`, then its own policy.
    async fn enter(
        &self,
        endpoint: Endpoint<'a>,
        number: u32,
        allotted: Allotted,
        now: &mut Time,
        permits: &mut Permits,
    ) -> Result<Allotted, Rejection> {
        if let Some(breaker) = breaker_of(self.policy, Per::Endpoint, endpoint.name, *now) {
            permits.fuse = self.fuse(self.policy, &breaker, number, *now, allotted)?;
        }
        let Some(policy) = endpoint.policy else { return Ok(allotted) };
        let began = *now;
        let entered =
            entry::enter(policy, self.call, allotted.deadline, now, self.clock, self.observer)
                .await;
        permits.endpoint_place = entered.map_err(|stop| match stop {
            Stop::Rejected(rejection) => rejection,
            Stop::TimedOut => self.timing.terms.rejection(self.policy.name(), Default::default()),
        })?;
        let allotted = if *now == began { allotted } else { self.allot(*now)? };
        let breaker = policy.breaker().cloned();
        let breaker = breaker
            .or_else(|| breaker_of(policy, Per::Method, self.call.method, *now))
            .or_else(|| breaker_of(policy, Per::Endpoint, endpoint.name, *now));
        if let Some(breaker) = breaker {
            permits.endpoint_fuse = self.fuse(policy, &breaker, number, *now, allotted)?;
        }
        Ok(allotted)
    }

    fn own_breaker(&self, now: Time) -> Option<Arc<Breaker>> {
        let bound = self.policy.breaker().cloned();
        bound.or_else(|| breaker_of(self.policy, Per::Method, self.call.method, now))
    }

    fn fuse(
        &self,
        policy: &Bound,
        breaker: &Arc<Breaker>,
        number: u32,
        now: Time,
        allotted: Allotted,
    ) -> Result<Option<super::permits::Fuse>, Rejection> {
        let deadline = allotted.deadline;
        entry::fuse(
            policy,
            breaker,
            &self.timing.terms,
            self.call,
            number,
            now,
            deadline,
            self.observer,
        )
    }

    /// The time an attempt that starts `now` has.
    pub(super) fn allot(&self, now: Time) -> Result<Allotted, Rejection> {
        let refuse = |terms: &Terms, left| terms.rejection(self.policy.name(), left);
        if let Some(terms) = &self.timing.shadow
            && let Err(left) = terms.allot(now, terms.deadline(self.call))
        {
            self.observer.event(now, &Event::WouldReject(&refuse(terms, left)));
        }
        let terms = &self.timing.terms;
        terms.allot(now, self.deadline).map_err(|left| refuse(terms, left))
    }
}

impl<C: Clock, X: Exchange, O: Observer> Trial<'_, C, X, O> {
    /// Whether an attempt at `then` would have enough time.
    pub(super) fn has_time(&self, then: Time) -> bool {
        self.timing.terms.allot(then, self.deadline).is_ok()
    }

    /// Tells of an attempt that began at `started` whether a deadline in shadow would have cut it.
    fn watch_time(&self, started: Time) {
        let Some(terms) = &self.timing.shadow else { return };
        let allotted = terms.allot(started, terms.deadline(self.call)).unwrap_or_default();
        let now = self.clock.now();
        if let (Some(deadline), Some(time)) = (allotted.deadline, allotted.time)
            && now > deadline
        {
            let rejection = terms.cut(self.policy.name(), started.until(now), time);
            self.observer.event(now, &Event::WouldReject(&rejection));
        }
    }
}

/// The breaker of `target`, if the policy has one for each `per`.
fn breaker_of(policy: &Bound, per: Per, target: &str, now: Time) -> Option<Arc<Breaker>> {
    let fuses = policy.parts()?.fuses.as_ref().filter(|fuses| fuses.per == per)?;
    Some(fuses.table.get(target, &fuses.numbers, now))
}
