//! What a run tells whoever watches: the decision log, the metrics, a timeline.

use std::time::Duration;

use crate::{Kind, Rejection, Time};

/// One step of a call, or of a part's state.
#[derive(Debug)]
pub enum Event<'a> {
    /// A part let the call pass.
    Admitted {
        /// Which part.
        kind: Kind,
        /// Of a rate limit: units left and the time until it is whole again.
        limit: Option<(u64, Duration)>,
    },
    /// A rate limit shapes the call: it goes on after `wait`.
    Delayed {
        /// Which part.
        kind: Kind,
        /// For how long.
        wait: Duration,
    },
    /// A part refused the call.
    Rejected(&'a Rejection),
    /// A part in shadow mode would have refused it.
    WouldReject(&'a Rejection),
}

/// Receives the events of runs.
pub trait Observer {
    /// `event` happened at `now`.
    fn event(&self, now: Time, event: &Event<'_>);
}

/// Nobody watches.
impl Observer for () {
    fn event(&self, _: Time, _: &Event<'_>) {}
}
