//! A policy before a service in the same program.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use locum_policy::{
    Answer, Attempt, Bound, Call, Cause, Clock as _, End, Ended, Endpoint, Exchange, Time, run,
};
use locum_wire::rpc::{Body, Form};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::given_up;
use super::stream::{Open, Streaming};
use crate::cx::keys::CallKeys;
use crate::service::Method;
use crate::{
    CallError, Cx, Delivery, Policy, ProtocolError, ProtocolKind, Rejection, Stream, TransportKind,
};

/// A policy before a service in the same program, which it knows as its one endpoint.
#[derive(Clone)]
pub struct Guard {
    policy: Policy,
    bound: Bound,
    service: &'static str,
}

impl Guard {
    pub(super) fn new(policy: Policy, service: &'static str) -> Self {
        let bound = policy.engine().bind(service);
        Self { policy, bound, service }
    }

    pub(super) fn policy_name(&self) -> &str {
        self.policy.name()
    }

    /// A call that may be attempted several times.
    pub const fn again<'a, F>(&'a self, cx: &'a Cx, attempt: F) -> Attempts<'a, F> {
        Attempts { guard: self, cx, attempt, repeatable: true }
    }

    /// A call whose arguments are given away with its one attempt.
    pub const fn once<'a, F>(&'a self, cx: &'a Cx, attempt: F) -> Attempts<'a, F> {
        Attempts { guard: self, cx, attempt, repeatable: false }
    }
}

/// The attempts of one call.
pub struct Attempts<'a, F> {
    guard: &'a Guard,
    cx: &'a Cx,
    attempt: F,
    repeatable: bool,
}

/// In a box, so that calls without a policy do not carry the room of the engine about.
type Guarded<'a, R, E> = Pin<Box<dyn Future<Output = Result<R, CallError<E>>> + Send + 'a>>;

impl<'a, R, E, F, A> Attempts<'a, F>
where
    F: Fn(Cx) -> A + Send + Sync + 'a,
    A: Future<Output = Result<R, CallError<E>>> + Send + 'a,
    R: Send + 'a,
    E: Send + 'a,
{
    /// Makes the call.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the attempts under way, and gives back what the policy gave.
    pub fn call(self, method: &'static Method) -> Guarded<'a, R, E>
    where
        R: DeserializeOwned,
    {
        Box::pin(async move {
            let (result, open) = self.run(method).await;
            let falls_back = open.is_some_and(Open::settle);
            let fallback = falls_back.then(|| self.fallback()).flatten();
            fallback.unwrap_or(result)
        })
    }

    /// Makes the call, which returns a stream. That is under way, for the policy, until it ends; there is
    /// no fallback for it.
    ///
    /// # Cancel safety
    ///
    /// As for [`call`](Self::call); dropping the stream gives back what the policy gave.
    pub fn stream(self, method: &'static Method) -> Guarded<'a, Streaming<R>, E>
    where
        R: Stream,
    {
        Box::pin(async move {
            let (result, open) = self.run(method).await;
            match result {
                Ok(stream) => Ok(Streaming::under(stream, open)),
                Err(error) => {
                    open.map(Open::settle);
                    Err(error)
                }
            }
        })
    }

    /// How the call ended, and what it holds of the policy, if it still does.
    async fn run(&self, method: &'static Method) -> (Result<R, CallError<E>>, Option<Open>) {
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
        let mut run = pin!(run(bound, &call, &clock, self, &()));
        let mut stop = self.cx.given_up();
        let answer = poll_fn(|task| match run.as_mut().poll(task) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            // The run is dropped then, which settles what it holds.
            Poll::Pending => Pin::new(&mut stop).poll(task).map(|()| None),
        });
        match answer.await {
            Some(answer) => self.conclude(answer),
            None => (Err(given_up(Delivery::MaybeProcessed)), None),
        }
    }

    fn conclude(
        &self,
        answer: Answer<Result<R, CallError<E>>>,
    ) -> (Result<R, CallError<E>>, Option<Open>) {
        let Answer { end, attempts, fallback, held } = answer;
        let begun = if attempts == 0 { Delivery::NotSent } else { Delivery::MaybeProcessed };
        let (cause, result) = match end {
            End::Ended(cause, result) => (cause, result),
            End::Rejected(rejection) => {
                (Cause::Unavailable, Err(CallError::rejected(&rejection, begun)))
            }
            End::TimedOut => (Cause::Timeout, Err(self.timed_out(begun))),
            End::Unavailable => {
                let detail = "no endpoint is usable";
                let kind = TransportKind::Unavailable;
                (Cause::Unavailable, Err(CallError::transport(kind, Delivery::NotSent, detail)))
            }
        };
        let clock = *self.guard.policy.clock();
        (result, Some(Open { held, cause, clock, fallback }))
    }

    fn timed_out(&self, delivery: Delivery) -> CallError<E> {
        CallError::Rejected(Box::new(Rejection {
            kind: "deadline".to_owned(),
            policy: self.guard.policy_name().to_owned(),
            reason: "deadline".to_owned(),
            detail: "no answer in time".to_owned(),
            retry_after: None,
            delivery,
        }))
    }

    /// What the policy says in the service's place; JSON, as everywhere.
    fn fallback(&self) -> Option<Result<R, CallError<E>>>
    where
        R: DeserializeOwned,
    {
        let settings = self.guard.bound.fallback()?;
        let body = Body { bytes: settings.body.as_bytes(), form: Form::Json };
        Some(body.decode().map_err(|error| {
            CallError::Protocol(ProtocolError { kind: ProtocolKind::BadReply, detail: error.0 })
        }))
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
