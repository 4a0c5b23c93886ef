//! What the calls of one connection share, and how one of them is answered.

use std::cell::{Cell, OnceCell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use locum_policy::Cause;
use locum_wire::gob::TypeId;
use locum_wire::netrpc::CANCEL;
use locum_wire::rpc::{
    self, CallId, Class, EncodeError, Failure, Limits, OwnedBody, Protocol, Replies, Request, Shape,
};
use rustc_hash::FxHashMap;

use super::call::{Call, Caller};
use super::client::name;
use super::flow::{Done, perform};
use super::reply::{Refused, Reply, Told, code};
use crate::auth::{Admitted, Asked, Claims};
use crate::label::Label;
use crate::record::Record;
use crate::route::{Choice, Route, Target};
use crate::worker::Worker;

/// What the calls of one connection share.
pub(super) struct Session<'a> {
    pub(super) caller: Caller<'a>,
    pub(super) worker: &'a Worker,
    pub(super) protocol: Protocol,
    pub(super) limits: Limits,
    pub(super) replies: RefCell<Replies>,
    /// Answers that were not sent yet.
    pub(super) out: RefCell<Vec<u8>>,
    /// Calls that can be given up, by their numbers.
    pub(super) cancels: RefCell<FxHashMap<u64, Rc<Cancel>>>,
    /// Bytes of arguments under way.
    pub(super) held: Cell<usize>,
    /// Whether the client is gone, and with it whoever waits for an answer.
    pub(super) gone: Cell<bool>,
    /// The types of arguments that the upstreams have learned from this connection, by method.
    pub(super) learned: RefCell<FxHashMap<Box<str>, TypeId>>,
}

/// Whether a call was given up by its client.
#[derive(Default)]
pub(super) struct Cancel {
    given_up: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

impl Session<'_> {
    /// A call, if `request` is one; anything else is dealt with.
    pub(super) fn take(&self, request: Request<'_>) -> Option<(Call, CallId)> {
        match request {
            Request::Call(call) => {
                let rpc::Call { id, method, timeout, attempt, trace, metadata, args, streams } =
                    call;
                if streams {
                    let text = "locum: streams are not passed on";
                    self.fail(&id, method, &Failure::new(Class::BadArguments, text));
                    return None;
                }
                // What gob and the native protocol have for giving up a call was read as that. To an upstream
                // the calls of many clients go on one connection.
                if method == CANCEL {
                    self.fail(&id, method, &Failure::unknown_service(method));
                    return None;
                }
                let call = Call {
                    method: method.into(),
                    args: args.to_owned(),
                    timeout,
                    attempt,
                    idempotent: false,
                    trace,
                    metadata: metadata.as_bytes().to_vec(),
                    edited: None,
                };
                return Some((call, id));
            }
            Request::Malformed { id, method, failure } => self.fail(&id, method, &failure),
            Request::TooLarge { id, method, failure } => {
                self.worker.shard.count_refused(self.caller.listener.label, "too_large");
                self.fail(&id, method, &failure);
            }
            Request::Batch { calls } => self.replies.borrow_mut().batch(calls),
            Request::Cancel { id, answer } => {
                if let Some(cancel) = self.cancels.borrow().get(&id) {
                    cancel.given_up.set(true);
                    cancel.waker.take().into_iter().for_each(Waker::wake);
                }
                if let Some(answer) = answer {
                    let (mut replies, out) =
                        (self.replies.borrow_mut(), &mut self.out.borrow_mut());
                    let written = replies.ok(out, &answer, CANCEL, &TRUE, &true);
                    written.expect("every wire has truth values");
                }
            }
            Request::Ping(token) => {
                self.replies.borrow_mut().pong(&mut self.out.borrow_mut(), token);
            }
            Request::Item { .. }
            | Request::End { .. }
            | Request::Credit { .. }
            | Request::Pong(_)
            | Request::GoAway => {}
        }
        None
    }

