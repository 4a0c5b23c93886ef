//! How a connection ends.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use super::Client;

impl Client {
    /// Closes at once, if the client has kept to its word that it will say nothing more.
    pub(super) async fn take_leave(&mut self) {
        let silent = self.buffer.is_empty() && !self.stream.is_secure();
        if !silent || poll_fn(|cx| Poll::Ready(self.stream.peek(cx))).await == Some(true) {
            self.linger().await;
        }
    }

    /// Closes so that our last words arrive: a close with unread bytes would reset the connection
    /// and could throw away what the client has not read yet (RFC 9112 §9.6).
    pub(crate) async fn linger(&mut self) {
        self.alarm.arm_in(LINGER);
        let mut finished = false;
        let mut discarded = 0;
        poll_fn(|cx| {
            if !finished && self.stream.poll_finish(cx).is_pending() {
                return self.alarm.poll(cx);
            }
            finished = true;
            while discarded < LINGER_BYTES {
                self.buffer.consume(self.buffer.filled().len());
                match self.buffer.poll_fill(cx, &mut self.stream) {
                    Poll::Ready(Ok(count)) if count > 0 => discarded += count,
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => return self.alarm.poll(cx),
                }
            }
            Poll::Ready(())
        })
        .await;
    }
}

/// How long, and how much, a client may go on sending after our last words.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1024 * 1024;
