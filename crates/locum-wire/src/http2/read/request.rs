//! Requests.

use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::field;
use crate::http1::byte::{self, TOKEN};
use crate::http1::{Name, authority, encode};
use crate::http2::Reason;
use crate::http2::hpack::Fields;
use crate::http2::stream::{Asked, Content};

/// What a request is.
pub(in crate::http2) struct Request {
    pub(in crate::http2) content: Content,
    pub(in crate::http2) asked: Asked,
}

/// Appends the head of a request; `ended`: no content follows.
pub(in crate::http2) fn request(
    fields: &Fields,
    ended: bool,
    seed: u64,
    out: &mut Vec<u8>,
) -> Result<Request, Reason> {
    let pseudo = Pseudo::read(fields)?;
    let method = pseudo.method.ok_or(Reason::Pseudo)?;
    let is_tunnel = pseudo.protocol.is_some();
    let target = pseudo.target(method)?;
    encode::request_line(out, if is_tunnel { b"GET" } else { method }, target);
    if let Some(authority) = pseudo.authority {
        field::write(out, b"Host", authority);
    }
    let rest = Rest::write(fields, &pseudo, out)?;
    if let Some(length) = rest.length
        && (is_tunnel || (ended && length > 0))
    {
        return Err(Reason::ContentLength);
    }
    let content = match rest.length {
        _ if is_tunnel => {
            upgrade(out, seed, rest.has_version);
            Content::Tunnel
        }
        Some(length) => Content::Length(length),
        None if method == b"CONNECT" => Content::Tunnel,
        None if ended => {
            // RFC 9110 §8.6: where content is usual, its absence is told.
            if matches!(method, b"POST" | b"PUT" | b"PATCH") {
                encode::content_length(out, 0);
            }
            Content::None
        }
        None => {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
            Content::Chunked
        }
    };
    out.extend_from_slice(encode::CRLF);
    let asked = match method {
        _ if is_tunnel => Asked::Tunnel,
        b"HEAD" => Asked::Head,
        _ => Asked::Other,
    };
    Ok(Request { content, asked })
}

/// The pseudo-header fields (RFC 9113 §8.3.1, RFC 8441 §4).
#[derive(Default)]
struct Pseudo<'a> {
    method: Option<&'a [u8]>,
    scheme: Option<&'a [u8]>,
    authority: Option<&'a [u8]>,
    path: Option<&'a [u8]>,
    protocol: Option<&'a [u8]>,
    count: usize,
}

impl<'a> Pseudo<'a> {
    /// Reads those that stand first; one that comes later is found with the fields.
    fn read(fields: &'a Fields) -> Result<Self, Reason> {
        let mut pseudo = Self::default();
        for (name, value) in fields.iter().take_while(|it| it.0.first() == Some(&b':')) {
            let slot = match name {
                b":method" => &mut pseudo.method,
                b":scheme" => &mut pseudo.scheme,
                b":authority" => &mut pseudo.authority,
                b":path" => &mut pseudo.path,
                b":protocol" => &mut pseudo.protocol,
                _ => return Err(Reason::Pseudo),
            };
            if slot.replace(value).is_some() {
                return Err(Reason::Pseudo);
            }
            pseudo.count += 1;
        }
        // RFC 9113 §8.3.1: an authority without a byte is one that is missing.
        if pseudo.authority.is_some_and(|it| !authority::is_valid(it)) {
            return Err(Reason::Authority);
        }
        Ok(pseudo)
    }

