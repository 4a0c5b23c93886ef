//! One attempt, on a connection that is there or is yet to be made.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use tokio::time::timeout_at;

use super::answer::{Answered, Outcome};
use super::connection::{Connection, NotBegun, Until};
use super::dial::Unconnected;
use super::link::{Link, NotReady, Patience};
use super::outgoing::Outgoing;

/// Why nothing of an attempt was sent.
#[derive(Debug)]
pub(super) enum Unsent {
    /// There is no connection.
    Unconnected(Unconnected),
    /// Its time was over before there was room for it.
    Late,
    /// Its endpoint is none any more.
    Gone,
    /// The channel is closed.
    Closed,
    /// It can be sent on no connection.
    Unsendable(String),
}

/// Sends one attempt and waits for its end.
///
/// What a connection that went away has not sent, or its peer has not begun, is sent again: that is not
/// another attempt, because the first was none.
///
/// # Cancel safety
///
/// Dropping it gives the attempt up.
pub(super) async fn send(
    link: &Arc<Link>,
    found: Option<Arc<Connection>>,
    call: &Outgoing<'_>,
    attempt: u32,
    mut until: Until,
    patience: Patience,
) -> Result<Answered, Unsent> {
    let mut found = found;
    let mut again = 0;
    loop {
        let connection = match found.take().or_else(|| link.connection()) {
            Some(connection) => connection,
            None => connect(link, &mut until, patience).await?,
        };
        let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
        match connection.begin(call, attempt, until, waker) {
            Ok(pending) => {
                if let (Until::After(_), Some(at)) = (until, pending.deadline()) {
                    until = Until::At(at);
                }
                let feed = call.streams.and_then(|streams| streams.feed);
                let feeder = feed.and_then(|feed| feed.start(pending.sink()?));
                let mut answered = pending.await;
                if let Outcome::Opened(opened) = &mut answered.outcome {
                    opened.feeder = feeder;
                }
                // What was taken of a stream cannot be sent again.
                if !answered.was_not_begun() || again == AGAIN || call.feeds() {
                    return Ok(answered);
                }
                again += 1;
            }
            Err(NotBegun::Closed) => {}
            Err(NotBegun::Full(connection)) => {
                let room = connection.room();
                match until.settle() {
                    Some(at) => timeout_at(at, room).await.map_err(|_| Unsent::Late)?,
                    None => room.await,
                }
            }
            Err(NotBegun::Unsendable(reason)) => return Err(Unsent::Unsendable(reason)),
            Err(NotBegun::Late) => return Err(Unsent::Late),
        }
    }
}

/// Waits for a connection for as long as the attempt has.
async fn connect(
    link: &Arc<Link>,
    until: &mut Until,
    patience: Patience,
) -> Result<Arc<Connection>, Unsent> {
    let ready = link.ready(patience);
    let made = match until.settle() {
        Some(at) => timeout_at(at, ready).await,
        None => Ok(ready.await),
    };
    match made {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(NotReady::Failed(error))) => Err(Unsent::Unconnected(error)),
        Ok(Err(NotReady::Closed)) => Err(Unsent::Gone),
        Err(_) => Err(Unsent::Unconnected(link.error().unwrap_or_else(|| Unconnected {
            reason: format!("{}: no connection in time", link.address()).into(),
            timed_out: true,
        }))),
    }
}

/// How often a call is sent again that nobody has begun, before its caller is told.
const AGAIN: u32 = 3;
