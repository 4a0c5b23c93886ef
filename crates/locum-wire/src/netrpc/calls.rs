//! What a client writes.

use serde::Serialize;

use super::header::{Header, Writer};
use super::{CANCEL, CancelArgs};
use crate::gob::{Encoder, Raw, Typed};
use crate::rpc::{CallHead, EncodeError, Limits, Shape};

/// Writes a stream of calls.
#[derive(Debug)]
pub struct Calls {
    headers: Writer,
    encoder: Encoder,
}

impl Calls {
    /// At the beginning of a stream.
    pub fn new() -> Self {
        let (headers, encoder) = Writer::of_requests();
        Self { headers, encoder }
    }

    /// One call. Of what stands in `head` only the method and the number travel.
    ///
    /// # Errors
    ///
    /// gob has nothing like the argument; then nothing was written.
    pub fn call<T: Serialize + ?Sized>(
        &mut self,
        out: &mut Vec<u8>,
        head: &CallHead<'_>,
        shape: &Shape,
        args: &T,
    ) -> Result<(), EncodeError> {
        let schema = shape.gob().map_err(|error| EncodeError(error.to_string()))?;
        let header = Header { method: head.method.as_bytes(), seq: head.id, error: b"" };
        self.headers.put(out, header, |out| self.encoder.encode(out, schema, args))
    }

    /// The same with an argument whose type only its own description knows.
    ///
    /// # Errors
    ///
    /// The value is none that its description describes, or a peer with these limits would take no more
    /// definitions; then nothing was written.
    pub fn call_value(
        &mut self,
        out: &mut Vec<u8>,
        head: &CallHead<'_>,
        args: &Typed,
        limits: &Limits,
    ) -> Result<(), EncodeError> {
        let header = Header { method: head.method.as_bytes(), seq: head.id, error: b"" };
        self.headers.put(out, header, |out| self.encoder.put_within(out, args, limits))
    }

    /// The same with an argument that came over another stream.
    ///
    /// # Errors
    ///
    /// The value is malformed, or a peer with these limits would take no more definitions; then nothing was
    /// written.
    pub fn copy(
        &mut self,
        out: &mut Vec<u8>,
        head: &CallHead<'_>,
        args: &Raw<'_>,
        limits: &Limits,
    ) -> Result<(), EncodeError> {
        let header = Header { method: head.method.as_bytes(), seq: head.id, error: b"" };
        self.headers.put(out, header, |out| self.encoder.copy(out, args, limits))
    }

    /// Whether another stream is to take its place: see [`Encoder::is_worn`].
    pub fn is_worn(&self, limits: &Limits) -> bool {
        self.encoder.is_worn(limits)
    }

    /// Gives up the call `id` by a call of its own, with the number `own`. Its answer says nothing: a stock
    /// Go server knows no such method.
    pub fn cancel(&mut self, out: &mut Vec<u8>, id: u64, own: u64) {
        static SHAPE: Shape = Shape::of::<CancelArgs>();
        let schema = SHAPE.gob().expect("gob has numbers");
        let header = Header { method: CANCEL.as_bytes(), seq: own, error: b"" };
        let args = CancelArgs { seq: id };
        let written = self.headers.put(out, header, |out| self.encoder.encode(out, schema, &args));
        written.expect("gob has numbers");
    }
}
