#![doc = include_str!("../../docs/retry.md")]

use std::time::Duration;

use crate::seed::mix;
use crate::settings::{Error, Mode, at_least, at_most};
use crate::{Call, Cause, Time};

pub use self::backoff::Backoff;
pub use self::budget::Budget;
pub use self::condition::{Condition, GRPC_STATUSES};

mod backoff;
mod budget;
mod condition;

/// Further attempts after one that failed.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema),
    serde(deny_unknown_fields, default)
)]
#[cfg_attr(feature = "serde", schemars(rename = "RetrySettings"))]
pub struct Settings {
    /// Enforced, watched in shadow, or off; absent: as the whole policy.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub mode: Option<Mode>,
    /// Attempts in all, the first included. Layers multiply: three here and three below are nine.
    pub attempts: u32,
    /// How the waits grow.
    pub backoff: Backoff,
    /// The wait before the first retry.
    #[cfg_attr(
        feature = "serde",
        serde(with = "crate::serial::duration"),
        schemars(with = "String")
    )]
    pub base: Duration,
    /// The longest wait.
    #[cfg_attr(
        feature = "serde",
        serde(with = "crate::serial::duration"),
        schemars(with = "String")
    )]
    pub cap: Duration,
    /// How many retries there may be for all calls together.
    pub budget: BudgetSettings,
    /// What is retried, if it is safe; absent: what rarely happens twice.
    pub retry_on: Vec<Condition>,
    /// Bodies up to this size are kept to be sent again.
    #[cfg_attr(feature = "serde", serde(with = "crate::serial::size"), schemars(with = "String"))]
    pub replay_bytes: u64,
    /// Whether to retry what a caller in front of us is retrying already.
    pub retry_of_retry: bool,
}

/// How many retries there may be for all calls together: a storm of them is what keeps a service down.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema),
    serde(deny_unknown_fields, default)
)]
#[cfg_attr(feature = "serde", schemars(rename = "RetryBudget"))]
pub struct BudgetSettings {
    /// Retries for each call.
    pub ratio: f64,
    /// Retries a second that are always allowed, so that a quiet service retries at all.
    pub min_per_second: u32,
    /// Over how long both are counted.
    #[cfg_attr(
        feature = "serde",
        serde(with = "crate::serial::duration"),
        schemars(with = "String")
    )]
    pub ttl: Duration,
}

/// What is kept of a body where it is not said otherwise.
pub(crate) const REPLAY_BYTES: u64 = 64 * 1_024;

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: None,
            attempts: 3,
            backoff: Backoff::FullJitter,
            base: Duration::from_millis(25),
            cap: Duration::from_secs(1),
            budget: BudgetSettings::default(),
            retry_on: Condition::DEFAULT.to_vec(),
            replay_bytes: REPLAY_BYTES,
            retry_of_retry: false,
        }
    }
}

impl Default for BudgetSettings {
    fn default() -> Self {
        Self { ratio: 0.2, min_per_second: 10, ttl: Duration::from_secs(10) }
    }
}

impl Settings {
    fn check(&self) -> Result<(), Error> {
        at_least("retry.attempts", self.attempts, 1)?;
        at_most("retry.attempts", self.attempts, 100)?;
        at_least("retry.cap", self.cap, self.base)
    }

    pub(crate) fn same_but_mode(&self, other: &Self) -> bool {
        Self { mode: None, ..self.clone() } == Self { mode: None, ..other.clone() }
    }
}

/// Decides whether a failed attempt is followed by another, and when.
pub struct Retry {
    settings: Settings,
    budget: Budget,
}

/// What one call has behind it.
#[derive(Debug)]
pub struct Tries {
    /// Attempts it may make in all.
    most: u32,
    /// Retries it has made.
    retries: u32,
    /// The wait before the last retry.
    previous: Duration,
    seed: u64,
}

impl Tries {
    /// Attempts the call may make in all, retries and hedges together.
    pub(crate) const fn most(&self) -> u32 {
        self.most
    }

    /// Of a call that is tried once.
    pub(crate) const fn none() -> Self {
        Self { most: 1, retries: 0, previous: Duration::ZERO, seed: 0 }
    }
}

/// An attempt that failed.
#[derive(Clone, Copy, Debug)]
pub struct Failed<'a> {
    /// How.
    pub cause: &'a Cause,
    /// How many attempts there were with it, hedges included.
    pub attempts: u32,
    /// Whether the call may be made twice.
    pub idempotent: bool,
    /// What the peer says of when to come back; [`Duration::MAX`]: not at all.
    pub retry_after: Option<Duration>,
}

impl Retry {
    pub(crate) fn build(settings: &Settings) -> Result<Self, Error> {
        settings.check()?;
        Ok(Self { budget: Budget::build(&settings.budget)?, settings: settings.clone() })
    }

    /// What was configured.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What all calls share.
    pub const fn budget(&self) -> &Budget {
        &self.budget
    }

    /// A call begins.
    #[inline]
    pub fn begin(&self, call: &Call<'_>, now: Time) -> Tries {
        self.budget.count_call(now);
        let is_retry = call.attempt_above > 1;
        let most =
            if is_retry && !self.settings.retry_of_retry { 1 } else { self.settings.attempts };
        Tries { most, retries: 0, previous: self.settings.base, seed: call.seed }
    }

    /// The wait before the next attempt.
    ///
    /// # Errors
    ///
    /// There is no further one, whatever the budget. `Some`: it might have helped, but for this
    /// reason, in one word.
    #[inline(always)]
    pub fn again(
        &self,
        tries: &mut Tries,
        failed: &Failed<'_>,
    ) -> Result<Duration, Option<&'static str>> {
        // Most answers are good ones; no condition names them.
        if matches!(failed.cause, Cause::Reply | Cause::Status(..400)) {
            return Err(None);
        }
        self.follow(tries, failed)
    }

    #[cold]
    fn follow(
        &self,
        tries: &mut Tries,
        failed: &Failed<'_>,
    ) -> Result<Duration, Option<&'static str>> {
        if failed.attempts >= tries.most || !self.may_follow(failed) {
            return Err(None);
        }
        if failed.retry_after == Some(Duration::MAX) {
            return Err(Some("pushback"));
        }
        tries.retries += 1;
        let Settings { backoff, base, cap, .. } = self.settings;
        let word = mix(tries.seed, BACKOFF + u64::from(tries.retries));
        tries.previous = backoff.wait(tries.retries, tries.previous, base, cap, word);
        Ok(tries.previous.max(failed.retry_after.unwrap_or_default()))
    }
}

impl Retry {
    /// Whether another attempt may cure this failure and do no harm.
    fn may_follow(&self, failed: &Failed<'_>) -> bool {
        let cures = |condition: &Condition| {
            condition.matches(*failed.cause) && (failed.idempotent || condition.is_safe())
        };
        self.settings.retry_on.iter().any(cures)
    }
}

/// What the random words of back-offs are for.
const BACKOFF: u64 = 0x6261_636b << 32;
