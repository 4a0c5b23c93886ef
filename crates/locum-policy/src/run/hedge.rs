//! Attempts of one call side by side: one that is slow is joined by another, and the first answer that
//! is no failure wins.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::OnceLock;
use std::task::Poll;

use crate::gates::hedge::{Hedge, Latency, MAX};
use crate::gates::retry::{Budget, Tries};
use crate::policy::{Bound, Part, Parts};
use crate::{AttemptKind, Call, Cause, Class, Clock, Endpoint, Exchange, Observer, Outcome, Time};

use super::Held;
use super::attempt::{Trial, Tried};
use super::race::before;

/// What a call may do about attempts that are slow.
pub(super) struct Hedging<'a> {
    part: &'a Part<Hedge>,
    budget: &'a Budget,
    latency: Option<&'a Latency>,
    /// Hedges it may still make.
    left: u32,
    /// Attempts it may make in all.
    most: u32,
}

impl<'a> Hedging<'a> {
    /// Of a call that arrives `now`; `None`: it is not hedged.
    #[inline]
    pub(super) fn begin(
        policy: &'a Bound,
        call: &Call<'_>,
        tries: &Tries,
        now: Time,
    ) -> Option<Self> {
        let parts = policy.parts()?;
        let part = parts.hedge.as_ref()?;
        Self::of(policy, parts, part, call, tries, now)
    }

    #[cold]
    fn of(
        policy: &'a Bound,
        parts: &'a Parts,
        part: &'a Part<Hedge>,
        call: &Call<'_>,
        tries: &Tries,
        now: Time,
    ) -> Option<Self> {
        let max = part.gate.settings().max;
        let (budget, attempts, again) = match &parts.retry {
            Some(retry) => {
                let settings = retry.gate.settings();
                (retry.gate.budget(), settings.attempts, settings.retry_of_retry)
            }
            None => {
                part.gate.budget().count_call(now);
                (part.gate.budget(), 1, false)
            }
        };
        // What the layer above tries again would multiply.
        let wanted = again || call.attempt_above <= 1;
        if !wanted || !policy.timing(call.method).terms.idempotent(call) {
            return None;
        }
        let most = if attempts > 1 { tries.most() } else { 1 + max };
        Some(Self { part, budget, latency: policy.latency(), left: max, most })
    }

    /// Tries once, as [`Trial::attempt`] does, and joins others to an attempt that is slow. Which
    /// endpoints saw those that lost is added to `tried`; what the one that counts holds is left in
    /// `held`.
    ///
    /// # Cancel safety
    ///
    /// Dropping it cancels all attempts.
    pub(super) async fn race<C: Clock, X: Exchange, O: Observer>(
        &mut self,
        trial: &Trial<'_, C, X, O>,
        kind: AttemptKind,
        tried: &mut Vec<u32>,
        now: Time,
        held: &mut Held,
    ) -> Tried<X::Reply> {
        let number = held.attempts() + 1;
        let seen: [Seen; MOST] = Default::default();
        let mut unseen = seen.iter();
        let mut start = |number, kind, chosen, avoid, started| {
            let sent = unseen.next()?;
            // In a box, so that calls that are not hedged do not carry its room about; and made there, for
            // `Box::pin` would copy all its room, most of it still empty.
            let room = Box::new_uninit();
            let work = contend(trial, number, kind, chosen, avoid, started, sent);
            let work = Box::into_pin(Box::write(room, work));
            Some(Lane { work, started, sent, counted: false })
        };
        let mut lanes = Lanes(Vec::from_iter(start(number, kind, None, tried.clone(), now)));
        let mut due = self.due(number, now);
        loop {
            let ended = before(pin!(lanes.first(held)), due, trial.clock).await;
            let Some((started, (stake, attempt))) = ended else {
                let now = trial.clock.now();
                due = None;
                if let Some(hedge) = self.hedge(trial, &lanes, tried, held, now) {
                    let Chosen { number, endpoint, avoid } = hedge;
                    due = self.due(number, now);
                    lanes.0.extend(start(number, AttemptKind::Hedge, Some(endpoint), avoid, now));
                }
                continue;
            };
            match attempt {
                Tried::Sent(endpoint, ended) => {
                    let cause = ended.as_ref().map_or(Cause::Timeout, |ended| ended.cause);
                    let now = trial.clock.now();
                    if stake.held.class(cause) == Class::Success {
                        self.learn(started, &lanes, now);
                    }
                    let lost =
                        matches!(stake.held.outcome(cause), Outcome::Failure | Outcome::Deadline);
                    if !lost || lanes.0.is_empty() {
                        // Those that lost end before the one that counts.
                        drop(lanes);
                        held.adopt(stake.keep());
                        return Tried::Sent(endpoint, ended);
                    }
                    stake.end(cause, now);
                    tried.push(endpoint);
                }
                refused if lanes.0.is_empty() => return refused,
                Tried::Refused(rejection) => trial.not_hedged(rejection.reason),
                Tried::Unavailable => trial.not_hedged("endpoint"),
            }
        }
    }

