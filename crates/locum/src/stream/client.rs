//! The client's side.
#![expect(unused_variables, reason = "signatures first")]

use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::service::Method;
use crate::{AppError, CallError, Channel, Cx};

/// The stream that a call returns.
///
/// It ends after the last item, or after the first error. Dropping it before cancels the call.
#[derive(Debug)]
pub struct Received<T, E>(PhantomData<fn() -> (T, E)>);

impl<T: DeserializeOwned, E: AppError> Stream for Received<T, E> {
    type Item = Result<T, CallError<E>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        unimplemented!()
    }
}

impl Channel {
    /// Makes one call that takes a stream.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the call at the peer, and drops `items`.
    pub async fn call_sending<A, S, R, E>(
        &self,
        cx: &Cx,
        method: &'static Method,
        args: A,
        items: S,
    ) -> Result<R, CallError<E>>
    where
        A: Serialize + Send + Sync,
        S: Stream + Send + 'static,
        S::Item: Serialize + Send,
        R: DeserializeOwned,
        E: AppError,
    {
        unimplemented!()
    }

    /// Makes one call that returns a stream.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future, or the stream, cancels the call at the peer.
    pub async fn call_receiving<A, T, E>(
        &self,
        cx: &Cx,
        method: &'static Method,
        args: A,
    ) -> Result<Received<T, E>, CallError<E>>
    where
        A: Serialize + Send + Sync,
        T: DeserializeOwned,
        E: AppError,
    {
        unimplemented!()
    }

    /// Makes one call that takes a stream and returns one.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future, or the stream, cancels the call at the peer, and drops `items`.
    pub async fn call_exchanging<A, S, T, E>(
        &self,
        cx: &Cx,
        method: &'static Method,
        args: A,
        items: S,
    ) -> Result<Received<T, E>, CallError<E>>
    where
        A: Serialize + Send + Sync,
        S: Stream + Send + 'static,
        S::Item: Serialize + Send,
        T: DeserializeOwned,
        E: AppError,
    {
        unimplemented!()
    }
}
