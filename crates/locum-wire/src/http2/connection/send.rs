//! Messages in HTTP/1.1, sent as frames.

use std::fmt;

use super::{Connection, Role};
use crate::http1::{self, Chunked, Field, Framing, Piece};
use crate::http2::stream::{Asked, Outgoing, Stage};
use crate::http2::{ErrorCode, StreamId, frame, outgoing};

/// Why nothing can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendError {
    /// The stream is over.
    Closed,
    /// The message is not HTTP/1.1; its stream was reset.
    Malformed(http1::Error),
    /// The message asks for an upgrade that the peer does not offer; its stream was reset.
    Upgrade,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the stream is over"),
            Self::Malformed(_) => f.write_str("the message is malformed"),
            Self::Upgrade => f.write_str("the message asks for an upgrade"),
        }
    }
}

impl std::error::Error for SendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Malformed(error) => Some(error),
            Self::Closed | Self::Upgrade => None,
        }
    }
}

/// What waits to be written, beyond which nothing more is taken. Half of it is for whoever comes first,
/// the rest is for all streams alike, so that none has to wait for the end of another.
const QUEUE: usize = 128 * 1024;

/// Heads that are sent come from our own side, which has measured them.
const HEAD: http1::Limits =
    http1::Limits { head_bytes: 256 * 1024, fields: 1000, target_bytes: 64 * 1024 };

impl Connection {
    /// Sends what is said on a stream in HTTP/1.1: an answer, interim ones before it, or a request.
    /// Gives how many of the bytes were taken.
    ///
    /// Less than all is taken of a head that is not whole, and when the peer's windows or the output
    /// are full: the rest is to be offered again when there is more, after [`Event::Writable`], or after
    /// the output was written. A message whose length is known ends the stream by its last byte.
    ///
    /// # Errors
    ///
    /// The stream is over, perhaps because the message is malformed.
    ///
    /// [`Event::Writable`]: crate::http2::Event::Writable
    pub fn send(&mut self, stream: StreamId, bytes: &[u8]) -> Result<usize, SendError> {
        let mut taken = 0;
        while taken < bytes.len() {
            let Some(it) = self.streams.get(&stream.get()) else {
                return if taken > 0 { Ok(taken) } else { Err(SendError::Closed) };
            };
            let rest = &bytes[taken..];
            let used = match it.outgoing.stage {
                Stage::Head => self.send_head(stream, rest)?,
                Stage::Length(_) | Stage::UntilClose => self.send_plain(stream, rest),
                Stage::Chunked(_) => self.send_chunked(stream, rest)?,
                Stage::Done => return if taken > 0 { Ok(taken) } else { Err(SendError::Closed) },
            };
            if used == 0 {
                break;
            }
            taken += used;
        }
        Ok(taken)
    }

