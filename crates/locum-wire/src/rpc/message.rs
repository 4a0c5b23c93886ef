//! What goes over a connection, whatever the protocol.

use std::fmt;
use std::time::Duration;

use super::{Body, Failure, Metadata, Protocol, TraceParent};

/// What a client sends of a call, but for its argument.
#[derive(Clone, Copy, Debug)]
pub struct CallHead<'a> {
    /// Chosen by the client; no two calls in flight have the same.
    pub id: u64,
    /// `Service.Method`.
    pub method: &'a str,
    /// How long the client waits.
    pub timeout: Option<Duration>,
    /// From 1; more for a retry.
    pub attempt: u32,
    /// The trace that it belongs to.
    pub trace: Option<TraceParent>,
    /// Names and values.
    pub metadata: Metadata<'a>,
    /// Whether the argument is the first of a stream that follows in [`Calls::item`](super::Calls::item)s.
    pub streams: bool,
}

/// What a server reads.
#[derive(Debug)]
pub enum Request<'a> {
    /// A call.
    Call(Call<'a>),
    /// A call that is answered with `failure`: its method or its argument could not be read. The
    /// connection goes on.
    Malformed {
        /// What its answer has to name.
        id: CallId,
        /// As it came.
        method: &'a str,
        /// The answer, in a box: it would be the largest part of every request.
        failure: Box<Failure<'a>>,
    },
    /// The same of a call over the limit of a message, which is passed over as it comes.
    TooLarge {
        /// What its answer has to name.
        id: CallId,
        /// As it came; empty where it did not come before the limit was reached.
        method: &'a str,
        /// The answer.
        failure: Box<Failure<'a>>,
    },
    /// The next `calls` requests are a batch, whose answers leave together.
    Batch {
        /// How many [`Call`](Self::Call) and [`Malformed`](Self::Malformed) follow that are to be answered.
        calls: usize,
    },
    /// The client gave up the call `id`.
    Cancel {
        /// The call's.
        id: u64,
        /// Where cancelling is a call itself, what its answer has to name: it is answered with `true`.
        answer: Option<CallId>,
    },
    /// One item of the stream that the client sends with a call.
    Item {
        /// The call's.
        id: u64,
        /// The item.
        item: Body<'a>,
    },
    /// That stream is over.
    End {
        /// The call's.
        id: u64,
    },
    /// The client can take so many bytes more of the stream that the call returns.
    Credit {
        /// The call's.
        id: u64,
        /// How many.
        bytes: u32,
    },
    /// To be answered by [`Replies::pong`](super::Replies::pong).
    Ping(u64),
    /// The answer to a ping.
    Pong(u64),
    /// The client makes no more calls.
    GoAway,
}

/// A call, as a server reads it.
#[derive(Debug)]
pub struct Call<'a> {
    /// What its answer has to name.
    pub id: CallId,
    /// `Service.Method`, as it came.
    pub method: &'a str,
    /// How long the client waits.
    pub timeout: Option<Duration>,
    /// From 1.
    pub attempt: u32,
    /// The trace that it belongs to.
    pub trace: Option<TraceParent>,
    /// Names and values.
    pub metadata: Metadata<'a>,
    /// The argument.
    pub args: Body<'a>,
    /// Whether items follow.
    pub streams: bool,
}

/// What names a call in its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallId {
    /// A number.
    Number(u64),
    /// A number, of a native call whose argument came as JSON; so its answer goes.
    NumberInJson(u64),
    /// What JSON-RPC calls an id, as it came.
    Json {
        /// Whether it is of 1.0 or of 2.0, as its answer has to be.
        protocol: Protocol,
        /// JSON; `None` is a notification, which has no answer.
        raw: Option<Box<str>>,
        /// Whether it came in the batch that is under way.
        batched: Option<u64>,
    },
}

impl CallId {
    /// How many bytes of a client's own it has.
    pub fn weight(&self) -> usize {
        match self {
            Self::Number(_) | Self::NumberInJson(_) => 0,
            Self::Json { raw, .. } => raw.as_ref().map_or(0, |raw| raw.len()),
        }
    }
}

/// What a client reads.
#[derive(Debug)]
pub enum Answer<'a> {
    /// A call returned.
    Reply {
        /// The call's.
        id: u64,
        /// What it returned.
        body: Body<'a>,
    },
    /// A call failed.
    Failure {
        /// The call's.
        id: u64,
        /// How, in a box: it would be the largest part of every answer.
        failure: Box<Failure<'a>>,
    },
    /// The answer to a call that cannot be read. The connection goes on.
    Unreadable {
        /// The call's.
        id: u64,
        /// Why.
        error: super::DecodeError,
    },
    /// A call returned a stream, whose items follow.
    Open {
        /// The call's.
        id: u64,
    },
    /// One item of the stream that a call returns. The stream ends with the call's [`Reply`](Self::Reply),
    /// which is empty, or its [`Failure`](Self::Failure).
    Item {
        /// The call's.
        id: u64,
        /// The item.
        item: Body<'a>,
    },
    /// The server can take so many bytes more of the stream that goes with a call.
    Credit {
        /// The call's.
        id: u64,
        /// How many.
        bytes: u32,
    },
    /// To be answered by [`Calls::pong`](super::Calls::pong).
    Ping(u64),
    /// The answer to a ping.
    Pong(u64),
    /// The server takes no more calls: none with an `id` above `last` was or will be begun.
    GoAway {
        /// The last that was.
        last: Option<u64>,
    },
}

/// The stream cannot be read any further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fatal(pub String);

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fatal {}
