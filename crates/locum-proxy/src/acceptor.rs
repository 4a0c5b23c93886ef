//! A listener's way in: connections as they come, and the last of them when it closes.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::retry_on_intr;
use rustix::net::{SocketFlags, acceptfrom_with};
use socket2::Socket;
use tokio::io::unix::AsyncFd;
use tokio::net::{TcpStream, UnixStream};

use crate::clock::Alarm;
use crate::stream::Stream;
use crate::watch;

/// A listener's way in, until it is closed.
pub(crate) struct Door {
    pub(crate) name: String,
    pub(crate) open: Rc<Cell<bool>>,
}

/// A listening socket.
pub(crate) struct Acceptor {
    socket: AsyncFd<Socket>,
    is_unix: bool,
}

/// A connection, and from where it came unless by a unix socket.
pub(crate) type Accepted = (Stream, Option<SocketAddr>);

impl Acceptor {
    pub(crate) fn new(socket: Socket) -> io::Result<Self> {
        let is_unix = socket.local_addr()?.is_unix();
        Ok(Self { socket: watch::readable(socket)?, is_unix })
    }

    /// The next connection; `None` when the door is closed and nobody is left in front of it.
    pub(crate) async fn accept(&self, door: &Door, alarm: &Alarm) -> io::Result<Option<Accepted>> {
        poll_fn(|cx| match self.poll_accept(cx) {
            Poll::Ready(accepted) => Poll::Ready(accepted.map(Some)),
            Poll::Pending if !door.open.get() => Poll::Ready(self.accept_left()),
            Poll::Pending => alarm.poll(cx).map(|()| Ok(None)),
        })
        .await
    }

    /// To accept in vain costs ten times as much as to ask whether somebody is there: a socket is made first.
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        loop {
            let mut readiness = ready!(self.socket.poll_read_ready(cx))?;
            match self.take() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => readiness.clear_ready(),
                accepted => {
                    if accepted.is_ok() && !self.has_more() {
                        readiness.clear_ready();
                    }
                    return Poll::Ready(accepted);
                }
            }
        }
    }

    /// A connection that was made before the door closed: closing the socket would reset it, and the runtime may not
    /// have heard of it yet.
    fn accept_left(&self) -> io::Result<Option<Accepted>> {
        match self.take() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            taken => taken.map(Some),
        }
    }

    fn take(&self) -> io::Result<Accepted> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (socket, peer) = acceptfrom_with(self.socket.get_ref(), flags)?;
        Ok(if self.is_unix {
            (Stream::Unix(UnixStream::from_std(socket.into())?), None)
        } else {
            let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
            (Stream::Tcp(TcpStream::from_std(socket.into())?), peer)
        })
    }

    /// Whether somebody else is there already.
    fn has_more(&self) -> bool {
        let mut socket = [PollFd::new(self.socket.get_ref(), PollFlags::IN)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        retry_on_intr(|| rustix::event::poll(&mut socket, Some(&at_once))) != Ok(0)
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
