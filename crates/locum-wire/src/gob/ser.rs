//! From Rust to gob: walks a value and its schema together.
//!
//! The number of a struct's field stands before its value, and a zero is left out with its number. So the
//! number goes down to where it is known whether there is a value, and what comes back up is whether there
//! was one.

use serde::ser::{self, Serialize, Serializer};

use super::any::Any;
use super::encoder::Encoder;
use super::error::Error;
use super::magic::Magic;
use super::num::{float, put_bytes, put_float, put_int, put_uint};
use super::schema::{Field, Node, NodeId, Schema};

/// Appends the value.
#[inline]
pub(super) fn write<T: Serialize + ?Sized>(
    encoder: &mut Encoder,
    out: &mut Vec<u8>,
    schema: &Schema,
    value: &T,
) -> Result<(), Error> {
    let mut writer = Writer { encoder, out, schema };
    value.serialize(Value { writer: &mut writer, node: schema.root(), delta: 0 })?;
    Ok(())
}

struct Writer<'w> {
    encoder: &'w mut Encoder,
    out: &'w mut Vec<u8>,
    schema: &'w Schema,
}

/// Where one value goes.
struct Value<'a, 'w> {
    writer: &'a mut Writer<'w>,
    node: &'w Node,
    /// What stands before it, and is left out with it if it is zero; 0 for what is never left out.
    delta: u64,
}

impl<'a, 'w> Value<'a, 'w> {
    /// Begins a value, if its type `fits`, unless it is `zero` and can be left out.
    #[inline]
    fn begin(&mut self, fits: bool, zero: bool, local: &str) -> Result<bool, Error> {
        if !fits {
            return Err(self.mismatch(local));
        }
        if self.delta == 0 {
            return Ok(true);
        }
        if zero {
            return Ok(false);
        }
        put_uint(self.writer.out, self.delta);
        Ok(true)
    }

    /// The same for values that are not left out.
    #[inline]
    fn field_number(&mut self) {
        if self.delta != 0 {
            put_uint(self.writer.out, self.delta);
        }
    }

    #[inline]
    fn int(mut self, value: i64) -> Result<bool, Error> {
        let sent = self.begin(matches!(self.node, Node::Int), value == 0, "int")?;
        if sent {
            put_int(self.writer.out, value);
        }
        Ok(sent)
    }

    #[inline]
    fn uint(mut self, value: u64) -> Result<bool, Error> {
        let sent = self.begin(matches!(self.node, Node::Uint), value == 0, "uint")?;
        if sent {
            put_uint(self.writer.out, value);
        }
        Ok(sent)
    }

    /// An unsigned number of one byte. Apart, so that where a byte is an element of bytes stays small.
    #[inline(never)]
    fn small(self, value: u8) -> Result<bool, Error> {
        self.uint(value.into())
    }

    /// A slice, an array, bytes, or a complex number.
    fn sequence(self, len: Option<usize>) -> Result<Elements<'a, 'w>, Error> {
        let start = self.writer.out.len();
        if self.delta != 0 {
            put_uint(self.writer.out, self.delta);
        }
        let (elem, given) = match self.node {
            Node::Slice { elem } => (self.writer.schema.node(*elem), len),
            Node::Array { elem, len } => (self.writer.schema.node(*elem), Some(*len)),
            Node::Bytes => (&Node::Byte, len),
            Node::Complex => (&Node::Float, None),
            _ => return Err(self.mismatch("a sequence")),
        };
        let count = self.writer.out.len();
        if !matches!(self.node, Node::Complex) {
            put_uint(self.writer.out, given.unwrap_or(0) as u64);
        }
        if let (Node::Byte, Some(len)) = (elem, len) {
            self.writer.out.reserve(len);
        }
        Ok(Elements {
            node: self.node,
            elem,
            field: self.delta != 0,
            start,
            count,
            given,
            len: 0,
            writer: self.writer,
        })
    }

    #[cold]
    fn mismatch(&self, local: &str) -> Error {
        Error::text(format!(
            "gob: a value is written as {local} where its type is read as {}",
            self.node.kind()
        ))
    }

    #[cold]
    fn no_enums(name: &str) -> Error {
        Error::text(format!("gob: there are no enums, such as `{name}`"))
    }
}

macro_rules! ints {
    ($($serialize:ident $write:ident $kind:ty),* $(,)?) => {$(
        #[inline]
        fn $serialize(self, value: $kind) -> Result<bool, Error> {
            self.$write(value.into())
        }
    )*};
}

impl<'a, 'w> Serializer for Value<'a, 'w> {
    /// Whether anything was written.
    type Ok = bool;
    type Error = Error;
    type SerializeSeq = Elements<'a, 'w>;
    type SerializeTuple = Elements<'a, 'w>;
    type SerializeTupleStruct = Elements<'a, 'w>;
    type SerializeTupleVariant = ser::Impossible<bool, Error>;
    type SerializeMap = Entries<'a, 'w>;
    type SerializeStruct = Fields<'a, 'w>;
    type SerializeStructVariant = ser::Impossible<bool, Error>;

