//! One attempt of a remote call at an endpoint.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use locum_policy::balance::{Ask, Balance, Seen};
use locum_policy::gates::breaker::Watch;
use locum_policy::seed::of_pick;
use locum_policy::{Attempt, Cause, Ended, Endpoint, Keys as _, Time, run};
use locum_wire::gob::Described;
use locum_wire::rpc::{CallHead, Class, Failure, OwnedBody};

use super::call::{Call, CallKeys};
use super::link::{Answered, Lost};
use super::methods::Methods;
use super::taker::Taker;
use crate::attempt::{Tally, UnderWay};
use crate::record::Record;
use crate::upstream::{self, Upstream};
use crate::worker::Worker;

/// Everything that the attempts of one call share.
pub(super) struct Exchange<'a> {
    pub(super) call: &'a Call,
    pub(super) keys: &'a CallKeys<'a>,
    pub(super) worker: &'a Worker,
    pub(super) upstream: &'a Arc<Upstream>,
    /// The breakers that the route's policy has of the upstream's endpoints.
    pub(super) watches: &'a [Watch],
    /// Types that come before those that the upstream knows.
    pub(super) methods: Option<&'a Methods>,
    pub(super) record: &'a Record,
    /// Whom the answer is for, if that one takes it in its own time.
    pub(super) taker: Option<&'a Rc<Taker>>,
    /// Which attempt of the client's it is, as far as that is believed; from 1.
    pub(super) attempt_above: u32,
    /// Of the call.
    pub(super) seed: u64,
    /// How often an endpoint was chosen.
    pub(super) picks: Cell<u64>,
    /// Attempts without an answer: with hedges there are several.
    pub(super) under_way: Cell<u32>,
}

/// Why an attempt brought no answer, or how it ended.
pub(super) enum Tried {
    Answered(Answered),
    /// The argument cannot be said in the upstream's protocol.
    Unsayable(String),
    /// The policy wanted it to fail so, with this status of HTTP.
    Injected(u16),
}

impl run::Exchange for Exchange<'_> {
    type Reply = Tried;

    fn pick(&self, tried: &[u32], now: Time) -> Option<Endpoint<'_>> {
        let key = match &self.upstream.settings.balance {
            Balance::Hash(key) => self.keys.key(key),
            _ => None,
        };
        let random = of_pick(self.seed, self.picks.replace(self.picks.get() + 1));
        let id = self.upstream.pick(self.watches, &Ask { tried, key, random, now })?;
        let name = &self.upstream.endpoints[id as usize].name;
        Some(Endpoint { id, name, policy: self.upstream.guard(id) })
    }

    fn panics(&self, now: Time) -> bool {
        self.upstream.panics(self.watches, now)
    }

    async fn send(&self, attempt: &Attempt<'_>) -> Ended<Tried> {
        self.record.attempt_begins(attempt, self.upstream);
        let tally = Tally { under_way: &self.under_way, record: self.record, worker: self.worker };
        let under_way = UnderWay::begin(tally, self.upstream, attempt);
        let reply = self.try_once(attempt).await;
        under_way.end();
        let cause = reply.cause(self.says_classes());
        let now = self.worker.now();
        self.record.attempt_ends(attempt.number, cause, now);
        let took = attempt.started.until(now);
        self.upstream.observe(attempt.endpoint.id, took, Seen::of(cause), now);
        Ended { cause, retry_after: reply.retry_after(), reply }
    }

    fn abort(&self, attempt: &Attempt<'_>, status: u16) -> Ended<Tried> {
        self.record.attempt_begins(attempt, self.upstream);
        let reply = Tried::Injected(status);
        let cause = reply.cause(self.says_classes());
        self.record.attempt_ends(attempt.number, cause, self.worker.now());
        Ended { cause, retry_after: None, reply }
    }
}

