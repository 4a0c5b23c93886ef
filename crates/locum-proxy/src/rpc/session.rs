//! What the calls of one connection share.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;

use locum_wire::gob::TypeId;
use locum_wire::netrpc::CANCEL;
use locum_wire::rpc::{
    self, CallId, Class, EncodeError, Failure, Limits, OwnedBody, Protocol, Replies, Request, Shape,
};
use rustc_hash::FxHashMap;

use super::call::{Call, Caller};
use super::reply::{Refused, Reply};
use crate::route::Choice;
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

/// Whether a call was given up by its client. One serves for call after call.
#[derive(Default)]
pub(super) struct Cancel {
    given_up: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

impl Cancel {
    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.get()
    }

    /// Wakes `waker` once it is given up.
    pub(super) fn wakes(&self, waker: &Waker) {
        let known = self.waker.take().filter(|known| known.will_wake(waker));
        self.waker.set(Some(known.unwrap_or_else(|| waker.clone())));
    }

    /// Of a call that begins.
    fn begin(&self) {
        self.given_up.set(false);
    }

    fn give_up(&self) {
        self.given_up.set(true);
        self.waker.take().into_iter().for_each(Waker::wake);
    }
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
                    cancel.give_up();
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
    pub(super) fn begin<'a>(
        &'a self,
        call: &Call,
        id: &CallId,
        cancel: &'a Rc<Cancel>,
    ) -> Begun<'a> {
        let bytes = call.weight() + id.weight();
        self.held.set(self.held.get() + bytes);
        let number = match id {
            CallId::Number(number) | CallId::NumberInJson(number) => Some(*number),
            CallId::Json { .. } => None,
        };
        cancel.begin();
        if let Some(number) = number {
            self.cancels.borrow_mut().insert(number, Rc::clone(cancel));
        }
        self.worker.pace.begin();
        Begun { session: self, bytes, number, cancel }
    }

    /// Writes what the client is told; what cannot be said is told as a failure. Gives the class of the
    /// failure, if it is one.
    pub(super) fn write(
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
    pub(super) fn learn(&self, call: &Call, reply: &Reply, choice: &Choice) {
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
pub(super) struct Begun<'a> {
    session: &'a Session<'a>,
    bytes: usize,
    /// What its client gives it up by, if it can.
    number: Option<u64>,
    cancel: &'a Rc<Cancel>,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        let Session { held, cancels, worker, .. } = self.session;
        held.set(held.get() - self.bytes);
        worker.pace.end();
        let Some(number) = self.number else { return };
        let mut cancels = cancels.borrow_mut();
        // A client may have used the number once more.
        if cancels.get(&number).is_some_and(|of| Rc::ptr_eq(of, self.cancel)) {
            cancels.remove(&number);
        }
    }
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
