#![doc = include_str!("../../docs/deadline.md")]

use std::time::Duration;

use crate::settings::{Error, Method, Settings, at_least};
use crate::text::spoken;
use crate::{Call, Kind, Rejection, Time};

pub mod codec;

/// What a policy says of time, for one method.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    timeout: Option<Duration>,
    attempt_timeout: Option<Duration>,
    reserve: Duration,
    min_attempt: Duration,
    idempotent: Option<bool>,
}

/// The time one attempt has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allotted {
    /// When it is given up.
    pub deadline: Option<Time>,
    /// How long that is from its start.
    pub time: Option<Duration>,
    /// Whether that end is the call's, not the attempt's own.
    pub ends_call: bool,
}

impl Terms {
    /// Without a policy: the caller's deadline alone.
    pub(crate) const OPEN: Self = Self {
        timeout: None,
        attempt_timeout: None,
        reserve: Duration::from_millis(5),
        min_attempt: Duration::from_millis(10),
        idempotent: None,
    };

    pub(crate) fn of(settings: &Settings) -> Result<Self, Error> {
        let terms = Self {
            timeout: settings.timeout,
            attempt_timeout: settings.attempt_timeout,
            reserve: settings.reserve,
            min_attempt: settings.min_attempt,
            idempotent: settings.idempotent,
        };
        terms.check()
    }

    /// What differs for one method.
    pub(crate) fn with(self, method: &Method) -> Result<Self, Error> {
        let terms = Self {
            timeout: method.timeout.or(self.timeout),
            attempt_timeout: method.attempt_timeout.or(self.attempt_timeout),
            reserve: method.reserve.unwrap_or(self.reserve),
            min_attempt: method.min_attempt.unwrap_or(self.min_attempt),
            idempotent: method.idempotent.or(self.idempotent),
        };
        terms.check()
    }

    /// These terms, with what `said` says of idempotence: that is no limit on time.
    pub(crate) const fn licensed_as(self, said: &Self) -> Self {
        Self { idempotent: said.idempotent, ..self }
    }

    fn check(self) -> Result<Self, Error> {
        let least = self.min_attempt.max(Duration::from_nanos(1));
        if let Some(timeout) = self.timeout {
            at_least("timeout", timeout, self.reserve + least)?;
        }
        if let Some(timeout) = self.attempt_timeout {
            at_least("attempt_timeout", timeout, least)?;
        }
        Ok(self)
    }

    /// When the call's time is over: the smaller of what the policy gives and its caller waits.
    pub fn deadline(&self, call: &Call<'_>) -> Option<Time> {
        let own = self.timeout.map(|timeout| call.arrived + timeout);
        match (own, call.deadline) {
            (Some(own), Some(callers)) => Some(own.min(callers)),
            (own, callers) => own.or(callers),
        }
    }

    /// The time an attempt that starts `now` has.
    ///
    /// # Errors
    ///
    /// It would be less than `min_attempt`: how much it would be.
    pub fn allot(&self, now: Time, deadline: Option<Time>) -> Result<Allotted, Duration> {
        let left = deadline.map(|deadline| now.until(deadline).saturating_sub(self.reserve));
        let (time, ends_call) = match (self.attempt_timeout, left) {
            (Some(own), Some(left)) => (own.min(left), left <= own),
            (Some(own), None) => (own, false),
            (None, Some(left)) => (left, true),
            (None, None) => return Ok(Allotted { deadline: None, time: None, ends_call: false }),
        };
        if time < self.min_attempt {
            return Err(time);
        }
        Ok(Allotted { deadline: Some(now + time), time: Some(time), ends_call })
    }

    /// Whether the call may be made twice.
    pub fn idempotent(&self, call: &Call<'_>) -> bool {
        self.idempotent.unwrap_or(call.idempotent)
    }

    /// How long one attempt may take.
    pub const fn attempt_timeout(&self) -> Option<Duration> {
        self.attempt_timeout
    }

    /// Of an attempt that would have had only `time`.
    pub(crate) fn rejection(&self, policy: &str, time: Duration) -> Rejection {
        let detail =
            format!("{} left of the {} an attempt needs", spoken(time), spoken(self.min_attempt));
        rejection(policy, "deadline_insufficient", detail)
    }

    /// Of an attempt that took longer than its `time`, where that is only watched.
    pub(crate) fn cut(&self, policy: &str, took: Duration, time: Duration) -> Rejection {
        rejection(policy, "timeout", format!("took {} of {}", spoken(took), spoken(time)))
    }
}

fn rejection(policy: &str, reason: &'static str, detail: String) -> Rejection {
    Rejection {
        policy: policy.into(),
        kind: Kind::Deadline,
        reason,
        retry_after: None,
        detail,
        limit: None,
    }
}
