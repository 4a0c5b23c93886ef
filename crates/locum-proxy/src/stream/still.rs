//! A connected socket that the runtime does not watch.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::{net, os::unix};

use rustix::net::{RecvFlags, recv};
use tokio::net::{TcpStream, UnixStream};

use super::Stream;

/// A socket that nobody reads from or writes to, and that blocks nobody who does.
pub(crate) enum Socket {
    Tcp(net::TcpStream),
    Unix(unix::net::UnixStream),
}

impl Socket {
    /// Whether the peer has said all it had to say, and all was read.
    pub(crate) fn is_at_end(&self) -> bool {
        let mut byte = [0; 1];
        match recv(self, &mut byte, RecvFlags::PEEK) {
            Ok((_, count)) => count == 0,
            Err(error) => error != rustix::io::Errno::WOULDBLOCK,
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        }
    }
}

impl TryFrom<Socket> for Stream {
    type Error = io::Error;

    /// Has the runtime watch it.
    fn try_from(socket: Socket) -> io::Result<Self> {
        match socket {
            Socket::Tcp(socket) => TcpStream::from_std(socket).map(Self::Tcp),
            Socket::Unix(socket) => UnixStream::from_std(socket).map(Self::Unix),
        }
    }
}
