//! How a client's connection begins where TLS is spoken.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use super::Client;
use crate::forward::Persistence;
use crate::refusal::Refusal;
use crate::stream::tls::HandshakeError;
use crate::worker::Worker;

impl Client {
    /// Waits until the client has said and proved what it must, for as long as a head may take, and finds
    /// out whom its certificate names.
    async fn shake_hands(&mut self, worker: &Worker) -> Result<(), HandshakeError> {
        self.alarm.arm_in(self.listener.settings.limits.header_timeout);
        poll_fn(|cx| match self.stream.poll_handshake(cx) {
            Poll::Ready(shaken) => Poll::Ready(shaken),
            Poll::Pending if worker.closes_idle() => Poll::Ready(Err(HandshakeError::Gone)),
            Poll::Pending => self.alarm.poll(cx).map(|()| Err(HandshakeError::TimedOut)),
        })
        .await?;
        self.certificate = self.stream.identity().map(Rc::from);
        Ok(())
    }

    /// Shakes hands; `None` if the client has been turned down.
    pub(super) async fn secure(mut self: Box<Self>, worker: &Worker) -> Option<Box<Self>> {
        match self.shake_hands(worker).await {
            Ok(()) => Some(self),
            Err(error) => {
                self.turn_down(error, worker).await;
                None
            }
        }
    }

    /// Ends a connection without TLS on it.
    async fn turn_down(mut self: Box<Self>, error: HandshakeError, worker: &Worker) {
        if matches!(error, HandshakeError::Gone) {
            return;
        }
        worker.shard.count_refused(self.listener.label, "tls");
        tracing::debug!(
            listener = self.listener.settings.name,
            client = self.peer.map(tracing::field::display),
            %error,
            "no TLS with a client"
        );
        self.stream = self.stream.without_tls();
        if matches!(error, HandshakeError::Plain) && self.listener.settings.protocol.takes_http() {
            let mut out = worker.scratch();
            Refusal::without_tls().write(&mut out, false, Persistence::Closed);
            // Whether it is heard makes no difference: the connection ends.
            let _ = self.send(&out).await;
            worker.give_scratch(out);
        }
        self.linger().await;
    }
}
