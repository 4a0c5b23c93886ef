//! What a peer does that it should not, or too much of.

use super::{Connection, Role};
use crate::http2::{Event, Reason, StreamId, frame};

/// What was counted to tell a peer that works from one that keeps us busy.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) streams: u64,
    /// Frames that mean nothing to us.
    pub(super) useless: u64,
    pub(super) window_updates: u64,
    pub(super) data_sent: u64,
    pub(super) queued_control: u32,
    /// How much waited to be written when the last of them was queued.
    pub(super) output_then: usize,
    pub(super) empty_data: u32,
    pub(super) tiny_data: u32,
    pub(super) mistakes: u32,
    /// Bytes of heads of open streams.
    pub(super) heads: usize,
}

/// How many streams are remembered that were reset, or twice as many as may be open.
const RESET: usize = 128;

/// One stream in so many may go wrong on a connection that lives long.
const USUAL: u64 = 1000;

/// How many streams a peer may open that does not say that it knows how many it may.
const EARLY: u64 = 1000;

impl Connection {
    pub(super) fn remember_reset(&mut self, stream: StreamId) {
        if self.reset.len() >= RESET.max(2 * self.limits.streams as usize) {
            self.reset.pop_front();
        }
        self.reset.push_back(stream.0);
    }

    /// Whether the peer may not know yet that a stream is over, which it has opened or answers. A server's
    /// answer can come long after its client has lost interest.
    pub(super) fn may_not_know(&self, stream: StreamId) -> bool {
        matches!(self.role, Role::Client(_))
            || self.reset.contains(&stream.0)
            || self.is_beyond_end(stream)
    }

    /// Resets a stream for what the peer did on it.
    pub(super) fn refuse(
        &mut self,
        stream: StreamId,
        reason: Reason,
    ) -> Result<Option<Event>, Reason> {
        self.control(|output| frame::rst_stream(output, stream, reason.code()))?;
        self.count_mistake(stream, reason)
    }

    pub(super) fn count_mistake(
        &mut self,
        stream: StreamId,
        reason: Reason,
    ) -> Result<Option<Event>, Reason> {
        self.forget(stream);
        self.remember_reset(stream);
        // Before it has our settings a peer cannot know how many streams are too many.
        let is_early = !self.is_acknowledged && self.counts.streams <= EARLY;
        if !is_early || reason != Reason::TooManyStreams {
            self.counts.mistakes += 1;
            let most = u64::from(self.limits.mistakes) + self.counts.streams / USUAL;
            if u64::from(self.counts.mistakes) > most {
                return Err(Reason::MistakeFlood);
            }
        }
        Ok(Some(Event::Refused { stream, reason }))
    }

    /// Takes note of a frame that means nothing to us: a priority, a type that we do not know, the reset of a
    /// stream that is over.
    pub(super) fn count_useless(&mut self) -> Result<(), Reason> {
        self.counts.useless += 1;
        // Envoy's measure of priorities.
        let fair = 100 * (1 + self.counts.streams);
        if self.counts.useless > fair { Err(Reason::UselessFlood) } else { Ok(()) }
    }

    /// Queues a frame that the peer has made us send.
    pub(super) fn control(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Reason> {
        let counts = &mut self.counts;
        // Less than there was: the caller has written, so the peer reads.
        if self.output.len() < counts.output_then || self.output.is_empty() {
            counts.queued_control = 0;
        }
        counts.queued_control += 1;
        if counts.queued_control > self.limits.queued_control
            || self.output.len() > self.limits.memory
        {
            return Err(Reason::ControlFlood);
        }
        write(&mut self.output);
        self.counts.output_then = self.output.len();
        Ok(())
    }
}
