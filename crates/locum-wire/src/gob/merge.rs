//! What two looks of a type come to.

use rustc_hash::FxHashMap;

use super::{Described, Field, Type, TypeId, Types};

impl Described {
    /// This type as far as `newer`, a later look of it, leaves it: fields that only one has are kept, also in what
    /// it is made of; where the two contradict each other the newer is right. The fields stand in the order of the one
    /// that has all of them, or else in this one's, before those that are new.
    ///
    /// `None`: that is more than a stream may define.
    ///
    /// ```
    /// use locum_wire::gob::{Described, Field, Type, TypeId, Types};
    /// let args = |names: &[&str]| {
    ///     let field = |name: &&str| Field { name: (*name).into(), id: TypeId::INT };
    ///     let mut types = Types::new();
    ///     let fields = names.iter().map(field).collect();
    ///     let id = types.add(Type::Struct { name: "Args".into(), fields });
    ///     Described::of(&types, id).unwrap()
    /// };
    /// let merged = args(&["A", "B"]).merged(&args(&["C", "A"])).unwrap();
    /// let expected = args(&["A", "B", "C"]);
    /// assert!(merged.is(&expected.types, expected.id));
    /// ```
    pub fn merged(&self, newer: &Self) -> Option<Self> {
        let mut merger = Merger {
            old: &self.types,
            new: &newer.types,
            merged: Types::new(),
            numbers: FxHashMap::default(),
            left: Vec::new(),
        };
        let id = merger.number(Looks { old: Some(self.id), new: Some(newer.id) });
        while let Some((looks, id)) = merger.left.pop() {
            let merged = merger.merge(looks)?;
            if merger.merged.len() >= MOST || !merger.merged.define(id, merged) {
                return None;
            }
        }
        Self::of(&merger.merged, id)
    }
}

/// A type in the one, the other, or both.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Looks {
    old: Option<TypeId>,
    new: Option<TypeId>,
}

struct Merger<'a> {
    old: &'a Types,
    new: &'a Types,
    merged: Types,
    /// What the merged types are called; each is made once, since types may be part of themselves.
    numbers: FxHashMap<Looks, TypeId>,
    /// Those that are still to be made.
    left: Vec<(Looks, TypeId)>,
}

impl Merger<'_> {
    /// The number of what becomes of a type.
    fn number(&mut self, looks: Looks) -> TypeId {
        if let Some(id) = looks.new.or(looks.old).filter(|id| id.is_built_in()) {
            return id;
        }
        if let Some(id) = self.numbers.get(&looks) {
            return *id;
        }
        let id = self.merged.reserve();
        self.numbers.insert(looks, id);
        self.left.push((looks, id));
        id
    }

    fn merge(&mut self, looks: Looks) -> Option<Type> {
        let (old, new) = (self.old, self.new);
        let old = looks.old.and_then(|id| old.get(id));
        let new = looks.new.and_then(|id| new.get(id));
        Some(match (old, new) {
            (
                Some(Type::Struct { name, fields }),
                Some(Type::Struct { name: newer, fields: new }),
            ) => {
                let covers = fields.iter().all(|it| position(new, it).is_some());
                let name = if covers { newer } else { name };
                Type::Struct { name: name.clone(), fields: self.fields(fields, new, covers) }
            }
            (Some(Type::Slice { elem: old, .. }), Some(Type::Slice { name, elem })) => {
                Type::Slice { name: name.clone(), elem: self.both(*old, *elem) }
            }
            (
                Some(Type::Array { elem: old, len: before, .. }),
                Some(Type::Array { name, elem, len }),
            ) if before == len => {
                Type::Array { name: name.clone(), elem: self.both(*old, *elem), len: *len }
            }
            (Some(Type::Map { key: from, elem: old, .. }), Some(Type::Map { name, key, elem })) => {
                let key = self.both(*from, *key);
                Type::Map { name: name.clone(), key, elem: self.both(*old, *elem) }
            }
            (_, Some(new)) => new.map_inner(|id| self.number(Looks { old: None, new: Some(id) })),
            (old, None) => old?.map_inner(|id| self.number(Looks { old: Some(id), new: None })),
        })
    }

    fn both(&mut self, old: TypeId, new: TypeId) -> TypeId {
        self.number(Looks { old: Some(old), new: Some(new) })
    }

    /// The fields of both, in the order of the newer, which has all of them, or of the older.
    fn fields(&mut self, old: &[Field], new: &[Field], covers: bool) -> Box<[Field]> {
        let find = |fields: &[Field], field| position(fields, field).map(|at| fields[at].id);
        let (first, second) = if covers { (new, &[][..]) } else { (old, new) };
        let second = second.iter().filter(|field| position(old, field).is_none());
        let each = first.iter().chain(second).map(|field| {
            let looks = Looks { old: find(old, field), new: find(new, field) };
            Field { name: field.name.clone(), id: self.number(looks) }
        });
        each.collect()
    }
}

