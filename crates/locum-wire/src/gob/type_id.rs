//! Numbers of types.

/// A number that stands for a type. Those below 64 mean the same everywhere; all others mean what the
/// stream says that they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(pub(crate) i32);

impl TypeId {
    /// [`Type::Bool`](super::Type::Bool).
    pub const BOOL: Self = Self(1);
    /// [`Type::Int`](super::Type::Int).
    pub const INT: Self = Self(2);
    /// [`Type::Uint`](super::Type::Uint).
    pub const UINT: Self = Self(3);
    /// [`Type::Float`](super::Type::Float).
    pub const FLOAT: Self = Self(4);
    /// [`Type::Bytes`](super::Type::Bytes).
    pub const BYTES: Self = Self(5);
    /// [`Type::String`](super::Type::String).
    pub const STRING: Self = Self(6);
    /// [`Type::Complex`](super::Type::Complex).
    pub const COMPLEX: Self = Self(7);
    /// [`Type::Interface`](super::Type::Interface).
    pub const INTERFACE: Self = Self(8);

    /// The lowest that a stream may define. Go's own begin at 65 up to 1.26, at 64 from 1.27 on.
    pub(crate) const FIRST: i32 = 64;

    /// Whether it means the same everywhere.
    pub(crate) fn is_built_in(self) -> bool {
        self.0 < Self::FIRST
    }

    /// As it stands on the wire.
    pub fn get(self) -> i32 {
        self.0
    }

    /// As it stands on the wire, where it may be anything.
    pub(crate) fn from_wire(id: i64) -> Option<Self> {
        i32::try_from(id).ok().filter(|id| *id > 0).map(Self)
    }
}
