//! One request, from its head to the last byte of its answer. Begin here.

use std::borrow::Cow;
use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use locum_policy::{Answer, Bound, Cause, End, run};
use locum_wire::http1::encode::field;
use locum_wire::http1::{Framing, path};

use crate::body::Upload;
use crate::caller::{CallKeys, Caller};
use crate::client::{Client, Next};
use crate::compress::Treatment;
use crate::cors::Preflight;
use crate::exchange::{Answered, Exchange};
use crate::fallback::fall_back;
use crate::files;
use crate::forward::{self, Prepared};
use crate::mirror;
use crate::plan::Plan;
use crate::problem;
use crate::record::{Ended, Record};
use crate::refusal::Refusal;
use crate::relay::{RelayEnd, Relayed, relay};
use crate::rewrite::write_place;
use crate::route::{Choice, Edits, Maintenance, Response, Route, Split, SplitKey, Subject, Target};
use crate::rpc::transcode::transcode;
use crate::tunnel::tunnel;
use crate::upstream::sticky;
use crate::worker::Worker;

/// Serves the request whose head `client` has read from `head_bytes`, and says what becomes of the connection.
///
/// # Cancel safety
///
/// Dropping the future cancels the attempt at the upstream; its permits count as ignored.
pub(crate) async fn serve(client: &mut Client, head_bytes: Vec<u8>, worker: &Worker) -> Next {
    let record = worker.record(worker.now());
    let plan = worker.plan();
    let keeps = client.outlives_this_request();
    let peer = client.peer;
    let wire_limits = client.wire_limits();
    let Client { stream, buffer, head, listener, certificate, alarm, .. } = client;
    let head = head.as_deref().expect("invariant: a client is served once its head is there");
    let request = head.request(&head_bytes);
    let upload = Upload::new(&request, buffer, &listener.settings.limits, &wire_limits);
    let caller = Caller::new(
        &head_bytes,
        request,
        listener,
        peer,
        certificate.as_deref(),
        stream,
        upload,
        alarm,
        keeps,
    );
    if let Some(tracer) = &worker.tracer
        && let Some(context) = tracer.begin(caller.trace())
    {
        record.follow(context);
    }

    let ended = {
        // Pinned where it is made: whoever took it would have room for it twice.
        let mut answering = pin!(answer(&plan, &caller, worker, &record));
        poll_fn(|cx| match answering.as_mut().poll(cx) {
            Poll::Pending => caller.poll_given_up(cx).map(|()| Ended::gone()),
            ended => ended,
        })
        .await
    };
    record.end(&caller, &ended, worker);

    worker.give_record(record);
    worker.give_scratch(head_bytes);
    ended.next
}

/// Routes the request, asks who sent it, and does what the route says.
async fn answer<'c>(
    plan: &'c Plan,
    caller: &Caller<'c>,
    worker: &Worker,
    record: &Record,
) -> Ended {
    if let Some(maintenance) = &caller.listener.settings.maintenance {
        return Box::pin(put_off(caller, maintenance, &Edits::default(), worker)).await;
    }
    if let Some((route, lines)) = preflight(plan, caller) {
        let fields = |out: &mut Vec<u8>| out.extend_from_slice(&lines);
        let answering = caller.answer(204, fields, b"", &route.response_edits, worker);
        let (bytes, next) = Box::pin(answering).await;
        return Ended::answered(204, Cause::Status(204), bytes, next).by(route);
    }
    let (route, path) = match route(plan, caller) {
        Ok(found) => found,
        Err(refusal) => return refuse(caller, &refusal, worker).await,
    };
    if let Some(maintenance) = &route.maintenance {
        let putting_off = put_off(caller, maintenance, &route.response_edits, worker);
        return Box::pin(putting_off).await.by(route);
    }
    if let Err(refusal) = caller.identify(route, &path, worker).await {
        return refuse(caller, &refusal, worker).await.by(route);
    }
    match &route.target {
        Target::Files(settings) => {
            Box::pin(files::serve(caller, route, &path, settings, worker)).await.by(route)
        }
        Target::Respond(response) => Box::pin(respond(caller, route, response, worker)).await,
        Target::Redirect { status, to } => {
            Box::pin(redirect(caller, route, &path, (*status, to), worker)).await
        }
        Target::Transcode(transcoded) => {
            Box::pin(transcode(caller, route, &path, transcoded, worker, record)).await
        }
        Target::Forward(split) => {
            let choice = choose(caller, route, split, worker, record);
            forward(caller, route, &path, choice, worker, record).await
        }
    }
}

