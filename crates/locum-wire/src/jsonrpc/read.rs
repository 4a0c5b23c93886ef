//! JSON as Rust values, the way Go's `encoding/json` reads it.
//!
//! It differs from what `serde_json` does in what a Go client relies on: names of fields match without
//! regard to case (nor to underscores, so that `UserID` finds `user_id`), what is missing or null is the
//! type's zero, a list of bytes may come in base64, and an array that is too short is filled up.

use std::borrow::Cow;

use serde::de::{self, DeserializeOwned, Visitor};

use super::RAW;
use super::call::by_position;
use super::error::{Error, Struct};
use super::members::{Elements, Members, Variant};
use super::scan::{Scanner, white};
use super::text::{from_base64, text};
use crate::rpc::{DecodeError, memory};

/// Reads one value that takes up all of `bytes`. No bytes are a request of 1.0 without an argument.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError("jsonrpc: request body missing params".to_owned()));
    }
    read(utf8(bytes)?)
}

/// Reads the argument that `params`, an array of 2.0, gives.
pub(crate) fn decode_params<T: DeserializeOwned>(params: &[u8]) -> Result<T, DecodeError> {
    read(by_position(utf8(params)?))
}

fn utf8(bytes: &[u8]) -> Result<&str, DecodeError> {
    str::from_utf8(bytes).map_err(|_| DecodeError("json: invalid UTF-8".to_owned()))
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, DecodeError> {
    let (mut missing, mut repeated) = (Vec::new(), Vec::new());
    loop {
        let mut reader = Reader { repeated: &repeated, ..Reader::new(text, &missing) };
        let value = T::deserialize(&mut reader).and_then(|value| reader.finish().map(|()| value));
        match value {
            Ok(value) => return Ok(value),
            // Only the type itself knows whether it can do without a field, and says so when it is too
            // late to give it a zero; so it is read again. Each time another field is known.
            Err(Error::Missing { of: Some(of), field }) if !missing.contains(&(of, field)) => {
                missing.push((of, field));
            }
            // In Go the last is the one; here the first was taken already.
            Err(Error::Repeated { of: Some(of), field }) if !repeated.contains(&(of, field)) => {
                repeated.push((of, field));
            }
            Err(error) => return Err(DecodeError(format!("json: cannot unmarshal {error}"))),
        }
    }
}

/// A field that must be given its zero if it is missing, or looked for again if it is repeated.
pub(super) type Missing = (Struct, &'static str);

/// Reads values off a text.
pub(super) struct Reader<'de, 'm> {
    pub(super) rest: &'de str,
    pub(super) missing: &'m [Missing],
    /// The fields of which all but the last are to be passed over.
    pub(super) repeated: &'m [Missing],
    depth: usize,
    /// How many bytes the elements of lists and maps may still take.
    memory: usize,
}

/// Types that contain themselves are read no deeper, whatever the limits of the connection say: reading them is
/// recursive.
const DEEPEST: usize = 128;

impl<'de, 'm> Reader<'de, 'm> {
    pub(super) fn new(text: &'de str, missing: &'m [Missing]) -> Self {
        Self { rest: text, missing, repeated: &[], depth: 0, memory: memory(text.len()) }
    }

    /// What stands for a value that is not there.
    pub(super) fn absent(missing: &'m [Missing]) -> Self {
        Self::new("null", missing)
    }

    /// The byte that the next thing begins with.
    pub(super) fn peek(&mut self) -> Result<u8, Error> {
        let (_, rest) =
            self.rest.split_at_checked(white(self.rest.as_bytes())).ok_or(Error::SYNTAX)?;
        self.rest = rest;
        rest.bytes().next().ok_or(Error::SYNTAX)
    }

    /// Takes `byte`, which has to be the next thing.
    pub(super) fn expect(&mut self, byte: u8) -> Result<(), Error> {
        if self.peek()? == byte { self.skip(1) } else { Err(Error::SYNTAX) }
    }

    pub(super) fn text(&mut self) -> Result<Cow<'de, str>, Error> {
        let (text, rest) = text(self.rest).ok_or(Error::SYNTAX)?;
        self.rest = rest;
        Ok(text)
    }

    /// An element of so many bytes is about to be read.
    pub(super) fn charge(&mut self, size: usize) -> Result<(), Error> {
        self.memory = self.memory.checked_sub(size).ok_or(Error::MEMORY)?;
        Ok(())
    }

    /// Goes through what is within an array or object.
    pub(super) fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.depth == DEEPEST {
            return Err(de::Error::custom("what is nested too deep"));
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    /// Passes over a value.
    pub(super) fn pass(&mut self) -> Result<&'de str, Error> {
        self.peek()?;
        let mut scanner = Scanner::new(usize::MAX);
        let end = match scanner.end(self.rest.as_bytes()).map_err(|_| Error::SYNTAX)? {
            Some(end) => end,
            None if scanner.is_number() => self.rest.len(),
            None => return Err(Error::SYNTAX),
        };
        let (value, rest) = self.rest.split_at_checked(end).ok_or(Error::SYNTAX)?;
        self.rest = rest;
        Ok(value)
    }

    fn finish(&self) -> Result<(), Error> {
        if white(self.rest.as_bytes()) == self.rest.len() { Ok(()) } else { Err(Error::SYNTAX) }
    }

    fn skip(&mut self, bytes: usize) -> Result<(), Error> {
        self.rest = self.rest.get(bytes..).ok_or(Error::SYNTAX)?;
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<(), Error> {
        self.rest = self.rest.strip_prefix(word).ok_or(Error::SYNTAX)?;
        Ok(())
    }

    /// Takes a null, if it is next.
    fn null(&mut self) -> Result<bool, Error> {
        if self.peek()? != b'n' {
            return Ok(false);
        }
        self.word("null")?;
        Ok(true)
    }

    fn number<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        let number = self.digits()?;
        if let Ok(number) = number.parse::<u64>() {
            visitor.visit_u64(number)
        } else if let Ok(number) = number.parse::<i64>() {
            visitor.visit_i64(number)
        } else {
            match number.parse::<f64>() {
                Ok(number) if number.is_finite() => visitor.visit_f64(number),
                Ok(_) => Err(Error::RANGE),
                Err(_) => Err(Error::SYNTAX),
            }
        }
    }

    /// What a number is written with.
    fn digits(&mut self) -> Result<&'de str, Error> {
        let digit = |it: &u8| matches!(it, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = self.rest.bytes().take_while(digit).count();
        let (number, rest) = self.rest.split_at_checked(length).ok_or(Error::SYNTAX)?;
        self.rest = rest;
        Ok(number)
    }

    /// The bytes of a string in base64, with or without its padding.
    fn base64(&mut self) -> Result<Vec<u8>, Error> {
        from_base64(&self.text()?).ok_or_else(|| de::Error::custom("a string that is not base64"))
    }

    fn array<V: Visitor<'de>>(
        &mut self,
        visitor: V,
        length: Option<usize>,
    ) -> Result<V::Value, Error> {
        self.nested(|reader| {
            let mut elements = Elements::of_array(reader, length)?;
            let value = visitor.visit_seq(&mut elements)?;
            elements.finish()?;
            Ok(value)
        })
    }

    /// As many zeros as an array is long.
    fn zeros<V: Visitor<'de>>(&mut self, visitor: V, length: usize) -> Result<V::Value, Error> {
        visitor.visit_seq(Elements::absent(self, length))
    }

    fn object<V: Visitor<'de>>(
        &mut self,
        visitor: V,
        of: Option<Struct>,
    ) -> Result<V::Value, Error> {
        self.nested(|reader| {
            let mut members = Members::of_object(reader, of)?;
            let value = visitor.visit_map(&mut members).map_err(|error| error.of(of))?;
            members.finish()?;
            Ok(value)
        })
    }

    fn no_members<V: Visitor<'de>>(
        &mut self,
        visitor: V,
        of: Option<Struct>,
    ) -> Result<V::Value, Error> {
        visitor.visit_map(Members::absent(self, of)).map_err(|error| error.of(of))
    }
}

