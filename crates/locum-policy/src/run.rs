//! One call, from admission to settlement.

use std::future::Future;
use std::time::Duration;

use crate::gates::deadline::Allotted;
use crate::gates::retry::{Failed, Retry, Tries};
use crate::policy::{Bound, Part};
use crate::{Call, Cause, Clock, Event, Kind, Observer, Outcome, Rejection, Time};

use self::attempt::{Trial, Tried};
use self::entry::{Stop, enter};
use self::permits::{Begun, Occupied, Permits};

pub use self::permits::Held;

mod attempt;
mod entry;
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
    let mut ending = Ending::new(call, clock, observer);
    let timing = policy.timing(call.method);
    let deadline = timing.terms.deadline(call);
    let mut now = call.arrived;
    match enter(policy, call, deadline, &mut now, clock, observer).await {
        Ok(place) => ending.place = place,
        Err(Stop::Rejected(rejection)) => return ending.rejected(now, rejection),
        Err(Stop::TimedOut) => return ending.over(now, Outcome::Deadline, End::TimedOut),
    }

    let trial = Trial { policy, timing, call, deadline, clock, exchange, observer };
    let mut retries = Retries::begin(policy, call, now);
    let mut tried = Vec::new();
    let mut kind = AttemptKind::First;
    loop {
        let number = ending.attempts + 1;
        let (guard, ended, endpoint) = match trial.attempt(number, kind, &tried, now).await {
            Tried::Ended { ended, endpoint, guard } => (guard, Some(ended), endpoint),
            Tried::TimedOut { endpoint, guard } => (guard, None, endpoint),
            Tried::Refused(rejection) => return ending.rejected(clock.now(), rejection),
            Tried::Unavailable => {
                return ending.over(clock.now(), Outcome::Failure, End::Unavailable);
            }
        };
        ending.attempts = number;
        let permits = guard.take();
        let cause = ended.as_ref().map_or(Cause::Timeout, |ended| ended.cause);
        let retry_after = ended.as_ref().and_then(|ended| ended.retry_after);
        if let Some(wait) = retries.wait(&trial, cause, number, retry_after, &permits.allotted) {
            now = clock.now();
            ending.last = Some(permits.settle(cause, now, observer));
            // What is left of the attempt goes before the next one needs its room.
            drop(ended);
            tried.push(endpoint);
            kind = AttemptKind::Retry;
            if !wait.is_zero() {
                observer
                    .event(now, &Event::Delayed { policy: policy.name(), kind: Kind::Retry, wait });
                clock.sleep_until(now + wait).await;
                now = clock.now();
            }
            continue;
        }
        let Some(ended) = ended else {
            now = clock.now();
            let outcome = permits.settle(cause, now, observer);
            return ending.over(now, outcome, End::TimedOut);
        };
        return ending.answered(cause, ended.reply, permits);
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

    /// The wait before the next attempt, if there is to be one.
    fn wait<C: Clock, X: Exchange, O: Observer>(
        &mut self,
        trial: &Trial<'_, C, X, O>,
        cause: Cause,
        number: u32,
        retry_after: Option<Duration>,
        allotted: &Allotted,
    ) -> Option<Duration> {
        let part = self.part?;
        // An attempt cut because the call's time is over ends the call then and there.
        if cause == Cause::Timeout && allotted.ends_call {
            return None;
        }
        let idempotent = trial.timing.terms.idempotent(trial.call);
        let failed = Failed { cause, number, idempotent, retry_after };
        let wait = part.gate.again(&mut self.tries, failed)?;
        let now = trial.clock.now();
        let reason = if !trial.exchange.repeatable() {
            "body"
        } else if !trial.has_time(now + wait) {
            "deadline"
        } else if !part.gate.budget().grant(now) {
            "budget"
        } else if part.shadow {
            "shadow"
        } else {
            return Some(wait);
        };
        trial
            .observer
            .event(now, &Event::NotRetried { policy: trial.policy.name(), cause, reason });
        None
    }
}

/// Sees to it that the end of a call is told once, however it comes; dropped early, it was cancelled.
struct Ending<'a, C: Clock, O: Observer> {
    call: &'a Call<'a>,
    clock: &'a C,
    observer: &'a O,
    attempts: u32,
    /// What the last attempt came to, if another was to follow.
    last: Option<Outcome>,
    place: Occupied,
    told: bool,
}

impl<'a, C: Clock, O: Observer> Ending<'a, C, O> {
    const fn new(call: &'a Call<'a>, clock: &'a C, observer: &'a O) -> Self {
        Self {
            call,
            clock,
            observer,
            attempts: 0,
            last: None,
            place: Occupied::Nothing,
            told: false,
        }
    }

    /// An answer has begun; that the call is over is told when its body ends.
    fn answered<R>(mut self, cause: Cause, reply: R, permits: Permits) -> Answer<R> {
        self.told = true;
        let begun = Begun { arrived: self.call.arrived, attempts: self.attempts };
        let held = Held { place: std::mem::take(&mut self.place), permits, call: Some(begun) };
        Answer { end: End::Ended(cause, reply), attempts: self.attempts, held }
    }

    fn rejected<R>(self, now: Time, rejection: Rejection) -> Answer<R> {
        self.observer.event(now, &Event::Rejected(&rejection));
        let outcome = self.last.unwrap_or(Outcome::Rejected);
        self.over(now, outcome, End::Rejected(rejection))
    }

    fn over<R>(mut self, now: Time, outcome: Outcome, end: End<R>) -> Answer<R> {
        self.tell(now, outcome);
        Answer { end, attempts: self.attempts, held: Held::default() }
    }

    fn tell(&mut self, now: Time, outcome: Outcome) {
        self.told = true;
        std::mem::take(&mut self.place).settle(now, self.observer);
        let took = self.call.arrived.until(now);
        self.observer.event(now, &Event::Done { outcome, attempts: self.attempts, took });
    }
}

impl<C: Clock, O: Observer> Drop for Ending<'_, C, O> {
    fn drop(&mut self) {
        if !self.told {
            self.tell(self.clock.now(), Outcome::Cancelled);
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
}

/// One address of an upstream, as a run sees it.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint<'a> {
    /// Which one, among its upstream's.
    pub id: u32,
    /// Its name, the target of `per = "endpoint"`.
    pub name: &'a str,
    /// Its own policy, run inside the retries: rate limits, a cap on calls in flight, a breaker.
    /// What it says of time and retries is not looked at.
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
    /// What the peer says of when to come back (`Retry-After`, pushback).
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
