//! What a message becomes on its way through: hop-by-hop fields go, ours come, the rest is copied
//! byte for byte.
//!
//! Strip first, then add ours: whatever a client names in `Connection`, it cannot remove what the
//! proxy adds (RFC 9110 §7.6.1; CVE-2022-31813).

use std::borrow::Cow;
use std::io::Write as _;
use std::ops::Range;
use std::time::Duration;

use locum_wire::http1::encode::{self, field, read_field};
use locum_wire::http1::{Error, Field, Framing, Name, Request};

use crate::caller::Caller;
use crate::rewrite::write_path;
use crate::route::{Edits, Host, PathPattern, Rewrite, Route};
use crate::telemetry::Traced;
use crate::timeout;

mod address;
mod answer;
mod forwarded;

pub(crate) use answer::{
    Delivery, Persistence, answer_head, chunk, delivery, interim_head, switching_head,
};
use forwarded::write_forwarded;

/// A request as its attempts send it. Each writes the head anew: a call that waits for its answer holds no copy of
/// what is sent once in almost every case.
pub(crate) struct Prepared<'a, 'c> {
    caller: &'a Caller<'c>,
    route: &'a Route,
    /// As the upstream is to see it.
    path: Cow<'a, [u8]>,
    /// Attempts have places of their own in the call's trace, and tell them.
    traced: Option<&'a Traced>,
}

impl<'a, 'c> Prepared<'a, 'c> {
    /// The request of `caller`, whose path in normal form is `path`, as it goes by `route`. Where it is `traced`, its
    /// attempts have places of their own in the trace.
    ///
    /// # Errors
    ///
    /// The route makes no path of this one.
    pub(crate) fn new(
        caller: &'a Caller<'c>,
        path: &'a [u8],
        route: &'a Route,
        traced: Option<&'a Traced>,
    ) -> Result<Self, Error> {
        let path = rewritten(path, route)?;
        let told = traced.filter(|_| !route.request_edits.drops(TRACEPARENT));
        let prepared = Self { caller, route, path, traced: told };
        if let Some(traced) = traced {
            let mut target = Vec::new();
            prepared.write_target(&mut target);
            traced.asks_for(&target);
        }
        Ok(prepared)
    }

    /// Puts the head of attempt `number` to the endpoint called `endpoint`, which has so much time left, into `out`.
    pub(crate) fn write(
        &self,
        out: &mut Vec<u8>,
        endpoint: &str,
        number: u32,
        left: Option<Duration>,
    ) {
        let Self { caller, route, .. } = self;
        let request = &caller.request;
        out.extend_from_slice(request.method());
        out.push(b' ');
        self.write_target(out);
        out.extend_from_slice(b" HTTP/1.1\r\n");
        // A client of HTTP/1.0 may have named no host, and HTTP/1.1 must not leave without (RFC 9112 §3.2).
        match (&route.settings.host, request.host()) {
            (Host::Name(name), _) => field(out, b"Host", name.as_bytes()),
            (Host::Preserve, Some(host)) => read_field(out, b"Host", host),
            (Host::Preserve, None) | (Host::Upstream, _) => {
                field(out, b"Host", endpoint.as_bytes());
            }
        }
        copy_fields(out, caller, &route.request_edits, self.traced);
        match request.framing() {
            Framing::Length(length) => encode::content_length(out, length),
            Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            Framing::None | Framing::UntilClose => {}
        }
        if request.te_trailers() {
            out.extend_from_slice(b"TE: trailers\r\nConnection: TE\r\n");
        }
        if caller.websocket {
            out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: websocket\r\n");
        }
        write_forwarded(out, caller, &route.request_edits);
        // RFC 9110 §7.6.3: as it was received.
        out.extend_from_slice(if caller.http2 {
            b"Via: 2.0 locum\r\n"
        } else {
            b"Via: 1.1 locum\r\n"
        });
        for (name, value) in caller.passed() {
            if !route.request_edits.drops(name.as_bytes()) {
                field(out, name.as_bytes(), value);
            }
        }
        out.extend_from_slice(&route.request_edits.lines);
        let attempt = number.max(caller.attempt_above);
        if attempt > 1 {
            out.extend_from_slice(b"x-locum-attempt: ");
            encode::decimal(out, u64::from(attempt));
            out.extend_from_slice(encode::CRLF);
        }
        if let Some(left) = left {
            timeout::tell(out, left, caller.grpc);
        }
        if let Some(traced) = self.traced {
            write!(out, "traceparent: {}\r\n", traced.context.attempt(number))
                .expect("invariant: writing to a Vec cannot fail");
        }
        out.extend_from_slice(b"\r\n");
    }

