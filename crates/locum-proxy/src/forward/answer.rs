//! What an answer becomes on its way to the client.

use locum_wire::http1::encode::{self, field};
use locum_wire::http1::{Framing, Name, Response, Version};

use super::extend_run;
use crate::route::Edits;
use crate::upstream::sticky::Cookie;

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
