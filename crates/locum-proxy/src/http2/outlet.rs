//! What a connection has to say, on its way into the socket.

use std::io;
use std::task::{Context, Poll};

use super::streams::State;
use crate::buffer::SIZE;
use crate::stream::Stream;

/// With so much unsent, streams are told to wait.
pub(super) const CROWDED: usize = 64 << 10;
/// Room for what is sent that is kept from one turn to the next.
const KEPT: usize = 4 * SIZE;

/// Sends what the streams of a connection have said.
#[derive(Default)]
pub(super) struct Outlet {
    /// How much of what is to be sent was.
    sent: usize,
    /// Whether the peer took something since somebody asked.
    took: bool,
}

impl Outlet {
    /// Sends what there is, as far as the peer takes it. Says whether streams that had to wait may go on; they are
    /// woken.
    ///
    /// # Errors
    ///
    /// There is nobody left to talk to.
    pub(super) fn write(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Stream,
        state: &mut State,
    ) -> io::Result<bool> {
        let output = state.codec.output();
        let was_crowded = output.len() >= CROWDED;
        while self.sent < output.len() {
            match stream.poll_send(cx, &output[self.sent..]) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    self.sent += count;
                    self.took = true;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => break,
            }
        }
        if self.sent < output.len() && self.sent < CROWDED {
            return Ok(false);
        }
        output.drain(..self.sent);
        self.sent = 0;
        if output.is_empty() {
            output.shrink_to(KEPT);
        }
        if was_crowded {
            state.wake_writers();
        }
        Ok(was_crowded)
    }

    /// Whether the peer took something since this was asked last.
    pub(super) fn took(&mut self) -> bool {
        std::mem::take(&mut self.took)
    }
}
