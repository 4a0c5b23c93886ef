//! How calls are answered.
//!
//! A future that does so is one of many that wait, so it holds little: what is awaited lies in it once, and
//! what few calls need lies in boxes.

use std::cell::{Cell, OnceCell};
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use locum_policy::Cause;
use locum_wire::rpc::{CallId, Class, OwnedBody, Protocol};

use super::call::{Call, Caller};
use super::client::name;
use super::flow::{Done, perform};
use super::reply::{Refused, Reply, Told, code};
use super::session::{Cancel, Session};
use crate::auth::{Admitted, Asked, Claims};
use crate::clock::Alarm;
use crate::label::Label;
use crate::record::Record;
use crate::route::{Choice, Route, Target};
use crate::seats::Desk;
use crate::worker::Worker;

/// Makes the calls that are given at `desk`, one after the other.
pub(super) async fn attend_to_calls(
    session: &Session<'_>,
    desk: &Desk<(Call, CallId)>,
) -> Infallible {
    let cancel = Rc::<Cancel>::default();
    loop {
        let (mut call, id) = desk.next().await;
        answer(session, &mut call, &id, &cancel).await;
    }
}

/// Makes a call and leaves its answer in the session.
async fn answer(session: &Session<'_>, call: &mut Call, id: &CallId, cancel: &Rc<Cancel>) {
    let _begun = session.begin(call, id, cancel);
    let worker = session.worker;
    let record = worker.record(worker.now());
    if let Some(tracer) = &worker.tracer
        && let Some(context) = tracer.begin(call.trace)
    {
        record.follow(context);
    }
    let plan = worker.plan();
    let route = plan.route_of_call(session.caller.listener.label, &call.method);
    let target = route.and_then(|route| match &route.target {
        Target::Forward(split) => Some((&**route, split.choose(worker.random(), record.started()))),
        Target::Redirect { .. } | Target::Respond(_) | Target::Files(_) | Target::Transcode(_) => {
            None
        }
    });
    let admitted = OnceCell::new();
    let mut caller = Caller { protocol: spoken(&session.caller, id), ..session.caller };
    let patience = call.timeout.filter(|_| !caller.trusted);
    let done = match target {
        Some(target) => {
            let waits = Waits {
                gone: &session.gone,
                cancel,
                patience: patience.map(|patience| Patience::begin(patience, worker)),
            };
            waits.on(pin!(attend(session, call, &mut caller, target, &admitted, &record))).await
        }
        None => refuse(Refused::NoRoute),
    };
    conclude(session, call, id, &caller, target, done, &record);
    worker.give_record(record);
}

/// For how long somebody waits for a call.
struct Waits<'a> {
    /// Whether the client is gone.
    gone: &'a Cell<bool>,
    /// Whether it gave the call up.
    cancel: &'a Cancel,
    patience: Option<Patience>,
}

/// How long a client waits that is not to be trusted with it: that it waits too short a time says nothing of
/// the upstream.
struct Patience {
    time: Duration,
    alarm: Alarm,
}

impl Patience {
    fn begin(time: Duration, worker: &Worker) -> Self {
        let alarm = worker.alarms.alarm();
        alarm.arm_in(time);
        Self { time, alarm }
    }
}

impl Waits<'_> {
    /// What comes of a call, as long as that is so.
    async fn on(self, mut attending: Pin<&mut impl Future<Output = Done>>) -> Done {
        let Self { gone, cancel, patience } = self;
        poll_fn(|cx| {
            if gone.get() || cancel.is_given_up() {
                return Poll::Ready(cancelled(Refused::Cancelled));
            }
            cancel.wakes(cx.waker());
            if let Poll::Ready(done) = attending.as_mut().poll(cx) {
                return Poll::Ready(done);
            }
            let Some(Patience { time, alarm }) = &patience else { return Poll::Pending };
            let late = || Refused::TimedOut { after: *time, policy: "".into() };
            alarm.poll(cx).map(|()| cancelled(late()))
        })
        .await
    }
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

/// The same of a call that nobody waits for any more.
fn cancelled(refused: Refused) -> Done {
    Done { cause: Cause::Cancelled, ..refuse(refused) }
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
