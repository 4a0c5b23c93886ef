//! What frames are made of: numbers in LEB128, and bytes with their length before them.

use crate::rpc::Fatal;

/// The most bytes a number has.
pub(super) const NUMBER: usize = 10;

pub(super) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A number with a sign: 0, -1, 1, -2, … become 0, 1, 2, 3, ….
pub(super) const fn fold(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

pub(super) const fn unfold(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// What is left of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(&'a [u8]);

/// A frame is not what its kind says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

impl Malformed {
    #[cold]
    pub(super) fn within(self, frame: &str) -> Fatal {
        Fatal(format!("native: {frame}: {}", self.0))
    }
}

impl<'a> Fields<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        let (byte, rest) = self.0.split_first().ok_or(SHORT)?;
        self.0 = rest;
        Ok(*byte)
    }

    #[inline]
    pub(super) fn number(&mut self) -> Result<u64, Malformed> {
        match self.0 {
            [byte @ 0..0x80, rest @ ..] => {
                self.0 = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_number(),
        }
    }

    fn long_number(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for (at, byte) in self.0.iter().enumerate().take(NUMBER) {
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit.
            if at == NUMBER - 1 && bits > 1 {
                break;
            }
            number |= bits << (7 * at);
            if byte & 0x80 == 0 {
                self.0 = self.0.get(at + 1..).unwrap_or_default();
                return Ok(number);
            }
        }
        Err(if self.0.len() < NUMBER { SHORT } else { Malformed("a number beyond 64 bits") })
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], Malformed> {
        let (array, rest) = self.0.split_first_chunk().ok_or(SHORT)?;
        self.0 = rest;
        Ok(array)
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.number()?).map_err(|_| SHORT)?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(SHORT)?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        str::from_utf8(self.bytes()?).map_err(|_| Malformed("a text that is not UTF-8"))
    }

    /// All that is left.
    pub(super) const fn rest(self) -> &'a [u8] {
        self.0
    }

    /// That nothing is left.
    pub(super) fn end(self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed("more bytes than it has fields")) }
    }
}

const SHORT: Malformed = Malformed("cut short");
