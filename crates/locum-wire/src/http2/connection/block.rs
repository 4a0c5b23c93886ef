//! Header blocks: from frames to heads.

use super::{Block, Connection, Role};
use crate::http2::error::ErrorCode;
use crate::http2::frame::{self, Header};
use crate::http2::hpack::{Excess, Secrecy};
use crate::http2::stream::{Content, Stream};
use crate::http2::{Event, Reason, StreamId, read};

impl Connection {
    /// RFC 9113 §6.2.
    pub(super) fn take_headers(
        &mut self,
        header: &Header,
        payload: &[u8],
    ) -> Result<Option<Event>, Reason> {
        let is_even = header.stream.get().is_multiple_of(2);
        match self.role {
            // RFC 9113 §5.1.1.
            Role::Server(_) if is_even => return Err(Reason::StreamNumber),
            Role::Client(_) if self.is_idle(header.stream) => return Err(Reason::StreamIdle),
            _ => {}
        }
        let mut fragment = payload;
        if header.is_padded() {
            let (&length, rest) = fragment.split_first().ok_or(Reason::FrameSize)?;
            let end = rest.len().checked_sub(usize::from(length)).ok_or(Reason::Padding)?;
            fragment = &rest[..end];
        }
        let mut depends_on_itself = false;
        if header.has_priority() {
            let ([a, b, c, d, _], rest) =
                fragment.split_first_chunk::<5>().ok_or(Reason::FrameSize)?;
            depends_on_itself = StreamId::read([*a, *b, *c, *d]) == header.stream;
            fragment = rest;
        }
        let block = Block {
            stream: header.stream,
            end_stream: header.has(frame::END_STREAM),
            depends_on_itself,
            frames: 1,
            bytes: Vec::new(),
        };
        if header.has(frame::END_HEADERS) {
            return self.take_block(&block, fragment);
        }
        self.block = Some(Block { bytes: fragment.to_vec(), ..block });
        self.check_block()?;
        Ok(None)
    }

    /// RFC 9113 §6.10.
    pub(super) fn take_continuation(
        &mut self,
        header: &Header,
        payload: &[u8],
    ) -> Result<Option<Event>, Reason> {
        if let Some(block) = &mut self.block {
            block.frames += 1;
            block.bytes.extend_from_slice(payload);
        }
        self.check_block()?;
        if !header.has(frame::END_HEADERS) {
            return Ok(None);
        }
        match self.block.take() {
            Some(block) => self.take_block(&block, &block.bytes),
            None => Ok(None),
        }
    }

    /// A block must be read whole or not at all; so how much of one is kept is a matter of the
    /// connection.
    fn check_block(&self) -> Result<(), Reason> {
        let Some(block) = &self.block else { return Ok(()) };
        if block.frames > self.limits.header_frames {
            return Err(Reason::HeaderFrames);
        }
        // A block of a head that is not too large is not larger than it.
        if block.bytes.len() > self.limits.head_bytes {
            return Err(Reason::HeaderBlock);
        }
        Ok(())
    }

    /// Reads a block, whatever is made of it: later ones need what it puts into the table.
    fn take_block(&mut self, block: &Block, bytes: &[u8]) -> Result<Option<Event>, Reason> {
        self.fields.restart(self.limits.head_bytes, self.limits.fields);
        self.decoder.decode(bytes, &mut self.fields).map_err(|_| Reason::Compression)?;
        if self.fields.excess() == Some(Excess::Patience) {
            return Err(Reason::HeaderBlock);
        }
        self.text.clear();
        self.secret.clear();
        for name in self.fields.secret() {
            self.secret.extend_from_slice(name);
            self.secret.push(b'\n');
        }
        let id = block.stream;
        if let Some(stream) = self.streams.get(&id.get()) {
            if !stream.incoming.is_open {
                return self.refuse(id, Reason::StreamClosed);
            }
            if block.depends_on_itself {
                return self.refuse(id, Reason::Dependency);
            }
            return match (self.role, stream.incoming.content) {
                (Role::Client(_), Content::NoHead) => self.take_answer(block),
                _ => self.take_trailers(block),
            };
        }
        if id > self.last {
            self.last = id;
            self.counts.streams += 1;
            return self.take_request(block);
        }
        // RFC 9113 §5.1: what we have reset the peer may still send on; what has ended it may not.
        if self.may_not_know(id) { Ok(None) } else { Err(Reason::StreamClosed) }
    }