    ints! {
        serialize_i8 int i8,
        serialize_i16 int i16,
        serialize_i32 int i32,
        serialize_i64 int i64,
        serialize_u16 uint u16,
        serialize_u32 uint u32,
        serialize_u64 uint u64,
        serialize_f32 serialize_f64 f32,
    }

    #[inline]
    fn serialize_u8(self, value: u8) -> Result<bool, Error> {
        if let Node::Byte = self.node {
            self.writer.out.push(value);
            return Ok(true);
        }
        self.small(value)
    }

    #[inline]
    fn serialize_f64(mut self, value: f64) -> Result<bool, Error> {
        let sent = self.begin(matches!(self.node, Node::Float), value == 0.0, "float")?;
        if sent {
            put_float(self.writer.out, value);
        }
        Ok(sent)
    }

    #[inline]
    fn serialize_bool(mut self, value: bool) -> Result<bool, Error> {
        let sent = self.begin(matches!(self.node, Node::Bool), !value, "bool")?;
        if sent {
            self.writer.out.push(value.into());
        }
        Ok(sent)
    }

    fn serialize_char(self, value: char) -> Result<bool, Error> {
        self.int(u32::from(value).into())
    }

    #[inline]
    fn serialize_str(mut self, value: &str) -> Result<bool, Error> {
        let sent = self.begin(matches!(self.node, Node::String), value.is_empty(), "string")?;
        if sent {
            put_bytes(self.writer.out, value.as_bytes());
        }
        Ok(sent)
    }

    fn serialize_bytes(mut self, value: &[u8]) -> Result<bool, Error> {
        if matches!(self.node, Node::Opaque { .. }) {
            self.field_number();
        } else if !self.begin(matches!(self.node, Node::Bytes), value.is_empty(), "[]byte")? {
            return Ok(false);
        }
        put_bytes(self.writer.out, value);
        Ok(true)
    }

