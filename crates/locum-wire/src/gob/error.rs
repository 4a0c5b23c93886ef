//! What goes wrong between gob and serde.

use std::fmt::{self, Display};

use super::Corrupt;
use crate::rpc::{DecodeError, EncodeError};

/// Small, since every step of a value hands one up, or does not.
#[derive(Debug)]
pub(super) struct Error(Box<Kind>);

/// What those that the error passes on its way up make something of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing but the text.
    Text(String),
    /// A field that the Rust type needs was not given.
    Missing(&'static str),
    /// A field was given twice; this is its first name.
    Duplicate(&'static str),
    /// A number does not fit. Whoever knows the field's name puts it after this, which says what of it does not.
    Range(String),
    /// The peer's type, the second, is none that the Rust type, the first, could be read from.
    Mismatch(String, String),
    /// Something was learned on the way; another attempt goes further.
    Again,
}

impl Error {
    pub(super) fn new(kind: Kind) -> Self {
        Self(Box::new(kind))
    }

    #[cold]
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::new(Kind::Text(text.into()))
    }

    pub(super) fn kind(&self) -> &Kind {
        &self.0
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind() {
            Kind::Text(text) => f.write_str(text),
            Kind::Missing(field) => write!(f, "gob: missing field `{field}`"),
            Kind::Duplicate(field) => write!(f, "gob: field `{field}` comes twice"),
            Kind::Range(of) => write!(f, "value for {of}result out of range"),
            Kind::Mismatch(local, remote) => {
                write!(f, "gob: decoding into local type {local}, received remote type {remote}")
            }
            Kind::Again => f.write_str("gob: the type reads differently each time"),
        }
    }
}

impl std::error::Error for Error {}

impl serde::ser::Error for Error {
    fn custom<T: Display>(text: T) -> Self {
        Self::text(format!("gob: {text}"))
    }
}

impl serde::de::Error for Error {
    fn custom<T: Display>(text: T) -> Self {
        Self::text(format!("gob: {text}"))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(Kind::Missing(field))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(Kind::Duplicate(field))
    }
}

impl From<Corrupt> for Error {
    #[cold]
    fn from(corrupt: Corrupt) -> Self {
        Self::text(corrupt.to_string())
    }
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Self::text(error.0)
    }
}

impl From<Error> for DecodeError {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

impl From<Corrupt> for EncodeError {
    fn from(corrupt: Corrupt) -> Self {
        Self(corrupt.to_string())
    }
}

impl From<Error> for EncodeError {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}