    fn take_request(&mut self, block: &Block) -> Result<Option<Event>, Reason> {
        let id = block.stream;
        if self.is_beyond_end(id) {
            return Ok(None);
        }
        if self.streams.len() >= self.limits.streams as usize {
            return self.refuse(id, Reason::TooManyStreams);
        }
        if self.counts.heads + self.output.len() > self.limits.memory {
            return self.refuse(id, Reason::Budget);
        }
        if block.depends_on_itself {
            return self.refuse(id, Reason::Dependency);
        }
        if let Some(excess) = self.fields.excess() {
            return self.refuse_large(block, excess);
        }
        let Role::Server(seed) = self.role else { return Err(Reason::StreamIdle) };
        let seed = seed ^ u64::from(id.get());
        let request = match read::request(&self.fields, block.end_stream, seed, &mut self.text) {
            Ok(request) => request,
            Err(reason) => return self.refuse(id, reason),
        };
        let window = i64::from(self.peer.window);
        let mut stream = Stream::new(request.content, self.stream_window(), window);
        stream.incoming.is_open = !block.end_stream;
        stream.incoming.head = self.text.len();
        stream.outgoing.asked = request.asked;
        self.counts.heads += self.text.len();
        self.streams.insert(id.get(), stream);
        Ok(Some(Event::Head { stream: id, end: block.end_stream }))
    }

    /// A head that is too large is answered: whoever sent it can do something about it.
    fn refuse_large(&mut self, block: &Block, excess: Excess) -> Result<Option<Event>, Reason> {
        let id = block.stream;
        self.control(|_| ())?;
        let at = frame::begin_headers(&mut self.output, id, true);
        self.encoder.begin(&mut self.output);
        self.encoder.field(&mut self.output, b":status", b"431", Secrecy::Public);
        self.encoder.field(&mut self.output, b"content-length", b"0", Secrecy::Public);
        frame::end_headers(&mut self.output, at, id, self.peer.frame as usize);
        if !block.end_stream {
            self.control(|output| frame::rst_stream(output, id, ErrorCode::NO_ERROR))?;
        }
        self.count_mistake(id, too_large(excess))
    }

    /// An answer, an interim one perhaps.
    fn take_answer(&mut self, block: &Block) -> Result<Option<Event>, Reason> {
        let id = block.stream;
        if let Some(excess) = self.fields.excess() {
            return self.refuse(id, too_large(excess));
        }
        let Some(stream) = self.streams.get_mut(&id.get()) else { return Ok(None) };
        let outgoing = &stream.outgoing;
        match read::answer(&self.fields, block.end_stream, outgoing, &mut self.text) {
            Ok(content) => stream.incoming.content = content,
            Err(reason) => return self.refuse(id, reason),
        }
        if block.end_stream {
            self.end_incoming(id);
        }
        Ok(Some(Event::Head { stream: id, end: block.end_stream }))
    }

    /// RFC 9113 §8.1.
    fn take_trailers(&mut self, block: &Block) -> Result<Option<Event>, Reason> {
        let id = block.stream;
        let Some(stream) = self.streams.get_mut(&id.get()) else { return Ok(None) };
        let incoming = &mut stream.incoming;
        let refused = if !block.end_stream || incoming.content == Content::Tunnel {
            Some(Reason::TrailersNotLast)
        } else if let Some(excess) = self.fields.excess() {
            Some(too_large(excess))
        } else if !incoming.count(0, true) {
            Some(Reason::ContentLength)
        } else {
            let chunked = incoming.content == Content::Chunked;
            read::trailers(&self.fields, chunked, &mut self.text).err()
        };
        if let Some(reason) = refused {
            return self.refuse(id, reason);
        }
        self.end_incoming(id);
        Ok(Some(Event::Trailers { stream: id }))
    }
}

fn too_large(excess: Excess) -> Reason {
    match excess {
        Excess::Bytes | Excess::Patience => Reason::HeadTooLarge,
        Excess::Fields => Reason::TooManyFields,
    }
}