/// Reads primitive types: null is their zero.
macro_rules! primitives {
    ($($deserialize:ident => $visit:ident($zero:expr),)*) => {$(
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            if self.null()? { visitor.$visit($zero) } else { self.deserialize_any(visitor) }
        }
    )*};
}

impl<'de> de::Deserializer<'de> for &mut Reader<'de, '_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.peek()? {
            b'n' => self.word("null").and_then(|()| visitor.visit_unit()),
            b't' => self.word("true").and_then(|()| visitor.visit_bool(true)),
            b'f' => self.word("false").and_then(|()| visitor.visit_bool(false)),
            b'"' => match self.text()? {
                Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
                Cow::Owned(text) => visitor.visit_string(text),
            },
            b'[' => self.array(visitor, None),
            b'{' => self.object(visitor, None),
            _ => self.number(visitor),
        }
    }

    primitives! {
        deserialize_bool => visit_bool(false),
        deserialize_i8 => visit_u64(0),
        deserialize_i16 => visit_u64(0),
        deserialize_i32 => visit_u64(0),
        deserialize_i64 => visit_u64(0),
        deserialize_u8 => visit_u64(0),
        deserialize_u16 => visit_u64(0),
        deserialize_u32 => visit_u64(0),
        deserialize_u64 => visit_u64(0),
        deserialize_f64 => visit_f64(0.0),
        deserialize_char => visit_char('\0'),
        deserialize_str => visit_borrowed_str(""),
        deserialize_string => visit_borrowed_str(""),
        deserialize_identifier => visit_borrowed_str(""),
    }

    /// Not by way of an `f64`: what is too large for an `f32` would become infinity.
    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.peek()? {
            b'0'..=b'9' | b'-' => match self.digits()?.parse::<f32>() {
                Ok(number) if number.is_finite() => visitor.visit_f32(number),
                Ok(_) => Err(Error::RANGE),
                Err(_) => Err(Error::SYNTAX),
            },
            b'n' => self.word("null").and_then(|()| visitor.visit_f32(0.0)),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.null()? {
            return visitor.visit_u64(0);
        }
        let mut wide = self.rest.split([',', ']', '}', ' ', '\t', '\n', '\r']);
        match wide.next().and_then(|it| Some((it.len(), it.parse().ok()?))) {
            Some((length, number)) => {
                self.skip(length)?;
                visitor.visit_i128(number)
            }
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.null()? {
            return visitor.visit_u64(0);
        }
        let mut wide = self.rest.split([',', ']', '}', ' ', '\t', '\n', '\r']);
        match wide.next().and_then(|it| Some((it.len(), it.parse().ok()?))) {
            Some((length, number)) => {
                self.skip(length)?;
                visitor.visit_u128(number)
            }
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_byte_buf(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.peek()? {
            b'n' => self.word("null").and_then(|()| visitor.visit_byte_buf(Vec::new())),
            b'"' => visitor.visit_byte_buf(self.base64()?),
            _ => self.deserialize_any(visitor),
        }
    }

    /// At the top `{}` is nothing, too: JSON-RPC 1.0 has no null results (see [`write`](super::write)).
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.null()? {
            return visitor.visit_none();
        }
        if self.depth == 0 && self.rest.trim_ascii_end() == "{}" {
            self.pass()?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.peek()? {
            b'n' | b'{' | b'[' => self.pass().and_then(|_| visitor.visit_unit()),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if name == RAW {
            let text = (RAW, self.pass()?);
            return visitor.visit_map(de::value::MapDeserializer::new(std::iter::once(text)));
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.peek()? {
            b'n' => self.word("null").and_then(|()| self.zeros(visitor, 0)),
            b'"' => visitor.visit_seq(de::value::SeqDeserializer::new(self.base64()?.into_iter())),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.peek()? {
            b'n' => self.word("null").and_then(|()| self.zeros(visitor, length)),
            b'[' => self.array(visitor, Some(length)),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.null()? { self.no_members(visitor, None) } else { self.deserialize_any(visitor) }
    }

    /// A struct may come by position, too, as arguments do in JSON-RPC 2.0.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let of = Some(Struct { name, fields });
        match self.peek()? {
            b'n' => self.word("null").and_then(|()| self.no_members(visitor, of)),
            b'{' => self.object(visitor, of),
            b'[' => self.array(visitor, Some(fields.len())),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.peek()? {
            b'"' => visitor.visit_enum(Variant::alone(self)?),
            b'{' => self.nested(|reader| {
                let value = visitor.visit_enum(Variant::with_value(reader)?)?;
                reader.expect(b'}')?;
                Ok(value)
            }),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.pass().and_then(|_| visitor.visit_unit())
    }
}