    /// Tells the client, where it can be told, that no call above `last` is begun any more.
    pub(super) fn go_away(&self, last: Option<u64>) {
        self.replies.borrow_mut().go_away(&mut self.out.borrow_mut(), last);
    }

    /// Tells the client that a call is not begun, because the proxy goes away.
    pub(super) fn turn_down(&self, call: &Call, id: &CallId) {
        self.fail(id, &call.method, &Failure::unavailable("the proxy drains"));
    }

    fn fail(&self, id: &CallId, method: &str, failure: &Failure<'_>) {
        self.replies.borrow_mut().failure(&mut self.out.borrow_mut(), id, method, failure);
    }

    /// Counts a call in until the guard is dropped.
    fn begin(&self, call: &Call, id: &CallId) -> Begun<'_> {
        let bytes = call.weight() + id.weight();
        self.held.set(self.held.get() + bytes);
        let number = match id {
            CallId::Number(number) | CallId::NumberInJson(number) => Some(*number),
            CallId::Json { .. } => None,
        };
        let cancel = number.map(|number| {
            let cancel = Rc::<Cancel>::default();
            self.cancels.borrow_mut().insert(number, Rc::clone(&cancel));
            (number, cancel)
        });
        Begun { held: &self.held, cancels: &self.cancels, bytes, cancel }
    }

    /// Writes what the client is told; what cannot be said is told as a failure. Gives the class of the
    /// failure, if it is one.
    fn write(
        &self,
        call: &Call,
        id: &CallId,
        reply: Reply,
        choice: Option<&Choice>,
    ) -> Option<Class> {
        let mut replies = self.replies.borrow_mut();
        let out = &mut self.out.borrow_mut();
        let failure = match reply {
            Reply::Ok(body) => {
                let hint = match (self.protocol, &body) {
                    (Protocol::Gob, OwnedBody::Json(_)) => {
                        choice.and_then(|choice| choice.upstream.methods.reply(&call.method))
                    }
                    _ => None,
                };
                let body = body.as_body();
                let said = match out.len() + replies.held() > MOST_UNTAKEN {
                    true => Err(EncodeError(UNTAKEN.to_owned())),
                    false => {
                        make_room(out, body.bytes.len());
                        let hint = hint.as_ref();
                        replies.forward(out, id, &call.method, &body, hint, &self.limits)
                    }
                };
                match said {
                    Ok(()) => return None,
                    Err(error) => Refused::Result(error.0).failure(&call.method),
                }
            }
            Reply::Failed(mut failure) => {
                let by = choice.and_then(|choice| choice.upstream.settings.protocol.rpc());
                let is_native = |it| it == Some(Protocol::Native);
                // An error as a value is by postcard there, and JSON elsewhere.
                failure.detail.take_if(|_| is_native(by) != is_native(Some(self.protocol)));
                failure
            }
            Reply::Refused(refused) => refused.failure(&call.method),
        };
        replies.failure(out, id, &call.method, &failure);
        Some(failure.class)
    }

    /// Remembers the types of a call that went well, for those whose callers do not say them.
    fn learn(&self, call: &Call, reply: &Reply, choice: &Choice) {
        let (OwnedBody::Gob { id, .. }, Reply::Ok(body @ OwnedBody::Gob { .. })) =
            (&call.args, reply)
        else {
            return;
        };
        let mut learned = self.learned.borrow_mut();
        if learned.get(&*call.method) == Some(id) {
            return;
        }
        if learned.len() >= MOST_LEARNED {
            learned.clear();
        }
        learned.insert(call.method.clone(), *id);
        choice.upstream.methods.learn(&call.method, &call.args.as_body(), &body.as_body());
    }
}

/// A call under way.
struct Begun<'a> {
    held: &'a Cell<usize>,
    cancels: &'a RefCell<FxHashMap<u64, Rc<Cancel>>>,
    bytes: usize,
    cancel: Option<(u64, Rc<Cancel>)>,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.held.set(self.held.get() - self.bytes);
        let Some((number, cancel)) = &self.cancel else { return };
        let mut cancels = self.cancels.borrow_mut();
        // A client may have used the number once more.
        if cancels.get(number).is_some_and(|of| Rc::ptr_eq(of, cancel)) {
            cancels.remove(number);
        }
    }
}

