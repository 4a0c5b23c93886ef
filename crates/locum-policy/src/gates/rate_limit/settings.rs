//! What may be said of a rate limit.

use std::num::NonZeroU64;
use std::time::Duration;

use crate::Key;
use crate::settings::{Error, Mode, at_least, at_most, within};
use crate::text::{Rate, words};

/// A limit on the rate of calls.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema),
    serde(deny_unknown_fields)
)]
#[cfg_attr(feature = "serde", schemars(rename = "RateLimitSettings"))]
pub struct Settings {
    /// Enforced, watched in shadow, or off; absent: as the whole policy.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub mode: Option<Mode>,
    /// What is counted, and whether what comes too early is refused or made to wait.
    #[cfg_attr(feature = "serde", serde(default))]
    pub algorithm: Algorithm,
    /// Units in a time.
    pub rate: Rate,
    /// Of a token or leaky bucket: units at one instant; absent: as many as the rate has in its period.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub burst: Option<u64>,
    /// Units that a call of cost 1 takes; 0 only looks.
    #[cfg_attr(feature = "serde", serde(default = "one"))]
    pub cost: u64,
    /// What has a bucket of its own; absent: one bucket for all.
    #[cfg_attr(
        feature = "serde",
        serde(default, with = "crate::serial::one_or_many", skip_serializing_if = "Vec::is_empty"),
        schemars(schema_with = "crate::serial::one_or_many::keys")
    )]
    pub key: Vec<Key>,
    /// Buckets that are kept at most; new keys beyond share one. Absent: 100,000, and of a sliding log
    /// no more than keep 4,194,304 calls in all.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub max_keys: Option<u32>,
    /// Of a leaky bucket: units of excess that need not wait; absent: 1.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub free: Option<u64>,
    /// Of a leaky bucket or a warm-up: the longest wait; absent: the call's deadline.
    #[cfg_attr(
        feature = "serde",
        serde(
            default,
            with = "crate::serial::maybe_duration",
            skip_serializing_if = "Option::is_none"
        ),
        schemars(with = "Option<String>")
    )]
    pub max_wait: Option<Duration>,
    /// Of a warm-up, which must have it: the time in which a limit under load becomes warm, and an idle
    /// one cold.
    #[cfg_attr(
        feature = "serde",
        serde(
            default,
            with = "crate::serial::maybe_duration",
            skip_serializing_if = "Option::is_none"
        ),
        schemars(with = "Option<String>")
    )]
    pub warm_up: Option<Duration>,
    /// Of a warm-up: how many times the warm interval between units the cold one is; absent: 3.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub cold_factor: Option<f64>,
}

#[cfg(feature = "serde")]
const fn one() -> u64 {
    1
}

words! {
    /// How calls are counted, and what happens to one that comes too early.
    #[derive(Default)]
    pub enum Algorithm {
        /// It is refused; bursts pass.
        #[default]
        "token-bucket" => TokenBucket,
        /// It waits for its turn.
        "leaky-bucket" => LeakyBucket,
        /// It is refused; the last period is estimated from two counts.
        "sliding-window" => SlidingWindow,
        /// It is refused; the last period is known call by call.
        "sliding-log" => SlidingLog,
        /// It waits for its turn; turns are far apart after a quiet spell.
        "warm-up" => WarmUp,
    }
}

impl Settings {
    /// `rate` with bursts of as much, refused beyond, in one bucket for all.
    pub const fn new(rate: Rate) -> Self {
        Self {
            mode: None,
            algorithm: Algorithm::TokenBucket,
            rate,
            burst: None,
            cost: 1,
            key: Vec::new(),
            max_keys: None,
            free: None,
            max_wait: None,
            warm_up: None,
            cold_factor: None,
        }
    }

    /// Units at one instant; of an algorithm without bursts, units in a period.
    pub fn burst(&self) -> NonZeroU64 {
        self.burst.and_then(NonZeroU64::new).unwrap_or(self.rate.count)
    }

    pub(super) fn cold_factor(&self) -> f64 {
        self.cold_factor.unwrap_or(3.0)
    }

    /// The most buckets, if there is one for each key.
    pub(super) fn max_keys(&self) -> Option<usize> {
        let keys = match self.algorithm {
            Algorithm::SlidingLog => self.logs().min(MOST_KEYS),
            _ => MOST_KEYS,
        };
        (!self.key.is_empty()).then(|| self.max_keys.map_or(keys as usize, |keys| keys as usize))
    }

