//! A call as it is sent, perhaps more than once.

use locum_wire::rpc::{CallHead, Calls, EncodeError, Metadata, Shape, TraceParent};
use serde::Serialize;

use super::streams::Streams;

/// What is sent of a call, whichever connection takes it.
#[derive(Clone, Copy)]
pub(super) struct Outgoing<'a> {
    /// `Service.Method`.
    pub(super) path: &'a str,
    /// Whether calling twice does no harm.
    pub(super) idempotent: bool,
    pub(super) argument: &'a dyn Argument,
    pub(super) trace: Option<TraceParent>,
    pub(super) metadata: Metadata<'a>,
    /// Its streams, if it has any.
    pub(super) streams: Option<Streams<'a>>,
}

impl Outgoing<'_> {
    /// Whether a stream goes with it: then it is sent once.
    pub(super) fn feeds(&self) -> bool {
        self.streams.is_some_and(|streams| streams.feed.is_some())
    }

    /// Whether it returns a stream.
    pub(super) fn returns_stream(&self) -> bool {
        self.streams.is_some_and(|streams| streams.returns)
    }

    /// Whether the time there is for calls is not for this one: a stream goes with it, and none comes
    /// back that could open in time.
    pub(super) fn is_untimed(&self) -> bool {
        self.streams.is_some_and(|streams| !streams.returns)
    }
}

/// Writes the call with its argument; for a retry once more. Behind `dyn`, so that all that is to be
/// said of calls is compiled once and not for every type of argument.
pub(super) trait Argument: Sync {
    /// Appends to `out`; on an error nothing.
    fn encode(
        &self,
        calls: &mut Calls,
        out: &mut Vec<u8>,
        head: &CallHead<'_>,
    ) -> Result<(), EncodeError>;
}

/// An argument of a type that is known.
pub(super) struct Typed<'a, A> {
    pub(super) shape: &'a Shape,
    pub(super) args: &'a A,
}

impl<A: Serialize + Sync> Argument for Typed<'_, A> {
    fn encode(
        &self,
        calls: &mut Calls,
        out: &mut Vec<u8>,
        head: &CallHead<'_>,
    ) -> Result<(), EncodeError> {
        calls.call(out, head, self.shape, self.args)
    }
}
