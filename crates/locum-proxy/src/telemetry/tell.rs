//! Spans as they are told: the call's own, which its caller's is the parent of, and one below it for each attempt.
//!
//! Names and attributes are those of OpenTelemetry's semantic conventions for HTTP and RPC; what is Locum's own begins with
//! `locum.`. No value of a header field is told, and of a query none that is a secret by its name.

use std::borrow::Cow;
use std::time::Duration;

use locum_policy::{Cause, Time};
use locum_wire::protobuf::Writer;

use super::Tracer;
use super::span::{CLIENT, DROPPED_EVENTS, EVENTS, Ending, SERVER, SPANS, Span, attribute};
use super::traced::{Step, Traced};
use crate::caller::Caller;
use crate::clock::unix_nanos;
use crate::grpc;
use crate::metrics::{kind_name, outcome_name};
use crate::record::{AttemptRecord, Ended, Record};
use crate::rpc::call::{self as rpc, Call};
use crate::rpc::reply::Told;
use crate::upstream::Address;
use crate::worker::Worker;

mod asked;

use asked::Asked;

/// A call that has ended, with what its spans have in common.
pub(crate) struct Finished<'a> {
    pub(crate) record: &'a Record,
    pub(crate) traced: &'a Traced,
    /// As the access log has it.
    pub(crate) id: u64,
    pub(crate) worker: &'a Worker,
}

impl Tracer {
    /// Tells of a request of HTTP, and of the remote call that it was made as.
    pub(crate) fn tell_request(&self, finished: &Finished<'_>, caller: &Caller<'_>, ended: &Ended) {
        self.tell_of(finished, |spans, wall| {
            let asked = Asked::of(caller);
            wall.call(spans, finished, &asked.name(finished, ended), |out| {
                asked.attributes(out, finished, caller, ended);
                let failed = match caller.grpc {
                    true => {
                        is_error(ended.grpc_status()).then(|| ended.grpc_status().name().into())
                    }
                    false => (ended.status >= 500).then(|| ended.status.to_string().into()),
                };
                Ending { outcome: ended.outcome, reason: ended.reason, failed }
            });
            let call = finished.record.call.borrow();
            for attempt in &*finished.record.attempts.borrow() {
                match call.is_empty() {
                    true => asked.attempt(spans, wall, finished, attempt),
                    false => attempt_of_call(spans, wall, finished, attempt, &call),
                }
            }
        });
    }

    /// Tells of a remote call.
    pub(crate) fn tell_call(
        &self,
        finished: &Finished<'_>,
        (call, caller): (&Call, &rpc::Caller<'_>),
        told: &Told,
    ) {
        self.tell_of(finished, |spans, wall| {
            wall.call(spans, finished, &call.method, |out| {
                out.rpc(caller.protocol, &call.method);
                out.text("network.protocol.name", caller.protocol);
                if let Some(address) = caller.address {
                    out.text("client.address", &address.to_string());
                }
                out.text("locum.listener", &caller.listener.settings.name);
                out.text("locum.route", &told.route.name());
                out.text("locum.upstream", &told.upstream.name());
                out.text("locum.code", told.code);
                out.number("locum.bytes_in", call.bytes() as u64);
                out.number("locum.bytes_out", told.bytes);
                let failed = !matches!(told.outcome, "success" | "fallback" | "cancelled");
                let failed = failed.then_some(told.code.into());
                Ending { outcome: told.outcome, reason: told.reason, failed }
            });
            for attempt in &*finished.record.attempts.borrow() {
                attempt_of_call(spans, wall, finished, attempt, &call.method);
            }
        });
    }

    fn tell_of(&self, finished: &Finished<'_>, write: impl FnOnce(&mut Vec<u8>, &Wall)) {
        let Finished { record, worker, .. } = *finished;
        let count = 1 + record.attempts.borrow().len() as u64;
        let wall = Wall { unix: unix_nanos(), now: worker.now() };
        let buffer = self.tell(worker.scratch(), count, |spans| write(spans, &wall));
        worker.give_scratch(buffer);
    }
}

/// Where the clock of calls stands on the wall.
struct Wall {
    unix: u64,
    now: Time,
}

impl Wall {
    /// Nanoseconds since 1970.
    fn at(&self, time: Time) -> u64 {
        let ago = self.now.since(time).as_nanos();
        self.unix.saturating_sub(ago.try_into().unwrap_or(u64::MAX))
    }

    /// Writes the span of the call itself.
    fn call<'a>(
        &self,
        spans: &mut Vec<u8>,
        finished: &Finished<'_>,
        name: &str,
        attributes: impl FnOnce(&mut Span<'_, '_>) -> Ending<'a>,
    ) {
        let Finished { record, traced, id, .. } = *finished;
        let context = &traced.context;
        Writer(spans).message(SPANS, |out| {
            let mut span = Span(out);
            let parent = context.parent();
            span.head(&context.call(), parent, parent.is_some(), name, SERVER);
            span.times(self.at(record.started()), self.unix);
            let ending = attributes(&mut span);
            span.text("locum.id", &format!("{id:016x}"));
            span.ending(&ending);
            let steps = traced.steps.borrow();
            steps.first.iter().for_each(|step| self.step(&mut span, step));
            if steps.more > 0 {
                span.0.number(DROPPED_EVENTS, u64::from(steps.more));
            }
        });
    }

