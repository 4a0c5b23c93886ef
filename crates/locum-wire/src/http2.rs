//! HTTP/2 (RFC 9113), told as HTTP/1.1.
//!
//! A stream is a connection that carries one request: what a peer sends on it is given in the form of
//! HTTP/1.1, and what is sent on it is taken in that form. So whoever routes, tries and forwards knows
//! one form of a message. Begin at [`Connection`].
//!
//! Nothing of HTTP/2 crosses that HTTP/1.1 could take for something else: names and values are those
//! that its grammar allows, framing is ours, and what belongs to a connection is refused (RFC 9113 §8.2).

mod connection;
mod error;
mod event;
mod frame;
mod hpack;
mod limits;
mod outgoing;
mod read;
mod settings;
mod stream;

pub use connection::{Connection, Scheme, SendError};
pub use error::{Error, ErrorCode, Reason};
pub use event::{Event, write_data};
pub use limits::Limits;

use std::fmt;

/// What a client sends first (RFC 9113 §3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The number of a stream. Those of a client are odd.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(u32);

impl StreamId {
    /// The connection itself, in frames that are for no stream.
    const CONNECTION: Self = Self(0);

    /// The largest (RFC 9113 §5.1.1).
    const MAX: Self = Self((1 << 31) - 1);

    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }

    /// RFC 9113 §4.1: the first bit means nothing.
    fn read(bytes: [u8; 4]) -> Self {
        Self(u32::from_be_bytes(bytes) & Self::MAX.0)
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
