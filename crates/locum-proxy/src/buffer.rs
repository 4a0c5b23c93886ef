//! Buffers that are held only while bytes are in them.
//!
//! A worker keeps a stack of standard buffers; the one used last is the one in the cache. A
//! connection takes one when it has something to read and gives it back when it has read nothing
//! that it must keep.

use std::cell::RefCell;
use std::rc::Rc;

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

    fn give(&self, bytes: Vec<u8>) {
        let mut spare = self.spare.borrow_mut();
        if bytes.len() == SIZE && spare.len() < KEPT {
            spare.push(bytes);
        }
    }
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
    pub(crate) fn space(&mut self) -> &mut [u8] {
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

    /// `count` bytes were read into the space.
    pub(crate) fn filled_by(&mut self, count: usize) {
        self.end += count;
        debug_assert!(self.end <= self.bytes.len());
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

    /// The first `head` bytes as they are, and what follows as a window to read a body through.
    /// The window has at least `SIZE / 2` bytes of room in all.
    pub(crate) fn split(&mut self, head: usize) -> (&[u8], Window<'_>) {
        if self.start > 0 {
            self.compact();
        }
        if self.bytes.len() < head + SIZE / 2 {
            self.bytes.resize(head + SIZE, 0);
        }
        let end = self.end - head;
        let (head, rest) = self.bytes.split_at_mut(head);
        (head, Window { bytes: rest, start: 0, end })
    }

    /// After a `split` at `head`: what the window had from `start` to `end` is what is left.
    pub(crate) fn rejoin(&mut self, head: usize, left: (usize, usize)) {
        (self.start, self.end) = (head + left.0, head + left.1);
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

/// The part of a buffer behind a head, through which its body is read.
pub(crate) struct Window<'a> {
    bytes: &'a mut [u8],
    start: usize,
    end: usize,
}

impl Window<'_> {
    pub(crate) fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Room for more; at least a byte of it, once something was consumed.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.bytes.len() {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        &mut self.bytes[self.end..]
    }

    pub(crate) fn filled_by(&mut self, count: usize) {
        self.end += count;
    }

    pub(crate) fn consume(&mut self, count: usize) {
        self.start += count;
    }

    /// Where what is left lies.
    pub(crate) fn left(&self) -> (usize, usize) {
        (self.start, self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(buffer: &mut Buffer, bytes: &[u8]) {
        buffer.space()[..bytes.len()].copy_from_slice(bytes);
        buffer.filled_by(bytes.len());
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
    fn a_split_leaves_the_pipelined_rest_for_the_next_head() {
        let mut buffer = Buffer::new(&Buffers::new());
        fill(&mut buffer, b"HEADbodyNEXT");
        let (head, mut window) = buffer.split(4);
        assert_eq!((head, window.filled()), (&b"HEAD"[..], &b"bodyNEXT"[..]));
        window.consume(4);
        let left = window.left();
        buffer.rejoin(4, left);
        assert_eq!(buffer.filled(), b"NEXT");
    }

    #[test]
    fn space_never_runs_out_while_bytes_are_consumed() {
        let mut buffer = Buffer::new(&Buffers::new());
        let (_, mut window) = {
            fill(&mut buffer, b"H");
            buffer.split(1)
        };
        for _ in 0..10 {
            let room = window.space().len();
            assert!(room > 0);
            window.filled_by(room);
            window.consume(room - 1);
            window.consume(1);
        }
    }
}
