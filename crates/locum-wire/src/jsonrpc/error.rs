//! Why a value is none that a Rust type could be.

use std::borrow::Cow;
use std::fmt;

use serde::de;

#[derive(Debug)]
pub(super) enum Error {
    /// A field is not there, and the type cannot do without.
    Missing {
        /// The struct that it belongs to, once that is known.
        of: Option<Struct>,
        field: &'static str,
    },
    /// A field is there more than once, which types do not put up with.
    Repeated {
        /// The struct that it belongs to, once that is known.
        of: Option<Struct>,
        field: &'static str,
    },
    Other(Cow<'static, str>),
}

/// What tells structs apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Struct {
    pub(super) name: &'static str,
    pub(super) fields: &'static [&'static str],
}

impl Error {
    pub(super) const SYNTAX: Self = Self::Other(Cow::Borrowed("what is not JSON"));
    pub(super) const RANGE: Self = Self::Other(Cow::Borrowed("a number out of range"));
    pub(super) const MEMORY: Self =
        Self::Other(Cow::Borrowed("a value that takes too much memory"));

    /// The same, of a field of this struct.
    pub(super) fn of(self, this: Option<Struct>) -> Self {
        match self {
            Self::Missing { of: None, field } => Self::Missing { of: this, field },
            Self::Repeated { of: None, field } => Self::Repeated { of: this, field },
            other => other,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { field, .. } => write!(f, "an object without the field {field:?}"),
            Self::Repeated { field, .. } => write!(f, "an object with two of the field {field:?}"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::Other(Cow::Owned(text.to_string()))
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::custom(format_args!("{found} where {expected} is expected"))
    }

    fn invalid_value(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::custom(format_args!("{found} where {expected} is expected"))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Missing { of: None, field }
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::Repeated { of: None, field }
    }
}
