//! Long bodies that go past us inside the kernel.

use std::task::{Context, Poll, ready};

use super::{Body, Relay, RelayEnd, Side};
use crate::conduit::{self, Conduit};
use crate::exchange::Exchange;

/// From here on what is left of a body goes past us inside the kernel, where that is possible.
const CARRIED: u64 = 32 * 1024;

impl Relay {
    /// What the rest of the body goes through past us, if it is long enough and can.
    pub(super) fn take_conduit(&mut self, exchange: &Exchange<'_, '_>) -> Option<Conduit> {
        let begun = self.conduit.take();
        if begun.is_some() {
            return begun;
        }
        let long = matches!(self.body, Body::Length(left) if left >= CARRIED);
        let from = &self.answered.connection.stream;
        let can = long && conduit::is_possible(from, &exchange.caller.stream.borrow());
        if can { exchange.worker.conduits.take() } else { None }
    }

    /// Ready once the client has the rest of the body.
    pub(super) fn poll_carry(
        &mut self,
        conduit: &mut Conduit,
        exchange: &Exchange<'_, '_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), RelayEnd>> {
        let Body::Length(left) = &mut self.body else { return Poll::Ready(Ok(())) };
        while *left > 0 {
            if conduit.is_empty() {
                let upstream = &mut self.answered.connection.stream;
                match conduit.poll_fill(cx, upstream, *left) {
                    Poll::Ready(Ok(count)) if count > 0 => self.waiting = None,
                    Poll::Ready(_) => return Poll::Ready(Err(RelayEnd::Broken)),
                    Poll::Pending if exchange.caller.has_left(cx) => {
                        return Poll::Ready(Err(RelayEnd::Gone));
                    }
                    Poll::Pending => {
                        ready!(self.poll_patience(exchange, cx, Side::Upstream));
                        return Poll::Ready(Err(RelayEnd::Broken));
                    }
                }
            }
            match conduit.poll_send(cx, &mut exchange.caller.stream.borrow_mut()) {
                Poll::Ready(Ok(count)) => {
                    *left -= count as u64;
                    self.written += count as u64;
                    self.waiting = None;
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Err(RelayEnd::Gone)),
                Poll::Pending => {
                    ready!(self.poll_patience(exchange, cx, Side::Client));
                    return Poll::Ready(Err(RelayEnd::Gone));
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}
