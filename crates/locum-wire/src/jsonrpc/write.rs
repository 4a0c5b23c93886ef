//! Rust values as JSON.

use std::fmt;

use serde::ser::{self, Serialize};

use super::{RAW, text};
use crate::gob::spelling;
use crate::rpc::EncodeError;

/// How what serde and Go say differently is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// As Go's `encoding/json` would: fields are spelled as on gob (`user_id` is `UserId`), bytes come in
    /// base64. Go reads names without regard to case, but not without regard to underscores.
    Go,
    /// As `serde_json` would.
    Serde,
}

/// Appends a value. On an error nothing was appended.
///
/// What JSON has no number for, NaN and the infinities, is an error in either style, as it is in Go.
pub(super) fn write<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    style: Style,
    value: &T,
) -> Result<(), EncodeError> {
    let start = out.len();
    let mut writer = Writer { out, style, byte: None, raw: false };
    value.serialize(&mut writer).map_err(|Error(text)| {
        out.truncate(start);
        EncodeError(format!("json: {text}"))
    })
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    style: Style,
    /// Where the last `u8` was written, if it is the last thing that was, and what it is.
    byte: Option<(usize, u8)>,
    /// Whether a `u8` is written as it is: those of a list are gathered to be put in base64.
    raw: bool,
}

#[derive(Debug)]
struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl ser::Error for Error {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self(text.to_string())
    }
}

impl<'a> Writer<'a> {
    /// What serde_json writes for a number.
    fn plain<T: Serialize>(&mut self, value: T) -> Result<(), Error> {
        serde_json::to_writer(&mut *self.out, &value).map_err(ser::Error::custom)
    }

    fn float(&mut self, value: f64, written: impl Serialize) -> Result<(), Error> {
        if value.is_finite() {
            self.plain(written)
        } else {
            Err(Error(format!("unsupported value: {value}")))
        }
    }

    fn base64(&mut self, from: usize) {
        let bytes = self.out.split_off(from);
        text::put_base64(self.out, &bytes);
    }

    fn field(&mut self, name: &str) {
        match self.style {
            Style::Go => text::put(self.out, &spelling::go(name)),
            Style::Serde => text::put(self.out, name),
        }
        self.out.push(b':');
    }

    /// `{"NAME":`, which a value and a brace have to follow.
    fn variant(&mut self, name: &str) {
        self.out.push(b'{');
        text::put(self.out, name);
        self.out.push(b':');
    }

    fn list<'w>(&'w mut self, ends: &'static [u8]) -> List<'a, 'w> {
        self.out.push(b'[');
        List { writer: self, ends, empty: true }
    }

    fn members<'w>(&'w mut self, ends: &'static [u8]) -> Members<'a, 'w> {
        self.out.push(b'{');
        Members { writer: self, ends, empty: true }
    }
}

macro_rules! numbers {
    ($($serialize:ident($type:ty),)*) => {$(
        fn $serialize(self, value: $type) -> Result<(), Error> {
            self.plain(value)
        }
    )*};
}

