//! What a type is made of, in an order in which it can be described once and for all.

use rustc_hash::FxHashMap;

use super::{TypeId, Types};

/// The types that a type is made of, and the type itself, in groups: types that are part of each other are one.
/// Most groups have one type, which is not part of itself. What a group is made of stands before it, and the
/// order within depends only on how its types are made.
///
/// Types that have a number everywhere are in no group, and neither is what `skip` takes, nor what only that
/// is made of.
///
/// This is Tarjan's algorithm for strongly connected components. It goes without recursion, as a peer decides
/// how deep types are.
///
/// # Errors
///
/// Of all these types this one is not defined.
pub(super) fn groups(
    types: &Types,
    root: TypeId,
    mut skip: impl FnMut(TypeId) -> bool,
) -> Result<Vec<Vec<TypeId>>, TypeId> {
    let mut groups = Vec::new();
    let mut search = Search::default();
    search.enter(types, root)?;
    while let Some(top) = search.path.last_mut() {
        let id = top.id;
        if let Some(inner) = top.left.pop() {
            if inner.is_built_in() {
                types.get(inner).ok_or(inner)?;
            } else if let Some(seen) = search.seen.get(&inner) {
                if seen.is_open {
                    top.low = top.low.min(seen.order);
                }
            } else if !skip(inner) {
                search.enter(types, inner)?;
            }
            continue;
        }
        let low = top.low;
        search.path.pop();
        if let Some(outer) = search.path.last_mut() {
            outer.low = outer.low.min(low);
        }
        if search.seen[&id].order == low {
            groups.push(search.close(id));
        }
    }
    Ok(groups)
}

/// How far a search through types has come.
#[derive(Debug, Default)]
struct Search {
    seen: FxHashMap<TypeId, Seen>,
    /// From the root to where the search is.
    path: Vec<Step>,
    /// Those whose group is not complete, in the order in which they were met.
    open: Vec<TypeId>,
}

#[derive(Debug)]
struct Seen {
    order: usize,
    is_open: bool,
}

#[derive(Debug)]
struct Step {
    id: TypeId,
    /// The parts that were not looked at, the first one last.
    left: Vec<TypeId>,
    /// The first type met that is known to be in the same group.
    low: usize,
}

impl Search {
    fn enter(&mut self, types: &Types, id: TypeId) -> Result<(), TypeId> {
        let order = self.seen.len();
        let mut left: Vec<_> = types.get(id).ok_or(id)?.inner().collect();
        left.reverse();
        self.seen.insert(id, Seen { order, is_open: true });
        self.path.push(Step { id, left, low: order });
        self.open.push(id);
        Ok(())
    }

    /// The group that begins with this type, which is complete.
    fn close(&mut self, first: TypeId) -> Vec<TypeId> {
        let start = self.open.iter().rposition(|open| *open == first).unwrap_or(0);
        let group = self.open.split_off(start);
        for id in &group {
            if let Some(seen) = self.seen.get_mut(id) {
                seen.is_open = false;
            }
        }
        group
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gob::Type;

    fn list(elem: TypeId) -> Type {
        Type::Slice { name: Box::default(), elem }
    }

    fn map(key: TypeId, elem: TypeId) -> Type {
        Type::Map { name: Box::default(), key, elem }
    }

    #[test]
    fn parts_come_before_what_they_are_part_of() {
        let mut types = Types::new();
        let inner = types.add(list(TypeId::INT));
        let middle = types.add(map(TypeId::STRING, inner));
        let root = types.add(map(inner, middle));
        assert_eq!(
            groups(&types, root, |_| false),
            Ok(vec![vec![inner], vec![middle], vec![root]])
        );
        assert_eq!(groups(&types, root, |id| id == inner), Ok(vec![vec![middle], vec![root]]));
    }

    #[test]
    fn types_that_are_part_of_each_other_are_one_group() {
        let mut types = Types::new();
        let (one, other) = (types.reserve(), types.reserve());
        let inner = types.add(list(TypeId::INT));
        assert!(types.define(one, map(inner, other)));
        assert!(types.define(other, map(one, inner)));
        let itself = types.reserve();
        assert!(types.define(itself, map(itself, one)));
        let expected = vec![vec![inner], vec![one, other], vec![itself]];
        assert_eq!(groups(&types, itself, |_| false), Ok(expected));
    }

    #[test]
    fn what_is_not_defined_is_told() {
        let mut types = Types::new();
        let missing = types.reserve();
        let inner = types.add(list(missing));
        let root = types.add(map(TypeId::INT, inner));
        assert_eq!(groups(&types, root, |_| false), Err(missing));
        assert_eq!(groups(&types, missing, |_| false), Err(missing));
        let odd = types.add(list(TypeId(20)));
        assert_eq!(groups(&types, odd, |_| false), Err(TypeId(20)));
    }
}