    /// Sends the head of a final answer by its fields, which costs less than to [send](Self::send) it in text. Its
    /// content is sent as it would be behind that, and has `framing`, which a field tells if it is a length.
    ///
    /// Gives the bytes that the head takes. None: it has to be told in text, now or later.
    pub fn answer<'a>(
        &mut self,
        stream: StreamId,
        status: u16,
        framing: Framing,
        fields: impl Iterator<Item = Field<'a>>,
    ) -> Option<usize> {
        if self.output.len() >= QUEUE {
            return None;
        }
        let outgoing = &mut self.streams.get_mut(&stream.get())?.outgoing;
        if !matches!(outgoing.stage, Stage::Head) || outgoing.asked == Asked::Tunnel || status < 200
        {
            return None;
        }
        let has_none = outgoing.asked == Asked::Head;
        outgoing.stage = if has_none { Stage::Done } else { stage(framing) };
        let ends = outgoing.stage.is_done();
        let at = frame::begin_headers(&mut self.output, stream, ends);
        let Self { encoder, output, name, .. } = self;
        outgoing::answer(encoder, output, name, status, fields, false, &outgoing.secret);
        frame::end_headers(output, at, stream, self.peer.frame as usize);
        let taken = output.len() - at;
        if ends {
            self.end_outgoing(stream);
        }
        Some(taken)
    }

    /// Ends what is said on a stream: all of it was taken. A message that is not complete is broken off,
    /// so that the peer does not take it for whole.
    pub fn finish(&mut self, stream: StreamId) {
        let Some(it) = self.streams.get_mut(&stream.get()) else { return };
        match it.outgoing.stage {
            Stage::Done => {}
            Stage::UntilClose => {
                let at = frame::begin_data(&mut self.output, stream);
                frame::end_data(&mut self.output, at, true);
                self.end_outgoing(stream);
            }
            _ => self.reset(stream, ErrorCode::INTERNAL_ERROR),
        }
    }

    fn send_head(&mut self, id: StreamId, bytes: &[u8]) -> Result<usize, SendError> {
        if self.output.len() >= QUEUE {
            return Ok(0);
        }
        self.head.clear();
        let is_whole = match self.role {
            Role::Server(_) => self.head.parse_response(bytes, &HEAD),
            Role::Client(_) => self.head.parse_request(bytes, &HEAD),
        };
        match is_whole {
            Ok(true) => {}
            Ok(false) => return Ok(0),
            Err(error) => {
                self.reset(id, ErrorCode::INTERNAL_ERROR);
                return Err(SendError::Malformed(error));
            }
        }
        match self.role {
            Role::Server(_) => self.send_answer(id, bytes),
            Role::Client(_) => self.send_request(id, bytes)?,
        }
        Ok(self.head.len())
    }

    fn send_answer(&mut self, id: StreamId, bytes: &[u8]) {
        let Some(stream) = self.streams.get_mut(&id.get()) else { return };
        let asked = stream.outgoing.asked;
        let answer = self.head.response(bytes);
        let is_tunnel = asked == Asked::Tunnel && answer.status() == 101;
        let stage = match answer.framing(asked == Asked::Head) {
            _ if is_tunnel => Stage::UntilClose,
            _ if answer.is_interim() => Stage::Head,
            // RFC 8441 §4: any good answer would be a tunnel, and this is none. Nor has HTTP/2 a 101.
            _ if answer.status() == 101
                || (asked == Asked::Tunnel && (200..300).contains(&answer.status())) =>
            {
                self.send_bad_gateway(id);
                return;
            }
            framing => stage(framing),
        };
        let ends = stage.is_done();
        stream.outgoing.stage = stage;
        let at = frame::begin_headers(&mut self.output, id, ends);
        let secret = &stream.outgoing.secret;
        let Self { encoder, output, name, .. } = self;
        let (status, fields) = (answer.status(), answer.fields());
        outgoing::answer(encoder, output, name, status, fields, is_tunnel, secret);
        frame::end_headers(&mut self.output, at, id, self.peer.frame as usize);
        if ends {
            self.end_outgoing(id);
        }
    }

    fn send_bad_gateway(&mut self, id: StreamId) {
        let at = frame::begin_headers(&mut self.output, id, true);
        outgoing::status(&mut self.encoder, &mut self.output, 502);
        frame::end_headers(&mut self.output, at, id, self.peer.frame as usize);
        self.end_outgoing(id);
    }

    fn send_request(&mut self, id: StreamId, bytes: &[u8]) -> Result<(), SendError> {
        let Role::Client(scheme) = self.role else { return Ok(()) };
        let request = self.head.request(bytes);
        let is_tunnel = match request.upgrade() {
            None => false,
            Some(it) if it.eq_ignore_ascii_case(b"websocket") && self.peer.websockets => true,
            Some(_) => {
                self.reset(id, ErrorCode::CANCEL);
                return Err(SendError::Upgrade);
            }
        };
        let Some(stream) = self.streams.get_mut(&id.get()) else { return Ok(()) };
        stream.outgoing.asked = match () {
            () if is_tunnel => Asked::Tunnel,
            () if request.is_head() => Asked::Head,
            () => Asked::Other,
        };
        stream.outgoing.takes_trailers = request.te_trailers();
        let framing = request.framing();
        stream.outgoing.stage = if is_tunnel { Stage::UntilClose } else { stage(framing) };
        let ends = stream.outgoing.stage.is_done();
        let at = frame::begin_headers(&mut self.output, id, ends);
        let how = outgoing::How { scheme, is_tunnel, secret: &stream.outgoing.secret };
        outgoing::request(&mut self.encoder, &mut self.output, &mut self.name, &request, how);
        frame::end_headers(&mut self.output, at, id, self.peer.frame as usize);
        if ends {
            self.end_outgoing(id);
        }
        Ok(())
    }

    /// Content that is as it is.
    fn send_plain(&mut self, id: StreamId, bytes: &[u8]) -> usize {
        let most = self.room(id).min(self.peer.frame as usize);
        let Some(stream) = self.streams.get_mut(&id.get()) else { return 0 };
        let stage = &mut stream.outgoing.stage;
        let most = match stage {
            Stage::Length(left) => most.min((*left).min(bytes.len() as u64) as usize),
            _ => most.min(bytes.len()),
        };
        if most == 0 {
            return 0;
        }
        let ends = match stage {
            Stage::Length(left) => {
                *left -= most as u64;
                *left == 0
            }
            _ => false,
        };
        stream.outgoing.spend(most, &mut self.outgoing_window, self.turn);
        self.counts.data_sent += 1;
        let at = frame::begin_data(&mut self.output, id);
        self.output.extend_from_slice(&bytes[..most]);
        frame::end_data(&mut self.output, at, ends);
        if ends {
            self.end_outgoing(id);
        }
        most
    }

    /// Content in chunks, which are put into frames together.
    fn send_chunked(&mut self, id: StreamId, bytes: &[u8]) -> Result<usize, SendError> {
        let mut room = self.room(id).min(self.peer.frame as usize);
        let Some(stream) = self.streams.get_mut(&id.get()) else { return Ok(0) };
        let Stage::Chunked(chunked) = &mut stream.outgoing.stage else { return Ok(0) };
        let (mut taken, mut is_end, mut error) = (0, false, None);
        let at = frame::begin_data(&mut self.output, id);
        while taken < bytes.len() && !is_end {
            // Without room, what is between the data can still be read, and the end be found.
            let most = match (room, chunked.is_in_data()) {
                (0, true) => break,
                (0, false) => 1,
                _ => room,
            };
            let rest = &bytes[taken..];
            let rest = &rest[..most.min(rest.len())];
            match chunked.next(rest) {
                Ok((used, piece)) => {
                    if let Piece::Data(range) = &piece {
                        room -= range.len();
                        self.output.extend_from_slice(&rest[range.clone()]);
                    }
                    is_end = piece == Piece::End;
                    taken += used;
                }
                Err(it) => {
                    error = Some(it);
                    break;
                }
            }
        }
        let data = self.output.len() - at - frame::HEADER;
        let has_trailers = is_end && chunked.trailers().next().is_some();
        if data > 0 || (is_end && !has_trailers) {
            frame::end_data(&mut self.output, at, is_end && !has_trailers);
            self.counts.data_sent += 1;
        } else {
            self.output.truncate(at);
        }
        if has_trailers {
            let at = frame::begin_headers(&mut self.output, id, true);
            outgoing::trailers(&mut self.encoder, &mut self.output, &mut self.name, chunked);
            frame::end_headers(&mut self.output, at, id, self.peer.frame as usize);
        }
        stream.outgoing.spend(data, &mut self.outgoing_window, self.turn);
        if let Some(error) = error {
            self.reset(id, ErrorCode::INTERNAL_ERROR);
            return Err(SendError::Malformed(error));
        }
        if is_end {
            self.end_outgoing(id);
        }
        Ok(taken)
    }

    /// We have sent all we will on a stream.
    fn end_outgoing(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id.get()) else { return };
        stream.outgoing.stage = Stage::Done;
        match (self.role, stream.incoming.is_open) {
            (_, false) => drop(self.forget(id)),
            // RFC 9113 §8.1: the answer is complete; the rest of the request is not needed.
            (Role::Server(_), true) => self.reset(id, ErrorCode::NO_ERROR),
            (Role::Client(_), true) => {}
        }
    }

    /// How many bytes of content [`send`](Self::send) would take of a stream now.
    #[must_use]
    pub fn room(&self, stream: StreamId) -> usize {
        let Some(stream) = self.streams.get(&stream.get()) else { return 0 };
        let outgoing = &stream.outgoing;
        let window = outgoing.window.min(self.outgoing_window).max(0) as usize;
        let queued = self.output.len();
        let free = match (QUEUE / 2).checked_sub(queued) {
            Some(free) if free > 0 => free,
            _ => {
                let had = if outgoing.turn == self.turn { outgoing.had } else { 0 };
                let share = QUEUE / 2 / self.streams.len();
                share.saturating_sub(had).min(QUEUE.saturating_sub(queued))
            }
        };
        window.min(free)
    }
}

impl Outgoing {
    /// Takes note of content that goes into the output.
    fn spend(&mut self, bytes: usize, connection_window: &mut i64, turn: u64) {
        self.window -= bytes as i64;
        *connection_window -= bytes as i64;
        self.had = bytes + if self.turn == turn { self.had } else { 0 };
        self.turn = turn;
    }
}

fn stage(framing: Framing) -> Stage {
    match framing {
        Framing::None | Framing::Length(0) => Stage::Done,
        Framing::Length(length) => Stage::Length(length),
        Framing::Chunked => Stage::Chunked(Box::new(Chunked::new(&HEAD))),
        Framing::UntilClose => Stage::UntilClose,
    }
}
