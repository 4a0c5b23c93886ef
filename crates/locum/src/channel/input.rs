//! Bytes that were read and not yet taken.

use std::ops::Range;

/// A buffer that is as large as what is on its way asks for, and small again after that.
#[derive(Debug, Default)]
pub(super) struct Input {
    /// All of it can be read into. Empty until the first use.
    buffer: Vec<u8>,
    /// What is there.
    held: Range<usize>,
}

const SMALL: usize = 16 << 10;

impl Input {
    /// With bytes that were read elsewhere.
    pub(super) fn holding(bytes: &[u8]) -> Self {
        Self { buffer: bytes.to_vec(), held: 0..bytes.len() }
    }

    /// What was read and not yet taken.
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.held.clone()).unwrap_or_default()
    }

    /// The first `count` bytes are done with.
    pub(super) fn take(&mut self, count: usize) {
        self.held.start = (self.held.start + count).min(self.held.end);
    }

    /// Room to read into, for a message that has `needs` bytes. Never more than as much again as is
    /// there, whatever a peer says that it will send.
    pub(super) fn room(&mut self, needs: usize) -> &mut [u8] {
        let held = self.held.len();
        let wanted = needs.min(held * 2).max(held + held / 4).max(SMALL);
        if held == 0 {
            self.held = 0..0;
            self.buffer.truncate(wanted);
            self.buffer.shrink_to(wanted);
        } else if self.held.start + wanted > self.buffer.len() {
            self.buffer.copy_within(self.held.clone(), 0);
            self.held = 0..held;
        }
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        self.buffer.get_mut(self.held.end..).unwrap_or_default()
    }

    /// `count` bytes were read into the room.
    pub(super) fn filled(&mut self, count: usize) {
        self.held.end = (self.held.end + count).min(self.buffer.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(input: &mut Input, needs: usize, bytes: &[u8]) {
        let room = input.room(needs);
        let count = bytes.len().min(room.len());
        room[..count].copy_from_slice(&bytes[..count]);
        input.filled(count);
    }

    #[test]
    fn what_was_read_is_there_until_it_is_taken() {
        let mut input = Input::default();
        for round in 0..100_000u32 {
            feed(&mut input, 0, &round.to_be_bytes());
            if round % 3 == 0 {
                feed(&mut input, 0, &[7]);
                input.take(4);
                assert_eq!(input.bytes(), [7]);
                input.take(1);
            } else {
                assert_eq!(input.bytes(), round.to_be_bytes());
                input.take(4);
            }
        }
        assert_eq!(input.buffer.len(), SMALL);
    }

    #[test]
    fn a_large_message_is_given_room_as_it_comes_and_the_room_is_given_back() {
        let mut input = Input::default();
        let message = vec![1; 10 << 20];
        let mut sent = 0;
        while sent < message.len() {
            assert!(input.room(message.len()).len() <= input.bytes().len().max(SMALL) + SMALL);
            feed(&mut input, message.len(), &message[sent..]);
            sent = input.bytes().len();
        }
        assert_eq!(input.bytes(), message);
        input.take(message.len());
        input.room(0);
        assert_eq!(input.buffer.capacity(), SMALL);
    }

    #[test]
    fn there_is_always_room() {
        let mut input = Input::default();
        for _ in 0..20 {
            let room = input.room(0).len();
            assert!(room > 0);
            input.filled(room);
        }
    }
}
