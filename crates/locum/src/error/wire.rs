//! Errors of calls, and failures as they travel.

use std::borrow::Cow;

use locum_wire::rpc::{Class, Failure, Refusal};

use super::{
    AppError, CallError, Delivery, ProtocolError, ProtocolKind, Rejection, TransportError,
    TransportKind,
};

impl<E: AppError> CallError<E> {
    /// What a peer's `failure` means to the caller. `failure.detail` is taken for an `E` by postcard, so
    /// it is given only where that is what the protocol says.
    pub fn from_failure(failure: Failure<'_>) -> Self {
        let Failure { class, text, detail, refusal, .. } = failure;
        match class {
            Class::App => {
                let value = detail.as_deref().and_then(E::from_bytes);
                Self::App(value.unwrap_or_else(|| E::from_text(text.into_owned())))
            }
            Class::UnknownMethod => Self::protocol(ProtocolKind::UnknownMethod, text),
            Class::BadArguments => Self::protocol(ProtocolKind::BadArguments, text),
            Class::Rejected | Class::Deadline => {
                let delivery = match class {
                    Class::Deadline => Delivery::MaybeProcessed,
                    _ => Delivery::Refused,
                };
                match refusal {
                    Some(refusal) => {
                        Self::Rejected(Box::new(Rejection::by_peer(refusal, delivery)))
                    }
                    None => Self::deadline(delivery),
                }
            }
            Class::Cancelled => {
                Self::transport(TransportKind::Cancelled, Delivery::MaybeProcessed, text)
            }
            Class::Unavailable => {
                let reason = without(text, "locum: unavailable: ");
                Self::transport(TransportKind::Unavailable, Delivery::Refused, reason)
            }
            Class::Internal => Self::Internal(without(text, "locum: internal: ")),
        }
    }

    fn protocol(kind: ProtocolKind, detail: Cow<'_, str>) -> Self {
        Self::Protocol(ProtocolError { kind, detail: detail.into_owned() })
    }

    /// What a handler that ended with this error tells its caller. What the handler itself was told by
    /// those that it called passes on, because a service may stand for another; but that a call of its own
    /// was not begun it does not say of the one that it answers, which was.
    pub fn to_failure(&self) -> Failure<'static> {
        match self {
            Self::App(error) => Failure {
                code: error.code(),
                detail: error.to_bytes().map(Cow::Owned),
                ..Failure::app(error.to_string())
            },
            Self::Rejected(rejection) if rejection.kind == "deadline" => {
                Failure::refused(Refusal {
                    kind: rejection.kind.clone(),
                    policy: rejection.policy.clone(),
                    reason: rejection.reason.clone(),
                    retry_after: rejection.retry_after,
                })
            }
            Self::Transport(TransportError { kind: TransportKind::Cancelled, .. }) => {
                Failure::cancelled()
            }
            // Refused by whom this one asked; of this one's call no more may be said than that.
            Self::Rejected(rejection) => Failure::internal(&rejection.to_string()),
            Self::Transport(error) => Failure::internal(&error.to_string()),
            Self::Protocol(ProtocolError { kind, detail }) => match kind {
                ProtocolKind::UnknownMethod => Failure::new(Class::UnknownMethod, detail.clone()),
                ProtocolKind::BadArguments => Failure::bad_arguments(detail.clone()),
                ProtocolKind::BadReply => Failure::internal(detail),
            },
            Self::Internal(text) => Failure::internal(text),
        }
    }
}

impl Rejection {
    fn by_peer(refusal: Refusal, delivery: Delivery) -> Self {
        Self {
            kind: refusal.kind,
            policy: refusal.policy,
            reason: refusal.reason,
            detail: String::new(),
            retry_after: refusal.retry_after,
            delivery,
        }
    }
}

/// `text` but for how it begins, if it does: whose fault it is the class has said.
fn without(text: Cow<'_, str>, beginning: &str) -> String {
    text.strip_prefix(beginning).unwrap_or(&text).to_owned()
}
