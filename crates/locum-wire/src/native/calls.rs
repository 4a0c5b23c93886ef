//! What a client writes.

use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;

use super::field;
use super::frame::{self, Kind, Writer};
use super::methods::{LONGEST, Numbers};
use super::postcard;
use crate::rpc::{CallHead, EncodeError, TraceParent};

/// Writes what a client sends.
#[derive(Debug, Default)]
pub struct Calls {
    writer: Writer,
    methods: Numbers,
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Postcard,
    Json,
}

impl Calls {
    /// At the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// One call.
    ///
    /// # Errors
    ///
    /// The argument cannot be written, or the frame would be too long; then nothing of the call was.
    pub fn call<T: Serialize + ?Sized>(
        &mut self,
        out: &mut Vec<u8>,
        head: &CallHead<'_>,
        args: &T,
    ) -> Result<(), EncodeError> {
        self.put(out, head, Form::Postcard, |out| Form::Postcard.encode(out, args))
    }

    /// One call with an argument that is JSON already; so is what it returns.
    ///
    /// # Errors
    ///
    /// The frame would be too long; then nothing of the call was written.
    pub fn call_json(
        &mut self,
        out: &mut Vec<u8>,
        head: &CallHead<'_>,
        args: &RawValue,
    ) -> Result<(), EncodeError> {
        self.put(out, head, Form::Json, |out| Form::Json.encode(out, args))
    }

    /// One call with an argument that is written already.
    ///
    /// # Errors
    ///
    /// The frame would be too long; then nothing of the call was written.
    pub(crate) fn forward(
        &mut self,
        out: &mut Vec<u8>,
        head: &CallHead<'_>,
        form: Form,
        args: &[u8],
    ) -> Result<(), EncodeError> {
        self.put(out, head, form, |out| verbatim(out, args))
    }

    fn put(
        &mut self,
        out: &mut Vec<u8>,
        head: &CallHead<'_>,
        form: Form,
        args: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        if head.method.len() > LONGEST {
            return Err(EncodeError(format!("a method's name of more than {LONGEST} bytes")));
        }
        let start = self.writer.begin(out, form.mark(Kind::CALL));
        let new = put_head(out, head, &self.methods);
        body(out, start, args)?;
        if new {
            self.methods.keep(head.method);
        }
        Ok(())
    }

    /// Gives up the call `id`.
    pub fn cancel(&mut self, out: &mut Vec<u8>, id: u64) {
        self.writer.small(out, Kind::CANCEL, |out| field::put_number(out, id));
    }

    /// One item of the stream that goes with the call `id`; gives how many bytes its value has.
    ///
    /// # Errors
    ///
    /// The value cannot be written, or the frame would be too long; then nothing was.
    pub fn item<T: Serialize + ?Sized>(
        &mut self,
        out: &mut Vec<u8>,
        id: u64,
        item: &T,
    ) -> Result<usize, EncodeError> {
        let start = self.writer.begin(out, Kind::ITEM);
        field::put_number(out, id);
        body(out, start, |out| Form::Postcard.encode(out, item))
    }

    /// The same of an item that is written already.
    ///
    /// # Errors
    ///
    /// The frame would be too long; then nothing was written.
    pub(crate) fn forward_item(
        &mut self,
        out: &mut Vec<u8>,
        id: u64,
        form: Form,
        item: &[u8],
    ) -> Result<usize, EncodeError> {
        let start = self.writer.begin(out, form.mark(Kind::ITEM));
        field::put_number(out, id);
        body(out, start, |out| verbatim(out, item))
    }

    /// That stream is over.
    pub fn end(&mut self, out: &mut Vec<u8>, id: u64) {
        self.writer.small(out, Kind::END, |out| field::put_number(out, id));
    }

    /// This side can take so many bytes more of the stream that the call `id` returns.
    pub fn credit(&mut self, out: &mut Vec<u8>, id: u64, bytes: u32) {
        self.writer.credit(out, id, bytes);
    }