    /// How many logs of the rate's count there is room for.
    fn logs(&self) -> u64 {
        (MOST_HITS / self.rate.count).max(1)
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        self.check_algorithm()?;
        at_least("rate_limit.burst", self.burst.unwrap_or(1), 1)?;
        at_most("rate_limit.burst", self.burst.unwrap_or(1), 1 << 40)?;
        at_most("rate_limit.rate", self.rate.count.get(), 1_000_000_000_000)?;
        let most = match self.algorithm {
            // A call pays for itself in the wait of the next, whatever it costs.
            Algorithm::WarmUp => 1 << 40,
            _ => self.burst().get(),
        };
        at_most("rate_limit.cost", self.cost, most)?;
        at_most("rate_limit.free", self.free.unwrap_or(0), self.burst().get())?;
        if self.key.is_empty() && self.max_keys.is_some() {
            return Err(Error::new(
                "rate_limit.max_keys",
                "there are no keys",
                "add `key`, or remove `max_keys`",
            ));
        }
        at_least("rate_limit.max_keys", self.max_keys.unwrap_or(1), 1)?;
        at_most("rate_limit.max_keys", self.max_keys.unwrap_or(1), 100_000_000)
    }

    /// Each algorithm has what it needs, and nothing that it would ignore.
    fn check_algorithm(&self) -> Result<(), Error> {
        use Algorithm::{LeakyBucket, SlidingLog, TokenBucket, WarmUp};

        let keys: [(&str, bool, &[Algorithm]); 5] = [
            ("burst", self.burst.is_some(), &[TokenBucket, LeakyBucket]),
            ("free", self.free.is_some(), &[LeakyBucket]),
            ("max_wait", self.max_wait.is_some(), &[LeakyBucket, WarmUp]),
            ("warm_up", self.warm_up.is_some(), &[WarmUp]),
            ("cold_factor", self.cold_factor.is_some(), &[WarmUp]),
        ];
        for (key, written, of) in keys {
            if written && !of.contains(&self.algorithm) {
                let of: Vec<_> = of.iter().map(|of| format!("\"{}\"", of.name())).collect();
                return Err(Error::new(
                    &format!("rate_limit.{key}"),
                    format!("algorithm `{}` has no `{key}`", self.algorithm.name()),
                    format!("remove it, or write algorithm = {}", of.join(" or ")),
                ));
            }
        }
        match self.algorithm {
            WarmUp => self.check_warm_up(),
            SlidingLog => self.check_log(),
            _ => Ok(()),
        }
    }

    fn check_warm_up(&self) -> Result<(), Error> {
        let Some(warm_up) = self.warm_up else {
            return Err(Error::new(
                "rate_limit.warm_up",
                "algorithm `warm-up` needs it",
                "write how long warming up takes, such as warm_up = \"10s\"",
            ));
        };
        at_least("rate_limit.warm_up", warm_up, Duration::from_millis(1))?;
        at_most("rate_limit.warm_up", warm_up, Duration::from_secs(86_400))?;
        within("rate_limit.cold_factor", self.cold_factor(), 1.0, 1_000.0)
    }

    fn check_log(&self) -> Result<(), Error> {
        let remedy = "or write algorithm = \"sliding-window\", which keeps two counts";
        let count = self.rate.count.get();
        if count > MOST_LOGGED {
            return Err(Error::new(
                "rate_limit.rate",
                format!("a sliding log would keep {count} calls"),
                format!("write a count of at most {MOST_LOGGED}, {remedy}"),
            ));
        }
        match self.max_keys {
            Some(max_keys) if u64::from(max_keys) > self.logs() => Err(Error::new(
                "rate_limit.max_keys",
                format!("sliding logs of {max_keys} keys would keep {count} calls each"),
                format!("write at most {}, {remedy}", self.logs()),
            )),
            _ => Ok(()),
        }
    }

    pub(super) fn same_but_mode(&self, other: &Self) -> bool {
        Self { mode: None, ..self.clone() } == Self { mode: None, ..other.clone() }
    }
}

const MOST_KEYS: u64 = 100_000;

/// Calls that one sliding log keeps at most: 16 MiB.
const MOST_LOGGED: u64 = 1 << 20;

/// Calls that the sliding logs of all keys keep at most: 64 MiB.
const MOST_HITS: u64 = 1 << 22;
