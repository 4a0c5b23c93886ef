//! How an attempt ended, and what that means to a policy.

use crate::gates::deadline::Cut;

/// What happened to an attempt, as its protocol saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// An HTTP answer with this status.
    Status(u16),
    /// A gRPC answer with this status code.
    Grpc(u8),
    /// An RPC answer.
    Reply,
    /// An RPC answer that is the application's own error.
    AppError,
    /// No connection could be made; nothing was sent.
    Connect,
    /// Making the connection took longer than its own timeout; nothing was sent.
    ConnectTimeout,
    /// The peer refused the stream before processing it (HTTP/2 `REFUSED_STREAM`).
    Refused,
    /// A reused connection turned out dead, and the peer cannot have processed anything of this call.
    Stale,
    /// The connection broke after the call may have reached the peer, before an answer began.
    Reset,
    /// The answer broke after it had begun.
    Truncated,
    /// The peer answered, but not in its protocol.
    Protocol,
    /// Our attempt timeout, or the call's deadline, ended it.
    Timeout,
    /// The caller went away, or what it sent was at fault.
    Cancelled,
    /// No endpoint could be chosen, or a policy of the endpoint refused.
    Unavailable,
}

/// What an outcome counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The peer works.
    Success,
    /// The peer, or the way to it, does not.
    Failure,
    /// Says nothing about the peer.
    Ignored,
    /// The peer says that it is overloaded (429, RESOURCE_EXHAUSTED).
    Overload,
}

/// What a policy says of outcomes (its breaker's keys).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Whether an overload counts at all.
    pub count_overload: bool,
    /// Whether an RPC application's own error is a failure.
    pub count_app_errors: bool,
}

impl Rules {
    /// What `cause` counts as, for an attempt whose time being over would mean `cut`.
    #[inline]
    pub fn class(&self, cause: Cause, cut: Cut) -> Class {
        match cause {
            Cause::Connect
            | Cause::ConnectTimeout
            | Cause::Refused
            | Cause::Stale
            | Cause::Reset
            | Cause::Truncated
            | Cause::Protocol
            | Cause::Status(500 | 502 | 503 | 504)
            // gRPC: UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE, DATA_LOSS.
            | Cause::Grpc(2 | 4 | 13 | 14 | 15) => Class::Failure,
            Cause::AppError if self.count_app_errors => Class::Failure,
            // The caller's deadline is the peer's fault only if the peer had time enough.
            Cause::Timeout if cut == Cut::ShortCall => Class::Ignored,
            Cause::Timeout => Class::Failure,
            // gRPC: RESOURCE_EXHAUSTED.
            Cause::Status(429) | Cause::Grpc(8) if self.count_overload => Class::Overload,
            Cause::Status(400..=499) | Cause::Grpc(8) => Class::Ignored,
            // gRPC: CANCELLED is what the peer says when its caller has gone.
            Cause::Cancelled | Cause::Unavailable | Cause::Grpc(1) => Class::Ignored,
            Cause::Status(_) | Cause::Grpc(_) | Cause::Reply | Cause::AppError => Class::Success,
        }
    }
}

/// What an attempt's end tells of whether the peer takes calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It answered, if only that the caller was at fault; `worked`: with what was asked for.
    Accepted { worked: bool },
    /// It says that there is too much to do, or took too long.
    Overload,
    /// It failed.
    Failed,
    /// Nothing: the attempt was not sent, or given up before there was an answer.
    #[default]
    Nothing,
}

impl Cause {
    /// What is heard of the peer in an attempt whose time being over would mean `cut`.
    #[inline]
    pub(crate) fn heard(self, cut: Cut) -> Heard {
        match self {
            // gRPC: RESOURCE_EXHAUSTED.
            Self::Status(429 | 503) | Self::Grpc(8) | Self::Refused => Heard::Overload,
            Self::Timeout if cut != Cut::ShortCall => Heard::Overload,
            Self::Status(400..=499) => Heard::Accepted { worked: false },
            _ => match Rules::default().class(self, cut) {
                Class::Success => Heard::Accepted { worked: true },
                Class::Failure | Class::Overload => Heard::Failed,
                Class::Ignored => Heard::Nothing,
            },
        }
    }
}
