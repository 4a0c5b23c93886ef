//! What an error of a call means to a policy.

use std::time::Duration;

use locum_policy::Cause;

use super::{CallError, Delivery, ProtocolKind, Rejection, TransportKind};

impl<E> CallError<E> {
    /// How the attempt that ended with it did.
    pub(crate) fn cause(&self) -> Cause {
        match self {
            Self::App(_) => Cause::AppError,
            Self::Rejected(rejection) => rejection.cause(),
            Self::Transport(error) => match (error.kind, error.delivery) {
                (TransportKind::Connect, _) => Cause::Connect,
                (TransportKind::Cancelled | TransportKind::Unsupported, _) => Cause::Cancelled,
                (TransportKind::Unavailable, _) | (_, Delivery::Refused) => Cause::Refused,
                (TransportKind::Closed, Delivery::NotSent) => Cause::Stale,
                (TransportKind::Closed, Delivery::MaybeProcessed) => Cause::Reset,
            },
            // The peer works, and would say the same again.
            Self::Protocol(error) => match error.kind {
                ProtocolKind::UnknownMethod | ProtocolKind::BadArguments => Cause::Reply,
                ProtocolKind::BadReply => Cause::Protocol,
            },
            // As gRPC says it: INTERNAL.
            Self::Internal(_) => Cause::Grpc(13),
        }
    }

    /// When whoever refused it says to come back.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Rejected(rejection) => rejection.retry_after,
            _ => None,
        }
    }
}

impl Rejection {
    fn cause(&self) -> Cause {
        match self.kind.as_str() {
            "deadline" => Cause::Timeout,
            // There is no use in asking again at once, but nothing was begun.
            "breaker" => Cause::Refused,
            // As gRPC says it: RESOURCE_EXHAUSTED.
            _ => Cause::Grpc(8),
        }
    }
}
