//! The body of an answer, from how it was read to how it is written.

use locum_wire::http1::{self, Chunked, Framing, Piece, encode};

use super::Relay;
use crate::buffer;
use crate::compress::Coder;
use crate::forward::{self, Delivery};
use crate::grpc::Status;

/// What is left to read of the answer.
pub(super) enum Body {
    Length(u64),
    /// So many bytes, of which none leaves as it came.
    Recoded(u64),
    Chunked(Box<Chunked>),
    UntilClose,
    Done,
}

/// Trailers and chunk lines of an answer.
const LIMITS: http1::Limits = http1::Limits { head_bytes: 64 * 1024, fields: 100, target_bytes: 0 };
/// Up to here a body is copied behind its head, above it is written from where it was read.
const COPIED: usize = 4 * 1024;

impl Body {
    /// That of an answer which is framed so.
    pub(super) fn framed(framing: Framing, recoded: bool) -> Self {
        match framing {
            Framing::None | Framing::Length(0) => Self::Done,
            Framing::Length(length) if recoded => Self::Recoded(length),
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(Box::new(Chunked::new(&LIMITS))),
            Framing::UntilClose => Self::UntilClose,
        }
    }
}

impl Relay {
    /// Turns chunks that were read into chunks to write, and small bodies into a part of `out`.
    pub(super) fn decode(&mut self) -> Result<(), http1::Error> {
        let buffer = &mut self.answered.connection.buffer;
        match &mut self.body {
            Body::Done => {}
            Body::Length(left) => {
                let take = buffer.filled().len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                if self.sent == 0 && take <= COPIED && !self.out.is_empty() {
                    self.out.extend_from_slice(&buffer.filled()[..take]);
                    buffer.consume(take);
                    *left -= take as u64;
                }
                if *left == 0 {
                    self.body = Body::Done;
                }
            }
            Body::Recoded(left) => {
                let take = buffer.filled().len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                let content = &buffer.filled()[..take];
                append_content(&mut self.out, self.delivery, &mut self.coder, content);
                buffer.consume(take);
                *left -= take as u64;
                if *left == 0 {
                    append_end(&mut self.out, self.delivery, &mut self.coder, std::iter::empty());
                    self.body = Body::Done;
                }
            }
            Body::Chunked(decoder) => {
                while self.out.len() < buffer::SIZE {
                    let input = buffer.filled();
                    let (consumed, piece) = decoder.next(input)?;
                    match piece {
                        Piece::Data(range) => {
                            let content = &input[range];
                            append_content(&mut self.out, self.delivery, &mut self.coder, content);
                            buffer.consume(consumed);
                        }
                        Piece::NeedMore => {
                            buffer.consume(consumed);
                            break;
                        }
                        Piece::End => {
                            let trailers = decoder.trailers();
                            append_end(&mut self.out, self.delivery, &mut self.coder, trailers);
                            if let Some(status) = &mut self.grpc {
                                *status = Status::of_trailers(decoder.trailers());
                            }
                            buffer.consume(consumed);
                            self.body = Body::Done;
                            break;
                        }
                    }
                }
            }
            Body::UntilClose => {
                if !buffer.is_empty() && self.out.len() < buffer::SIZE {
                    let content = buffer.filled();
                    append_content(&mut self.out, self.delivery, &mut self.coder, content);
                    buffer.consume(buffer.filled().len());
                }
            }
        }
        Ok(())
    }

    /// Whether bytes were read that go to the client as they are.
    pub(super) fn has_passing_bytes(&self) -> bool {
        matches!(self.body, Body::Length(_)) && !self.answered.connection.buffer.is_empty()
    }

    /// Has what the coder holds go out. False: it holds nothing.
    pub(super) fn flush(&mut self) -> bool {
        let Some(coder) = &mut self.coder else { return false };
        let piece = coder.flush();
        append_piece(&mut self.out, self.delivery, piece);
        !piece.is_empty()
    }
}

fn append_content(
    out: &mut Vec<u8>,
    delivery: Delivery,
    coder: &mut Option<Box<Coder>>,
    content: &[u8],
) {
    match coder {
        None => append_piece(out, delivery, content),
        Some(coder) => append_piece(out, delivery, coder.write(content)),
    }
}

/// Appends what is left of the content, and the end of it.
pub(super) fn append_end<'a>(
    out: &mut Vec<u8>,
    delivery: Delivery,
    coder: &mut Option<Box<Coder>>,
    trailers: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) {
    if let Some(coder) = coder.take() {
        append_piece(out, delivery, &coder.finish());
    }
    if delivery == Delivery::Chunked {
        encode::last_chunk(out, trailers);
    }
}

fn append_piece(out: &mut Vec<u8>, delivery: Delivery, piece: &[u8]) {
    if delivery == Delivery::Chunked {
        forward::chunk(out, piece);
    } else {
        out.extend_from_slice(piece);
    }
}
