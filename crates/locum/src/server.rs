//! The server's side.
#![expect(unused_variables, reason = "signatures first")]

use serde::Serialize;

use crate::{AppError, CallError};

/// Serves services on listeners.
#[derive(Debug)]
pub struct Server(());

/// Takes the result of one call to its caller. Dropped without one, it says that the handler is at fault.
#[derive(Debug)]
pub struct Responder(());

impl Responder {
    /// Answers the call.
    pub fn finish<R: Serialize, E: AppError>(self, result: &Result<R, CallError<E>>) {
        unimplemented!()
    }
}
