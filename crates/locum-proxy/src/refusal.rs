//! What a client is told when the proxy answers itself.
//!
//! Every refusal says who refused, why, and when to come back: the status, `Retry-After`, the
//! RateLimit fields, `Proxy-Status` (RFC 9209) and an `application/problem+json` body (RFC 9457).

use std::time::Duration;

use locum_policy::{Kind, Rejection};
use locum_wire::http1;

use crate::auth::jwt::Fault;
use crate::auth::{Denied, Why};
use crate::body::BodyError;
use crate::exchange::Failure;
use crate::outgoing::Answer;
use crate::problem::ceiling;
use crate::rpc::reply::Refused;
use crate::upstream::Upstream;
use crate::upstream::pool::ConnectError;

mod told;

pub(crate) use told::quoted;

/// An answer of the proxy's own.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// One stable word, for metrics and programs.
    pub(crate) reason: &'static str,
    /// A sentence for a person.
    pub(crate) detail: Box<str>,
    /// The error type of RFC 9209 §2.3.
    pub(crate) proxy_error: &'static str,
    rejection: Option<Box<Rejection>>,
    /// The policy whose time was over.
    timed_by: Option<Box<str>>,
    /// What would be taken instead, or when, as a field: its name and its value.
    instead: Option<(&'static str, Box<str>)>,
    /// Somebody else's words, which are told in place of ours.
    answer: Option<Box<Answer>>,
    /// What follows on the connection cannot be trusted to be a message, or is not wanted.
    ends_connection: bool,
}

