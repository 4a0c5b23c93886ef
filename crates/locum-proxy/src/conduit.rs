//! Bytes that go from socket to socket inside the kernel, for long bodies that nobody looks at: out of one's queue into
//! a pipe, out of the pipe into the other's. Nothing is copied on the way that is not copied by the network.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::Interest;

use crate::stream::Stream;

/// A pipe, and how much is in it.
pub(crate) struct Conduit {
    read: OwnedFd,
    write: OwnedFd,
    held: usize,
}

/// A pipe holds so much, if the system lets it; otherwise what pipes hold anyway.
const SIZE: usize = 256 * 1024;
const FLAGS: SpliceFlags = SpliceFlags::NONBLOCK.union(SpliceFlags::MOVE);

impl Conduit {
    fn new() -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // A user has so much room for pipes, and those beyond it stay small.
        let _ = fcntl_setpipe_size(&write, SIZE);
        Ok(Self { read, write, held: 0 })
    }

    /// Whether there are no bytes in it.
    pub(crate) const fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Takes up to `most` bytes from a stream that [allows](is_possible) it, while it is empty; 0 is its end.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Stream,
        most: u64,
    ) -> Poll<io::Result<usize>> {
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(SIZE);
        let filled = stream.poll_by(cx, Interest::READABLE, |socket| {
            Ok(splice(socket, None, &self.write, None, most, FLAGS)?)
        });
        filled.map_ok(|count| {
            self.held += count;
            count
        })
    }

    /// Gives what is held to a stream that [allows](is_possible) it, as far as that takes it.
    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Stream,
    ) -> Poll<io::Result<usize>> {
        let sent = stream.poll_by(cx, Interest::WRITABLE, |socket| {
            Ok(splice(&self.read, None, socket, None, self.held, FLAGS)?)
        });
        sent.map_ok(|count| {
            self.held -= count;
            count
        })
    }
}

/// Whether bytes can go from one to the other inside the kernel.
pub(crate) fn is_possible(from: &Stream, to: &Stream) -> bool {
    from.is_plain() && to.is_plain()
}

/// Conduits that a worker keeps for reuse.
#[derive(Default)]
pub(crate) struct Conduits(RefCell<Vec<Conduit>>);

/// Each is two descriptors.
const KEPT: usize = 64;

impl Conduits {
    /// One that holds nothing; `None`: the system has no more.
    pub(crate) fn take(&self) -> Option<Conduit> {
        let spare = self.0.borrow_mut().pop();
        spare.or_else(|| Conduit::new().ok())
    }

    /// Keeps one that holds nothing.
    pub(crate) fn give(&self, conduit: Conduit) {
        let mut spare = self.0.borrow_mut();
        if conduit.is_empty() && spare.len() < KEPT {
            spare.push(conduit);
        }
    }

    /// Closes half of what is spare.
    pub(crate) fn halve(&self) {
        crate::buffer::halve(&mut self.0.borrow_mut());
    }
}
