//! Types as gob describes them.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustc_hash::FxHashMap;

use super::TypeId;
use super::plan::Plans;
use crate::rpc::Limits;

/// A type. What it is made of is named by [`TypeId`]s of the same [`Types`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// True or false.
    Bool,
    /// A signed integer of up to 64 bits.
    Int,
    /// An unsigned integer of up to 64 bits.
    Uint,
    /// A float of 64 bits.
    Float,
    /// Bytes: Go's `[]byte`.
    Bytes,
    /// Bytes that mostly are UTF-8.
    String,
    /// Two floats.
    Complex,
    /// Nothing, or a value that brings its type along.
    Interface,
    /// As many values of one type as the type says.
    Array {
        /// What Go calls it; most often nothing.
        name: Box<str>,
        /// The type of each.
        elem: TypeId,
        /// How many.
        len: u64,
    },
    /// Any number of values of one type.
    Slice {
        /// What Go calls it; most often nothing.
        name: Box<str>,
        /// The type of each.
        elem: TypeId,
    },
    /// Keys and values.
    Map {
        /// What Go calls it; most often nothing.
        name: Box<str>,
        /// The type of each key.
        key: TypeId,
        /// The type of each value.
        elem: TypeId,
    },
    /// Named fields.
    Struct {
        /// What Go calls it, without its package.
        name: Box<str>,
        /// In the order of their numbers.
        fields: Box<[Field]>,
    },
    /// Bytes that only the type itself can read.
    Opaque {
        /// What Go calls it, without its package.
        name: Box<str>,
        /// How it makes them.
        kind: OpaqueKind,
    },
}

/// A field of a [`Type::Struct`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Field {
    /// As the peer spells it.
    pub name: Box<str>,
    /// What it holds.
    pub id: TypeId,
}

/// Which of Go's interfaces a [`Type::Opaque`] implements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OpaqueKind {
    /// `gob.GobEncoder`.
    GobEncoder,
    /// `encoding.BinaryMarshaler`.
    BinaryMarshaler,
    /// `encoding.TextMarshaler`; Go reads it but does not write it.
    TextMarshaler,
}

impl Type {
    /// What Go calls it; empty where it has no name.
    pub fn name(&self) -> &str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Float => "float",
            Self::Bytes => "bytes",
            Self::String => "string",
            Self::Complex => "complex",
            Self::Interface => "interface",
            Self::Array { name, .. }
            | Self::Slice { name, .. }
            | Self::Map { name, .. }
            | Self::Struct { name, .. }
            | Self::Opaque { name, .. } => name,
        }
    }

    /// Whether it is written at the top, and in interfaces, without a zero before it.
    pub(crate) fn is_struct(&self) -> bool {
        matches!(self, Self::Struct { .. })
    }

    /// The types that it is made of, in the order in which they are described.
    pub fn inner(&self) -> impl Iterator<Item = TypeId> {
        let (key, elem, fields) = match self {
            Self::Array { elem, .. } | Self::Slice { elem, .. } => (None, Some(*elem), &[][..]),
            Self::Map { key, elem, .. } => (Some(*key), Some(*elem), &[][..]),
            Self::Struct { fields, .. } => (None, None, &fields[..]),
            _ => (None, None, &[][..]),
        };
        key.into_iter().chain(elem).chain(fields.iter().map(|field| field.id))
    }

    /// How many bytes its description has, about.
    pub(crate) fn weight(&self) -> usize {
        let Self::Struct { name, fields } = self else { return 16 + self.name().len() };
        16 + name.len() + fields.iter().map(|field| 8 + field.name.len()).sum::<usize>()
    }

    /// Hashes all but the numbers of the types that it is made of.
    pub(crate) fn hash_like(&self, state: &mut impl Hasher) {
        std::mem::discriminant(self).hash(state);
        self.name().hash(state);
        match self {
            Self::Array { len, .. } => len.hash(state),
            Self::Struct { fields, .. } => fields.iter().for_each(|field| field.name.hash(state)),
            Self::Opaque { kind, .. } => kind.hash(state),
            _ => {}
        }
    }

    /// Whether they are the same but for the numbers of the types that they are made of.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Array { name, len, .. }, Self::Array { name: same, len: as_many, .. }) => {
                name == same && len == as_many
            }
            (Self::Slice { name, .. }, Self::Slice { name: same, .. })
            | (Self::Map { name, .. }, Self::Map { name: same, .. }) => name == same,
            (Self::Struct { name, fields }, Self::Struct { name: same, fields: others }) => {
                let names = fields.iter().map(|field| &field.name);
                name == same && names.eq(others.iter().map(|field| &field.name))
            }
            _ => self == other,
        }
    }

    /// The same, each replaced by what `map` makes of it.
    pub(crate) fn map_inner(&self, mut map: impl FnMut(TypeId) -> TypeId) -> Self {
        let mut mapped = self.clone();
        match &mut mapped {
            Self::Array { elem, .. } | Self::Slice { elem, .. } => *elem = map(*elem),
            Self::Map { key, elem, .. } => {
                *key = map(*key);
                *elem = map(*elem);
            }
            Self::Struct { fields, .. } => fields.iter_mut().for_each(|it| it.id = map(it.id)),
            _ => {}
        }
        mapped
    }
}

