//! Values of any type.

use std::fmt;

use serde::de::value::{BytesDeserializer, StrDeserializer};
use serde::de::{self, Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::copy::{Held, copy};
use super::encoder::Encoder;
use super::error::Error;
use super::num::{bytes, put_bytes, put_int, put_sized};
use super::wire_type;
use super::{
    Bytes, Corrupt, Raw, Schema, SchemaError, Stream, StreamError, Type, TypeId, Typed, Types,
    Value, decode, magic,
};
use crate::rpc::{DecodeError, EncodeError, Limits};

/// Nothing, or a value that brings its type along: what Go keeps in an interface.
///
/// Go knows a type in an interface by the name that it was registered under: `int`, `string`, … and for other types
/// what `gob.Register` makes of them, such as `main.Point`, or what `gob.RegisterName` says. In JSON it is the
/// value alone; one that was read from JSON is called `int64`, `uint64`, `float64`, `bool`, `string`, `array` or
/// `object`.
///
/// ```
/// use locum_wire::gob::Any;
/// #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
/// struct Point {
///     x: i64,
///     y: i64,
/// }
/// let any = Any::new("main.Point", &Point { x: 1, y: 2 })?;
/// assert_eq!(any.name(), "main.Point");
/// assert_eq!(any.decode::<Point>()?, Point { x: 1, y: 2 });
/// assert_eq!(Any::from(5_i64).name(), "int64");
/// assert!(Any::default().is_nil());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Any {
    /// Empty for nil.
    name: String,
    /// A gob stream that has the value alone, so that it can go anywhere.
    stream: Vec<u8>,
}

impl Any {
    /// A value of the type that Go has registered as `name`.
    ///
    /// # Errors
    ///
    /// The value's type has what gob has not, or is itself an interface; or the name is empty.
    pub fn new<T: Serialize + DeserializeOwned>(
        name: &str,
        value: &T,
    ) -> Result<Self, EncodeError> {
        let schema = Schema::trace::<T>().map_err(|SchemaError(text)| EncodeError(text))?;
        if schema.id == TypeId::INTERFACE || name.is_empty() {
            return Err(EncodeError(
                "gob: an interface holds a value of a type with a name, which is no interface"
                    .to_owned(),
            ));
        }
        let mut stream = Vec::new();
        Encoder::new().encode(&mut stream, &schema, value)?;
        Ok(Self { name: name.to_owned(), stream })
    }

    /// The name that Go registered its type under; empty for nil.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether there is nothing.
    pub fn is_nil(&self) -> bool {
        self.name.is_empty()
    }

    /// Reads it as a `T`.
    ///
    /// # Errors
    ///
    /// It is nil, or none that `T` could be.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        self.read(|raw| decode(raw.types, raw.id, raw.bytes))
    }

    /// Reads the stream.
    fn read<T, E: From<DecodeError>>(
        &self,
        read: impl FnOnce(Raw<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut stream = Stream::new(&Limits { message: usize::MAX, ..Limits::default() });
        match stream.next(&self.stream, &mut 0) {
            Ok(Some(raw)) => read(raw),
            Ok(None) => Err(DecodeError("gob: there is no value".to_owned()).into()),
            Err(StreamError::Malformed(error) | StreamError::TooLarge(error)) => Err(error.into()),
            Err(StreamError::Fatal(fatal)) => Err(DecodeError(fatal.0).into()),
        }
    }

    /// What `value` tells of itself, which is the inside of an [`Any`].
    pub(super) fn out_of<T: Serialize + ?Sized>(value: &T) -> Result<Self, Error> {
        let parts = postcard::to_allocvec(value);
        let parts = parts.and_then(|parts| postcard::from_bytes::<(String, Bytes)>(&parts));
        let (name, Bytes(stream)) = parts.map_err(|error| Error::text(format!("gob: {error}")))?;
        Ok(Self { name, stream })
    }

    /// Appends it as it stands on a stream; it is not nil.
    pub(super) fn write(&self, encoder: &mut Encoder, out: &mut Vec<u8>) -> Result<(), Error> {
        self.read(|raw| {
            put_bytes(out, self.name.as_bytes());
            put_int(out, i64::from(encoder.define(raw.types, raw.id)?.get()));
            put_sized(out, |out| {
                if !raw.types.get(raw.id).is_some_and(Type::is_struct) {
                    out.push(0);
                }
                let mut number = |id| Ok::<_, Error>(encoder.define(raw.types, id)?);
                let nesting = raw.types.limits().nesting;
                copy(raw.types, raw.id, &mut { raw.bytes }, out, nesting, &mut number)
            })
        })
    }
}

macro_rules! registered {
    ($($kind:ty, $name:literal;)*) => {$(
        impl From<$kind> for Any {
            #[doc = concat!("As Go's `", $name, "`.")]
            fn from(value: $kind) -> Self {
                Self::new($name, &value).expect("a basic type is one in gob")
            }
        }
    )*};
}

