//! One type, taken out of all that a stream has defined.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{Definitions, TypeId, Types};

/// One type, and what says what it is made of.
#[derive(Clone, Debug)]
pub struct Described {
    /// Where the type and its parts stand.
    pub types: Arc<Types>,
    /// The type.
    pub id: TypeId,
}

impl Described {
    /// A copy of a type and of all that it is made of, which keeps nothing else alive. What is made the same
    /// way is there once. `None`: `types` does not define all of it.
    pub fn of(types: &Types, id: TypeId) -> Option<Self> {
        let (types, id) = Definitions::default().closure(types, id).ok()?;
        Some(Self { types: Arc::new(types), id })
    }

    /// Whether a type is this one: called the same, and made the same way of types that are, whatever their
    /// numbers. Each part is looked at once. Only of what [`of`](Self::of) gives this is known for every type.
    ///
    /// ```
    /// use locum_wire::gob::{Described, Type, TypeId, Types};
    /// let mut types = Types::new();
    /// let list = types.add(Type::Slice { name: "".into(), elem: TypeId::INT });
    /// let described = Described::of(&types, list).unwrap();
    /// assert!(described.is(&types, list));
    /// assert!(!described.is(&types, TypeId::INT));
    /// ```
    pub fn is(&self, types: &Types, id: TypeId) -> bool {
        // Which part of this one each of the others has to be.
        let mut matched = FxHashMap::default();
        let mut left = vec![(id, self.id)];
        while let Some((other, own)) = left.pop() {
            if other.is_built_in() || own.is_built_in() {
                if other != own || types.get(other).is_none() {
                    return false;
                }
                continue;
            }
            match matched.insert(other, own) {
                Some(before) if before == own => continue,
                Some(_) => return false,
                None => {}
            }
            let (Some(other), Some(own)) = (types.get(other), self.types.get(own)) else {
                return false;
            };
            if !other.is_like(own) {
                return false;
            }
            left.extend(other.inner().zip(own.inner()));
        }
        true
    }
}
