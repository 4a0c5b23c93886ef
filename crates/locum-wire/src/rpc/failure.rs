//! How a call fails on the wire.

use std::borrow::Cow;
use std::time::Duration;

/// What a peer says in place of a result.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure<'a> {
    /// Whose fault it is.
    pub class: Class,
    /// A sentence; on net/rpc it is all there is.
    pub text: Cow<'a, str>,
    /// The application's own number, where the protocol has room for one.
    pub code: Option<i64>,
    /// The application's error as a value, where the protocol has room for one: postcard on the native
    /// protocol, JSON on JSON-RPC.
    pub detail: Option<Cow<'a, [u8]>>,
    /// What there is to know of a refusal, if it is one.
    pub refusal: Option<Refusal>,
}

/// Whose fault a failure is. Classes are never collapsed: a policy's refusal is not the service's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The service's own error.
    App,
    /// There is no such service or method.
    UnknownMethod,
    /// The arguments could not be read.
    BadArguments,
    /// A policy refused the call.
    Rejected,
    /// Its time was over.
    Deadline,
    /// Its caller gave it up.
    Cancelled,
    /// The server does not take calls (it drains, or is full); this one was not begun.
    Unavailable,
    /// The server is at fault: a handler panicked.
    Internal,
}

/// A policy's refusal: what stands in `locum: rejected by KIND "POLICY": REASON; retry after D`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// `rate_limit`, `concurrency`, `breaker`, `deadline`, …
    pub kind: String,
    /// The policy's name.
    pub policy: String,
    /// One stable word: `limited`, `open`, …
    pub reason: String,
    /// When to come back.
    pub retry_after: Option<Duration>,
}