    /// What stands in the request line.
    fn target(&self, method: &[u8]) -> Result<&'a [u8], Reason> {
        if method.is_empty() || !method.iter().all(|&it| byte::is(it, TOKEN)) {
            return Err(Reason::Method);
        }
        let is_connect = method == b"CONNECT";
        if is_connect && self.protocol.is_none() {
            // RFC 9113 §8.5.
            if self.scheme.is_some() || self.path.is_some() {
                return Err(Reason::Pseudo);
            }
            return self.authority.ok_or(Reason::Authority);
        }
        match self.protocol {
            Some(b"websocket") if is_connect => {}
            Some(_) if is_connect => return Err(Reason::Protocol),
            Some(_) => return Err(Reason::Pseudo),
            None => {}
        }
        let scheme = self.scheme.ok_or(Reason::Pseudo)?;
        if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
            return Err(Reason::Scheme);
        }
        let path = self.path.ok_or(Reason::Pseudo)?;
        let is_good = match path {
            [b'/', rest @ ..] => rest.iter().all(|it| *it > b' ' && *it != 0x7f),
            b"*" => method == b"OPTIONS",
            _ => false,
        };
        if is_good { Ok(path) } else { Err(Reason::Path) }
    }
}

/// What the other fields say.
#[derive(Default)]
struct Rest {
    length: Option<u64>,
    has_version: bool,
}

impl Rest {
    /// Writes them.
    fn write(fields: &Fields, pseudo: &Pseudo<'_>, out: &mut Vec<u8>) -> Result<Self, Reason> {
        let mut rest = Self::default();
        let (mut host, mut has_cookie) = (None, false);
        for (name, value) in fields.iter().skip(pseudo.count) {
            match field::check(name, value)? {
                Name::Host => {
                    if host.replace(value).is_some() {
                        return Err(Reason::Host);
                    }
                    continue;
                }
                Name::ContentLength => field::read_length(&mut rest.length, value)?,
                Name::Cookie => {
                    has_cookie = true;
                    continue;
                }
                Name::Other if pseudo.protocol.is_some() => match name {
                    // RFC 8441 §5: it has no meaning here, and ours takes its place.
                    b"sec-websocket-key" => continue,
                    b"sec-websocket-version" => rest.has_version = true,
                    _ => {}
                },
                _ => {}
            }
            field::write(out, name, value);
        }
        if has_cookie {
            write_cookie(fields, out);
        }
        match (host, pseudo.authority) {
            (None, None) => Err(Reason::Authority),
            (Some(host), None) if !authority::is_valid(host) => Err(Reason::Host),
            (Some(host), None) => {
                field::write(out, b"Host", host);
                Ok(rest)
            }
            // RFC 9113 §8.3.1: they must not name different ones.
            (Some(host), Some(authority)) if !host.eq_ignore_ascii_case(authority) => {
                Err(Reason::Host)
            }
            _ => Ok(rest),
        }
    }
}

/// RFC 9113 §8.2.3: its crumbs become one line.
fn write_cookie(fields: &Fields, out: &mut Vec<u8>) {
    let crumbs = fields.iter().filter(|it| it.0 == b"cookie").map(|it| it.1);
    for (at, crumb) in crumbs.enumerate() {
        out.extend_from_slice(if at == 0 { b"Cookie: " } else { b"; " });
        out.extend_from_slice(crumb);
    }
    out.extend_from_slice(encode::CRLF);
}

/// What an extended CONNECT says in HTTP/1.1 (RFC 8441 §5, RFC 6455 §4.1).
fn upgrade(out: &mut Vec<u8>, seed: u64, has_version: bool) {
    if !has_version {
        out.extend_from_slice(b"Sec-WebSocket-Version: 13\r\n");
    }
    // The key proves that an answer was made for this request. No secret.
    let mut key = [0; 16];
    key[..8].copy_from_slice(&mixed(seed).to_le_bytes());
    key[8..].copy_from_slice(&mixed(!seed).to_le_bytes());
    out.extend_from_slice(b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ");
    let start = out.len();
    out.resize(start + 24, 0);
    let written = BASE64_STANDARD.encode_slice(key, &mut out[start..]);
    debug_assert_eq!(written, Ok(24));
    out.extend_from_slice(encode::CRLF);
}

/// The finaliser of SplitMix64.
fn mixed(seed: u64) -> u64 {
    let mut it = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    it ^ (it >> 31)
}
