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
use locum_wire::http1::{Error, Field, Framing, Name, Request, Response, Version};

use crate::caller::Caller;
use crate::rewrite::write_path;
use crate::route::{Edits, Host, PathPattern, Rewrite, Route};
use crate::telemetry::Traced;
use crate::timeout;
use crate::upstream::sticky::Cookie;

mod address;

use address::Address;

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

/// X-Forwarded-* and Forwarded (RFC 7239): rebuilt from the connection, or, if the peer is trusted,
/// appended to what it says.
fn write_forwarded(head: &mut Vec<u8>, caller: &Caller<'_>, edits: &Edits) {
    let request = &caller.request;
    if let (Some(host @ [_, ..]), false, true) =
        (request.host(), caller.trusted, edits.dropped.is_empty())
    {
        return write_forwarded_anew(head, caller, host);
    }
    let earlier = |name: Name| {
        let believed = if caller.trusted { usize::MAX } else { 0 };
        let fields = request.fields().take(believed).filter(move |field| field.kind == name);
        fields.map(|field| field.value).filter(|value| !value.is_empty())
    };
    let address = Address::of(caller.peer);
    let scheme: &[u8] = if caller.secure { b"https" } else { b"http" };

    if !edits.drops(b"x-forwarded-for") {
        head.extend_from_slice(b"X-Forwarded-For: ");
        for value in earlier(Name::XForwardedFor) {
            head.extend_from_slice(value);
            head.extend_from_slice(b", ");
        }
        head.extend_from_slice(address.text());
        head.extend_from_slice(b"\r\n");
    }
    let host = request.host().unwrap_or_default();
    if !edits.drops(b"x-forwarded-proto") {
        let scheme = earlier(Name::XForwardedProto).next().unwrap_or(scheme);
        read_field(head, b"X-Forwarded-Proto", scheme);
    }
    if !edits.drops(b"x-forwarded-host") {
        read_field(head, b"X-Forwarded-Host", earlier(Name::XForwardedHost).next().unwrap_or(host));
    }
    if !edits.drops(b"forwarded") {
        head.extend_from_slice(b"Forwarded: ");
        for value in earlier(Name::Forwarded) {
            head.extend_from_slice(value);
            head.extend_from_slice(b", ");
        }
        head.extend_from_slice(b"for=");
        address.write_node(head);
        if !host.is_empty() {
            // A port's colon is no token character, so a host is always quoted.
            head.extend_from_slice(b";host=\"");
            head.extend_from_slice(host);
            head.push(b'"');
        }
        head.extend_from_slice(b";proto=");
        head.extend_from_slice(scheme);
        head.extend_from_slice(b"\r\n");
    }
}

/// The same of a peer that is not trusted, all of it: few pieces, as this is on the way of most calls.
fn write_forwarded_anew(head: &mut Vec<u8>, caller: &Caller<'_>, host: &[u8]) {
    let address = Address::of(caller.peer);
    let scheme: [&[u8]; 2] = match caller.secure {
        true => [b"\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: ", b"\";proto=https\r\n"],
        false => [b"\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: ", b"\";proto=http\r\n"],
    };
    let [before, after] = address.node_marks();
    for piece in [
        b"X-Forwarded-For: ",
        address.text(),
        scheme[0],
        host,
        b"\r\nForwarded: for=",
        before,
        address.text(),
        after,
        b";host=\"",
        host,
        scheme[1],
    ] {
        head.extend_from_slice(piece);
    }
}

/// How an answer's body is framed towards the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// No body.
    Nothing,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
    /// Until we close: the client speaks HTTP/1.0 and the length is not known.
    UntilClose,
}

/// Whether and how the client's connection goes on after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// HTTP/1.1 keeps it open without a word.
    Kept,
    /// HTTP/1.0 is told that it stays open.
    KeptAlive,
    /// It is closed.
    Closed,
}

impl Persistence {
    /// Writes what the client must be told, if anything.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Kept => {}
            Self::KeptAlive => field(out, b"Connection", b"keep-alive"),
            Self::Closed => field(out, b"Connection", b"close"),
        }
    }
}

