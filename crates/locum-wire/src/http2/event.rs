//! What a peer did.

use std::ops::Range;

use super::{ErrorCode, Reason, StreamId};
use crate::http1::encode;

/// What a peer did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A head has come: a request's on a new stream, or an answer's, an interim one perhaps.
    /// [`text`](super::Connection::text) is what it is in HTTP/1.1.
    Head {
        /// Which stream.
        stream: StreamId,
        /// Whether nothing follows.
        end: bool,
    },
    /// Content has come, and is to be [released](super::Connection::release) when it was passed on.
    Data {
        /// Which stream.
        stream: StreamId,
        /// Where it is in the bytes that were received. Empty only at the end.
        data: Range<usize>,
        /// Whether the head of this message says that its content comes in chunks: then
        /// [`write_data`] makes them.
        chunked: bool,
        /// Whether nothing follows.
        end: bool,
    },
    /// Trailers have come; nothing follows. [`text`](super::Connection::text) is the last chunk with
    /// them, or empty where the content does not come in chunks.
    Trailers {
        /// Which stream.
        stream: StreamId,
    },
    /// The peer has given up a stream. A server does so with `NO_ERROR` behind a complete answer, when it
    /// does not need the rest of the request (RFC 9113 §8.1).
    Reset {
        /// Which stream.
        stream: StreamId,
        /// Why.
        code: ErrorCode,
    },
    /// A stream was reset, or never begun, for what the peer did on it. The peer was told.
    Refused {
        /// Which stream.
        stream: StreamId,
        /// What it did.
        reason: Reason,
    },
    /// More can be sent: on a stream, or, without one, on any.
    Writable(Option<StreamId>),
    /// The peer will not take new streams; those of ours above `last` were not begun, and are gone.
    GoAway {
        /// The last stream that the peer has dealt with or may still do.
        last: StreamId,
        /// Why.
        code: ErrorCode,
    },
    /// The peer answers a [`ping`](super::Connection::ping).
    Pong([u8; 8]),
}

/// Appends content as it stands in an HTTP/1.1 message.
pub fn write_data(out: &mut Vec<u8>, data: &[u8], chunked: bool, end: bool) {
    if !chunked {
        out.extend_from_slice(data);
        return;
    }
    if !data.is_empty() {
        encode::chunk_head(out, data.len());
        out.extend_from_slice(data);
        out.extend_from_slice(encode::CRLF);
    }
    if end {
        out.extend_from_slice(encode::LAST_CHUNK);
    }
}
