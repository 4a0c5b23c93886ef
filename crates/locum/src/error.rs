//! Why a call failed, and whether it may be tried again.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use locum_wire::rpc::write_retry_after;

mod cause;
mod wire;

/// Why a call failed. The classes are never collapsed: a policy's refusal is not the service's error,
/// and neither is a broken connection.
///
/// `E` is what the service itself fails with; `?` turns an `E` into [`App`](Self::App).
#[derive(Clone, Debug, PartialEq)]
pub enum CallError<E = String> {
    /// The service's own error.
    App(E),
    /// A policy refused the call, or its time was over; here or at the peer.
    Rejected(Box<Rejection>),
    /// The call could not be carried to the service, or its answer back.
    Transport(TransportError),
    /// The two sides do not agree on what is called: there is no such method, or one of them could not
    /// read what the other sent.
    Protocol(ProtocolError),
    /// The service is at fault: its handler panicked.
    Internal(String),
}

/// A refusal by a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// `rate_limit`, `concurrency`, `breaker`, `deadline`, …
    pub kind: String,
    /// The policy's name; empty for a deadline that no policy set.
    pub policy: String,
    /// One stable word: `limited`, `open`, `deadline`, …
    pub reason: String,
    /// A sentence for a person; may be empty.
    pub detail: String,
    /// When to come back, if that makes sense.
    pub retry_after: Option<Duration>,
    /// Whether the service may have begun the call all the same. Only a deadline can be over then.
    pub delivery: Delivery,
}

/// The call could not be carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportError {
    /// What happened.
    pub kind: TransportKind,
    /// Whether the service may have begun the call.
    pub delivery: Delivery,
    /// For a person.
    pub detail: String,
}

/// What happened to a call that could not be carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportKind {
    /// No connection could be made.
    Connect,
    /// The connection broke.
    Closed,
    /// The call, or this side of it, was given up.
    Cancelled,
    /// The peer takes no calls now: it drains, or is full.
    Unavailable,
    /// What was to be sent cannot be: this wire has nothing like it, or it is too large.
    Unsupported,
}

/// The two sides do not agree on what is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtocolError {
    /// On what.
    pub kind: ProtocolKind,
    /// For a person; as the peer said it, if it did.
    pub detail: String,
}

/// On what the two sides of a call do not agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProtocolKind {
    /// The peer has no such service or method.
    UnknownMethod,
    /// The peer could not read the argument.
    BadArguments,
    /// What the peer answered could not be read.
    BadReply,
}

/// How far a failed call got: what makes it safe to try it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// Nothing of it left.
    NotSent,
    /// The peer said that it did not begin it.
    Refused,
    /// It may have been begun, or done.
    MaybeProcessed,
}

/// What a service fails with, and how that travels. On wires that carry only text, the text is all
/// there is.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is the error of a service, so it has to be an `AppError`",
    note = "derive it: `#[derive(locum::AppError)]`, or implement it for errors that are no enum"
)]
pub trait AppError: fmt::Display + Sized + Send + Sync + 'static {
    /// The error that a peer put into words.
    fn from_text(text: String) -> Self;

    /// Its number, on wires that have room for one (JSON-RPC 2.0, native).
    fn code(&self) -> Option<i64> {
        None
    }

    /// The error as a value, by postcard, on the native protocol.
    fn to_bytes(&self) -> Option<Vec<u8>> {
        None
    }

    /// The error of [`to_bytes`](Self::to_bytes); `None`: these bytes are none.
    fn from_bytes(_bytes: &[u8]) -> Option<Self> {
        None
    }
}

impl AppError for String {
    fn from_text(text: String) -> Self {
        text
    }
}

impl<E> CallError<E> {
    /// How far the call got.
    pub fn delivery(&self) -> Delivery {
        match self {
            Self::App(_) | Self::Internal(_) => Delivery::MaybeProcessed,
            Self::Rejected(rejection) => rejection.delivery,
            Self::Transport(error) => error.delivery,
            Self::Protocol(error) => error.kind.delivery(),
        }
    }

