//! Values that are passed on by who does not know their types, from one connection to another, whatever
//! each of them speaks.
//!
//! gob goes to gob as it came, but for the numbers of types, and postcard to the native protocol. All else
//! goes through JSON, which is checked on the way, since a native peer may call anything JSON: to JSON-RPC as
//! it stands in one line (by position, where it came so and 2.0 is spoken on), to gob by a hint of what its type is. Postcard is read by nobody but its type.

use std::borrow::Cow;

use super::body::POSTCARD;
use super::server::no_streams;
use super::{Body, CallHead, CallId, Calls, EncodeError, Form, Limits, Replies};
use crate::gob::{Described, Raw, Typed};
use crate::{jsonrpc, native};

impl Calls {
    /// One call with an argument that came over any protocol.
    ///
    /// Where JSON becomes gob, `hint` is its type, as far as it is known: see [`Typed::from_json`]. On the native
    /// protocol all but postcard is a call in JSON, as [`call_json`](Self::call_json) makes it.
    ///
    /// # Errors
    ///
    /// The argument is malformed, or cannot be said on this wire, or the stream has defined as many types as
    /// a peer with these limits takes; then nothing was written.
    pub fn forward(
        &mut self,
        out: &mut Vec<u8>,
        head: &CallHead<'_>,
        args: &Body<'_>,
        hint: Option<&Described>,
        limits: &Limits,
    ) -> Result<(), EncodeError> {
        match self {
            Self::Gob(calls) => match raw(args) {
                Some(raw) => calls.copy(out, head, &raw, limits),
                None => calls.call_value(out, head, &typed(args, hint, limits)?, limits),
            },
            Self::Json(calls) => {
                match args.form {
                    Form::Params if calls.are_2() => {
                        calls.forward_params(out, head, &params(args, limits)?);
                    }
                    _ => calls.forward(out, head, &json(args, limits)?),
                }
                Ok(())
            }
            Self::Native(calls) => {
                let (form, args) = native(args, limits)?;
                calls.forward(out, head, form, &args)
            }
        }
    }

    /// One item of the stream that goes with a call, as it came over another; gives how many bytes its value
    /// has.
    ///
    /// # Errors
    ///
    /// The item is malformed, or the protocol has no streams; then nothing was written.
    pub fn forward_item(
        &mut self,
        out: &mut Vec<u8>,
        id: u64,
        item: &Body<'_>,
    ) -> Result<usize, EncodeError> {
        match self {
            Self::Native(calls) => {
                let (form, item) = native(item, &Limits::default())?;
                calls.forward_item(out, id, form, &item)
            }
            Self::Gob(_) | Self::Json(_) => Err(no_streams()),
        }
    }
}

impl Replies {
    /// What a call returned that was answered over any protocol. Notifications are not answered.
    ///
    /// Where JSON becomes gob, `hint` is its type, as far as it is known: see [`Typed::from_json`]. A native
    /// call is answered in the form in which it was made. Where JSON-RPC 1.0 would say null it says `{}`.
    ///
    /// # Errors
    ///
    /// The value is malformed, or cannot be said on this wire; then nothing was written, and the call is still to
    /// be answered.
    pub fn forward(
        &mut self,
        out: &mut Vec<u8>,
        id: &CallId,
        method: &str,
        body: &Body<'_>,
        hint: Option<&Described>,
        limits: &Limits,
    ) -> Result<(), EncodeError> {
        match self {
            Self::Gob(replies) => match raw(body) {
                Some(raw) => replies.copy(out, id, method, &raw, limits),
                None => replies.value(out, id, method, &typed(body, hint, limits)?, limits),
            },
            Self::Json(replies) => {
                replies.forward(out, id, &json(body, limits)?);
                Ok(())
            }
            Self::Native(replies) => replies.forward(out, id, &answer(id, body, limits)?),
        }
    }

    /// One item of the stream that a call returns, as it came over another; gives how many bytes its value
    /// has.
    ///
    /// # Errors
    ///
    /// The item is malformed or not in the form of the call, or the protocol has no streams; then nothing was
    /// written.
    pub fn forward_item(
        &mut self,
        out: &mut Vec<u8>,
        id: &CallId,
        item: &Body<'_>,
    ) -> Result<usize, EncodeError> {
        match self {
            Self::Native(replies) => {
                replies.forward_item(out, id, &answer(id, item, &Limits::default())?)
            }
            Self::Gob(_) | Self::Json(_) => Err(no_streams()),
        }
    }
}

/// The value of another gob stream, if it is one.
fn raw<'a>(body: &Body<'a>) -> Option<Raw<'a>> {
    match body.form {
        Form::Gob { types, id } => Some(Raw { types, id, bytes: body.bytes }),
        Form::Json | Form::Params | Form::Postcard => None,
    }
}

/// What gob makes of JSON.
fn typed(body: &Body<'_>, hint: Option<&Described>, limits: &Limits) -> Result<Typed, EncodeError> {
    let hint = hint.map(|described| (&described.types, described.id));
    let typed = match body.form {
        Form::Params => Typed::from_params(&params(body, limits)?, hint, limits),
        _ => Typed::from_json(&json(body, limits)?, hint, limits),
    };
    typed.map_err(|error| EncodeError(error.0))
}

/// As JSON in one line.
fn json<'a>(body: &Body<'a>, limits: &Limits) -> Result<Cow<'a, str>, EncodeError> {
    body.json(limits).map_err(|error| EncodeError(error.0))
}

/// Arguments by position as they are.
fn params<'a>(body: &Body<'a>, limits: &Limits) -> Result<Cow<'a, str>, EncodeError> {
    jsonrpc::line(body.bytes, limits).map_err(|error| EncodeError(error.0))
}

/// As the native protocol carries it, and in which form that is.
fn native<'a>(
    body: &Body<'a>,
    limits: &Limits,
) -> Result<(native::Form, Cow<'a, [u8]>), EncodeError> {
    if let Form::Postcard = body.form {
        return Ok((native::Form::Postcard, Cow::Borrowed(body.bytes)));
    }
    let json = match json(body, limits)? {
        Cow::Borrowed(json) => Cow::Borrowed(json.as_bytes()),
        Cow::Owned(json) => Cow::Owned(json.into_bytes()),
    };
    Ok((native::Form::Json, json))
}

/// The same for who called natively: in the form of the call.
fn answer<'a>(id: &CallId, body: &Body<'a>, limits: &Limits) -> Result<Cow<'a, [u8]>, EncodeError> {
    let (form, bytes) = native(body, limits)?;
    match (id, form) {
        (CallId::Number(_), native::Form::Json) => Err(EncodeError(
            "postcard: the call was made in it, and its answer, which did not come so, cannot be put \
             into it without its type; call in JSON"
                .to_owned(),
        )),
        (CallId::NumberInJson(_), native::Form::Postcard) => Err(EncodeError(POSTCARD.to_owned())),
        _ => Ok(bytes),
    }
}
