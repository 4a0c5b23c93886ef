//! What a run came to, as an answer or an error.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use http::Response;
use http_body::Body as HttpBody;
use locum_policy::{Answer, Bound, Call, Cause, Clock as _, End, Ended, Rejection};

use crate::Clock;

use super::body::{Body, Open};
use super::request::is_grpc;
use super::{Watch, answer};

/// What is left of an attempt.
pub(super) enum Reply<R, E> {
    /// The service answered.
    Answer(R),
    /// The service failed.
    Failed(E),
    /// A policy made the attempt fail with this status.
    Fault(u16),
}

/// An attempt that the service answered.
pub(super) fn answered<B, E>(response: Response<B>) -> Ended<Reply<Response<B>, E>> {
    Ended {
        cause: answer::cause(response.status(), response.headers()),
        retry_after: answer::retry_after(response.headers()),
        reply: Reply::Answer(response),
    }
}

/// An attempt that failed without an answer.
pub(super) const fn failed<R, E>(cause: Cause, error: E) -> Ended<Reply<R, E>> {
    Ended { cause, retry_after: None, reply: Reply::Failed(error) }
}

/// An attempt that a policy made fail.
pub(super) const fn fault<R, E>(status: u16) -> Ended<Reply<R, E>> {
    Ended { cause: Cause::Status(status), retry_after: None, reply: Reply::Fault(status) }
}

/// What the caller is given: an answer whose body holds the permits, the policy's fallback, or why there
/// is none.
pub(super) fn conclude<B: HttpBody, E>(
    answer: Answer<Reply<Response<B>, E>>,
    policy: &Bound,
    call: &Call<'_>,
    clock: Clock,
    watch: &Watch,
) -> Result<Response<Body<B>>, ClientError<E>> {
    let Answer { end, held, fallback, .. } = answer;
    let now = clock.now();
    if fallback && let Some(settings) = policy.fallback() {
        let cause = match end {
            End::Ended(cause, _) => cause,
            End::TimedOut => Cause::Timeout,
            End::Rejected(_) | End::Unavailable => Cause::Unavailable,
        };
        held.settle(cause, now, watch);
        return Ok(answer::fallback(settings).map(Body::ours));
    }
    match end {
        End::Ended(cause, Reply::Answer(response)) => {
            let grpc = is_grpc(response.headers());
            let open = Open { held, cause, clock, watch: watch.clone(), grpc };
            Ok(response.map(|body| Body::inner(body, open)))
        }
        End::Ended(cause, Reply::Failed(error)) => {
            held.settle(cause, now, watch);
            Err(ClientError::Failed(error))
        }
        End::Ended(cause, Reply::Fault(status)) => {
            held.settle(cause, now, watch);
            Ok(answer::fault(status).map(Body::ours))
        }
        End::Rejected(rejection) => Err(ClientError::Rejected(rejection)),
        End::TimedOut => Err(ClientError::TimedOut {
            policy: policy.name().into(),
            after: call.arrived.until(now),
        }),
        End::Unavailable => Err(ClientError::Unavailable),
    }
}

/// Why a call brought no answer.
#[derive(Debug)]
pub enum ClientError<E> {
    /// A policy refused it; if [`Rejection::retry_after`](locum_policy::rejection::Facts::retry_after) is
    /// there, it may be made again after that.
    Rejected(Rejection),
    /// The time the policy gives it was over.
    TimedOut {
        /// The policy.
        policy: Box<str>,
        /// How long the call took.
        after: Duration,
    },
    /// No endpoint was usable.
    Unavailable,
    /// The service failed, at the last attempt if there were several.
    Failed(E),
}

impl<E> fmt::Display for ClientError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejection) => rejection.fmt(f),
            Self::TimedOut { policy, after } => {
                write!(f, "no answer within {:.3} s under policy \"{policy}\"", after.as_secs_f64())
            }
            Self::Unavailable => f.write_str("no endpoint is usable"),
            Self::Failed(_) => f.write_str("the call failed"),
        }
    }
}

impl<E: Error + 'static> Error for ClientError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(error) => Some(error),
            _ => None,
        }
    }
}