    fn write_target(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.path);
        if let Some(query) = self.caller.request.query() {
            out.push(b'?');
            out.extend_from_slice(query);
        }
    }
}

/// Whether the client asks for a WebSocket; no other protocol is let through, least of all h2c,
/// which would bypass every rule.
pub(crate) fn is_websocket(request: &Request<'_>) -> bool {
    request.method() == b"GET"
        && request.upgrade().is_some_and(|token| token.eq_ignore_ascii_case(b"websocket"))
}

/// What `route` makes of `path`.
fn rewritten<'a>(path: &'a [u8], route: &Route) -> Result<Cow<'a, [u8]>, Error> {
    let pattern = &route.matcher.path;
    let mut made = Vec::new();
    match &route.settings.rewrite {
        None => return Ok(Cow::Borrowed(path)),
        // `OPTIONS *` asks about the server, not about a path.
        Some(_) if path == b"*" => return Ok(Cow::Borrowed(path)),
        Some(Rewrite::Prefix(prefix)) => {
            let rest = match pattern {
                PathPattern::Prefix(old) => &path[old.len()..],
                _ => path,
            };
            let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
            made.extend_from_slice(prefix.as_bytes());
            if prefix.is_empty() && !rest.starts_with(b"/") {
                made.push(b'/');
            }
            made.extend_from_slice(rest);
        }
        Some(Rewrite::Path(template)) => write_path(&mut made, template, pattern, path)?,
    }
    Ok(Cow::Owned(made))
}

/// Copies the fields that go on, in as few runs as there are gaps.
fn copy_fields(out: &mut Vec<u8>, caller: &Caller<'_>, edits: &Edits, traced: Option<&Traced>) {
    let mut run = 0..0;
    // What the caller says of its trace is said anew; what it says beside that means nothing in another trace.
    let is_said_anew = |kind: Name| match traced {
        None => false,
        Some(traced) => {
            kind == Name::Traceparent || (kind == Name::Tracestate && traced.context.is_root())
        }
    };
    let all_stay = edits.strips_nothing();
    for line in caller.request.lines() {
        let name = || line.name(caller.head);
        let stays = is_passed(line.kind, line.hop, name)
            && (all_stay || !edits.strips(name()))
            && !is_said_anew(line.kind);
        extend_run(out, caller.head, &mut run, &line.at, stays);
    }
    out.extend_from_slice(&caller.head[run]);
}

fn extend_run(
    out: &mut Vec<u8>,
    bytes: &[u8],
    run: &mut Range<usize>,
    line: &Range<usize>,
    stays: bool,
) {
    if stays && run.end == line.start {
        run.end = line.end;
        return;
    }
    out.extend_from_slice(&bytes[run.clone()]);
    *run = if stays { line.clone() } else { 0..0 };
}

/// Whether a request's field goes on as it is, and is not one that we write ourselves.
pub(crate) fn goes_on(field: &Field<'_>) -> bool {
    is_passed(field.kind, field.hop, || field.name)
}

fn is_passed<'a>(kind: Name, hop: bool, name: impl Fn() -> &'a [u8]) -> bool {
    match kind {
        _ if hop => false,
        Name::Host | Name::ContentLength | Name::Expect => false,
        Name::Forwarded | Name::XForwardedFor | Name::XForwardedHost | Name::XForwardedProto => {
            false
        }
        Name::Other => {
            let name = name();
            !timeout::is_told_by(name) && !name.eq_ignore_ascii_case(ATTEMPT)
        }
        _ => true,
    }
}

/// Which attempt a request is; only a proxy may write it.
const ATTEMPT: &[u8] = b"x-locum-attempt";
/// Where a request stands in its trace (W3C Trace Context §3.2).
const TRACEPARENT: &[u8] = b"traceparent";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_lines_are_copied_in_one_run() {
        let bytes = b"aabbccdd";
        let mut out = Vec::new();
        let mut run = 0..0;
        for (line, stays) in [(0..2, true), (2..4, true), (4..6, false), (6..8, true)] {
            extend_run(&mut out, bytes, &mut run, &line, stays);
        }
        assert_eq!((&out[..], run), (&b"aabb"[..], 6..8));
    }
}
