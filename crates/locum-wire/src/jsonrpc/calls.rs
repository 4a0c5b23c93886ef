//! What a client writes.

use serde::Serialize;
use serde_json::value::RawValue;

use super::text;
use super::write::{Style, write};
use crate::rpc::{CallHead, EncodeError, Protocol};

/// Writes calls, in 1.0 or in 2.0.
#[derive(Debug)]
pub struct Calls {
    protocol: Protocol,
}

impl Calls {
    /// At the beginning of a stream of [`Protocol::Json2`], or else of 1.0.
    pub fn new(protocol: Protocol) -> Self {
        Self { protocol }
    }

    /// One call. In 2.0 an argument that is an object is given by name: its members are the params; any
    /// other is the only one by position, and one that is null leaves them out.
    ///
    /// # Errors
    ///
    /// JSON has nothing like the argument; then nothing was written.
    pub fn call<T: Serialize + ?Sized>(
        &mut self,
        out: &mut Vec<u8>,
        head: &CallHead<'_>,
        args: &T,
    ) -> Result<(), EncodeError> {
        let style = if self.protocol == Protocol::Json2 { Style::Serde } else { Style::Go };
        self.put(out, head, |out| self.params(out, |out| write(out, style, args)))
    }

    /// The same with an argument that is JSON already.
    pub fn call_json(&mut self, out: &mut Vec<u8>, head: &CallHead<'_>, args: &RawValue) {
        self.forward(out, head, args.get());
    }

    /// The same with an argument that is known to be JSON.
    pub(crate) fn forward(&self, out: &mut Vec<u8>, head: &CallHead<'_>, args: &str) {
        let written = self.put(out, head, |out| {
            self.params(out, |out| {
                out.extend_from_slice(args.as_bytes());
                Ok(())
            })
        });
        written.expect("JSON can be written");
    }

    /// The same with the params of 2.0, which are known to be a JSON array.
    pub(crate) fn forward_params(&self, out: &mut Vec<u8>, head: &CallHead<'_>, params: &str) {
        let written = self.put(out, head, |out| {
            out.extend_from_slice(PARAMS);
            out.extend_from_slice(params.as_bytes());
            Ok(())
        });
        written.expect("JSON can be written");
    }

    /// Whether these are calls of 2.0.
    pub(crate) fn are_2(&self) -> bool {
        self.protocol == Protocol::Json2
    }

    /// One call; `params` writes that member, and the comma before it.
    fn put(
        &self,
        out: &mut Vec<u8>,
        head: &CallHead<'_>,
        params: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let start = out.len();
        let begin: &[u8] =
            if self.are_2() { b"{\"jsonrpc\":\"2.0\",\"method\":" } else { b"{\"method\":" };
        out.extend_from_slice(begin);
        text::put(out, head.method);
        params(out).inspect_err(|_| out.truncate(start))?;
        out.extend_from_slice(b",\"id\":");
        out.extend_from_slice(head.id.to_string().as_bytes());
        out.extend_from_slice(b"}\n");
        Ok(())
    }

    /// The argument that `args` writes, as params.
    fn params(
        &self,
        out: &mut Vec<u8>,
        args: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let start = out.len();
        out.extend_from_slice(PARAMS);
        let first = out.len();
        args(out)?;
        match out.get(first..) {
            Some(b"null") if self.are_2() => out.truncate(start),
            Some([b'{', ..]) if self.are_2() => {}
            _ => {
                out.insert(first, b'[');
                out.push(b']');
            }
        }
        Ok(())
    }
}

const PARAMS: &[u8] = b",\"params\":";
