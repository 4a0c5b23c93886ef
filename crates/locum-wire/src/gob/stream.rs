//! A gob stream, read.

use std::fmt;
use std::sync::Arc;

use super::defined::{Defined, Kind, fatal, number};
use super::num::{singleton, size, uint};
use super::walk::{Progress, Stop, Walk};
use super::{Corrupt, TypeId, Types};
use crate::rpc::{DecodeError, Fatal, Limits};

/// Reads one gob stream.
///
/// ```
/// use locum_wire::{gob, rpc::Limits};
/// // What Go's `encoder.Encode(3)` writes.
/// let input = [0x03, 0x04, 0x00, 0x06];
/// let mut stream = gob::Stream::new(&Limits::default());
/// let mut taken = 0;
/// let raw = stream.next(&input, &mut taken)?.unwrap();
/// assert_eq!((raw.id, raw.bytes), (gob::TypeId::INT, &[6][..]));
/// assert_eq!(taken, input.len());
/// # Ok::<_, gob::StreamError>(())
/// ```
#[derive(Debug)]
pub struct Stream {
    defined: Defined,
    limits: Limits,
    /// A value with definitions in its middle, all of whose messages so far were taken.
    broken: Option<Box<Walk>>,
    /// A value that had to be put together; given once, and let go when the next is asked for.
    whole: Vec<u8>,
    /// What is still to come of a message over the limit.
    skip: usize,
    needs: usize,
}

/// One whole value of a stream: everything that stood between its parts (definitions) is taken out.
#[derive(Clone, Copy, Debug)]
pub struct Raw<'a> {
    /// What the stream has defined so far.
    pub types: &'a Arc<Types>,
    /// The value's type, which is defined.
    pub id: TypeId,
    /// The value alone. Unless there are interfaces in it, nobody has looked at it.
    ///
    /// An interface's value is its name, its type's number, its length, and the value itself, which has a zero
    /// before it unless it is a struct; nil is an empty name.
    pub bytes: &'a [u8],
}

/// What is wrong with a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamError {
    /// A value, which was taken; the stream goes on.
    Malformed(DecodeError),
    /// The same of a value in a message over the limit, the rest of which is passed over as it comes.
    TooLarge(DecodeError),
    /// The stream itself.
    Fatal(Fatal),
}

impl Stream {
    /// At its beginning.
    pub fn new(limits: &Limits) -> Self {
        Self {
            defined: Defined::new(limits),
            limits: *limits,
            broken: None,
            whole: Vec::new(),
            skip: 0,
            needs: 1,
        }
    }

