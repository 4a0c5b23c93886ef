//! The gates that decide once: before a call, and before an attempt at one endpoint.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use crate::gates::Verdict;
use crate::gates::breaker::{self, Breaker};
use crate::gates::concurrency::{Entry, Places, Refused, Status, Turn};
use crate::gates::rate_limit::Standing;
use crate::policy::{Bound, Parts};
use crate::seed::mix;
use crate::{Call, Clock, Event, Kind, Observer, Rejection, Time};

use super::permits::{Occupied, Permits};
use super::race::before;

/// Why a call does not get in.
pub(super) enum Stop {
    /// A gate refused.
    Rejected(Rejection),
    /// Its time was over before its turn came.
    TimedOut,
}

/// Takes the call through the rate limits and to a place among the calls in flight. `now` moves on
/// with every wait.
///
/// # Cancel safety
///
/// Dropping it gives back the place in the queue; what a rate limit took stays taken.
pub(super) async fn enter<C: Clock, O: Observer>(
    parts: &Parts,
    call: &Call<'_>,
    deadline: Option<Time>,
    now: &mut Time,
    clock: &C,
    observer: &O,
) -> Result<Occupied, Stop> {
    let turn = limit(parts, call, deadline, *now, observer)?;
    // What waits does so in boxes, so that the others do not carry the room for it about.
    if turn > *now {
        let wait = now.until(turn);
        observer.event(*now, &Event::Delayed { policy: &parts.name, kind: Kind::RateLimit, wait });
        Box::pin(clock.sleep_until(turn)).await;
        *now = clock.now();
    }
    let Some(part) = &parts.places else { return Ok(Occupied::Nothing) };
    if part.shadow {
        return Ok(watch_places(parts, &part.gate, call, *now, observer));
    }
    let refused = |refused| Err(Stop::Rejected(part.gate.rejection(&parts.name, refused)));
    match part.gate.enter(call, *now) {
        Entry::Place => {}
        Entry::Full => return refused(Refused::Full),
        Entry::Turn(turn) => {
            Box::pin(queue(parts, &part.gate, turn, deadline, now, clock, observer)).await?;
        }
    }
    observer.event(
        *now,
        &Event::Admitted { policy: &parts.name, kind: Kind::Concurrency, limit: None },
    );
    Ok(Occupied::Place(*now))
}

/// Waits for a place until the turn comes. `now` moves on by that.
///
/// # Cancel safety
///
/// Dropping it gives back the place in the queue.
async fn queue<C: Clock, O: Observer>(
    parts: &Parts,
    places: &Places,
    turn: Turn,
    deadline: Option<Time>,
    now: &mut Time,
    clock: &C,
    observer: &O,
) -> Result<(), Stop> {
    let refused = |refused| Err(Stop::Rejected(places.rejection(&parts.name, refused)));
    let patience = places.settings().queue_timeout.map(|timeout| *now + timeout);
    let end = [patience, deadline].into_iter().flatten().min();
    let since = turn.since();
    before(pin!(turn.come()), end, clock).await;
    *now = clock.now();
    // A turn that came at the last moment is not wasted.
    match turn.redeem() {
        Status::Served => {}
        Status::Displaced => return refused(Refused::Displaced),
        Status::Waiting | Status::Expired => {
            return match patience.is_some() && patience == end {
                true => refused(Refused::TimedOut),
                false => Err(Stop::TimedOut),
            };
        }
    }
    let (policy, kind, wait) = (&*parts.name, Kind::Concurrency, since.until(*now));
    observer.event(*now, &Event::Delayed { policy, kind, wait });
    Ok(())
}

