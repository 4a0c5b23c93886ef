//! What a server writes.

use serde::Serialize;

use super::write::{Style, write};
use super::{error_object, text};
use crate::rpc::{CallId, EncodeError, Failure, Protocol};

/// Writes answers, each as its call came: in 1.0, in 2.0, within a batch.
#[derive(Debug, Default)]
pub struct Replies {
    /// Those that wait for answers, in the order in which they came.
    batches: Vec<Batch>,
    /// How many there were.
    begun: u64,
    /// Bytes of answers in them.
    held: usize,
}

#[derive(Debug)]
struct Batch {
    number: u64,
    left: usize,
    answers: Vec<u8>,
}

impl Replies {
    /// At the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a call returned. In 1.0 there is no null result: Go's client gives up the connection over it;
    /// so that is `{}`.
    ///
    /// # Errors
    ///
    /// JSON has nothing like the value; then nothing was written.
    pub fn ok<T: Serialize + ?Sized>(
        &mut self,
        out: &mut Vec<u8>,
        id: &CallId,
        value: &T,
    ) -> Result<(), EncodeError> {
        self.result(out, id, |out, style| write(out, style, value))
    }

    /// The same of a value that is known to be JSON.
    pub(crate) fn forward(&mut self, out: &mut Vec<u8>, id: &CallId, value: &str) {
        let written = self.result(out, id, |out, _| {
            out.extend_from_slice(value.as_bytes());
            Ok(())
        });
        written.expect("JSON can be written");
    }

    /// How a call failed: in 1.0 a text, in 2.0 an object with one of the codes of docs/json-rpc.md.
    pub fn failure(&mut self, out: &mut Vec<u8>, id: &CallId, failure: &Failure<'_>) {
        let written = self.answer(out, id, |out, protocol, id| match protocol {
            Protocol::Json2 => put_2(out, id, b"\"error\":", |out| {
                error_object::put(out, failure);
                Ok(())
            }),
            _ => put_1(out, id, b"\"result\":null,\"error\":", b"}", |out| {
                text::put(out, &failure.text);
                Ok(())
            }),
        });
        written.expect("a failure can always be written");
    }

    /// A batch with so many calls that are to be answered was read.
    pub fn batch(&mut self, calls: usize) {
        self.batches.push(Batch { number: self.begun, left: calls, answers: Vec::new() });
        self.begun += 1;
    }

    /// How many bytes of answers wait for others of their batch.
    pub fn held(&self) -> usize {
        self.held
    }

    fn result(
        &mut self,
        out: &mut Vec<u8>,
        id: &CallId,
        value: impl FnOnce(&mut Vec<u8>, Style) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        self.answer(out, id, |out, protocol, id| match protocol {
            Protocol::Json2 => put_2(out, id, b"\"result\":", |out| value(out, Style::Serde)),
            _ => put_1(out, id, b"\"result\":", b",\"error\":null}", |out| {
                let start = out.len();
                value(out, Style::Go)?;
                if out.get(start..) == Some(b"null") {
                    out.truncate(start);
                    out.extend_from_slice(b"{}");
                }
                Ok(())
            }),
        })
    }

    /// Writes one answer where it belongs; nowhere for a notification.
    fn answer(
        &mut self,
        out: &mut Vec<u8>,
        id: &CallId,
        write: impl FnOnce(&mut Vec<u8>, Protocol, &str) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let CallId::Json { protocol, raw: Some(raw), batched } = id else { return Ok(()) };
        let at = batched.and_then(|number| self.batches.iter().position(|it| it.number == number));
        let Some(at) = at else {
            let start = out.len();
            write(out, *protocol, raw).inspect_err(|_| out.truncate(start))?;
            out.push(b'\n');
            return Ok(());
        };
        let batch = &mut self.batches[at];
        let start = batch.answers.len();
        batch.answers.push(if start == 0 { b'[' } else { b',' });
        write(&mut batch.answers, *protocol, raw).inspect_err(|_| batch.answers.truncate(start))?;
        self.held += batch.answers.len() - start;
        batch.left = batch.left.saturating_sub(1);
        if batch.left == 0 {
            let answers = self.batches.remove(at).answers;
            self.held -= answers.len();
            out.extend_from_slice(&answers);
            out.extend_from_slice(b"]\n");
        }
        Ok(())
    }
}

/// An answer of 1.0, with `value` between `before` and `after`.
fn put_1(
    out: &mut Vec<u8>,
    id: &str,
    before: &[u8],
    after: &[u8],
    value: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    out.extend_from_slice(b"{\"id\":");
    out.extend_from_slice(id.as_bytes());
    out.push(b',');
    out.extend_from_slice(before);
    value(out)?;
    out.extend_from_slice(after);
    Ok(())
}

/// An answer of 2.0, with `value` behind `name`.
fn put_2(
    out: &mut Vec<u8>,
    id: &str,
    name: &[u8],
    value: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",");
    out.extend_from_slice(name);
    value(out)?;
    out.extend_from_slice(b",\"id\":");
    out.extend_from_slice(id.as_bytes());
    out.push(b'}');
    Ok(())
}