/// Where the request goes, and its path in the one form that decides that and is sent on.
fn route<'p, 'c>(
    plan: &'p Plan,
    caller: &Caller<'c>,
) -> Result<(&'p Arc<Route>, Cow<'c, [u8]>), Refusal> {
    let path = path::normalise(caller.request.path()).map_err(Refusal::malformed)?;
    let has_field = |name: &[u8], value: &[u8]| caller.has_field(name, value);
    let route = plan
        .route(caller.listener.label, &caller.subject(&path, &has_field))
        .ok_or_else(Refusal::no_route)?;
    if let Some(cors) = &route.settings.cors {
        caller.told_pages.get_or_init(|| cors.lines(&caller.request));
    }
    let mut upload = caller.upload.borrow_mut();
    upload.leave_out(&route.request_edits.owned);
    let fits = upload.limit(route.settings.max_body);
    if fits { Ok((route, path)) } else { Err(Refusal::too_large()) }
}

/// Tries the call at its upstream and delivers what came of it.
async fn forward(
    caller: &Caller<'_>,
    route: &Route,
    path: &[u8],
    choice: &Choice,
    worker: &Worker,
    record: &Record,
) -> Ended {
    let Choice { upstream, policy, watches, .. } = choice;
    let mirror = route.mirror.as_ref().filter(|mirror| mirror.takes(worker.random()));
    let kept = replay_bytes(policy, caller.idempotent || upstream.speaks_http2());
    let copied = mirror.map_or(0, |_| mirror::BODY);
    caller.upload.borrow_mut().keep_for_replay(kept.max(copied));
    record.under(policy, choice.label, worker.number_call());
    let prepared = match Prepared::new(caller, path, route, record.traced()) {
        Ok(prepared) => prepared,
        Err(error) => return refuse(caller, &Refusal::malformed(error), worker).await.by(route),
    };
    let keys = CallKeys::new(caller, &route.settings.name);
    let seed = worker.call_seed(record.number());
    let exchange = Exchange {
        caller,
        worker,
        upstream,
        watches,
        keys: &keys,
        prepared: &prepared,
        record,
        seed,
        picks: Cell::new(0),
        under_way: Cell::new(0),
    };
    let call = caller.call(route, &keys, record.started(), seed);

    let Answer { end, held, fallback, .. } =
        run(policy, &call, &worker.clock, &exchange, record).await;

    let (cause, ended) = match end {
        end if fallback && let Some(settings) = policy.fallback() => {
            Box::pin(fall_back(&exchange, end, policy, settings, route)).await
        }
        End::Ended(_, Ok(answered)) if answered.status == 101 => {
            Box::pin(tunnel(&exchange, answered, route)).await
        }
        End::Ended(_, Ok(answered)) => deliver(&exchange, answered, route).await,
        End::Ended(cause, Err(failure)) => {
            (cause, refuse_if_there(&exchange, Refusal::failed(&failure, upstream)).await)
        }
        End::TimedOut => {
            let refusal = Refusal::timed_out(worker.now().since(record.started()), policy.name());
            (Cause::Timeout, refuse(caller, &refusal, worker).await)
        }
        End::Rejected(rejection) => {
            (Cause::Unavailable, refuse(caller, &Refusal::rejected(rejection), worker).await)
        }
        End::Unavailable => (
            Cause::Unavailable,
            refuse(caller, &Refusal::unavailable(&upstream.settings.name), worker).await,
        ),
    };
    held.settle(cause, worker.now(), record);
    if let Some(mirror) = mirror {
        mirror.send(caller, &prepared, worker);
    }
    Ended { upstream: upstream.label, ..ended.by(route) }
}

/// Streams the upstream's answer to the client.
async fn deliver(exchange: &Exchange<'_, '_>, answered: Answered, route: &Route) -> (Cause, Ended) {
    let caller = exchange.caller;
    let (status, number) = (answered.status, answered.number);
    let treatment = match &route.settings.compress {
        None => Treatment::default(),
        Some(compress) => compress.treat(caller, &answered, exchange.worker),
    };
    let framing = if treatment.coder.is_some() { Framing::UntilClose } else { answered.framing };
    let delivery = forward::delivery(framing, caller.version);
    let persistence = caller.persistence(delivery, exchange.worker);
    let edits = &route.response_edits;
    let Relayed { end, bytes, grpc } =
        relay(exchange, answered, (delivery, persistence), treatment, edits).await;
    let cause = end.cause(grpc.map_or(Cause::Status(status), |grpc| Cause::Grpc(grpc.0)));
    if grpc.is_some() {
        // Only its end has told how it went.
        exchange.record.attempt_told(number, cause);
    }
    let next = match end {
        RelayEnd::NotBegun(failure) => {
            let refusal = Refusal::failed(&failure, exchange.upstream);
            return (cause, refuse_if_there(exchange, refusal).await);
        }
        RelayEnd::Whole => caller.next(persistence),
        RelayEnd::Broken | RelayEnd::Gone => Next::Abort,
    };
    (cause, Ended::answered(status, cause, bytes, next))
}