impl<'a, 'w> ser::Serializer for &'w mut Writer<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Sequence<'a, 'w>;
    type SerializeTuple = List<'a, 'w>;
    type SerializeTupleStruct = List<'a, 'w>;
    type SerializeTupleVariant = List<'a, 'w>;
    type SerializeMap = Members<'a, 'w>;
    type SerializeStruct = Members<'a, 'w>;
    type SerializeStructVariant = Members<'a, 'w>;

    numbers! {
        serialize_bool(bool), serialize_i8(i8), serialize_i16(i16), serialize_i32(i32),
        serialize_i64(i64), serialize_i128(i128), serialize_u16(u16), serialize_u32(u32),
        serialize_u64(u64), serialize_u128(u128), serialize_char(char), serialize_str(&str),
    }

    fn serialize_u8(self, value: u8) -> Result<(), Error> {
        self.byte = Some((self.out.len(), value));
        if self.raw {
            self.out.push(value);
            return Ok(());
        }
        self.plain(value)
    }

    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        self.float(value.into(), value)
    }

    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        self.float(value, value)
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        match self.style {
            Style::Go => {
                text::put_base64(self.out, value);
                Ok(())
            }
            Style::Serde => self.plain(value),
        }
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.variant(variant);
        value.serialize(&mut *self)?;
        self.out.push(b'}');
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Sequence<'a, 'w>, Error> {
        let start = self.out.len();
        self.out.push(b'[');
        let elements = match self.style {
            Style::Go => Elements::Unknown,
            Style::Serde => Elements::Values,
        };
        Ok(Sequence { writer: self, start, elements })
    }

    fn serialize_tuple(self, _: usize) -> Result<List<'a, 'w>, Error> {
        Ok(self.list(b"]"))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<List<'a, 'w>, Error> {
        Ok(self.list(b"]"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<List<'a, 'w>, Error> {
        self.variant(variant);
        Ok(self.list(b"]}"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Members<'a, 'w>, Error> {
        Ok(self.members(b"}"))
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Members<'a, 'w>, Error> {
        if name == RAW {
            return Ok(Members { writer: self, ends: b"", empty: true });
        }
        Ok(self.members(b"}"))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Members<'a, 'w>, Error> {
        self.variant(variant);
        Ok(self.members(b"}}"))
    }
}

/// A list of any length. Serde does not say what its elements are, so it is a list of bytes if they are.
struct Sequence<'a, 'w> {
    writer: &'w mut Writer<'a>,
    start: usize,
    elements: Elements,
}

#[derive(Clone, Copy)]
enum Elements {
    /// There was none yet.
    Unknown,
    /// They stand in the buffer from [`Sequence::start`] on, as they are.
    Bytes,
    Values,
}

impl ser::SerializeSeq for Sequence<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let before = self.writer.out.len();
        match self.elements {
            Elements::Unknown => {
                self.writer.byte = None;
                value.serialize(&mut *self.writer)?;
                match self.writer.byte {
                    Some((at, byte)) if at == before && is_number(&self.writer.out[before..]) => {
                        self.writer.out.truncate(self.start);
                        self.writer.out.push(byte);
                        self.elements = Elements::Bytes;
                    }
                    _ => self.elements = Elements::Values,
                }
                Ok(())
            }
            Elements::Bytes => {
                self.writer.byte = None;
                self.writer.raw = true;
                let written = value.serialize(&mut *self.writer);
                self.writer.raw = false;
                match self.writer.byte {
                    Some((at, _)) if at == before && self.writer.out.len() == before + 1 => written,
                    _ => {
                        self.writer.out.truncate(before);
                        self.unpack()?;
                        self.serialize_element(value)
                    }
                }
            }
            Elements::Values => {
                if before > self.start + 1 {
                    self.writer.out.push(b',');
                }
                value.serialize(&mut *self.writer)
            }
        }
    }

    fn end(self) -> Result<(), Error> {
        match self.elements {
            Elements::Bytes => self.writer.base64(self.start),
            Elements::Unknown | Elements::Values => self.writer.out.push(b']'),
        }
        Ok(())
    }
}

impl Sequence<'_, '_> {
    /// What seemed to be bytes are numbers: something else is among them.
    fn unpack(&mut self) -> Result<(), Error> {
        self.elements = Elements::Values;
        for byte in self.writer.out.split_off(self.start) {
            self.writer.out.push(if self.writer.out.len() == self.start { b'[' } else { b',' });
            self.writer.plain(byte)?;
        }
        Ok(())
    }
}

/// Whether nothing but one number was written.
fn is_number(written: &[u8]) -> bool {
    written.iter().all(u8::is_ascii_digit)
}

/// A list whose length its type says.
struct List<'a, 'w> {
    writer: &'w mut Writer<'a>,
    ends: &'static [u8],
    empty: bool,
}

impl List<'_, '_> {
    fn put<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        if !std::mem::replace(&mut self.empty, false) {
            self.writer.out.push(b',');
        }
        value.serialize(&mut *self.writer)
    }

    fn close(self) -> Result<(), Error> {
        self.writer.out.extend_from_slice(self.ends);
        Ok(())
    }
}

macro_rules! lists {
    ($($trait:ident::$put:ident,)*) => {$(
        impl ser::$trait for List<'_, '_> {
            type Ok = ();
            type Error = Error;

            fn $put<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                self.put(value)
            }

            fn end(self) -> Result<(), Error> {
                self.close()
            }
        }
    )*};
}

lists! {
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field,
}

/// The members of an object.
struct Members<'a, 'w> {
    writer: &'w mut Writer<'a>,
    ends: &'static [u8],
    empty: bool,
}

impl Members<'_, '_> {
    fn next(&mut self) {
        if !std::mem::replace(&mut self.empty, false) {
            self.writer.out.push(b',');
        }
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Error> {
        if name == RAW {
            let json = serde_json::to_value(value).map_err(ser::Error::custom)?;
            self.writer.out.extend_from_slice(json.as_str().unwrap_or("null").as_bytes());
            return Ok(());
        }
        self.next();
        self.writer.field(name);
        value.serialize(&mut *self.writer)
    }

    fn close(self) -> Result<(), Error> {
        self.writer.out.extend_from_slice(self.ends);
        Ok(())
    }
}

impl ser::SerializeMap for Members<'_, '_> {
    type Ok = ();
    type Error = Error;

    /// Numbers and truth values become strings, as in Go and in `serde_json`.
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.next();
        let start = self.writer.out.len();
        key.serialize(&mut *self.writer)?;
        match self.writer.out.get(start) {
            Some(b'"') => {}
            Some(b'-' | b'0'..=b'9' | b't' | b'f') => {
                self.writer.out.insert(start, b'"');
                self.writer.out.push(b'"');
            }
            _ => return Err(ser::Error::custom("unsupported key of a map")),
        }
        self.writer.out.push(b':');
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(&mut *self.writer)
    }

    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

macro_rules! structs {
    ($($trait:ident,)*) => {$(
        impl ser::$trait for Members<'_, '_> {
            type Ok = ();
            type Error = Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), Error> {
                self.field(name, value)
            }

            fn end(self) -> Result<(), Error> {
                self.close()
            }
        }
    )*};
}

structs! { SerializeStruct, SerializeStructVariant, }
