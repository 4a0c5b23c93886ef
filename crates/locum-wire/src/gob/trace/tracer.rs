//! The deserializer that a type asks, and that writes down what it was asked for.

use std::any::type_name;

use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};

use super::super::error::{Error, Kind};
use super::super::magic::Magic;
use super::super::schema::{Field, Node, NodeId};
use super::super::zero::Zero;
use super::{BOOL, BYTE, BYTES, COMPLEX, Choice, FLOAT, INT, INTERFACE, Open, STRING, Trace, UINT};

/// Reads a value for a type, and writes down what it is.
pub(super) struct Tracer<'t> {
    pub(super) trace: &'t mut Trace,
    pub(super) node: &'t mut NodeId,
}

impl Tracer<'_> {
    fn value<T: Copy>(&mut self, node: NodeId, candidates: &[T]) -> Result<T, Error> {
        *self.node = node;
        self.trace.candidate(candidates)
    }

    /// An array, or what Rust knows as a tuple.
    fn tuple<'de, V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        let mut elems = Vec::new();
        let value =
            visitor.visit_seq(Elements { trace: self.trace, nodes: &mut elems, left: len })?;
        let mut kinds = elems.iter().map(|elem| plain(*elem));
        let Some(elem) = kinds.next() else {
            return Err(self.trace.refuse("an array without elements has no type in gob"));
        };
        if kinds.any(|other| other != elem) {
            return Err(self.trace.refuse("gob has no tuples of different types: use a struct"));
        }
        *self.node = self.trace.intern(Node::Array { elem, len: elems.len() });
        Ok(value)
    }
}

macro_rules! values {
    ($($deserialize:ident $visit:ident $node:ident $candidates:ident $kind:ty),* $(,)?) => {$(
        fn $deserialize<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
            visitor.$visit(self.value($node, $candidates)? as $kind)
        }
    )*};
}

impl<'de> Deserializer<'de> for Tracer<'_> {
    type Error = Error;

    values! {
        deserialize_i8 visit_i8 INT INTS i8,
        deserialize_i16 visit_i16 INT INTS i16,
        deserialize_i32 visit_i32 INT INTS i32,
        deserialize_i64 visit_i64 INT INTS i64,
        deserialize_u8 visit_u8 BYTE UINTS u8,
        deserialize_u16 visit_u16 UINT UINTS u16,
        deserialize_u32 visit_u32 UINT UINTS u32,
        deserialize_u64 visit_u64 UINT UINTS u64,
        deserialize_f32 visit_f32 FLOAT FLOATS f32,
        deserialize_f64 visit_f64 FLOAT FLOATS f64,
    }

    fn deserialize_bool<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_bool(self.value(BOOL, &[false, true])?)
    }

    fn deserialize_char<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_char(self.value(INT, &['\0', 'a', 'A', '1'])?)
    }

    fn deserialize_str<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(self.value(STRING, TEXTS)?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        let length = self.value(BYTES, LENGTHS)?;
        visitor.visit_bytes(&[0; 64][..length])
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_i128<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(self.trace.refuse(WIDE))
    }

    fn deserialize_u128<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(self.trace.refuse(WIDE))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let (at, choice) = self.trace.choose()?;
        if let Choice::Stop(node) = choice {
            *self.node = node;
            return visitor.visit_none();
        }
        self.trace.containers.push(at);
        let result = visitor.visit_some(Tracer { trace: self.trace, node: self.node });
        *self.node = plain(*self.node);
        self.trace.leave(at, result, |_, node| node)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_unit_struct("", visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        let at = self.trace.the_struct(type_name::<V::Value>(), name, &[]);
        *self.node = self.trace.structs[at].node;
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        *self.node = match Magic::of(name) {
            None => return visitor.visit_newtype_struct(self),
            Some(Magic::Complex) => COMPLEX,
            Some(Magic::Any) => INTERFACE,
            Some(Magic::Opaque { name, kind, .. }) => {
                self.trace.intern(Node::Opaque { name, kind })
            }
        };
        visitor.visit_newtype_struct(Zero::default())
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let (at, choice) = self.trace.choose()?;
        let mut nodes = Vec::new();
        if let Choice::Stop(node) = choice {
            *self.node = node;
            return visitor.visit_seq(Elements { trace: self.trace, nodes: &mut nodes, left: 0 });
        }
        self.trace.containers.push(at);
        let result = visitor.visit_seq(Elements { trace: self.trace, nodes: &mut nodes, left: 1 });
        let value = self.trace.leave(at, result, |trace, elem| trace.slice(elem))?;
        let Some(elem) = nodes.first() else {
            return Err(self.trace.refuse("a sequence that takes no element"));
        };
        *self.node = self.trace.slice(*elem);
        Ok(value)
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
        let (at, choice) = self.trace.choose()?;
        let mut entry = Entry { trace: self.trace, key: BOOL, elem: BOOL, left: true };
        if let Choice::Stop(node) = choice {
            *self.node = node;
            entry.left = false;
            return visitor.visit_map(&mut entry);
        }
        entry.trace.containers.push(at);
        let result = visitor.visit_map(&mut entry);
        let (trace, key, elem, left) = (entry.trace, entry.key, entry.elem, entry.left);
        let key = plain(key);
        let value = trace.leave(at, result, |trace, elem| trace.intern(Node::Map { key, elem }))?;
        if left {
            return Err(trace.refuse("a map that takes no entry"));
        }
        *self.node = trace.intern(Node::Map { key, elem: plain(elem) });
        Ok(value)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let at = self.trace.the_struct(type_name::<V::Value>(), name, fields);
        let node = self.trace.structs[at].node;
        *self.node = node;
        if let Some(open) = self.trace.open.iter().find(|open| open.node == node) {
            return Err(match self.trace.containers.last() {
                Some(container) if self.trace.containers.len() > open.containers => {
                    self.trace.recursion = Some((*container, node));
                    Error::new(Kind::Again)
                }
                _ => {
                    self.trace.refuse("it is part of itself without an Option, Vec or map between")
                }
            });
        }
        let containers = self.trace.containers.len();
        self.trace.open.push(Open { node, name, field: "", containers });
        let mut found = Fields {
            given: self.trace.structs[at].given.clone(),
            nodes: Vec::new(),
            trace: self.trace,
        };
        let result = visitor.visit_map(&mut found);
        let Fields { given, nodes, trace } = found;
        let last = trace.open.pop().map(|open| open.field);
        let value = match result {
            Ok(value) => value,
            Err(error) => {
                return Err(match (error.kind(), last) {
                    (Kind::Duplicate(first_name), Some(last)) => trace.alias(at, first_name, last),
                    _ => error,
                });
            }
        };
        let node_of = |name| given.iter().zip(&nodes).find(|(it, _)| *it == name);
        let described = fields.iter().filter_map(|name| {
            node_of(name).map(|(name, node)| Field { name, node: plain(*node) })
        });
        trace.nodes[node] = Node::Struct { name, fields: described.collect() };
        Ok(value)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        Err(self.trace.refuse(format!(
            "gob has no enums, such as `{name}`: use a struct with optional fields, an integer, or the native protocol"
        )))
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(self.trace.refuse("gob cannot flatten: leave out #[serde(flatten)]"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(self.trace.refuse(
            "it takes whatever comes, as untagged enums do, which is no type in gob: use gob::Any, or a struct",
        ))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_any(visitor)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The elements of a sequence or a tuple.
struct Elements<'t> {
    trace: &'t mut Trace,
    nodes: &'t mut Vec<NodeId>,
    left: usize,
}

impl<'de> de::SeqAccess<'de> for Elements<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        let mut node = BOOL;
        let element = seed.deserialize(Tracer { trace: self.trace, node: &mut node })?;
        self.nodes.push(node);
        Ok(Some(element))
    }
}

