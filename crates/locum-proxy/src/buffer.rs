//! Buffers that are held only while bytes are in them.
//!
//! A worker keeps a stack of standard buffers; the one used last is the one in the cache. A
//! connection takes one when it has something to read and gives it back when it has read nothing
//! that it must keep.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::stream::Stream;

/// The standard size: head and first body bytes of almost every message in one read.
pub(crate) const SIZE: usize = 16 * 1024;
/// Buffers a worker keeps for reuse; more are freed.
const KEPT: usize = 256;

/// The spare buffers of one worker.
#[derive(Default)]
pub(crate) struct Buffers {
    spare: RefCell<Vec<Vec<u8>>>,
}

impl Buffers {
    pub(crate) fn new() -> Rc<Self> {
        Rc::default()
    }

    fn take(&self) -> Vec<u8> {
        self.spare.borrow_mut().pop().unwrap_or_else(|| vec![0; SIZE])
    }

    /// Frees half of what is spare.
    pub(crate) fn halve(&self) {
        halve(&mut self.spare.borrow_mut());
    }

    fn give(&self, bytes: Vec<u8>) {
        let mut spare = self.spare.borrow_mut();
        if bytes.len() == SIZE && spare.len() < KEPT {
            spare.push(bytes);
        }
    }
}

/// Frees half of what is spare, and the room for it.
pub(crate) fn halve<T>(spare: &mut Vec<T>) {
    spare.truncate(spare.len() / 2);
    spare.shrink_to(spare.len() * 2);
}

/// Bytes that were read and not used yet, and the space to read more.
pub(crate) struct Buffer {
    buffers: Rc<Buffers>,
    /// All of it can be read into; empty while nothing is held.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// A buffer that holds nothing yet, not even space.
    pub(crate) fn new(buffers: &Rc<Buffers>) -> Self {
        Self { buffers: Rc::clone(buffers), bytes: Vec::new(), start: 0, end: 0 }
    }

    pub(crate) fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Room for more, at least a byte of it. Grows by doubling when full; the caller bounds it.
    fn space(&mut self) -> &mut [u8] {
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        }
        if self.bytes.len() < SIZE {
            let mut bytes = self.buffers.take();
            bytes[..self.end - self.start].copy_from_slice(&self.bytes[self.start..self.end]);
            self.bytes = bytes;
            (self.start, self.end) = (0, self.end - self.start);
        } else if self.end == self.bytes.len() {
            if self.start > 0 {
                self.compact();
            } else {
                self.bytes.resize(self.bytes.len() * 2, 0);
            }
        }
        &mut self.bytes[self.end..]
    }

    /// The first `count` bytes have been used.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start += count;
        debug_assert!(self.start <= self.end);
    }

    /// Moves what is left to the front.
    fn compact(&mut self) {
        self.bytes.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
    }

    /// Reads more from `stream`; 0 is its end. Space is taken only once there is something to read,
    /// so that a buffer which waits empty holds none: what a worker reads into is always the buffer
    /// that was used last, however many connections wait.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Stream,
    ) -> Poll<io::Result<usize>> {
        self.poll_fill_up_to(usize::MAX, cx, stream)
    }

    /// The same, but at most so many bytes.
    pub(crate) fn poll_fill_up_to(
        &mut self,
        most: usize,
        cx: &mut Context<'_>,
        stream: &mut Stream,
    ) -> Poll<io::Result<usize>> {
        if stream.poll_readable(cx)?.is_ready()
            && let space = self.space()
            && let most = most.min(space.len())
            && let Poll::Ready(filled) = stream.poll_fill(cx, &mut space[..most])
        {
            let count = filled?;
            self.end += count;
            return Poll::Ready(Ok(count));
        }
        if self.is_empty() {
            self.shrink();
        }
        Poll::Pending
    }

    /// [Shrinks](Self::shrink), where that is worth the copy.
    pub(crate) fn shrink_if_low(&mut self) {
        if self.filled().len() <= SIZE / 4 {
            self.shrink();
        }
    }

    /// Gives the space back; what is left is kept in as many bytes as it needs.
    pub(crate) fn shrink(&mut self) {
        if self.bytes.is_empty() {
            return;
        }
        let rest = self.filled().to_vec();
        (self.start, self.end) = (0, rest.len());
        self.buffers.give(std::mem::replace(&mut self.bytes, rest));
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.buffers.give(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(buffer: &mut Buffer, bytes: &[u8]) {
        buffer.space()[..bytes.len()].copy_from_slice(bytes);
        buffer.end += bytes.len();
    }

    #[test]
    fn an_empty_buffer_holds_no_space() {
        let buffers = Buffers::new();
        let mut buffer = Buffer::new(&buffers);
        fill(&mut buffer, b"request");
        buffer.consume(7);
        buffer.shrink();
        assert_eq!(buffer.bytes.capacity(), 0);
        assert_eq!(buffers.spare.borrow().len(), 1);
    }

    #[test]
    fn a_shrunk_buffer_keeps_its_bytes_and_takes_space_again() {
        let mut buffer = Buffer::new(&Buffers::new());
        fill(&mut buffer, b"xGET /");
        buffer.consume(1);
        buffer.shrink();
        assert_eq!((buffer.filled(), buffer.bytes.len()), (&b"GET /"[..], 5));
        fill(&mut buffer, b" HTTP");
        assert_eq!(buffer.filled(), b"GET / HTTP");
    }

    #[test]
    fn a_full_buffer_makes_room_at_its_front_before_it_grows() {
        let mut buffer = Buffer::new(&Buffers::new());
        fill(&mut buffer, &[b'x'; SIZE]);
        buffer.consume(SIZE - 1);
        assert_eq!(buffer.space().len(), SIZE - 1);
        fill(&mut buffer, &[b'y'; SIZE - 1]);
        assert_eq!(buffer.space().len(), SIZE, "nothing was used, so it grows");
        assert_eq!(buffer.filled().len(), SIZE);
    }
}
