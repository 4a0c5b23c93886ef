//! Bytes that came and were not taken yet.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead as _, ReadBuf};

use crate::transport::Io;

/// What has come of a connection and waits for the rest of its message.
///
/// Reading goes into memory that the connections of a thread share, which stays warm; only what is left over
/// is kept here. So a connection without half a message holds no buffer.
#[derive(Debug, Default)]
pub(super) struct Input {
    kept: Vec<u8>,
}

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl Input {
    /// With bytes that were read already.
    pub(super) fn new(kept: Vec<u8>) -> Self {
        Self { kept }
    }

    /// Reads once, and gives `take` all bytes that were not taken yet; it tells how many it takes. `needs` is
    /// how many bytes it is known to take to go on. Gives how many were read: none at the end.
    pub(super) fn poll_read<E>(
        &mut self,
        io: &mut Io,
        needs: usize,
        task: &mut Context<'_>,
        take: impl FnOnce(&[u8]) -> Result<usize, E>,
    ) -> Poll<io::Result<Result<usize, E>>> {
        if self.kept.len().max(needs) > SHARED / 2 {
            return self.poll_read_large(io, needs, task, take);
        }
        let mut scratch = SCRATCH.take();
        scratch.resize(SHARED, 0);
        let polled = read(io, &mut scratch, self.kept.len(), task);
        let polled = polled.map_ok(|read| {
            let filled = self.kept.len() + read;
            for (into, byte) in scratch.iter_mut().zip(&self.kept) {
                *into = *byte;
            }
            let input = scratch.get(..filled).unwrap_or_default();
            take(input).map(|taken| {
                self.kept.clear();
                self.kept.extend_from_slice(input.get(taken..).unwrap_or_default());
                self.kept.shrink_to(KEPT);
                read
            })
        });
        SCRATCH.set(scratch);
        polled
    }

    /// The same for a message that is large: it is gathered where it stays.
    fn poll_read_large<E>(
        &mut self,
        io: &mut Io,
        needs: usize,
        task: &mut Context<'_>,
        take: impl FnOnce(&[u8]) -> Result<usize, E>,
    ) -> Poll<io::Result<Result<usize, E>>> {
        let filled = self.kept.len();
        // What is promised is given room only as it comes. All of it is zeroed before each read: were it to
        // grow with the message, so would what each read costs.
        let room = needs.saturating_sub(filled).clamp(SHARED / 2, SHARED);
        self.kept.resize(filled + room, 0);
        let polled = read(io, &mut self.kept, filled, task);
        let read = match &polled {
            Poll::Ready(Ok(read)) => *read,
            _ => 0,
        };
        self.kept.truncate(filled + read);
        polled.map_ok(|read| self.take(take).map(|()| read))
    }

    /// Gives `take` what was not taken yet, without reading.
    pub(super) fn take<E>(
        &mut self,
        take: impl FnOnce(&[u8]) -> Result<usize, E>,
    ) -> Result<(), E> {
        let taken = take(&self.kept)?;
        self.kept.drain(..taken);
        if self.kept.len() <= KEPT {
            self.kept.shrink_to(KEPT);
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

/// Reads once, behind the first `filled` bytes of `into`.
fn read(
    io: &mut Io,
    into: &mut [u8],
    filled: usize,
    task: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut into = ReadBuf::new(into.get_mut(filled..).unwrap_or_default());
    ready!(Pin::new(io).poll_read(task, &mut into))?;
    Poll::Ready(Ok(into.filled().len()))
}

/// Bytes that the connections of a thread read into.
const SHARED: usize = 256 << 10;

/// Room for so many bytes is kept for the next half message.
const KEPT: usize = 1 << 10;
