//! A stream under TLS, by rustls.
//!
//! rustls does no I/O. What comes from the socket is fed to it, and what it has for the socket is taken
//! from it, a buffer's worth at a time; a connection that waits holds no buffer.

use std::fmt;
use std::io::{self, IoSlice, Write};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use locum_wire::certificate::identity;
use locum_wire::detect::{Detected, detect};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, IoState, ServerConfig, ServerConnection};

use super::Stream;
use crate::buffer::{Buffer, Buffers};
use crate::tls::HTTP2;

/// A stream under TLS. It carries nothing until [`poll_handshake`](Self::poll_handshake) is done.
pub(crate) struct Tls {
    under: Stream,
    session: Connection,
    /// What came from the socket and was not fed yet.
    incoming: Buffer,
    /// The peer has still to show that it speaks TLS.
    suspect: bool,
    /// Bytes that wait in rustls to be read.
    readable: usize,
    /// Bytes of a write that rustls has taken, and whose records have not all left.
    taken: usize,
    /// Whether more will come.
    end: End,
}

/// What is known of the end of what comes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// There may be more.
    Open,
    /// The peer said that there is no more.
    Closed,
    /// The connection broke before it said so, or makes no sense any more.
    Cut,
}

/// Why a handshake failed.
#[derive(Debug)]
pub(crate) enum HandshakeError {
    /// The peer speaks HTTP without TLS.
    Plain,
    /// The peer does not speak TLS as it must, or one side does not believe the other.
    Refused(rustls::Error),
    /// The connection broke.
    Broken(io::Error),
    /// The peer has closed it without a word.
    Gone,
    /// It took longer than it may.
    TimedOut,
}

impl HandshakeError {
    /// The error type of RFC 9209 §2.3.
    pub(crate) fn proxy_error(&self) -> &'static str {
        match self {
            Self::Refused(rustls::Error::InvalidCertificate(_)) => "tls_certificate_error",
            Self::Refused(rustls::Error::AlertReceived(_)) => "tls_alert_received",
            Self::Refused(_) | Self::Plain => "tls_protocol_error",
            Self::Broken(_) | Self::Gone => "connection_terminated",
            Self::TimedOut => "connection_timeout",
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => f.write_str("the peer speaks HTTP without it"),
            Self::Refused(error) => error.fmt(f),
            Self::Broken(error) => write!(f, "the connection broke: {error}"),
            Self::Gone => f.write_str("the peer closed the connection"),
            Self::TimedOut => f.write_str("the handshake took too long"),
        }
    }
}

impl Tls {
    /// Around the connection of a client; `said` is what came from it.
    pub(crate) fn accepted(under: Stream, config: &Arc<ServerConfig>, said: Buffer) -> Box<Self> {
        let session = ServerConnection::new(Arc::clone(config))
            .expect("invariant: a listener's settings are checked as they are built");
        Self::new(under, session.into(), said.is_empty(), said)
    }

    /// Around a connection to a server that has to be `name`.
    pub(crate) fn dialled(
        under: Stream,
        config: &Arc<ClientConfig>,
        name: ServerName<'static>,
        buffers: &Rc<Buffers>,
    ) -> Result<Box<Self>, rustls::Error> {
        let session = ClientConnection::new(Arc::clone(config), name)?;
        Ok(Self::new(under, session.into(), false, Buffer::new(buffers)))
    }

    fn new(under: Stream, session: Connection, suspect: bool, incoming: Buffer) -> Box<Self> {
        Box::new(Self { under, session, incoming, suspect, readable: 0, taken: 0, end: End::Open })
    }

    /// The server that the client has named, in lower case.
    pub(super) fn server_name(&self) -> Option<Box<str>> {
        match &self.session {
            Connection::Server(session) => Some(session.server_name()?.to_ascii_lowercase().into()),
            Connection::Client(_) => None,
        }
    }

    /// The stream below.
    pub(super) fn under(&self) -> &Stream {
        &self.under
    }

    /// Ready once both sides have said and proved what they must.
    pub(crate) fn poll_handshake(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), HandshakeError>> {
        loop {
            ready!(self.poll_flush(cx)).map_err(HandshakeError::Broken)?;
            if !self.session.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            if self.end != End::Open {
                let unheard = self.suspect && self.incoming.is_empty();
                return Poll::Ready(Err(if unheard {
                    HandshakeError::Gone
                } else {
                    HandshakeError::Broken(io::ErrorKind::UnexpectedEof.into())
                }));
            }
            if self.suspect || self.incoming.is_empty() {
                ready!(self.poll_receive(cx)).map_err(HandshakeError::Broken)?;
            }
            if self.suspect {
                match detect(self.incoming.filled()) {
                    Some(Detected::Http) => return Poll::Ready(Err(HandshakeError::Plain)),
                    Some(_) => self.suspect = false,
                    None => continue,
                }
            }
            self.feed(cx).map_err(HandshakeError::Refused)?;
        }
    }

