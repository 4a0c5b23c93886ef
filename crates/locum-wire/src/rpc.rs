//! Remote calls, whatever the protocol.
//!
//! One connection is two streams, each with a half that writes and a half that reads, none of which
//! knows of the others: a client has [`Calls`] and [`Answers`], a server [`Requests`] and [`Replies`].
//! The halves that read are given all bytes that were not taken yet, and say how many they took; what
//! they give borrows from those bytes. The halves that write append to a buffer.
//!
//! Each protocol is one module with the same four types: [`netrpc`](crate::netrpc),
//! [`jsonrpc`](crate::jsonrpc), [`native`](crate::native).

mod body;
mod client;
mod failure;
mod forward;
mod message;
mod metadata;
mod server;
mod shape;
mod trace;

pub use body::{Body, DecodeError, EncodeError, Form, OwnedBody};
pub use client::{Answers, Calls};
pub use failure::{Class, Failure, Refusal, write_retry_after};
pub use message::{Answer, Call, CallHead, CallId, Fatal, Request};
pub use metadata::Metadata;
pub use server::{Replies, Requests};
pub use shape::Shape;
pub use trace::{NoTraceParent, TraceParent};

/// A protocol that carries calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Go's net/rpc, over gob. The `CONNECT` that may come before it is no part of it.
    Gob,
    /// JSON-RPC 1.0, as Go's net/rpc/jsonrpc has it.
    Json1,
    /// JSON-RPC 2.0.
    Json2,
    /// Locum's own.
    Native,
}

/// How much of what a peer sends is taken before it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one message.
    pub message: usize,
    /// How deep values may nest.
    pub nesting: usize,
    /// Types that one stream may define.
    pub types: usize,
    /// Bytes of their definitions: they stay for as long as the stream does.
    pub definitions: usize,
    /// Fields that one type may have.
    pub fields: usize,
    /// Bytes that one value may take once it is decoded.
    pub decoded: usize,
}

/// How many bytes the elements of a value may take in memory that came in so many bytes, by a protocol that
/// knows nothing of [`Limits`]. Lists of the shortest numbers and texts take no more than eight times as many.
pub(crate) fn memory(bytes: usize) -> usize {
    bytes.saturating_mul(8).max(64 << 20)
}

impl Limits {
    /// None at all.
    pub(crate) const NONE: Self = Self {
        message: usize::MAX,
        nesting: usize::MAX,
        types: usize::MAX,
        definitions: usize::MAX,
        fields: usize::MAX,
        decoded: usize::MAX,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: 16 << 20,
            nesting: 64,
            types: 1024,
            definitions: 1 << 20,
            fields: 1024,
            decoded: 64 << 20,
        }
    }
}
