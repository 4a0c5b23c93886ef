//! A call under a policy: the engine decides, and each of its attempts is sent here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use locum_policy::balance::Seen;
use locum_policy::{
    Answer, Attempt, Bound, Call, Cause, Clock as _, End, Ended, Endpoint, Exchange, Held, Time,
    run, seed,
};
use locum_wire::rpc::{Class, Failure};

use super::answer::{Answered, Lost, Outcome, Undone};
use super::connection::Until;
use super::dial::Unconnected;
use super::endpoints::Endpoints;
use super::link::Patience;
use super::outgoing::Outgoing;
use super::pool::Pool;
use super::send::{Unsent, send};
use crate::cx::keys::CallKeys;
use crate::{CallError, Clock, Cx, Delivery, Policy, Rejection};

/// A policy around the calls of a channel.
#[derive(Clone)]
pub(super) struct Engine {
    policy: Policy,
    bound: Bound,
}

/// How a call under a policy ended.
pub(super) struct Decided {
    pub(super) answered: Answered,
    /// Its permits, until the reply has been read.
    pub(super) open: Open,
}

/// What is told to the policy once the reply has been read.
pub(super) struct Open {
    held: Held,
    cause: Cause,
    clock: Clock,
    /// Whether an attempt may have been begun: then that holds for the call, however its last one ended.
    pub(super) begun: bool,
}

impl Open {
    /// The reply was read, or could not be.
    pub(super) fn settle(self, readable: bool) {
        let cause = match self.cause {
            Cause::Reply if !readable => Cause::Protocol,
            other => other,
        };
        self.end(cause);
    }

    /// The call ended after all, after it had returned a stream.
    pub(super) fn end(self, cause: Cause) {
        self.held.settle(cause, self.clock.now(), &());
    }
}

impl Engine {
    /// `policy` before the service `upstream`, which its breaker guards under that name.
    pub(super) fn new(policy: Policy, upstream: &str) -> Self {
        let bound = policy.engine().bind(upstream);
        Self { policy, bound }
    }

    pub(super) const fn policy(&self) -> &locum_policy::Policy {
        self.policy.engine()
    }

    /// The time that the policy gives calls of `method`, if it gives any.
    fn timeout(&self, method: &str) -> Option<Duration> {
        let settings = self.policy.engine().settings();
        settings.methods.get(method).and_then(|method| method.timeout).or(settings.timeout)
    }

    /// Makes a call, as often as the policy says.
    pub(super) async fn call(
        &self,
        pool: &Arc<Pool>,
        cx: &Cx,
        outgoing: &Outgoing<'_>,
    ) -> Result<Decided, Undone> {
        let clock = *self.policy.clock();
        let arrived = clock.now();
        let own = &pool.settings;
        let given = self.timeout(outgoing.path);
        let default = match given {
            Some(_) if !own.timeout_is_set => None,
            _ if outgoing.is_untimed() => None,
            _ => Some(arrived + own.timeout),
        };
        let told = cx.remaining().map(|left| arrived + left);
        let deadline = default.into_iter().chain(told).min();
        let seed = self.policy.next_seed();
        // The policy sees to its time itself, but for the look-up that may come first.
        let mut until = match deadline.into_iter().chain(given.map(|time| arrived + time)).min() {
            Some(at) => Until::After(arrived.until(at)),
            None => Until::After(own.timeout),
        };
        let exchange = Attempts {
            endpoints: pool.endpoints(&mut until).await?,
            outgoing,
            clock,
            patience: if outgoing.is_untimed() { own.timeout } else { Duration::MAX },
            seed,
            picks: AtomicU64::new(0),
            begun: AtomicU32::new(0),
        };
        let call = Call {
            method: outgoing.path,
            arrived,
            deadline,
            idempotent: outgoing.idempotent,
            cost: 1,
            priority: 1,
            attempt_above: 1,
            keys: &CallKeys::new(self.policy.engine(), cx, outgoing.path),
            seed,
        };
        let answer = run(&self.bound, &call, &clock, &exchange, &()).await;
        self.conclude(answer, &exchange, pool)
    }

