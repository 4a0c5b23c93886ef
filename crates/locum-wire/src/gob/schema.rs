//! What a Rust type looks like in gob.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::de::DeserializeOwned;

use super::{OpaqueKind, TypeId, Types, trace};

/// What a Rust type looks like in gob.
///
/// Structs, sequences, maps, arrays, numbers, strings and bytes are what they are in Go. An `Option` is a
/// pointer, and so is a `Box`: what they hold is sent, or nothing. A field is called as it is in Go:
/// `user_id` is `UserId`, unless `#[serde(rename = "UserID")]` says otherwise.
///
/// Gob leaves zeros out. So `Some(0)` is read as `None` where it stands in a struct.
#[derive(Debug)]
pub struct Schema {
    /// As streams define it.
    pub(super) types: Types,
    /// Its number there.
    pub(super) id: TypeId,
    // Invariant: references between nodes, and `root`, are indices of `nodes`.
    nodes: Box<[Node]>,
    root: NodeId,
    slot: OnceLock<usize>,
}

/// A Rust type has what gob has not. The text says what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaError(pub String);

impl Schema {
    /// Finds out what `T` looks like, by reading one whose values are all zero.
    ///
    /// # Errors
    ///
    /// `T` has something that gob has not: enums, tuples of different types, integers of 128 bits, or it takes
    /// whatever comes. Or it refuses every value that was tried.
    pub fn trace<T: DeserializeOwned>() -> Result<Self, SchemaError> {
        trace::trace::<T>()
    }

    pub(super) fn new(types: Types, id: TypeId, nodes: Box<[Node]>, root: NodeId) -> Self {
        Self { types, id, nodes, root, slot: OnceLock::new() }
    }

    pub(super) fn root(&self) -> &Node {
        self.node(self.root)
    }

    #[inline]
    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }

    /// A small number that no other schema has, given at the first use: where a stream keeps what it knows
    /// of this schema.
    #[inline]
    pub(super) fn slot(&self) -> usize {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        *self.slot.get_or_init(|| NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Where in a schema a [`Node`] is.
pub(super) type NodeId = usize;

/// A part of a schema, as writing walks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Bool,
    Int,
    Uint,
    Float,
    /// An element of [`Bytes`](Self::Bytes); elsewhere a byte is a [`Uint`](Self::Uint).
    Byte,
    Bytes,
    String,
    Complex,
    Interface,
    Array {
        elem: NodeId,
        len: usize,
    },
    Slice {
        elem: NodeId,
    },
    Map {
        key: NodeId,
        elem: NodeId,
    },
    Struct {
        name: &'static str,
        fields: Vec<Field>,
    },
    Opaque {
        name: &'static str,
        kind: OpaqueKind,
    },
}

impl Node {
    /// For messages.
    pub(super) fn kind(&self) -> &str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint | Self::Byte => "uint",
            Self::Float => "float",
            Self::Bytes => "[]byte",
            Self::String => "string",
            Self::Complex => "complex",
            Self::Interface => "interface",
            Self::Array { .. } => "an array",
            Self::Slice { .. } => "a slice",
            Self::Map { .. } => "a map",
            Self::Struct { name: "", .. } => "an empty struct",
            Self::Struct { name, .. } | Self::Opaque { name, .. } => name,
        }
    }

    /// Whether it is written at the top without a zero before it.
    pub(super) fn is_struct(&self) -> bool {
        matches!(self, Self::Struct { .. })
    }
}

/// A field of a [`Node::Struct`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// As serde calls it.
    pub(super) name: &'static str,
    pub(super) node: NodeId,
}

impl Field {
    /// Whether it is called so. Most often the two names are the same in memory too, which is known at once.
    #[inline]
    pub(super) fn is(&self, name: &'static str) -> bool {
        std::ptr::eq(self.name, name) || self.name == name
    }
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SchemaError {}
