//! Heads that are sent: HTTP/1.1 told as fields (RFC 9113 §8).

use super::Scheme;
use super::hpack::{Encoder, Secrecy};
use super::read::GRPC;
use crate::http1::{Chunked, Field, Name, Request, Target};

/// Appends the block of an answer; that of a tunnel says that it is open (RFC 8441 §5).
pub(super) fn answer<'a>(
    encoder: &mut Encoder,
    out: &mut Vec<u8>,
    name: &mut Vec<u8>,
    status: u16,
    fields: impl Iterator<Item = Field<'a>>,
    is_tunnel: bool,
    secret: &[u8],
) {
    self::status(encoder, out, if is_tunnel { 200 } else { status });
    for it in fields {
        let is_handshake = is_tunnel && it.name.eq_ignore_ascii_case(b"sec-websocket-accept");
        if goes_on(&it) && !is_handshake {
            field(encoder, out, name, &it, secret);
        }
    }
}

/// Begins the block of an answer with its status.
pub(super) fn status(encoder: &mut Encoder, out: &mut Vec<u8>, status: u16) {
    let digits = [status / 100, status / 10 % 10, status % 10].map(|it| b'0' + it as u8);
    encoder.begin(out);
    encoder.field(out, b":status", &digits, Secrecy::Public);
}

/// How a request is asked.
#[derive(Clone, Copy)]
pub(super) struct How<'a> {
    pub(super) scheme: Scheme,
    /// By an extended CONNECT (RFC 8441 §4), for the WebSocket that it asks for.
    pub(super) is_tunnel: bool,
    /// Names of fields that must not be in a table, a line each.
    pub(super) secret: &'a [u8],
}

/// Appends the block of a request.
pub(super) fn request(
    encoder: &mut Encoder,
    out: &mut Vec<u8>,
    name: &mut Vec<u8>,
    request: &Request<'_>,
    How { scheme, is_tunnel, secret }: How<'_>,
) {
    let scheme = match scheme {
        Scheme::Http => &b"http"[..],
        Scheme::Https => b"https",
    };
    let method = if is_tunnel { b"CONNECT" } else { request.method() };
    encoder.begin(out);
    encoder.field(out, b":method", method, Secrecy::Public);
    if is_tunnel {
        encoder.field(out, b":protocol", b"websocket", Secrecy::Public);
    }
    encoder.field(out, b":scheme", scheme, Secrecy::Public);
    if let Some(host) = request.host() {
        encoder.field(out, b":authority", host, Secrecy::Public);
    }
    let secrecy = if is_named(b":path", secret) { Secrecy::Secret } else { Secrecy::Public };
    encoder.field(out, b":path", path(request, name), secrecy);
    let mut is_grpc = false;
    for it in request.fields() {
        is_grpc |= it.kind == Name::ContentType && it.value.starts_with(GRPC);
        // RFC 8441 §5: that an answer was made for it, the stream says.
        let is_handshake = is_tunnel && it.name.eq_ignore_ascii_case(b"sec-websocket-key");
        if goes_on(&it) && !is_handshake && !matches!(it.kind, Name::Host | Name::Te) {
            field(encoder, out, name, &it, secret);
        }
    }
    // A gRPC client must say so, and this is the only coding that HTTP/2 lets anybody say.
    if is_grpc || request.te_trailers() {
        encoder.field(out, b"te", b"trailers", Secrecy::Public);
    }
}

/// Appends a block of trailers.
pub(super) fn trailers(
    encoder: &mut Encoder,
    out: &mut Vec<u8>,
    lower: &mut Vec<u8>,
    chunked: &Chunked,
) {
    encoder.begin(out);
    for (name, value) in chunked.trailers() {
        lower.clear();
        lower.extend_from_slice(name);
        lower.make_ascii_lowercase();
        encoder.field(out, lower, value, Secrecy::Public);
    }
}

fn field(
    encoder: &mut Encoder,
    out: &mut Vec<u8>,
    lower: &mut Vec<u8>,
    field: &Field<'_>,
    secret: &[u8],
) {
    let secrecy = if is_named(field.name, secret) { Secrecy::Secret } else { secrecy(field) };
    if let Some(name) = field.kind.in_lower_case() {
        return encoder.field(out, name, field.value, secrecy);
    }
    lower.clear();
    lower.extend_from_slice(field.name);
    lower.make_ascii_lowercase();
    encoder.field(out, lower, field.value, secrecy);
}

/// Whether a field is for more than one connection (RFC 9113 §8.2.2). What the sender has named in its
/// Connection lines is not.
fn goes_on(field: &Field<'_>) -> bool {
    match field.kind {
        Name::Connection
        | Name::Http2Settings
        | Name::KeepAlive
        | Name::ProxyConnection
        | Name::TransferEncoding
        | Name::Upgrade => false,
        Name::Other => !field.hop,
        _ => true,
    }
}

/// Whether the name stands in one of the lines.
fn is_named(name: &[u8], lines: &[u8]) -> bool {
    !lines.is_empty() && lines.split(|it| *it == b'\n').any(|it| name.eq_ignore_ascii_case(it))
}

/// RFC 7541 §7.1.3: what is short enough to be guessed byte by byte, and what is a credential.
fn secrecy(field: &Field<'_>) -> Secrecy {
    match field.kind {
        Name::Authorization | Name::ProxyAuthorization | Name::SetCookie => Secrecy::Secret,
        Name::Cookie if field.value.len() < 20 => Secrecy::Secret,
        Name::Other if field.name.eq_ignore_ascii_case(b"x-api-key") => Secrecy::Secret,
        _ => Secrecy::Public,
    }
}

/// RFC 9113 §8.3.1: path and query. `buffer` is used where they do not stand together.
fn path<'a>(request: &Request<'a>, buffer: &'a mut Vec<u8>) -> &'a [u8] {
    if request.target() == Target::Origin {
        return request.raw_target();
    }
    buffer.clear();
    buffer.extend_from_slice(request.path());
    if let Some(query) = request.query() {
        buffer.push(b'?');
        buffer.extend_from_slice(query);
    }
    buffer
}