    fn serialize_none(self) -> Result<bool, Error> {
        if self.delta != 0 {
            return Ok(false);
        }
        match self.node {
            // A nil interface is an interface without a name.
            Node::Interface => {
                self.writer.out.push(0);
                Ok(true)
            }
            // gob: encoding/gob/encode.go encodeReflectValue
            _ => Err(Error::text(
                "gob: there is no nil but in a struct: a sequence, a map, an argument or a result has none",
            )),
        }
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<bool, Error> {
        value.serialize(self)
    }

    fn serialize_unit(mut self) -> Result<bool, Error> {
        match self.node {
            Node::Struct { fields, .. } if fields.is_empty() => {
                self.field_number();
                self.writer.out.push(0);
                Ok(true)
            }
            _ => Err(self.mismatch("an empty struct")),
        }
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<bool, Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
    ) -> Result<bool, Error> {
        Err(Self::no_enums(name))
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        mut self,
        name: &'static str,
        value: &T,
    ) -> Result<bool, Error> {
        match (Magic::of(name), self.node) {
            (Some(Magic::Any), Node::Interface) => {
                let any = Any::out_of(value)?;
                if any.is_nil() {
                    return self.serialize_none();
                }
                self.field_number();
                any.write(self.writer.encoder, self.writer.out)?;
                Ok(true)
            }
            (Some(Magic::Opaque { zero: true, .. }), Node::Opaque { .. }) if self.delta != 0 => {
                Ok(false)
            }
            _ => value.serialize(self),
        }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<bool, Error> {
        Err(Self::no_enums(name))
    }

    #[inline]
    fn serialize_seq(self, len: Option<usize>) -> Result<Elements<'a, 'w>, Error> {
        self.sequence(len)
    }

    #[inline]
    fn serialize_tuple(self, len: usize) -> Result<Elements<'a, 'w>, Error> {
        self.sequence(Some(len))
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        len: usize,
    ) -> Result<Elements<'a, 'w>, Error> {
        self.sequence(Some(len))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<ser::Impossible<bool, Error>, Error> {
        Err(Self::no_enums(name))
    }

    /// Empty maps are sent: only a nil map is left out in Go, and an empty one of ours is none.
    fn serialize_map(mut self, given: Option<usize>) -> Result<Entries<'a, 'w>, Error> {
        let Node::Map { key, elem } = self.node else {
            return Err(self.mismatch("a map"));
        };
        self.field_number();
        let count = self.writer.out.len();
        put_uint(self.writer.out, given.unwrap_or(0) as u64);
        Ok(Entries { writer: self.writer, key: *key, elem: *elem, count, given, len: 0 })
    }

    #[inline]
    fn serialize_struct(mut self, _: &'static str, _: usize) -> Result<Fields<'a, 'w>, Error> {
        let Node::Struct { name, fields } = self.node else {
            return Err(self.mismatch("a struct"));
        };
        self.field_number();
        Ok(Fields { writer: self.writer, name, fields, next: 0, last: 0 })
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<ser::Impossible<bool, Error>, Error> {
        Err(Self::no_enums(name))
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The elements of a slice or an array, the bytes of bytes, or the parts of a complex number.
struct Elements<'a, 'w> {
    writer: &'a mut Writer<'w>,
    /// What they are the elements of.
    node: &'w Node,
    elem: &'w Node,
    /// Whether all can be left out.
    field: bool,
    /// Where it begins, and where its count is.
    start: usize,
    count: usize,
    given: Option<usize>,
    len: usize,
}

impl Elements<'_, '_> {
    #[inline]
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.len += 1;
        value.serialize(Value { writer: self.writer, node: self.elem, delta: 0 })?;
        Ok(())
    }

    fn end(self) -> Result<bool, Error> {
        let Self { writer, node, field, start, count, given, len, .. } = self;
        let zero = match node {
            Node::Slice { .. } | Node::Bytes => len == 0,
            Node::Complex => {
                let mut parts = &writer.out[count..];
                float(&mut parts)? == 0.0 && float(&mut parts)? == 0.0
            }
            _ => false,
        };
        if field && zero {
            writer.out.truncate(start);
            return Ok(false);
        }
        if !matches!(node, Node::Complex) {
            settle_count(writer.out, count, given, len)?;
        }
        Ok(true)
    }
}

impl ser::SerializeSeq for Elements<'_, '_> {
    type Ok = bool;
    type Error = Error;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.element(value)
    }

    #[inline]
    fn end(self) -> Result<bool, Error> {
        self.end()
    }
}

impl ser::SerializeTuple for Elements<'_, '_> {
    type Ok = bool;
    type Error = Error;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.element(value)
    }

    #[inline]
    fn end(self) -> Result<bool, Error> {
        self.end()
    }
}

impl ser::SerializeTupleStruct for Elements<'_, '_> {
    type Ok = bool;
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.element(value)
    }

    fn end(self) -> Result<bool, Error> {
        self.end()
    }
}

/// The keys and values of a map.
struct Entries<'a, 'w> {
    writer: &'a mut Writer<'w>,
    key: NodeId,
    elem: NodeId,
    count: usize,
    given: Option<usize>,
    len: usize,
}

impl Entries<'_, '_> {
    fn part<T: Serialize + ?Sized>(&mut self, node: NodeId, value: &T) -> Result<(), Error> {
        let node = self.writer.schema.node(node);
        value.serialize(Value { writer: self.writer, node, delta: 0 })?;
        Ok(())
    }
}

impl ser::SerializeMap for Entries<'_, '_> {
    type Ok = bool;
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.len += 1;
        self.part(self.key, key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.part(self.elem, value)
    }

    fn end(self) -> Result<bool, Error> {
        settle_count(self.writer.out, self.count, self.given, self.len)?;
        Ok(true)
    }
}

/// The fields of a struct.
struct Fields<'a, 'w> {
    writer: &'a mut Writer<'w>,
    name: &'static str,
    fields: &'w [Field],
    /// The one that most likely comes next.
    next: usize,
    /// One more than the last that was written.
    last: usize,
}

impl ser::SerializeStruct for Fields<'_, '_> {
    type Ok = bool;
    type Error = Error;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        let (at, field) = match self.fields.get(self.next) {
            Some(field) if field.is(key) => (self.next, field),
            _ => self.find(key)?,
        };
        self.next = at + 1;
        let node = self.writer.schema.node(field.node);
        let delta = (at + 1 - self.last) as u64;
        if value.serialize(Value { writer: self.writer, node, delta })? {
            self.last = at + 1;
        }
        Ok(())
    }

    #[inline]
    fn end(self) -> Result<bool, Error> {
        self.writer.out.push(0);
        Ok(true)
    }
}

impl<'w> Fields<'_, 'w> {
    /// The field is not the next one: some were skipped.
    #[cold]
    fn find(&self, key: &str) -> Result<(usize, &'w Field), Error> {
        let mut later = self.fields.iter().enumerate().skip(self.next);
        later.find(|(_, field)| field.name == key).ok_or_else(|| {
            Error::text(format!(
                "gob: field `{key}` of `{}` is written, but not read, or in another order",
                self.name
            ))
        })
    }
}

/// Puts the count right that was written at `at` before the elements were known.
fn settle_count(
    out: &mut Vec<u8>,
    at: usize,
    given: Option<usize>,
    len: usize,
) -> Result<(), Error> {
    match given {
        Some(given) if given == len => Ok(()),
        Some(given) => {
            Err(Error::text(format!("gob: {len} elements where {given} were announced")))
        }
        None => {
            let mut count = Vec::with_capacity(9);
            put_uint(&mut count, len as u64);
            out.splice(at..=at, count);
            Ok(())
        }
    }
}
