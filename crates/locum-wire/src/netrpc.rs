//! Go's net/rpc over gob.
#![expect(unused_variables, missing_docs, reason = "signatures first")]

use serde::Serialize;

use crate::rpc::{Answer, CallHead, CallId, EncodeError, Failure, Fatal, Limits, Request, Shape};

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
        method: &str,
        shape: &Shape,
        value: &T,
    ) -> Result<(), EncodeError> {
        unimplemented!()
    }
    pub fn failure(&mut self, out: &mut Vec<u8>, id: &CallId, method: &str, failure: &Failure<'_>) {
        unimplemented!()
    }
}
#[derive(Debug)]
pub struct Calls;
impl Calls {
    pub fn new() -> Self {
        unimplemented!()
    }
    pub fn call<T: Serialize + ?Sized>(
        &mut self,
        out: &mut Vec<u8>,
        head: &CallHead<'_>,
        shape: &Shape,
        args: &T,
    ) -> Result<(), EncodeError> {
        unimplemented!()
    }
    pub fn cancel(&mut self, out: &mut Vec<u8>, id: u64, own: u64) {
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

/// The service and the method that `Service.Method` names: it is split at the last dot (net/rpc/server.go,
/// `readRequestHeader`). `None`: it has none, which is answered with
/// [`Failure::ill_formed`](crate::rpc::Failure::ill_formed).
pub fn split(method: &str) -> Option<(&str, &str)> {
    method.rsplit_once('.')
}
