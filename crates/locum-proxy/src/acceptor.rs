//! A listener's way in: connections as they come, and the last of them when it closes.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;

use socket2::{SockRef, Socket};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::clock::Alarm;
use crate::stream::Stream;

/// A listener's way in, until it is closed.
pub(crate) struct Door {
    pub(crate) name: String,
    pub(crate) open: Rc<Cell<bool>>,
}

/// A listening socket.
pub(crate) enum Acceptor {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A connection, and from where it came unless by a unix socket.
pub(crate) type Accepted = (Stream, Option<SocketAddr>);

impl Acceptor {
    pub(crate) fn new(socket: Socket) -> io::Result<Self> {
        if socket.local_addr()?.is_unix() {
            UnixListener::from_std(socket.into()).map(Self::Unix)
        } else {
            TcpListener::from_std(socket.into()).map(Self::Tcp)
        }
    }

    /// The next connection; `None` when the door is closed and nobody is left in front of it.
    pub(crate) async fn accept(&self, door: &Door, alarm: &Alarm) -> io::Result<Option<Accepted>> {
        poll_fn(|cx| {
            let polled = match self {
                Self::Tcp(listener) => listener
                    .poll_accept(cx)
                    .map_ok(|(stream, peer)| (Stream::Tcp(stream), Some(peer))),
                Self::Unix(listener) => {
                    listener.poll_accept(cx).map_ok(|(stream, _)| (Stream::Unix(stream), None))
                }
            };
            match polled {
                Poll::Ready(accepted) => Poll::Ready(accepted.map(Some)),
                // The runtime may not have heard yet of connections that are made already.
                Poll::Pending if !door.open.get() => Poll::Ready(self.accept_left()),
                Poll::Pending => alarm.poll(cx).map(|()| Ok(None)),
            }
        })
        .await
    }

    /// A connection that was made before the door closed: closing the socket would reset it.
    fn accept_left(&self) -> io::Result<Option<Accepted>> {
        let socket = match self {
            Self::Tcp(listener) => SockRef::from(listener),
            Self::Unix(listener) => SockRef::from(listener),
        };
        match socket.accept() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
            Ok((stream, peer)) => {
                stream.set_nonblocking(true)?;
                let peer = peer.as_socket();
                let stream = match self {
                    Self::Tcp(_) => Stream::Tcp(TcpStream::from_std(stream.into())?),
                    Self::Unix(_) => Stream::Unix(UnixStream::from_std(stream.into())?),
                };
                Ok(Some((stream, peer)))
            }
        }
    }
}

/// Errors that speak of the connection that was to be accepted, not of us.
pub(crate) fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