impl Refusal {
    fn new(
        status: u16,
        reason: &'static str,
        proxy_error: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            status,
            reason,
            detail: detail.into().into_boxed_str(),
            proxy_error,
            rejection: None,
            timed_by: None,
            instead: None,
            answer: None,
            ends_connection: false,
        }
    }

    /// The request itself is at fault: what follows it on the connection is not read.
    fn of_message(status: u16, reason: &'static str, detail: impl Into<String>) -> Self {
        let refusal = Self::new(status, reason, "http_request_error", detail);
        Self { ends_connection: true, ..refusal }
    }

    /// The request is malformed, or more than the limits allow.
    pub(crate) fn malformed(error: http1::Error) -> Self {
        Self::of_message(error.status(), error.reason(), error.to_string())
    }

    /// The head did not arrive in time.
    pub(crate) fn slow_head() -> Self {
        let detail = "the request's head did not arrive in time";
        Self::of_message(408, "timeout", detail)
    }

    /// The client closed the connection within a head.
    pub(crate) fn cut_short() -> Self {
        let detail = "the connection was closed within the request's head";
        Self::of_message(400, "malformed", detail)
    }

    /// The body is at fault. `None` when there is nobody left to tell.
    pub(crate) fn body(error: &BodyError) -> Option<Self> {
        match error {
            BodyError::Gone => None,
            BodyError::Malformed(error) => Some(Self::malformed(*error)),
            BodyError::TooLarge => Some(Self::too_large()),
            BodyError::NoRoom => {
                let detail = "too many bodies of requests are held; try again";
                let refusal = Self::new(503, "bodies", DENIED, detail);
                Some(Self { instead: Some(("Retry-After", "1".into())), ..refusal })
            }
            BodyError::TooSlow => {
                let detail = "the request's body did not arrive in time";
                Some(Self::of_message(408, "timeout", detail))
            }
        }
    }

    /// The body is larger than the route allows.
    pub(crate) fn too_large() -> Self {
        let detail = "the request's body is larger than this route allows";
        Self::of_message(413, "too_large", detail)
    }

    /// The method is none of `allowed`.
    pub(crate) fn method(allowed: &'static str) -> Self {
        let detail = format!("this path takes {allowed} only");
        let refusal = Self::new(405, "method", "http_request_error", detail);
        Self { instead: Some(("Allow", allowed.into())), ..refusal }
    }

    /// The body is said to be something else than JSON.
    pub(crate) fn no_json() -> Self {
        let detail = "the body has to be JSON, and said to be: Content-Type: application/json";
        let refusal = Self::new(415, "media_type", "http_request_error", detail);
        Self { instead: Some(("Accept", "application/json".into())), ..refusal }
    }

    /// The body is no argument of a call.
    pub(crate) fn argument(detail: impl Into<String>) -> Self {
        Self::new(400, "argument", "http_request_error", detail)
    }

    /// No route takes the request.
    pub(crate) fn no_route() -> Self {
        Self::new(404, "no_route", "destination_not_found", "no route takes this request")
    }

    /// The client spoke without TLS to a listener that takes nothing else.
    pub(crate) fn without_tls() -> Self {
        let detail = "this listener is spoken to over TLS: the address begins with https://";
        Self::of_message(400, "tls", detail)
    }

    /// The caller has not shown to be somebody who may call.
    pub(crate) fn denied(denied: &Denied) -> Self {
        let refusal = |status| Self::new(status, denied.reason(), DENIED, denied.text());
        match &denied.why {
            Why::Key(header) => Self {
                // RFC 9110 §11.6.1.
                instead: Some(("WWW-Authenticate", format!("ApiKey header=\"{header}\"").into())),
                ..refusal(401)
            },
            Why::Password(realm) => Self {
                // RFC 7617 §2.
                instead: Some((
                    "WWW-Authenticate",
                    format!("Basic realm={}, charset=\"UTF-8\"", quoted(realm)).into(),
                )),
                ..refusal(401)
            },
            Why::Token(Fault::Missing) => {
                Self { instead: Some(("WWW-Authenticate", "Bearer".into())), ..refusal(401) }
            }
            // RFC 6750 §3.1.
            Why::Token(Fault::Claim) => Self {
                instead: Some(("WWW-Authenticate", "Bearer error=\"insufficient_scope\"".into())),
                ..refusal(403)
            },
            Why::Token(_) => Self {
                instead: Some(("WWW-Authenticate", "Bearer error=\"invalid_token\"".into())),
                ..refusal(401)
            },
            Why::Answered(answer) => {
                Self { answer: Some(answer.clone()), ..refusal(answer.status) }
            }
            Why::Certificate | Why::Address | Why::Unsayable => refusal(403),
            Why::Busy | Why::Unavailable => {
                let seconds = denied.retry_after().map(ceiling);
                let instead = seconds.map(|seconds| ("Retry-After", seconds.to_string().into()));
                Self { instead, ..refusal(503) }
            }
        }
    }

    /// The listener has as many connections as it may.
    pub(crate) fn connections() -> Self {
        let detail = "this listener has as many connections as it may";
        Self::new(503, "connections", "connection_limit_reached", detail)
    }

    /// What is on the disk cannot be read.
    pub(crate) fn unreadable() -> Self {
        let detail = "the file cannot be read now";
        Self::new(503, "files", "proxy_internal_error", detail)
    }

    /// Nothing is served for a while.
    pub(crate) fn maintenance(retry_after: Option<Duration>) -> Self {
        let detail = "nothing is served here for a while";
        let refusal = Self::new(503, "maintenance", DENIED, detail);
        let instead = retry_after.map(|after| ("Retry-After", ceiling(after).to_string().into()));
        Self { instead, ..refusal }
    }

    /// The path names nothing that could be called, as this text has it.
    pub(crate) fn no_method(text: impl Into<String>) -> Self {
        Self::new(404, "unknown_method", "destination_not_found", text)
    }

    /// No endpoint of the upstream of this name is usable.
    pub(crate) fn unavailable(upstream: &str) -> Self {
        let detail = format!("no endpoint of upstream \"{upstream}\" is usable");
        Self::new(503, "unavailable", "destination_unavailable", detail)
    }

    /// The call's time, or its last attempt's, was over, as `policy` had it.
    pub(crate) fn timed_out(after: Duration, policy: &str) -> Self {
        let detail = format!("no answer within {:.3} s", after.as_secs_f64());
        let refusal = Self::new(504, "timeout", "http_response_timeout", detail);
        Self { timed_by: Some(policy.into()), ..refusal }
    }

    /// A policy refused the call.
    pub(crate) fn rejected(rejection: Rejection) -> Self {
        let (status, proxy_error) = match rejection.kind {
            Kind::RateLimit => (429, DENIED),
            Kind::Concurrency => (503, "connection_limit_reached"),
            Kind::Deadline => (504, "http_response_timeout"),
            // These refuse nobody; what they touch fails as if the upstream had.
            Kind::Throttle
            | Kind::Breaker
            | Kind::Retry
            | Kind::Hedge
            | Kind::Fallback
            | Kind::Fault => (503, "destination_unavailable"),
        };
        let detail = rejection.to_string();
        let refusal = Self::new(status, rejection.reason, proxy_error, detail);
        Self { rejection: Some(Box::new(rejection)), ..refusal }
    }

    /// The last attempt brought no answer. `None` when there is nobody left to tell.
    pub(crate) fn failed(failure: &Failure, upstream: &Upstream) -> Option<Self> {
        let upstream = &upstream.settings.name;
        let refusal = match failure {
            Failure::Gone => return None,
            Failure::Body(error) => return Self::body(error),
            Failure::Connect(ConnectError::Failed(error)) => {
                let detail = format!("cannot connect to upstream \"{upstream}\": {error}");
                Self::new(503, "connect", "connection_refused", detail)
            }
            Failure::Connect(ConnectError::Handshake(error)) => {
                let detail = format!("no TLS with upstream \"{upstream}\": {error}");
                Self::new(502, "tls", error.proxy_error(), detail)
            }
            Failure::Connect(ConnectError::TimedOut) => {
                let detail = format!("connecting to upstream \"{upstream}\" took too long");
                Self::new(504, "connect_timeout", "connection_timeout", detail)
            }
            Failure::Closed => {
                let detail = format!("upstream \"{upstream}\" closed the connection unanswered");
                Self::new(502, "reset", "connection_terminated", detail)
            }
            Failure::Refused => {
                let detail = format!("upstream \"{upstream}\" takes no more calls");
                Self::new(503, "refused", "connection_limit_reached", detail)
            }
            Failure::Protocol(error) => {
                let detail = format!("upstream \"{upstream}\" answered malformed HTTP: {error}");
                Self::new(502, "protocol", "http_protocol_error", detail)
            }
            Failure::Unexpected(what) => {
                let detail = format!("upstream \"{upstream}\" broke the protocol: {what}");
                Self::new(502, "protocol", "http_protocol_error", detail)
            }
            Failure::Injected(status) => {
                let detail = "the route's policy made this attempt fail on purpose";
                Self::new(*status, INJECTED, "proxy_internal_response", detail)
            }
        };
        Some(refusal)
    }

    /// A remote call was not made, or came to nothing. `None` when there is nobody left to tell.
    pub(crate) fn of_call(refused: Refused) -> Option<Self> {
        Some(match refused {
            Refused::NoRoute => Self::no_route(),
            Refused::Unauthorized(denied) => Self::denied(&denied),
            Refused::Rejected(rejection) => Self::rejected(rejection),
            Refused::TimedOut { after, policy } => Self::timed_out(after, &policy),
            Refused::Unavailable { upstream } => Self::unavailable(&upstream),
            Refused::Connect { text, timed_out: false } => {
                Self::new(502, "connect", "connection_refused", text)
            }
            Refused::Connect { text, timed_out: true } => {
                Self::new(504, "connect_timeout", "connection_timeout", text)
            }
            Refused::Lost(text) => Self::new(502, "reset", "connection_terminated", text),
            Refused::Argument(text) => Self::argument(text),
            Refused::Result(text) => Self::new(502, "result", "proxy_internal_error", text),
            Refused::Injected(status) => {
                let detail = "the route's policy made this attempt fail on purpose";
                Self::new(status, INJECTED, "proxy_internal_response", detail)
            }
            Refused::Cancelled => return None,
        })
    }

    /// What it makes of the call.
    pub(crate) fn outcome(&self) -> &'static str {
        match (&self.rejection, self.status) {
            (Some(_), _) => "rejected",
            (None, _) if self.reason == INJECTED => "failure",
            (None, _) if self.proxy_error == DENIED => "refused",
            (None, 504) => "timeout",
            (None, 502 | 503) => "failure",
            (None, _) => "refused",
        }
    }

    /// Which of the few reasons it is counted under, where it is counted as refused.
    pub(crate) fn counted_as(&self) -> &'static str {
        match self.status {
            408 => "timeout",
            413 | 414 | 431 => "too_large",
            401 | 403 | 404 | 405 | 415 | 503 => self.reason,
            _ if self.reason == "tls" || self.answer.is_some() => self.reason,
            _ => "malformed",
        }
    }

    /// Whether the connection ends with it.
    pub(crate) fn ends_connection(&self) -> bool {
        self.ends_connection
    }
}

/// The error type of those who may not call.
const DENIED: &str = "http_request_denied";
/// The reason of a failure made on purpose.
const INJECTED: &str = "fault";
