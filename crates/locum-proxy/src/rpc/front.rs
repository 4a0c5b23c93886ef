//! What a connection speaks, where its listener takes more than one thing.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use locum_wire::connect::{self, Refused};
use locum_wire::detect::{Detected, detect};
use locum_wire::rpc::Protocol;

use super::client;
use crate::buffer::Buffer;
use crate::client::Client;
use crate::worker::Worker;

/// What is to be done with a connection.
pub(crate) enum Found {
    /// It carries calls of this protocol.
    Calls(Protocol),
    /// It asks for calls of net/rpc by a `CONNECT`, which has been read.
    Connected,
    /// It carries requests of HTTP.
    Http,
    /// It begins TLS.
    Tls,
    /// It carries something else.
    Other,
    /// Nothing that is served here, or nothing in time; this is why.
    Refused(&'static str),
    /// A request of HTTP where only calls are served.
    Turned(Refused),
    /// It is over.
    Over,
}

/// Serves a connection that is not of HTTP.
pub(crate) async fn serve(client: &mut Client, found: Found, worker: &Worker) {
    match found {
        Found::Calls(protocol) => Box::pin(client::serve(client, protocol, worker)).await,
        Found::Connected => {
            if client.send(connect::ACCEPTED).await.is_ok() {
                Box::pin(client::serve(client, Protocol::Gob, worker)).await;
            }
        }
        Found::Tls | Found::Http | Found::Other => {
            worker.shard.count_refused(client.listener.label, "malformed")
        }
        Found::Refused(reason) => worker.shard.count_refused(client.listener.label, reason),
        Found::Turned(refused) => {
            worker.shard.count_refused(client.listener.label, "malformed");
            // Whoever is gone needs no answer.
            let _ = client.send(refused.response()).await;
        }
        Found::Over => return client.stream.part(),
    }
    client.linger().await;
}

/// Reads until it is decided what `client` speaks, for as long as a head may take.
pub(crate) async fn find(client: &mut Client, worker: &Worker) -> Found {
    let takes_http = client.listener.settings.protocol.takes_http();
    let mut connect = connect::Request::default();
    let mut waits = None;
    let found = poll_fn(|cx| {
        let Client { stream, buffer, alarm, listener, .. } = &mut *client;
        loop {
            let speaks = detect(buffer.filled());
            if let Some(found) = speaks.and_then(|it| judge(it, buffer, &mut connect, takes_http)) {
                return Poll::Ready(found);
            }
            match buffer.poll_fill(cx, stream) {
                Poll::Ready(Ok(0)) if !buffer.is_empty() => {
                    return Poll::Ready(Found::Refused("malformed"));
                }
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Found::Over),
                Poll::Ready(Ok(_)) => continue,
                Poll::Pending => {}
            }
            if buffer.is_empty() && worker.closes_idle() {
                return Poll::Ready(Found::Over);
            }
            let limits = &listener.settings.limits;
            let patience = match (buffer.is_empty(), speaks) {
                // Clients of net/rpc connect long before they call.
                (true, _) if !takes_http => Duration::MAX,
                (true, _) => limits.idle,
                (false, Some(_)) => CONNECT.min(limits.header_timeout),
                (false, None) => limits.header_timeout,
            };
            if waits != Some(patience) {
                waits = Some(patience);
                alarm.arm_in(patience);
            }
            let late = if buffer.is_empty() { Found::Over } else { Found::Refused("timeout") };
            return alarm.poll(cx).map(|()| late);
        }
    })
    .await;
    client.alarm.disarm();
    found
}

/// What follows from what a connection speaks; `None`: it takes more of it.
fn judge(
    speaks: Detected,
    buffer: &mut Buffer,
    connect: &mut connect::Request,
    takes_http: bool,
) -> Option<Found> {
    match speaks {
        Detected::Gob => Some(Found::Calls(Protocol::Gob)),
        Detected::Json => Some(Found::Calls(Protocol::Json1)),
        Detected::Native => Some(Found::Calls(Protocol::Native)),
        Detected::Tls => Some(Found::Tls),
        Detected::Other => Some(Found::Other),
        Detected::Http => {
            let input = buffer.filled();
            let common = input.len().min(WANTED.len());
            if takes_http && input[..common] != WANTED[..common] {
                return Some(Found::Http);
            }
            if takes_http && common < WANTED.len() {
                return None;
            }
            match connect.read(input) {
                Ok(Some(length)) => {
                    buffer.consume(length);
                    Some(Found::Connected)
                }
                Ok(None) => None,
                Err(refused) => Some(Found::Turned(refused)),
            }
        }
    }
}

/// How a client of net/rpc begins that comes over HTTP.
const WANTED: &[u8] = b"CONNECT /_goRPC_ ";
/// How long such a head may take.
const CONNECT: Duration = Duration::from_secs(5);
