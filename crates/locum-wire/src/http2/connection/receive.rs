//! Frames, one after the other.

use super::{Connection, Going, Reading, Role};
use crate::http2::frame::{self, HEADER, Header, Kind};
use crate::http2::settings::{self, FRAME_SIZE, MAX_WINDOW};
use crate::http2::{Error, ErrorCode, Event, PREFACE, Reason, StreamId};

impl Connection {
    /// Reads on, up to the next event; gives how many bytes were used.
    ///
    /// The next call gets the bytes behind the used ones, and more. Without an event, what was not used
    /// is the beginning of a frame that is not whole. Content is given as it comes, other frames when
    /// they are; what it all means does not depend on how it was cut.
    ///
    /// # Errors
    ///
    /// The peer broke a rule of the connection. What is to be told is in the output; when it is
    /// written, the connection is to be closed.
    pub fn receive(&mut self, input: &[u8]) -> Result<(usize, Option<Event>), Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.advance(input).map_err(|reason| {
            let error = Error { code: reason.code(), reason };
            self.failed = Some(error);
            self.abort(error.code);
            error
        })
    }

    fn advance(&mut self, input: &[u8]) -> Result<(usize, Option<Event>), Reason> {
        let mut at = 0;
        while at < input.len() {
            let rest = &input[at..];
            match self.reading {
                Reading::Preface(seen) => at += self.read_preface(rest, seen)?,
                Reading::Frame => {
                    let (used, event) = self.read_frame(rest)?;
                    at += used;
                    if used == 0 || event.is_some() {
                        return Ok((at, event));
                    }
                }
                Reading::Data { stream, left, padding, end } => {
                    let here = left.min(rest.len());
                    let range = at..at + here;
                    at += here;
                    self.reading = match left - here {
                        0 => skip(padding),
                        left => Reading::Data { stream, left, padding, end },
                    };
                    if let Some(event) = self.give_data(stream, range, end && here == left) {
                        return Ok((at, Some(event)));
                    }
                }
                Reading::Skip(left) => {
                    let here = left.min(rest.len());
                    at += here;
                    self.reading = skip(left - here);
                }
            }
        }
        Ok((at, None))
    }

    /// RFC 9113 §3.4.
    fn read_preface(&mut self, input: &[u8], seen: usize) -> Result<usize, Reason> {
        let wanted = &PREFACE[seen..];
        let here = wanted.len().min(input.len());
        if input[..here] != wanted[..here] {
            return Err(Reason::Preface);
        }
        let all = seen + here;
        self.reading = if all == PREFACE.len() { Reading::Frame } else { Reading::Preface(all) };
        Ok(here)
    }

    /// Reads a frame, if it is there: the whole of it, or the head of content. Used is nothing when
    /// there is too little.
    fn read_frame(&mut self, input: &[u8]) -> Result<(usize, Option<Event>), Reason> {
        let Some((bytes, after)) = input.split_first_chunk::<HEADER>() else {
            return Ok((0, None));
        };
        let header = Header::parse(bytes);
        self.check(&header)?;
        match header.kind {
            Kind::Data => {
                let padding = match (header.is_padded(), after) {
                    (false, _) => None,
                    (true, [length, ..]) => Some(usize::from(*length)),
                    (true, []) => return Ok((0, None)),
                };
                let event = self.read_data(&header, padding)?;
                Ok((HEADER + usize::from(padding.is_some()), event))
            }
            Kind::Unknown => {
                self.count_useless()?;
                self.reading = skip(header.len);
                Ok((HEADER, None))
            }
            _ => {
                let Some(payload) = after.get(..header.len) else { return Ok((0, None)) };
                Ok((HEADER + header.len, self.take(&header, payload)?))
            }
        }
    }

    /// What can be said of a frame by its head.
    fn check(&self, header: &Header) -> Result<(), Reason> {
        let most = self.limits.frame_bytes.max(FRAME_SIZE) as usize;
        if !self.has_peer_settings && (header.kind != Kind::Settings || header.has(frame::ACK)) {
            return Err(Reason::SettingsFirst);
        }
        if header.len > most {
            return Err(Reason::FrameTooLarge);
        }
        match (&self.block, header.kind) {
            (Some(block), Kind::Continuation) if block.stream == header.stream => Ok(()),
            (Some(_), _) | (None, Kind::Continuation) => Err(Reason::Continuation),
            _ => Ok(()),
        }
    }

    fn take(&mut self, header: &Header, payload: &[u8]) -> Result<Option<Event>, Reason> {
        let on_connection = header.stream == StreamId::CONNECTION;
        match header.kind {
            Kind::Headers | Kind::Priority | Kind::RstStream if on_connection => {
                Err(Reason::StreamNumber)
            }
            Kind::Settings | Kind::Ping | Kind::GoAway if !on_connection => {
                Err(Reason::StreamNumber)
            }
            Kind::Headers => self.take_headers(header, payload),
            Kind::Continuation => self.take_continuation(header, payload),
            Kind::Priority => self.take_priority(header.stream, payload),
            Kind::RstStream => self.take_rst_stream(header.stream, payload),
            Kind::Settings => self.take_settings(header, payload),
            Kind::Ping => self.take_ping(header, payload),
            Kind::GoAway => self.take_go_away(payload),
            Kind::WindowUpdate => self.take_window_update(header.stream, payload),
            // RFC 9113 §8.4: nobody may push to a server, and a client of ours has said no.
            Kind::PushPromise => Err(Reason::Push),
            Kind::Data | Kind::Unknown => Ok(None),
        }
    }

    /// Whether a stream was never opened.
    pub(super) fn is_idle(&self, stream: StreamId) -> bool {
        // A server opens none, and a client of ours lets nobody push: even ones are never opened.
        stream > self.last || stream.get().is_multiple_of(2)
    }
}

