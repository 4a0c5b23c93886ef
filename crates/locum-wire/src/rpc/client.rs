//! The client's halves of a connection.

use serde::Serialize;
use serde_json::value::RawValue;

use super::server::no_streams;
use super::{Answer, CallHead, EncodeError, Fatal, Limits, Protocol, Shape};
use crate::gob::Typed;
use crate::{jsonrpc, native, netrpc};

/// Writes what a client sends.
#[derive(Debug)]
pub enum Calls {
    /// net/rpc over gob.
    Gob(netrpc::Calls),
    /// JSON-RPC, 1.0 or 2.0.
    Json(jsonrpc::Calls),
    /// Native.
    Native(native::Calls),
}

impl Calls {
    /// At the beginning of a stream.
    pub fn new(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Gob => Self::Gob(netrpc::Calls::new()),
            Protocol::Json1 | Protocol::Json2 => Self::Json(jsonrpc::Calls::new(protocol)),
            Protocol::Native => Self::Native(native::Calls::new()),
        }
    }

    /// One call.
    ///
    /// # Errors
    ///
    /// The argument cannot be written on this wire; then nothing was.
    pub fn call<T: Serialize + ?Sized>(
        &mut self,
        out: &mut Vec<u8>,
        head: &CallHead<'_>,
        shape: &Shape,
        args: &T,
    ) -> Result<(), EncodeError> {
        match self {
            Self::Gob(calls) => calls.call(out, head, shape, args),
            Self::Json(calls) => calls.call(out, head, args),
            Self::Native(calls) => calls.call(out, head, args),
        }
    }

    /// One call by who does not know the types: the argument is JSON, and [`Body::to_json`](super::Body::to_json)
    /// shows what comes back.
    ///
    /// On JSON-RPC it is sent as it stands, on the native protocol the call says that it is JSON. gob has
    /// types, which are guessed as [`Typed::from_json`] says: whole numbers are ints, objects are structs.
    ///
    /// # Errors
    ///
    /// It is no JSON, or cannot be written on this wire; then nothing was.
    pub fn call_json(
        &mut self,
        out: &mut Vec<u8>,
        head: &CallHead<'_>,
        args: &str,
    ) -> Result<(), EncodeError> {
        let args: &RawValue =
            serde_json::from_str(args).map_err(|error| EncodeError(format!("json: {error}")))?;
        match self {
            Self::Gob(calls) => {
                let args = Typed::from_json(args.get(), None, &Limits::default());
                let args = args.map_err(|error| EncodeError(error.to_string()))?;
                calls.call_value(out, head, &args, &Limits::NONE)
            }
            Self::Json(calls) => {
                calls.call_json(out, head, args);
                Ok(())
            }
            Self::Native(calls) => calls.call_json(out, head, args),
        }
    }

    /// Whether new calls are to go over another stream: on gob definitions stay for the life of the stream,
    /// and more than half of what a peer with these limits takes was [forwarded](Self::forward). Those that go
    /// beyond it are refused.
    pub fn is_worn(&self, limits: &Limits) -> bool {
        match self {
            Self::Gob(calls) => calls.is_worn(limits),
            Self::Json(_) | Self::Native(_) => false,
        }
    }

    /// Gives up the call `id`. Over gob that is a call of its own, with the id `own`; its answer, which
    /// a stock Go server gives as an error, says nothing.
    pub fn cancel(&mut self, out: &mut Vec<u8>, id: u64, own: u64) {
        match self {
            Self::Gob(calls) => calls.cancel(out, id, own),
            Self::Json(_) => {}
            Self::Native(calls) => calls.cancel(out, id),
        }
    }

    /// One item of the stream that goes with a call; gives how many bytes its value has.
    ///
    /// # Errors
    ///
    /// The value cannot be written, or the protocol has no streams.
    pub fn item<T: Serialize + ?Sized>(
        &mut self,
        out: &mut Vec<u8>,
        id: u64,
        item: &T,
    ) -> Result<usize, EncodeError> {
        match self {
            Self::Native(calls) => calls.item(out, id, item),
            Self::Gob(_) | Self::Json(_) => Err(no_streams()),
        }
    }

    /// That stream is over.
    pub fn end(&mut self, out: &mut Vec<u8>, id: u64) {
        if let Self::Native(calls) = self {
            calls.end(out, id);
        }
    }

    /// This side can take so many bytes more of the stream that a call returns.
    pub fn credit(&mut self, out: &mut Vec<u8>, id: u64, bytes: u32) {
        if let Self::Native(calls) = self {
            calls.credit(out, id, bytes);
        }
    }

    /// Asks whether the server is there. Tells whether the protocol can.
    pub fn ping(&mut self, out: &mut Vec<u8>, token: u64) -> bool {
        match self {
            Self::Native(calls) => {
                calls.ping(out, token);
                true
            }
            Self::Gob(_) | Self::Json(_) => false,
        }
    }

    /// Answers a ping.
    pub fn pong(&mut self, out: &mut Vec<u8>, token: u64) {
        if let Self::Native(calls) = self {
            calls.pong(out, token);
        }
    }
}

/// Reads what a server sends.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a connection has one, and a box is one more step for each call"
)]
pub enum Answers {
    /// net/rpc over gob.
    Gob(netrpc::Answers),
    /// JSON-RPC, 1.0 or 2.0.
    Json(jsonrpc::Answers),
    /// Native.
    Native(native::Answers),
}

impl Answers {
    /// At the beginning of a stream.
    pub fn new(protocol: Protocol, limits: &Limits) -> Self {
        match protocol {
            Protocol::Gob => Self::Gob(netrpc::Answers::new(limits)),
            Protocol::Json1 | Protocol::Json2 => Self::Json(jsonrpc::Answers::new(limits)),
            Protocol::Native => Self::Native(native::Answers::new(limits)),
        }
    }

    /// The next answer, once `input`, the bytes not taken so far, has all of it. Adds to `taken` how
    /// many of them are done with, also where there is no answer yet; the next call is given the rest.
    ///
    /// # Errors
    ///
    /// The stream is beyond repair.
    pub fn next<'a>(
        &'a mut self,
        input: &'a [u8],
        taken: &mut usize,
    ) -> Result<Option<Answer<'a>>, Fatal> {
        match self {
            Self::Gob(answers) => answers.next(input, taken),
            Self::Json(answers) => answers.next(input, taken),
            Self::Native(answers) => answers.next(input, taken),
        }
    }

    /// How many bytes the input has to have before another [`next`](Self::next) is worth while, as far
    /// as is known.
    pub fn needs(&self) -> usize {
        match self {
            Self::Gob(answers) => answers.needs(),
            Self::Json(answers) => answers.needs(),
            Self::Native(answers) => answers.needs(),
        }
    }

    /// Whether new calls are to go over another stream: on gob the types of answers stay for the life of the
    /// stream, and the server has defined more than half of what is taken. Beyond that the stream ends.
    pub fn is_worn(&self) -> bool {
        match self {
            Self::Gob(answers) => answers.is_worn(),
            Self::Json(_) | Self::Native(_) => false,
        }
    }
}
