//! What may be tried again.

use std::fmt;
use std::str::FromStr;

use crate::Cause;
use crate::text::{Malformed, not_a_word};

/// A way for an attempt to fail that another attempt may cure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// No connection could be made, or not in time.
    Connect,
    /// The peer refused the stream before it processed anything.
    Refused,
    /// A reused connection was dead, and nothing had been processed.
    Stale,
    /// The attempt took too long.
    Timeout,
    /// The connection broke before an answer began.
    Reset,
    /// The answer broke after it had begun.
    Truncated,
    /// The peer answered, but not in its protocol.
    Protocol,
    /// An RPC application's own error.
    AppError,
    /// An HTTP answer with this status.
    Status(u16),
    /// A gRPC answer with this status code.
    Grpc(u8),
}

impl Condition {
    /// What rarely happens twice, and does not mean that the peer has enough of it already.
    pub const DEFAULT: &[Self] = &[
        Self::Connect,
        Self::Refused,
        Self::Stale,
        Self::Timeout,
        Self::Reset,
        Self::Status(502),
        Self::Status(503),
        Self::Status(504),
        Self::Grpc(14),
    ];

    pub(super) fn matches(self, cause: Cause) -> bool {
        match self {
            Self::Connect => matches!(cause, Cause::Connect | Cause::ConnectTimeout),
            Self::Refused => cause == Cause::Refused,
            Self::Stale => cause == Cause::Stale,
            Self::Timeout => cause == Cause::Timeout,
            Self::Reset => cause == Cause::Reset,
            Self::Truncated => cause == Cause::Truncated,
            Self::Protocol => cause == Cause::Protocol,
            Self::AppError => cause == Cause::AppError,
            Self::Status(status) => cause == Cause::Status(status),
            Self::Grpc(code) => cause == Cause::Grpc(code),
        }
    }

    /// Whether nothing can have been processed, so that even a call with effects may be made again.
    pub(super) const fn is_safe(self) -> bool {
        matches!(self, Self::Connect | Self::Refused | Self::Stale)
    }
}

const WORDS: &[(&str, Condition)] = &[
    ("connect", Condition::Connect),
    ("refused", Condition::Refused),
    ("stale", Condition::Stale),
    ("timeout", Condition::Timeout),
    ("reset", Condition::Reset),
    ("truncated", Condition::Truncated),
    ("protocol", Condition::Protocol),
    ("app-error", Condition::AppError),
];

/// The names of gRPC's status codes, in order from 0 ("Status codes and their use in gRPC").
pub const GRPC_STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

impl FromStr for Condition {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        if let Some((_, condition)) = WORDS.iter().find(|(word, _)| *word == text) {
            return Ok(*condition);
        }
        // OK is not one to retry.
        if let Some(code) = GRPC_STATUSES.iter().skip(1).position(|name| *name == text) {
            return Ok(Self::Grpc(code as u8 + 1));
        }
        match text.parse::<u16>() {
            Ok(status @ 400..=599) => Ok(Self::Status(status)),
            _ => {
                let mut known: Vec<_> = WORDS.iter().map(|(word, _)| *word).collect();
                known.extend(["a status from 400 to 599", "a gRPC status such as UNAVAILABLE"]);
                Err(not_a_word(text, &known))
            }
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::Grpc(code) => {
                f.write_str(GRPC_STATUSES.get(usize::from(*code)).copied().unwrap_or("UNKNOWN"))
            }
            other => {
                let word = WORDS.iter().find(|(_, condition)| condition == other);
                f.write_str(word.map_or("", |(word, _)| word))
            }
        }
    }
}