/// Makes a call and leaves its answer in the session. It counts as begun, and can be given up, at once.
pub(super) fn answer<'a>(
    session: &'a Session<'a>,
    call: Call,
    id: CallId,
) -> impl Future<Output = ()> + 'a {
    let begun = session.begin(&call, &id);
    attend_to(session, call, id, begun)
}

async fn attend_to(session: &Session<'_>, mut call: Call, id: CallId, begun: Begun<'_>) {
    let worker = session.worker;
    let record = worker.record(worker.now());
    let plan = worker.plan();
    let route = plan.route_of_call(session.caller.listener.label, &call.method);
    let target = route.and_then(|route| match &route.target {
        Target::Forward(split) => Some((&**route, split.choose(worker.random()))),
        Target::Redirect { .. } | Target::Transcode(_) => None,
    });
    let admitted = OnceCell::new();
    let mut caller = Caller { protocol: spoken(&session.caller, &id), ..session.caller };
    let patience = call.timeout.filter(|_| !caller.trusted);
    let done = match target {
        Some(target) => {
            let attending = attend(session, &mut call, &mut caller, target, &admitted, &record);
            let cancel = begun.cancel.as_ref().map(|(_, cancel)| &**cancel);
            let attending = unless_cancelled(&session.gone, cancel, attending);
            match patience {
                Some(patience) => Box::pin(within(patience, worker, attending)).await,
                None => attending.await,
            }
        }
        None => refuse(Refused::NoRoute),
    };
    conclude(session, &call, &id, &caller, target, done, &record);
    worker.give_record(record);
}

/// What the call came in: JSON-RPC says its version call by call.
fn spoken(caller: &Caller<'_>, id: &CallId) -> &'static str {
    match id {
        CallId::Json { protocol, .. } => name(*protocol),
        CallId::Number(_) | CallId::NumberInJson(_) => caller.protocol,
    }
}

fn refuse(refused: Refused) -> Done {
    Done {
        reply: Reply::Refused(refused),
        falls_back: false,
        cause: Cause::Unavailable,
        held: None,
    }
}

/// Performs a call, if its caller may make it.
async fn attend<'a>(
    session: &Session<'a>,
    call: &mut Call,
    caller: &mut Caller<'a>,
    (route, choice): (&'a Route, &Choice),
    admitted: &'a OnceCell<Box<Admitted<'a>>>,
    record: &Record,
) -> Done {
    if !route.is_open() {
        match Box::pin(admit(session, call, route)).await {
            Ok(shown) => {
                let admitted = admitted.get_or_init(|| Box::new(shown));
                caller.identity = admitted.identity.as_deref();
            }
            Err(refused) => return refuse(refused),
        }
    }
    call.tell(&route.request_edits, admitted.get().map(|admitted| &**admitted));
    perform(call, caller, route, choice, None, session.worker, record).await
}

/// What comes of a call, for as long as its client does not give it up.
async fn unless_cancelled(
    gone: &Cell<bool>,
    cancel: Option<&Cancel>,
    attending: impl Future<Output = Done>,
) -> Done {
    let mut attending = pin!(attending);
    poll_fn(|cx| {
        if gone.get() || cancel.is_some_and(|cancel| cancel.given_up.get()) {
            return Poll::Ready(Done { cause: Cause::Cancelled, ..refuse(Refused::Cancelled) });
        }
        if let Some(cancel) = cancel {
            cancel.waker.set(Some(cx.waker().clone()));
        }
        attending.as_mut().poll(cx)
    })
    .await
}

/// What comes of a call, for as long as its client waits. That one who is not to be trusted waits too short a
/// time says nothing of the upstream.
async fn within(
    patience: Duration,
    worker: &Worker,
    attending: impl Future<Output = Done>,
) -> Done {
    let alarm = worker.alarms.alarm();
    alarm.arm_in(patience);
    let mut attending = pin!(attending);
    poll_fn(|cx| match attending.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(done),
        Poll::Pending => alarm.poll(cx).map(|()| {
            let late = Refused::TimedOut { after: patience, policy: "".into() };
            Done { cause: Cause::Cancelled, ..refuse(late) }
        }),
    })
    .await
}

