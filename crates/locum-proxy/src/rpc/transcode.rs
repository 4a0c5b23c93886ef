//! HTTP with JSON in it, made as remote calls.

use argument::Argument;
use asked::Asked;
use locum_policy::Cause;
use locum_wire::http1::encode::{self, field};
use locum_wire::rpc::OwnedBody;

use super::call::{self, Call};
use super::flow::{Done, perform};
use super::reply::{Refused, Reply};
use crate::caller::Caller;
use crate::fallback::{self, Why};
use crate::flow::refuse;
use crate::forward::{Delivery, Persistence};
use crate::record::{Ended, Record};
use crate::refusal::Refusal;
use crate::route::{Choice, Route, Transcoded};
use crate::worker::Worker;

mod argument;
mod asked;
mod failure;
pub(crate) mod listing;
mod metadata;
pub(crate) mod room;

/// Makes the request as the remote call that the end of its `path` names, and answers it.
///
/// # Cancel safety
///
/// Dropping the future gives the call up, at the upstream too; its permits count as ignored.
pub(crate) async fn transcode(
    caller: &Caller<'_>,
    route: &Route,
    path: &[u8],
    transcoded: &Transcoded,
    worker: &Worker,
    record: &Record,
) -> Ended {
    let choice = transcoded.choice.at(record.started());
    let below = route.matcher.path.below_prefix(path);
    let ended = match Asked::of(&caller.request, below) {
        Err(refusal) => refuse(caller, &refusal, worker).await,
        Ok(Asked::Listing) => {
            let listing = transcoded.listing.get(route, transcoded, &worker.plan());
            answer_json(caller, route, &listing, worker).await
        }
        Ok(Asked::Call(method)) => {
            make(caller, route, method, (transcoded, choice), worker, record).await
        }
    };
    Ended { upstream: choice.upstream.label, ..ended.by(route) }
}

/// Makes one call and tells the client what came of it.
async fn make(
    caller: &Caller<'_>,
    route: &Route,
    method: Box<str>,
    (transcoded, choice): (&Transcoded, &Choice),
    worker: &Worker,
    record: &Record,
) -> Ended {
    record.call.borrow_mut().push_str(&method);
    let Argument { json, share: _held } = match argument::read(caller, route, &worker.room).await {
        Ok(argument) => argument,
        Err(refusal) => return refuse_if_there(caller, refusal, worker).await,
    };
    let call = Call {
        method,
        args: OwnedBody::Json(json),
        timeout: caller.told.timeout,
        attempt: caller.attempt_above,
        idempotent: caller.idempotent,
        trace: metadata::trace(&caller.request, &route.request_edits),
        metadata: metadata::of(&caller.request, &route.request_edits),
        edited: metadata::edited(caller, route),
    };
    let from = call::Caller {
        listener: caller.listener,
        address: caller.client_address(),
        protocol: caller.protocol(),
        certificate: None,
        identity: caller.identity(),
        trusted: caller.trusted,
        taker: None,
    };
    let methods = Some(&*transcoded.methods);
    let performing = perform(&call, &from, route, choice, methods, worker, record);
    let Some(Done { reply, falls_back, cause, held }) = caller.attends(performing).await else {
        return Ended::gone();
    };
    if let Reply::Ok(body) = &reply {
        choice.upstream.methods.learn(&call.method, &call.args.as_body(), &body.as_body());
    }
    let ended = match choice.policy.fallback().filter(|_| falls_back) {
        Some(settings) => match why(reply) {
            Some(why) => fallback::answer(caller, settings, &why, route, worker).await,
            None => Ended::gone(),
        },
        None => tell(caller, route, reply, worker).await,
    };
    if let Some(held) = held {
        held.settle(cause, worker.now(), record);
    }
    ended
}

/// What a fallback stands for; `None` where nobody is left to hear it.
fn why(reply: Reply) -> Option<Why> {
    Some(match reply {
        Reply::Ok(_) => Why::Status(200),
        Reply::Failed(failure) => Why::Status(failure::status(&failure)),
        Reply::Refused(refused) => Why::Refusal(Refusal::of_call(refused)?),
    })
}

/// Tells the client how its call ended.
async fn tell(caller: &Caller<'_>, route: &Route, reply: Reply, worker: &Worker) -> Ended {
    match reply {
        Reply::Ok(body) => match body.as_body().to_json() {
            Ok(json) => answer_json(caller, route, &json, worker).await,
            Err(error) => {
                let refusal = Refusal::of_call(Refused::Result(error.to_string()));
                refuse_if_there(caller, refusal, worker).await
            }
        },
        Reply::Failed(failure) => {
            let write = |out: &mut Vec<u8>, persistence| {
                failure::write(out, &failure, &route.response_edits, persistence);
            };
            answer(caller, failure::status(&failure), write, worker).await
        }
        Reply::Refused(refused) => refuse_if_there(caller, Refusal::of_call(refused), worker).await,
    }
}

/// Gives the client what it asked for.
async fn answer_json(caller: &Caller<'_>, route: &Route, json: &str, worker: &Worker) -> Ended {
    let edits = &route.response_edits;
    let write = |out: &mut Vec<u8>, persistence: Persistence| {
        encode::status_line(out, 200);
        field(out, b"Date", crate::clock::http_date().as_bytes());
        if !edits.drops(b"content-type") {
            field(out, b"Content-Type", b"application/json");
        }
        encode::content_length(out, json.len() as u64);
        persistence.write(out);
        out.extend_from_slice(&edits.lines);
        out.extend_from_slice(encode::CRLF);
        if !caller.head_only {
            out.extend_from_slice(json.as_bytes());
        }
    };
    answer(caller, 200, write, worker).await
}

/// Sends the answer that `write` writes.
async fn answer(
    caller: &Caller<'_>,
    status: u16,
    write: impl FnOnce(&mut Vec<u8>, Persistence),
    worker: &Worker,
) -> Ended {
    caller.upload.borrow_mut().skip_received();
    let persistence = caller.persistence(Delivery::Nothing, worker);
    let mut out = worker.scratch();
    write(&mut out, persistence);
    let (bytes, next) = caller.send(out, persistence, worker).await;
    Ended::answered(status, Cause::Status(status), bytes, next)
}

/// `None` is a refusal that nobody is left to hear.
async fn refuse_if_there(caller: &Caller<'_>, refusal: Option<Refusal>, worker: &Worker) -> Ended {
    match refusal {
        Some(refusal) => refuse(caller, &refusal, worker).await,
        None => Ended::gone(),
    }
}
