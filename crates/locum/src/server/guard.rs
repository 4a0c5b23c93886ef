//! A policy around a handler.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use locum_policy::{
    Attempt, Bound, Call, Cause, Clock as _, End, Ended, Endpoint, Exchange, Time, run,
};
use locum_wire::rpc::{Failure, Refusal};

use super::handling::contained;
use super::outbox::{Key, Outbox};
use super::responder::{NO_ANSWER, PANICKED, Told};
use crate::cx::keys::CallKeys;
use crate::service::Handler;
use crate::{Cx, Policy};

/// A policy, before all handlers of a server.
pub(super) struct Guard {
    policy: Policy,
    bound: Bound,
}

/// A call whose handler is behind a policy.
pub(super) struct Guarded {
    pub(super) outbox: Arc<Outbox>,
    pub(super) key: Key,
    pub(super) method: &'static str,
    pub(super) cx: Cx,
    /// From 1, as the caller counts.
    pub(super) attempt: u32,
    /// What the handler's responder says.
    pub(super) told: Arc<Told>,
    pub(super) handler: Handler,
}

impl Guard {
    pub(super) fn new(policy: Policy) -> Self {
        let bound = policy.engine().bind("service");
        Self { policy, bound }
    }

    /// Runs a handler once, if the policy lets it. A refusal answers the call.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the handler, and gives back what the policy gave.
    pub(super) async fn handle(&self, guarded: Guarded) {
        let Guarded { outbox, key, method, cx, attempt, told, handler } = guarded;
        let clock = *self.policy.clock();
        let arrived = clock.now();
        let keys = CallKeys::new(self.policy.engine(), &cx, method);
        let call = Call {
            method,
            arrived,
            deadline: cx.remaining().map(|left| arrived + left),
            // A handler is given its call once.
            idempotent: false,
            cost: 1,
            priority: 1,
            attempt_above: attempt,
            keys: &keys,
            seed: self.policy.next_seed(),
        };
        let once = Once { handler: Mutex::new(Some(handler)), told, outbox: &outbox, key };
        let answer = run(&self.bound, &call, &clock, &once, &()).await;
        match answer.end {
            End::Ended(cause, ()) => answer.held.settle(cause, clock.now(), &()),
            End::Rejected(rejection) => {
                let refusal = Refusal {
                    kind: rejection.kind.name().to_owned(),
                    policy: rejection.policy.to_string(),
                    reason: rejection.reason.to_owned(),
                    retry_after: rejection.retry_after,
                };
                outbox.fail(key, &Failure::refused(refusal));
            }
            End::TimedOut => outbox.fail(key, &Failure::refused(self.timed_out())),
            End::Unavailable => outbox.fail(key, &Failure::unavailable("no endpoint is usable")),
        }
    }

    fn timed_out(&self) -> Refusal {
        Refusal {
            kind: "deadline".to_owned(),
            policy: self.policy.name().to_owned(),
            reason: "timeout".to_owned(),
            retry_after: None::<Duration>,
        }
    }
}

/// A handler that is polled to its end once.
struct Once<'a> {
    handler: Mutex<Option<Handler>>,
    told: Arc<Told>,
    outbox: &'a Outbox,
    key: Key,
}

impl Exchange for Once<'_> {
    type Reply = ();

    /// There is no second endpoint, nor a second attempt.
    fn pick(&self, tried: &[u32], _: Time) -> Option<Endpoint<'_>> {
        tried.is_empty().then_some(Endpoint { id: 0, name: "service", policy: None })
    }

    fn repeatable(&self) -> bool {
        false
    }

    async fn send(&self, _: &Attempt<'_>) -> Ended<()> {
        let handler = self.handler.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(handler) = handler {
            let ended = contained(handler, self.outbox.core()).await;
            // Does nothing where the handler has answered.
            let reason = if ended.is_err() { PANICKED } else { NO_ANSWER };
            self.outbox.fail(self.key, &Failure::internal(reason));
        }
        Ended { cause: self.told.cause(), retry_after: None, reply: () }
    }

    fn abort(&self, _: &Attempt<'_>, status: u16) -> Ended<()> {
        let failure = Failure::internal("a policy made this call fail on purpose");
        self.outbox.fail(self.key, &failure);
        Ended { cause: Cause::Status(status), retry_after: None, reply: () }
    }
}
