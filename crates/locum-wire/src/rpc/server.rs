//! The server's halves of a connection.

use serde::Serialize;

use super::{CallId, EncodeError, Failure, Fatal, Limits, Protocol, Request, Shape};
use crate::{jsonrpc, native, netrpc};

/// Reads what a client sends.
#[derive(Debug)]
pub enum Requests {
    /// net/rpc over gob.
    Gob(netrpc::Requests),
    /// JSON-RPC, 1.0 and 2.0.
    Json(jsonrpc::Requests),
    /// Native.
    Native(native::Requests),
}

impl Requests {
    /// At the beginning of a stream.
    pub fn new(protocol: Protocol, limits: &Limits) -> Self {
        match protocol {
            Protocol::Gob => Self::Gob(netrpc::Requests::new(limits)),
            Protocol::Json1 | Protocol::Json2 => Self::Json(jsonrpc::Requests::new(limits)),
            Protocol::Native => Self::Native(native::Requests::new(limits)),
        }
    }

    /// The next request, once `input`, the bytes not taken so far, has all of it. Adds to `taken` how
    /// many of them are done with, also where there is no request yet; the next call is given the rest.
    ///
    /// # Errors
    ///
    /// The stream is beyond repair: the connection is closed once what is in flight is answered.
    pub fn next<'a>(
        &'a mut self,
        input: &'a [u8],
        taken: &mut usize,
    ) -> Result<Option<Request<'a>>, Fatal> {
        match self {
            Self::Gob(requests) => requests.next(input, taken),
            Self::Json(requests) => requests.next(input, taken),
            Self::Native(requests) => requests.next(input, taken),
        }
    }

    /// How many bytes the input has to have before another [`next`](Self::next) is worth while, as far
    /// as is known; never more than the limit of a message and what stands before it.
    pub fn needs(&self) -> usize {
        match self {
            Self::Gob(requests) => requests.needs(),
            Self::Json(requests) => requests.needs(),
            Self::Native(requests) => requests.needs(),
        }
    }
}

/// Writes what a server sends.
#[derive(Debug)]
pub enum Replies {
    /// net/rpc over gob.
    Gob(netrpc::Replies),
    /// JSON-RPC, 1.0 and 2.0.
    Json(jsonrpc::Replies),
    /// Native.
    Native(native::Replies),
}

impl Replies {
    /// At the beginning of a stream.
    pub fn new(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Gob => Self::Gob(netrpc::Replies::new()),
            Protocol::Json1 | Protocol::Json2 => Self::Json(jsonrpc::Replies::new()),
            Protocol::Native => Self::Native(native::Replies::new()),
        }
    }

    /// What a call returned. Notifications are not answered.
    ///
    /// # Errors
    ///
    /// The value cannot be written on this wire; then nothing was, and the call is still to be answered.
    pub fn ok<T: Serialize + ?Sized>(
        &mut self,
        out: &mut Vec<u8>,
        id: &CallId,
        method: &str,
        shape: &Shape,
        value: &T,
    ) -> Result<(), EncodeError> {
        match self {
            Self::Gob(replies) => replies.ok(out, id, method, shape, value),
            Self::Json(replies) => replies.ok(out, id, value),
            Self::Native(replies) => replies.ok(out, id, value),
        }
    }

    /// How a call failed.
    pub fn failure(&mut self, out: &mut Vec<u8>, id: &CallId, method: &str, failure: &Failure<'_>) {
        match self {
            Self::Gob(replies) => replies.failure(out, id, method, failure),
            Self::Json(replies) => replies.failure(out, id, failure),
            Self::Native(replies) => replies.failure(out, id, failure),
        }
    }

    /// A [`Request::Batch`] was read: the next `calls` answers of its calls leave as one.
    pub fn batch(&mut self, calls: usize) {
        if let Self::Json(replies) = self {
            replies.batch(calls);
        }
    }

    /// How many bytes of answers wait for others of their [`batch`](Self::batch).
    pub fn held(&self) -> usize {
        match self {
            Self::Json(replies) => replies.held(),
            Self::Gob(_) | Self::Native(_) => 0,
        }
    }

    /// The call returns a stream, whose items follow.
    ///
    /// # Errors
    ///
    /// The protocol has no streams.
    pub fn open(&mut self, out: &mut Vec<u8>, id: &CallId) -> Result<(), EncodeError> {
        match self {
            Self::Native(replies) => replies.open(out, id),
            Self::Gob(_) | Self::Json(_) => Err(no_streams()),
        }
    }

    /// One item of the stream that a call returns; gives how many bytes its value has.
    ///
    /// # Errors
    ///
    /// The value cannot be written, or the protocol has no streams.
    pub fn item<T: Serialize + ?Sized>(
        &mut self,
        out: &mut Vec<u8>,
        id: &CallId,
        item: &T,
    ) -> Result<usize, EncodeError> {
        match self {
            Self::Native(replies) => replies.item(out, id, item),
            Self::Gob(_) | Self::Json(_) => Err(no_streams()),
        }
    }

    /// This side can take so many bytes more of the stream that comes with a call.
    pub fn credit(&mut self, out: &mut Vec<u8>, id: u64, bytes: u32) {
        if let Self::Native(replies) = self {
            replies.credit(out, id, bytes);
        }
    }

    /// Asks whether the client is there. Tells whether the protocol can.
    pub fn ping(&mut self, out: &mut Vec<u8>, token: u64) -> bool {
        match self {
            Self::Native(replies) => {
                replies.ping(out, token);
                true
            }
            Self::Gob(_) | Self::Json(_) => false,
        }
    }

    /// Answers a ping.
    pub fn pong(&mut self, out: &mut Vec<u8>, token: u64) {
        if let Self::Native(replies) = self {
            replies.pong(out, token);
        }
    }

    /// No call above `last` is begun any more.
    pub fn go_away(&mut self, out: &mut Vec<u8>, last: Option<u64>) {
        if let Self::Native(replies) = self {
            replies.go_away(out, last);
        }
    }
}

pub(super) fn no_streams() -> EncodeError {
    EncodeError("this protocol has no streams; use the native protocol".to_owned())
}
