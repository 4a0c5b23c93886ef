//! Bytes, as a type that is read element by element sees them.

use std::slice::Iter;

use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};

use crate::gob::error::{Error, Kind};

/// Bytes, read one by one.
pub(super) struct Bytes<'a> {
    left: Iter<'a, u8>,
}

impl<'a> Bytes<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes.iter() }
    }
}

impl<'de> SeqAccess<'de> for Bytes<'de> {
    type Error = Error;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        match self.left.next() {
            Some(byte) => seed.deserialize(Byte(*byte)).map(Some),
            None => Ok(None),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.len())
    }
}

/// One of them. It can be read as no other number, as a slice of other numbers is another type.
struct Byte(u8);

macro_rules! refuse {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
            Err(not_bytes())
        }
    )*};
}

impl<'de> Deserializer<'de> for Byte {
    type Error = Error;

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u8(self.0)
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    refuse! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u16 deserialize_u32 deserialize_u64
        deserialize_f32 deserialize_f64
    }

    serde::forward_to_deserialize_any! {
        bool i128 u8 u128 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map
        struct enum identifier ignored_any
    }
}

#[cold]
fn not_bytes() -> Error {
    Error::new(Kind::Mismatch(
        "a slice of numbers that are no bytes".to_owned(),
        "bytes".to_owned(),
    ))
}
