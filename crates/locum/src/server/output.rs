//! Bytes on their way out.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite as _;
use tokio::time::Instant;

use super::outbox::Outbox;
use crate::transport::Io;

/// What was taken from an outbox and is being written.
#[derive(Debug)]
pub(super) struct Output {
    bytes: Vec<u8>,
    written: usize,
    since: Instant,
    flushed: bool,
}

impl Output {
    pub(super) fn new(now: Instant) -> Self {
        Self { bytes: Vec::new(), written: 0, since: now, flushed: true }
    }

    /// How many bytes are left of what was taken.
    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// Whether bytes are on their way, some of which TLS may hold.
    pub(super) fn is_busy(&self) -> bool {
        self.left() > 0 || !self.flushed
    }

    /// Since when nothing more was written.
    pub(super) fn since(&self) -> Instant {
        self.since
    }

    /// Takes what has gathered, once all that was taken before is written, and writes it. Ready: nothing is left
    /// of what was taken.
    pub(super) fn poll_write(
        &mut self,
        io: &mut Io,
        outbox: &Outbox,
        now: Instant,
        task: &mut Context<'_>,
    ) -> io::Result<Poll<()>> {
        let mut io = Pin::new(io);
        if !self.is_busy() {
            self.bytes.clear();
            // What one large answer took is given back.
            self.bytes.shrink_to(KEPT);
            self.written = 0;
            outbox.swap(&mut self.bytes);
            if self.bytes.is_empty() {
                return Ok(Poll::Ready(()));
            }
            self.since = now;
        }
        while let Some(rest) = self.bytes.get(self.written..).filter(|rest| !rest.is_empty()) {
            match io.as_mut().poll_write(task, rest)? {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(written) => {
                    self.written += written;
                    self.since = now;
                    self.flushed = false;
                }
            }
        }
        // TLS may hold back what it was given.
        let flushed = io.poll_flush(task)?;
        if flushed.is_ready() && !self.flushed {
            self.flushed = true;
            self.since = now;
        }
        Ok(flushed)
    }
}

/// Room for so many bytes is kept for the next batch.
const KEPT: usize = 64 << 10;
