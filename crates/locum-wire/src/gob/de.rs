//! From gob to Rust.

use std::any::type_name;
use std::fmt::Write as _;
use std::mem::size_of;
use std::sync::Arc;

use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, Visitor};

use self::byte::Bytes;
use super::any::Interface;
use super::copy::skip;
use super::error::{Error, Kind};
use super::fields::Fields;
use super::magic::Magic;
use super::num::{bytes, float, int, length, uint};
use super::{Corrupt, Type, TypeId, Types};
use crate::rpc::DecodeError;

mod byte;

/// Reads the value `bytes` of the type `id` as a `T`.
///
/// A struct's fields are found by name: `UserID`, `UserId` and `user_id` are all the Rust field `user_id`, in this
/// order if there are several. Fields that `T` has not are passed over. Fields that did not come, which gob
/// leaves out when they are zero, are zero; one that the peer's type has not is what `#[serde(default)]` says, if it does.
///
/// # Errors
///
/// The value is malformed, or none that `T` could be.
pub fn decode<T: DeserializeOwned>(
    types: &Arc<Types>,
    id: TypeId,
    bytes: &[u8],
) -> Result<T, DecodeError> {
    for _ in 0..MOST_RUNS {
        let mut input = Input::new(types, bytes);
        match T::deserialize(Value { input: &mut input, id }) {
            Ok(_) if !input.rest.is_empty() => return Err(Corrupt::Long.into()),
            Ok(value) => return Ok(value),
            Err(error) if *error.kind() == Kind::Again => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::new(Kind::Again).into())
}

/// What is left to read.
pub(super) struct Input<'a> {
    pub(super) types: &'a Types,
    pub(super) rest: &'a [u8],
    /// How much deeper values may nest.
    depth: usize,
    /// How many bytes values may still take in memory.
    budget: usize,
}

impl<'a> Input<'a> {
    fn new(types: &'a Types, bytes: &'a [u8]) -> Self {
        let limits = types.limits();
        Self { types, rest: bytes, depth: limits.nesting, budget: limits.decoded }
    }

    /// Something of `size` bytes is about to be read.
    #[inline]
    fn charge(&mut self, size: usize) -> Result<(), Corrupt> {
        self.budget = self.budget.checked_sub(size).ok_or(Corrupt::Decoded)?;
        Ok(())
    }

    #[inline]
    pub(super) fn skip(&mut self, id: TypeId) -> Result<(), Corrupt> {
        skip(self.types, id, &mut self.rest, self.depth)
    }

    /// Reads what stands in a value.
    #[inline]
    fn inside<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        self.depth = self.depth.checked_sub(1).ok_or(Corrupt::Nesting)?;
        let value = read(self)?;
        self.depth += 1;
        Ok(value)
    }

    #[inline]
    fn bytes(&mut self) -> Result<&'a [u8], Error> {
        let bytes = bytes(&mut self.rest)?;
        self.charge(bytes.len())?;
        Ok(bytes)
    }
}

/// One value to read.
pub(super) struct Value<'i, 'a> {
    pub(super) input: &'i mut Input<'a>,
    pub(super) id: TypeId,
}

impl<'a> Value<'_, 'a> {
    #[inline]
    fn kind(&self) -> Result<&'a Type, Error> {
        Ok(self.input.types.get(self.id).ok_or(Corrupt::UnknownType)?)
    }

    /// The type has to be this one.
    #[inline]
    fn expect(&self, id: TypeId, local: &str) -> Result<(), Error> {
        if self.id == id { Ok(()) } else { Err(self.mismatch(local)) }
    }

    #[cold]
    fn mismatch(&self, local: &str) -> Error {
        mismatch(self.input.types, self.id, local)
    }

    /// A number of a narrower type than gob's.
    #[inline]
    fn narrow<F, T: TryFrom<F>>(number: F) -> Result<T, Error> {
        T::try_from(number).map_err(|_| Error::new(Kind::Range(String::new())))
    }

    /// Elements, whatever they are in.
    fn elements<V: Visitor<'a>>(
        self,
        elem: TypeId,
        left: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.input.inside(|input| {
            let mut elements = Elements { input, elem, left };
            let value = visitor.visit_seq(&mut elements).map_err(element_of)?;
            let Elements { input, left, .. } = elements;
            for _ in 0..left {
                input.skip(elem)?;
            }
            Ok(value)
        })
    }

    /// Keys and values.
    fn entries<V: Visitor<'a>>(
        self,
        key: TypeId,
        elem: TypeId,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.input.inside(|input| {
            let left = length(&mut input.rest)?;
            let mut entries = Entries { input, key, elem, left };
            let value = visitor.visit_map(&mut entries)?;
            let Entries { input, left, .. } = entries;
            for _ in 0..left {
                input.skip(key)?;
                input.skip(elem)?;
            }
            Ok(value)
        })
    }

    /// A struct as a map from the peer's names, for types that take whatever comes.
    fn fields<V: Visitor<'a>>(
        self,
        fields: &'a [super::Field],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.input.inside(|input| {
            let mut all = Fields::all(input, fields);
            let value = visitor.visit_map(&mut all)?;
            all.finish()?;
            Ok(value)
        })
    }

    /// What an interface holds, for types that take whatever comes; nothing is unit.
    fn held<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Error> {
        let input = self.input;
        if bytes(&mut input.rest)?.is_empty() {
            return visitor.visit_unit();
        }
        let held = super::copy::Held::read(input.types, &mut input.rest)?;
        let after = std::mem::replace(&mut input.rest, held.bytes);
        let value = Value { input: &mut *input, id: held.id }.deserialize_any(visitor)?;
        if !std::mem::replace(&mut input.rest, after).is_empty() {
            return Err(Corrupt::Interface.into());
        }
        Ok(value)
    }
}

