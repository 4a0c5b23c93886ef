//! One call, from admission to settlement.

use std::future::Future;
use std::time::Duration;

use crate::gates::retry::{Failed, Retry, Tries};
use crate::policy::{Bound, Part};
use crate::{Call, Cause, Clock, Event, Kind, Observer, Outcome, Rejection, Time};

use self::attempt::{Trial, Tried};
use self::entry::{Stop, enter};
use self::hedge::Hedging;

pub use self::permits::Held;

mod attempt;
mod entry;
mod hedge;
mod permits;
mod race;

/// Tries one call under a policy: rate limits, a place among the calls in flight, its time; then
/// attempts, each with its breaker, its endpoint, that endpoint's gates and its own time.
///
/// # Cancel safety
///
/// Dropping the future gives up the call: an attempt under way is cancelled, its permits settle as
/// ignored, and the observer is told that the call was cancelled.
pub async fn run<C, X, O>(
    policy: &Bound,
    call: &Call<'_>,
    clock: &C,
    exchange: &X,
    observer: &O,
) -> Answer<X::Reply>
where
    C: Clock,
    X: Exchange,
    O: Observer,
{
    let mut under_way = UnderWay::new(policy, call, clock, observer);
    let timing = policy.timing(call.method);
    let deadline = timing.terms.deadline(call);
    let mut now = call.arrived;
    if let Some(parts) = policy.parts().filter(|parts| parts.has_entry()) {
        match enter(parts, call, deadline, &mut now, clock, observer).await {
            Ok(place) => under_way.held.own.occupy(policy, place),
            Err(Stop::Rejected(rejection)) => return under_way.rejected(now, rejection),
            Err(Stop::TimedOut) => return under_way.over(now, Outcome::Deadline, End::TimedOut),
        }
    }

    let trial = Trial { policy, timing, call, deadline, clock, exchange, observer };
    let mut retries = Retries::begin(policy, call, now);
    let mut hedging = Hedging::begin(policy, call, &retries.tries, now);
    let mut tried = Vec::new();
    let mut kind = AttemptKind::First;
    loop {
        let held = &mut under_way.held;
        let attempt = match &mut hedging {
            None => {
                let number = held.attempts() + 1;
                trial.attempt(number, kind, None, &tried, now, held, |_| ()).await
            }
            Some(hedging) => hedging.race(&trial, kind, &mut tried, now, held).await,
        };
        // Looked at where it lies: moved out as a whole right after it was written in parts, it costs
        // 15 ns of waiting for the stores.
        let wait = match &attempt {
            Tried::Sent(_, ended) => retries.wait(&trial, ended.as_ref(), &under_way.held),
            Tried::Refused(_) | Tried::Unavailable => None,
        };
        let (wait, endpoint, cause) = match (wait, attempt) {
            (Some(wait), Tried::Sent(endpoint, ended)) => {
                (wait, endpoint, ended.map_or(Cause::Timeout, |ended| ended.cause))
            }
            (_, Tried::Sent(_, Some(Ended { cause, reply, .. }))) => {
                return under_way.answered(cause, reply);
            }
            (_, Tried::Sent(_, None)) => return under_way.timed_out(),
            (_, Tried::Refused(rejection)) => return under_way.rejected(clock.now(), rejection),
            (_, Tried::Unavailable) => {
                return under_way.over(clock.now(), Outcome::Failure, End::Unavailable);
            }
        };
        now = clock.now();
        under_way.last = Some(under_way.held.settle_attempt(cause, now, observer));
        tried.push(endpoint);
        kind = AttemptKind::Retry;
        if !wait.is_zero() {
            observer.event(now, &Event::Delayed { policy: policy.name(), kind: Kind::Retry, wait });
            clock.sleep_until(now + wait).await;
            now = clock.now();
        }
    }
}

/// Whether a failed attempt is followed by another.
struct Retries<'a> {
    part: Option<&'a Part<Retry>>,
    tries: Tries,
}

impl<'a> Retries<'a> {
    fn begin(policy: &'a Bound, call: &Call<'_>, now: Time) -> Self {
        let part = policy.parts().and_then(|parts| parts.retry.as_ref());
        Self { part, tries: part.map_or_else(Tries::none, |part| part.gate.begin(call, now)) }
    }

