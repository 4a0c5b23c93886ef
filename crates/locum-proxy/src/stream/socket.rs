//! Reading from sockets and writing to them, each in one system call where that is enough.
//!
//! The runtime knows whether a socket is ready, and is told by whoever found out that it is not any more. A call that
//! moved fewer bytes than it might have has found that out as well, without a second one: so it is told.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll, ready};

use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

/// A socket that the runtime watches.
pub(super) trait Socket: AsFd {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// What comes of `act`, if the socket is ready for it; if it would block, then or by its own word, the socket
    /// is not ready any more.
    fn attempt<T>(&self, way: Interest, act: impl FnOnce() -> io::Result<T>) -> io::Result<T>;
}

macro_rules! sockets {
    ($($socket:ty)*) => {
        $(impl Socket for $socket {
            fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.poll_read_ready(cx)
            }

            fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.poll_write_ready(cx)
            }

            fn attempt<T>(&self, way: Interest, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
                self.try_io(way, act)
            }
        })*
    };
}

sockets! { TcpStream UnixStream }

/// Reads into `space`; 0 is the end. Whoever comes here has most often found out that there is something to read.
pub(super) fn poll_fill(
    socket: &impl Socket,
    cx: &mut Context<'_>,
    space: &mut [u8],
) -> Poll<io::Result<usize>> {
    loop {
        let most = space.len();
        let read = moved(socket, Interest::READABLE, most, |socket| {
            Ok(recv(socket, &mut *space, RecvFlags::empty())?.1)
        });
        match read {
            Some(done) => return Poll::Ready(done),
            None => ready!(socket.poll_readable(cx))?,
        }
    }
}

/// Writes some of `bytes`. One that is ready, as most are, is not waited for.
pub(super) fn poll_send(
    socket: &impl Socket,
    cx: &mut Context<'_>,
    bytes: &[u8],
) -> Poll<io::Result<usize>> {
    loop {
        let sent = moved(socket, Interest::WRITABLE, bytes.len(), |socket| {
            Ok(send(socket, bytes, SendFlags::NOSIGNAL)?)
        });
        match sent {
            Some(done) => return Poll::Ready(done),
            None => ready!(socket.poll_writable(cx))?,
        }
    }
}

/// Writes some of the slices, taken for one run of bytes.
pub(super) fn poll_send_slices(
    socket: &impl Socket,
    cx: &mut Context<'_>,
    slices: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    let all = slices.iter().map(|slice| slice.len()).sum();
    loop {
        let sent = moved(socket, Interest::WRITABLE, all, |socket| {
            Ok(rustix::io::writev(socket, slices)?)
        });
        match sent {
            Some(done) => return Poll::Ready(done),
            None => ready!(socket.poll_writable(cx))?,
        }
    }
}

/// Lets `act` work on the socket once it is ready for that, again and again until it does not say that it would block.
pub(super) fn poll_by<S: Socket, T>(
    socket: &S,
    cx: &mut Context<'_>,
    way: Interest,
    mut act: impl FnMut(BorrowedFd<'_>) -> io::Result<T>,
) -> Poll<io::Result<T>> {
    loop {
        match way {
            Interest::READABLE => ready!(socket.poll_readable(cx))?,
            _ => ready!(socket.poll_writable(cx))?,
        }
        match socket.attempt(way, || act(socket.as_fd())) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return Poll::Ready(done),
        }
    }
}

/// Whether there is nothing to read, as far as is known without a wait. Costs no system call as long as the runtime
/// knows of nothing.
pub(super) fn is_quiet(socket: &impl Socket) -> bool {
    let looked = socket.attempt(Interest::READABLE, || {
        let mut byte = [0; 1];
        Ok(recv(socket, &mut byte, RecvFlags::PEEK)?.1)
    });
    looked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// Says that nothing more will be sent.
pub(super) fn finish(socket: &impl Socket) -> io::Result<()> {
    Ok(shutdown(socket, Shutdown::Write)?)
}

/// How many bytes `act` moved, of at most so many; `None`: the socket is not ready for that.
fn moved<S: Socket>(
    socket: &S,
    way: Interest,
    most: usize,
    act: impl FnOnce(BorrowedFd<'_>) -> io::Result<usize>,
) -> Option<io::Result<usize>> {
    let mut moved = None;
    let done = socket.attempt(way, || {
        let count = act(socket.as_fd())?;
        moved = Some(count);
        // None at all is the end, which stays.
        if count > 0 && count < most { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    match (moved, done) {
        (Some(count), _) => Some(Ok(count)),
        (None, Err(error)) if error.kind() != io::ErrorKind::WouldBlock => Some(Err(error)),
        (None, _) => None,
    }
}
