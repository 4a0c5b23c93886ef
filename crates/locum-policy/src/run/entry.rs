//! The gates that decide once: before a call, and before an attempt at one endpoint.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use crate::gates::Verdict;
use crate::gates::breaker::{self, Breaker};
use crate::gates::concurrency::{Entry, OVERLOADED, Places, QUEUE_TIMEOUT};
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
    if let Some(wait) = limit(parts, call, deadline, *now, observer)? {
        observer.event(*now, &Event::Delayed { policy: &parts.name, kind: Kind::RateLimit, wait });
        clock.sleep_until(*now + wait).await;
        *now = clock.now();
    }
    let Some(part) = &parts.places else { return Ok(Occupied::Nothing) };
    if part.shadow {
        return Ok(watch_places(parts, &part.gate, *now, observer));
    }
    match part.gate.enter(*now) {
        Entry::Place => {}
        Entry::Full => {
            return Err(Stop::Rejected(part.gate.rejection(&parts.name, OVERLOADED)));
        }
        Entry::Turn(turn) => {
            let patience = part.gate.settings().queue_timeout.map(|timeout| *now + timeout);
            let end = [patience, deadline].into_iter().flatten().min();
            let since = turn.since();
            before(pin!(turn.come()), end, clock).await;
            *now = clock.now();
            // A turn that came at the last moment is not wasted.
            if !turn.redeem() {
                return Err(match patience.is_some() && patience == end {
                    true => Stop::Rejected(part.gate.rejection(&parts.name, QUEUE_TIMEOUT)),
                    false => Stop::TimedOut,
                });
            }
            let wait = since.until(*now);
            observer.event(
                *now,
                &Event::Delayed { policy: &parts.name, kind: Kind::Concurrency, wait },
            );
        }
    }
    observer.event(
        *now,
        &Event::Admitted { policy: &parts.name, kind: Kind::Concurrency, limit: None },
    );
    Ok(Occupied::Place)
}

/// Takes from the rate limits what the call costs; tells how long it then waits.
fn limit(
    parts: &Parts,
    call: &Call<'_>,
    deadline: Option<Time>,
    now: Time,
    observer: &impl Observer,
) -> Result<Option<Duration>, Stop> {
    let policy = &*parts.name;
    let mut wait = None;
    if !parts.limits.is_empty() {
        let taken = match parts.limits.admit(policy, call, now, deadline) {
            Verdict::Pass(taken) => taken,
            Verdict::Wait(taken, longer) => {
                wait = Some(longer);
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
    Ok(wait)
}

/// Goes through the motions of a cap in shadow.
fn watch_places(
    parts: &Parts,
    places: &Arc<Places>,
    now: Time,
    observer: &impl Observer,
) -> Occupied {
    places.expire(now);
    match places.enter(now) {
        Entry::Place => Occupied::Place,
        Entry::Turn(turn) => Occupied::Shadow(Box::new(turn)),
        Entry::Full => {
            observer.event(now, &Event::WouldReject(&places.rejection(&parts.name, OVERLOADED)));
            Occupied::Nothing
        }
    }
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
    let mut changes = Vec::new();
    let seed = mix(call.seed, u64::from(number));
    let admitted = asked.admit(&parts.name, &fuses.numbers, now, deadline, seed, &mut changes);
    breaker::tell(&changes, &parts.name, fuses.per, asked, observer);
    match admitted {
        Ok(permit) => {
            observer.event(
                now,
                &Event::Admitted { policy: &parts.name, kind: Kind::Breaker, limit: None },
            );
            permits.arm(policy, breaker, permit);
            Ok(())
        }
        Err(rejection) if fuses.shadow => {
            observer.event(now, &Event::WouldReject(&rejection));
            Ok(())
        }
        Err(rejection) => Err(rejection),
    }
}