    /// The wait before the next attempt, if there is to be one. `ended` is how the last one did;
    /// `None`: its time was over.
    fn wait<C: Clock, X: Exchange, O: Observer>(
        &mut self,
        trial: &Trial<'_, C, X, O>,
        ended: Option<&Ended<X::Reply>>,
        held: &Held,
    ) -> Option<Duration> {
        let part = self.part?;
        // An attempt cut because the call's time is over ends the call then and there.
        if ended.is_none() && held.cut.ends_call() {
            return None;
        }
        let failed = Failed {
            cause: ended.map_or(&Cause::Timeout, |ended| &ended.cause),
            attempts: held.attempts(),
            idempotent: trial.timing.terms.idempotent(trial.call),
            retry_after: ended.and_then(|ended| ended.retry_after),
        };
        let again = match part.gate.again(&mut self.tries, &failed) {
            Ok(wait) => Self::grant(part, trial, wait),
            Err(reason) => Err(reason?),
        };
        let reason = match again {
            Ok(wait) => return Some(wait),
            Err(reason) => reason,
        };
        let now = trial.clock.now();
        let (policy, cause) = (trial.policy.name(), *failed.cause);
        trial.observer.event(now, &Event::NotRetried { policy, cause, reason });
        None
    }

    /// Whether a retry that is worth it may be made, after `wait`.
    fn grant<C: Clock, X: Exchange, O: Observer>(
        part: &Part<Retry>,
        trial: &Trial<'_, C, X, O>,
        wait: Duration,
    ) -> Result<Duration, &'static str> {
        let now = trial.clock.now();
        if !trial.exchange.repeatable() {
            Err("body")
        } else if !trial.has_time(now + wait) {
            Err("deadline")
        } else if !part.gate.budget().grant(now) {
            Err("budget")
        } else if part.shadow {
            Err("shadow")
        } else {
            Ok(wait)
        }
    }
}

/// A call that is not over. Sees to it that its end is told once, however it comes; dropped, it was
/// cancelled.
struct UnderWay<'a, C: Clock, O: Observer> {
    policy: &'a Bound,
    clock: &'a C,
    observer: &'a O,
    /// What the last attempt came to, if another was to follow.
    last: Option<Outcome>,
    held: Held,
}

impl<'a, C: Clock, O: Observer> UnderWay<'a, C, O> {
    fn new(policy: &'a Bound, call: &Call<'_>, clock: &'a C, observer: &'a O) -> Self {
        Self { policy, clock, observer, last: None, held: Held::begin(call.arrived) }
    }

    fn attempts(&self) -> u32 {
        self.held.attempts()
    }

    /// An answer has begun; that the call is over is told when its body ends.
    fn answered<R>(&mut self, cause: Cause, reply: R) -> Answer<R> {
        let attempts = self.attempts();
        let fallback = self.has_fallback() && {
            let outcome = self.held.outcome(cause);
            self.falls_back(self.clock.now(), outcome)
        };
        let held = std::mem::take(&mut self.held);
        Answer { end: End::Ended(cause, reply), attempts, fallback, held }
    }

    fn timed_out<R>(&mut self) -> Answer<R> {
        let now = self.clock.now();
        let outcome = self.held.settle_attempt(Cause::Timeout, now, self.observer);
        self.over(now, outcome, End::TimedOut)
    }

    fn rejected<R>(&mut self, now: Time, rejection: Rejection) -> Answer<R> {
        self.observer.event(now, &Event::Rejected(&rejection));
        let outcome = self.last.unwrap_or(Outcome::Rejected);
        self.over(now, outcome, End::Rejected(rejection))
    }

    fn over<R>(&mut self, now: Time, outcome: Outcome, end: End<R>) -> Answer<R> {
        let attempts = self.attempts();
        self.held.settle_attempt(Cause::Unavailable, now, self.observer);
        let fallback = self.has_fallback() && self.falls_back(now, outcome);
        self.held.end(outcome, now, self.observer);
        Answer { end, attempts, fallback, held: Held::default() }
    }

    #[inline]
    fn has_fallback(&self) -> bool {
        self.policy.parts().is_some_and(|parts| parts.fallback.is_some())
    }

