#![doc = include_str!("../../docs/rate_limit.md")]

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::rejection::{Facts, LimitState};
use crate::settings::{Error, at_most};
use crate::{Call, Kind, Rejection, Time};

use super::Verdict;

use self::algorithm::{Hit, Level, Refusal};
use self::meter::{Meter, Refused};
pub use self::settings::{Algorithm, Settings};

mod algorithm;
mod bucket;
pub mod gcra;
mod log;
mod meter;
mod settings;
mod sip;
mod store;
mod table;
mod warm_up;
mod window;
mod word;

/// All rate limits of a policy that are in the same mode.
#[derive(Default)]
pub struct Limits {
    meters: Vec<Arc<Meter>>,
    /// In which order several are locked: the same wherever they meet, and last the one that cannot be.
    ///
    /// Invariant: every index of `meters` once, and at most one that cannot be locked.
    order: Box<[usize]>,
}

/// What a call took; tells how the tightest of the limits stands.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    meter: usize,
    level: Level,
}

/// Meters of an earlier version of a policy that may go on in a new one.
pub(crate) struct Kept<'a>(Vec<&'a Arc<Meter>>);

impl<'a> Kept<'a> {
    pub(crate) fn of(previous: &[&'a Limits]) -> Self {
        Self(previous.iter().flat_map(|limits| &limits.meters).collect())
    }
}

impl Limits {
    /// The limits of `settings`. Those that are in `kept` as well go on as they stand. `alone`: the
    /// policy has no further limit.
    pub(crate) fn build(
        settings: &[&Settings],
        seed: u64,
        alone: bool,
        kept: &mut Kept<'_>,
    ) -> Result<Self, Error> {
        at_most("rate_limit", settings.len() as u64, MOST_LIMITS)?;
        let meters = settings.iter().map(|settings| {
            match kept.0.iter().position(|meter| meter.settings().same_but_mode(settings)) {
                Some(index) => Ok(Arc::clone(kept.0.swap_remove(index))),
                None => Meter::new(settings, seed, alone).map(Arc::new),
            }
        });
        let meters: Vec<_> = meters.collect::<Result<_, _>>()?;
        let mut order: Box<[_]> = (0..meters.len()).collect();
        order.sort_by_key(|index| (meters[*index].is_word(), Arc::as_ptr(&meters[*index])));
        Ok(Self { meters, order })
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
            [only] => only.take(call, now, deadline, |decision| match decision {
                Ok(hit) => Ok((Taken { meter: 0, level: hit.level }, hit.wait)),
                // At once, for a refusal in full is larger than all that is told of a taking.
                Err(refused) => Err(refused.into_rejection(policy)),
            }),
            _ => self
                .take_from(&self.order, call, now, deadline, Tally::default())
                .map_err(|refused| refused.into_rejection(policy)),
        };
        match taken {
            Ok((taken, Duration::ZERO)) => Verdict::Pass(taken),
            Ok((taken, wait)) => Verdict::Wait(taken, wait),
            Err(rejection) => Verdict::Reject(rejection),
        }
    }

    /// Several limits on one call: check all, then take from all. On the way in each bucket is locked
    /// and decides; if none refused, each takes on the way out. So nobody ever sees a part taken.
    fn take_from<'a>(
        &'a self,
        order: &[usize],
        call: &Call<'_>,
        now: Time,
        deadline: Option<Time>,
        tally: Tally<'a>,
    ) -> Result<(Taken, Duration), Refused<'a>> {
        let Some((&meter, rest)) = order.split_first() else { return tally.verdict() };
        self.meters[meter].take(call, now, deadline, |decision| {
            let tally = tally.with(meter, decision, |level| self.meters[meter].state(level));
            self.take_from(rest, call, now, deadline, tally)
        })
    }

    /// Lets every limit go on by itself and tells which would have refused the call.
    pub(crate) fn watch(
        &self,
        policy: &str,
        call: &Call<'_>,
        now: Time,
        deadline: Option<Time>,
    ) -> Vec<Rejection> {
        let take = |meter: &'_ Arc<Meter>| {
            let taken = meter.take(call, now, deadline, |decision| decision);
            taken.err().map(|refused| refused.into_rejection(policy))
        };
        self.meters.iter().filter_map(take).collect()
    }

    fn state(&self, taken: Taken) -> LimitState {
        self.meters[taken.meter].state(taken.level)
    }

    pub(crate) fn snapshot(&self, now: Time) -> impl Iterator<Item = Snapshot> + use<'_> {
        self.meters.iter().map(move |meter| meter.snapshot(now))
    }
}

/// What the limits have said of a call so far, in whatever order they were asked.
#[derive(Clone, Copy, Default)]
struct Tally<'a> {
    /// The one that refused for longest.
    refused: Option<(usize, Refused<'a>)>,
    /// The one that has least left, and how much that is.
    tightest: Option<(u64, Taken)>,
    wait: Duration,
}

impl<'a> Tally<'a> {
    fn with(
        mut self,
        meter: usize,
        decision: Result<Hit, Refused<'a>>,
        state: impl FnOnce(Level) -> LimitState,
    ) -> Self {
        match decision {
            Err(refused) => {
                // One that never lets go waits longest; of equals the first in the policy speaks.
                let rank = |(meter, refused): &(usize, Refused<'_>)| {
                    (refused.refusal.retry_after().unwrap_or(Duration::MAX), Reverse(*meter))
                };
                let refused = (meter, refused);
                if self.refused.is_none_or(|other| rank(&refused) > rank(&other)) {
                    self.refused = Some(refused);
                }
            }
            Ok(hit) => {
                let rank = |(remaining, taken): &(u64, Taken)| (*remaining, taken.meter);
                let taken = (state(hit.level).remaining, Taken { meter, level: hit.level });
                if self.tightest.is_none_or(|other| rank(&taken) < rank(&other)) {
                    self.tightest = Some(taken);
                }
                self.wait = self.wait.max(hit.wait);
            }
        }
        self
    }

    fn verdict(self) -> Result<(Taken, Duration), Refused<'a>> {
        match (self.refused, self.tightest) {
            (Some((_, refused)), _) => Err(refused),
            (None, Some((_, taken))) => Ok((taken, self.wait)),
            (None, None) => unreachable!("a policy without limits does not ask them"),
        }
    }
}

impl Refused<'_> {
    #[cold]
    fn into_rejection(self, policy: &str) -> Rejection {
        let Settings { rate, algorithm, .. } = *self.settings;
        let most = match algorithm {
            Algorithm::TokenBucket | Algorithm::LeakyBucket => {
                format!("{rate} with bursts of {}", self.settings.burst())
            }
            Algorithm::SlidingWindow | Algorithm::SlidingLog | Algorithm::WarmUp => {
                rate.to_string()
            }
        };
        let (reason, detail) = match self.refusal {
            Refusal::Never => ("never", format!("costs more at once than {most}")),
            Refusal::Limited(_) => ("limited", format!("more than {most}")),
            Refusal::TooLate(_) => ("limited", format!("its turn at {rate} comes too late")),
        };
        Facts {
            policy: policy.into(),
            kind: Kind::RateLimit,
            reason,
            retry_after: self.refusal.retry_after(),
            detail,
            limit: Some(self.state),
        }
        .into()
    }
}

/// Limits that one call may have to pass: they are locked together.
const MOST_LIMITS: u64 = 64;

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
