//! What a server writes.

use serde::Serialize;

use super::calls::{Form, body, verbatim};
use super::frame::{self, Kind, Writer};
use super::{failure, field};
use crate::rpc::{CallId, EncodeError, Failure};

/// Writes what a server sends.
#[derive(Debug, Default)]
pub struct Replies {
    writer: Writer,
}

impl Replies {
    /// At the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the call `id` returned.
    ///
    /// # Errors
    ///
    /// The value cannot be written, or the frame would be too long; then nothing was.
    pub fn ok<T: Serialize + ?Sized>(
        &mut self,
        out: &mut Vec<u8>,
        id: &CallId,
        value: &T,
    ) -> Result<(), EncodeError> {
        let (id, form) = named(id)?;
        self.body(out, Kind::REPLY, id, form, |out| form.encode(out, value)).map(|_| ())
    }

    /// The same of a value that is written already, in the form that `id` asks for.
    ///
    /// # Errors
    ///
    /// The frame would be too long; then nothing was written.
    pub(crate) fn forward(
        &mut self,
        out: &mut Vec<u8>,
        id: &CallId,
        value: &[u8],
    ) -> Result<(), EncodeError> {
        let (id, form) = named(id)?;
        self.body(out, Kind::REPLY, id, form, |out| verbatim(out, value)).map(|_| ())
    }

    /// How it failed.
    pub fn failure(&mut self, out: &mut Vec<u8>, id: &CallId, failure: &Failure<'_>) {
        let Ok((id, _)) = named(id) else { return };
        let start = self.writer.begin(out, Kind::ERROR);
        field::put_number(out, id);
        failure::write(out, failure);
        if frame::finish(out, start).is_err() {
            out.truncate(start);
            // No words of four gigabytes; the class is what counts.
            let short = Failure { text: "".into(), detail: None, refusal: None, ..failure.clone() };
            self.writer.small(out, Kind::ERROR, |out| {
                field::put_number(out, id);
                failure::write(out, &short);
            });
        }
    }

    /// The call `id` returns a stream, whose items follow.
    ///
    /// # Errors
    ///
    /// The id is none of this protocol.
    pub fn open(&mut self, out: &mut Vec<u8>, id: &CallId) -> Result<(), EncodeError> {
        let (id, _) = named(id)?;
        self.writer.small(out, Kind::OPEN, |out| field::put_number(out, id));
        Ok(())
    }

    /// One item of the stream that the call `id` returns; gives how many bytes its value has.
    ///
    /// # Errors
    ///
    /// The value cannot be written, or the frame would be too long; then nothing was.
    pub fn item<T: Serialize + ?Sized>(
        &mut self,
        out: &mut Vec<u8>,
        id: &CallId,
        item: &T,
    ) -> Result<usize, EncodeError> {
        let (id, form) = named(id)?;
        self.body(out, Kind::ITEM, id, form, |out| form.encode(out, item))
    }

    /// The same of an item that is written already, in the form that `id` asks for.
    ///
    /// # Errors
    ///
    /// The frame would be too long; then nothing was written.
    pub(crate) fn forward_item(
        &mut self,
        out: &mut Vec<u8>,
        id: &CallId,
        item: &[u8],
    ) -> Result<usize, EncodeError> {
        let (id, form) = named(id)?;
        self.body(out, Kind::ITEM, id, form, |out| verbatim(out, item))
    }

    /// This side can take so many bytes more of the stream that comes with the call `id`.
    pub fn credit(&mut self, out: &mut Vec<u8>, id: u64, bytes: u32) {
        self.writer.credit(out, id, bytes);
    }

    /// Asks whether the client is there.
    pub fn ping(&mut self, out: &mut Vec<u8>, token: u64) {
        self.writer.ping(out, token);
    }

    /// Answers a ping.
    pub fn pong(&mut self, out: &mut Vec<u8>, token: u64) {
        self.writer.pong(out, token);
    }

    /// No call above `last` is begun any more. Also what tells a peer whose stream could not be read which
    /// version is spoken here: the hello goes before it.
    pub fn go_away(&mut self, out: &mut Vec<u8>, last: Option<u64>) {
        let calls = last.map_or(0, |last| last.saturating_add(1));
        self.writer.small(out, Kind::GOAWAY, |out| field::put_number(out, calls));
    }

    fn body(
        &mut self,
        out: &mut Vec<u8>,
        kind: Kind,
        id: u64,
        form: Form,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
    ) -> Result<usize, EncodeError> {
        let start = self.writer.begin(out, form.mark(kind));
        field::put_number(out, id);
        body(out, start, write)
    }
}

/// The number of a native call, and how its values are written.
fn named(id: &CallId) -> Result<(u64, Form), EncodeError> {
    match id {
        CallId::Number(id) => Ok((*id, Form::Postcard)),
        CallId::NumberInJson(id) => Ok((*id, Form::Json)),
        CallId::Json { .. } => {
            Err(EncodeError("an id of JSON-RPC names no native call".to_owned()))
        }
    }
}