    /// Whether the caller is given the fallback where the call would end with `outcome`.
    #[cold]
    fn falls_back(&self, now: Time, outcome: Outcome) -> bool {
        let Some(parts) = self.policy.parts() else { return false };
        let Some(part) = parts.fallback.as_ref().filter(|_| outcome.wants_fallback()) else {
            return false;
        };
        let event = Event::FellBack { policy: &parts.name, shadow: part.shadow };
        self.observer.event(now, &event);
        !part.shadow
    }
}

impl<C: Clock, O: Observer> Drop for UnderWay<'_, C, O> {
    fn drop(&mut self) {
        if self.held.is_under_way() {
            let now = self.clock.now();
            self.held.settle_attempt(Cause::Cancelled, now, self.observer);
            self.held.end(Outcome::Cancelled, now, self.observer);
        }
    }
}

/// The protocol's side of a run: how an endpoint is chosen and how one attempt is sent.
pub trait Exchange {
    /// What a finished attempt leaves: an answer, or the error that stands for it.
    type Reply;

    /// Chooses an endpoint for an attempt, preferring one that `tried` does not name.
    /// `None`: none is usable.
    fn pick(&self, tried: &[u32], now: Time) -> Option<Endpoint<'_>>;

    /// Whether so many endpoints are ejected at `now` that all are used as if none were: then an
    /// endpoint's breaker does not refuse (see [`Ejection`](crate::balance::Ejection)).
    fn panics(&self, _now: Time) -> bool {
        false
    }

    /// Whether another attempt could be sent all that the earlier ones were. A body too large to be
    /// kept makes a call unrepeatable once it has been sent.
    fn repeatable(&self) -> bool {
        true
    }

    /// Sends one attempt and waits for the head of its answer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the attempt at the peer.
    fn send(&self, attempt: &Attempt<'_>) -> impl Future<Output = Ended<Self::Reply>>;

    /// Ends an attempt with `status` (an HTTP status from 400 to 599) in place of sending it: a fault
    /// made on purpose. The cause is [`Cause::Status`], or what that is in the protocol.
    fn abort(&self, attempt: &Attempt<'_>, status: u16) -> Ended<Self::Reply>;
}

/// One address of an upstream, as a run sees it.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint<'a> {
    /// Which one, among its upstream's.
    pub id: u32,
    /// Its name, the target of `per = "endpoint"`.
    pub name: &'a str,
    /// Its own policy, run inside the retries: rate limits, a cap on calls in flight, a throttle, a
    /// breaker. Of the rest [`Settings::check_for_endpoint`](crate::Settings::check_for_endpoint) says
    /// that it is not looked at.
    pub policy: Option<&'a Bound>,
}

/// One try of a call.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// From 1; hedges count.
    pub number: u32,
    /// Why it is made.
    pub kind: AttemptKind,
    /// Where it goes.
    pub endpoint: Endpoint<'a>,
    /// When it is given up, if ever: what is told to the peer as its time.
    pub deadline: Option<Time>,
    /// When it began.
    pub started: Time,
}

/// Why an attempt is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttemptKind {
    /// It is the first.
    First,
    /// An earlier one failed.
    Retry,
    /// An earlier one is slow.
    Hedge,
}

/// How one attempt ended.
#[derive(Debug)]
pub struct Ended<R> {
    /// What happened.
    pub cause: Cause,
    /// What the peer says of when to come back (`Retry-After`, pushback). [`Duration::MAX`]: not at all;
    /// then there is no retry (gRPC: a negative or malformed `grpc-retry-pushback-ms`).
    pub retry_after: Option<Duration>,
    /// What is left of it.
    pub reply: R,
}

/// How a call ended.
pub struct Answer<R> {
    /// With what.
    pub end: End<R>,
    /// How many attempts were made.
    pub attempts: u32,
    /// Whether the caller is given [`Bound::fallback`] in place of `end`: it is told what that says,
    /// whatever an answer in `end` has to say is dropped unread, and `held` is settled with the cause
    /// in `end` all the same, so what is counted is what happened. Without a fallback: false.
    pub fallback: bool,
    /// The permits that live as long as the answer's body. Dropped unsettled they count as ignored.
    pub held: Held,
}

/// What a call ended with.
pub enum End<R> {
    /// Its last attempt ended by itself, well or badly.
    Ended(Cause, R),
    /// A policy refused it.
    Rejected(Rejection),
    /// Its time, or its last attempt's, was over; that attempt was cancelled.
    TimedOut,
    /// No endpoint was usable.
    Unavailable,
}
