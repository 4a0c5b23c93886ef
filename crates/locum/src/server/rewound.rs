//! What was read to see what a client speaks, read once more.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::transport::Io;

/// A connection of which the first bytes are read once more.
pub(super) struct Rewound {
    first: Vec<u8>,
    taken: usize,
    io: Io,
}

impl Rewound {
    /// `io`, from which `first` was read.
    pub(super) fn new(first: Vec<u8>, io: Io) -> Self {
        Self { first, taken: 0, io }
    }
}

impl AsyncRead for Rewound {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let rest = this.first.get(this.taken..).unwrap_or_default();
        if rest.is_empty() {
            this.first = Vec::new();
            this.taken = 0;
            return Pin::new(&mut this.io).poll_read(task, into);
        }
        let some = rest.get(..into.remaining()).unwrap_or(rest);
        into.put_slice(some);
        this.taken += some.len();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(task, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(task)
    }
}