    pub(super) fn identity(&self) -> Option<Box<str>> {
        let certificate = self.session.peer_certificates()?.first()?;
        Some(identity(certificate).unwrap_or_default().into())
    }

    /// Whether HTTP/2 was agreed on.
    pub(super) fn is_http2(&self) -> bool {
        self.session.alpn_protocol() == Some(HTTP2)
    }

    pub(super) fn into_under(self: Box<Self>) -> Stream {
        self.under
    }

    /// As of any [`Stream`]. What we owe the peer leaves meanwhile.
    pub(super) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.readable == 0 && self.end == End::Open {
            // The peer may have answered before it closed: that it takes nothing more is no reason
            // not to read.
            let _ = self.poll_flush(cx);
            if self.incoming.is_empty() {
                ready!(self.poll_receive(cx))?;
            }
            self.feed(cx).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        space: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_readable(cx))?;
        let mut filled = 0;
        while self.readable > 0 && filled < space.len() {
            let count = io::Read::read(&mut self.session.reader(), &mut space[filled..])?;
            filled += count;
            self.readable -= count;
            // What is here already needs no other turn. If it is broken, the next read says so.
            let _ = self.feed(cx);
        }
        if filled == 0 && self.end == End::Cut {
            // Otherwise anybody on the way could make a part look like the whole (RFC 8446 §6.1).
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        Poll::Ready(Ok(filled))
    }

    /// How many bytes can be read at once.
    pub(super) fn readable(&self) -> usize {
        self.readable
    }

    /// Writes some of the slices, taken for one run of bytes. Pending, some of it may be on its way
    /// already: the next write has to begin with the same bytes.
    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // What was taken has left before anybody is told so: nobody comes to see to the rest.
        while self.taken == 0 {
            // It takes nothing where its keys have to be renewed first.
            self.taken = self.session.writer().write_vectored(slices)?;
            if self.taken == 0 && !self.session.wants_write() {
                break;
            }
            ready!(self.poll_flush(cx))?;
        }
        ready!(self.poll_flush(cx))?;
        Poll::Ready(Ok(std::mem::take(&mut self.taken)))
    }

    /// Ready once the socket has all that rustls has for it.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut Outgoing { under: &mut self.under, cx }) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.session.send_close_notify();
        ready!(self.poll_flush(cx))?;
        self.under.poll_finish(cx)
    }

    /// Says that nothing more will be sent, if the socket takes that at once.
    pub(super) fn part(&mut self) {
        self.session.send_close_notify();
        // It is a courtesy to a peer that is about to see the connection closed.
        let _ = self.poll_flush(&mut Context::from_waker(Waker::noop()));
    }

    pub(super) fn reset_on_close(&self) {
        self.under.reset_on_close();
    }

    /// Reads what the socket has.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if ready!(self.incoming.poll_fill(cx, &mut self.under))? == 0 {
            self.end = End::Cut;
        }
        Poll::Ready(Ok(()))
    }

    /// Feeds what has come to rustls, until there is something to read.
    fn feed(&mut self, cx: &mut Context<'_>) -> Result<(), rustls::Error> {
        while self.readable == 0 && self.end != End::Closed && !self.incoming.is_empty() {
            match take_in(&mut self.session, &mut self.incoming) {
                Ok(state) => {
                    self.readable = state.plaintext_bytes_to_read();
                    if state.peer_has_closed() {
                        self.end = End::Closed;
                    }
                }
                Err(error) => {
                    self.end = End::Cut;
                    // The peer is told why, if it takes that at once.
                    let _ = self.poll_flush(cx);
                    return Err(error);
                }
            }
        }
        self.incoming.shrink();
        Ok(())
    }
}

/// Lets rustls take some of what has come.
fn take_in(session: &mut Connection, incoming: &mut Buffer) -> Result<IoState, rustls::Error> {
    let count = session
        .read_tls(&mut incoming.filled())
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    incoming.consume(count);
    session.process_new_packets()
}

/// Where rustls writes to, in one turn of a task.
struct Outgoing<'a, 'c> {
    under: &'a mut Stream,
    cx: &'a mut Context<'c>,
}

impl Write for Outgoing<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.under.poll_send_slices(self.cx, slices) {
            Poll::Ready(written) => written,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
