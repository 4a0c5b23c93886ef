//! Locum's own protocol; docs/native.md describes it.
#![expect(unused_variables, missing_docs, reason = "signatures first")]

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::rpc::{
    Answer, CallHead, CallId, DecodeError, EncodeError, Failure, Fatal, Limits, Request,
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

    pub fn item<T: Serialize + ?Sized>(
        &mut self,
        out: &mut Vec<u8>,
        id: &CallId,
        item: &T,
    ) -> Result<(), EncodeError> {
        unimplemented!()
    }
    pub fn credit(&mut self, out: &mut Vec<u8>, id: u64, bytes: u32) {
        unimplemented!()
    }
    pub fn ping(&mut self, out: &mut Vec<u8>, token: u64) {
        unimplemented!()
    }
    pub fn pong(&mut self, out: &mut Vec<u8>, token: u64) {
        unimplemented!()
    }
    pub fn go_away(&mut self, out: &mut Vec<u8>, last: Option<u64>) {
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
        args: &T,
    ) -> Result<(), EncodeError> {
        unimplemented!()
    }

    pub fn cancel(&mut self, out: &mut Vec<u8>, id: u64) {
        unimplemented!()
    }
    pub fn item<T: Serialize + ?Sized>(
        &mut self,
        out: &mut Vec<u8>,
        id: u64,
        item: &T,
    ) -> Result<(), EncodeError> {
        unimplemented!()
    }
    pub fn end(&mut self, out: &mut Vec<u8>, id: u64) {
        unimplemented!()
    }
    pub fn credit(&mut self, out: &mut Vec<u8>, id: u64, bytes: u32) {
        unimplemented!()
    }
    pub fn ping(&mut self, out: &mut Vec<u8>, token: u64) {
        unimplemented!()
    }
    pub fn pong(&mut self, out: &mut Vec<u8>, token: u64) {
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
