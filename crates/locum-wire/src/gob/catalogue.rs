//! Types of many streams, in one place.

use super::{Definitions, TypeId, Types};
use crate::rpc::Limits;

/// Types from wherever they were described, each once: what is made the same way has one number.
///
/// ```
/// use locum_wire::gob::{Catalogue, Type, TypeId, Types};
/// let describe = || {
///     let mut types = Types::new();
///     let id = types.add(Type::Slice { name: "".into(), elem: TypeId::INT });
///     (types, id)
/// };
/// let (one, other) = (describe(), describe());
/// let mut catalogue = Catalogue::default();
/// let id = catalogue.add(&one.0, one.1).unwrap();
/// assert_eq!(catalogue.add(&other.0, other.1), Some(id));
/// assert_eq!(catalogue.types().get(id), one.0.get(one.1));
/// ```
#[derive(Debug, Default)]
pub struct Catalogue {
    definitions: Definitions,
}

impl Catalogue {
    /// Adds a type and all that it is made of. Gives its number in [`types`](Self::types); `None`: `types` does
    /// not define all of it.
    pub fn add(&mut self, types: &Types, id: TypeId) -> Option<TypeId> {
        self.definitions.send(&mut Vec::new(), types, id, &Limits::NONE).ok()
    }

    /// What was added so far; beyond [`Types::MOST`] some are missing.
    pub fn types(&self) -> Types {
        self.definitions.types()
    }
}
