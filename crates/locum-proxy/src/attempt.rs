//! An attempt that is under way, whatever it is an attempt of.

use std::cell::Cell;

use locum_policy::balance::Seen;
use locum_policy::{Attempt, Cause, Time};

use crate::record::Record;
use crate::upstream::Upstream;
use crate::worker::Worker;

/// An attempt whose answer has not begun. Dropped before its [`end`](Self::end), it was cut off: its time is
/// over, or nobody waits for it any more.
pub(crate) struct UnderWay<'a> {
    tally: Tally<'a>,
    upstream: &'a Upstream,
    number: u32,
    endpoint: u32,
    started: Time,
    deadline: Option<Time>,
    cut: bool,
}

/// Where attempts of one call are counted.
#[derive(Clone, Copy)]
pub(crate) struct Tally<'a> {
    /// Those whose answers have not begun.
    pub(crate) under_way: &'a Cell<u32>,
    pub(crate) record: &'a Record,
    pub(crate) worker: &'a Worker,
}

impl<'a> UnderWay<'a> {
    pub(crate) fn begin(tally: Tally<'a>, upstream: &'a Upstream, attempt: &Attempt<'_>) -> Self {
        tally.under_way.set(tally.under_way.get() + 1);
        Self {
            tally,
            upstream,
            number: attempt.number,
            endpoint: attempt.endpoint.id,
            started: attempt.started,
            deadline: attempt.deadline,
            cut: true,
        }
    }

    /// It ended by itself.
    pub(crate) fn end(mut self) {
        self.cut = false;
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let Tally { under_way, record, worker } = self.tally;
        under_way.set(under_way.get() - 1);
        if self.cut {
            let now = worker.now();
            let in_time = self.deadline.is_none_or(|deadline| now < deadline);
            let cause = if in_time { Cause::Cancelled } else { Cause::Timeout };
            record.attempt_cut(self.number, cause, now);
            let took = self.started.until(now);
            self.upstream.observe(self.endpoint, took, Seen::of(cause), now);
        }
    }
}