    /// Changes the service's own error, such as that of the service asked into that of the one asking.
    ///
    /// ```
    /// # use locum::CallError;
    /// let theirs = CallError::App("divide by zero".to_owned());
    /// let ours = theirs.map_app(|text| text.len());
    /// assert_eq!(ours, CallError::App(14));
    /// ```
    pub fn map_app<F>(self, change: impl FnOnce(E) -> F) -> CallError<F> {
        match self {
            Self::App(error) => CallError::App(change(error)),
            Self::Rejected(rejection) => CallError::Rejected(rejection),
            Self::Transport(error) => CallError::Transport(error),
            Self::Protocol(error) => CallError::Protocol(error),
            Self::Internal(text) => CallError::Internal(text),
        }
    }

    /// Of a call that may have been begun before the attempt that ended with this.
    pub(crate) fn begun_before(mut self) -> Self {
        match &mut self {
            Self::Rejected(rejection) => rejection.delivery = Delivery::MaybeProcessed,
            Self::Transport(error) => error.delivery = Delivery::MaybeProcessed,
            Self::App(_) | Self::Protocol(_) | Self::Internal(_) => {}
        }
        self
    }

    /// A policy of this side refused a call.
    pub(crate) fn rejected(rejection: &locum_policy::Rejection, delivery: Delivery) -> Self {
        Self::Rejected(Box::new(Rejection {
            kind: rejection.kind.name().to_owned(),
            policy: rejection.policy.to_string(),
            reason: rejection.reason.to_owned(),
            detail: rejection.detail.clone(),
            retry_after: rejection.retry_after,
            delivery,
        }))
    }

    /// A call could not be carried.
    pub(crate) fn transport(
        kind: TransportKind,
        delivery: Delivery,
        detail: impl Into<String>,
    ) -> Self {
        Self::Transport(TransportError { kind, delivery, detail: detail.into() })
    }

    /// The time of a call was over, by a deadline that no policy set.
    pub(crate) fn deadline(delivery: Delivery) -> Self {
        Self::Rejected(Box::new(Rejection {
            kind: "deadline".to_owned(),
            policy: String::new(),
            reason: "deadline".to_owned(),
            detail: String::new(),
            retry_after: None,
            delivery,
        }))
    }
}

impl ProtocolKind {
    /// How far such a call got.
    pub const fn delivery(self) -> Delivery {
        match self {
            Self::UnknownMethod | Self::BadArguments => Delivery::Refused,
            Self::BadReply => Delivery::MaybeProcessed,
        }
    }
}

impl<E> From<E> for CallError<E> {
    fn from(error: E) -> Self {
        Self::App(error)
    }
}

/// A service whose error is text may say `Err("divide by zero")?`.
impl From<&str> for CallError {
    fn from(text: &str) -> Self {
        Self::App(text.to_owned())
    }
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App(error) => error.fmt(f),
            Self::Rejected(rejection) => rejection.fmt(f),
            Self::Transport(error) => error.fmt(f),
            Self::Protocol(error) => error.fmt(f),
            Self::Internal(text) => write!(f, "internal: {text}"),
        }
    }
}

impl<E: fmt::Display + fmt::Debug> Error for CallError<E> {}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rejected by {} \"{}\": {}", self.kind, self.policy, self.reason)?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        write_retry_after(f, self.retry_after)
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            TransportKind::Connect => "cannot connect",
            TransportKind::Closed => "connection closed",
            TransportKind::Cancelled => "cancelled",
            TransportKind::Unavailable => "unavailable",
            TransportKind::Unsupported => "unsupported",
        };
        f.write_str(kind)?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            ProtocolKind::UnknownMethod => "unknown method",
            ProtocolKind::BadArguments => "bad arguments",
            ProtocolKind::BadReply => "bad reply",
        };
        write!(f, "{kind}: {}", self.detail)
    }
}

impl Error for Rejection {}
impl Error for TransportError {}
impl Error for ProtocolError {}
