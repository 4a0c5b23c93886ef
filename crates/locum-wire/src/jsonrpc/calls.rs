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
        self.put(out, head, |out| write(out, style, args))
    }

    /// The same with an argument that is JSON already.
    pub fn call_json(&mut self, out: &mut Vec<u8>, head: &CallHead<'_>, args: &RawValue) {
        self.forward(out, head, args.get());
    }

    /// The same with an argument that is known to be JSON.
    pub(crate) fn forward(&mut self, out: &mut Vec<u8>, head: &CallHead<'_>, args: &str) {
        let written = self.put(out, head, |out| {
            out.extend_from_slice(args.as_bytes());
            Ok(())
        });
        written.expect("JSON can be written");
    }

    fn put(
        &self,
        out: &mut Vec<u8>,
        head: &CallHead<'_>,
        args: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let start = out.len();
        let two = self.protocol == Protocol::Json2;
        let begin: &[u8] = if two { b"{\"jsonrpc\":\"2.0\",\"method\":" } else { b"{\"method\":" };
        out.extend_from_slice(begin);
        text::put(out, head.method);
        let params = out.len();
        out.extend_from_slice(b",\"params\":");
        let first = out.len();
        args(out).inspect_err(|_| out.truncate(start))?;
        match out.get(first..) {
            Some(b"null") if two => out.truncate(params),
            Some([b'{', ..]) if two => {}
            _ => {
                out.insert(first, b'[');
                out.push(b']');
            }
        }
        out.extend_from_slice(b",\"id\":");
        out.extend_from_slice(head.id.to_string().as_bytes());
        out.extend_from_slice(b"}\n");
        Ok(())
    }
}