    /// Asks whether the server is there.
    pub fn ping(&mut self, out: &mut Vec<u8>, token: u64) {
        self.writer.ping(out, token);
    }

    /// Answers a ping.
    pub fn pong(&mut self, out: &mut Vec<u8>, token: u64) {
        self.writer.pong(out, token);
    }
}

/// The frames that both sides send.
impl Writer {
    pub(super) fn credit(&mut self, out: &mut Vec<u8>, id: u64, bytes: u32) {
        self.small(out, Kind::CREDIT, |out| {
            field::put_number(out, id);
            field::put_number(out, u64::from(bytes));
        });
    }

    pub(super) fn ping(&mut self, out: &mut Vec<u8>, token: u64) {
        self.small(out, Kind::PING, |out| out.extend_from_slice(&token.to_le_bytes()));
    }

    pub(super) fn pong(&mut self, out: &mut Vec<u8>, token: u64) {
        self.small(out, Kind::PONG, |out| out.extend_from_slice(&token.to_le_bytes()));
    }
}

impl Form {
    pub(super) const fn mark(self, kind: Kind) -> Kind {
        match self {
            Self::Postcard => kind,
            Self::Json => kind.json(),
        }
    }

    /// Writes a value at the end of `out`. After an error a part of it may be there.
    pub(super) fn encode<T: Serialize + ?Sized>(
        self,
        out: &mut Vec<u8>,
        value: &T,
    ) -> Result<(), EncodeError> {
        match self {
            Self::Postcard => postcard::encode(out, value),
            Self::Json => serde_json::to_writer(&mut *out, value)
                .map_err(|error| EncodeError(format!("json: {error}"))),
        }
    }
}

/// Writes the body of the frame that began at `start`, and ends it; gives the body's length. A frame
/// that cannot be is taken back.
pub(super) fn body(
    out: &mut Vec<u8>,
    start: usize,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<usize, EncodeError> {
    let body = out.len();
    let written = write(out);
    let length = out.len() - body;
    let ended = written.and_then(|()| frame::finish(out, start));
    if ended.is_err() {
        out.truncate(start);
    }
    ended.map(|()| length)
}

/// What is written already.
pub(super) fn verbatim(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), EncodeError> {
    out.extend_from_slice(bytes);
    Ok(())
}

/// The head of a call; tells whether its method has a new number.
fn put_head(out: &mut Vec<u8>, head: &CallHead<'_>, methods: &Numbers) -> bool {
    let CallHead { id, method, timeout, attempt, trace, metadata, streams } = head;
    let mut flags = 0;
    flags |= if timeout.is_some() { flag::TIMEOUT } else { 0 };
    flags |= if *attempt > 1 { flag::ATTEMPT } else { 0 };
    flags |= if trace.is_some() { flag::TRACE } else { 0 };
    flags |= if metadata.is_empty() { 0 } else { flag::METADATA };
    flags |= if *streams { flag::STREAMS } else { 0 };
    out.push(flags);
    field::put_number(out, *id);
    let new = methods.put(out, method);
    if let Some(timeout) = timeout {
        field::put_number(out, micros(*timeout));
    }
    if *attempt > 1 {
        field::put_number(out, u64::from(*attempt));
    }
    if let Some(TraceParent { trace_id, parent_id, flags }) = trace {
        out.extend_from_slice(trace_id);
        out.extend_from_slice(parent_id);
        out.push(*flags);
    }
    if !metadata.is_empty() {
        field::put_bytes(out, metadata.as_bytes());
    }
    new
}

/// What stands in the head of a call.
pub(super) mod flag {
    pub(in super::super) const TIMEOUT: u8 = 1;
    pub(in super::super) const ATTEMPT: u8 = 2;
    pub(in super::super) const TRACE: u8 = 4;
    pub(in super::super) const METADATA: u8 = 8;
    pub(in super::super) const STREAMS: u8 = 16;
    pub(in super::super) const ALL: u8 = TIMEOUT | ATTEMPT | TRACE | METADATA | STREAMS;
}

/// In whole microseconds; half a million years are the most.
pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
