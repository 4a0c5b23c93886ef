//! A service in the same program, perhaps behind a policy.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use tokio::time::Instant;

use crate::service::ServiceSpec;
use crate::{CallError, Cx, Delivery, Policy, TransportKind};

pub use self::guard::Guard;
pub use self::once::{Once, sent_already};
pub use self::stream::Streaming;

mod guard;
mod once;
mod stream;

/// A service in the same program: what the `wrap` of a generated proxy calls. Nothing is serialised.
///
/// Without a policy a call costs what the service itself costs: nothing is allocated, and it sees its
/// caller's context. Deadlines and cancellations cut it all the same. With a policy the engine calls the
/// service, as it would call one elsewhere; an attempt has a context of its own.
///
/// A panic of the service passes through to the caller.
#[derive(Clone)]
pub struct Local<T> {
    service: T,
    guard: Option<Guard>,
}

impl<T> Local<T> {
    /// Puts `policy` around `service`, which `spec` describes; a breaker of the policy guards it under its
    /// name there.
    pub fn new(service: T, policy: Option<Policy>, spec: &'static ServiceSpec) -> Self {
        Self { service, guard: policy.map(|policy| Guard::new(policy, spec.name)) }
    }

    /// The service itself.
    pub const fn service(&self) -> &T {
        &self.service
    }

    /// What stands around it.
    #[doc(hidden)]
    pub const fn guard(&self) -> Option<&Guard> {
        self.guard.as_ref()
    }
}

impl<T> fmt::Debug for Local<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policy = self.guard.as_ref().map(Guard::policy_name);
        f.debug_struct("Local").field("policy", &policy).finish_non_exhaustive()
    }
}

/// Makes `call` as long as `cx` lets it. Alarms are set only for calls that wait.
///
/// # Cancel safety
///
/// Dropping the future drops `call`.
pub async fn direct<R, E>(
    cx: &Cx,
    call: impl Future<Output = Result<R, CallError<E>>>,
) -> Result<R, CallError<E>> {
    if cx.is_given_up() {
        return Err(given_up(Delivery::NotSent));
    }
    if cx.deadline().is_some_and(|deadline| deadline <= Instant::now()) {
        return Err(CallError::deadline(Delivery::NotSent));
    }
    let mut call = pin!(call);
    let mut cancelled = pin!(cx.cancelled());
    poll_fn(|task| {
        if let Poll::Ready(result) = call.as_mut().poll(task) {
            return Poll::Ready(result);
        }
        cancelled.as_mut().poll(task).map(|()| {
            if cx.is_given_up() {
                Err(given_up(Delivery::MaybeProcessed))
            } else {
                Err(CallError::deadline(Delivery::MaybeProcessed))
            }
        })
    })
    .await
}

fn given_up<E>(delivery: Delivery) -> CallError<E> {
    CallError::transport(TransportKind::Cancelled, delivery, "the caller gave it up")
}