// gob: encoding/gob/type.go registerBasics
registered! {
    bool, "bool";
    i8, "int8";
    i16, "int16";
    i32, "int32";
    i64, "int64";
    isize, "int";
    u8, "uint8";
    u16, "uint16";
    u32, "uint32";
    u64, "uint64";
    usize, "uint";
    f32, "float32";
    f64, "float64";
    String, "string";
    Bytes, "[]uint8";
    super::Complex, "complex128";
}

impl From<&str> for Any {
    /// As Go's `string`.
    fn from(value: &str) -> Self {
        value.to_owned().into()
    }
}

impl Any {
    /// As Go's JSON shows what is in an interface.
    fn to_json(&self) -> Result<Box<RawValue>, String> {
        if self.is_nil() {
            return Ok(RawValue::NULL.to_owned());
        }
        let limits = Limits::default();
        let typed = self.read(|raw| Typed::decode(&raw, &limits)).map_err(|error| error.0)?;
        let json = typed.to_json(&limits).map_err(|error| error.0)?;
        RawValue::from_string(json).map_err(|error| error.to_string())
    }

    fn from_json(json: &RawValue) -> Result<Self, String> {
        if json.get() == "null" {
            return Ok(Self::default());
        }
        let typed =
            Typed::from_json(json.get(), None, &Limits::default()).map_err(|error| error.0)?;
        let name = match &typed.value {
            Value::Bool(_) => "bool",
            Value::Int(_) => "int64",
            Value::Uint(_) => "uint64",
            Value::Float(_) => "float64",
            Value::String(_) => "string",
            Value::List(_) => "array",
            _ => "object",
        };
        let mut stream = Vec::new();
        Encoder::new().put(&mut stream, &typed).map_err(|error| error.0)?;
        Ok(Self { name: name.to_owned(), stream })
    }
}

impl Serialize for Any {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return self.to_json().map_err(serde::ser::Error::custom)?.serialize(serializer);
        }
        serializer.serialize_newtype_struct(magic::ANY, &(&self.name, Bytes(self.stream.clone())))
    }
}

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let json = <Box<RawValue>>::deserialize(deserializer)?;
            return Self::from_json(&json).map_err(de::Error::custom);
        }
        deserializer.deserialize_newtype_struct(magic::ANY, Parts)
    }
}

struct Parts;

impl<'de> Visitor<'de> for Parts {
    type Value = Any;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name and a gob stream")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Any, D::Error> {
        let (name, Bytes(stream)) = <(String, Bytes)>::deserialize(deserializer)?;
        Ok(Any { name, stream })
    }
}

/// An [`Any`] on its way out of a stream.
pub(super) struct Interface<'a> {
    name: &'a str,
    pub(super) stream: Vec<u8>,
}

impl<'a> Interface<'a> {
    pub(super) fn read(types: &Types, input: &mut &'a [u8], depth: usize) -> Result<Self, Corrupt> {
        let name = bytes(input)?;
        let mut stream = Vec::new();
        if !name.is_empty() {
            let held = Held::read(types, input)?;
            let mut value = Vec::with_capacity(held.bytes.len() + 4);
            put_int(&mut value, i64::from(held.id.get()));
            if !held.is_struct {
                value.push(0);
            }
            // The types keep their numbers.
            let mut used = vec![held.id];
            let mut number = |id| {
                used.push(id);
                Ok::<_, Corrupt>(id)
            };
            let mut rest = held.bytes;
            copy(types, held.id, &mut rest, &mut value, depth, &mut number)?;
            if !rest.is_empty() {
                return Err(Corrupt::Interface);
            }
            define_all(types, used, &mut stream)?;
            put_bytes(&mut stream, &value);
        }
        Ok(Self { name: str::from_utf8(name).map_err(|_| Corrupt::Text)?, stream })
    }
}

/// Appends the definitions of types, and of all that they are made of.
fn define_all(types: &Types, mut left: Vec<TypeId>, out: &mut Vec<u8>) -> Result<(), Corrupt> {
    let mut defined = rustc_hash::FxHashSet::default();
    while let Some(id) = left.pop() {
        if !id.is_built_in() && defined.insert(id) {
            let kind = types.get(id).ok_or(Corrupt::UnknownType)?;
            wire_type::put(out, id, kind, |inner| inner);
            left.extend(kind.inner());
        }
    }
    Ok(())
}

impl<'de> Deserializer<'de> for Interface<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Sequence { interface: self, given: 0 })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Sequence<'a> {
    interface: Interface<'a>,
    given: usize,
}

impl<'de> de::SeqAccess<'de> for Sequence<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        self.given += 1;
        match self.given {
            1 => seed.deserialize(StrDeserializer::new(self.interface.name)).map(Some),
            2 => seed.deserialize(BytesDeserializer::new(&self.interface.stream)).map(Some),
            _ => Ok(None),
        }
    }
}
