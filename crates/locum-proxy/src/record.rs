//! What is remembered of one call: the same story for the metrics and the access log.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use locum_policy::{Attempt, AttemptKind, Bound, Cause, Event, Kind, Observer, Time};

use crate::access;
use crate::caller::Caller;
use crate::client::{Client, Next};
use crate::decisions::Decisions;
use crate::grpc;
use crate::label::Label;
use crate::metrics::{CallKey, Code, Word};
use crate::refusal::Refusal;
use crate::route::Route;
use crate::rpc::call::{self as rpc, Call};
use crate::rpc::reply::Told;
use crate::tcp;
use crate::telemetry::{Context, Finished, Traced, Tracer};
use crate::upstream::{Endpoint, Upstream};
use crate::worker::Worker;

/// One call, as it goes on. Written through a shared reference: a run and its attempts all add to it.
#[derive(Default)]
pub(crate) struct Record {
    started: Cell<Time>,
    number: Cell<u64>,
    pub(crate) attempts: RefCell<Vec<AttemptRecord>>,
    pub(crate) decisions: RefCell<Vec<Decision>>,
    /// The remote call that a request of HTTP is made as, if it is.
    pub(crate) call: RefCell<String>,
    /// The route's policy, known again by where its name lies: names of policies are looked up only
    /// for the others.
    policy: Cell<(usize, Label)>,
    /// Where decisions are logged, if they are.
    journal: Option<Rc<Decisions>>,
    /// What there is to tell of its trace, if it is told of.
    traced: OnceCell<Box<Traced>>,
}

/// How a call ended.
#[derive(Clone, Copy)]
pub(crate) struct Ended {
    /// The status that the client was sent; 499 if it was gone.
    pub(crate) status: u16,
    /// What an answer of gRPC said of how the call went.
    pub(crate) grpc: Option<grpc::Status>,
    /// `success`, `failure`, `rejected` by a policy, `timeout`, `cancelled`, `fallback` in place of
    /// any of these, or `refused` unheard.
    pub(crate) outcome: &'static str,
    /// Why, where the proxy answered itself; `status` where an upstream's answer was replaced.
    pub(crate) reason: &'static str,
    /// What it is counted as, where it was refused unheard.
    pub(crate) refused_as: Option<&'static str>,
    /// Bytes sent to the client.
    pub(crate) bytes: u64,
    pub(crate) next: Next,
    pub(crate) route: Label,
    pub(crate) upstream: Label,
}

impl Ended {
    /// The client has what it asked for, or at least what there was.
    pub(crate) fn answered(status: u16, cause: Cause, bytes: u64, next: Next) -> Self {
        let grpc = match cause {
            Cause::Grpc(code) => Some(grpc::Status(code)),
            _ => None,
        };
        let outcome = match cause {
            Cause::Cancelled => "cancelled",
            Cause::Grpc(code) if !grpc::Status(code).is_failure() => "success",
            Cause::Status(status) if status < 500 => "success",
            _ => "failure",
        };
        let (route, upstream) = (Label::NONE, Label::NONE);
        Self { status, grpc, outcome, reason: "", refused_as: None, bytes, next, route, upstream }
    }

    /// The proxy answered itself.
    pub(crate) fn refused(refusal: &Refusal, bytes: u64, next: Next) -> Self {
        let outcome = refusal.outcome();
        Self {
            outcome,
            reason: refusal.reason,
            refused_as: (outcome == "refused").then(|| refusal.counted_as()),
            ..Self::answered(refusal.status, Cause::Unavailable, bytes, next)
        }
    }

    /// A policy's fallback of this status answered, and why.
    pub(crate) fn fell_back(status: u16, reason: &'static str, bytes: u64, next: Next) -> Self {
        let answered = Self::answered(status, Cause::Status(status), bytes, next);
        Self { outcome: "fallback", reason, ..answered }
    }

    /// There is nobody left to answer.
    pub(crate) fn gone() -> Self {
        Self::answered(CLIENT_GONE, Cause::Cancelled, 0, Next::Abort)
    }

    /// What the client of a gRPC call was told.
    pub(crate) fn grpc_status(&self) -> grpc::Status {
        self.grpc.unwrap_or_else(|| grpc::Status::of_http(self.status))
    }

    /// The same, by a route.
    pub(crate) fn by(self, route: &Route) -> Self {
        Self { route: route.label, ..self }
    }
}

/// What nginx made of it, and logs have called it since.
const CLIENT_GONE: u16 = 499;

