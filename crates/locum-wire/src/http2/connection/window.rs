//! How much the peer may send.

use super::Connection;
use crate::http2::settings::{INITIAL_WINDOW, MAX_WINDOW};
use crate::http2::{StreamId, frame};

impl Connection {
    /// Tells the peer that so much of a stream's content was passed on, and it may send as much again.
    /// The content of a stream that is gone is released by itself.
    pub fn release(&mut self, stream: StreamId, bytes: usize) {
        let Some(it) = self.streams.get_mut(&stream.0) else { return };
        let incoming = &mut it.incoming;
        let bytes = (bytes.min(u32::MAX as usize) as u32).min(incoming.unreleased);
        incoming.unreleased -= bytes;
        if incoming.unreleased == 0 {
            self.counts.tiny_data -= std::mem::take(&mut incoming.tiny);
        }
        self.credit_stream(stream, bytes);
    }

    /// What a new stream's peer may send: what it knows of.
    pub(super) fn stream_window(&self) -> i64 {
        let is_told = self.is_acknowledged;
        i64::from(if is_told { self.limits.stream_window.min(MAX_WINDOW) } else { INITIAL_WINDOW })
    }

    /// RFC 9113 §6.9.2: the connection's window is no setting.
    pub(super) fn open_window(&mut self) {
        let more = self.limits.connection_window.min(MAX_WINDOW).saturating_sub(INITIAL_WINDOW);
        if more > 0 {
            self.incoming_window += i64::from(more);
            frame::window_update(&mut self.output, StreamId::CONNECTION, more);
        }
    }

    /// Lets the peer send so much again, on this stream and on the connection.
    pub(super) fn credit_stream(&mut self, stream: StreamId, bytes: u32) {
        self.credit(bytes);
        let Some(it) = self.streams.get_mut(&stream.0) else { return };
        let incoming = &mut it.incoming;
        incoming.credit += bytes;
        if incoming.is_open && incoming.credit > self.limits.stream_window / 2 {
            let credit = std::mem::take(&mut incoming.credit);
            incoming.window += i64::from(credit);
            frame::window_update(&mut self.output, stream, credit);
        }
    }

    /// Lets the peer send so much again, on any stream.
    pub(super) fn credit(&mut self, bytes: u32) {
        self.credit += bytes;
        if self.credit >= self.limits.connection_window.max(INITIAL_WINDOW) / 2 {
            let credit = std::mem::take(&mut self.credit);
            self.incoming_window += i64::from(credit);
            frame::window_update(&mut self.output, StreamId::CONNECTION, credit);
        }
    }
}
