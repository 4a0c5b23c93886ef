//! How a connection begins that a proxy in front carries for somebody, and says for whom.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::Poll;

use locum_wire::proxy_protocol::{Addresses, Header, read};

use super::Client;
use crate::refusal::Refusal;
use crate::worker::Worker;

impl Client {
    /// Reads the header of the PROXY protocol, for as long as a head may take: whom it names is the peer from
    /// then on. False: nothing else is to be read of the connection.
    ///
    /// That the one who says so may do so was found out before.
    pub(super) async fn is_introduced(&mut self, worker: &Worker) -> bool {
        self.alarm.arm_in(self.listener.settings.limits.header_timeout);
        let told = poll_fn(|cx| {
            let Self { stream, buffer, alarm, .. } = &mut *self;
            loop {
                match read(buffer.filled()) {
                    Ok(Some((header, length))) => {
                        buffer.consume(length);
                        return Poll::Ready(Ok(header));
                    }
                    Ok(None) => {}
                    Err(malformed) => {
                        tracing::debug!(%malformed, "a proxy does not say whom it carries");
                        return Poll::Ready(Err(Some("proxy_protocol")));
                    }
                }
                match buffer.poll_fill(cx, stream) {
                    // Whoever only looks whether anybody listens leaves without a word.
                    Poll::Ready(Ok(0) | Err(_)) if buffer.is_empty() => {
                        return Poll::Ready(Err(None));
                    }
                    Poll::Ready(Ok(0) | Err(_)) => {
                        return Poll::Ready(Err(Some("proxy_protocol")));
                    }
                    Poll::Ready(Ok(_)) => {}
                    Poll::Pending if worker.closes_idle() => return Poll::Ready(Err(None)),
                    Poll::Pending => {
                        buffer.shrink();
                        return alarm.poll(cx).map(|()| Err(Some("timeout")));
                    }
                }
            }
        })
        .await;
        self.alarm.disarm();
        self.buffer.shrink();
        match told {
            Ok(header) => self.is_welcome_as(header, worker).await,
            Err(why) => {
                why.into_iter()
                    .for_each(|why| worker.shard.count_refused(self.listener.label, why));
                false
            }
        }
    }

    /// Takes whom the proxy names for the peer, if there is room for one more of these.
    async fn is_welcome_as(&mut self, header: Header, worker: &Worker) -> bool {
        if let Header::Addresses(Addresses { client, .. }) = header {
            self.peer = Some(SocketAddr::new(client.ip().to_canonical(), client.port()));
        }
        let limits = &self.listener.settings.limits;
        let (Some(client), Some(seat)) = (self.peer_ip(), &mut self.seat) else { return true };
        if seat.is_for(client, limits) {
            return true;
        }
        match self.listener.speaks_http_first() {
            true => drop(self.refuse(&Refusal::connections(), worker).await),
            false => worker.shard.count_refused(self.listener.label, "connections"),
        }
        false
    }
}