    /// The next value, once `input`, the bytes not taken so far, has all of it. Adds to `taken` how many of
    /// them are done with, also where there is no value yet; the next call is given the rest.
    ///
    /// # Errors
    ///
    /// [`StreamError::Malformed`]: a value is not what its type says, and was taken. Values without
    /// interfaces are not looked at here.
    /// [`StreamError::TooLarge`]: a value that can have no definitions in it is over the limit of a message.
    /// [`StreamError::Fatal`]: the stream is beyond repair; anything else over the limit is that.
    pub fn next<'a>(
        &'a mut self,
        input: &'a [u8],
        taken: &mut usize,
    ) -> Result<Option<Raw<'a>>, StreamError> {
        let Some(found) = self.advance(input, taken)? else {
            return Ok(None);
        };
        Ok(Some(match found {
            Found::Borrowed(id, bytes) => Raw { types: &self.defined.types, id, bytes },
            Found::Whole(id) => Raw { types: &self.defined.types, id, bytes: &self.whole },
        }))
    }

    /// How many bytes the input has to have before another [`next`](Self::next) is worth while; never more
    /// than a message may have and its length takes.
    pub fn needs(&self) -> usize {
        self.needs
    }

    /// What the stream has defined so far.
    pub fn types(&self) -> &Arc<Types> {
        &self.defined.types
    }

    /// Whether another stream is to take its place: more than half of what it may define is defined.
    pub fn is_worn(&self) -> bool {
        self.defined.is_worn(&self.limits)
    }

    fn advance<'a>(
        &mut self,
        input: &'a [u8],
        taken: &mut usize,
    ) -> Result<Option<Found<'a>>, StreamError> {
        // It may be large, and the next of its kind far away.
        self.whole = Vec::new();
        let mut rest = input;
        loop {
            let before = rest.len();
            let found = self.message(&mut rest);
            *taken += before - rest.len();
            let Some(message) = found? else {
                return Ok(None);
            };
            if let Some(found) = self.take(message)? {
                return Ok(Some(found));
            }
        }
    }

    /// Cuts off one message, and what is to be skipped before it.
    fn message<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, StreamError> {
        if self.skip > 0 {
            let skipped = self.skip.min(input.len());
            *input = input.get(skipped..).unwrap_or_default();
            self.skip -= skipped;
        }
        let mut rest = *input;
        let Some(first) = rest.first() else {
            self.needs = 1;
            return Ok(None);
        };
        let prefix = size(*first).map_err(fatal)?;
        if rest.len() < prefix {
            self.needs = prefix;
            return Ok(None);
        }
        let length = uint(&mut rest).map_err(fatal)?;
        let length = usize::try_from(length).ok().filter(|it| (1..=TOO_BIG).contains(it));
        let Some(length) = length else {
            return Err(Fatal("gob: invalid message length".to_owned()).into());
        };
        if length > self.limits.message {
            return self.pass_over(input, prefix, length);
        }
        let Some((message, rest)) = rest.split_at_checked(length) else {
            self.needs = length.saturating_add(prefix);
            return Ok(None);
        };
        *input = rest;
        Ok(Some(message))
    }

    /// Gives up the value in a message over the limit, once its type is there: one that can have no definition in
    /// it, which the rest of the stream would lack.
    #[cold]
    fn pass_over<'a>(
        &mut self,
        input: &mut &'a [u8],
        prefix: usize,
        length: usize,
    ) -> Result<Option<&'a [u8]>, StreamError> {
        let begun = input.get(prefix..).unwrap_or_default();
        let id_size = begun.first().map_or(Ok(1), |first| size(*first)).map_err(fatal)?;
        if begun.len() < id_size {
            self.needs = prefix + id_size;
            return Ok(None);
        }
        let text = format!(
            "gob: a message of {length} bytes is over the limit of {}",
            self.limits.message
        );
        let kind = TypeId::from_wire(number(&mut &*begun)?).and_then(|id| self.defined.kind(id));
        if self.broken.is_some() || kind.is_none_or(|kind| kind.has_interface) {
            return Err(Fatal(text).into());
        }
        *input = begun;
        self.skip = length;
        Err(StreamError::TooLarge(DecodeError(text)))
    }

    /// Takes a message, and gives the value that it ends, if it ends one.
    fn take<'a>(&mut self, message: &'a [u8]) -> Result<Option<Found<'a>>, StreamError> {
        if self.broken.is_some() {
            return self.resume(message);
        }
        let mut rest = message;
        let id = number(&mut rest)?;
        if id < 0 {
            return self.define(id, rest).map(|()| None);
        }
        let id = TypeId::from_wire(id).ok_or(Corrupt::UnknownType)?;
        let Kind { is_struct, has_interface } =
            self.defined.kind(id).ok_or(Corrupt::UnknownType)?;
        if !is_struct {
            singleton(&mut rest)?;
        }
        if !has_interface {
            return Ok(Some(Found::Borrowed(id, rest)));
        }
        self.walk(id, rest)
    }

    #[cold]
    fn define(&mut self, id: i64, mut rest: &[u8]) -> Result<(), StreamError> {
        self.defined.define(id, &mut rest)?;
        if rest.is_empty() { Ok(()) } else { Err(fatal(Corrupt::Long).into()) }
    }

    /// Takes the first message of a value with interfaces in it.
    #[inline(never)]
    fn walk<'a>(&mut self, id: TypeId, rest: &[u8]) -> Result<Option<Found<'a>>, StreamError> {
        let mut walk = Walk::new(id, &self.limits);
        let progress = walk.begin(rest, &mut self.defined)?;
        Ok(self.walked(walk, progress))
    }

    /// Takes another message of such a value.
    #[cold]
    fn resume<'a>(&mut self, message: &[u8]) -> Result<Option<Found<'a>>, StreamError> {
        let Some(mut walk) = self.broken.take() else {
            return Ok(None);
        };
        let progress = walk.resume(message, &mut self.defined)?;
        Ok(self.walked(*walk, progress))
    }

    fn walked<'a>(&mut self, walk: Walk, progress: Progress) -> Option<Found<'a>> {
        match progress {
            Progress::Whole => {
                let id = walk.id;
                self.whole = walk.value;
                Some(Found::Whole(id))
            }
            Progress::Broken => {
                self.broken = Some(Box::new(walk));
                None
            }
        }
    }
}

/// A value, and where it is.
enum Found<'a> {
    /// In the input.
    Borrowed(TypeId, &'a [u8]),
    /// In [`Stream::whole`].
    Whole(TypeId),
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) | Self::TooLarge(error) => error.fmt(f),
            Self::Fatal(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StreamError {}

impl From<Corrupt> for StreamError {
    fn from(corrupt: Corrupt) -> Self {
        Self::Malformed(corrupt.into())
    }
}

impl From<Fatal> for StreamError {
    fn from(fatal: Fatal) -> Self {
        Self::Fatal(fatal)
    }
}

impl From<Stop> for StreamError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Corrupt(corrupt) => corrupt.into(),
            Stop::Fatal(fatal) => fatal.into(),
        }
    }
}

/// What is longer is no message, as in Go (encoding/gob/decoder.go, `tooBig`).
const TOO_BIG: usize = 1 << 30;
