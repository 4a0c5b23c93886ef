//! The gates that decide once: before a call, and before an attempt at one endpoint.

use std::sync::Arc;

use crate::gates::Verdict;
use crate::gates::breaker::{self, Breaker};
use crate::gates::concurrency::{Entry, OVERLOADED, QUEUE_TIMEOUT, Turn};
use crate::gates::deadline::Terms;
use crate::policy::{Bound, Parts};
use crate::seed::mix;
use crate::{Call, Clock, Event, Kind, Observer, Rejection, Time};

use super::permits::{Fuse, Occupied};
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
    policy: &Bound,
    call: &Call<'_>,
    deadline: Option<Time>,
    now: &mut Time,
    clock: &C,
    observer: &O,
) -> Result<Occupied, Stop> {
    let Some(parts) = policy.parts() else { return Ok(Occupied::Nothing) };
    limit(parts, call, deadline, now, clock, observer).await?;
    let Some(part) = &parts.places else { return Ok(Occupied::Nothing) };
    if part.shadow {
        part.gate.expire(*now);
        return Ok(match part.gate.enter(*now) {
            Entry::Place(place) => Occupied::Place { _place: place },
            Entry::Turn(turn) => Occupied::Shadow { turn, policy: policy.clone() },
            Entry::Full => {
                observer.event(
                    *now,
                    &Event::WouldReject(&part.gate.rejection(&parts.name, OVERLOADED)),
                );
                Occupied::Nothing
            }
        });
    }
    let place = match part.gate.enter(*now) {
        Entry::Place(place) => place,
        Entry::Full => return Err(Stop::Rejected(part.gate.rejection(&parts.name, OVERLOADED))),
        Entry::Turn(turn) => {
            let since = *now;
            let patience = part.gate.settings().queue_timeout.map(|timeout| since + timeout);
            let place = wait(turn, patience, deadline, now, clock).await;
            let place = place.map_err(|()| match (patience, deadline) {
                (Some(patience), deadline)
                    if deadline.is_none_or(|deadline| patience <= deadline) =>
                {
                    Stop::Rejected(part.gate.rejection(&parts.name, QUEUE_TIMEOUT))
                }
                _ => Stop::TimedOut,
            })?;
            let wait = since.until(*now);
            observer.event(
                *now,
                &Event::Delayed { policy: &parts.name, kind: Kind::Concurrency, wait },
            );
            place
        }
    };
    observer.event(
        *now,
        &Event::Admitted { policy: &parts.name, kind: Kind::Concurrency, limit: None },
    );
    Ok(Occupied::Place { _place: place })
}

async fn limit<C: Clock, O: Observer>(
    parts: &Parts,
    call: &Call<'_>,
    deadline: Option<Time>,
    now: &mut Time,
    clock: &C,
    observer: &O,
) -> Result<(), Stop> {
    let policy = &*parts.name;
    if !parts.limits.is_empty() {
        let (taken, wait) = match parts.limits.admit(policy, call, *now, deadline) {
            Verdict::Pass(taken) => (taken, None),
            Verdict::Wait(taken, wait) => (taken, Some(wait)),
            Verdict::Reject(rejection) => return Err(Stop::Rejected(rejection)),
        };
        let limit = Some(parts.limits.state(taken));
        observer.event(*now, &Event::Admitted { policy, kind: Kind::RateLimit, limit });
        watch_limits(parts, call, deadline, *now, observer);
        if let Some(wait) = wait {
            observer.event(*now, &Event::Delayed { policy, kind: Kind::RateLimit, wait });
            clock.sleep_until(*now + wait).await;
            *now = clock.now();
        }
        return Ok(());
    }
    watch_limits(parts, call, deadline, *now, observer);
    Ok(())
}

/// Limits in shadow see what those that are enforced let through.
fn watch_limits(
    parts: &Parts,
    call: &Call<'_>,
    deadline: Option<Time>,
    now: Time,
    observer: &impl Observer,
) {
    if parts.shadow_limits.is_empty() {
        return;
    }
    for rejection in parts.shadow_limits.watch(&parts.name, call, now, deadline) {
        observer.event(now, &Event::WouldReject(&rejection));
    }
}

/// Waits for a turn until patience or time is over.
async fn wait<C: Clock>(
    turn: Turn,
    patience: Option<Time>,
    deadline: Option<Time>,
    now: &mut Time,
    clock: &C,
) -> Result<crate::gates::concurrency::Place, ()> {
    let end = match (patience, deadline) {
        (Some(patience), Some(deadline)) => Some(patience.min(deadline)),
        (patience, deadline) => patience.or(deadline),
    };
    before(turn.come(), end, clock).await;
    *now = clock.now();
    // A turn that came at the last moment is not wasted.
    turn.into_place().map_err(drop)
}

/// Asks a breaker for leave to try once.
pub(super) fn fuse(
    policy: &Bound,
    breaker: &Arc<Breaker>,
    terms: &Terms,
    call: &Call<'_>,
    number: u32,
    now: Time,
    deadline: Option<Time>,
    observer: &impl Observer,
) -> Result<Option<Fuse>, Rejection> {
    let Some((parts, fuses)) =
        policy.parts().and_then(|parts| Some((parts, parts.fuses.as_ref()?)))
    else {
        return Ok(None);
    };
    let mut changes = Vec::new();
    let seed = mix(call.seed, u64::from(number));
    let admitted = breaker.admit(&parts.name, &fuses.numbers, now, deadline, seed, &mut changes);
    breaker::tell(&changes, &parts.name, fuses.per, breaker, observer);
    match admitted {
        Ok(permit) => {
            observer.event(
                now,
                &Event::Admitted { policy: &parts.name, kind: Kind::Breaker, limit: None },
            );
            Ok(Some(Fuse::new(policy, breaker, fuses.rules(terms), permit)))
        }
        Err(rejection) if fuses.shadow => {
            observer.event(now, &Event::WouldReject(&rejection));
            Ok(None)
        }
        Err(rejection) => Err(*rejection),
    }
}