/// What the frames are.
impl Connection {
    /// RFC 9113 §6.3. Priorities mean nothing to us.
    fn take_priority(&mut self, id: StreamId, payload: &[u8]) -> Result<Option<Event>, Reason> {
        self.count_useless()?;
        let reason = match payload {
            [a, b, c, d, _] if StreamId::read([*a, *b, *c, *d]) == id => Reason::Dependency,
            [_, _, _, _, _] => return Ok(None),
            _ => Reason::FrameSize,
        };
        // A stream that was never opened cannot be reset.
        if self.is_idle(id) { Err(reason) } else { self.refuse(id, reason) }
    }

    /// RFC 9113 §6.4.
    fn take_rst_stream(&mut self, id: StreamId, payload: &[u8]) -> Result<Option<Event>, Reason> {
        let code = *payload.as_array().ok_or(Reason::FrameSize)?;
        if self.is_idle(id) {
            return Err(Reason::StreamIdle);
        }
        let code = ErrorCode(u32::from_be_bytes(code));
        if !self.forget(id) {
            self.count_useless()?;
            return Ok(None);
        }
        Ok(Some(Event::Reset { stream: id, code }))
    }

    /// RFC 9113 §6.5.
    fn take_settings(&mut self, header: &Header, payload: &[u8]) -> Result<Option<Event>, Reason> {
        if header.has(frame::ACK) {
            return self.take_settings_ack(payload);
        }
        let (settings, []) = payload.as_chunks::<6>() else { return Err(Reason::FrameSize) };
        let from_server = matches!(self.role, Role::Client(_));
        let before = self.peer;
        for [a, b, value @ ..] in settings {
            let (name, value) = (u16::from_be_bytes([*a, *b]), u32::from_be_bytes(*value));
            self.peer.read(name, value, from_server)?;
            if name == settings::HEADER_TABLE_SIZE {
                self.encoder.set_most(value as usize);
            }
        }
        self.has_peer_settings = true;
        self.control(frame::settings_ack)?;
        // RFC 9113 §6.9.2: of all streams at once.
        let more = i64::from(self.peer.window) - i64::from(before.window);
        for stream in self.streams.values_mut() {
            stream.outgoing.window += more;
            if stream.outgoing.window > i64::from(MAX_WINDOW) {
                return Err(Reason::WindowSetting);
            }
        }
        Ok(Some(Event::Writable(None)))
    }

