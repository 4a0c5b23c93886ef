//! Reading a stream.

use std::task::{Context, Poll, ready};

use locum_wire::rpc::DecodeError;
use serde::de::DeserializeOwned;

use super::flow::{Flow, Items, Used};

/// What was taken of a stream and not read yet.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    items: Items,
    used: Used,
}

impl Reader {
    /// The next item; `None`: nothing more comes. The peer is told by `credit` how much more it can send.
    pub(crate) fn poll_next<T: DeserializeOwned>(
        &mut self,
        flow: &Flow,
        task: &Context<'_>,
        credit: impl FnOnce(u32),
    ) -> Poll<Option<Result<T, DecodeError>>> {
        loop {
            if let Some(body) = self.items.next() {
                if let Some(bytes) = self.used.add(body.bytes.len()) {
                    // First, because the peer may send at once.
                    flow.widen(bytes);
                    credit(bytes);
                }
                return Poll::Ready(Some(body.decode()));
            }
            if !ready!(flow.poll_take(&mut self.items, task)) {
                return Poll::Ready(None);
            }
        }
    }
}