fn position(fields: &[Field], field: &Field) -> Option<usize> {
    fields.iter().position(|it| it.name == field.name)
}

/// As many types as a stream may define.
const MOST: usize = 1024;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn structure(name: &str, fields: &[(&str, TypeId)]) -> Type {
        let field = |(name, id): &(&str, TypeId)| Field { name: (*name).into(), id: *id };
        Type::Struct { name: name.into(), fields: fields.iter().map(field).collect() }
    }

    fn lone(kind: Type) -> Described {
        let mut types = Types::new();
        let id = types.add(kind);
        Described::of(&types, id).unwrap()
    }

    #[track_caller]
    fn merge_to(old: &Described, new: &Described, expected: &Described) {
        let merged = old.merged(new).unwrap();
        assert!(merged.is(&expected.types, expected.id), "{:?}", merged.types);
    }

    #[test]
    fn what_one_knows_is_kept_and_the_newer_is_right() {
        let [int, float, any] = [TypeId::INT, TypeId::FLOAT, TypeId::INTERFACE];
        let rich = lone(structure("Args", &[("A", int), ("B", float)]));
        let poor = lone(structure("Old", &[("B", float)]));
        merge_to(&rich, &poor, &rich);
        merge_to(&poor, &rich, &rich);
        merge_to(&rich, &rich, &rich);
        let other = lone(structure("Args", &[("B", any), ("A", int)]));
        merge_to(&rich, &other, &other);
        let built_in = |id| Described { types: Arc::default(), id };
        for different in [built_in(int), lone(Type::Slice { name: "".into(), elem: int })] {
            merge_to(&rich, &different, &different);
            merge_to(&different, &rich, &rich);
        }
    }

    /// `type NAME struct { Next *NAME; List []struct{ FIELD int }; Map map[string]struct { FIELD int } }`.
    fn deep(fields: &[&str]) -> Described {
        let mut types = Types::new();
        let fields: Vec<_> = fields.iter().map(|name| (*name, TypeId::INT)).collect();
        let inner = types.add(structure("Inner", &fields));
        let list = types.add(Type::Slice { name: "".into(), elem: inner });
        let map = types.add(Type::Map { name: "".into(), key: TypeId::STRING, elem: inner });
        let id = types.reserve();
        let node = structure("Node", &[("Next", id), ("List", list), ("Map", map)]);
        assert!(types.define(id, node));
        Described::of(&types, id).unwrap()
    }

    #[test]
    fn types_are_merged_however_deep_and_though_they_are_part_of_themselves() {
        merge_to(&deep(&["A"]), &deep(&["B"]), &deep(&["A", "B"]));
        merge_to(&deep(&["A", "B"]), &deep(&["B"]), &deep(&["A", "B"]));
    }

    #[test]
    fn what_comes_to_too_many_types_is_given_up() {
        // Rings of 40 and of 41 structs, whose names differ: each of the one meets each of the other.
        let ring = |count: usize| {
            let mut types = Types::new();
            let ids: Vec<_> = (0..count).map(|_| types.reserve()).collect();
            for (at, id) in ids.iter().enumerate() {
                let name = format!("N{at}of{count}");
                let next = ("Next", ids[(at + 1) % count]);
                assert!(types.define(*id, structure(&name, &[next, (&name, TypeId::INT)])));
            }
            Described::of(&types, ids[0]).unwrap()
        };
        assert!(ring(40).merged(&ring(41)).is_none());
        assert!(ring(4).merged(&ring(5)).is_some());
    }
}
