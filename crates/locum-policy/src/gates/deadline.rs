#![doc = include_str!("../../docs/deadline.md")]

use std::time::Duration;

use crate::rejection::Facts;
use crate::settings::{Error, Method, Settings, at_least};
use crate::text::spoken;
use crate::{Call, Kind, Rejection, Time};

pub mod codec;

/// What a policy says of time, for one method. In nanoseconds, `UNLIMITED` where it says nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    timeout: u64,
    attempt_timeout: u64,
    reserve: u64,
    min_attempt: u64,
    /// Less than this, and a call's deadline says nothing about the peer.
    min_budget: u64,
    idempotent: Option<bool>,
}

const UNLIMITED: u64 = u64::MAX;

/// The time one attempt has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allotted {
    /// When it is given up.
    pub deadline: Option<Time>,
    /// What it means if that comes before the attempt's end.
    pub cut: Cut,
}

/// What it means that an attempt's time is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cut {
    /// It was the attempt's own time: the peer is to blame, and another attempt may follow.
    #[default]
    Attempt,
    /// It was the call's time, and enough for the peer to be blamed.
    Call,
    /// It was the call's time, and too little for the peer to be blamed (`min_budget`).
    ShortCall,
}

impl Cut {
    /// Whether the call is over with the attempt.
    pub const fn ends_call(self) -> bool {
        matches!(self, Self::Call | Self::ShortCall)
    }
}

impl Terms {
    /// Without a policy: the caller's deadline alone.
    pub(crate) const OPEN: Self = Self {
        timeout: UNLIMITED,
        attempt_timeout: UNLIMITED,
        reserve: 5_000_000,
        min_attempt: 10_000_000,
        min_budget: 100_000_000,
        idempotent: None,
    };

    /// What `settings` say for a method that differs by `method`.
    pub(crate) fn of(settings: &Settings, method: &Method) -> Result<Self, Error> {
        let timeout = method.timeout.or(settings.timeout);
        let attempt_timeout = method.attempt_timeout.or(settings.attempt_timeout);
        let reserve = method.reserve.unwrap_or(settings.reserve);
        let min_attempt = method.min_attempt.unwrap_or(settings.min_attempt);
        let least = min_attempt.max(Duration::from_nanos(1));
        at_least("timeout", timeout.unwrap_or(Duration::MAX), reserve.saturating_add(least))?;
        at_least("attempt_timeout", attempt_timeout.unwrap_or(Duration::MAX), least)?;

        let breaker = settings.breaker.as_ref();
        let slow = breaker.and_then(|breaker| breaker.slow.as_ref()).map(|slow| slow.threshold);
        let smaller = [attempt_timeout, slow].into_iter().flatten().min();
        let min_budget = breaker.and_then(|breaker| breaker.min_budget).or(smaller);
        Ok(Self {
            timeout: timeout.map_or(UNLIMITED, nanos),
            attempt_timeout: attempt_timeout.map_or(UNLIMITED, nanos),
            reserve: nanos(reserve),
            min_attempt: nanos(min_attempt),
            min_budget: min_budget.map_or(Self::OPEN.min_budget, nanos),
            idempotent: method.idempotent.or(settings.idempotent),
        })
    }

    /// Only a caller's deadline, but what `said` says that is no limit on time.
    pub(crate) const fn without_limits(said: &Self) -> Self {
        Self { min_budget: said.min_budget, idempotent: said.idempotent, ..Self::OPEN }
    }

    /// When the call's time is over: the smaller of what the policy gives and its caller waits.
    #[inline]
    pub fn deadline(&self, call: &Call<'_>) -> Option<Time> {
        let own = call.arrived.as_nanos().saturating_add(self.timeout);
        let end = Time::from_nanos(own).min(call.deadline.unwrap_or(Time::NEVER));
        (end < Time::NEVER).then_some(end)
    }

    /// The time an attempt that starts `now` has.
    ///
    /// # Errors
    ///
    /// It would be less than `min_attempt`: how much it would be.
    #[inline]
    pub fn allot(&self, now: Time, deadline: Option<Time>) -> Result<Allotted, Duration> {
        let end = deadline.unwrap_or(Time::NEVER).as_nanos();
        let left = if end == UNLIMITED {
            end
        } else {
            end.saturating_sub(now.as_nanos()).saturating_sub(self.reserve)
        };
        let time = left.min(self.attempt_timeout);
        if time < self.min_attempt {
            return Err(Duration::from_nanos(time));
        }
        if time == UNLIMITED {
            return Ok(Allotted::default());
        }
        let deadline = Time::from_nanos(now.as_nanos().saturating_add(time));
        let cut = match (left <= self.attempt_timeout, time < self.min_budget) {
            (false, _) => Cut::Attempt,
            (true, false) => Cut::Call,
            (true, true) => Cut::ShortCall,
        };
        Ok(Allotted { deadline: Some(deadline), cut })
    }

    /// Whether the call may be made twice.
    pub fn idempotent(&self, call: &Call<'_>) -> bool {
        self.idempotent.unwrap_or(call.idempotent)
    }

    /// Of an attempt that would have had only `time`.
    pub(crate) fn rejection(&self, policy: &str, time: Duration) -> Rejection {
        let detail = format!(
            "{} left of the {} an attempt needs",
            spoken(time),
            spoken(Duration::from_nanos(self.min_attempt))
        );
        rejection(policy, "deadline_insufficient", detail)
    }

    /// Of an attempt that took longer than its `time`, where that is only watched.
    pub(crate) fn cut(&self, policy: &str, took: Duration, time: Duration) -> Rejection {
        rejection(policy, "timeout", format!("took {} of {}", spoken(took), spoken(time)))
    }
}

fn rejection(policy: &str, reason: &'static str, detail: String) -> Rejection {
    Facts {
        policy: policy.into(),
        kind: Kind::Deadline,
        reason,
        retry_after: None,
        detail,
        limit: None,
    }
    .into()
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(UNLIMITED)
}
