//! The access log: one JSON line a call, the story that the metrics count.

use std::time::Duration;

use serde_json::{Value, json};

use crate::caller::Caller;
use crate::client::Client;
use crate::clock::unix_time;
use crate::metrics::{kind_name, outcome_name};
use crate::record::{Ended, Record};
use crate::rpc::call::{self as rpc, Call};
use crate::rpc::reply::Told;
use crate::tcp;

/// The query is left out: it is where secrets stand.
pub(crate) fn line(
    caller: &Caller<'_>,
    record: &Record,
    ended: &Ended,
    took: Duration,
    id: u64,
) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (attempts, verdicts) = (attempts(record), verdicts(record));
    let grpc = caller.grpc.then(|| ended.grpc_status().name());
    json!({
        "time": unix_time() - took.as_secs_f64(),
        "id": format!("{id:016x}"),
        "traceparent": caller.request.get_other(b"traceparent").map(text),
        "client": caller.client_address().map(|address| address.to_string()),
        "identity": caller.identity(),
        "listener": caller.listener.settings.name,
        "route": &*ended.route.name(),
        "upstream": &*ended.upstream.name(),
        "protocol": caller.protocol(),
        "method": text(caller.request.method()),
        "host": caller.request.host().map(text),
        "path": text(caller.request.path()),
        "call": Some(&**record.call.borrow()).filter(|call| !call.is_empty()),
        "status": ended.status,
        "grpc_status": grpc,
        "outcome": ended.outcome,
        "reason": ended.reason,
        "took": millis(took),
        "deadline": caller.told.timeout.map(millis),
        "bytes_in": caller.received(),
        "bytes_out": ended.bytes,
        "attempts": attempts,
        "verdicts": verdicts,
    })
}

/// The same of a remote call.
pub(crate) fn call_line(
    call: &Call,
    caller: &rpc::Caller<'_>,
    record: &Record,
    told: &Told,
    took: Duration,
    id: u64,
) -> Value {
    json!({
        "time": unix_time() - took.as_secs_f64(),
        "id": format!("{id:016x}"),
        "traceparent": call.trace.map(|trace| trace.to_string()),
        "client": caller.address.map(|address| address.to_string()),
        "identity": caller.identity,
        "listener": caller.listener.settings.name,
        "route": &*told.route.name(),
        "upstream": &*told.upstream.name(),
        "protocol": caller.protocol,
        "call": call.method,
        "code": told.code,
        "outcome": told.outcome,
        "reason": told.reason,
        "took": millis(took),
        "deadline": call.timeout.map(millis),
        "bytes_in": call.bytes(),
        "bytes_out": told.bytes,
        "attempts": attempts(record),
        "verdicts": verdicts(record),
    })
}

/// The same of a connection whose bytes were carried.
pub(crate) fn connection_line(
    client: &Client,
    record: &Record,
    told: &tcp::Told,
    took: Duration,
    id: u64,
) -> Value {
    json!({
        "time": unix_time() - took.as_secs_f64(),
        "id": format!("{id:016x}"),
        "client": client.peer_ip().map(|address| address.to_string()),
        "identity": told.identity,
        "listener": client.listener.settings.name,
        "route": &*told.route.name(),
        "upstream": &*told.upstream.name(),
        "protocol": "tcp",
        "server_name": told.server_name,
        "code": told.code,
        "outcome": told.outcome,
        "took": millis(took),
        "bytes_in": told.bytes.0,
        "bytes_out": told.bytes.1,
        "attempts": attempts(record),
        "verdicts": verdicts(record),
    })
}

fn attempts(record: &Record) -> Vec<Value> {
    let began = record.started();
    let attempts = record.attempts.borrow();
    let told = attempts.iter().map(|attempt| {
        json!({
            "endpoint": attempt.endpoint.name,
            "kind": kind_name(attempt.kind),
            "start": millis(attempt.began.since(began)),
            "deadline": attempt.left.map(millis),
            "took": attempt.took.map(millis),
            "outcome": attempt.cause.map_or("cancelled", outcome_name),
        })
    });
    told.collect()
}

fn verdicts(record: &Record) -> Vec<Value> {
    let decisions = record.decisions.borrow();
    let told = decisions.iter().map(|decision| {
        json!({
            "policy": &*decision.policy.name(),
            "kind": decision.kind.name(),
            "decision": &*decision.decision,
            "reason": &*decision.reason,
        })
    });
    told.collect()
}

/// Milliseconds with fractions.
fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
