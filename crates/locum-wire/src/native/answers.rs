//! What a client reads.

use super::failure;
use super::field::{Fields, Malformed};
use super::frame::{Frame, Frames, Kind};
use crate::rpc::{Answer, Body, DecodeError, Fatal, Form, Limits};

/// Reads what a server sends.
#[derive(Debug)]
pub struct Answers {
    frames: Frames,
}

impl Answers {
    /// At the beginning of a stream.
    pub fn new(limits: &Limits) -> Self {
        Self { frames: Frames::new(limits) }
    }

    /// The next answer, once all of it is there: see [`rpc::Answers`](crate::rpc::Answers::next).
    ///
    /// # Errors
    ///
    /// The stream is beyond repair.
    pub fn next<'a>(
        &'a mut self,
        input: &'a [u8],
        taken: &mut usize,
    ) -> Result<Option<Answer<'a>>, Fatal> {
        let Some(frame) = self.frames.next(input, taken)? else { return Ok(None) };
        let Frame { kind, json, mut fields, over } = frame;
        let answer = match (kind, over) {
            (Kind::REPLY | Kind::ERROR | Kind::ITEM, Some(length)) => fields.number().map(|id| {
                Answer::Unreadable { id, error: DecodeError(self.frames.too_large(length)) }
            }),
            (_, Some(length)) => {
                return Err(Fatal(format!("native: {}", self.frames.too_large(length))));
            }
            (Kind::REPLY, None) => {
                fields.number().map(|id| Answer::Reply { id, body: body(json, fields.rest()) })
            }
            (Kind::ERROR, None) => fields.number().and_then(|id| {
                let failure = failure::read(fields).map(Box::new);
                failure.map(|failure| Answer::Failure { id, failure })
            }),
            (Kind::ITEM, None) => item(fields, json).map(|(id, item)| Answer::Item { id, item }),
            (Kind::OPEN, None) => lone_number(fields).map(|id| Answer::Open { id }),
            (Kind::CREDIT, None) => credit(fields).map(|(id, bytes)| Answer::Credit { id, bytes }),
            (Kind::PING, None) => token(fields).map(Answer::Ping),
            (Kind::PONG, None) => token(fields).map(Answer::Pong),
            (Kind::GOAWAY, None) => {
                lone_number(fields).map(|calls| Answer::GoAway { last: calls.checked_sub(1) })
            }
            _ => return Err(kind.unexpected()),
        };
        answer.map(Some).map_err(|error| kind.fatal(error))
    }

    /// How many bytes the input has to have before another [`next`](Self::next) is worth while.
    pub fn needs(&self) -> usize {
        self.frames.needs()
    }
}

pub(super) const fn body(json: bool, bytes: &[u8]) -> Body<'_> {
    Body { bytes, form: if json { Form::Json } else { Form::Postcard } }
}

pub(super) fn item<'a>(mut fields: Fields<'a>, json: bool) -> Result<(u64, Body<'a>), Malformed> {
    let id = fields.number()?;
    Ok((id, body(json, fields.rest())))
}

pub(super) fn credit(mut fields: Fields<'_>) -> Result<(u64, u32), Malformed> {
    let id = fields.number()?;
    let bytes = u32::try_from(fields.number()?).map_err(|_| Malformed("more than 4 GiB"))?;
    fields.end()?;
    Ok((id, bytes))
}

pub(super) fn token(mut fields: Fields<'_>) -> Result<u64, Malformed> {
    let token = u64::from_le_bytes(*fields.array()?);
    fields.end()?;
    Ok(token)
}

pub(super) fn lone_number(mut fields: Fields<'_>) -> Result<u64, Malformed> {
    let number = fields.number()?;
    fields.end()?;
    Ok(number)
}
