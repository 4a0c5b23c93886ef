//! What may be said of a rate limit.

use std::num::NonZeroU64;
use std::time::Duration;

use crate::Key;
use crate::settings::{Error, Mode, at_least, at_most};
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
    /// Whether what comes too early is refused or made to wait.
    #[cfg_attr(feature = "serde", serde(default))]
    pub algorithm: Algorithm,
    /// Units in a time.
    pub rate: Rate,
    /// Units at one instant; absent: as many as the rate has in its period.
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
    /// Buckets that are kept at most; new keys beyond share one. Absent: 100,000.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub max_keys: Option<u32>,
    /// Of a leaky bucket: units of excess that need not wait; absent: 1.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub free: Option<u64>,
    /// Of a leaky bucket: the longest wait; absent: the call's deadline.
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
}

#[cfg(feature = "serde")]
const fn one() -> u64 {
    1
}

words! {
    /// What happens to a call that comes too early.
    #[derive(Default)]
    pub enum Algorithm {
        /// It is refused.
        #[default]
        "token-bucket" => TokenBucket,
        /// It waits for its turn.
        "leaky-bucket" => LeakyBucket,
    }
    unavailable ["sliding-window", "sliding-log", "warm-up"]
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
        }
    }

    /// Units at one instant.
    pub fn burst(&self) -> NonZeroU64 {
        self.burst.and_then(NonZeroU64::new).unwrap_or(self.rate.count)
    }

    /// The most buckets, if there is one for each key.
    pub(super) fn max_keys(&self) -> Option<usize> {
        (!self.key.is_empty()).then(|| self.max_keys.unwrap_or(100_000) as usize)
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        at_least("rate_limit.burst", self.burst.unwrap_or(1), 1)?;
        at_most("rate_limit.burst", self.burst.unwrap_or(1), 1 << 40)?;
        at_most("rate_limit.rate", self.rate.count.get(), 1_000_000_000_000)?;
        at_most("rate_limit.cost", self.cost, self.burst().get())?;
        if self.key.is_empty() && self.max_keys.is_some() {
            return Err(Error::new(
                "rate_limit.max_keys",
                "there are no keys",
                "add `key`, or remove `max_keys`",
            ));
        }
        at_least("rate_limit.max_keys", self.max_keys.unwrap_or(1), 1)?;
        at_most("rate_limit.max_keys", self.max_keys.unwrap_or(1), 100_000_000)?;
        if self.algorithm == Algorithm::TokenBucket {
            let remedy = "remove it, or write algorithm = \"leaky-bucket\"";
            if self.free.is_some() {
                return Err(Error::new(
                    "rate_limit.free",
                    "a token bucket does not shape calls",
                    remedy,
                ));
            }
            if self.max_wait.is_some() {
                return Err(Error::new(
                    "rate_limit.max_wait",
                    "a token bucket makes no call wait",
                    remedy,
                ));
            }
        }
        at_most("rate_limit.free", self.free.unwrap_or(0), self.burst().get())
    }

    pub(super) fn same_but_mode(&self, other: &Self) -> bool {
        Self { mode: None, ..self.clone() } == Self { mode: None, ..other.clone() }
    }
}
