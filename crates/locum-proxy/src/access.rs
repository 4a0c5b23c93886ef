//! The access log: one line a call, the story that the metrics count.

use std::sync::Arc;
use std::time::Duration;

use locum_wire::http1::Version;
use locum_wire::rpc::TraceParent;
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::client::Client;
use crate::clock::unix_time;
use crate::log;
use crate::metrics::{kind_name, outcome_name};
use crate::record::{Ended, Record};
use crate::rpc::call::{self as rpc, Call};
use crate::rpc::reply::Told;
use crate::tcp;

pub use format::{Format, Malformed};

mod format;

/// A worker's end of the access log.
#[derive(Clone)]
pub(crate) struct Access {
    pub(crate) writer: log::Writer,
    pub(crate) format: Arc<Format>,
}

impl Access {
    /// Adds the line of a call of which this is told.
    pub(crate) fn write(&self, told: &Value) {
        self.writer.write(self.format.line(told).as_bytes());
    }

    /// The line of a request of HTTP.
    pub(crate) fn write_request(
        &self,
        caller: &Caller<'_>,
        record: &Record,
        ended: &Ended,
        took: Duration,
        id: u64,
    ) {
        let mut told = line(caller, record, ended, took, id);
        // What JSON does not tell, for it is the client's own words.
        if *self.format != Format::Json {
            let text = |name: &[u8]| {
                let value = caller.request.get_other(name)?;
                Some(String::from_utf8_lossy(value).into_owned())
            };
            told["version"] = version(caller).into();
            told["user_agent"] = text(b"user-agent").into();
            told["referer"] = text(b"referer").map(|referer| without_secrets(&referer)).into();
        }
        self.write(&told);
    }
}

fn version(caller: &Caller<'_>) -> &'static str {
    match (caller.http2, caller.version) {
        (true, _) => "HTTP/2.0",
        (false, Version::Http11) => "HTTP/1.1",
        (false, _) => "HTTP/1.0",
    }
}

/// A URL without what secrets stand in: its query, and who it is for.
fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

/// The query is left out: it is where secrets stand.
fn line(caller: &Caller<'_>, record: &Record, ended: &Ended, took: Duration, id: u64) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (attempts, verdicts) = (attempts(record), verdicts(record));
    let grpc = caller.grpc.then(|| ended.grpc_status().name());
    json!({
        "time": unix_time() - took.as_secs_f64(),
        "id": format!("{id:016x}"),
        "traceparent": trace(record, caller.trace()),
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
        "traceparent": trace(record, call.trace),
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

/// The call's own place in its trace, or else what its caller says.
fn trace(record: &Record, said: Option<TraceParent>) -> Option<String> {
    let own = record.traced().map(|traced| traced.context.call());
    own.or(said).map(|trace| trace.to_string())
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

#[cfg(test)]
mod tests {
    use super::without_secrets;

    #[test]
    fn a_referer_is_told_without_its_query_and_password() {
        for (written, told) in [
            ("https://a.test/x?token=1#y", "https://a.test/x"),
            ("https://ann:secret@a.test", "https://a.test"),
            ("https://ann:se@cret@a.test/x@y", "https://a.test/x@y"),
            ("/x?token=1", "/x"),
            ("", ""),
        ] {
            assert_eq!(without_secrets(written), told);
        }
    }
}
