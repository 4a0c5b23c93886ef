//! How a call ended, before its reply is read.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use locum_policy::Cause;
use locum_wire::gob;
use locum_wire::rpc::{Body, Class, DecodeError, Failure, Form};
use serde::de::DeserializeOwned;

use crate::{AppError, CallError, Delivery, ProtocolError, ProtocolKind, TransportKind};

use super::connection::keep_spare;
use super::streams::Opened;

/// How a call that was sent ended.
pub(super) enum Outcome {
    /// It has not: it returned a stream.
    Opened(Box<Opened>),
    /// With a reply, whose bytes are apart.
    Reply(OwnedForm),
    /// The peer says how it failed.
    Failure(Box<Failure<'static>>),
    /// Its answer cannot be read.
    Unreadable(String),
    /// There will be no answer.
    Lost(Lost),
}

/// Why there will be no answer.
pub(super) enum Lost {
    /// Its time was over. It is sent all the same, if it is not yet.
    TimedOut,
    /// The connection closed before anything of it was sent.
    NotSent(Arc<str>),
    /// The peer goes away and did not begin it.
    Refused,
    /// The connection closed.
    MaybeProcessed(Arc<str>),
    /// The stream that goes with it cannot be sent.
    Unsendable(Arc<str>),
}

/// How a reply is written.
pub(super) enum OwnedForm {
    Gob { types: Arc<gob::Types>, id: gob::TypeId },
    Json,
    Postcard,
}

impl OwnedForm {
    pub(super) fn of(form: &Form<'_>) -> Self {
        match *form {
            Form::Gob { types, id } => Self::Gob { types: Arc::clone(types), id },
            // Only arguments come by position.
            Form::Json | Form::Params => Self::Json,
            Form::Postcard => Self::Postcard,
        }
    }

    fn borrow(&self) -> Form<'_> {
        match self {
            Self::Gob { types, id } => Form::Gob { types, id: *id },
            Self::Json => Form::Json,
            Self::Postcard => Form::Postcard,
        }
    }
}

/// An error of a call that is not the service's own.
pub(super) type Undone = CallError<Infallible>;

/// How a call ended, and the bytes of its reply if it has one.
pub(super) struct Answered {
    pub(super) outcome: Outcome,
    pub(super) body: Vec<u8>,
    /// How long it took on its connection, by the clock of its batches.
    pub(super) took: Option<Duration>,
}

impl Answered {
    /// What the call means to a policy.
    pub(super) fn cause(&self) -> Cause {
        match &self.outcome {
            Outcome::Reply(_) | Outcome::Opened(_) => Cause::Reply,
            Outcome::Failure(failure) => match failure.class {
                Class::App => Cause::AppError,
                // The peer works, and would say the same again.
                Class::UnknownMethod | Class::BadArguments => Cause::Reply,
                Class::Unavailable => Cause::Refused,
                Class::Rejected if is_breaker(failure) => Cause::Refused,
                // As gRPC says it: RESOURCE_EXHAUSTED, INTERNAL.
                Class::Rejected => Cause::Grpc(8),
                Class::Internal => Cause::Grpc(13),
                Class::Deadline => Cause::Timeout,
                Class::Cancelled => Cause::Cancelled,
            },
            Outcome::Unreadable(_) => Cause::Protocol,
            Outcome::Lost(Lost::TimedOut) => Cause::Timeout,
            Outcome::Lost(Lost::NotSent(_)) => Cause::Stale,
            Outcome::Lost(Lost::Refused) => Cause::Refused,
            Outcome::Lost(Lost::MaybeProcessed(_)) => Cause::Reset,
            Outcome::Lost(Lost::Unsendable(_)) => Cause::Cancelled,
        }
    }
}

impl Answered {
    /// A reply that came from no peer, as JSON.
    pub(super) const fn json(body: Vec<u8>) -> Self {
        Self { outcome: Outcome::Reply(OwnedForm::Json), body, took: None }
    }

    /// When to come back, if the peer says so.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match &self.outcome {
            Outcome::Failure(failure) => failure.refusal.as_ref()?.retry_after,
            _ => None,
        }
    }

    /// Whether the call may be sent again, whatever it does: nobody has begun it.
    pub(super) const fn was_not_begun(&self) -> bool {
        matches!(self.outcome, Outcome::Lost(Lost::NotSent(_) | Lost::Refused))
    }

    /// Whether somebody may have begun the call.
    pub(super) fn may_have_begun(&self) -> bool {
        let is_refused =
            |failure: &Failure<'_>| matches!(failure.class, Class::Unavailable | Class::Rejected);
        match &self.outcome {
            Outcome::Failure(failure) => !is_refused(failure),
            _ => !self.was_not_begun(),
        }
    }

    /// Reads it.
    pub(super) fn read<R: DeserializeOwned, E: AppError>(self) -> Result<R, CallError<E>> {
        self.read_by(|body| body.decode())
    }

    /// Reads it with `decode`.
    pub(super) fn read_by<R, E: AppError>(
        self,
        decode: impl FnOnce(&Body<'_>) -> Result<R, DecodeError>,
    ) -> Result<R, CallError<E>> {
        match self.outcome {
            Outcome::Reply(form) => {
                let decoded = decode(&Body { bytes: &self.body, form: form.borrow() });
                keep_spare(self.body);
                decoded.map_err(|error| unreadable(error.0))
            }
            Outcome::Failure(failure) => Err(CallError::from_failure(*failure)),
            Outcome::Unreadable(detail) => Err(unreadable(detail)),
            Outcome::Opened(_) => Err(unreadable("a stream where there is none".to_owned())),
            Outcome::Lost(lost) => Err(lost.into_error()),
        }
    }
}

impl Lost {
    fn into_error<E>(self) -> CallError<E> {
        let closed =
            |delivery, detail: &str| CallError::transport(TransportKind::Closed, delivery, detail);
        match self {
            Self::TimedOut => CallError::deadline(Delivery::MaybeProcessed),
            Self::NotSent(detail) => closed(Delivery::NotSent, &detail),
            Self::MaybeProcessed(detail) => closed(Delivery::MaybeProcessed, &detail),
            Self::Unsendable(detail) => {
                CallError::transport(TransportKind::Unsupported, Delivery::MaybeProcessed, &*detail)
            }
            Self::Refused => CallError::transport(
                TransportKind::Unavailable,
                Delivery::Refused,
                "the peer goes away",
            ),
        }
    }
}

fn unreadable<E>(detail: String) -> CallError<E> {
    CallError::Protocol(ProtocolError { kind: ProtocolKind::BadReply, detail })
}

/// Whether a peer's refusal is that of a breaker: then there is no use in asking again at once, but there
/// may be elsewhere.
fn is_breaker(failure: &Failure<'_>) -> bool {
    failure.refusal.as_ref().is_some_and(|refusal| refusal.kind == "breaker")
}