    fn conclude(
        &self,
        answer: Answer<Result<Answered, Unsent>>,
        exchange: &Attempts<'_>,
        pool: &Pool,
    ) -> Result<Decided, Undone> {
        let Answer { end, held, fallback, .. } = answer;
        let begun = exchange.begun.load(Ordering::Relaxed) > 0;
        let clock = exchange.clock;
        // A stream is not what a fallback says: it would have no items, as if all had gone well.
        if fallback
            && !exchange.outgoing.returns_stream()
            && let Some(settings) = self.bound.fallback()
        {
            let cause = match end {
                End::Ended(cause, _) => cause,
                End::TimedOut => Cause::Timeout,
                End::Rejected(_) | End::Unavailable => Cause::Unavailable,
            };
            let answered = Answered::json(settings.body.clone().into_bytes());
            return Ok(Decided { answered, open: Open { held, cause, clock, begun } });
        }
        let delivery = match begun {
            false => Delivery::NotSent,
            true => Delivery::MaybeProcessed,
        };
        let decided = match end {
            End::Ended(cause, Ok(answered)) => {
                if let Outcome::Lost(Lost::TimedOut) = answered.outcome {
                    held.settle(cause, clock.now(), &());
                    return Err(self.timed_out(delivery));
                }
                Ok(Decided { answered, open: Open { held, cause, clock, begun } })
            }
            End::Ended(cause, Err(unsent)) => {
                held.settle(cause, clock.now(), &());
                Err(match unsent {
                    Unsent::Late => self.timed_out(delivery),
                    other => other.or_closed(pool).into_error(),
                })
            }
            End::Rejected(rejection) => Err(CallError::rejected(&rejection, delivery)),
            End::TimedOut => Err(self.timed_out(delivery)),
            End::Unavailable => Err(Unsent::Gone.or_closed(pool).into_error()),
        };
        decided.map_err(|error| if begun { error.begun_before() } else { error })
    }

    fn timed_out(&self, delivery: Delivery) -> Undone {
        CallError::Rejected(Box::new(Rejection {
            kind: "deadline".to_owned(),
            policy: self.bound.name().to_owned(),
            reason: "deadline".to_owned(),
            detail: "no answer in time".to_owned(),
            retry_after: None,
            delivery,
        }))
    }
}

/// The attempts of one call.
struct Attempts<'a> {
    /// As they were when the call began.
    endpoints: Arc<Endpoints>,
    outgoing: &'a Outgoing<'a>,
    clock: Clock,
    /// How long an attempt without a deadline waits for a connection.
    patience: Duration,
    seed: u64,
    /// How many endpoints have been chosen.
    picks: AtomicU64,
    /// Attempts that somebody may have begun. One that is dropped stays counted.
    begun: AtomicU32,
}

impl Exchange for Attempts<'_> {
    type Reply = Result<Answered, Unsent>;

    fn pick(&self, tried: &[u32], now: Time) -> Option<Endpoint<'_>> {
        let number = self.picks.fetch_add(1, Ordering::Relaxed);
        let index = self.endpoints.pick(tried, seed::of_pick(self.seed, number), now)?;
        let endpoint = self.endpoints.get(index)?;
        Some(Endpoint { id: index, name: &endpoint.name, policy: None })
    }

    fn repeatable(&self) -> bool {
        !self.outgoing.feeds()
    }

    fn panics(&self, now: Time) -> bool {
        self.endpoints.panics(now)
    }

    async fn send(&self, attempt: &Attempt<'_>) -> Ended<Self::Reply> {
        let index = attempt.endpoint.id;
        let Some(endpoint) = self.endpoints.get(index) else { return unsent(Unsent::Gone) };
        let until = match attempt.deadline.and_then(|at| self.clock.instant(at)) {
            Some(at) => Until::Told(at),
            // Beyond what the system's clock can say.
            None => Until::After(self.patience),
        };
        let patience = match self.endpoints.has_other(index) {
            true => Patience::Fail,
            false => Patience::Wait,
        };
        let (link, outgoing) = (endpoint.link(), self.outgoing);
        self.begun.fetch_add(1, Ordering::Relaxed);
        let sent = send(link, link.connection(), outgoing, attempt.number, until, patience).await;
        if !sent.as_ref().is_ok_and(Answered::may_have_begun) {
            self.begun.fetch_sub(1, Ordering::Relaxed);
        }
        match sent {
            Ok(answered) => {
                let (cause, now) = (answered.cause(), self.clock.now());
                let balancer = self.endpoints.balancer();
                balancer.observe(index, attempt.started.until(now), Seen::of(cause), now);
                let retry_after = answered.retry_after();
                Ended { cause, retry_after, reply: Ok(answered) }
            }
            Err(error) => unsent(error),
        }
    }

    /// A fault made on purpose, in HTTP's words: an error of the service.
    fn abort(&self, _: &Attempt<'_>, status: u16) -> Ended<Self::Reply> {
        let class = match status {
            503 => Class::Unavailable,
            _ => Class::Internal,
        };
        let failure = Failure::new(class, format!("fault made on purpose: {status}"));
        let outcome = Outcome::Failure(Box::new(failure));
        let answered = Answered { outcome, body: Vec::new(), took: None };
        Ended { cause: Cause::Status(status), retry_after: None, reply: Ok(answered) }
    }
}

fn unsent(error: Unsent) -> Ended<Result<Answered, Unsent>> {
    let cause = match &error {
        Unsent::Unconnected(Unconnected { timed_out: true, .. }) => Cause::ConnectTimeout,
        Unsent::Unconnected(_) | Unsent::Gone => Cause::Connect,
        Unsent::Late => Cause::Timeout,
        Unsent::Unsendable(_) | Unsent::Closed => Cause::Cancelled,
    };
    Ended { cause, retry_after: None, reply: Err(error) }
}
