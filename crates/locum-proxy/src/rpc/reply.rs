//! What a client is told: what the service said, or why the proxy says something itself.

use std::time::Duration;

use locum_policy::Rejection;
use locum_wire::rpc::{Class, Failure, OwnedBody, Refusal};

use crate::auth::Denied;
use crate::label::Label;

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

/// What is remembered of how a call ended.
pub(crate) struct Told {
    pub(crate) route: Label,
    pub(crate) upstream: Label,
    /// As for other calls: `success`, `failure`, `rejected`, `timeout`, `cancelled`, `fallback`, `refused`.
    pub(crate) outcome: &'static str,
    /// `ok`, or the class of the failure.
    pub(crate) code: &'static str,
    /// Why, where the proxy answered itself.
    pub(crate) reason: &'static str,
    /// Bytes of the answer.
    pub(crate) bytes: u64,
}

/// The name of a class, as a code.
pub(crate) fn code(class: Class) -> &'static str {
    match class {
        Class::App => "app",
        Class::UnknownMethod => "unknown_method",
        Class::BadArguments => "bad_arguments",
        Class::Rejected => "rejected",
        Class::Deadline => "deadline",
        Class::Cancelled => "cancelled",
        Class::Unavailable => "unavailable",
        Class::Internal => "internal",
    }
}

/// Why the proxy answers itself.
#[derive(Debug)]
pub(crate) enum Refused {
    /// No route takes the call.
    NoRoute,
    /// The caller is nobody who may call.
    Unauthorized(Denied),
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
    /// The policy made it fail on purpose, with this status of HTTP.
    Injected(u16),
    /// The client gave the call up.
    Cancelled,
}

impl Refused {
    /// What it makes of the call, for the record, and why.
    pub(crate) fn outcome(&self) -> (&'static str, &'static str) {
        match self {
            Self::NoRoute => ("refused", "no_route"),
            Self::Unauthorized(denied) => ("refused", denied.reason()),
            Self::Rejected(rejection) => ("rejected", rejection.reason),
            Self::TimedOut { .. } => ("timeout", "timeout"),
            Self::Unavailable { .. } => ("failure", "unavailable"),
            Self::Connect { timed_out: true, .. } => ("timeout", "connect_timeout"),
            Self::Connect { timed_out: false, .. } => ("failure", "connect"),
            Self::Lost(_) => ("failure", "reset"),
            Self::Argument(_) => ("failure", "argument"),
            Self::Result(_) => ("failure", "result"),
            Self::Injected(_) => ("failure", "fault"),
            Self::Cancelled => ("cancelled", "cancelled"),
        }
    }

    /// What is told to who calls by the name of `method`, in a protocol of remote calls.
    pub(crate) fn failure(self, method: &str) -> Failure<'static> {
        match self {
            Self::NoRoute => Failure::unknown_service(method),
            Self::Unauthorized(denied) => {
                let refusal = Refusal {
                    kind: "auth".to_owned(),
                    policy: denied.by.to_string(),
                    reason: denied.reason().to_owned(),
                    retry_after: denied.retry_after(),
                };
                let text = format!("{refusal}: {}", denied.text());
                Failure { text: text.into(), ..Failure::refused(refusal) }
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
            Self::Injected(503) => Failure::unavailable(INJECTED),
            Self::Injected(_) => Failure::internal(INJECTED),
            Self::Cancelled => Failure::cancelled(),
        }
    }
}

const INJECTED: &str = "the route's policy made this attempt fail on purpose";
