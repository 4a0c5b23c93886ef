//! What gob leaves out.

use std::any::type_name;
use std::sync::Arc;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, Visitor};

use super::de::mismatch;
use super::error::Error;
use super::facts::Facts;
use super::fields::Given;
use super::{Type, TypeId, Types};

/// A zero of whatever type is asked for: 0, "", `None`, nothing in a sequence or a map, and a struct of zeros.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Zero<'a> {
    /// What the peer would have sent. Go refuses a field of the wrong type even where none comes.
    sent: Option<(&'a Types, TypeId)>,
}

impl<'a> Zero<'a> {
    pub(super) fn of(types: &'a Types, id: TypeId) -> Self {
        Self { sent: Some((types, id)) }
    }

    #[inline]
    fn check(self, fits: fn(&Type) -> bool, local: &str) -> Result<(), Error> {
        match self.sent {
            Some((types, id)) if !types.get(id).is_some_and(fits) => {
                Err(mismatch(types, id, local))
            }
            _ => Ok(()),
        }
    }

    fn tuple<'de, V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        // Any is read as a pair, and knows that an empty name is nil.
        let fits = |it: &Type| matches!(it, Type::Array { .. } | Type::Complex | Type::Interface);
        self.check(fits, "an array")?;
        visitor.visit_seq(Zeros { left: len })
    }
}

macro_rules! zeros {
    ($($deserialize:ident $kinds:pat, $local:literal => $visit:ident($($zero:expr)?);)*) => {$(
        #[inline]
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.check(|it| matches!(it, $kinds), $local)?;
            visitor.$visit($($zero)?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Zero<'_> {
    type Error = Error;

    zeros! {
        deserialize_bool Type::Bool, "bool" => visit_bool(false);
        deserialize_i8 Type::Int, "int8" => visit_i8(0);
        deserialize_i16 Type::Int, "int16" => visit_i16(0);
        deserialize_i32 Type::Int, "int32" => visit_i32(0);
        deserialize_i64 Type::Int, "int64" => visit_i64(0);
        deserialize_i128 Type::Int, "int64" => visit_i128(0);
        deserialize_u8 Type::Uint, "uint8" => visit_u8(0);
        deserialize_u16 Type::Uint, "uint16" => visit_u16(0);
        deserialize_u32 Type::Uint, "uint32" => visit_u32(0);
        deserialize_u64 Type::Uint, "uint64" => visit_u64(0);
        deserialize_u128 Type::Uint, "uint64" => visit_u128(0);
        deserialize_f32 Type::Float, "float32" => visit_f32(0.0);
        deserialize_f64 Type::Float, "float64" => visit_f64(0.0);
        deserialize_char Type::Int, "int32" => visit_char('\0');
        deserialize_str Type::String, "string" => visit_str("");
        deserialize_string Type::String, "string" => visit_str("");
        deserialize_option _, "" => visit_none();
        deserialize_unit _, "" => visit_unit();
        deserialize_identifier Type::String, "string" => visit_str("");
        deserialize_ignored_any _, "" => visit_unit();
    }

    /// An opaque type knows that no bytes at all are its zero.
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.check(|it| matches!(it, Type::Bytes | Type::String | Type::Opaque { .. }), "[]uint8")?;
        visitor.visit_bytes(&[])
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.check(|it| matches!(it, Type::Slice { .. } | Type::Bytes), "a slice")?;
        visitor.visit_seq(Zeros { left: 0 })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.tuple(len, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.check(|it| matches!(it, Type::Map { .. }), "a map")?;
        visitor.visit_map(ZeroFields {
            facts: None,
            fields: &[],
            next: 0,
            given: Given::none(0),
            giving: None,
        })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.check(|it| matches!(it, Type::Struct { .. }), name)?;
        let facts = Facts::of(type_name::<V::Value>(), fields);
        let mut zeros = ZeroFields {
            facts: Some(Arc::clone(&facts)),
            fields,
            next: 0,
            given: Given::none(fields.len()),
            giving: None,
        };
        let result = visitor.visit_map(&mut zeros);
        result.map_err(|error| facts.learn(error, zeros.giving, |at| zeros.given.has(at)))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        Err(Error::text(format!("gob: `{name}` is an enum, which has no zero")))
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Some((types, id)) = self.sent else { return visitor.visit_unit() };
        match types.get(id) {
            Some(Type::Bool) => visitor.visit_bool(false),
            Some(Type::Int) => visitor.visit_i64(0),
            Some(Type::Uint) => visitor.visit_u64(0),
            Some(Type::Float) => visitor.visit_f64(0.0),
            Some(Type::String) => visitor.visit_str(""),
            Some(Type::Bytes) => visitor.visit_bytes(&[]),
            Some(Type::Slice { .. }) => visitor.visit_seq(Zeros { left: 0 }),
            _ => visitor.visit_unit(),
        }
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The elements of an array.
struct Zeros {
    left: usize,
}

impl<'de> de::SeqAccess<'de> for Zeros {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        seed.deserialize(Zero::default()).map(Some)
    }
}

/// The fields of a struct that must be given: those that have no default.
struct ZeroFields {
    facts: Option<Arc<Facts>>,
    fields: &'static [&'static str],
    next: usize,
    given: Given,
    /// The one that was asked for, and is not given yet.
    giving: Option<usize>,
}

impl<'de> de::MapAccess<'de> for ZeroFields {
    type Error = Error;

    fn next_key_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some(facts) = &self.facts else { return Ok(None) };
        let Some((at, name)) = self
            .fields
            .iter()
            .enumerate()
            .skip(self.next)
            .find(|(at, _)| facts.gives_zero(*at, false))
        else {
            self.next = self.fields.len();
            return Ok(None);
        };
        self.next = at + 1;
        self.given.set(at);
        self.giving = Some(at);
        seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        let value = seed.deserialize(Zero::default())?;
        self.giving = None;
        Ok(value)
    }
}