/// How much of a body is kept to be sent again: as much as the policy's retries ask for, and for a call that may
/// be sent again anyhow, enough for that. An idempotent one is, when a kept connection turns out dead, and one over
/// HTTP/2, when the upstream says that it has not begun it.
fn replay_bytes(policy: &Bound, may_be_sent_again: bool) -> usize {
    let most = policy.replay_bytes().max(if may_be_sent_again { REPLAYED } else { 0 });
    usize::try_from(most).unwrap_or(usize::MAX)
}

const REPLAYED: u64 = 64 * 1024;

/// In a box, as the other ways off the common one are: a call that is answered does not carry the
/// room for a refusal about.
pub(crate) fn refuse<'a>(
    caller: &'a Caller<'_>,
    refusal: &'a Refusal,
    worker: &'a Worker,
) -> Pin<Box<impl Future<Output = Ended>>> {
    Box::pin(async move {
        let (bytes, next) = caller.refuse(refusal, worker).await;
        Ended::refused(refusal, bytes, next)
    })
}

/// `None` is a refusal that nobody is left to hear.
async fn refuse_if_there(exchange: &Exchange<'_, '_>, refusal: Option<Refusal>) -> Ended {
    match refusal {
        Some(refusal) => refuse(exchange.caller, &refusal, exchange.worker).await,
        None => Ended::gone(),
    }
}

async fn redirect(
    caller: &Caller<'_>,
    route: &Route,
    path: &[u8],
    (status, to): (u16, &str),
    worker: &Worker,
) -> Ended {
    let mut location = worker.scratch();
    if let Err(error) = write_place(&mut location, to, &route.matcher.path, path) {
        return refuse(caller, &Refusal::malformed(error), worker).await.by(route);
    }
    let fields = |out: &mut Vec<u8>| field(out, b"Location", &location);
    let (bytes, next) = caller.answer(status, fields, b"", &route.response_edits, worker).await;
    worker.give_scratch(location);
    Ended::answered(status, Cause::Status(status), bytes, next).by(route)
}

async fn respond(
    caller: &Caller<'_>,
    route: &Route,
    response: &Response,
    worker: &Worker,
) -> Ended {
    let Response { status, headers, body } = response;
    let edits = &route.response_edits;
    let fields = |out: &mut Vec<u8>| {
        for (name, value) in headers.iter().filter(|(name, _)| !edits.drops(name.as_bytes())) {
            field(out, name.as_bytes(), value.as_bytes());
        }
    };
    let (bytes, next) = caller.answer(*status, fields, body.as_bytes(), edits, worker).await;
    Ended::answered(*status, Cause::Status(*status), bytes, next).by(route)
}

/// Says that nothing is served for a while.
async fn put_off(
    caller: &Caller<'_>,
    maintenance: &Maintenance,
    edits: &Edits,
    worker: &Worker,
) -> Ended {
    let refusal = Refusal::maintenance(maintenance.retry_after);
    let (bytes, next) = match &maintenance.body {
        Some(body) if !caller.grpc => {
            let kind: &[u8] = match body.trim_start().starts_with('<') {
                true => b"text/html; charset=utf-8",
                false => b"text/plain; charset=utf-8",
            };
            let fields = |out: &mut Vec<u8>| {
                field(out, b"Content-Type", kind);
                maintenance
                    .retry_after
                    .into_iter()
                    .for_each(|after| problem::retry_after(out, after));
            };
            caller.answer(503, fields, body.as_bytes(), edits, worker).await
        }
        _ => caller.refuse(&refusal, worker).await,
    };
    Ended::refused(&refusal, bytes, next)
}

/// Answers what a page of another origin asks before it sends its request, where a route for that tells such pages
/// anything.
fn preflight<'p>(plan: &'p Plan, caller: &Caller<'_>) -> Option<(&'p Arc<Route>, Vec<u8>)> {
    let asked = Preflight::of(&caller.request)?;
    let path = path::normalise(caller.request.path()).ok()?;
    let has_field = |name: &[u8], value: &[u8]| caller.has_field(name, value);
    let subject = Subject { method: asked.method, ..caller.subject(&path, &has_field) };
    let route = plan.route(caller.listener.label, &subject)?;
    let cors = route.settings.cors.as_ref()?;
    Some((route, cors.preflight(&asked, &caller.request)))
}

/// Which of its upstreams a request takes.
fn choose<'r>(
    caller: &Caller<'_>,
    route: &Route,
    split: &'r Split,
    worker: &Worker,
    record: &Record,
) -> &'r Choice {
    let now = record.started();
    let by_chance = || split.choose(worker.random(), now);
    let Some(key) = &route.settings.split_key else { return by_chance() };
    let found = match key {
        SplitKey::Header(name) => caller.request.get_other(name.as_bytes()).map(Cow::Borrowed),
        SplitKey::Cookie(name) => sticky::value(&caller.request, name).map(Cow::Borrowed),
        SplitKey::ClientIp => {
            caller.client_address().map(|address| address.to_string().into_bytes().into())
        }
    };
    found.map_or_else(by_chance, |key| split.choose_for(&key, now))
}