impl Exchange<'_> {
    async fn try_once(&self, attempt: &Attempt<'_>) -> Tried {
        let endpoint = &self.upstream.endpoints[attempt.endpoint.id as usize];
        let _in_flight = endpoint.begin();
        let call = self.call;
        let hint = match self.upstream.settings.protocol {
            upstream::Protocol::Gob | upstream::Protocol::GobHttp => self.hint(),
            _ => None,
        };
        let head = CallHead {
            id: 0,
            method: &call.method,
            timeout: self.left(attempt),
            attempt: self.attempt_above.saturating_add(attempt.number - 1),
            trace: match self.record.traced() {
                Some(traced) => Some(traced.context.attempt(attempt.number)),
                None => call.trace,
            },
            metadata: call.passed_on(),
            streams: false,
        };
        let sent = loop {
            let link = match self.worker.links.to(endpoint, self.upstream, self.worker) {
                Ok(link) => link,
                Err(why) => return Tried::Unsayable(why.to_owned()),
            };
            link.room().await;
            if !link.is_taking() {
                continue;
            }
            match link.send(head, &call.args.as_body(), hint.as_ref(), self.taker) {
                Ok(sent) => break sent,
                // Others have defined so many types there that there may be no room for this call's.
                Err(_) if link.is_worn() => link.retire(),
                Err(error) => return Tried::Unsayable(error.0),
            }
        };
        Tried::Answered(poll_fn(|cx| sent.poll(cx)).await)
    }

    /// How long somebody waits for this attempt: its policy, or the client.
    fn left(&self, attempt: &Attempt<'_>) -> Option<Duration> {
        let patience = self.call.timeout.map(|timeout| self.record.started() + timeout);
        let deadline = attempt.deadline.into_iter().chain(patience).min()?;
        Some(self.worker.now().until(deadline))
    }

    /// Whether failures of the upstream say whose fault they are, and not by their text alone.
    fn says_classes(&self) -> bool {
        use upstream::Protocol::{JsonRpc2, Native};
        matches!(self.upstream.settings.protocol, JsonRpc2 | Native)
    }

    /// What is known of the argument's type, where the argument itself does not say it.
    fn hint(&self) -> Option<Described> {
        if !matches!(self.call.args, OwnedBody::Json(_) | OwnedBody::Params(_)) {
            return None;
        }
        let own = self.methods.and_then(|methods| methods.args(&self.call.method));
        own.or_else(|| self.upstream.methods.args(&self.call.method))
    }
}

impl Tried {
    /// What it means to a policy. `says_classes`: whether a failure of the upstream says whose fault it is, in
    /// other ways than by its text.
    fn cause(&self, says_classes: bool) -> Cause {
        match self {
            Self::Answered(Answered::Reply(_)) => Cause::Reply,
            Self::Answered(Answered::Failure(failure)) => cause_of(failure, says_classes),
            Self::Answered(Answered::Unreadable(_)) => Cause::Protocol,
            Self::Answered(Answered::Lost(lost)) => match lost {
                Lost::Connect { timed_out: true, .. } => Cause::ConnectTimeout,
                Lost::Connect { timed_out: false, .. } => Cause::Connect,
                Lost::NotSent(_) => Cause::Stale,
                Lost::Refused => Cause::Refused,
                Lost::Broken(_) => Cause::Reset,
            },
            Self::Unsayable(_) => Cause::Cancelled,
            Self::Injected(status) => Cause::Status(*status),
        }
    }

    /// When to come back, if the peer says so.
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Answered(Answered::Failure(failure)) => failure.refusal.as_ref()?.retry_after,
            _ => None,
        }
    }
}

/// What a failure that a peer tells of means to a policy.
fn cause_of(failure: &Failure<'_>, says_classes: bool) -> Cause {
    let breaks = |failure: &Failure<'_>| {
        failure.refusal.as_ref().is_some_and(|refusal| refusal.kind == "breaker")
    };
    match failure.class {
        Class::App => Cause::AppError,
        // The peer works, and would say the same again.
        Class::UnknownMethod | Class::BadArguments => Cause::Reply,
        // A text may be one that the service was told itself, after it had begun. As gRPC says it:
        // UNAVAILABLE.
        Class::Unavailable if !says_classes => Cause::Grpc(14),
        Class::Rejected if breaks(failure) && !says_classes => Cause::Grpc(14),
        Class::Unavailable => Cause::Refused,
        Class::Rejected if breaks(failure) => Cause::Refused,
        // As gRPC says it: RESOURCE_EXHAUSTED, INTERNAL.
        Class::Rejected => Cause::Grpc(8),
        Class::Internal => Cause::Grpc(13),
        Class::Deadline => Cause::Timeout,
        Class::Cancelled => Cause::Cancelled,
    }
}
