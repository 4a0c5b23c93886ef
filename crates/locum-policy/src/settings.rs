//! What may be said of a policy. Any value can be written down; [`Policy::build`](crate::Policy::build)
//! says which are out of range.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::gates::{breaker, concurrency, fallback, fault, hedge, rate_limit, retry, throttle};
use crate::text::{self, words};

/// A policy: everything that is absent is off.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema),
    serde(deny_unknown_fields, default)
)]
#[cfg_attr(feature = "serde", schemars(rename = "PolicySettings"))]
pub struct Settings {
    /// Of every part that does not say otherwise.
    pub mode: Mode,
    /// How long a call may take in all; absent: as long as its caller waits.
    #[cfg_attr(
        feature = "serde",
        serde(with = "crate::serial::maybe_duration", skip_serializing_if = "Option::is_none"),
        schemars(with = "Option<String>")
    )]
    pub timeout: Option<Duration>,
    /// How long one attempt may take; absent: as long as the call may.
    #[cfg_attr(
        feature = "serde",
        serde(with = "crate::serial::maybe_duration", skip_serializing_if = "Option::is_none"),
        schemars(with = "Option<String>")
    )]
    pub attempt_timeout: Option<Duration>,
    /// Kept back of the call's time, for the answer's way to the caller.
    #[cfg_attr(
        feature = "serde",
        serde(with = "crate::serial::duration"),
        schemars(with = "String")
    )]
    pub reserve: Duration,
    /// An attempt that would have less time than this is not made.
    #[cfg_attr(
        feature = "serde",
        serde(with = "crate::serial::duration"),
        schemars(with = "String")
    )]
    pub min_attempt: Duration,
    /// Whether calling twice does no harm; absent: the protocol tells.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub idempotent: Option<bool>,
    /// Limits on the rate of calls; all of them apply.
    #[cfg_attr(
        feature = "serde",
        serde(with = "crate::serial::one_or_many", skip_serializing_if = "Vec::is_empty"),
        schemars(schema_with = "crate::serial::one_or_many::schema")
    )]
    pub rate_limit: Vec<rate_limit::Settings>,
    /// The cap on calls in flight.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub concurrency: Option<concurrency::Settings>,
    /// The share of attempts that is kept from a target which refuses many.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub throttle: Option<throttle::Settings>,
    /// The circuit breaker.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub breaker: Option<breaker::Settings>,
    /// Further attempts.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub retry: Option<retry::Settings>,
    /// A second attempt beside one that is slow.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub hedge: Option<hedge::Settings>,
    /// An answer in place of a failure or a refusal.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub fallback: Option<fallback::Settings>,
    /// Delays and failures made on purpose.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub fault: Option<fault::Settings>,
    /// What differs for one method, by its name.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "BTreeMap::is_empty"))]
    pub methods: BTreeMap<String, Method>,
}

/// What differs for one method; what is absent is as in the policy.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema),
    serde(deny_unknown_fields, default)
)]
#[cfg_attr(feature = "serde", schemars(rename = "MethodSettings"))]
pub struct Method {
    /// How long a call may take in all.
    #[cfg_attr(
        feature = "serde",
        serde(with = "crate::serial::maybe_duration", skip_serializing_if = "Option::is_none"),
        schemars(with = "Option<String>")
    )]
    pub timeout: Option<Duration>,
    /// How long one attempt may take.
    #[cfg_attr(
        feature = "serde",
        serde(with = "crate::serial::maybe_duration", skip_serializing_if = "Option::is_none"),
        schemars(with = "Option<String>")
    )]
    pub attempt_timeout: Option<Duration>,
    /// Kept back of the call's time.
    #[cfg_attr(
        feature = "serde",
        serde(with = "crate::serial::maybe_duration", skip_serializing_if = "Option::is_none"),
        schemars(with = "Option<String>")
    )]
    pub reserve: Option<Duration>,
    /// An attempt that would have less time than this is not made.
    #[cfg_attr(
        feature = "serde",
        serde(with = "crate::serial::maybe_duration", skip_serializing_if = "Option::is_none"),
        schemars(with = "Option<String>")
    )]
    pub min_attempt: Option<Duration>,
    /// Whether calling twice does no harm.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub idempotent: Option<bool>,
}