/// Writes the head of `response`, which was read from `bytes`, as the client is to see it.
pub(crate) fn answer_head(
    out: &mut Vec<u8>,
    bytes: &[u8],
    response: &Response<'_>,
    delivery: Delivery,
    persistence: Persistence,
    cookie: Option<Cookie<'_>>,
    edits: &Edits,
) {
    status_line(out, response);
    let mut run = 0..0;
    // What is delivered as it came has its length; a 304 or an answer to HEAD tells that which a body would have had.
    let length_stays = matches!(delivery, Delivery::Nothing | Delivery::Length(_));
    let mut length_stayed = false;
    let all_stay = edits.dropped.is_empty();
    for line in response.lines() {
        let stays = !line.hop
            && (line.kind != Name::ContentLength || length_stays)
            && (all_stay || !edits.drops(line.name(bytes)));
        length_stayed |= stays && line.kind == Name::ContentLength;
        extend_run(out, bytes, &mut run, &line.at, stays);
    }
    out.extend_from_slice(&bytes[run]);
    match delivery {
        Delivery::Nothing | Delivery::UntilClose => {}
        Delivery::Length(_) if length_stayed => {}
        Delivery::Length(length) => encode::content_length(out, length),
        Delivery::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
    persistence.write(out);
    if let Some(cookie) = cookie {
        cookie.write(out);
    }
    out.extend_from_slice(&edits.lines);
    out.extend_from_slice(b"\r\n");
}

/// Writes the head of an interim answer (RFC 9110 §15.2) as the client is to see it.
pub(crate) fn interim_head(out: &mut Vec<u8>, response: &Response<'_>) {
    status_line(out, response);
    for line in response.fields().filter(|line| !line.hop && line.kind != Name::ContentLength) {
        field(out, line.name, line.value);
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes the head of the answer that turns a connection into a tunnel; `accept` is the proof of it, where the
/// upstream does not give one.
pub(crate) fn switching_head(
    out: &mut Vec<u8>,
    response: &Response<'_>,
    accept: Option<String>,
    cookie: Option<Cookie<'_>>,
    edits: &Edits,
) {
    status_line(out, response);
    for line in response.fields().filter(|line| !line.hop && !edits.drops(line.name)) {
        field(out, line.name, line.value);
    }
    out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: websocket\r\n");
    if let Some(accept) = accept {
        field(out, b"Sec-WebSocket-Accept", accept.as_bytes());
    }
    if let Some(cookie) = cookie {
        cookie.write(out);
    }
    out.extend_from_slice(&edits.lines);
    out.extend_from_slice(b"\r\n");
}

/// How the body of `response` goes to a client that speaks `version`.
pub(crate) fn delivery(framing: Framing, version: Version) -> Delivery {
    match framing {
        Framing::None => Delivery::Nothing,
        Framing::Length(length) => Delivery::Length(length),
        Framing::Chunked | Framing::UntilClose if version == Version::Http11 => Delivery::Chunked,
        Framing::Chunked | Framing::UntilClose => Delivery::UntilClose,
    }
}

/// The status line as the upstream phrased it.
fn status_line(out: &mut Vec<u8>, response: &Response<'_>) {
    let digit = |place: u16| b'0' + (response.status() / place % 10) as u8;
    let [hundreds, tens, ones] = [100, 10, 1].map(digit);
    out.extend_from_slice(&[
        b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1', b' ', hundreds, tens, ones, b' ',
    ]);
    out.extend_from_slice(response.reason());
    out.extend_from_slice(encode::CRLF);
}

/// Appends `content` as one chunk; nothing for nothing, which would end the body.
pub(crate) fn chunk(out: &mut Vec<u8>, content: &[u8]) {
    if !content.is_empty() {
        encode::chunk_head(out, content.len());
        out.extend_from_slice(content);
        out.extend_from_slice(encode::CRLF);
    }
}

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