/// One attempt of a call.
pub(crate) struct AttemptRecord {
    pub(crate) number: u32,
    pub(crate) upstream: Label,
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) kind: AttemptKind,
    pub(crate) began: Time,
    /// How much time it had, if there was an end to it.
    pub(crate) left: Option<Duration>,
    /// Until its answer began; `None` where none did, because it is under way or was cut off.
    pub(crate) took: Option<Duration>,
    /// Until it was cut off, if it was.
    pub(crate) cut: Option<Duration>,
    /// How it ended; `None` as long as it is under way.
    pub(crate) cause: Option<Cause>,
}

/// One verdict of a policy's part.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Decision {
    pub(crate) policy: Label,
    pub(crate) kind: Kind,
    pub(crate) decision: Word,
    pub(crate) reason: Word,
}

impl Record {
    /// An empty one; decisions are told to `journal` as well.
    pub(crate) fn new(journal: Option<Rc<Decisions>>) -> Self {
        Self { journal, ..Self::default() }
    }

    /// Forgets the last call and begins another.
    pub(crate) fn begin(&mut self, started: Time) {
        self.started.set(started);
        self.attempts.get_mut().clear();
        self.decisions.get_mut().clear();
        self.call.get_mut().clear();
        self.traced = OnceCell::new();
    }

    /// The call has this place in a trace.
    pub(crate) fn follow(&self, context: Context) {
        self.traced.get_or_init(|| Box::new(Traced::new(context)));
    }

    /// What there is to tell of its trace, if it has a place of its own there.
    pub(crate) fn traced(&self) -> Option<&Traced> {
        self.traced.get().map(|traced| &**traced)
    }

    pub(crate) fn started(&self) -> Time {
        self.started.get()
    }

    /// The call's number, once a policy decides.
    pub(crate) fn number(&self) -> u64 {
        self.number.get()
    }

    /// The policy that decides from here on, on the call of this number.
    pub(crate) fn under(&self, policy: &Bound, label: Label, number: u64) {
        self.number.set(number);
        self.policy.set((policy.name().as_ptr().addr(), label));
    }

    pub(crate) fn attempt_begins(&self, attempt: &Attempt<'_>, upstream: &Upstream) {
        self.attempts.borrow_mut().push(AttemptRecord {
            number: attempt.number,
            upstream: upstream.label,
            endpoint: Arc::clone(&upstream.endpoints[attempt.endpoint.id as usize]),
            kind: attempt.kind,
            began: attempt.started,
            left: attempt.deadline.map(|deadline| attempt.started.until(deadline)),
            took: None,
            cut: None,
            cause: None,
        });
    }

    /// The attempt of that number has ended by itself.
    pub(crate) fn attempt_ends(&self, number: u32, cause: Cause, now: Time) {
        self.change_attempt(number, |attempt| {
            attempt.took = Some(now.since(attempt.began));
            attempt.cause = Some(cause);
        });
    }

    /// The attempt of that number was cut off.
    pub(crate) fn attempt_cut(&self, number: u32, cause: Cause, now: Time) {
        self.change_attempt(number, |attempt| {
            attempt.cut = Some(now.since(attempt.began));
            attempt.cause = Some(cause);
        });
    }

    /// What began as the answer to the attempt of that number has ended so.
    pub(crate) fn attempt_told(&self, number: u32, cause: Cause) {
        self.change_attempt(number, |attempt| attempt.cause = Some(cause));
    }

    fn change_attempt(&self, number: u32, change: impl FnOnce(&mut AttemptRecord)) {
        let mut attempts = self.attempts.borrow_mut();
        // Of several at once it is most often the one that began last.
        attempts.iter_mut().rev().find(|attempt| attempt.number == number).map(change);
    }

    /// Tells the metrics and the access log of a call that has ended.
    pub(crate) fn end(&self, caller: &Caller<'_>, ended: &Ended, worker: &Worker) {
        let took = worker.now().since(self.started());
        let key = CallKey {
            listener: caller.listener.label,
            route: ended.route,
            upstream: ended.upstream,
            protocol: Word(caller.protocol()),
            outcome: Word(ended.outcome),
            code: match caller.grpc {
                true => Code::Word(Word(ended.grpc_status().name())),
                false => Code::Status(ended.status),
            },
        };
        worker.shard.count_call(key, took, (caller.received(), ended.bytes), self);
        if let Some(reason) = ended.refused_as {
            worker.shard.count_refused(caller.listener.label, reason);
        }
        if caller.told.malformed > 0 {
            worker.shard.count_malformed_timeouts(caller.listener.label, caller.told.malformed);
        }
        let follower = self.follower(worker);
        if follower.is_some() || worker.access.is_some() {
            let id = worker.random();
            if let Some((tracer, traced)) = follower {
                let finished = Finished { record: self, traced, id, worker };
                tracer.tell_request(&finished, caller, ended);
            }
            if let Some(access) = &worker.access {
                access.write_request(caller, self, ended, took, id);
            }
        }
    }

