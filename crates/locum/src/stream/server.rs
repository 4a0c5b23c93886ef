//! The server's side.
#![expect(unused_variables, reason = "signatures first")]

use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::server::Responder;
use crate::{AppError, CallError};

/// The stream that comes with a call, before anybody said of what. Empty where the call has none.
#[derive(Debug, Default)]
pub struct Inlet(());

impl Inlet {
    /// As the method has it.
    pub fn typed<T: DeserializeOwned>(self) -> Items<T> {
        unimplemented!()
    }
}

/// The stream that comes with a call.
///
/// An item that is no `T` fails the call; the stream gives nothing more then, not even its end.
#[derive(Debug)]
pub struct Items<T>(PhantomData<fn() -> T>);

impl<T: DeserializeOwned> Stream for Items<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        unimplemented!()
    }
}

impl Responder {
    /// Answers the call with a stream: returns once its last item has left, or its caller has gone.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the call as a handler at fault does.
    pub async fn stream<S, T, E>(self, result: Result<S, CallError<E>>)
    where
        S: Stream<Item = Result<T, CallError<E>>> + Send,
        T: Serialize + Send,
        E: AppError,
    {
        unimplemented!()
    }
}
