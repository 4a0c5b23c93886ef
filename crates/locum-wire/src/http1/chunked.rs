//! Content in chunks (RFC 9112 §7.1).

use std::ops::Range;

use super::byte::{self, TOKEN};
use super::field::{Line, Section};
use super::name::is_underscore_twin;
use super::{Error, Limits, Name};

/// Decodes content in chunks as it arrives, wherever it is cut.
///
/// ```
/// use locum_wire::http1::{Chunked, Limits, Piece};
///
/// let mut input = &b"5\r\nhello\r\n0\r\n\r\nGET /next"[..];
/// let mut chunked = Chunked::new(&Limits::default());
/// let mut content = Vec::new();
/// loop {
///     let (used, piece) = chunked.next(input)?;
///     match piece {
///         Piece::Data(range) => content.extend_from_slice(&input[range]),
///         Piece::NeedMore => break, // and read from the peer
///         Piece::End => {
///             input = &input[used..];
///             break;
///         }
///     }
///     input = &input[used..];
/// }
/// assert_eq!(content, b"hello");
/// assert_eq!(input, b"GET /next");
/// # Ok::<(), locum_wire::http1::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Chunked {
    stage: Stage,
    /// What is left of the current chunk's data; the size while its digits are read.
    left: u64,
    digits: u8,
    /// Bytes of extensions that no content has paid for.
    extensions: u64,
    trailer_bytes: usize,
    trailer_fields: usize,
    /// The trailer section as far as it arrived. Empty when there is none.
    trailers: Vec<u8>,
    section: Section,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Content, at this place of the input.
    Data(Range<usize>),
    /// Nothing yet; the whole input was used.
    NeedMore,
    /// The end of the content; the trailers are complete.
    End,
}

/// What is expected next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Size,
    /// White space before `;`, which nobody should send (RFC 9110 §5.6.3).
    BeforeSemicolon,
    BeforeName,
    Name,
    BeforeEquals,
    BeforeValue,
    Value,
    Quoted,
    Escaped,
    AfterQuoted,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailers,
    End,
}

/// Extensions beyond this, less the content that came with them, are refused: a sender could
/// otherwise have a server read for ever for nothing (CVE-2023-39326).
const EXTENSION_BYTES: u64 = 4 * 1024;

/// As many digits as 64 bits need, leading zeros included.
const SIZE_DIGITS: u8 = 16;

