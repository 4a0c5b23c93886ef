//! A policy before a service in the same program.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use locum_policy::{
    Answer, Attempt, Bound, Call, Cause, Clock as _, End, Ended, Endpoint, Exchange, Time, run,
};
use tokio::time::Instant;

use super::given_up;
use crate::cx::keys::CallKeys;
use crate::service::Method;
use crate::{CallError, Cx, Delivery, Policy, Rejection, TransportKind};

/// A policy before a service in the same program, which it knows as its one endpoint.
#[derive(Clone)]
pub struct Guard {
    policy: Policy,
    bound: Bound,
    service: &'static str,
}

/// In a box, so that calls without a policy do not carry the room of the engine about.
type Guarded<'a, R, E> = Pin<Box<dyn Future<Output = Result<R, CallError<E>>> + Send + 'a>>;

impl Guard {
    pub(super) fn new(policy: Policy, service: &'static str) -> Self {
        let bound = policy.engine().bind(service);
        Self { policy, bound, service }
    }

    pub(super) fn policy_name(&self) -> &str {
        self.policy.name()
    }

    /// Makes the attempts of a call, of which there may be several.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the attempts under way, and gives back what the policy gave.
    pub fn call_again<'a, R, E, F, A>(
        &'a self,
        cx: &'a Cx,
        method: &'static Method,
        attempt: F,
    ) -> Guarded<'a, R, E>
    where
        F: Fn(Cx) -> A + Send + Sync + 'a,
        A: Future<Output = Result<R, CallError<E>>> + Send + 'a,
        R: Send + 'a,
        E: Send + 'a,
    {
        let attempts = Attempts { guard: self, cx, attempt, repeatable: true };
        Box::pin(attempts.call(method))
    }

    /// Makes the one attempt of a call whose arguments are given away with it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the attempt, and gives back what the policy gave.
    pub fn call_once<'a, R, E, F, A>(
        &'a self,
        cx: &'a Cx,
        method: &'static Method,
        attempt: F,
    ) -> Guarded<'a, R, E>
    where
        F: Fn(Cx) -> A + Send + Sync + 'a,
        A: Future<Output = Result<R, CallError<E>>> + Send + 'a,
        R: Send + 'a,
        E: Send + 'a,
    {
        let attempts = Attempts { guard: self, cx, attempt, repeatable: false };
        Box::pin(attempts.call(method))
    }
}

/// The attempts of one call.
struct Attempts<'a, F> {
    guard: &'a Guard,
    cx: &'a Cx,
    attempt: F,
    repeatable: bool,
}

impl<R, E, F, A> Attempts<'_, F>
where
    F: Fn(Cx) -> A + Send + Sync,
    A: Future<Output = Result<R, CallError<E>>> + Send,
    R: Send,
    E: Send,
{
    async fn call(self, method: &'static Method) -> Result<R, CallError<E>> {
        let Guard { policy, bound, .. } = self.guard;
        let clock = *policy.clock();
        let arrived = clock.now();
        let keys = CallKeys::new(policy.engine(), self.cx, method.path);
        let call = Call {
            method: method.path,
            arrived,
            deadline: self.cx.remaining().map(|left| arrived + left),
            idempotent: method.idempotent,
            cost: 1,
            priority: 1,
            attempt_above: 1,
            keys: &keys,
            seed: policy.next_seed(),
        };
        let mut run = pin!(run(bound, &call, &clock, &self, &()));
        let mut stop = self.cx.given_up();
        // What gives the call up has it dropped, which settles what it holds.
        let answer = poll_fn(|task| match run.as_mut().poll(task) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending => Pin::new(&mut stop).poll(task).map(|()| None),
        });
        match answer.await {
            Some(answer) => self.conclude(answer, clock.now()),
            None => Err(given_up(Delivery::MaybeProcessed)),
        }
    }

    fn conclude(
        &self,
        answer: Answer<Result<R, CallError<E>>>,
        now: Time,
    ) -> Result<R, CallError<E>> {
        let begun = if answer.attempts == 0 { Delivery::NotSent } else { Delivery::MaybeProcessed };
        match answer.end {
            End::Ended(cause, result) => {
                answer.held.settle(cause, now, &());
                result
            }
            End::Rejected(rejection) => Err(CallError::rejected(&rejection, begun)),
            End::TimedOut => Err(CallError::Rejected(Box::new(Rejection {
                kind: "deadline".to_owned(),
                policy: self.guard.policy.name().to_owned(),
                reason: "deadline".to_owned(),
                detail: "no answer in time".to_owned(),
                retry_after: None,
                delivery: begun,
            }))),
            End::Unavailable => {
                let detail = "no endpoint is usable";
                Err(CallError::transport(TransportKind::Unavailable, Delivery::NotSent, detail))
            }
        }
    }
}

impl<R, E, F, A> Exchange for Attempts<'_, F>
where
    F: Fn(Cx) -> A + Send + Sync,
    A: Future<Output = Result<R, CallError<E>>> + Send,
    R: Send,
    E: Send,
{
    type Reply = Result<R, CallError<E>>;

    /// There is one, which may be tried again.
    fn pick(&self, _: &[u32], _: Time) -> Option<Endpoint<'_>> {
        Some(Endpoint { id: 0, name: self.guard.service, policy: None })
    }

    fn repeatable(&self) -> bool {
        self.repeatable
    }

    async fn send(&self, attempt: &Attempt<'_>) -> Ended<Self::Reply> {
        let left = attempt.deadline.map(|deadline| attempt.started.until(deadline));
        let cx = match left.and_then(|left| Instant::now().checked_add(left)) {
            Some(deadline) => self.cx.with_deadline(deadline),
            None => self.cx.child(),
        };
        // Whoever works on without its caller hears that nobody waits any more.
        let _over = CancelOnDrop(&cx);
        let reply = cx.clone().scope((self.attempt)(cx.clone())).await;
        let (cause, retry_after) = match &reply {
            Ok(_) => (Cause::Reply, None),
            Err(error) => (error.cause(), error.retry_after()),
        };
        Ended { cause, retry_after, reply }
    }

    fn abort(&self, _: &Attempt<'_>, status: u16) -> Ended<Self::Reply> {
        let error = CallError::Internal(format!("fault made on purpose: {status}"));
        Ended { cause: Cause::Status(status), retry_after: None, reply: Err(error) }
    }
}

/// Gives a context up once its attempt is over.
struct CancelOnDrop<'a>(&'a Cx);

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