/// Takes from the rate limits what the call costs; tells when it then goes on.
fn limit(
    parts: &Parts,
    call: &Call<'_>,
    deadline: Option<Time>,
    now: Time,
    observer: &impl Observer,
) -> Result<Time, Stop> {
    let policy = &*parts.name;
    let mut turn = now;
    if !parts.limits.is_empty() {
        let taken = match parts.limits.admit(policy, call, now, deadline) {
            Verdict::Pass(taken) => taken,
            Verdict::Wait(taken, wait) => {
                turn = now + wait;
                taken
            }
            Verdict::Reject(rejection) => return Err(Stop::Rejected(rejection)),
        };
        let limit = Some(Standing { limits: &parts.limits, taken });
        observer.event(now, &Event::Admitted { policy, kind: Kind::RateLimit, limit });
    }
    // Limits in shadow see what those that are enforced let through.
    if !parts.shadow_limits.is_empty() {
        for rejection in parts.shadow_limits.watch(policy, call, now, deadline) {
            observer.event(now, &Event::WouldReject(&rejection));
        }
    }
    Ok(turn)
}

/// Goes through the motions of a cap in shadow.
fn watch_places(
    parts: &Parts,
    places: &Arc<Places>,
    call: &Call<'_>,
    now: Time,
    observer: &impl Observer,
) -> Occupied {
    // At the same instant, who waits comes before who arrives.
    places.expire_before(now + Duration::from_nanos(1));
    match places.enter(call, now) {
        Entry::Place => Occupied::Place(now),
        Entry::Turn(turn) => Occupied::Shadow(Box::new(turn)),
        Entry::Full => {
            let rejection = places.rejection(&parts.name, Refused::Full);
            observer.event(now, &Event::WouldReject(&rejection));
            Occupied::Nothing
        }
    }
}

/// Asks the throttle that is bound to the policy, if one is, for leave to try once.
#[inline]
pub(super) fn throttle(
    policy: &Bound,
    call: &Call<'_>,
    number: u32,
    now: Time,
    permits: &mut Permits,
    observer: &impl Observer,
) -> Result<(), Rejection> {
    let Some(asked) = policy.throttle() else { return Ok(()) };
    let (name, kind) = (policy.name(), Kind::Throttle);
    let Err(refusal) = asked.admit(call.seed, number, now) else {
        observer.event(now, &Event::Admitted { policy: name, kind, limit: None });
        permits.pass_throttle(policy);
        return Ok(());
    };
    let rejection = refusal.in_the_name_of(name);
    let throttles = policy.parts().and_then(|parts| parts.throttles.as_ref());
    if throttles.is_some_and(|throttles| throttles.shadow) {
        observer.event(now, &Event::WouldReject(&rejection));
        return Ok(());
    }
    Err(rejection)
}

/// Asks the breaker (`None`: the one that is bound to the policy) for leave to try once.
pub(super) fn fuse(
    policy: &Bound,
    breaker: Option<Arc<Breaker>>,
    call: &Call<'_>,
    number: u32,
    now: Time,
    deadline: Option<Time>,
    permits: &mut Permits,
    observer: &impl Observer,
) -> Result<(), Rejection> {
    let Some(parts) = policy.parts() else { return Ok(()) };
    let (Some(fuses), Some(asked)) =
        (&parts.fuses, breaker.as_deref().or_else(|| policy.breaker()))
    else {
        return Ok(());
    };
    // Apart from what takes longer, so that the permit is written once, where it stays.
    if let Some(permit) = asked.pass(&fuses.numbers, now) {
        permits.arm(policy, breaker, permit);
    } else {
        let mut changes = Vec::new();
        let seed = mix(call.seed, u64::from(number));
        let admitted = asked.admit(&parts.name, &fuses.numbers, now, deadline, seed, &mut changes);
        breaker::tell(&changes, &parts.name, fuses.per, asked, observer);
        match admitted {
            Ok(permit) => permits.arm(policy, breaker, permit),
            Err(rejection) if fuses.shadow => {
                observer.event(now, &Event::WouldReject(&rejection));
                return Ok(());
            }
            Err(rejection) => return Err(rejection),
        }
    }
    let policy = &*parts.name;
    observer.event(now, &Event::Admitted { policy, kind: Kind::Breaker, limit: None });
    Ok(())
}
