//! What may be said of a breaker, and its defaults.

use std::time::Duration;

use crate::ratio::Ratio;
use crate::settings::{Error, Mode, at_least, at_most, share, within};
use crate::text::words;

use super::{Factor, Jitter, Numbers, Shape, SlowNumbers};

/// A circuit breaker. The defaults suit a service that answers tens of calls a second or more.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema),
    serde(deny_unknown_fields, default)
)]
#[cfg_attr(feature = "serde", schemars(rename = "BreakerSettings"))]
pub struct Settings {
    /// Enforced, watched in shadow, or off; absent: as the whole policy.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub mode: Option<Mode>,
    /// What has a breaker of its own.
    pub per: Per,
    /// What it looks back on: a stretch of time, or a number of calls. Too short: a hiccup trips it;
    /// too long: it learns late.
    pub window: Window,
    /// Into how many buckets a window of time is cut; absent: 10.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub buckets: Option<u32>,
    /// Fewer finished calls than this in the window say nothing. Too small: one failure at night trips it.
    pub min_calls: u64,
    /// The share of failures that trips it, above 0 and at most 1.
    pub failure_rate: f64,
    /// Counts calls that take too long; absent: off.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub slow: Option<Slow>,
    /// Trips at so many failures in a row, whatever their share; absent: off.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub consecutive: Option<u32>,
    /// How long it stays open the first time. Too short: the target gets no rest.
    #[cfg_attr(
        feature = "serde",
        serde(with = "crate::serial::duration"),
        schemars(with = "String")
    )]
    pub wait: Duration,
    /// How much longer each time it opens again, at least 1.
    pub factor: f64,
    /// The longest it stays open.
    #[cfg_attr(
        feature = "serde",
        serde(with = "crate::serial::duration"),
        schemars(with = "String")
    )]
    pub max_wait: Duration,
    /// The share by which a wait strays either way, below 1, so that many breakers do not probe at once.
    pub jitter: f64,
    /// How it finds out whether the target works again.
    pub half_open: HalfOpen,
    /// So long closed without a trip, and the next wait is the first again.
    #[cfg_attr(
        feature = "serde",
        serde(with = "crate::serial::duration"),
        schemars(with = "String")
    )]
    pub calm: Duration,
    /// Over how long, after probing, the traffic grows back; 0: at once.
    #[cfg_attr(
        feature = "serde",
        serde(with = "crate::serial::duration"),
        schemars(with = "String")
    )]
    pub ramp: Duration,
    /// Whether 429 and RESOURCE_EXHAUSTED count for the rate. One tenant's quota should not open it for all.
    pub count_overload: bool,
    /// Whether an RPC application's own error is a failure.
    pub count_app_errors: bool,
    /// A call whose own time ended the attempt is a failure only if the attempt had at least this;
    /// absent: the smaller of the attempt timeout and `slow.threshold` that is set, else 100 ms.
    #[cfg_attr(
        feature = "serde",
        serde(with = "crate::serial::maybe_duration", skip_serializing_if = "Option::is_none"),
        schemars(with = "Option<String>")
    )]
    pub min_budget: Option<Duration>,
}

/// What counts as slow, and how much of it trips a breaker.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema),
    serde(deny_unknown_fields)
)]
pub struct Slow {
    /// Longer than this is slow, success or not.
    #[cfg_attr(
        feature = "serde",
        serde(with = "crate::serial::duration"),
        schemars(with = "String")
    )]
    pub threshold: Duration,
    /// The share of slow calls that trips it, above 0 and at most 1.
    #[cfg_attr(feature = "serde", serde(default = "default_slow_rate"))]
    pub rate: f64,
    /// Counts calls that still hang, so that a hang trips it before the first timeout.
    #[cfg_attr(feature = "serde", serde(default = "yes"))]
    pub in_flight: bool,
}

impl Slow {
    /// Half of the calls over `threshold`, those in flight included.
    pub const fn over(threshold: Duration) -> Self {
        Self { threshold, rate: 0.5, in_flight: true }
    }
}

#[cfg(feature = "serde")]
const fn default_slow_rate() -> f64 {
    0.5
}

#[cfg(feature = "serde")]
const fn yes() -> bool {
    true
}

/// How a breaker finds out whether its target works again.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema),
    serde(deny_unknown_fields, default)
)]
pub struct HalfOpen {
    /// Probes at one time.
    pub concurrency: u32,
    /// Successes that close it.
    pub required: u32,
    /// Failures that do not open it again.
    pub tolerated: u32,
    /// A probe that has not settled after so long is a failure.
    #[cfg_attr(
        feature = "serde",
        serde(with = "crate::serial::duration"),
        schemars(with = "String")
    )]
    pub lease: Duration,
}