words! {
    /// How far a part of a policy goes.
    pub enum Mode {
        /// It decides.
        "enforce" => Enforce,
        /// It decides and says what it would have done, and touches nothing.
        "shadow" => Shadow,
        /// It is not there.
        "off" => Off,
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            timeout: None,
            attempt_timeout: None,
            reserve: Duration::from_millis(5),
            min_attempt: Duration::from_millis(10),
            idempotent: None,
            rate_limit: Vec::new(),
            concurrency: None,
            throttle: None,
            breaker: None,
            retry: None,
            hedge: None,
            fallback: None,
            fault: None,
            methods: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// What is said here that nobody looks at where the policy is one of an endpoint
    /// ([`Endpoint::policy`](crate::Endpoint)): what concerns a call in all its attempts. There, rate
    /// limits, a cap on calls in flight, a throttle and a breaker decide.
    ///
    /// # Errors
    ///
    /// The first such key.
    pub fn check_for_endpoint(&self) -> Result<(), Error> {
        let default = Self::default();
        let unseen = [
            ("timeout", self.timeout.is_some()),
            ("attempt_timeout", self.attempt_timeout.is_some()),
            ("reserve", self.reserve != default.reserve),
            ("min_attempt", self.min_attempt != default.min_attempt),
            ("idempotent", self.idempotent.is_some()),
            ("retry", self.retry.is_some()),
            ("hedge", self.hedge.is_some()),
            ("fallback", self.fallback.is_some()),
            ("fault", self.fault.is_some()),
            ("methods", !self.methods.is_empty()),
            (
                "breaker.min_budget",
                self.breaker.as_ref().is_some_and(|breaker| breaker.min_budget.is_some()),
            ),
        ];
        match unseen.into_iter().find(|(_, said)| *said) {
            None => Ok(()),
            Some((key, _)) => Err(Error::new(
                key,
                "it concerns a call in all its attempts, not those at one endpoint",
                "move it to the policy of a route",
            )),
        }
    }
}

/// A setting that is out of range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The key, from the policy down: `breaker.failure_rate`.
    pub path: String,
    /// What is wrong with its value.
    pub reason: String,
    /// What to do.
    pub remedy: String,
}

impl Error {
    pub(crate) fn new(path: &str, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { path: path.into(), reason: reason.into(), remedy: remedy.into() }
    }

    /// The same, one level further down.
    pub(crate) fn under(self, parent: &str) -> Self {
        Self { path: format!("{parent}.{}", self.path), ..self }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}; {}", self.path, self.reason, self.remedy)
    }
}

impl std::error::Error for Error {}

/// A value that has a smallest and a largest, and knows how it is written.
pub(crate) trait Bounded: Copy + PartialOrd {
    fn written(self) -> String;
}

impl Bounded for u64 {
    fn written(self) -> String {
        self.to_string()
    }
}

impl Bounded for u32 {
    fn written(self) -> String {
        self.to_string()
    }
}

impl Bounded for Duration {
    fn written(self) -> String {
        text::duration(self).to_string()
    }
}

pub(crate) fn at_least<T: Bounded>(path: &str, value: T, least: T) -> Result<(), Error> {
    if value >= least {
        return Ok(());
    }
    let (value, least) = (value.written(), least.written());
    Err(Error::new(path, format!("{value} is too small"), format!("write at least {least}")))
}

pub(crate) fn at_most<T: Bounded>(path: &str, value: T, most: T) -> Result<(), Error> {
    if value <= most {
        return Ok(());
    }
    let (value, most) = (value.written(), most.written());
    Err(Error::new(path, format!("{value} is too large"), format!("write at most {most}")))
}

pub(crate) fn within(path: &str, value: f64, least: f64, most: f64) -> Result<(), Error> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::new(
        path,
        format!("{value} is out of range"),
        format!("write a number from {least} to {most}"),
    ))
}

/// A share that must be something: above 0 and at most 1, in billionths.
pub(crate) fn share(path: &str, value: f64) -> Result<(), Error> {
    within(path, value, 1e-9, 1.0).map_err(|_| {
        Error::new(
            path,
            format!("{value} is not a share"),
            "write a number above 0 and at most 1, such as 0.5",
        )
    })
}
