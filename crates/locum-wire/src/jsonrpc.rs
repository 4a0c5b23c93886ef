//! JSON-RPC 1.0, as Go's net/rpc/jsonrpc has it, and 2.0.
#![expect(unused_variables, missing_docs, reason = "signatures first")]

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::rpc::{
    Answer, CallHead, CallId, DecodeError, EncodeError, Failure, Fatal, Limits, Protocol, Request,
};

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    unimplemented!()
}

#[derive(Debug)]
pub struct Requests;
impl Requests {
    pub fn new(limits: &Limits) -> Self {
        unimplemented!()
    }
    pub fn next<'a>(
        &'a mut self,
        input: &'a [u8],
        taken: &mut usize,
    ) -> Result<Option<Request<'a>>, Fatal> {
        unimplemented!()
    }
    pub fn needs(&self) -> usize {
        unimplemented!()
    }
}
#[derive(Debug)]
pub struct Replies;
impl Replies {
    pub fn new() -> Self {
        unimplemented!()
    }
    pub fn ok<T: Serialize + ?Sized>(
        &mut self,
        out: &mut Vec<u8>,
        id: &CallId,
        value: &T,
    ) -> Result<(), EncodeError> {
        unimplemented!()
    }
    pub fn failure(&mut self, out: &mut Vec<u8>, id: &CallId, failure: &Failure<'_>) {
        unimplemented!()
    }
    pub fn batch(&mut self, calls: usize) {
        unimplemented!()
    }
}
#[derive(Debug)]
pub struct Calls;
impl Calls {
    pub fn new(protocol: Protocol) -> Self {
        let _ = protocol;
        unimplemented!()
    }
    pub fn call<T: Serialize + ?Sized>(
        &mut self,
        out: &mut Vec<u8>,
        head: &CallHead<'_>,
        args: &T,
    ) -> Result<(), EncodeError> {
        unimplemented!()
    }
}
#[derive(Debug)]
pub struct Answers;
impl Answers {
    pub fn new(limits: &Limits) -> Self {
        unimplemented!()
    }
    pub fn next<'a>(
        &'a mut self,
        input: &'a [u8],
        taken: &mut usize,
    ) -> Result<Option<Answer<'a>>, Fatal> {
        unimplemented!()
    }
    pub fn needs(&self) -> usize {
        unimplemented!()
    }
}
