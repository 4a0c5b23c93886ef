//! What a run tells whoever watches: the decision log, the metrics, a timeline.

use std::time::Duration;

use crate::gates::breaker::{Per, Transition};
use crate::gates::fault::Injection;
use crate::gates::rate_limit::Standing;
use crate::{Attempt, Cause, Class, Kind, Rejection, Time};

/// One step of a call, or of a part's state.
#[derive(Debug)]
pub enum Event<'a> {
    /// A part let the call, or the attempt, pass.
    Admitted {
        /// The policy's name.
        policy: &'a str,
        /// Which part.
        kind: Kind,
        /// Of a rate limit: how the tightest one stands.
        limit: Option<Standing<'a>>,
    },
    /// The call goes on after `wait`: it is shaped, it backs off, or (told afterwards) it has queued.
    Delayed {
        /// The policy's name.
        policy: &'a str,
        /// Which part.
        kind: Kind,
        /// For how long.
        wait: Duration,
    },
    /// A part refused the call, and that ended it.
    Rejected(&'a Rejection),
    /// A part in shadow mode would have refused it.
    WouldReject(&'a Rejection),
    /// A gate of this endpoint refused, and another endpoint is looked for.
    Skipped {
        /// The endpoint.
        endpoint: &'a str,
        /// Why.
        rejection: &'a Rejection,
    },
    /// An attempt is sent.
    Attempt(&'a Attempt<'a>),
    /// Something is done to the attempt that was just told of.
    Injected {
        /// The policy's name.
        policy: &'a str,
        /// The attempt's number.
        attempt: u32,
        /// What.
        injection: Injection,
        /// Whether it is only what would have been done.
        shadow: bool,
    },
    /// An attempt failed and another may not follow, though one might have helped.
    NotRetried {
        /// The policy's name.
        policy: &'a str,
        /// How the attempt ended.
        cause: Cause,
        /// `body`: what was sent cannot be sent again; `budget`: there were too many retries lately;
        /// `deadline`: there is no time left; `pushback`: the peer said not to come back;
        /// `shadow`: it would have been retried.
        reason: &'static str,
    },
    /// An attempt is slow, and another may not join it.
    NotHedged {
        /// The policy's name.
        policy: &'a str,
        /// `body`: what was sent cannot be sent again, or not yet; `budget`: there were too many retries
        /// and hedges lately; `deadline`: there is no time left; `endpoint`: there is no other;
        /// `shadow`: it would have been hedged; otherwise the reason of the gate that refused it.
        reason: &'static str,
    },
    /// A breaker was told how an attempt ended.
    Settled {
        /// The policy's name.
        policy: &'a str,
        /// Which part.
        kind: Kind,
        /// What it counts as.
        class: Class,
        /// Whether it came too late to count.
        stale: bool,
    },
    /// A breaker went from one state to another.
    State {
        /// The policy's name.
        policy: &'a str,
        /// What the breaker guards.
        per: Per,
        /// Its name.
        target: &'a str,
        /// From what, to what, when and why.
        transition: &'a Transition,
    },
    /// The caller is given the fallback in place of a failure or a refusal.
    FellBack {
        /// The policy's name.
        policy: &'a str,
        /// Whether it is only what would have been done.
        shadow: bool,
    },
    /// The call is over. Comes once, and last.
    Done {
        /// How.
        outcome: Outcome,
        /// How many attempts were sent.
        attempts: u32,
        /// Since it arrived.
        took: Duration,
    },
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// With an answer.
    Success,
    /// With the failure of its last attempt.
    Failure,
    /// Refused before any attempt.
    Rejected,
    /// Its time was over.
    Deadline,
    /// Its caller went away.
    Cancelled,
}

impl Outcome {
    /// Whether a caller is better off with the policy's fallback, if it has one.
    pub(crate) const fn wants_fallback(self) -> bool {
        matches!(self, Self::Failure | Self::Rejected | Self::Deadline)
    }

    /// Its name in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Rejected => "rejected",
            Self::Deadline => "deadline",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Receives the events of runs.
pub trait Observer {
    /// `event` happened at `now`.
    fn event(&self, now: Time, event: &Event<'_>);
}

/// Nobody watches.
impl Observer for () {
    #[inline]
    fn event(&self, _: Time, _: &Event<'_>) {}
}