macro_rules! numbers {
    ($($deserialize:ident $read:ident $id:ident $visit:ident $kind:ty, $name:literal;)*) => {$(
        #[inline]
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.expect(TypeId::$id, $name)?;
            visitor.$visit(Self::narrow::<_, $kind>($read(&mut self.input.rest)?)?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Value<'_, 'de> {
    type Error = Error;

    numbers! {
        deserialize_i8 int INT visit_i8 i8, "int8";
        deserialize_i16 int INT visit_i16 i16, "int16";
        deserialize_i32 int INT visit_i32 i32, "int32";
        deserialize_i64 int INT visit_i64 i64, "int64";
        deserialize_i128 int INT visit_i128 i128, "int64";
        deserialize_u8 uint UINT visit_u8 u8, "uint8";
        deserialize_u16 uint UINT visit_u16 u16, "uint16";
        deserialize_u32 uint UINT visit_u32 u32, "uint32";
        deserialize_u64 uint UINT visit_u64 u64, "uint64";
        deserialize_u128 uint UINT visit_u128 u128, "uint64";
    }

    #[inline]
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.expect(TypeId::BOOL, "bool")?;
        visitor.visit_bool(uint(&mut self.input.rest)? != 0)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.expect(TypeId::FLOAT, "float32")?;
        let value = float(&mut self.input.rest)?;
        // gob: encoding/gob/decode.go float32FromBits: infinity is in range, and so is what is too small.
        if value.is_finite() && value.abs() > f64::from(f32::MAX) {
            return Err(Error::new(Kind::Range(String::new())));
        }
        visitor.visit_f32(value as f32)
    }

    #[inline]
    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.expect(TypeId::FLOAT, "float64")?;
        visitor.visit_f64(float(&mut self.input.rest)?)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.expect(TypeId::INT, "int32")?;
        let point = Self::narrow::<_, u32>(int(&mut self.input.rest)?)?;
        visitor.visit_char(Self::narrow(point)?)
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.expect(TypeId::STRING, "string")?;
        match str::from_utf8(self.input.bytes()?) {
            Ok(text) => visitor.visit_borrowed_str(text),
            Err(_) => Err(not_utf8()),
        }
    }

    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.kind()? {
            // A gob string is bytes, and those that are no UTF-8 can be read as nothing else.
            Type::Bytes | Type::String | Type::Opaque { .. } => {
                visitor.visit_borrowed_bytes(self.input.bytes()?)
            }
            _ => Err(self.mismatch("[]uint8")),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.id == TypeId::INTERFACE && self.input.rest.first() == Some(&0) {
            self.input.skip(self.id)?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    /// Nothing takes anything: a caller who expects no result gets none, whatever is sent.
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.input.skip(self.id)?;
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_unit(visitor)
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        match (Magic::of(name), self.kind()?) {
            (Some(Magic::Any), Type::Interface) => {
                let Input { types, rest, depth, .. } = self.input;
                let before = rest.len();
                let interface = Interface::read(types, rest, *depth)?;
                // It takes its types along, which are in this stream but once.
                let taken = (before - rest.len()).max(interface.stream.len());
                self.input.charge(taken)?;
                visitor.visit_newtype_struct(interface)
            }
            (Some(Magic::Any), _) => Err(self.mismatch("interface {}")),
            (Some(Magic::Opaque { name, kind, .. }), found) => match found {
                Type::Opaque { kind: same, .. } if *same == kind => {
                    visitor.visit_newtype_struct(self)
                }
                _ => Err(self.mismatch(name)),
            },
            (Some(Magic::Complex), Type::Complex) | (None, _) => visitor.visit_newtype_struct(self),
            (Some(Magic::Complex), _) => Err(self.mismatch("complex128")),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.kind()? {
            Type::Bytes => visitor.visit_seq(Bytes::new(self.input.bytes()?)),
            Type::Slice { elem, .. } => {
                let left = length(&mut self.input.rest)?;
                self.elements(*elem, left, visitor)
            }
            _ => Err(self.mismatch("a slice")),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        match self.kind()? {
            Type::Array { elem, len: sent, .. } if *sent == len as u64 => {
                if uint(&mut self.input.rest)? != *sent {
                    return Err(Corrupt::Array.into());
                }
                self.elements(*elem, len, visitor)
            }
            Type::Complex if len == 2 => self.elements(TypeId::FLOAT, len, visitor),
            _ => Err(self.mismatch(&format!("an array of {len}"))),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.kind()? {
            Type::Map { key, elem, .. } => self.entries(*key, *elem, visitor),
            _ => Err(self.mismatch("a map")),
        }
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let (Type::Struct { name: wire_name, fields: wire }, Some(plans)) =
            (self.kind()?, self.input.types.plans(self.id))
        else {
            // gob: encoding/gob/decode.go compileDec
            return Err(Error::text(format!(
                "gob: type mismatch in decoder: want struct type {name}; got non-struct"
            )));
        };
        let plan = plans.plan(type_name::<V::Value>(), fields, wire);
        let at_top = self.input.depth == self.input.types.limits().nesting;
        if at_top && !plan.makes_sense {
            // gob: encoding/gob/decode.go decodeValue
            return Err(Error::text(format!(
                "gob: type mismatch: no fields matched compiling decoder for {name}"
            )));
        }
        self.input.inside(|input| {
            let mut found = Fields::planned(input, wire, plan, fields);
            match visitor.visit_map(&mut found) {
                Ok(value) => {
                    found.finish()?;
                    Ok(value)
                }
                Err(error) => Err(found.learn(error, wire_name)),
            }
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        Err(Error::text(format!("gob: there are no enums, such as `{name}`")))
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.kind()? {
            Type::Bool => self.deserialize_bool(visitor),
            Type::Int => self.deserialize_i64(visitor),
            Type::Uint => self.deserialize_u64(visitor),
            Type::Float => self.deserialize_f64(visitor),
            Type::Bytes | Type::Opaque { .. } => self.deserialize_bytes(visitor),
            Type::String => self.deserialize_str(visitor),
            Type::Complex => self.elements(TypeId::FLOAT, 2, visitor),
            Type::Interface => self.held(visitor),
            Type::Array { len, .. } => match usize::try_from(*len) {
                Ok(len) => self.deserialize_tuple(len, visitor),
                Err(_) => Err(Corrupt::Length.into()),
            },
            Type::Slice { .. } => self.deserialize_seq(visitor),
            Type::Map { key, elem, .. } => self.entries(*key, *elem, visitor),
            Type::Struct { fields, .. } => self.fields(fields, visitor),
        }
    }

    #[inline]
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_unit(visitor)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The elements of a slice or an array.
struct Elements<'i, 'a> {
    input: &'i mut Input<'a>,
    elem: TypeId,
    left: usize,
}

impl<'de> de::SeqAccess<'de> for Elements<'_, 'de> {
    type Error = Error;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        self.input.charge(size_of::<T::Value>().max(1))?;
        seed.deserialize(Value { input: self.input, id: self.elem }).map(Some)
    }

    /// Each takes at least a byte, so that there are no more than there are bytes left.
    fn size_hint(&self) -> Option<usize> {
        Some(self.left.min(self.input.rest.len()))
    }
}

/// The keys and values of a map.
struct Entries<'i, 'a> {
    input: &'i mut Input<'a>,
    key: TypeId,
    elem: TypeId,
    left: usize,
}

impl<'de> de::MapAccess<'de> for Entries<'_, 'de> {
    type Error = Error;

    fn next_key_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        self.input.charge(size_of::<T::Value>().max(1))?;
        seed.deserialize(Value { input: self.input, id: self.key }).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        self.input.charge(size_of::<T::Value>())?;
        seed.deserialize(Value { input: self.input, id: self.elem })
    }

    /// A key and a value take at least a byte each.
    fn size_hint(&self) -> Option<usize> {
        Some(self.left.min(self.input.rest.len() / 2))
    }
}

#[cold]
fn not_utf8() -> Error {
    Error::text("gob: a string is not UTF-8; gob::Bytes takes it as it is")
}

/// An element's number is out of range. Go says so of the element.
#[cold]
fn element_of(error: Error) -> Error {
    match error.kind() {
        Kind::Range(of) => Error::new(Kind::Range(format!("{of}element of "))),
        _ => error,
    }
}

#[cold]
pub(super) fn mismatch(types: &Types, id: TypeId, local: &str) -> Error {
    let mut remote = String::new();
    describe(types, id, 2, &mut remote);
    Error::new(Kind::Mismatch(local.to_owned(), remote))
}

/// Appends what a type is, as Go would say it.
fn describe(types: &Types, id: TypeId, depth: usize, out: &mut String) {
    let Some(kind) = types.get(id).filter(|_| depth > 0) else {
        out.push('…');
        return;
    };
    match kind {
        Type::Array { elem, len, .. } => {
            let _ = write!(out, "[{len}]");
            describe(types, *elem, depth - 1, out);
        }
        Type::Slice { elem, .. } => {
            out.push_str("[]");
            describe(types, *elem, depth - 1, out);
        }
        Type::Map { key, elem, .. } => {
            out.push_str("map[");
            describe(types, *key, depth - 1, out);
            out.push(']');
            describe(types, *elem, depth - 1, out);
        }
        Type::Struct { name, .. } if name.is_empty() => out.push_str("struct"),
        _ => out.push_str(kind.name()),
    }
}

/// Each but the last has taught something about a struct of the program.
const MOST_RUNS: usize = 4096;