impl Chunked {
    /// A decoder at the beginning of the content.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            stage: Stage::Size,
            left: 0,
            digits: 0,
            extensions: 0,
            trailer_bytes: limits.head_bytes.min(u32::MAX as usize),
            trailer_fields: limits.fields,
            trailers: Vec::new(),
            section: Section::new(),
        }
    }

    /// Looks at `input` and says how many of its bytes were used and what was found in them.
    ///
    /// The next call gets the bytes behind the used ones. After [`Piece::End`] nothing is used any
    /// more: what follows belongs to the next message.
    ///
    /// # Errors
    ///
    /// The content is malformed, and its end cannot be known: the connection must be closed.
    pub fn next(&mut self, input: &[u8]) -> Result<(usize, Piece), Error> {
        let mut used = 0;
        loop {
            match self.stage {
                Stage::End => return Ok((used, Piece::End)),
                Stage::Trailers => {
                    let (more, is_end) = self.read_trailers(&input[used..])?;
                    used += more;
                    if !is_end {
                        return Ok((used, Piece::NeedMore));
                    }
                }
                _ if used == input.len() => return Ok((used, Piece::NeedMore)),
                Stage::Data => {
                    let there = (input.len() - used) as u64;
                    let end = used + self.left.min(there) as usize;
                    self.left -= (end - used) as u64;
                    if self.left == 0 {
                        self.stage = Stage::DataCr;
                    }
                    return Ok((end, Piece::Data(used..end)));
                }
                _ => {
                    self.stage = self.step(input[used])?;
                    used += 1;
                }
            }
        }
    }

    /// Whether the next byte is content.
    pub(crate) fn is_in_data(&self) -> bool {
        self.stage == Stage::Data
    }

    /// The trailers, once the end was found: names and values.
    ///
    /// Fields that decide framing, routing or identity, or that belong to one connection, are not
    /// among them: a trailer must never be mistaken for a field of the head (RFC 9110 §6.5.1).
    pub fn trailers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let fields = (self.stage == Stage::End).then(|| self.section.fields(&self.trailers));
        fields
            .into_iter()
            .flatten()
            .filter(|field| field.kind == Name::Other && !is_underscore_twin(field.name))
            .map(|field| (field.name, field.value))
    }

    /// One byte of everything but data and trailers.
    fn step(&mut self, byte: u8) -> Result<Stage, Error> {
        if matches!(
            self.stage,
            Stage::BeforeSemicolon
                | Stage::BeforeName
                | Stage::Name
                | Stage::BeforeEquals
                | Stage::BeforeValue
                | Stage::Value
                | Stage::Quoted
                | Stage::Escaped
                | Stage::AfterQuoted
        ) {
            self.extensions += 1;
            if self.extensions > EXTENSION_BYTES {
                return Err(Error::ChunkExtensionsTooLong);
            }
        }
        let is_token = byte::is(byte, TOKEN);
        Ok(match (self.stage, byte) {
            (Stage::Size, _) if byte.is_ascii_hexdigit() => self.read_digit(byte)?,
            (Stage::Size, _) if self.digits == 0 => return Err(refuse(byte, Error::ChunkSize)),
            (Stage::Size, b'\r') => Stage::SizeLf,
            (Stage::Size | Stage::BeforeSemicolon, b';') => Stage::BeforeName,
            (Stage::Size | Stage::BeforeSemicolon, b' ' | b'\t') => Stage::BeforeSemicolon,
            (Stage::Size, _) => return Err(refuse(byte, Error::ChunkSize)),

            // RFC 9112 §7.1.1: extensions nobody knows are skipped, but never unread.
            (Stage::BeforeName | Stage::BeforeEquals | Stage::BeforeValue, b' ' | b'\t') => {
                self.stage
            }
            (Stage::BeforeName | Stage::Name, _) if is_token => Stage::Name,
            (Stage::Name | Stage::BeforeEquals, b'=') => Stage::BeforeValue,
            (Stage::Name, b' ' | b'\t') => Stage::BeforeEquals,
            (Stage::BeforeValue | Stage::Value, _) if is_token => Stage::Value,
            (Stage::BeforeValue, b'"') => Stage::Quoted,
            (Stage::Quoted, b'"') => Stage::AfterQuoted,
            (Stage::Quoted, b'\\') => Stage::Escaped,
            (Stage::Quoted | Stage::Escaped, _) if !byte.is_ascii_control() || byte == b'\t' => {
                Stage::Quoted
            }
            (Stage::Value | Stage::AfterQuoted, b' ' | b'\t') => Stage::BeforeSemicolon,
            (Stage::Name | Stage::BeforeEquals | Stage::Value | Stage::AfterQuoted, b';') => {
                Stage::BeforeName
            }
            (Stage::Name | Stage::Value | Stage::AfterQuoted, b'\r') => Stage::SizeLf,

            (Stage::SizeLf, b'\n') => self.begin_chunk(),
            (Stage::DataCr, b'\r') => Stage::DataLf,
            (Stage::DataLf, b'\n') => Stage::Size,
            (Stage::DataCr | Stage::DataLf, _) => return Err(Error::ChunkEnd),
            (Stage::SizeLf, _) => return Err(Error::BareCr),
            _ => return Err(refuse(byte, Error::ChunkExtension)),
        })
    }

    fn read_digit(&mut self, byte: u8) -> Result<Stage, Error> {
        // RFC 9112 §7.1: a recipient must not let the size overflow.
        if self.digits == SIZE_DIGITS {
            return Err(Error::ChunkSize);
        }
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            _ => (byte | 0x20) - b'a' + 10,
        };
        self.digits += 1;
        self.left = self.left << 4 | u64::from(digit);
        Ok(Stage::Size)
    }

    /// The size is known.
    fn begin_chunk(&mut self) -> Stage {
        self.digits = 0;
        self.extensions = self.extensions.saturating_sub(self.left);
        if self.left > 0 {
            return Stage::Data;
        }
        self.section.restart(0);
        Stage::Trailers
    }

    /// Keeps trailers until they are complete; says how many bytes were used and whether they are.
    fn read_trailers(&mut self, input: &[u8]) -> Result<(usize, bool), Error> {
        // Nearly always there are none, and nothing needs to be kept.
        if self.trailers.is_empty() && input.starts_with(b"\r\n") {
            self.stage = Stage::End;
            return Ok((2, true));
        }
        let before = self.trailers.len();
        let room = self.trailer_bytes - before;
        let taken = room.min(input.len());
        self.trailers.extend_from_slice(&input[..taken]);
        loop {
            match self.section.next_line(&self.trailers, self.trailer_fields) {
                Ok(Line::Field(_)) => {}
                Ok(Line::End(end)) => {
                    self.stage = Stage::End;
                    return Ok((end - before, true));
                }
                Ok(Line::Partial) if taken == room => return Err(Error::TrailersTooLarge),
                Ok(Line::Partial) => return Ok((taken, false)),
                Err(Error::TooManyFields) => return Err(Error::TrailersTooLarge),
                Err(error) => return Err(error),
            }
        }
    }
}

/// A carriage return is no stray byte here: it ends a line that is not complete.
fn refuse(byte: u8, otherwise: Error) -> Error {
    if byte == b'\r' { otherwise } else { byte::refusal(byte, otherwise) }
}
