//! How gob bytes can be wrong.

use std::fmt;

use crate::rpc::DecodeError;

/// What is wrong with bytes that should be gob. In Go's words where Go has some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Corrupt {
    /// They end too early.
    Short,
    /// They go on where they should end.
    Long,
    /// A number of more than eight bytes.
    Number,
    /// A count or a length of more than there is.
    Length,
    /// A field that the struct has not.
    Field,
    /// No zero before a value that is no struct.
    Singleton,
    /// An array of another length than its type says.
    Array,
    /// A name that is no UTF-8.
    Text,
    /// A type's description that describes none.
    Description,
    /// A type with too many fields.
    Fields,
    /// A value's type is not defined.
    UnknownType,
    /// Values in values, too deep.
    Nesting,
    /// An interface that holds an interface, or a value that is not as long as it says.
    Interface,
    /// A value that takes too much memory.
    Decoded,
    /// More types, to be written, than the stream's peer would take.
    Definitions,
    /// A value, to be written, of another type than is said.
    Mismatch,
}

impl fmt::Display for Corrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Short => "gob: unexpected end of value",
            Self::Long => "gob: extra data in buffer",
            Self::Number => "gob: encoded unsigned integer out of range",
            Self::Length => "gob: length exceeds input size",
            Self::Field => "gob: corrupted data: field numbers out of bounds",
            Self::Singleton => "gob: decode: corrupted data: non-zero delta for singleton",
            Self::Array => "gob: length mismatch in array",
            Self::Text => "gob: a name is not UTF-8",
            Self::Description => "gob: bad description of a type",
            Self::Fields => "gob: type has too many fields",
            Self::UnknownType => "gob: unknown type id or corrupted data",
            Self::Nesting => "gob: value nests too deeply",
            Self::Interface => "gob: bad interface value",
            Self::Definitions => "gob: more types than fit in one stream",
            Self::Mismatch => "gob: value is not of its type",
            Self::Decoded => "gob: value takes too much memory",
        })
    }
}

impl std::error::Error for Corrupt {}

impl From<Corrupt> for DecodeError {
    fn from(corrupt: Corrupt) -> Self {
        Self(corrupt.to_string())
    }
}
