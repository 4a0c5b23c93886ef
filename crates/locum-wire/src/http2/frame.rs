//! Frames (RFC 9113 §4 and §6), as bytes.

use super::{ErrorCode, StreamId};

/// What a frame is. An unknown one is skipped (RFC 9113 §4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Headers,
    Priority,
    RstStream,
    Settings,
    PushPromise,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    Unknown,
}

/// The first nine bytes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) len: usize,
    pub(super) kind: Kind,
    flags: u8,
    pub(super) stream: StreamId,
}

pub(super) const HEADER: usize = 9;

pub(super) const END_STREAM: u8 = 0x1;
pub(super) const ACK: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const RST_STREAM: u8 = 0x3;
const SETTINGS: u8 = 0x4;
const PING: u8 = 0x6;
const GOAWAY: u8 = 0x7;
const WINDOW_UPDATE: u8 = 0x8;
const CONTINUATION: u8 = 0x9;

impl Header {
    pub(super) fn parse(bytes: &[u8; HEADER]) -> Self {
        let [a, b, c, kind, flags, id @ ..] = *bytes;
        Self {
            len: u32::from_be_bytes([0, a, b, c]) as usize,
            kind: match kind {
                DATA => Kind::Data,
                HEADERS => Kind::Headers,
                0x2 => Kind::Priority,
                RST_STREAM => Kind::RstStream,
                SETTINGS => Kind::Settings,
                0x5 => Kind::PushPromise,
                PING => Kind::Ping,
                GOAWAY => Kind::GoAway,
                WINDOW_UPDATE => Kind::WindowUpdate,
                CONTINUATION => Kind::Continuation,
                _ => Kind::Unknown,
            },
            flags,
            stream: StreamId::read(id),
        }
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(super) fn is_padded(&self) -> bool {
        self.has(PADDED)
    }

    pub(super) fn has_priority(&self) -> bool {
        self.has(PRIORITY)
    }
}

fn only_if(condition: bool, flag: u8) -> u8 {
    if condition { flag } else { 0 }
}

/// Appends the head of a frame whose length is set [later](set_len); gives where it is.
fn begin(out: &mut Vec<u8>, kind: u8, flags: u8, stream: StreamId) -> usize {
    let at = out.len();
    let [a, b, c, d] = stream.get().to_be_bytes();
    out.extend_from_slice(&[0, 0, 0, kind, flags, a, b, c, d]);
    at
}

/// Writes the length of the frame at `at`, which ends where `out` does.
fn set_len(out: &mut [u8], at: usize) {
    let len = ((out.len() - at - HEADER) as u32).to_be_bytes();
    out[at..at + 3].copy_from_slice(&len[1..]);
}

pub(super) fn begin_data(out: &mut Vec<u8>, stream: StreamId) -> usize {
    begin(out, DATA, 0, stream)
}

pub(super) fn end_data(out: &mut [u8], at: usize, end_stream: bool) {
    set_len(out, at);
    out[at + 4] |= only_if(end_stream, END_STREAM);
}

pub(super) fn begin_headers(out: &mut Vec<u8>, stream: StreamId, end_stream: bool) -> usize {
    begin(out, HEADERS, END_HEADERS | only_if(end_stream, END_STREAM), stream)
}

/// Ends the block that began at `at`; what is larger than a frame of the peer's goes into more.
pub(super) fn end_headers(out: &mut Vec<u8>, at: usize, stream: StreamId, most: usize) {
    if out.len() - at - HEADER <= most {
        return set_len(out, at);
    }
    let rest = out.split_off(at + HEADER + most);
    set_len(out, at);
    out[at + 4] &= !END_HEADERS;
    let mut pieces = rest.chunks(most).peekable();
    while let Some(piece) = pieces.next() {
        let flags = if pieces.peek().is_none() { END_HEADERS } else { 0 };
        let at = begin(out, CONTINUATION, flags, stream);
        out.extend_from_slice(piece);
        set_len(out, at);
    }
}

pub(super) fn settings(out: &mut Vec<u8>, settings: &[(u16, u32)]) {
    let at = begin(out, SETTINGS, 0, StreamId::CONNECTION);
    for (name, value) in settings {
        out.extend_from_slice(&name.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
    set_len(out, at);
}

pub(super) fn settings_ack(out: &mut Vec<u8>) {
    begin(out, SETTINGS, ACK, StreamId::CONNECTION);
}

pub(super) fn ping(out: &mut Vec<u8>, is_ack: bool, payload: [u8; 8]) {
    let at = begin(out, PING, only_if(is_ack, ACK), StreamId::CONNECTION);
    out.extend_from_slice(&payload);
    set_len(out, at);
}

pub(super) fn rst_stream(out: &mut Vec<u8>, stream: StreamId, code: ErrorCode) {
    let at = begin(out, RST_STREAM, 0, stream);
    out.extend_from_slice(&code.0.to_be_bytes());
    set_len(out, at);
}

pub(super) fn go_away(out: &mut Vec<u8>, last: StreamId, code: ErrorCode) {
    let at = begin(out, GOAWAY, 0, StreamId::CONNECTION);
    out.extend_from_slice(&last.get().to_be_bytes());
    out.extend_from_slice(&code.0.to_be_bytes());
    set_len(out, at);
}

pub(super) fn window_update(out: &mut Vec<u8>, stream: StreamId, increment: u32) {
    let at = begin(out, WINDOW_UPDATE, 0, stream);
    out.extend_from_slice(&increment.to_be_bytes());
    set_len(out, at);
}