/// Who makes a call.
async fn admit<'a>(
    session: &Session<'a>,
    call: &Call,
    route: &'a Route,
) -> Result<Admitted<'a>, Refused> {
    let metadata = call.metadata();
    let field = |name: &str| {
        let mut found = metadata.iter().filter(|(it, _)| it.eq_ignore_ascii_case(name));
        let (_, only) = found.next()?;
        found.next().is_none().then_some(only.as_bytes())
    };
    let Caller { address, certificate, .. } = session.caller;
    let path = format!("/{}", call.method);
    let asked =
        Asked { method: b"POST", path: path.as_bytes(), query: None, host: b"", scheme: b"" };
    let claims = Claims { address, field: &field, certificate, asked };
    route.admit(&claims, session.worker).await.map_err(Refused::Unauthorized)
}

/// Tells the client, the policy and the record how a call ended.
fn conclude(
    session: &Session<'_>,
    call: &Call,
    id: &CallId,
    caller: &Caller<'_>,
    target: Option<(&Route, &Choice)>,
    done: Done,
    record: &Record,
) {
    let Done { reply, falls_back, cause, held } = done;
    let choice = target.map(|(_, choice)| choice);
    let fallback = choice.and_then(|choice| choice.policy.fallback()).filter(|_| falls_back);
    let (outcome, reason) = match &reply {
        _ if fallback.is_some() => ("fallback", ""),
        Reply::Ok(_) => ("success", ""),
        Reply::Failed(failure) => match failure.class {
            Class::App | Class::UnknownMethod | Class::BadArguments => ("success", ""),
            class => ("failure", code(class)),
        },
        Reply::Refused(refused) => refused.outcome(),
    };
    let reply = match fallback {
        Some(settings) => Reply::Ok(OwnedBody::Json(settings.body.clone().into_bytes())),
        None => reply,
    };
    if let Some(choice) = choice
        && session.protocol == Protocol::Gob
    {
        session.learn(call, &reply, choice);
    }
    let said_ok = matches!(reply, Reply::Ok(_));
    let before = session.out.borrow().len();
    let class = session.write(call, id, reply, choice);
    let worker = session.worker;
    if let Some(held) = held {
        held.settle(cause, worker.now(), record);
    }
    // What the service returned could not be said.
    let unsaid = said_ok && class.is_some();
    let (outcome, reason) = if unsaid { ("failure", "result") } else { (outcome, reason) };
    let told = Told {
        route: target.map_or(Label::NONE, |(route, _)| route.label),
        upstream: choice.map_or(Label::NONE, |choice| choice.upstream.label),
        outcome,
        code: class.map_or("ok", code),
        reason,
        bytes: (session.out.borrow().len() - before) as u64,
    };
    record.end_call(call, caller, &told, worker);
}

/// Makes room for so many bytes: what is long grows by a quarter, and not by as much again.
fn make_room(out: &mut Vec<u8>, bytes: usize) {
    if out.capacity() - out.len() < bytes {
        out.reserve_exact(bytes.max(out.len() / 4));
    }
}

/// The shape of the answer to a call that cancels another.
static TRUE: Shape = Shape::of::<bool>();
/// With so many bytes of answers unsent, or waiting for others of their batch, calls fail in place of adding to
/// them.
const MOST_UNTAKEN: usize = 16 << 20;
const UNTAKEN: &str = "the client leaves more than 16 MiB of answers untaken";
/// Methods that a connection remembers to have taught.
const MOST_LEARNED: usize = 256;