impl HalfOpen {
    /// Whether there is no place for another probe, with so many under way and so many that succeeded.
    pub(super) const fn is_full(&self, succeeded: u32, under_way: u32) -> bool {
        under_way >= self.concurrency || succeeded + under_way >= self.required
    }
}

/// What a breaker looks back on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// So much time.
    Time(Duration),
    /// So many finished calls.
    Last(u32),
}

words! {
    /// What has a breaker of its own.
    pub enum Per {
        /// Each upstream.
        "upstream" => Upstream,
        /// Each endpoint; a call finds another one while one is open.
        "endpoint" => Endpoint,
        /// Each method.
        "method" => Method,
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: None,
            per: Per::Upstream,
            window: Window::Time(Duration::from_secs(10)),
            buckets: None,
            min_calls: 20,
            failure_rate: 0.5,
            slow: None,
            consecutive: None,
            wait: Duration::from_secs(5),
            factor: 2.0,
            max_wait: Duration::from_secs(60),
            jitter: 0.1,
            half_open: HalfOpen::default(),
            calm: Duration::from_secs(60),
            ramp: Duration::ZERO,
            count_overload: false,
            count_app_errors: false,
            min_budget: None,
        }
    }
}

impl Default for HalfOpen {
    fn default() -> Self {
        Self { concurrency: 1, required: 3, tolerated: 0, lease: Duration::from_secs(10) }
    }
}

impl Settings {
    pub(crate) fn numbers(&self, version: u64) -> Result<Numbers, Error> {
        at_least("breaker.min_calls", self.min_calls, 1)?;
        share("breaker.failure_rate", self.failure_rate)?;
        if let Some(run) = self.consecutive {
            at_least("breaker.consecutive", u64::from(run), 1)?;
        }
        at_least("breaker.wait", self.wait, Duration::from_millis(1))?;
        within("breaker.factor", self.factor, 1.0, 1_000.0)?;
        at_least("breaker.max_wait", self.max_wait, self.wait)?;
        within("breaker.jitter", self.jitter, 0.0, 0.99)?;
        at_least("breaker.half_open.concurrency", self.half_open.concurrency, 1)?;
        at_least("breaker.half_open.required", self.half_open.required, 1)?;
        at_least("breaker.half_open.lease", self.half_open.lease, Duration::from_millis(1))?;
        Ok(Numbers {
            version,
            shape: self.shape()?,
            min_calls: self.min_calls,
            failure_rate: Ratio::nearest(self.failure_rate),
            slow: self.slow.as_ref().map(Slow::numbers).transpose()?,
            consecutive: self.consecutive,
            wait: self.wait,
            factor: Factor(Ratio::nearest(self.factor)),
            max_wait: self.max_wait,
            jitter: Jitter(Ratio::nearest(self.jitter)),
            half_open: self.half_open.clone(),
            calm: self.calm,
            ramp: self.ramp,
        })
    }

    fn shape(&self) -> Result<Shape, Error> {
        match self.window {
            Window::Time(length) => {
                let buckets = self.buckets.unwrap_or(10);
                at_least("breaker.buckets", buckets, 1)?;
                at_most("breaker.buckets", buckets, 3_600)?;
                at_least("breaker.window", length, Duration::from_millis(1))?;
                let nanos = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
                Ok(Shape::Time {
                    width: (nanos / u64::from(buckets)).max(1),
                    buckets: buckets as usize,
                })
            }
            Window::Last(_) if self.buckets.is_some() => Err(Error::new(
                "breaker.buckets",
                "a window of calls has no buckets",
                "remove `buckets`, or write the window as a duration",
            )),
            Window::Last(length) => {
                at_least("breaker.window", length, 1)?;
                at_most("breaker.window", length, 10_000_000)?;
                Ok(Shape::Last(length as usize))
            }
        }
    }
}

impl Slow {
    fn numbers(&self) -> Result<SlowNumbers, Error> {
        at_least("breaker.slow.threshold", self.threshold, Duration::from_nanos(1))?;
        share("breaker.slow.rate", self.rate)?;
        Ok(SlowNumbers {
            threshold: self.threshold,
            rate: Ratio::nearest(self.rate),
            in_flight: self.in_flight,
        })
    }
}
