//! Go's gob (`encoding/gob`).
#![expect(unused_variables, missing_docs, dead_code, reason = "signatures first")]

mod big_int;
mod corrupt;
mod defined;
mod definitions;
mod num;
mod stream;
mod time;
mod types;
mod walk;
mod wire_type;

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::rpc::{DecodeError, EncodeError};

pub use big_int::BigInt;
pub(crate) use corrupt::Corrupt;
pub(crate) use definitions::Definitions;
pub use stream::{Raw, Stream, StreamError};
pub use time::Time;
pub use types::{Field, OpaqueKind, Type, TypeId, Types};

/// What a Rust type looks like in gob.
#[derive(Debug)]
pub struct Schema;
/// A Rust type has what gob has not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaError(pub String);
impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for SchemaError {}
impl Schema {
    pub fn trace<T: DeserializeOwned>() -> Result<Self, SchemaError> {
        unimplemented!()
    }
}
pub fn decode<T: DeserializeOwned>(
    types: &Arc<Types>,
    id: TypeId,
    bytes: &[u8],
) -> Result<T, DecodeError> {
    unimplemented!()
}
/// Writes one gob stream.
#[derive(Debug, Default)]
pub struct Encoder {
    /// What the stream has been told: `definitions.send(out, &schema.types, schema.root)` appends what it
    /// lacks and gives the number; then comes `num::put_sized` with the number and the value.
    definitions: Definitions,
}
impl Encoder {
    /// At the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }
    /// Appends definitions that the stream lacks, and the value. On an error nothing was appended.
    pub fn encode<T: Serialize + ?Sized>(
        &mut self,
        out: &mut Vec<u8>,
        schema: &Schema,
        value: &T,
    ) -> Result<(), EncodeError> {
        unimplemented!()
    }
}