    /// When the attempt that began at `started`, the call's `number`th, is joined by another.
    fn due(&self, number: u32, started: Time) -> Option<Time> {
        if self.left == 0 || number >= self.most {
            return None;
        }
        Some(started + self.part.gate.delay(self.latency, started)?)
    }

    /// The hedge that joins `lanes` now, if that may be.
    fn hedge<'t, C: Clock, X: Exchange, O: Observer, F>(
        &mut self,
        trial: &Trial<'t, C, X, O>,
        lanes: &Lanes<'_, F>,
        tried: &[u32],
        held: &Held,
        now: Time,
    ) -> Option<Chosen<'t>> {
        let mut avoid = tried.to_vec();
        avoid.extend(lanes.0.iter().filter_map(|lane| lane.sent.get()));
        let other = |endpoint: &Endpoint<'_>| !avoid.contains(&endpoint.id);
        let endpoint = trial.exchange.pick(&avoid, now).filter(other);
        let refusal = if !trial.exchange.repeatable() {
            Err("body")
        } else if !trial.has_time(now) {
            Err("deadline")
        } else if endpoint.is_none() {
            Err("endpoint")
        } else if !self.budget.grant(now) {
            Err("budget")
        } else if self.part.shadow {
            Err("shadow")
        } else {
            Ok(())
        };
        if let Err(reason) = refusal {
            trial.not_hedged(reason);
            return None;
        }
        self.left -= 1;
        let waiting = lanes.0.iter().filter(|lane| lane.sent.get().is_none()).count();
        let number = held.attempts() + u32::try_from(waiting).unwrap_or(u32::MAX) + 1;
        Some(Chosen { number, endpoint: endpoint?, avoid })
    }

    /// An attempt that began at `started` succeeded, and those on `lanes` lost to it. These count with
    /// the time they had: left out, what is observed would sink with every hedge that helps.
    fn learn<F>(&self, started: Time, lanes: &Lanes<'_, F>, now: Time) {
        let Some(latency) = self.latency else { return };
        latency.record(started.until(now), now);
        for lane in &lanes.0 {
            latency.record(lane.started.until(now), now);
        }
    }
}

/// A hedge that may be sent.
struct Chosen<'a> {
    number: u32,
    endpoint: Endpoint<'a>,
    /// The endpoints that see the call already.
    avoid: Vec<u32>,
}

/// The endpoint that sees an attempt, once it was sent.
type Seen = OnceLock<u32>;

/// How many attempts may be side by side.
const MOST: usize = 1 + MAX as usize;

/// Attempts under way, in the order in which they began.
struct Lanes<'a, F>(Vec<Lane<'a, F>>);

struct Lane<'a, F> {
    work: Pin<Box<F>>,
    started: Time,
    sent: &'a Seen,
    counted: bool,
}

impl<F: Future> Lanes<'_, F> {
    /// Waits for the first attempt to end and takes it out; tells when it had begun. Attempts are counted in `held` as they are
    /// sent.
    ///
    /// # Cancel safety
    ///
    /// Dropping it leaves all attempts as they are.
    async fn first(&mut self, held: &mut Held) -> (Time, F::Output) {
        poll_fn(|context| {
            for index in 0..self.0.len() {
                let lane = &mut self.0[index];
                let polled = lane.work.as_mut().poll(context);
                if !lane.counted && lane.sent.get().is_some() {
                    lane.counted = true;
                    held.count_attempt();
                }
                if let Poll::Ready(output) = polled {
                    return Poll::Ready((self.0.remove(index).started, output));
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// One attempt among others, with its own permits.
async fn contend<'a, C: Clock, X: Exchange, O: Observer>(
    trial: &Trial<'a, C, X, O>,
    number: u32,
    kind: AttemptKind,
    chosen: Option<Endpoint<'a>>,
    avoid: Vec<u32>,
    now: Time,
    sent: &Seen,
) -> (Stake<'a, C, O>, Tried<X::Reply>) {
    let mut stake = Stake { held: Held::default(), clock: trial.clock, observer: trial.observer };
    let tell = |endpoint| {
        sent.get_or_init(|| endpoint);
    };
    let tried =
        trial.attempt(number, kind, chosen.as_ref(), &avoid, now, &mut stake.held, tell).await;
    (stake, tried)
}

/// What one of several attempts holds. Dropped, the attempt was cancelled.
struct Stake<'a, C: Clock, O: Observer> {
    held: Held,
    clock: &'a C,
    observer: &'a O,
}

impl<C: Clock, O: Observer> Stake<'_, C, O> {
    /// The attempt ended, and another may yet do better.
    fn end(mut self, cause: Cause, now: Time) {
        self.held.settle_attempt(cause, now, self.observer);
    }

    /// The attempt is the one that counts.
    fn keep(mut self) -> Held {
        std::mem::take(&mut self.held)
    }
}

impl<C: Clock, O: Observer> Drop for Stake<'_, C, O> {
    fn drop(&mut self) {
        self.held.settle_attempt(Cause::Cancelled, self.clock.now(), self.observer);
    }
}
