//! What a client is told: what the service said, or why the proxy says something itself.

use std::time::Duration;

use locum_policy::Rejection;
use locum_wire::rpc::{Class, Failure, OwnedBody, Refusal};

/// How a call ended.
#[derive(Debug)]
pub(crate) enum Reply {
    /// The service returned this.
    Ok(OwnedBody),
    /// The service failed, in its own words.
    Failed(Failure<'static>),
    /// The proxy answers itself.
    Refused(Refused),
}

/// Why the proxy answers itself.
#[derive(Debug)]
pub(crate) enum Refused {
    /// No route takes the call.
    NoRoute,
    /// The caller is nobody who may call; the text says what is missing.
    Unauthorized(&'static str),
    /// A policy refused it.
    Rejected(Rejection),
    /// Its time, or its last attempt's, was over, as this policy had it.
    TimedOut { after: Duration, policy: Box<str> },
    /// No endpoint of this upstream is usable.
    Unavailable { upstream: Box<str> },
    /// No connection could be made, or none in time.
    Connect { text: String, timed_out: bool },
    /// The connection broke before the answer came, or the answer was none.
    Lost(String),
    /// The argument cannot be said in the protocol of the upstream.
    Argument(String),
    /// What the service returned cannot be said in the protocol of the client.
    Result(String),
    /// The client gave the call up.
    Cancelled,
}

impl Refused {
    /// What is told to who calls by the name of `method`, in a protocol of remote calls.
    pub(crate) fn failure(self, method: &str) -> Failure<'static> {
        match self {
            Self::NoRoute => Failure::unknown_service(method),
            Self::Unauthorized(what) => {
                Failure::new(Class::Rejected, format!("locum: unauthorized: {what}"))
            }
            Self::Rejected(rejection) => Failure::refused(Refusal {
                kind: rejection.kind.name().to_owned(),
                policy: rejection.policy.to_string(),
                reason: rejection.reason.to_owned(),
                retry_after: rejection.retry_after,
            }),
            Self::TimedOut { policy, .. } => Failure::refused(Refusal {
                kind: "deadline".to_owned(),
                policy: policy.into(),
                reason: "deadline".to_owned(),
                retry_after: None,
            }),
            Self::Unavailable { upstream } => {
                Failure::unavailable(&format!("no endpoint of upstream \"{upstream}\" is usable"))
            }
            Self::Connect { text, .. } => Failure::unavailable(&text),
            Self::Lost(text) => Failure::internal(&text),
            Self::Argument(text) => Failure::bad_arguments(format!("locum: {text}")),
            Self::Result(text) => Failure::internal(&text),
            Self::Cancelled => Failure::cancelled(),
        }
    }
}
