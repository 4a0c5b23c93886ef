//! The argument of a call, or what it returns.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::Limits;
use crate::{gob, jsonrpc, native};

/// One value as it came, and what it takes to read it.
#[derive(Clone, Copy, Debug)]
pub struct Body<'a> {
    /// The bytes of the value alone.
    pub bytes: &'a [u8],
    /// What they are.
    pub form: Form<'a>,
}

/// How a value is written.
#[derive(Clone, Copy, Debug)]
pub enum Form<'a> {
    /// As a gob value of the type `id`, which the stream defined.
    Gob {
        /// What the stream has defined so far.
        types: &'a Arc<gob::Types>,
        /// The value's type.
        id: gob::TypeId,
    },
    /// As JSON.
    Json,
    /// As the params of JSON-RPC 2.0 by position, a JSON array: one is the argument itself, several are the
    /// fields of a struct in their order. Only arguments are.
    Params,
    /// By postcard.
    Postcard,
}

impl<'a> Body<'a> {
    /// Reads the value as a `T`.
    ///
    /// # Errors
    ///
    /// The value is malformed, or none that `T` could be.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        match self.form {
            Form::Gob { types, id } => gob::decode(types, id, self.bytes),
            Form::Json => jsonrpc::decode(self.bytes),
            Form::Params => jsonrpc::decode_params(self.bytes),
            Form::Postcard => native::decode(self.bytes),
        }
    }

    /// The value as JSON, for who does not know its type. gob is shown as
    /// [`Typed::to_json`](gob::Typed::to_json) says.
    ///
    /// # Errors
    ///
    /// The value is malformed, JSON has nothing like it, or it is postcard, which only its type can read.
    pub fn to_json(&self) -> Result<String, DecodeError> {
        self.json(&Limits::default()).map(Cow::into_owned)
    }

    /// The same, within these limits; JSON is given as it stands, in one line.
    pub(super) fn json(&self, limits: &Limits) -> Result<Cow<'a, str>, DecodeError> {
        match self.form {
            Form::Gob { types, id } => {
                let raw = gob::Raw { types, id, bytes: self.bytes };
                let json = gob::Typed::decode(&raw, limits)?.to_json(limits);
                json.map(Cow::Owned).map_err(|error| DecodeError(error.0))
            }
            Form::Json => jsonrpc::line(self.bytes, limits),
            Form::Params => Ok(match jsonrpc::line(self.bytes, limits)? {
                Cow::Borrowed(params) => Cow::Borrowed(jsonrpc::by_position(params)),
                Cow::Owned(params) => Cow::Owned(jsonrpc::by_position(&params).to_owned()),
            }),
            Form::Postcard => Err(DecodeError(POSTCARD.to_owned())),
        }
    }

    /// The same in memory of its own.
    pub fn to_owned(&self) -> OwnedBody {
        let bytes = self.bytes.to_vec();
        match self.form {
            Form::Gob { types, id } => OwnedBody::Gob { types: Arc::clone(types), id, bytes },
            Form::Json => OwnedBody::Json(bytes),
            Form::Params => OwnedBody::Params(bytes),
            Form::Postcard => OwnedBody::Postcard(bytes),
        }
    }
}

/// A [`Body`] that has left the buffer it came in.
#[derive(Clone, Debug)]
pub enum OwnedBody {
    /// A gob value.
    Gob {
        /// What its stream had defined.
        types: Arc<gob::Types>,
        /// Its type.
        id: gob::TypeId,
        /// The value alone.
        bytes: Vec<u8>,
    },
    /// JSON.
    Json(Vec<u8>),
    /// JSON, by position.
    Params(Vec<u8>),
    /// By postcard.
    Postcard(Vec<u8>),
}

impl OwnedBody {
    /// As a [`Body`].
    pub fn as_body(&self) -> Body<'_> {
        match self {
            Self::Gob { types, id, bytes } => Body { bytes, form: Form::Gob { types, id: *id } },
            Self::Json(bytes) => Body { bytes, form: Form::Json },
            Self::Params(bytes) => Body { bytes, form: Form::Params },
            Self::Postcard(bytes) => Body { bytes, form: Form::Postcard },
        }
    }
}

/// Why a value by postcard is shown to nobody, and passed on to nobody who speaks something else.
pub(super) const POSTCARD: &str =
    "postcard: only its type can read this; call in JSON, and it is answered so";

/// A value could not be read; the text is for a person, and is what the peer is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError(pub String);

/// A value could not be written on this wire; nothing of it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodeError(pub String);

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DecodeError {}
impl std::error::Error for EncodeError {}