    /// Writes the span of an attempt.
    fn attempt<'a>(
        &self,
        spans: &mut Vec<u8>,
        traced: &Traced,
        attempt: &AttemptRecord,
        name: &str,
        attributes: impl FnOnce(&mut Span<'_, '_>) -> Option<Cow<'a, str>>,
    ) {
        let context = &traced.context;
        let ended = attempt.took.or(attempt.cut).map_or(self.now, |took| attempt.began + took);
        Writer(spans).message(SPANS, |out| {
            let mut span = Span(out);
            let (own, call) = (context.attempt(attempt.number), context.call().parent_id);
            span.head(&own, Some(call), false, name, CLIENT);
            span.times(self.at(attempt.began), self.at(ended));
            let failed = attributes(&mut span);
            let endpoint = &attempt.endpoint;
            match &endpoint.address {
                Address::Tcp(address) => {
                    let (host, port) = split(&endpoint.name);
                    span.text("server.address", host);
                    span.number("server.port", port.unwrap_or_else(|| address.port()).into());
                    span.text("network.peer.address", &address.ip().to_string());
                    span.number("network.peer.port", address.port().into());
                }
                Address::Unix(path) => {
                    let path = path.to_string_lossy();
                    span.text("server.address", &path);
                    span.text("network.peer.address", &path);
                    span.text("network.transport", "unix");
                }
            }
            span.text("locum.upstream", &attempt.upstream.name());
            span.number("locum.attempt.number", attempt.number.into());
            span.text("locum.attempt.kind", kind_name(attempt.kind));
            let outcome = attempt.cause.map_or("cancelled", outcome_name);
            span.ending(&Ending { outcome, reason: "", failed });
        });
    }

    /// Writes what a policy did.
    fn step(&self, span: &mut Span<'_, '_>, step: &Step) {
        span.0.message(EVENTS, |event| {
            event.fixed64(1, self.at(step.at));
            event.text(2, step.name);
            let mut text = |key: &str, value: &str| {
                if !value.is_empty() {
                    attribute(event, 3, key, |any| any.text(1, value));
                }
            };
            text("locum.policy.name", &step.policy);
            text("locum.policy.kind", step.kind);
            text("locum.policy.reason", step.reason);
            text("locum.policy.target", step.target.as_deref().unwrap_or_default());
            if let Some((from, to)) = step.states {
                text("locum.breaker.from", from);
                text("locum.breaker.to", to);
            }
            if let Some(wait) = step.wait {
                attribute(event, 3, "locum.policy.wait", |any| any.double(4, seconds(wait)));
            }
        });
    }
}

/// Writes the span of an attempt of a remote call, in the protocol of its upstream.
fn attempt_of_call(
    spans: &mut Vec<u8>,
    wall: &Wall,
    finished: &Finished<'_>,
    attempt: &AttemptRecord,
    method: &str,
) {
    wall.attempt(spans, finished.traced, attempt, method, |out| {
        let plan = finished.worker.plan();
        let upstream = plan.upstream(&attempt.upstream.name());
        out.rpc(upstream.map_or("", |upstream| upstream.settings.protocol.name()), method);
        match attempt.cause {
            Some(Cause::AppError) => Some("app".into()),
            cause => failure(cause),
        }
    });
}

/// What went wrong with an attempt, if anything did.
fn failure(cause: Option<Cause>) -> Option<Cow<'static, str>> {
    let outcome = cause.map_or("cancelled", outcome_name);
    (outcome != "success").then_some(outcome.into())
}

/// Whether a server's span with this status of gRPC is an error.
fn is_error(status: grpc::Status) -> bool {
    // UNIMPLEMENTED beside those that are failures.
    status.is_failure() || status.0 == 12
}

/// A host and its port.
fn split(authority: &str) -> (&str, Option<u16>) {
    let parts =
        authority.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.ends_with(']'));
    match parts.map(|(host, port)| (host, port.parse().ok())) {
        Some((host, Some(port))) => (host, Some(port)),
        _ => (authority, None),
    }
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn a_host_is_told_from_its_port() {
        for (text, host, port) in [
            ("a.test:80", "a.test", Some(80)),
            ("a.test", "a.test", None),
            ("[::1]:80", "[::1]", Some(80)),
            ("[::1]", "[::1]", None),
            ("::1", "::1", None),
            ("a.test:http", "a.test:http", None),
        ] {
            assert_eq!(split(text), (host, port), "{text}");
        }
    }
}
