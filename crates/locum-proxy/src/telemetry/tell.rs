//! Spans as they are told: the call's own, which its caller's is the parent of, and one below it for each attempt.
//!
//! Names and attributes are those of OpenTelemetry's semantic conventions for HTTP and RPC; what is Locum's own begins with
//! `locum.`. No value of a header field is told, and of a query none that is a secret by its name.

use std::borrow::Cow;
use std::time::Duration;

use locum_policy::{AttemptKind, Cause, Time};
use locum_wire::http1::Version;
use locum_wire::protobuf::Writer;

use super::span::{CLIENT, DROPPED_EVENTS, EVENTS, Ending, SERVER, SPANS, Span, attribute};
use super::traced::{Step, Traced};
use super::{Tracer, redact};
use crate::caller::Caller;
use crate::clock::unix_nanos;
use crate::grpc;
use crate::metrics::{kind_name, outcome_name};
use crate::record::{AttemptRecord, Ended, Record};
use crate::rpc::call::{self as rpc, Call};
use crate::rpc::reply::Told;
use crate::upstream::Address;
use crate::worker::Worker;

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

/// A request of HTTP as its spans tell of it.
struct Asked<'a> {
    /// One of those that are known, or `_OTHER`: a client can make up as many as it likes.
    method: &'a str,
    original: Cow<'a, str>,
    path: Cow<'a, str>,
    grpc: bool,
}

impl<'a> Asked<'a> {
    fn of(caller: &Caller<'a>) -> Self {
        let original = String::from_utf8_lossy(caller.request.method());
        let method = METHODS.iter().find(|known| **known == original).unwrap_or(&"_OTHER");
        let path = String::from_utf8_lossy(caller.request.path());
        Self { method, original, path, grpc: caller.grpc }
    }

    /// `GET /users/{id}`, or the method of gRPC.
    fn name(&self, finished: &Finished<'_>, ended: &Ended) -> String {
        if self.grpc {
            return self.path.trim_start_matches('/').to_owned();
        }
        let method = if self.method == "_OTHER" { "HTTP" } else { self.method };
        match pattern(finished.worker, &ended.route.name()) {
            Some(pattern) => format!("{method} {pattern}"),
            None => method.to_owned(),
        }
    }

    fn attributes(
        &self,
        out: &mut Span<'_, '_>,
        finished: &Finished<'_>,
        caller: &Caller<'_>,
        ended: &Ended,
    ) {
        self.method(out);
        if let Some(pattern) = pattern(finished.worker, &ended.route.name()) {
            out.text("http.route", &pattern);
        }
        out.text("url.scheme", if caller.secure { "https" } else { "http" });
        out.text("url.path", &self.path);
        if let Some(query) = caller.request.query() {
            out.text("url.query", &redact::query(&String::from_utf8_lossy(query)));
        }
        if let Some(host) = caller.request.host() {
            let host = String::from_utf8_lossy(host);
            let (name, port) = split(&host);
            out.text("server.address", name);
            if let Some(port) = port {
                out.number("server.port", port.into());
            }
        }
        if let Some(address) = caller.client_address() {
            out.text("client.address", &address.to_string());
        }
        if let Some(peer) = caller.peer {
            out.text("network.peer.address", &peer.to_string());
        }
        out.text(
            "network.protocol.version",
            match (caller.http2, caller.version) {
                (true, _) => "2",
                (false, Version::Http11) => "1.1",
                (false, _) => "1.0",
            },
        );
        if self.grpc {
            out.rpc("grpc", &self.path);
            out.number("rpc.grpc.status_code", ended.grpc_status().0.into());
        }
        if ended.outcome != "cancelled" {
            out.number("http.response.status_code", ended.status.into());
        }
        out.text("locum.listener", &caller.listener.settings.name);
        out.text("locum.route", &ended.route.name());
        out.text("locum.upstream", &ended.upstream.name());
        out.text("locum.call", &finished.record.call.borrow());
        out.number("locum.bytes_in", caller.received());
        out.number("locum.bytes_out", ended.bytes);
    }

    fn method(&self, out: &mut Span<'_, '_>) {
        out.text("http.request.method", self.method);
        if self.method == "_OTHER" {
            out.text("http.request.method_original", &self.original);
        }
    }

    /// Writes the span of an attempt of it.
    fn attempt(
        &self,
        spans: &mut Vec<u8>,
        wall: &Wall,
        finished: &Finished<'_>,
        attempt: &AttemptRecord,
    ) {
        let name = match (self.grpc, self.method) {
            (true, _) => self.path.trim_start_matches('/'),
            (false, "_OTHER") => "HTTP",
            (false, method) => method,
        };
        wall.attempt(spans, finished.traced, attempt, name, |out| {
            self.method(out);
            let target = finished.traced.target.borrow();
            let target = String::from_utf8_lossy(&target);
            let target = match target.split_once('?') {
                Some((path, query)) => format!("{path}?{}", redact::query(query)),
                None => target.into_owned(),
            };
            let scheme = if attempt.endpoint.tls.is_some() { "https" } else { "http" };
            out.text("url.full", &format!("{scheme}://{}{target}", attempt.endpoint.name));
            if attempt.number > 1 || attempt.kind != AttemptKind::First {
                out.number("http.request.resend_count", (attempt.number - 1).into());
            }
            if self.grpc {
                out.rpc("grpc", &self.path);
            }
            match attempt.cause {
                Some(Cause::Status(status)) => {
                    out.number("http.response.status_code", status.into());
                    (status >= 400).then(|| status.to_string().into())
                }
                Some(Cause::Grpc(code)) => {
                    let status = grpc::Status(code);
                    out.number("http.response.status_code", 200);
                    out.number("rpc.grpc.status_code", code.into());
                    (status != grpc::Status::OK).then(|| status.name().into())
                }
                cause => failure(cause),
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

/// The path that a route matches, as it is written.
fn pattern(worker: &Worker, route: &str) -> Option<String> {
    let plan = worker.plan();
    let routes = &plan.settings.routes;
    routes.iter().find(|settings| settings.name == route)?.matches.path.clone()
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

const METHODS: &[&str] =
    &["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"];

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
