//! What is kept of a connection while it is parked.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use locum_policy::Time;

use super::Client;
use crate::listener::{Listener, Seat};
use crate::parking::rounded;
use crate::stream::Socket;
use crate::worker::Worker;

/// A connection of HTTP/1.1, without TLS, between two requests.
pub(crate) struct Parked {
    pub(crate) socket: Socket,
    /// When it is to be closed.
    pub(crate) until: Time,
    listener: Arc<Listener>,
    peer: Option<SocketAddr>,
    served: u64,
    seat: Option<Seat>,
    times_parked: u8,
}

impl Client {
    /// What there is to keep of it.
    ///
    /// # Errors
    ///
    /// It is under TLS, or the system does not let go of the socket.
    pub(crate) fn park(self, until: Time) -> io::Result<Parked> {
        let Self { stream, listener, peer, served, seat, times_parked, .. } = self;
        Ok(Parked {
            socket: stream.into_socket()?,
            until: rounded(until),
            listener,
            peer,
            served,
            seat,
            times_parked: times_parked.saturating_add(1),
        })
    }

    /// The connection that was parked.
    ///
    /// # Errors
    ///
    /// The system does not let us watch the socket.
    pub(crate) fn of_parked(parked: Parked, worker: &Worker) -> io::Result<Box<Self>> {
        let Parked { socket, listener, peer, served, seat, times_parked, .. } = parked;
        let opened = Self::over(socket.try_into()?, peer, listener, worker);
        Ok(Box::new(Self { served, seat, times_parked, ..opened }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each with the room that the allocator has for things of that size.
    #[test]
    fn what_waits_is_small() {
        let (waiting, parked) = (size_of::<Client>(), size_of::<Parked>());
        assert!(waiting <= 224, "{waiting} bytes a connection that waits");
        assert!(parked <= 112, "{parked} bytes a connection that is parked");
    }
}
