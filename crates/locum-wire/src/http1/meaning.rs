//! What the fields of a head say about its message and its connection.

use std::ops::Range;

use super::byte;
use super::field::Section;
use super::name::may_be_nominated;
use super::{Error, Framing, Name, Version};

/// What the fields of a head say about its message and its connection, gathered line by line so
/// that a contradiction is refused where it appears.
#[derive(Debug, Clone, Default)]
pub(super) struct Meaning {
    pub(super) length: Option<u64>,
    pub(super) chunked: bool,
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
    options: usize,
    /// The names that Connection lines have removed.
    nominated: Vec<Range<usize>>,
}

/// More options than this in all Connection lines of a head are refused: each is looked for among
/// all fields.
const OPTIONS: usize = 100;

impl Meaning {
    /// Forgets everything but the memory.
    pub(super) fn restart(&mut self) {
        let mut nominated = std::mem::take(&mut self.nominated);
        nominated.clear();
        *self = Self { nominated, ..Self::default() };
    }

    /// Takes in the last field of `section`, which is a `kind`.
    #[inline]
    pub(super) fn read(
        &mut self,
        kind: Name,
        section: &Section,
        buf: &[u8],
        version: Version,
    ) -> Result<(), Error> {
        match kind {
            Name::ContentLength => self.read_length(section.last_value(buf)),
            Name::TransferEncoding => self.read_encoding(section.last_value(buf), version),
            Name::Connection => self.read_connection(section.last_value_at(), buf),
            _ => Ok(()),
        }
    }

    /// Marks the fields that Connection lines have removed.
    pub(super) fn mark_nominated(&self, section: &mut Section, buf: &[u8]) {
        for name in &self.nominated {
            section.mark_hop(buf, byte::trim(&buf[name.clone()]));
        }
    }

    /// RFC 9112 §9.3: whether the sender wants to keep the connection.
    pub(super) fn persists(&self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep_alive)
    }

    /// The framing that the fields give, if any.
    pub(super) fn framing(&self) -> Option<Framing> {
        if self.chunked {
            return Some(Framing::Chunked);
        }
        self.length.map(Framing::Length)
    }

    /// RFC 9110 §8.6 and RFC 9112 §6.3 rule 5. Equal values might be collapsed, and leading zeros
    /// dropped; refusing them keeps the line that is passed on the one that was understood.
    fn read_length(&mut self, value: &[u8]) -> Result<(), Error> {
        if self.length.is_some() {
            return Err(Error::ContentLengthRepeated);
        }
        if self.chunked {
            return Err(Error::LengthAndEncoding);
        }
        if value.is_empty() || (value[0] == b'0' && value.len() > 1) {
            return Err(Error::ContentLength);
        }
        let length = value.iter().try_fold(0u64, |length, digit| {
            let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
            length.checked_mul(10)?.checked_add(digit)
        });
        self.length = Some(length.ok_or(Error::ContentLength)?);
        Ok(())
    }

    /// RFC 9112 §6.1 and §6.3 rules 3 and 4.
    fn read_encoding(&mut self, value: &[u8], version: Version) -> Result<(), Error> {
        if version == Version::Http10 {
            return Err(Error::TransferEncodingMisplaced);
        }
        // Two lines are one list, in which chunked would not be final or be applied twice.
        if self.chunked {
            return Err(Error::TransferEncoding);
        }
        if self.length.is_some() {
            return Err(Error::LengthAndEncoding);
        }
        if !value.eq_ignore_ascii_case(b"chunked") {
            return Err(refuse_codings(value));
        }
        self.chunked = true;
        Ok(())
    }

    /// RFC 9110 §7.6.1.
    fn read_connection(&mut self, value: Range<usize>, buf: &[u8]) -> Result<(), Error> {
        // As most say it.
        match &buf[value.clone()] {
            b"keep-alive" if self.options < OPTIONS => {
                self.options += 1;
                self.keep_alive = true;
                return Ok(());
            }
            _ => {}
        }
        let mut start = value.start;
        for element in buf[value].split(|&byte| byte == b',') {
            self.options += 1;
            if self.options > OPTIONS {
                return Err(Error::ConnectionOptions);
            }
            let option = byte::trim(element);
            if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade = true;
            } else if may_be_nominated(option) {
                self.nominated.push(start..start + element.len());
            }
            start += element.len() + 1;
        }
        Ok(())
    }
}

/// Tells codings that could be understood from lists that are malformed: RFC 9112 §6.1 asks for
/// 501 in the one case and §6.3 rule 4 for 400 in the other.
fn refuse_codings(value: &[u8]) -> Error {
    let mut codings = value.split(|&it| it == b',').map(byte::trim).rev();
    let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let is_token =
        |coding: &[u8]| !coding.is_empty() && coding.iter().all(|&it| byte::is(it, byte::TOKEN));
    let chunked_is_final = codings.next().is_some_and(is_chunked);
    if chunked_is_final && codings.all(|coding| is_token(coding) && !is_chunked(coding)) {
        Error::TransferCodingUnsupported
    } else {
        Error::TransferEncoding
    }
}
