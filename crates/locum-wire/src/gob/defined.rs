//! What a stream has defined so far.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::num::int;
use super::{Corrupt, Type, TypeId, Types, wire_type};
use crate::rpc::{Fatal, Limits};

/// The types of a stream, and which of them hold interfaces.
#[derive(Debug)]
pub(super) struct Defined {
    pub(super) types: Arc<Types>,
    /// By the index of the type.
    kinds: Vec<Kind>,
    /// The types that have a type in them, by that; only of those without interfaces.
    outer: FxHashMap<TypeId, Vec<TypeId>>,
    most_types: usize,
    most_fields: usize,
    /// How many bytes definitions may still have: they stay as long as the stream does.
    room: usize,
}

/// What has to be known of a type to find a value's end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    /// Whether it is a struct: no zero stands before it.
    pub(super) is_struct: bool,
    /// Whether there may be an interface in it, however deep, so that definitions may be too.
    pub(super) has_interface: bool,
}

impl Defined {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            types: Arc::new(Types::with_limits(limits)),
            kinds: Vec::new(),
            outer: FxHashMap::default(),
            most_types: limits.types.min(Types::MOST),
            most_fields: limits.fields,
            room: limits.definitions,
        }
    }

    /// Reads a definition's description, which follows the negative number `id`.
    pub(super) fn define(&mut self, id: i64, input: &mut &[u8]) -> Result<(), Fatal> {
        let id = id
            .checked_neg()
            .and_then(TypeId::from_wire)
            .filter(|id| id.0 >= TypeId::FIRST && self.types.index(*id).is_none())
            .ok_or_else(|| Fatal("gob: duplicate type received".to_owned()))?;
        if self.types.len() >= self.most_types {
            return Err(Fatal(format!("gob: more than {} types in a stream", self.most_types)));
        }
        let before = input.len();
        let described = wire_type::read(input, self.most_fields).map_err(fatal)?;
        self.room = self
            .room
            .checked_sub(before - input.len())
            .ok_or_else(|| Fatal("gob: definitions take too much memory".to_owned()))?;
        self.kinds.push(Kind { is_struct: described.is_struct(), has_interface: false });
        let holds = described.inner().any(|inner| self.has_interface(inner));
        if !holds {
            for inner in described.inner().filter(|inner| inner.0 >= TypeId::FIRST) {
                self.outer.entry(inner).or_default().push(id);
            }
        }
        let defined = Types::extend(&mut self.types, id, described);
        debug_assert!(defined, "checked above");
        if holds {
            self.mark(id);
        }
        Ok(())
    }

    /// Whether more than half of what may be defined is.
    pub(super) fn is_worn(&self, limits: &Limits) -> bool {
        self.types.len() > self.most_types / 2 || self.room < limits.definitions / 2
    }

    #[inline]
    pub(super) fn kind(&self, id: TypeId) -> Option<Kind> {
        match id.0 {
            1..=7 => Some(Kind { is_struct: false, has_interface: false }),
            8 => Some(Kind { is_struct: false, has_interface: true }),
            _ => self.kinds.get(self.types.index(id)?).copied(),
        }
    }

    pub(super) fn get(&self, id: TypeId) -> Result<&Type, Corrupt> {
        self.types.get(id).ok_or(Corrupt::UnknownType)
    }

    fn has_interface(&self, id: TypeId) -> bool {
        self.kind(id).is_some_and(|kind| kind.has_interface)
    }

    /// The type holds interfaces; so do all that have it in them. Over the life of a stream each reference
    /// from type to type is followed once.
    fn mark(&mut self, id: TypeId) {
        let mut marked = vec![id];
        while let Some(id) = marked.pop() {
            let Some(kind) = self.types.index(id).and_then(|index| self.kinds.get_mut(index))
            else {
                continue;
            };
            kind.has_interface = true;
            marked.extend(self.outer.remove(&id).unwrap_or_default());
        }
    }
}

/// The number before a value, or before a definition, which is negative.
pub(super) fn number(input: &mut &[u8]) -> Result<i64, Fatal> {
    int(input).map_err(fatal)
}

pub(super) fn fatal(corrupt: Corrupt) -> Fatal {
    Fatal(corrupt.to_string())
}
