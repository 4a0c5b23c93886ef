//! One connection's bytes, whatever carries them.
//!
//! The whole data path does its I/O through these few methods, so that another transport (TLS, a
//! completion-based one) is one more arm here and nothing elsewhere.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

use tls::{HandshakeError, Tls};

use crate::http2;

mod socket;
mod still;
pub(crate) mod tls;

pub(crate) use still::Socket;

/// A connected stream of bytes.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<Tls>),
    /// One of many of a connection of HTTP/2, as if it were a connection that carries one request.
    Http2(http2::Stream),
}

impl Stream {
    /// Ready once the peer is who it has to be, as far as anything is asked of it.
    pub(crate) fn poll_handshake(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), HandshakeError>> {
        match self {
            Self::Tls(stream) => stream.poll_handshake(cx),
            Self::Tcp(_) | Self::Unix(_) | Self::Http2(_) => Poll::Ready(Ok(())),
        }
    }

    /// The server that the peer has named under TLS, in lower case.
    pub(crate) fn server_name(&self) -> Option<Box<str>> {
        match self {
            Self::Tls(stream) => stream.server_name(),
            Self::Tcp(_) | Self::Unix(_) | Self::Http2(_) => None,
        }
    }

    /// The address at this end, of a connection of TCP that carries nothing else.
    pub(crate) fn local(&self) -> Option<SocketAddr> {
        let address = match self {
            Self::Tcp(stream) => stream.local_addr().ok()?,
            Self::Tls(stream) => stream.under().local()?,
            Self::Unix(_) | Self::Http2(_) => return None,
        };
        Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
    }

    /// Whether nobody on the way can read it.
    pub(crate) fn is_secure(&self) -> bool {
        match self {
            Self::Tls(_) => true,
            Self::Tcp(_) | Self::Unix(_) => false,
            Self::Http2(stream) => stream.is_secure(),
        }
    }

    /// Whether it is one of a connection of HTTP/2.
    pub(crate) fn is_http2(&self) -> bool {
        matches!(self, Self::Http2(_))
    }

    /// Whether HTTP/2 was agreed on for what it carries.
    pub(crate) fn carries_http2(&self) -> bool {
        matches!(self, Self::Tls(stream) if stream.is_http2())
    }

    /// The stream below. What has come under TLS is lost with it.
    pub(crate) fn without_tls(self) -> Self {
        match self {
            Self::Tls(stream) => stream.into_under(),
            plain => plain,
        }
    }

    /// Whom the certificate names that the peer has shown and we have verified; empty if it names nobody,
    /// `None` if the peer has shown none.
    pub(crate) fn identity(&self) -> Option<Box<str>> {
        match self {
            Self::Tls(stream) => stream.identity(),
            Self::Tcp(_) | Self::Unix(_) | Self::Http2(_) => None,
        }
    }

