//! Why a call was refused, so that a person and a program can act on it.

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use crate::Kind;

/// A policy's refusal of a call; its facts are read as if they were its fields.
///
/// One pointer: what carries an answer or a refusal stays small for the sake of the answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejection(Box<Facts>);

/// What there is to say of a refusal.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// The policy's name, as configured.
    pub policy: Box<str>,
    /// Which part of it refused.
    pub kind: Kind,
    /// Why, in one stable word: `limited`, `never`, `open`, `half_open_busy`, `ramp`, `overloaded`,
    /// `queue_timeout`, `deadline_insufficient`, …
    pub reason: &'static str,
    /// When it makes sense to come back, where the part can tell.
    pub retry_after: Option<Duration>,
    /// A sentence for a person, such as `10 of 20 calls failed in 10 s`.
    pub detail: String,
    /// The limit that refused, for the RateLimit headers.
    pub limit: Option<LimitState>,
}

/// What a rate limit stands at, as told in `RateLimit-Policy` and `RateLimit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitState {
    /// Units of the quota (`q`).
    pub quota: u64,
    /// The quota's window (`w`).
    pub window: Duration,
    /// Units left (`r`).
    pub remaining: u64,
    /// Until the quota is whole again (`t`).
    pub reset: Duration,
}

impl From<Facts> for Rejection {
    fn from(facts: Facts) -> Self {
        Self(Box::new(facts))
    }
}

impl Deref for Rejection {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        &self.0
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rejected by {} \"{}\": {}", self.kind.name(), self.policy, self.reason)?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        if let Some(after) = self.retry_after {
            write!(f, "; retry after {:.1} s", after.as_secs_f64())?;
        }
        Ok(())
    }
}

impl std::error::Error for Rejection {}
