//! A request of HTTP, as spans tell of it.

use std::borrow::Cow;

use locum_policy::{AttemptKind, Cause};
use locum_wire::http1::Version;

use super::{Finished, Wall, failure, split};
use crate::caller::Caller;
use crate::grpc;
use crate::record::{AttemptRecord, Ended};
use crate::telemetry::redact;
use crate::telemetry::span::Span;
use crate::worker::Worker;

/// A request of HTTP as its spans tell of it.
pub(super) struct Asked<'a> {
    /// One of those that are known, or `_OTHER`: a client can make up as many as it likes.
    method: &'a str,
    original: Cow<'a, str>,
    path: Cow<'a, str>,
    grpc: bool,
}

impl<'a> Asked<'a> {
    pub(super) fn of(caller: &Caller<'a>) -> Self {
        let original = String::from_utf8_lossy(caller.request.method());
        let method = METHODS.iter().find(|known| **known == original).unwrap_or(&"_OTHER");
        let path = String::from_utf8_lossy(caller.request.path());
        Self { method, original, path, grpc: caller.grpc }
    }

    /// `GET /users/{id}`, or the method of gRPC.
    pub(super) fn name(&self, finished: &Finished<'_>, ended: &Ended) -> String {
        if self.grpc {
            return self.path.trim_start_matches('/').to_owned();
        }
        let method = if self.method == "_OTHER" { "HTTP" } else { self.method };
        match pattern(finished.worker, &ended.route.name()) {
            Some(pattern) => format!("{method} {pattern}"),
            None => method.to_owned(),
        }
    }

    pub(super) fn attributes(
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
    pub(super) fn attempt(
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

/// The path that a route matches, as it is written.
fn pattern(worker: &Worker, route: &str) -> Option<String> {
    let plan = worker.plan();
    let routes = &plan.settings.routes;
    routes.iter().find(|settings| settings.name == route)?.matches.path.clone()
}

const METHODS: &[&str] =
    &["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"];
