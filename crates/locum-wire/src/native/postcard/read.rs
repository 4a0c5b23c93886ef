//! A reader for serde.

use std::borrow::Cow;
use std::fmt;

use serde::de::{
    self, DeserializeSeed, EnumAccess, IntoDeserializer as _, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};

use crate::rpc::memory;

/// How deep values may nest. An option, and a struct of one field, is a level as any other.
const DEPTH: u32 = 128;

/// How many elements of no bytes one value may have.
const EMPTY: u32 = 1 << 16;

/// What is left of a value.
pub(super) struct Reader<'de> {
    rest: &'de [u8],
    depth: u32,
    /// How many elements of no bytes there may still be.
    empty: u32,
    /// How many bytes the elements of lists and maps may still take.
    memory: usize,
}

/// Why bytes are not the value that was asked for.
#[derive(Debug)]
pub(super) struct Error(Cow<'static, str>);

impl<'de> Reader<'de> {
    pub(super) fn new(bytes: &'de [u8]) -> Self {
        Self { rest: bytes, depth: DEPTH, empty: EMPTY, memory: memory(bytes.len()) }
    }

    /// That the value took all bytes.
    pub(super) fn end(&self) -> Result<(), Error> {
        match self.rest.len() {
            0 => Ok(()),
            more => Err(Error(format!("{more} bytes too many").into())),
        }
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, Error> {
        let (byte, rest) = self.rest.split_first().ok_or(Error::SHORT)?;
        self.rest = rest;
        Ok(*byte)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(Error::SHORT)?;
        self.rest = rest;
        Ok(*array)
    }

    /// A number of `bits`, in LEB128.
    #[inline]
    fn number(&mut self, bits: u32) -> Result<u64, Error> {
        match self.rest {
            [byte @ 0..0x80, rest @ ..] => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => {
                let number = self.long_number(bits)?;
                u64::try_from(number).map_err(|_| Error::RANGE)
            }
        }
    }

    fn long_number(&mut self, bits: u32) -> Result<u128, Error> {
        let mut number = 0;
        for shift in (0..bits).step_by(7) {
            let byte = self.byte()?;
            let seven = u128::from(byte & 0x7f);
            let room = bits - shift;
            if room < 7 && seven >> room != 0 {
                break;
            }
            number |= seven << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Error::RANGE)
    }

    fn length(&mut self) -> Result<usize, Error> {
        usize::try_from(self.number(usize::BITS)?).map_err(|_| Error::SHORT)
    }

    #[inline]
    fn bytes(&mut self) -> Result<&'de [u8], Error> {
        let length = self.length()?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Error::SHORT)?;
        self.rest = rest;
        Ok(bytes)
    }

    #[inline]
    fn text(&mut self) -> Result<&'de str, Error> {
        str::from_utf8(self.bytes()?).map_err(|_| Error(Cow::Borrowed("a text that is not UTF-8")))
    }

    /// One level deeper.
    #[inline]
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        self.depth = self.depth.checked_sub(1).ok_or(Error(Cow::Borrowed("nested too deep")))?;
        let value = read(self)?;
        self.depth += 1;
        Ok(value)
    }

    /// Something of so many bytes is about to be read.
    #[inline]
    fn charge(&mut self, size: usize) -> Result<(), Error> {
        self.memory = self.memory.checked_sub(size).ok_or(Error::MEMORY)?;
        Ok(())
    }

    /// One element of many.
    #[inline]
    fn element<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        self.charge(size_of::<T>())?;
        let before = self.rest.len();
        let value = read(self)?;
        if self.rest.len() == before {
            let many = Error(Cow::Borrowed("too many elements of no bytes"));
            self.empty = self.empty.checked_sub(1).ok_or(many)?;
        }
        Ok(value)
    }
}

/// A number with a sign: 0, 1, 2, 3, … were 0, -1, 1, -2, ….
const fn unfold(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// How one kind of number is read.
macro_rules! number {
    ($($method:ident, $visit:ident, |$reader:ident| $read:expr;)*) => { $(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let $reader = self;
            visitor.$visit($read)
        }
    )* };
}

