//! Go's net/rpc over gob.
//!
//! Each way is one gob stream for the life of the connection. On it stand pairs of values: a header and an
//! argument, or a header and a reply. Go's client numbers its calls from 0 on, which gob leaves out.
//!
//! Cancelling is no part of it. github.com/keegancsmith/rpc has a method for it, [`CANCEL`], which is called
//! like any other; servers that do not know it say so, and no harm is done.

mod answers;
mod calls;
mod header;
mod replies;
mod requests;

use serde::{Deserialize, Serialize};

pub use answers::Answers;
pub use calls::Calls;
pub use replies::Replies;
pub use requests::Requests;

/// The method that gives up a call. It is answered with `true`.
pub const CANCEL: &str = "_goRPC_.Cancel";

/// Which call is given up.
#[derive(Debug, Default, Serialize, Deserialize)]
struct CancelArgs {
    #[serde(rename = "Seq")]
    seq: u64,
}

/// The service and the method that `Service.Method` names: it is split at the last dot (net/rpc/server.go,
/// `readRequestHeader`). `None`: it has none, which is answered with
/// [`Failure::ill_formed`](crate::rpc::Failure::ill_formed).
pub fn split(method: &str) -> Option<(&str, &str)> {
    method.rsplit_once('.')
}