    fn take_settings_ack(&mut self, payload: &[u8]) -> Result<Option<Event>, Reason> {
        if !payload.is_empty() {
            return Err(Reason::FrameSize);
        }
        if self.is_acknowledged {
            return Err(Reason::SettingsAck);
        }
        let before = self.stream_window();
        self.is_acknowledged = true;
        let more = self.stream_window() - before;
        for stream in self.streams.values_mut() {
            stream.incoming.window += more;
        }
        self.decoder.set_most(self.limits.table_bytes);
        Ok(None)
    }

    /// RFC 9113 §6.7.
    fn take_ping(&mut self, header: &Header, payload: &[u8]) -> Result<Option<Event>, Reason> {
        let payload = *payload.as_array().ok_or(Reason::FrameSize)?;
        if header.has(frame::ACK) {
            return Ok(Some(Event::Pong(payload)));
        }
        self.control(|output| frame::ping(output, true, payload))?;
        Ok(None)
    }

    /// RFC 9113 §6.8.
    fn take_go_away(&mut self, payload: &[u8]) -> Result<Option<Event>, Reason> {
        let (last, rest) = payload.split_first_chunk().ok_or(Reason::FrameSize)?;
        let code = *rest.first_chunk().ok_or(Reason::FrameSize)?;
        let last = StreamId::read(*last);
        if let Role::Client(_) = self.role {
            if self.going == Going::Not {
                self.going = Going::Soon;
            }
            let beyond = self.streams.keys().copied().filter(|it| *it > last.get());
            for id in beyond.collect::<Vec<_>>() {
                self.forget(StreamId(id));
            }
        }
        Ok(Some(Event::GoAway { last, code: ErrorCode(u32::from_be_bytes(code)) }))
    }

    /// RFC 9113 §6.9.
    fn take_window_update(
        &mut self,
        id: StreamId,
        payload: &[u8],
    ) -> Result<Option<Event>, Reason> {
        let increment = *payload.as_array().ok_or(Reason::FrameSize)?;
        let increment = i64::from(u32::from_be_bytes(increment) & MAX_WINDOW);
        self.counts.window_updates += 1;
        // Envoy's measure.
        let fair = 5 + 2 * (self.counts.streams + 10 * self.counts.data_sent);
        if self.counts.window_updates > fair {
            return Err(Reason::WindowFlood);
        }
        if id == StreamId::CONNECTION {
            if increment == 0 {
                return Err(Reason::WindowIncrement);
            }
            let was_shut = self.outgoing_window <= 0;
            self.outgoing_window += increment;
            if self.outgoing_window > i64::from(MAX_WINDOW) {
                return Err(Reason::WindowOverflow);
            }
            let opens = was_shut && self.outgoing_window > 0;
            return Ok(opens.then_some(Event::Writable(None)));
        }
        if self.is_idle(id) {
            return Err(Reason::StreamIdle);
        }
        let Some(stream) = self.streams.get_mut(&id.get()) else { return Ok(None) };
        if increment == 0 {
            return self.refuse(id, Reason::WindowIncrement);
        }
        let window = &mut stream.outgoing.window;
        let was_shut = *window <= 0;
        *window += increment;
        if *window > i64::from(MAX_WINDOW) {
            return self.refuse(id, Reason::WindowOverflow);
        }
        Ok((was_shut && *window > 0).then_some(Event::Writable(Some(id))))
    }
}

pub(super) fn skip(bytes: usize) -> Reading {
    if bytes == 0 { Reading::Frame } else { Reading::Skip(bytes) }
}
