//! Content that comes.

use std::ops::Range;

use super::receive::skip;
use super::{Connection, Going, Reading, Role};
use crate::http2::frame::{self, Header};
use crate::http2::stream::Content;
use crate::http2::{Event, Reason, StreamId};

impl Connection {
    /// RFC 9113 §6.1. Everything is judged by the head of the frame, so that what follows can be given
    /// as it comes.
    pub(super) fn read_data(
        &mut self,
        header: &Header,
        padding: Option<usize>,
    ) -> Result<Option<Event>, Reason> {
        let id = header.stream;
        if id == StreamId::CONNECTION {
            return Err(Reason::StreamNumber);
        }
        let overhead = padding.map_or(0, |it| it + 1);
        // A padded frame without a byte has not even the length of its padding.
        let data = match header.len.checked_sub(overhead) {
            Some(data) => data,
            None if header.len == 0 => return Err(Reason::FrameSize),
            None => return Err(Reason::Padding),
        };
        let padding = padding.unwrap_or(0);
        self.incoming_window -= header.len as i64;
        if self.incoming_window < 0 {
            return Err(Reason::WindowExceeded);
        }
        if self.is_idle(id) {
            return Err(Reason::StreamIdle);
        }
        let end = header.has(frame::END_STREAM);
        if let Err(reason) = self.judge_data(id, header.len, data, end)? {
            // What comes is not given to anybody, but it has used the window of all.
            self.credit(header.len as u32);
            self.reading = skip(header.len - usize::from(overhead > 0));
            return match reason {
                Some(reason) => self.refuse(id, reason),
                None => Ok(None),
            };
        }
        // Nobody reads padding, so nobody will release it.
        self.credit_stream(id, overhead as u32);
        if data > 0 {
            self.reading = Reading::Data { stream: id, left: data, padding, end };
            return Ok(None);
        }
        self.reading = skip(padding);
        Ok(if end { self.give_data(id, 0..0, true) } else { None })
    }

    /// Whether a frame of content can be taken. An inner error: it cannot; it is the stream's fault for a
    /// reason, or is ignored without one.
    fn judge_data(
        &mut self,
        id: StreamId,
        len: usize,
        data: usize,
        end: bool,
    ) -> Result<Result<(), Option<Reason>>, Reason> {
        if data > 0 {
            self.counts.empty_data = 0;
        } else if !end {
            self.counts.empty_data += 1;
            if self.counts.empty_data > self.limits.empty_data {
                return Err(Reason::EmptyData);
            }
        }
        let Some(stream) = self.streams.get_mut(&id.get()) else {
            return Ok(Err((!self.may_not_know(id)).then_some(Reason::StreamClosed)));
        };
        let incoming = &mut stream.incoming;
        if !incoming.is_open {
            return Ok(Err(Some(Reason::StreamClosed)));
        }
        incoming.window -= len as i64;
        if incoming.window < 0 {
            return Ok(Err(Some(Reason::WindowExceeded)));
        }
        if !incoming.count(data, end) {
            return Ok(Err(Some(match incoming.content {
                Content::Length(_) => Reason::ContentLength,
                _ => Reason::Unasked,
            })));
        }
        if data > 0 && data < TINY && !end {
            let cost = (TINY - data) as u32;
            incoming.tiny += cost;
            self.counts.tiny_data += cost;
            if self.counts.tiny_data > self.limits.connection_window.max(TINY_LEAST) / 2 {
                return Err(Reason::TinyData);
            }
        }
        Ok(Ok(()))
    }

    /// Content that is here. None: the stream was given up since the frame began.
    pub(super) fn give_data(
        &mut self,
        id: StreamId,
        data: Range<usize>,
        end: bool,
    ) -> Option<Event> {
        let Some(stream) = self.streams.get_mut(&id.get()) else {
            self.credit(data.len() as u32);
            return None;
        };
        stream.incoming.unreleased += data.len() as u32;
        let chunked = stream.incoming.content == Content::Chunked;
        if end {
            self.end_incoming(id);
        }
        Some(Event::Data { stream: id, data, chunked, end })
    }

    /// The peer has sent all it will on a stream.
    pub(super) fn end_incoming(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id.get()) else { return };
        stream.incoming.is_open = false;
        if stream.is_over() {
            self.forget(id);
        }
    }

    /// Whether we have said that a stream will not be served.
    pub(super) fn is_beyond_end(&self, id: StreamId) -> bool {
        matches!((self.role, self.going), (Role::Server(_), Going::At(last)) if id > last)
    }
}

/// What a frame of content costs at least, whatever is in it.
const TINY: usize = 256;

/// A small window does not make small frames dearer.
const TINY_LEAST: u32 = 64 * 1024;
