//! What a server reads.

use std::time::Duration;

use super::answers::{self, body};
use super::calls::flag;
use super::field::{Fields, Malformed};
use super::frame::{Frame, Frames, Kind};
use super::methods::Names;
use crate::rpc::{Call, CallId, Failure, Fatal, Limits, Metadata, Request, TraceParent};

/// Reads what a client sends.
#[derive(Debug)]
pub struct Requests {
    frames: Frames,
    methods: Names,
}

impl Requests {
    /// At the beginning of a stream.
    pub fn new(limits: &Limits) -> Self {
        Self { frames: Frames::new(limits), methods: Names::default() }
    }

    /// The next request, once all of it is there: see [`rpc::Requests`](crate::rpc::Requests::next).
    ///
    /// # Errors
    ///
    /// The stream is beyond repair.
    pub fn next<'a>(
        &'a mut self,
        input: &'a [u8],
        taken: &mut usize,
    ) -> Result<Option<Request<'a>>, Fatal> {
        let Some(frame) = self.frames.next(input, taken)? else { return Ok(None) };
        let kind = frame.kind;
        match (kind, frame.over) {
            (Kind::CALL, None) => {
                return call(&mut self.methods, frame).map_err(|error| kind.fatal(error));
            }
            (Kind::CALL, Some(length)) => {
                let text = self.frames.too_large(length);
                refused(&mut self.methods, frame, text).map_err(|error| kind.fatal(error))
            }
            (_, Some(length)) => Err(Fatal(format!("native: {}", self.frames.too_large(length)))),
            (_, None) => other(frame),
        }
        .map(Some)
    }

    /// How many bytes the input has to have before another [`next`](Self::next) is worth while.
    pub fn needs(&self) -> usize {
        self.frames.needs()
    }
}

#[inline]
fn call<'a>(methods: &'a mut Names, frame: Frame<'a>) -> Result<Option<Request<'a>>, Malformed> {
    let Frame { json, mut fields, .. } = frame;
    let (flags, id) = begin(&mut fields, json)?;
    let has = |flag| flags & flag != 0;
    let method = methods.take(&mut fields)?;
    let timeout =
        if has(flag::TIMEOUT) { Some(Duration::from_micros(fields.number()?)) } else { None };
    let attempt = if has(flag::ATTEMPT) { attempt(&mut fields)? } else { 1 };
    let trace = if has(flag::TRACE) { trace(&mut fields)? } else { None };
    let metadata = if has(flag::METADATA) { metadata(&mut fields)? } else { Metadata::default() };
    let args = body(json, fields.rest());
    let streams = has(flag::STREAMS);
    Ok(Some(Request::Call(Call { id, method, timeout, attempt, trace, metadata, args, streams })))
}

/// A call over the limit. Its name may be the one that later calls go by.
fn refused<'a>(
    methods: &'a mut Names,
    frame: Frame<'a>,
    text: String,
) -> Result<Request<'a>, Malformed> {
    let Frame { json, mut fields, .. } = frame;
    let (_, id) = begin(&mut fields, json)?;
    let method = methods.take(&mut fields)?;
    Ok(Request::TooLarge { id, method, failure: Box::new(Failure::bad_arguments(text)) })
}

fn begin(fields: &mut Fields<'_>, json: bool) -> Result<(u8, CallId), Malformed> {
    let flags = fields.byte()?;
    if flags & !flag::ALL != 0 {
        return Err(Malformed("flags that nobody knows"));
    }
    let id = fields.number()?;
    Ok((flags, if json { CallId::NumberInJson(id) } else { CallId::Number(id) }))
}

fn attempt(fields: &mut Fields<'_>) -> Result<u32, Malformed> {
    match u32::try_from(fields.number()?) {
        Ok(0) | Err(_) => Err(Malformed("an attempt that is none")),
        Ok(attempt) => Ok(attempt),
    }
}

/// W3C Trace Context: ids of zeros are none, and such a trace is as if it were not there.
fn trace(fields: &mut Fields<'_>) -> Result<Option<TraceParent>, Malformed> {
    let trace_id = *fields.array::<16>()?;
    let parent_id = *fields.array::<8>()?;
    let flags = fields.byte()?;
    let valid = trace_id != [0; 16] && parent_id != [0; 8];
    Ok(valid.then_some(TraceParent { trace_id, parent_id, flags }))
}

fn metadata<'a>(fields: &mut Fields<'a>) -> Result<Metadata<'a>, Malformed> {
    Metadata::parse(fields.bytes()?).ok_or(Malformed("metadata that is none"))
}

fn other(frame: Frame<'_>) -> Result<Request<'_>, Fatal> {
    let Frame { kind, json, fields, .. } = frame;
    let request = match kind {
        Kind::CANCEL => answers::lone_number(fields).map(|id| Request::Cancel { id, answer: None }),
        Kind::ITEM => answers::item(fields, json).map(|(id, item)| Request::Item { id, item }),
        Kind::END => answers::lone_number(fields).map(|id| Request::End { id }),
        Kind::CREDIT => answers::credit(fields).map(|(id, bytes)| Request::Credit { id, bytes }),
        Kind::PING => answers::token(fields).map(Request::Ping),
        Kind::PONG => answers::token(fields).map(Request::Pong),
        Kind::GOAWAY => answers::lone_number(fields).map(|_| Request::GoAway),
        _ => return Err(kind.unexpected()),
    };
    request.map_err(|error| kind.fatal(error))
}
