//! The client's side: managed connections to the endpoints of a service.
#![expect(unused_variables, reason = "signatures first")]

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::service::Method;
use crate::{AppError, CallError, Cx};

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
