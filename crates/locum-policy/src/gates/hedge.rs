#![doc = include_str!("../../docs/hedge.md")]

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::Time;
use crate::gates::retry::{Budget, BudgetSettings};
use crate::settings::{Error, Mode, at_least, at_most};
use crate::text::{self, Malformed};

pub use self::latency::Latency;

mod latency;

/// The most hedges that a call may have.
pub(crate) const MAX: u32 = 10;

/// A second attempt beside one that is slow.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema),
    serde(deny_unknown_fields)
)]
#[cfg_attr(feature = "serde", schemars(rename = "HedgeSettings"))]
pub struct Settings {
    /// Enforced, watched in shadow, or off; absent: as the whole policy.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub mode: Option<Mode>,
    /// How long an attempt may be under way before another joins it: a time, or the percentile of the
    /// attempts observed, such as `p95`.
    pub delay: Delay,
    /// Attempts of a call that may join others, each one `delay` after the one before; from 1 to 10.
    #[cfg_attr(feature = "serde", serde(default = "one"))]
    pub max: u32,
}

#[cfg(feature = "serde")]
const fn one() -> u32 {
    1
}

impl Settings {
    /// One hedge after `delay`.
    pub const fn after(delay: Delay) -> Self {
        Self { mode: None, delay, max: 1 }
    }

    fn check(&self) -> Result<(), Error> {
        at_least("hedge.max", self.max, 1)?;
        at_most("hedge.max", self.max, MAX)
    }
}

/// When an attempt is slow enough for another to join it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delay {
    /// After so long.
    Fixed(Duration),
    /// After so long as this percentage of attempts takes at most, as observed of the upstream lately;
    /// from 50 to 99.
    Percentile(u8),
}

impl FromStr for Delay {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let malformed =
            || Malformed::new(text, "a duration such as \"50ms\", or one of p50 to p99");
        match text.strip_prefix('p') {
            Some(percent) => match percent.parse() {
                Ok(percent @ 50..=99) => Ok(Self::Percentile(percent)),
                _ => Err(malformed()),
            },
            None => text::parse_duration(text).map(Self::Fixed).map_err(|_| malformed()),
        }
    }
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(delay) => text::duration(*delay).fmt(f),
            Self::Percentile(percent) => write!(f, "p{percent}"),
        }
    }
}

/// When hedges are sent, and what all calls share.
pub struct Hedge {
    settings: Settings,
    /// Of hedges without retries; otherwise they share the budget of these.
    budget: Budget,
    /// How long attempts take, by upstream.
    latencies: Mutex<HashMap<Box<str>, Arc<Latency>>>,
}

impl Hedge {
    /// With what an earlier version observed, where it observed the same.
    pub(crate) fn build(settings: &Settings, previous: Option<&Self>) -> Result<Self, Error> {
        settings.check()?;
        let kept = previous.filter(|previous| previous.settings.delay == settings.delay);
        let latencies = kept.map_or_else(HashMap::new, |kept| {
            kept.latencies.lock().unwrap_or_else(PoisonError::into_inner).clone()
        });
        Ok(Self {
            settings: settings.clone(),
            budget: Budget::build(&BudgetSettings::default())?,
            latencies: Mutex::new(latencies),
        })
    }

    /// What was configured.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What bounds hedges where no retries do.
    pub const fn budget(&self) -> &Budget {
        &self.budget
    }

    /// What is observed of `upstream`; `None`: the delay does not depend on it.
    pub(crate) fn latency(&self, upstream: &str) -> Option<Arc<Latency>> {
        let Delay::Percentile(percent) = self.settings.delay else { return None };
        let mut latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        let latency = match latencies.get(upstream) {
            Some(latency) => latency,
            None => {
                latencies.entry(upstream.into()).or_insert_with(|| Arc::new(Latency::new(percent)))
            }
        };
        Some(Arc::clone(latency))
    }

    /// What is observed, by upstream; nothing where the delay is fixed.
    pub(crate) fn snapshot(&self, now: Time) -> Vec<Snapshot> {
        let latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = latencies
            .iter()
            .map(|(upstream, latency)| Snapshot {
                upstream: upstream.clone(),
                delay: latency.percentile(now),
            })
            .collect();
        all.sort_by(|one, other| one.upstream.cmp(&other.upstream));
        all
    }

    /// How long an attempt that starts `now` is under way before another joins it. `None`: too little is
    /// known of how long attempts take.
    pub(crate) fn delay(&self, latency: Option<&Latency>, now: Time) -> Option<Duration> {
        match self.settings.delay {
            Delay::Fixed(delay) => Some(delay),
            Delay::Percentile(_) => latency?.percentile(now),
        }
    }
}

/// How a delay that depends on an upstream stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The upstream.
    pub upstream: Box<str>,
    /// How long an attempt may be under way before another joins it; `None`: too little is known.
    pub delay: Option<Duration>,
}
