//! Frames: a length in four bytes, a kind in one, and what that kind has.

use super::field::{Fields, Malformed};
use super::hello;
use crate::rpc::{EncodeError, Fatal, Limits};

/// The kind of a frame, and two marks on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind(u8);

impl Kind {
    pub(super) const CALL: Self = Self(1);
    pub(super) const REPLY: Self = Self(2);
    pub(super) const ERROR: Self = Self(3);
    pub(super) const CANCEL: Self = Self(4);
    pub(super) const ITEM: Self = Self(5);
    pub(super) const END: Self = Self(6);
    pub(super) const CREDIT: Self = Self(7);
    pub(super) const PING: Self = Self(8);
    pub(super) const PONG: Self = Self(9);
    pub(super) const GOAWAY: Self = Self(10);
    pub(super) const OPEN: Self = Self(11);

    /// The body is JSON.
    const JSON: u8 = 0x40;
    /// Whoever does not know the kind skips the frame.
    const SKIPPABLE: u8 = 0x80;

    pub(super) const fn json(self) -> Self {
        Self(self.0 | Self::JSON)
    }

    const fn is_skippable(self) -> bool {
        self.0 & Self::SKIPPABLE != 0
    }

    /// Without the mark, and whether it was there. Only frames that have a body may have it.
    fn split_json(self) -> (Self, bool) {
        let plain = Self(self.0 & !Self::JSON);
        let marked = plain != self && matches!(plain, Self::CALL | Self::REPLY | Self::ITEM);
        if marked { (plain, true) } else { (self, false) }
    }

    /// Of a malformed frame.
    #[cold]
    pub(super) fn fatal(self, error: Malformed) -> Fatal {
        let name = match self {
            Self::CALL => "CALL",
            Self::REPLY => "REPLY",
            Self::ERROR => "ERROR",
            Self::CANCEL => "CANCEL",
            Self::ITEM => "ITEM",
            Self::END => "END",
            Self::CREDIT => "CREDIT",
            Self::PING => "PING",
            Self::PONG => "PONG",
            Self::GOAWAY => "GOAWAY",
            Self::OPEN => "OPEN",
            Self(kind) => return Fatal(format!("native: frame of kind {kind:#04x}: {}", error.0)),
        };
        error.within(name)
    }

    /// Of a frame that this side cannot get, or that nobody knows.
    #[cold]
    pub(super) fn unexpected(self) -> Fatal {
        self.fatal(Malformed("not to be sent to this side"))
    }
}

/// A frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) kind: Kind,
    /// Whether its body is JSON.
    pub(super) json: bool,
    pub(super) fields: Fields<'a>,
    /// Of a frame over the limit: its length. Then `fields` are its beginning, and the rest is skipped.
    pub(super) over: Option<usize>,
}

/// Takes frames from a stream.
#[derive(Debug)]
pub(super) struct Frames {
    limit: usize,
    /// Whether the hello has been read.
    greeted: bool,
    /// What is still to come of a frame over the limit.
    skip: usize,
    needs: usize,
}

impl Frames {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { limit: limits.message, greeted: false, skip: 0, needs: 1 }
    }

    #[inline]
    pub(super) fn next<'a>(
        &mut self,
        input: &'a [u8],
        taken: &mut usize,
    ) -> Result<Option<Frame<'a>>, Fatal> {
        let mut rest = input;
        let mut take = |rest: &mut &'a [u8], bytes: usize| {
            *rest = rest.get(bytes..).unwrap_or_default();
            *taken += bytes;
        };
        if !self.greeted {
            let Some(bytes) = hello::read(rest)? else {
                self.needs = rest.len() + 1;
                return Ok(None);
            };
            take(&mut rest, bytes);
            self.greeted = true;
        }
        loop {
            if self.skip > 0 {
                let bytes = self.skip.min(rest.len());
                take(&mut rest, bytes);
                self.skip -= bytes;
            }
            let Some((length, frame)) = rest.split_first_chunk() else {
                self.needs = if self.skip > 0 { 1 } else { LENGTH };
                return Ok(None);
            };
            let length = u32::from_le_bytes(*length) as usize;
            let over = length > self.limit;
            let wanted = if over { self.limit.min(BEGINNING) } else { length };
            let Some(frame) = frame.get(..wanted) else {
                self.needs = LENGTH + wanted;
                return Ok(None);
            };
            let Some((kind, fields)) = frame.split_first() else {
                return Err(Fatal("native: a frame of no bytes".to_owned()));
            };
            take(&mut rest, LENGTH + wanted);
            self.skip = length - wanted;
            let (kind, json) = Kind(*kind).split_json();
            if kind.is_skippable() {
                continue;
            }
            let over = over.then_some(length);
            return Ok(Some(Frame { kind, json, fields: Fields::new(fields), over }));
        }
    }

    pub(super) const fn needs(&self) -> usize {
        self.needs
    }

    /// What is said of a frame over the limit.
    #[cold]
    pub(super) fn too_large(&self, length: usize) -> String {
        format!("a message of {length} bytes is over the limit of {}", self.limit)
    }
}

/// Begins a stream, if it has not, and then a frame.
#[derive(Debug, Default)]
pub(super) struct Writer {
    greeted: bool,
}

impl Writer {
    /// Begins a frame; tells where, for [`finish`].
    pub(super) fn begin(&mut self, out: &mut Vec<u8>, kind: Kind) -> usize {
        if !self.greeted {
            self.greeted = true;
            hello::write(out);
        }
        let start = out.len();
        out.extend_from_slice(&[0, 0, 0, 0, kind.0]);
        start
    }

    /// A frame that is a few numbers and cannot be too long.
    pub(super) fn small(
        &mut self,
        out: &mut Vec<u8>,
        kind: Kind,
        fields: impl FnOnce(&mut Vec<u8>),
    ) {
        let start = self.begin(out, kind);
        fields(out);
        // Invariant: `fields` writes a few bytes, so their number fits.
        let length = out.len() - start - LENGTH;
        put_length(out, start, length as u32);
    }
}

/// Puts the length of the frame that began at `start` before it, unless four bytes cannot say it.
pub(super) fn finish(out: &mut [u8], start: usize) -> Result<(), EncodeError> {
    let length = out.len() - start - LENGTH;
    let Ok(length) = u32::try_from(length) else {
        return Err(EncodeError(format!(
            "a message of {length} bytes is more than a frame can hold"
        )));
    };
    put_length(out, start, length);
    Ok(())
}

fn put_length(out: &mut [u8], start: usize, length: u32) {
    if let Some(place) = out.get_mut(start..).and_then(<[u8]>::first_chunk_mut) {
        *place = length.to_le_bytes();
    }
}

/// The bytes of a length.
const LENGTH: usize = 4;

/// As much of a frame over the limit as says whose it is: kind, flags, numbers, and the longest name.
const BEGINNING: usize = 2 + 3 * super::field::NUMBER + super::methods::LONGEST;