/// Types by their numbers: what a stream has defined, or what somebody put together.
///
/// Cheap to clone. Types are only ever added, so a value's type means the same in all that it is found in.
#[derive(Debug)]
pub struct Types {
    /// What is known of a type can be kept under it and the type's number, as long as somebody has it.
    ///
    /// Invariant: all that have the same agree on every number that they define, though some define more.
    serial: Arc<u64>,
    defined: Vec<Arc<Defined>>,
    /// What values of these types may be.
    limits: Limits,
    /// For each number from [`TypeId::FIRST`] on, one more than its index in `defined`, or 0.
    near: Vec<u16>,
    /// The same for numbers too large for that: Go's jump, by as many types as the process has.
    far: FxHashMap<i32, u16>,
    next: i32,
}

#[derive(Debug)]
struct Defined {
    kind: Type,
    /// How it becomes structs of Rust's.
    plans: Plans,
}

impl Types {
    /// None but those that have a number everywhere.
    pub fn new() -> Self {
        Self::with_limits(&Limits::default())
    }

    /// The same, for values within these limits.
    pub(crate) fn with_limits(limits: &Limits) -> Self {
        Self {
            serial: serial(),
            defined: Vec::new(),
            limits: *limits,
            near: Vec::new(),
            far: FxHashMap::default(),
            next: TypeId::FIRST + 1,
        }
    }

    /// The type with this number.
    #[inline]
    pub fn get(&self, id: TypeId) -> Option<&Type> {
        match id.0 {
            1..=8 => Some(&BUILT_IN[id.0 as usize - 1]),
            _ => self.index(id).map(|index| &self.defined[index].kind),
        }
    }

    /// Adds a type, under a number that nothing has yet.
    ///
    /// # Panics
    ///
    /// There are [`MOST`](Self::MOST) already.
    pub fn add(&mut self, kind: Type) -> TypeId {
        let id = self.reserve();
        assert!(self.define(id, kind), "a number just given, and room");
        id
    }

    /// A number for a type that is [defined](Self::define) later: one that is part of itself.
    pub fn reserve(&mut self) -> TypeId {
        loop {
            let id = TypeId(self.next);
            self.next = self.next.checked_add(1).unwrap_or(TypeId::FIRST + 1);
            if self.index(id).is_none() {
                return id;
            }
        }
    }

    /// Says what a number stands for. Tells whether it could be said: it was free, and is none of the numbers
    /// that mean the same everywhere, and there are fewer than [`MOST`](Self::MOST).
    #[must_use]
    pub fn define(&mut self, id: TypeId, kind: Type) -> bool {
        if Arc::get_mut(&mut self.serial).is_none() {
            self.serial = serial();
        }
        self.push(id, kind)
    }

    /// The same for a stream, which alone goes on to define types under this serial: whoever holds what it
    /// has defined so far keeps that, and what is known of a type stays known.
    #[must_use]
    pub(super) fn extend(this: &mut Arc<Self>, id: TypeId, kind: Type) -> bool {
        if Arc::get_mut(this).is_none() {
            *this = Arc::new(Self { serial: Arc::clone(&this.serial), ..Self::clone(this) });
        }
        Arc::get_mut(this).is_some_and(|types| types.push(id, kind))
    }

    fn push(&mut self, id: TypeId, kind: Type) -> bool {
        if id.0 < TypeId::FIRST || self.index(id).is_some() || self.defined.len() >= Self::MOST {
            return false;
        }
        self.defined.push(Arc::new(Defined { kind, plans: Plans::default() }));
        let index = self.defined.len() as u16;
        match (id.0 - TypeId::FIRST) as usize {
            near @ 0..NEAR => {
                if self.near.len() <= near {
                    self.near.resize(near + 1, 0);
                }
                self.near[near] = index;
            }
            _ => {
                self.far.insert(id.0, index);
            }
        }
        self.next = self.next.max(id.0.saturating_add(1));
        true
    }

    /// How many types it can hold.
    pub const MOST: usize = u16::MAX as usize;

    /// How many there are.
    pub fn len(&self) -> usize {
        self.defined.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.defined.is_empty()
    }

    pub(crate) fn serial(&self) -> &Arc<u64> {
        &self.serial
    }

    /// How values of this type become structs of Rust's.
    #[inline]
    pub(super) fn plans(&self, id: TypeId) -> Option<&Plans> {
        self.index(id).map(|index| &self.defined[index].plans)
    }

    /// What values of these types may be.
    #[inline]
    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Where among those defined it stands: from 0, in the order of definition.
    #[inline]
    pub(crate) fn index(&self, id: TypeId) -> Option<usize> {
        let index = match usize::try_from(id.0 - TypeId::FIRST).ok()? {
            near @ 0..NEAR => *self.near.get(near)?,
            _ => *self.far.get(&id.0)?,
        };
        usize::from(index).checked_sub(1)
    }
}

impl Default for Types {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for Types {
    /// With a serial of its own: each may go on to define the same number in its own way.
    fn clone(&self) -> Self {
        Self {
            serial: serial(),
            defined: self.defined.clone(),
            limits: self.limits,
            near: self.near.clone(),
            far: self.far.clone(),
            next: self.next,
        }
    }
}

fn serial() -> Arc<u64> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    Arc::new(NEXT.fetch_add(1, Ordering::Relaxed))
}

/// How many numbers are found by indexing.
const NEAR: usize = 4096;

static BUILT_IN: [Type; 8] = [
    Type::Bool,
    Type::Int,
    Type::Uint,
    Type::Float,
    Type::Bytes,
    Type::String,
    Type::Complex,
    Type::Interface,
];
