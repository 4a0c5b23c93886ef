//! Values of types that only the stream knows.

mod from_json;
mod json;
mod opaque;
mod read;
mod shape;
mod to_json;
mod write;

use std::fmt;
use std::sync::Arc;

pub use opaque::Known;

use super::{Raw, TypeId, Types};
use crate::rpc::{DecodeError, Limits};

/// A value, and its type: what a program holds that carries calls it has no types for.
///
/// ```
/// use locum_wire::gob::{Encoder, Stream, Typed};
/// use locum_wire::rpc::Limits;
///
/// let limits = Limits::default();
/// let typed = Typed::from_json(r#"{"A": 7, "B": 8}"#, None, &limits)?;
/// let mut out = Vec::new();
/// Encoder::new().put(&mut out, &typed)?;
///
/// let mut stream = Stream::new(&limits);
/// let raw = stream.next(&out, &mut 0)?.unwrap();
/// assert_eq!(Typed::decode(&raw, &limits)?.to_json(&limits)?, r#"{"A":7,"B":8}"#);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Typed {
    /// What the value's type is made of.
    pub types: Arc<Types>,
    /// The value's type.
    pub id: TypeId,
    /// Of that type, or it cannot be written.
    pub value: Value,
}

/// A value as gob knows it. What it is called and what its fields are its type says, which goes with it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// True or false.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    Uint(u64),
    /// A float.
    Float(f64),
    /// The real and the imaginary part.
    Complex(f64, f64),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Bytes that mostly are UTF-8.
    String(Vec<u8>),
    /// The elements of a slice or an array.
    List(Vec<Self>),
    /// Keys and values, as they came.
    Map(Vec<(Self, Self)>),
    /// The fields that are there, by their places in the type, in that order. Go leaves out what is zero.
    Struct(Vec<(usize, Self)>),
    /// Bytes that only the type can read.
    Opaque(Vec<u8>),
    /// An interface that holds nothing.
    Nil,
    /// An interface that holds a value.
    Interface(Box<Interface>),
}

/// What an interface holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Interface {
    /// What the type is registered as: `int`, `main.Circle`.
    pub name: Box<str>,
    /// Its type.
    pub id: TypeId,
    /// The value.
    pub value: Value,
}

/// A value and JSON do not fit each other; the text is for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError(pub String);

impl Typed {
    /// Reads a value of a stream.
    ///
    /// # Errors
    ///
    /// It is malformed, or beyond the limits.
    pub fn decode(raw: &Raw<'_>, limits: &Limits) -> Result<Self, DecodeError> {
        let value = read::read(raw.types, raw.id, raw.bytes, limits)?;
        Ok(Self { types: Arc::clone(raw.types), id: raw.id, value })
    }

    /// As Go's encoding/json would show it.
    ///
    /// What was left out of a struct is shown as its type's zero: `null` for all that can be nil. Bytes are
    /// base64, a `time.Time` is RFC 3339, a `big.Int` a number, `netip` and `uuid` types and `url.URL` are text,
    /// and what only its type can read is base64. An interface is shown as what it holds.
    ///
    /// # Errors
    ///
    /// JSON has no such value (NaN, infinities, complex numbers, structs as keys), or would take more than
    /// [`Limits::decoded`].
    pub fn to_json(&self, limits: &Limits) -> Result<String, JsonError> {
        to_json::to_json(self, limits)
    }

    /// What a JSON text says, as a value to send.
    ///
    /// Where a `hint` is given, that is the type. Names of fields are matched as they stand, or else without
    /// regard to case. Where JSON has more fields than the type, it is made up from there on:
    ///
    /// An object becomes a struct, without a name and its fields in the order of their names. A number with a
    /// point or an exponent becomes a float, others an int, or an uint if it is too large for that. Elements of
    /// an array have one type: that of a number is a float if any of them is one, and the structs of all have
    /// all fields of each. `null` and `[]` say nothing of their type; such fields are left out.
    ///
    /// # Errors
    ///
    /// It is no JSON, not what the type says, or beyond the limits.
    pub fn from_json(
        text: &str,
        hint: Option<(&Arc<Types>, TypeId)>,
        limits: &Limits,
    ) -> Result<Self, JsonError> {
        from_json::from_json(text, hint, limits)
    }

    /// The same of arguments by position, a JSON array: one is the argument itself. Several are the fields of a
    /// struct in their order, if the hint is one, and otherwise an array.
    ///
    /// # Errors
    ///
    /// As above, or there are more of them than fields.
    pub(crate) fn from_params(
        params: &str,
        hint: Option<(&Arc<Types>, TypeId)>,
        limits: &Limits,
    ) -> Result<Self, JsonError> {
        from_json::from_params(params, hint, limits)
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for JsonError {}
