//! Finds out what a Rust type looks like: reads one, and writes down what it asks for.
//!
//! The type gets zeros, one element in each sequence and map, and something in each `Option`. What goes
//! wrong teaches, and the next run begins from the start: a value that is refused gives way to the next
//! candidate, and a type that meets itself is stopped at the `Option`, sequence or map that it was met in.

use std::any::type_name;

use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};

use super::error::{Error, Kind};
use super::magic::Magic;
use super::schema::{Field, Node, NodeId};
use super::zero::Zero;
use super::{Schema, SchemaError, Type, TypeId, Types, spelling};

pub(super) fn trace<T: DeserializeOwned>() -> Result<Schema, SchemaError> {
    let mut trace = Trace::new();
    loop {
        let mut root = BOOL;
        match T::deserialize(Tracer { trace: &mut trace, node: &mut root }) {
            Ok(_) => return trace.finish(plain(root)),
            Err(error) => trace.learn(&error).map_err(|text| {
                SchemaError(format!("{text} (in `{}`, as gob sees it)", type_name::<T>()))
            })?,
        }
    }
}

/// What is known so far.
struct Trace {
    nodes: Vec<Node>,
    structs: Vec<Struct>,
    /// What to do at each value and container, in the order in which they are met.
    choices: Vec<Choice>,
    /// How many of them were met in this run.
    met: usize,
    /// Those of the containers that this run is inside of.
    containers: Vec<usize>,
    /// The structs that this run is inside of, and the field of each.
    open: Vec<Open>,
    /// The last value that was given, and whether there is another candidate for it.
    last: Option<(usize, bool)>,
    /// A type met itself inside of that container.
    recursion: Option<(usize, NodeId)>,
    /// Why there is no way on.
    refused: Option<String>,
    runs: usize,
}

/// A struct of Rust's.
struct Struct {
    type_name: &'static str,
    fields: &'static [&'static str],
    /// Those that are no aliases, as far as is known, in the order in which they are given.
    given: Vec<&'static str>,
    node: NodeId,
}

#[derive(Clone, Copy)]
enum Choice {
    /// The value is this candidate, or the container is entered.
    Nth(usize),
    /// The container is not entered, since it is known to be this.
    Stop(NodeId),
}

struct Open {
    node: NodeId,
    name: &'static str,
    field: &'static str,
    /// How many containers were open when it was.
    containers: usize,
}

impl Trace {
    fn new() -> Self {
        use Node::{Bool, Byte, Bytes, Complex, Float, Int, Interface, String, Uint};
        Self {
            nodes: vec![Bool, Int, Uint, Float, Bytes, String, Complex, Interface, Byte],
            structs: Vec::new(),
            choices: Vec::new(),
            met: 0,
            containers: Vec::new(),
            open: Vec::new(),
            last: None,
            recursion: None,
            refused: None,
            runs: 0,
        }
    }

    /// Makes ready for another run, if the last has taught something.
    fn learn(&mut self, error: &Error) -> Result<(), String> {
        if let Some(text) = self.refused.take() {
            return Err(text);
        }
        if *error.kind() != Kind::Again {
            self.next_candidate().ok_or_else(|| {
                format!("{error}; it refuses every value that was tried to find out what it is")
            })?;
        }
        self.runs += 1;
        if self.runs > MOST_RUNS {
            return Err("it takes too long to find out what it is".to_owned());
        }
        self.met = 0;
        self.containers.clear();
        self.open.clear();
        self.last = None;
        Ok(())
    }

    /// The value given last is most likely what displeased.
    fn next_candidate(&mut self) -> Option<()> {
        let (at, true) = self.last? else { return None };
        self.choices.truncate(at + 1);
        let Some(Choice::Nth(nth)) = self.choices.last_mut() else { return None };
        *nth += 1;
        Some(())
    }

    fn choose(&mut self) -> Result<(usize, Choice), Error> {
        let at = self.met;
        if at >= MOST_VALUES {
            return Err(self.refuse("it has too many parts"));
        }
        if at == self.choices.len() {
            self.choices.push(Choice::Nth(0));
        }
        self.met += 1;
        Ok((at, self.choices[at]))
    }

    fn candidate<T: Copy>(&mut self, candidates: &[T]) -> Result<T, Error> {
        let (at, choice) = self.choose()?;
        let nth = match choice {
            Choice::Nth(nth) => nth,
            // Only where a type reads differently in each run.
            Choice::Stop(_) => return Err(Error::new(Kind::Again)),
        };
        self.last = Some((at, nth + 1 < candidates.len()));
        candidates.get(nth).copied().ok_or_else(|| Error::new(Kind::Again))
    }

    #[cold]
    fn refuse(&mut self, why: impl Into<String>) -> Error {
        let why = why.into();
        let text = match self.open.last() {
            Some(open) => format!("field `{}` of `{}`: {why}", open.field, open.name),
            None => why,
        };
        self.refused.get_or_insert_with(|| text.clone());
        Error::text(text)
    }

    /// What the inside of the container `at` came to. A type that met itself there stops there from now on.
    fn leave<T>(
        &mut self,
        at: usize,
        result: Result<T, Error>,
        whole: impl FnOnce(&mut Self, NodeId) -> NodeId,
    ) -> Result<T, Error> {
        self.containers.pop();
        match self.recursion {
            Some((container, id)) if container == at && result.is_err() => {
                self.recursion = None;
                let node = whole(self, id);
                self.choices.truncate(at);
                self.choices.push(Choice::Stop(node));
                Err(Error::new(Kind::Again))
            }
            _ => result,
        }
    }