    /// Ready once a read would bring something: bytes, the end, or an error. Takes no buffer, so
    /// that an idle connection holds none.
    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            Self::Unix(stream) => stream.poll_read_ready(cx),
            Self::Tls(stream) => stream.poll_readable(cx),
            Self::Http2(stream) => stream.poll_readable(cx),
        }
    }

    /// Reads into `space`; 0 is the end.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        space: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => socket::poll_fill(stream, cx, space),
            Self::Unix(stream) => socket::poll_fill(stream, cx, space),
            Self::Tls(stream) => stream.poll_fill(cx, space),
            Self::Http2(stream) => stream.poll_fill(cx, space),
        }
    }

    /// How many bytes are worth reading for it at once: no more than it would take, where it can tell, but a few.
    pub(crate) fn appetite(&self) -> usize {
        match self {
            Self::Http2(stream) => stream.room().max(LEAST),
            Self::Tcp(_) | Self::Unix(_) | Self::Tls(_) => usize::MAX,
        }
    }

    /// Writes some of `bytes`. Pending, some of them may be on their way already: the next write has to
    /// begin with the same bytes.
    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => socket::poll_send(stream, cx, bytes),
            Self::Unix(stream) => socket::poll_send(stream, cx, bytes),
            Self::Tls(stream) => stream.poll_send(cx, &[IoSlice::new(bytes)]),
            Self::Http2(stream) => stream.poll_send(cx, &[IoSlice::new(bytes)]),
        }
    }

    /// Writes some of two runs of bytes in one system call, otherwise as [`poll_send`](Self::poll_send).
    pub(crate) fn poll_send_both(
        &mut self,
        cx: &mut Context<'_>,
        first: &[u8],
        second: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_send_slices(cx, &[IoSlice::new(first), IoSlice::new(second)])
    }

    fn poll_send_slices(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => socket::poll_send_slices(stream, cx, slices),
            Self::Unix(stream) => socket::poll_send_slices(stream, cx, slices),
            Self::Tls(stream) => stream.poll_send(cx, slices),
            Self::Http2(stream) => stream.poll_send(cx, slices),
        }
    }

    /// The socket, not watched any more, if its bytes are [those of one](Self::is_plain).
    pub(crate) fn into_socket(self) -> io::Result<Socket> {
        match self {
            Self::Tcp(stream) => stream.into_std().map(Socket::Tcp),
            Self::Unix(stream) => stream.into_std().map(Socket::Unix),
            Self::Tls(_) | Self::Http2(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Whether its bytes are those of a socket.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self, Self::Tcp(_) | Self::Unix(_))
    }

    /// Lets `act` read from the socket or write to it once that is possible, if it [is one](Self::is_plain), again and
    /// again until it does not say that it [would block](io::ErrorKind::WouldBlock).
    pub(crate) fn poll_by<T>(
        &mut self,
        cx: &mut Context<'_>,
        way: Interest,
        act: impl FnMut(BorrowedFd<'_>) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        match self {
            Self::Tcp(stream) => socket::poll_by(stream, cx, way, act),
            Self::Unix(stream) => socket::poll_by(stream, cx, way, act),
            Self::Tls(_) | Self::Http2(_) => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        }
    }

    /// Whether the peer has neither sent anything nor closed since the last read. Nobody is woken when that changes.
    pub(crate) fn is_quiet(&mut self) -> bool {
        match self {
            Self::Tcp(stream) => socket::is_quiet(stream),
            Self::Unix(stream) => socket::is_quiet(stream),
            Self::Tls(_) | Self::Http2(_) => {
                self.peek(&mut Context::from_waker(Waker::noop())).is_none()
            }
        }
    }

    /// What the peer did since the last read, without waiting: `None` nothing, `Some(true)` it sent
    /// bytes, `Some(false)` it closed its side or the connection broke.
    pub(crate) fn peek(&mut self, cx: &mut Context<'_>) -> Option<bool> {
        if self.poll_readable(cx).is_pending() {
            return None;
        }
        // Readiness may be left over from a read that just fitted, so ask the kernel.
        match self.look() {
            Ok(count) => Some(count > 0),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // The readiness was stale and is cleared now; register for the real one.
                let _ = self.poll_readable(cx);
                None
            }
            Err(_) => Some(false),
        }
    }

    /// How many bytes there are to read, as far as it matters whether there is any.
    fn look(&self) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => {
                stream.try_io(Interest::READABLE, || peek_at(&SockRef::from(stream)))
            }
            Self::Unix(stream) => {
                stream.try_io(Interest::READABLE, || peek_at(&SockRef::from(stream)))
            }
            Self::Tls(stream) => Ok(stream.readable()),
            Self::Http2(stream) => stream.look(),
        }
    }

    /// Says that nothing more will be sent.
    pub(crate) fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => Poll::Ready(socket::finish(stream)),
            Self::Unix(stream) => Poll::Ready(socket::finish(stream)),
            Self::Tls(stream) => stream.poll_finish(cx),
            Self::Http2(stream) => stream.poll_finish(cx),
        }
    }

    /// Makes the coming close a reset, so that the peer cannot take what it got for the whole.
    pub(crate) fn reset_on_close(&self) {
        match self {
            // Where it fails the connection is gone already.
            Self::Tcp(stream) => {
                let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
            }
            Self::Tls(stream) => stream.reset_on_close(),
            // Closed before its end, a stream is reset.
            Self::Unix(_) | Self::Http2(_) => {}
        }
    }

    /// Says that the coming close is meant, where a close alone does not, if the peer takes that at once.
    pub(crate) fn part(&mut self) {
        if let Self::Tls(stream) = self {
            stream.part();
        }
    }
}

/// Enough for most heads, which are taken however little content is.
const LEAST: usize = 2 * 1024;

fn peek_at(socket: &SockRef<'_>) -> io::Result<usize> {
    let mut byte = [std::mem::MaybeUninit::uninit(); 1];
    socket.peek(&mut byte)
}
