#![doc = include_str!("../../docs/rate_limit.md")]

use std::sync::Arc;
use std::time::Duration;

use crate::rejection::LimitState;
use crate::settings::Error;
use crate::{Call, Kind, Rejection, Time};

use super::Verdict;

use self::gcra::Hit;
use self::meter::{Meter, Refused};
pub use self::settings::{Algorithm, Settings};

mod cell;
pub mod gcra;
mod meter;
mod settings;
mod sip;
mod table;

/// All rate limits of a policy that are in the same mode.
#[derive(Default)]
pub struct Limits {
    meters: Vec<Arc<Meter>>,
}

/// What a call took; tells how the tightest of the limits stands.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    meter: usize,
    hit: Hit,
}

impl Limits {
    /// The limits of `settings`. Those that `previous` has as well go on as they stand.
    pub(crate) fn build(
        settings: &[&Settings],
        seed: u64,
        previous: &[&Self],
    ) -> Result<Self, Error> {
        let mut kept: Vec<_> = previous.iter().flat_map(|limits| &limits.meters).collect();
        let meters = settings.iter().map(|settings| {
            match kept.iter().position(|meter| meter.settings().same_but_mode(settings)) {
                Some(index) => Ok(Arc::clone(kept.swap_remove(index))),
                None => Meter::new(settings, seed).map(Arc::new),
            }
        });
        meters.collect::<Result<_, _>>().map(|meters| Self { meters })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.meters.is_empty()
    }

    /// Takes what the call costs from every limit, or from none.
    pub(crate) fn admit(
        &self,
        policy: &str,
        call: &Call<'_>,
        now: Time,
        deadline: Option<Time>,
    ) -> Verdict<Taken> {
        let longest = deadline.map_or(Duration::MAX, |deadline| now.until(deadline));
        // Several limits on one call: check all, then take from all.
        if self.meters.len() > 1 {
            let refused =
                self.meters.iter().filter_map(|meter| meter.look(call, now, longest).err());
            if let Some(refused) =
                refused.max_by_key(|refused| refused.retry_after.unwrap_or(Duration::MAX))
            {
                return Verdict::Reject(refused.into_rejection(policy));
            }
        }
        let mut taken: Option<Taken> = None;
        let mut wait = Duration::ZERO;
        for (meter, limit) in self.meters.iter().enumerate() {
            match limit.take(call, now, longest) {
                Ok(hit) => {
                    wait = wait.max(limit.wait(&hit));
                    let tighter =
                        |other: Taken| self.remaining(Taken { meter, hit }) < self.remaining(other);
                    if taken.is_none_or(tighter) {
                        taken = Some(Taken { meter, hit });
                    }
                }
                Err(refused) => {
                    // Another thread was quicker between the look and the taking.
                    self.meters[..meter].iter().for_each(|limit| limit.give_back(call));
                    return Verdict::Reject(refused.into_rejection(policy));
                }
            }
        }
        let Some(taken) = taken else { unreachable!("a policy without limits has no such gate") };
        if wait.is_zero() { Verdict::Pass(taken) } else { Verdict::Wait(taken, wait) }
    }

    /// Lets every limit go on by itself and tells which would have refused the call.
    pub(crate) fn watch(
        &self,
        policy: &str,
        call: &Call<'_>,
        now: Time,
        deadline: Option<Time>,
    ) -> Vec<Rejection> {
        let longest = deadline.map_or(Duration::MAX, |deadline| now.until(deadline));
        let refused = self.meters.iter().filter_map(|meter| meter.take(call, now, longest).err());
        refused.map(|refused| refused.into_rejection(policy)).collect()
    }

    /// How the tightest limit stands after the call took what it costs.
    pub fn state(&self, taken: Taken) -> LimitState {
        self.meters[taken.meter].state(&taken.hit)
    }

    pub(crate) fn snapshot(&self, now: Time) -> impl Iterator<Item = Snapshot> + use<'_> {
        self.meters.iter().map(move |meter| meter.snapshot(now))
    }

    fn remaining(&self, taken: Taken) -> u64 {
        self.meters[taken.meter].remaining(&taken.hit)
    }
}

impl Refused<'_> {
    fn into_rejection(self, policy: &str) -> Rejection {
        let rate = self.settings.rate;
        let (reason, detail) = match self.retry_after {
            Some(_) if self.too_long_a_wait => {
                ("limited", format!("its turn at {rate} comes too late"))
            }
            Some(_) => {
                ("limited", format!("more than {rate} with bursts of {}", self.settings.burst()))
            }
            None => ("never", format!("costs more than the burst of {}", self.settings.burst())),
        };
        let retry_after = self.retry_after;
        Rejection {
            policy: policy.into(),
            kind: Kind::RateLimit,
            reason,
            retry_after,
            detail,
            limit: Some(self.state),
        }
    }
}

/// How one limit stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// What was configured.
    pub settings: Settings,
    /// How the one bucket stands; with keys, the bucket shared by those that have none of their own.
    pub state: LimitState,
    /// Keys with a bucket of their own.
    pub keys: usize,
}
