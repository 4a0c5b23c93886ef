//! The client's side: managed connections to the endpoints of a service.
#![expect(unused_variables, reason = "signatures first")]

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::service::Method;
use crate::{AppError, CallError, Cx};

/// Makes a [`Channel`], or a proxy that calls through one.
#[derive(Debug)]
pub struct Builder<P = Channel>(std::marker::PhantomData<fn() -> P>);

impl<P: From<Channel>> Builder<P> {
    /// For the service at `url`.
    pub fn new(url: &str) -> Self {
        unimplemented!()
    }
}

/// Managed connections to the endpoints of a service. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Channel(());

impl Channel {
    /// Makes one call.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the call at the peer.
    pub async fn call<A, R, E>(
        &self,
        cx: &Cx,
        method: &'static Method,
        args: A,
    ) -> Result<R, CallError<E>>
    where
        A: Serialize + Send + Sync,
        R: DeserializeOwned,
        E: AppError,
    {
        unimplemented!()
    }
}