impl<'de> de::Deserializer<'de> for &mut Reader<'de> {
    type Error = Error;

    number! {
        deserialize_u8, visit_u8, |reader| reader.byte()?;
        deserialize_u16, visit_u16, |reader| reader.number(16)? as u16;
        deserialize_u32, visit_u32, |reader| reader.number(32)? as u32;
        deserialize_u64, visit_u64, |reader| reader.number(64)?;
        deserialize_u128, visit_u128, |reader| reader.long_number(128)?;
        deserialize_i8, visit_i8, |reader| reader.byte()? as i8;
        deserialize_i16, visit_i16, |reader| unfold(reader.number(16)?) as i16;
        deserialize_i32, visit_i32, |reader| unfold(reader.number(32)?) as i32;
        deserialize_i64, visit_i64, |reader| unfold(reader.number(64)?);
        deserialize_i128, visit_i128, |reader| {
            let number = reader.long_number(128)?;
            (number >> 1) as i128 ^ -((number & 1) as i128)
        };
        deserialize_f32, visit_f32, |reader| f32::from_le_bytes(reader.array()?);
        deserialize_f64, visit_f64, |reader| f64::from_le_bytes(reader.array()?);
        deserialize_str, visit_borrowed_str, |reader| reader.text()?;
        deserialize_string, visit_borrowed_str, |reader| reader.text()?;
        deserialize_bytes, visit_borrowed_bytes, |reader| reader.bytes()?;
        deserialize_byte_buf, visit_borrowed_bytes, |reader| reader.bytes()?;
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.byte()? {
            0 => visitor.visit_bool(false),
            1 => visitor.visit_bool(true),
            _ => Err(Error(Cow::Borrowed("a bool that is neither"))),
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let mut characters = self.text()?.chars();
        match (characters.next(), characters.next()) {
            (Some(character), None) => visitor.visit_char(character),
            _ => Err(Error(Cow::Borrowed("a character that is not one"))),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.byte()? {
            0 => visitor.visit_none(),
            1 => self.nested(|reader| visitor.visit_some(reader)),
            _ => Err(Error(Cow::Borrowed("an option that is neither"))),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
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
        self.nested(|reader| visitor.visit_newtype_struct(reader))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let left = self.length()?;
        self.nested(|reader| visitor.visit_seq(Elements { reader, left }))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let left = self.length()?;
        self.nested(|reader| visitor.visit_map(Elements { reader, left }))
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.nested(|reader| visitor.visit_seq(Fields { reader, left: length }))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(length, visitor)
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(fields.len(), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.nested(|reader| visitor.visit_enum(Variant(reader)))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::UNTYPED)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::UNTYPED)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::UNTYPED)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// As many as were announced.
struct Elements<'a, 'de> {
    reader: &'a mut Reader<'de>,
    left: usize,
}

impl Elements<'_, '_> {
    fn next(&mut self) -> bool {
        let more = self.left > 0;
        self.left -= usize::from(more);
        more
    }

    /// Never more than the bytes that are left could be.
    fn hint(&self) -> Option<usize> {
        Some(self.left.min(self.reader.rest.len()))
    }
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        if !self.next() {
            return Ok(None);
        }
        self.reader.element(|reader| seed.deserialize(reader)).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

impl<'de> MapAccess<'de> for Elements<'_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        if !self.next() {
            return Ok(None);
        }
        self.reader.element(|reader| seed.deserialize(reader)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        self.reader.charge(size_of::<V::Value>())?;
        seed.deserialize(&mut *self.reader)
    }

    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

/// As many as the type has.
struct Fields<'a, 'de> {
    reader: &'a mut Reader<'de>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Fields<'_, 'de> {
    type Error = Error;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(&mut *self.reader).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

struct Variant<'a, 'de>(&'a mut Reader<'de>);

impl<'de> EnumAccess<'de> for Variant<'_, 'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let number = self.0.number(32)? as u32;
        let variant = seed.deserialize(number.into_deserializer())?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self.0)
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Fields { reader: self.0, left: length })
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_seq(Fields { reader: self.0, left: fields.len() })
    }
}

impl Error {
    const SHORT: Self = Self(Cow::Borrowed("cut short"));
    const RANGE: Self = Self(Cow::Borrowed("a number out of range"));
    const MEMORY: Self = Self(Cow::Borrowed("the value takes too much memory"));
    const UNTYPED: Self =
        Self(Cow::Borrowed("the value does not say what it is, and the type asks for that"));
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self(text.to_string().into())
    }
}