    /// The same of a remote call.
    pub(crate) fn end_call(
        &self,
        call: &Call,
        caller: &rpc::Caller<'_>,
        told: &Told,
        worker: &Worker,
    ) {
        let took = worker.now().since(self.started());
        let listener = caller.listener.label;
        let key = CallKey {
            listener,
            route: told.route,
            upstream: told.upstream,
            protocol: Word(caller.protocol),
            outcome: Word(told.outcome),
            code: Code::Word(Word(told.code)),
        };
        worker.shard.count_call(key, took, (call.bytes() as u64, told.bytes), self);
        if told.outcome == "refused" {
            worker.shard.count_refused(listener, told.reason);
        }
        let follower = self.follower(worker);
        if follower.is_some() || worker.access.is_some() {
            let id = worker.random();
            if let Some((tracer, traced)) = follower {
                let finished = Finished { record: self, traced, id, worker };
                tracer.tell_call(&finished, (call, caller), told);
            }
            if let Some(access) = &worker.access {
                access.write(&access::call_line(call, caller, self, told, took, id));
            }
        }
    }

    /// The same of a connection whose bytes were carried, or were to be.
    pub(crate) fn end_connection(&self, client: &Client, told: &tcp::Told, worker: &Worker) {
        let took = worker.now().since(self.started());
        let listener = client.listener.label;
        let key = CallKey {
            listener,
            route: told.route,
            upstream: told.upstream,
            protocol: Word("tcp"),
            outcome: Word(told.outcome),
            code: Code::Word(Word(told.code)),
        };
        worker.shard.count_call(key, took, told.bytes, self);
        if told.outcome == "refused" {
            worker.shard.count_refused(listener, told.code);
        }
        if let Some(access) = &worker.access {
            access.write(&access::connection_line(client, self, told, took, worker.random()));
        }
    }

    /// Whom the call's trace is told, if anybody, and what there is to tell.
    fn follower<'a>(&'a self, worker: &'a Worker) -> Option<(&'a Tracer, &'a Traced)> {
        let traced = self.traced().filter(|traced| traced.context.is_sampled())?;
        Some((worker.tracer.as_ref()?, traced))
    }

    fn decide(&self, policy: &str, kind: Kind, decision: &'static str, reason: &'static str) {
        let (address, label) = self.policy.get();
        let policy = if policy.as_ptr().addr() == address { label } else { Label::of(policy) };
        let (decision, reason) = (Word(decision), Word(reason));
        self.decisions.borrow_mut().push(Decision { policy, kind, decision, reason });
    }
}

impl Observer for Record {
    fn event(&self, now: Time, event: &Event<'_>) {
        if let Some(journal) = &self.journal {
            journal.write(now, self.number(), event);
        }
        if let Some(traced) = self.traced() {
            traced.note(now, event);
        }
        match event {
            Event::Admitted { policy, kind, .. } => self.decide(policy, *kind, "admit", ""),
            Event::Delayed { policy, kind, .. } => self.decide(policy, *kind, "delay", ""),
            Event::Rejected(rejection) | Event::Skipped { rejection, .. } => {
                self.decide(&rejection.policy, rejection.kind, "reject", rejection.reason);
            }
            Event::WouldReject(rejection) => {
                self.decide(&rejection.policy, rejection.kind, "would_reject", rejection.reason);
            }
            Event::NotRetried { policy, reason, .. } => {
                self.decide(policy, Kind::Retry, "reject", reason);
            }
            Event::NotHedged { policy, reason } => {
                self.decide(policy, Kind::Hedge, "reject", reason);
            }
            Event::FellBack { policy, shadow } => {
                let decision = if *shadow { "would_apply" } else { "apply" };
                self.decide(policy, Kind::Fallback, decision, "");
            }
            Event::Injected { policy, injection, shadow, .. } => {
                let decision = if *shadow { "would_apply" } else { "apply" };
                let reason = if injection.abort.is_some() { "abort" } else { "delay" };
                self.decide(policy, Kind::Fault, decision, reason);
            }
            // Attempts are recorded where they are made; how breakers stand is read from them.
            Event::Attempt(_)
            | Event::Settled { .. }
            | Event::State { .. }
            | Event::Done { .. } => {}
        }
    }
}
