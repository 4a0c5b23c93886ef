//! What is counted, worker by worker, and added up when somebody asks.
//!
//! A worker writes only to its own shard, whose lock nobody else takes but a scrape.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use locum_policy::{AttemptKind, Cause};

use crate::label::Label;
use crate::record::{Decision, Record};

pub use exposition::{Exposition, Format};
pub use histogram::Histogram;

mod exposition;
mod family;
mod histogram;
mod scrape;

use family::Family;
pub(crate) use family::Word;
pub(crate) use scrape::{render, render_dropped, render_spans};

/// The counts of one worker.
#[derive(Default)]
pub(crate) struct Shard(Mutex<Counts>);

/// Everything that a worker counts.
#[derive(Clone, Default)]
pub(crate) struct Counts {
    calls: Family<CallKey, u64>,
    call_durations: Family<(Label, Label), Histogram>,
    attempts: Family<AttemptKey, u64>,
    attempt_durations: Family<(Label, Label), Histogram>,
    decisions: Family<Decision, u64>,
    refused: Family<(Label, &'static str), u64>,
    bytes: Family<(Label, Direction), u64>,
    malformed_timeouts: Family<Label, u64>,
    mirrored: Family<(Label, &'static str), u64>,
    panics: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct CallKey {
    pub(crate) listener: Label,
    pub(crate) route: Label,
    pub(crate) upstream: Label,
    pub(crate) protocol: Word,
    pub(crate) outcome: Word,
    pub(crate) code: Code,
}

/// What the client was told, in the words of its protocol.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Code {
    /// A status of HTTP.
    Status(u16),
    /// What came of a remote call: `ok`, or the class of its failure.
    Word(Word),
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => status.fmt(f),
            Self::Word(word) => word.fmt(f),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct AttemptKey {
    upstream: Label,
    kind: Word,
    outcome: Word,
}

/// Which way bytes went, as the client sees it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Direction {
    In,
    Out,
}

impl Shard {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call that has ended, and all that happened in it.
    pub(crate) fn count_call(
        &self,
        key: CallKey,
        took: Duration,
        bytes: (u64, u64),
        record: &Record,
    ) {
        let mut counts = self.counts();
        *counts.calls.at(&key, || CallKey {
            route: Label::OTHER,
            upstream: Label::OTHER,
            ..key
        }) += 1;
        let durations = &mut counts.call_durations;
        durations.at(&(key.route, key.upstream), || (Label::OTHER, Label::OTHER)).observe(took);
        counts.add_bytes(key.listener, bytes);
        for (n, attempt) in record.attempts.borrow().iter().enumerate() {
            let outcome = Word(attempt.cause.map_or("cancelled", outcome_name));
            let kind = Word(kind_name(attempt.kind));
            let key = AttemptKey { upstream: attempt.upstream, kind, outcome };
            *counts.attempts.nth(n, &key, || AttemptKey { upstream: Label::OTHER, ..key }) += 1;
            let series = (attempt.upstream, attempt.endpoint.label);
            let durations = &mut counts.attempt_durations;
            if let Some(took) = attempt.took {
                durations.nth(n, &series, || (Label::OTHER, Label::OTHER)).observe(took);
            }
        }
        for (n, decision) in record.decisions.borrow().iter().enumerate() {
            let other = || Decision { policy: Label::OTHER, ..*decision };
            *counts.decisions.nth(n, decision, other) += 1;
        }
    }

    /// Counts a request or a connection that was refused before it was a call.
    pub(crate) fn count_refused(&self, listener: Label, reason: &'static str) {
        *self.counts().refused.at(&(listener, reason), || (Label::OTHER, reason)) += 1;
    }

    /// Counts a call that was made once more at that upstream, or was to be.
    pub(crate) fn count_mirrored(&self, upstream: Label, outcome: &'static str) {
        *self.counts().mirrored.at(&(upstream, outcome), || (Label::OTHER, outcome)) += 1;
    }

    /// Counts what a trusted peer said of time and cannot be read.
    pub(crate) fn count_malformed_timeouts(&self, listener: Label, count: u64) {
        *self.counts().malformed_timeouts.at(&listener, || Label::OTHER) += count;
    }

    /// Counts a connection that a fault of ours ended.
    pub(crate) fn count_panic(&self) {
        self.counts().panics += 1;
    }
}

impl Counts {
    fn add_bytes(&mut self, listener: Label, (read, written): (u64, u64)) {
        for (n, (direction, count)) in
            [(Direction::In, read), (Direction::Out, written)].into_iter().enumerate()
        {
            let key = (listener, direction);
            *self.bytes.nth(n, &key, || (Label::OTHER, direction)) += count;
        }
    }

    /// All shards added up.
    pub(crate) fn sum(shards: &[Arc<Shard>]) -> Self {
        let mut sum = Self::default();
        for shard in shards {
            let counts = shard.counts();
            let add = |to: &mut u64, from: &u64| *to += from;
            let join = |to: &mut Histogram, from: &Histogram| to.add(from);
            sum.calls.merge(&counts.calls, add);
            sum.call_durations.merge(&counts.call_durations, join);
            sum.attempts.merge(&counts.attempts, add);
            sum.attempt_durations.merge(&counts.attempt_durations, join);
            sum.decisions.merge(&counts.decisions, add);
            sum.refused.merge(&counts.refused, add);
            sum.bytes.merge(&counts.bytes, add);
            sum.malformed_timeouts.merge(&counts.malformed_timeouts, add);
            sum.mirrored.merge(&counts.mirrored, add);
            sum.panics += counts.panics;
        }
        sum
    }
}

pub(crate) fn kind_name(kind: AttemptKind) -> &'static str {
    match kind {
        AttemptKind::First => "first",
        AttemptKind::Retry => "retry",
        AttemptKind::Hedge => "hedge",
    }
}

/// The label of an attempt's outcome: what happened, not how a policy judged it.
pub(crate) fn outcome_name(cause: Cause) -> &'static str {
    match cause {
        Cause::Status(429) | Cause::Grpc(8) => "overload",
        Cause::Status(500..=599) => "failure",
        Cause::Grpc(2 | 4 | 13 | 14 | 15) => "failure",
        // The service works: what it says of its own is an answer.
        Cause::Status(_) | Cause::Grpc(_) | Cause::Reply | Cause::AppError => "success",
        Cause::Connect => "connect",
        Cause::ConnectTimeout => "connect_timeout",
        Cause::Refused => "refused",
        Cause::Stale => "stale",
        Cause::Reset => "reset",
        Cause::Truncated => "truncated",
        Cause::Protocol => "protocol",
        Cause::Timeout => "timeout",
        Cause::Cancelled => "cancelled",
        Cause::Unavailable => "unavailable",
    }
}