/// The one entry of a map.
struct Entry<'t> {
    trace: &'t mut Trace,
    key: NodeId,
    elem: NodeId,
    left: bool,
}

impl<'de> de::MapAccess<'de> for Entry<'_> {
    type Error = Error;

    fn next_key_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        if !std::mem::take(&mut self.left) {
            return Ok(None);
        }
        seed.deserialize(Tracer { trace: self.trace, node: &mut self.key }).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(Tracer { trace: self.trace, node: &mut self.elem })
    }
}

/// The fields of a struct.
struct Fields<'t> {
    given: Vec<&'static str>,
    /// Of each that was given.
    nodes: Vec<NodeId>,
    trace: &'t mut Trace,
}

impl<'de> de::MapAccess<'de> for Fields<'_> {
    type Error = Error;

    fn next_key_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some(name) = self.given.get(self.nodes.len()) else { return Ok(None) };
        if let Some(open) = self.trace.open.last_mut() {
            open.field = name;
        }
        seed.deserialize((*name).into_deserializer()).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        let mut node = BOOL;
        let value = seed.deserialize(Tracer { trace: self.trace, node: &mut node })?;
        self.nodes.push(node);
        Ok(value)
    }
}

/// A byte is an unsigned number, except in a sequence.
pub(super) fn plain(node: NodeId) -> NodeId {
    if node == BYTE { UINT } else { node }
}

// Values that types with something against zero may like.
const INTS: &[i32] = &[0, 1, 2, 10, 100, -1];
const UINTS: &[u32] = &[0, 1, 2, 10, 100];
const FLOATS: &[f32] = &[0.0, 1.0, 0.5, 10.0, -1.0];
const LENGTHS: &[usize] = &[0, 16, 4, 8, 32, 12, 20, 24, 64, 1];
const TEXTS: &[&str] = &[
    "",
    "a",
    "1",
    "a@b.example",
    "http://a.example/",
    "1970-01-01T00:00:00Z",
    "1970-01-01",
    "00:00:00",
    "127.0.0.1",
    "127.0.0.1:1",
    "00000000-0000-0000-0000-000000000000",
    "1.0.0",
];

const WIDE: &str = "gob has no integers of 128 bits: use gob::BigInt, or two integers";
