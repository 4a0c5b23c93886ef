//! What a server writes.

use serde::Serialize;

use super::header::{Header, Writer};
use crate::gob::{Encoder, Raw, Typed};
use crate::rpc::{CallId, EncodeError, Failure, Limits, Shape};

/// Writes a stream of answers.
#[derive(Debug)]
pub struct Replies {
    headers: Writer,
    encoder: Encoder,
}

impl Replies {
    /// At the beginning of a stream.
    pub fn new() -> Self {
        let (headers, encoder) = Writer::of_responses();
        Self { headers, encoder }
    }

    /// What a call of `method` returned. An id of another protocol is of no call, and nothing is written.
    ///
    /// # Errors
    ///
    /// gob has nothing like the value; then nothing was written.
    pub fn ok<T: Serialize + ?Sized>(
        &mut self,
        out: &mut Vec<u8>,
        id: &CallId,
        method: &str,
        shape: &Shape,
        value: &T,
    ) -> Result<(), EncodeError> {
        let CallId::Number(seq) = id else { return Ok(()) };
        let schema = shape.gob().map_err(|error| EncodeError(error.to_string()))?;
        let header = Header { method: method.as_bytes(), seq: *seq, error: b"" };
        self.headers.put(out, header, |out| self.encoder.encode(out, schema, value))
    }

    /// The same of a value whose type only its own description knows.
    ///
    /// # Errors
    ///
    /// The value is none that its description describes, or a peer with these limits would take no more
    /// definitions; then nothing was written.
    pub fn value(
        &mut self,
        out: &mut Vec<u8>,
        id: &CallId,
        method: &str,
        value: &Typed,
        limits: &Limits,
    ) -> Result<(), EncodeError> {
        let CallId::Number(seq) = id else { return Ok(()) };
        let header = Header { method: method.as_bytes(), seq: *seq, error: b"" };
        self.headers.put(out, header, |out| self.encoder.put_within(out, value, limits))
    }

    /// The same of a value that came over another stream.
    ///
    /// # Errors
    ///
    /// The value is malformed, or a peer with these limits would take no more definitions; then nothing was
    /// written.
    pub fn copy(
        &mut self,
        out: &mut Vec<u8>,
        id: &CallId,
        method: &str,
        value: &Raw<'_>,
        limits: &Limits,
    ) -> Result<(), EncodeError> {
        let CallId::Number(seq) = id else { return Ok(()) };
        let header = Header { method: method.as_bytes(), seq: *seq, error: b"" };
        self.headers.put(out, header, |out| self.encoder.copy(out, value, limits))
    }

    /// How a call of `method` failed: a text, and an empty struct where the reply would be. An empty text
    /// would be success; Go's own name for that is sent instead (net/rpc/jsonrpc/client.go). A text that came
    /// as bytes that are no UTF-8 leaves as those bytes.
    pub fn failure(&mut self, out: &mut Vec<u8>, id: &CallId, method: &str, failure: &Failure<'_>) {
        static EMPTY: Shape = Shape::of::<()>();
        let CallId::Number(seq) = id else { return };
        let schema = EMPTY.gob().expect("gob has empty structs");
        let error = match failure.verbatim.as_deref().unwrap_or(failure.text.as_bytes()) {
            b"" => b"unspecified error",
            error => error,
        };
        let header = Header { method: method.as_bytes(), seq: *seq, error };
        let written = self.headers.put(out, header, |out| self.encoder.encode(out, schema, &()));
        written.expect("gob has empty structs");
    }
}
