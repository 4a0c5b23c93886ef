//! Calls by who does not know the types.

use locum_wire::rpc::{CallHead, Calls, EncodeError};

use super::outgoing::Argument;
use super::{Channel, conclude};
use crate::{CallError, Cx};

impl Channel {
    /// Makes one call of `method` (`Service.Method`) whose argument and reply are JSON, whatever the
    /// protocol. Over gob an argument is what its JSON looks like: whole numbers are ints, objects are
    /// structs. Whether the call may be made twice only a policy can say.
    ///
    /// # Errors
    ///
    /// As of [`call`](Self::call). An argument that is no JSON is
    /// [`TransportKind::Unsupported`](crate::TransportKind::Unsupported).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the call at the peer.
    ///
    /// # Panics
    ///
    /// When polled outside a Tokio runtime.
    pub async fn call_json(&self, cx: &Cx, method: &str, json: &str) -> Result<String, CallError> {
        let counted = self.0.metrics.of_any(method);
        let ended = self.exchange(cx, method, false, &Json(json), None).await;
        conclude(ended, &counted, |answered| answered.read_by(|body| body.to_json()))
    }
}

/// An argument that is JSON.
struct Json<'a>(&'a str);

impl Argument for Json<'_> {
    fn encode(
        &self,
        calls: &mut Calls,
        out: &mut Vec<u8>,
        head: &CallHead<'_>,
    ) -> Result<(), EncodeError> {
        calls.call_json(out, head, self.0)
    }
}