    fn intern(&mut self, node: Node) -> NodeId {
        self.nodes.iter().position(|it| *it == node).unwrap_or_else(|| {
            self.nodes.push(node);
            self.nodes.len() - 1
        })
    }

    fn slice(&mut self, elem: NodeId) -> NodeId {
        if elem == BYTE { BYTES } else { self.intern(Node::Slice { elem }) }
    }

    /// Where in `structs` this one is.
    fn the_struct(
        &mut self,
        type_name: &'static str,
        name: &'static str,
        fields: &'static [&'static str],
    ) -> usize {
        let known = |it: &Struct| it.type_name == type_name && it.fields == fields;
        self.structs.iter().position(known).unwrap_or_else(|| {
            // Not interned: the types of its fields are still to come.
            let node = self.nodes.len();
            self.nodes.push(Node::Struct { name, fields: Vec::new() });
            self.structs.push(Struct { type_name, fields, given: fields.to_vec(), node });
            self.structs.len() - 1
        })
    }

    /// A field was given twice, the second time as `last`: one of the two names is an alias.
    fn alias(&mut self, at: usize, first_name: &'static str, last: &'static str) -> Error {
        let given = &mut self.structs[at].given;
        if last != first_name {
            given.retain(|it| *it != last);
        } else if given.first() != Some(&first_name) {
            // The alias was given before. The next time it is not.
            given.retain(|it| *it != first_name);
            given.insert(0, first_name);
        } else {
            return self.refuse(format!("field `{last}` cannot be read"));
        }
        Error::new(Kind::Again)
    }

    fn finish(self, root: NodeId) -> Result<Schema, SchemaError> {
        let mut described = Described {
            ids: vec![None; self.nodes.len()],
            nodes: &self.nodes,
            types: Types::new(),
        };
        let id = described.describe(root)?;
        let types = described.types;
        Ok(Schema::new(types, id, self.nodes.into_boxed_slice(), root))
    }
}

/// The types as a stream defines them.
struct Described<'a> {
    ids: Vec<Option<TypeId>>,
    nodes: &'a [Node],
    types: Types,
}

impl Described<'_> {
    fn describe(&mut self, node: NodeId) -> Result<TypeId, SchemaError> {
        let name = Box::default;
        let built_in = match &self.nodes[node] {
            Node::Bool => TypeId::BOOL,
            Node::Int => TypeId::INT,
            Node::Uint | Node::Byte => TypeId::UINT,
            Node::Float => TypeId::FLOAT,
            Node::Bytes => TypeId::BYTES,
            Node::String => TypeId::STRING,
            Node::Complex => TypeId::COMPLEX,
            Node::Interface => TypeId::INTERFACE,
            made => {
                if let Some(id) = self.ids[node] {
                    return Ok(id);
                }
                if self.types.len() + 1 >= Types::MOST {
                    return Err(SchemaError("it is made of too many types".to_owned()));
                }
                let id = self.types.reserve();
                self.ids[node] = Some(id);
                let kind = match made {
                    Node::Array { elem, len } => {
                        Type::Array { name: name(), elem: self.describe(*elem)?, len: *len as u64 }
                    }
                    Node::Slice { elem } => {
                        Type::Slice { name: name(), elem: self.describe(*elem)? }
                    }
                    Node::Map { key, elem } => Type::Map {
                        name: name(),
                        key: self.describe(*key)?,
                        elem: self.describe(*elem)?,
                    },
                    Node::Opaque { name, kind } => {
                        Type::Opaque { name: (*name).into(), kind: *kind }
                    }
                    Node::Struct { name, fields } => {
                        Type::Struct { name: (*name).into(), fields: self.fields(name, fields)? }
                    }
                    _ => unreachable!("those that are built in have gone"),
                };
                let defined = self.types.define(id, kind);
                debug_assert!(defined, "the number was just reserved");
                id
            }
        };
        Ok(built_in)
    }

    fn fields(&mut self, of: &str, fields: &[Field]) -> Result<Box<[super::Field]>, SchemaError> {
        let mut described = Vec::<super::Field>::with_capacity(fields.len());
        for field in fields {
            let name = spelling::go(field.name);
            if name.is_empty() || described.iter().any(|it| *it.name == *name) {
                return Err(SchemaError(format!(
                    "field `{}` of `{of}` would be called `{name}` in gob, which \
                     {}; give it another name by #[serde(rename = \"…\")]",
                    field.name,
                    if name.is_empty() { "is no name" } else { "another field is" },
                )));
            }
            described.push(super::Field { name: name.into(), id: self.describe(field.node)? });
        }
        Ok(described.into_boxed_slice())
    }
}

/// Reads a value for a type, and writes down what it is.
struct Tracer<'t> {
    trace: &'t mut Trace,
    node: &'t mut NodeId,
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
fn plain(node: NodeId) -> NodeId {
    if node == BYTE { UINT } else { node }
}

// The first nodes of every trace.
const BOOL: NodeId = 0;
const INT: NodeId = 1;
const UINT: NodeId = 2;
const FLOAT: NodeId = 3;
const BYTES: NodeId = 4;
const STRING: NodeId = 5;
const COMPLEX: NodeId = 6;
const INTERFACE: NodeId = 7;
/// An unsigned number of one byte: a sequence of them is bytes.
const BYTE: NodeId = 8;

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

const MOST_VALUES: usize = 1 << 20;
const MOST_RUNS: usize = 4096;
