//! What an algorithm is: pure steps on a state that somebody else keeps and locks.

use std::time::Duration;

use crate::Time;

/// A way to limit a rate. One value serves all buckets of a limit; each bucket has a state.
///
/// Time never goes back for the caller, but a state may have seen a slightly later one; it then
/// counts as now.
pub(super) trait Algorithm {
    type State;

    /// The state of a bucket that nobody has used.
    fn fresh(&self) -> Self::State;

    /// Whether nothing tells the bucket from a fresh one.
    fn is_idle(&self, state: &Self::State, now: Time) -> bool;

    /// Lets time pass: what is over by `now` is let go.
    fn advance(&self, state: &mut Self::State, now: Time);

    /// What [`take`](Self::take) would do to a state that has advanced to the ask's time.
    fn decide(&self, state: &Self::State, ask: &Ask) -> Result<Hit, Refusal>;

    /// Takes what [`decide`](Self::decide) allowed.
    fn take(&self, state: &mut Self::State, ask: &Ask);

    /// How a state that has advanced to `now` stands.
    fn level(&self, state: &Self::State, now: Time) -> Level;

    /// The whole units left at `level`, and the time until all are back.
    fn standing(&self, level: Level) -> (u64, Duration);
}

/// What a call wants of a limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) now: Time,
    /// At least 1.
    pub(super) units: u64,
    pub(super) deadline: Option<Time>,
}

impl Ask {
    /// How long the call may be made to wait.
    pub(super) fn patience(&self, max_wait: Option<Duration>) -> Duration {
        let left = self.deadline.map_or(Duration::MAX, |deadline| self.now.until(deadline));
        max_wait.map_or(left, |max_wait| max_wait.min(left))
    }
}

/// What a taking leaves behind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hit {
    pub(super) level: Level,
    /// Until the call's turn.
    pub(super) wait: Duration,
}

/// How a bucket stands, in measures of its algorithm, which turns them into numbers if anybody asks:
/// that takes a division, and most calls are seen by nobody.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    pub(super) used: u128,
    /// Until nothing is used.
    pub(super) reset: u128,
}

/// Why units cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// They are more than there ever are at once.
    Never,
    /// They can be had after this long, if nobody else comes.
    Limited(Duration),
    /// Their turn comes this much later than the call may wait.
    TooLate(Duration),
}

impl Refusal {
    pub(super) const fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::Limited(after) | Self::TooLate(after) => Some(after),
        }
    }
}

/// Nanoseconds as a duration; what is beyond 584 years is as good as never.
pub(super) fn nanos(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
