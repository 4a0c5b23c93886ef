//! Go's gob (`encoding/gob`).
#![expect(unused_variables, missing_docs, reason = "signatures first")]

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::rpc::{DecodeError, EncodeError, Fatal, Limits};

/// What a stream has defined.
#[derive(Debug, Default)]
pub struct Types;
/// A number that a stream gives to a type.
pub type TypeId = i32;
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
/// Reads one gob stream.
#[derive(Debug)]
pub struct Stream;
/// One whole value of a stream: everything that stood between its parts (definitions) is taken out.
#[derive(Debug)]
pub struct Raw<'a> {
    pub types: &'a Arc<Types>,
    pub id: TypeId,
    pub bytes: &'a [u8],
}
impl Stream {
    pub fn new(limits: &Limits) -> Self {
        unimplemented!()
    }
    pub fn next<'a>(
        &'a mut self,
        input: &'a [u8],
        taken: &mut usize,
    ) -> Result<Option<Raw<'a>>, Fatal> {
        unimplemented!()
    }
    pub fn needs(&self) -> usize {
        unimplemented!()
    }
}
/// Writes one gob stream.
#[derive(Debug)]
pub struct Encoder;
impl Encoder {
    pub fn new() -> Self {
        unimplemented!()
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
