#![doc = include_str!("../../docs/rate_limit.md")]

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::rejection::{Facts, LimitState};
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

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.meters.is_empty()
    }

    /// Takes what the call costs from every limit, or from none.
    #[inline]
    pub(crate) fn admit(
        &self,
        policy: &str,
        call: &Call<'_>,
        now: Time,
        deadline: Option<Time>,
    ) -> Verdict<Taken> {
        let taken = match &*self.meters {
            [only] => only
                .take(call, now, deadline)
                .map(|hit| (Taken { meter: 0, hit }, only.wait(call, &hit))),
            _ => self.take_from_all(call, now, deadline),
        };
        match taken {
            Ok((taken, Duration::ZERO)) => Verdict::Pass(taken),
            Ok((taken, wait)) => Verdict::Wait(taken, wait),
            Err(refused) => Verdict::Reject(refused.into_rejection(policy)),
        }
    }

    /// Several limits on one call: check all, then take from all.
    fn take_from_all(
        &self,
        call: &Call<'_>,
        now: Time,
        deadline: Option<Time>,
    ) -> Result<(Taken, Duration), Refused<'_>> {
        let refused = self.meters.iter().filter_map(|meter| meter.look(call, now, deadline).err());
        // Of several that refuse, the one with the longest wait speaks; one that never lets go waits longest.
        if let Some(refused) =
            refused.max_by_key(|refused| refused.retry_after.unwrap_or(Duration::MAX))
        {
            return Err(refused);
        }
        let mut tightest: Option<Taken> = None;
        let mut wait = Duration::ZERO;
        for (meter, limit) in self.meters.iter().enumerate() {
            let hit = limit.take(call, now, deadline).inspect_err(|_| {
                // Another thread was quicker between the look and the taking.
                self.meters[..meter].iter().for_each(|limit| limit.give_back(call));
            })?;
            wait = wait.max(limit.wait(call, &hit));
            let taken = Taken { meter, hit };
            if tightest.is_none_or(|other| self.remaining(taken) < self.remaining(other)) {
                tightest = Some(taken);
            }
        }
        Ok((tightest.expect("a policy without limits does not ask them"), wait))
    }

    /// Lets every limit go on by itself and tells which would have refused the call.
    pub(crate) fn watch(
        &self,
        policy: &str,
        call: &Call<'_>,
        now: Time,
        deadline: Option<Time>,
    ) -> Vec<Rejection> {
        let refused = self.meters.iter().filter_map(|meter| meter.take(call, now, deadline).err());
        refused.map(|refused| refused.into_rejection(policy)).collect()
    }

    fn state(&self, taken: Taken) -> LimitState {
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
        Facts {
            policy: policy.into(),
            kind: Kind::RateLimit,
            reason,
            retry_after,
            detail,
            limit: Some(self.state),
        }
        .into()
    }
}

/// How the tightest limit stands after a call, worked out when asked.
#[derive(Clone, Copy)]
pub struct Standing<'a> {
    pub(crate) limits: &'a Limits,
    pub(crate) taken: Taken,
}

impl Standing<'_> {
    /// Units left, and the time until all are back.
    pub fn state(&self) -> LimitState {
        self.limits.state(self.taken)
    }
}

impl fmt::Debug for Standing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state().fmt(f)
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
