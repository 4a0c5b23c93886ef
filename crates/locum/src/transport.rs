//! What calls travel over: TCP, Unix sockets, TLS, memory.
//!
//! [`Io`] is one connection, [`Address`] says where there is one to be had, [`Listener`] takes those that
//! come in; [`tls`] wraps them.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

mod address;
mod listener;
#[cfg(feature = "tls")]
pub mod tls;

pub use address::{Address, AddressError};
pub use listener::{Dialer, Listener, memory};

/// One connection, whatever it goes over.
///
/// An enum, so that a read or a write of a socket is no call through a table.
pub enum Io {
    /// A TCP connection.
    Tcp(TcpStream),
    /// A connection of a Unix socket.
    Unix(UnixStream),
    /// TLS over another of these.
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::TlsStream<Self>>),
    /// A pipe in this program.
    Memory(DuplexStream),
    /// Anything else.
    Other(Box<dyn Stream>),
}

/// What a connection has to be: both directions of a stream of bytes.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

/// Who is at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A TCP address.
    Tcp(SocketAddr),
    /// Somebody on this machine, by a Unix socket.
    Unix,
    /// Somebody in this program.
    Memory,
}

impl Peer {
    /// The address, of a TCP peer.
    pub const fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix | Self::Memory => None,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix => f.write_str("unix"),
            Self::Memory => f.write_str("memory"),
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_read(cx, into),
            Self::Unix(io) => Pin::new(io).poll_read(cx, into),
            #[cfg(feature = "tls")]
            Self::Tls(io) => Pin::new(io).poll_read(cx, into),
            Self::Memory(io) => Pin::new(io).poll_read(cx, into),
            Self::Other(io) => Pin::new(io).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_write(cx, bytes),
            Self::Unix(io) => Pin::new(io).poll_write(cx, bytes),
            #[cfg(feature = "tls")]
            Self::Tls(io) => Pin::new(io).poll_write(cx, bytes),
            Self::Memory(io) => Pin::new(io).poll_write(cx, bytes),
            Self::Other(io) => Pin::new(io).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_flush(cx),
            Self::Unix(io) => Pin::new(io).poll_flush(cx),
            #[cfg(feature = "tls")]
            Self::Tls(io) => Pin::new(io).poll_flush(cx),
            Self::Memory(io) => Pin::new(io).poll_flush(cx),
            Self::Other(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_shutdown(cx),
            Self::Unix(io) => Pin::new(io).poll_shutdown(cx),
            #[cfg(feature = "tls")]
            Self::Tls(io) => Pin::new(io).poll_shutdown(cx),
            Self::Memory(io) => Pin::new(io).poll_shutdown(cx),
            Self::Other(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}

impl fmt::Debug for Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp(_) => "Tcp",
            Self::Unix(_) => "Unix",
            #[cfg(feature = "tls")]
            Self::Tls(_) => "Tls",
            Self::Memory(_) => "Memory",
            Self::Other(_) => "Other",
        })
    }
}
