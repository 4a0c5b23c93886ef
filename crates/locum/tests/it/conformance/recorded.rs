//! Connections whose bytes are kept, to be shown when a check fails.

use std::fmt::Write as _;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The first bytes that went over a connection, both ways.
#[derive(Clone, Default)]
pub(crate) struct Record(Arc<Mutex<[Vec<u8>; 2]>>);

const KEPT: usize = 4096;
const SENT: usize = 0;
const READ: usize = 1;

impl Record {
    fn keep(&self, way: usize, bytes: &[u8]) {
        let kept = &mut self.0.lock().unwrap_or_else(PoisonError::into_inner)[way];
        kept.extend(&bytes[..bytes.len().min(KEPT - kept.len())]);
    }

    /// Both ways in hex.
    pub(crate) fn shown(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        for (name, bytes) in ["sent", "read"].iter().zip(kept.iter()) {
            let _ = write!(text, "\n  {name} ");
            for byte in bytes {
                let _ = write!(text, "{byte:02x}");
            }
        }
        text
    }
}

/// A connection that keeps a [`Record`].
pub(crate) struct Recorded {
    pub(crate) stream: TcpStream,
    pub(crate) record: Record,
}

impl AsyncRead for Recorded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, into))?;
        self.record.keep(READ, &into.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Recorded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.record.keep(SENT, &bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
