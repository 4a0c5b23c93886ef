//! Messages of protobuf, field by field: for the few small ones that a proxy says and reads itself.
//!
//! Whoever writes knows the numbers of the fields from the message's definition; whoever reads looks for those that it
//! wants and passes over the others, which may come of a later version.

/// Adds fields to a message. What equals its default is written as well; leaving it out is the caller's choice.
#[derive(Debug)]
pub struct Writer<'a>(pub &'a mut Vec<u8>);

impl Writer<'_> {
    /// A field of the types `uint64`, `uint32`, `bool` or an enum.
    pub fn number(&mut self, field: u32, value: u64) {
        self.key(field, VARINT);
        varint(self.0, value);
    }

    /// A field of the type `int64`, where a negative number takes ten bytes.
    pub fn signed(&mut self, field: u32, value: i64) {
        self.number(field, value.cast_unsigned());
    }

    /// A field of the types `fixed64` or `sfixed64`.
    pub fn fixed64(&mut self, field: u32, value: u64) {
        self.key(field, FIXED64);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// A field of the type `fixed32`.
    pub fn fixed32(&mut self, field: u32, value: u32) {
        self.key(field, FIXED32);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// A field of the type `double`.
    pub fn double(&mut self, field: u32, value: f64) {
        self.fixed64(field, value.to_bits());
    }

    /// A field of the type `bytes`.
    pub fn bytes(&mut self, field: u32, value: &[u8]) {
        self.key(field, BYTES);
        varint(self.0, value.len() as u64);
        self.0.extend_from_slice(value);
    }

    /// A field of the type `string`.
    pub fn text(&mut self, field: u32, value: &str) {
        self.bytes(field, value.as_bytes());
    }

    /// A field that is the message that `write` writes.
    pub fn message(&mut self, field: u32, write: impl FnOnce(&mut Writer<'_>)) {
        self.key(field, BYTES);
        let begin = self.0.len();
        write(&mut Writer(self.0));
        // The length comes first and takes as much room as it needs, so it is put in its place afterwards.
        let end = self.0.len();
        varint(self.0, (end - begin) as u64);
        let length = self.0.len() - end;
        self.0[begin..].rotate_right(length);
    }

    fn key(&mut self, field: u32, kind: u8) {
        varint(self.0, u64::from(field) << 3 | u64::from(kind));
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// A number, an enum's or a `bool`; a negative one as its two's complement.
    Number(u64),
    /// A number of eight bytes.
    Fixed64(u64),
    /// A number of four bytes.
    Fixed32(u32),
    /// Bytes, a text, or a message.
    Bytes(&'a [u8]),
}

/// The fields of a message in their order.
///
/// ```
/// use locum_wire::protobuf::{Fields, Value, Writer};
/// let mut message = Vec::new();
/// let mut out = Writer(&mut message);
/// out.text(1, "hello");
/// out.message(2, |out| out.number(1, 300));
/// let mut fields = Fields::of(&message);
/// assert_eq!(fields.next(), Some(Ok((1, Value::Bytes(b"hello")))));
/// assert_eq!(fields.next(), Some(Ok((2, Value::Bytes(&[0x08, 0xac, 0x02])))));
/// assert_eq!(fields.next(), None);
/// ```
#[derive(Clone, Debug)]
pub struct Fields<'a>(&'a [u8]);

/// Bytes are no message of protobuf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not a message of protobuf")
    }
}

impl std::error::Error for Malformed {}

impl<'a> Fields<'a> {
    /// Those of this message.
    pub const fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    fn read(&mut self) -> Option<(u32, Value<'a>)> {
        let key = self.varint()?;
        let field = u32::try_from(key >> 3).ok().filter(|field| *field > 0)?;
        let value = match key as u8 & 7 {
            VARINT => Value::Number(self.varint()?),
            FIXED64 => Value::Fixed64(u64::from_le_bytes(*self.take_chunk()?)),
            FIXED32 => Value::Fixed32(u32::from_le_bytes(*self.take_chunk()?)),
            BYTES => {
                let length = usize::try_from(self.varint()?).ok()?;
                let (bytes, rest) = self.0.split_at_checked(length)?;
                self.0 = rest;
                Value::Bytes(bytes)
            }
            // Groups, which nobody has written for a long time.
            _ => return None,
        };
        Some((field, value))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            // Ten bytes have room for more than 64 bits; what does not fit is cut off, as others do.
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn take_chunk<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (chunk, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(chunk)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let read = self.read().ok_or(Malformed);
        if read.is_err() {
            self.0 = &[];
        }
        Some(read)
    }
}

/// Wire types (protobuf.dev, "Encoding").
const VARINT: u8 = 0;
/// See above.
const FIXED64: u8 = 1;
/// See above.
const BYTES: u8 = 2;
/// See above.
const FIXED32: u8 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_written_as_the_specification_shows_them() {
        let mut message = Vec::new();
        let mut out = Writer(&mut message);
        // The examples of protobuf.dev, "Encoding".
        out.number(1, 150);
        out.text(2, "testing");
        out.message(3, |out| out.number(1, 150));
        out.signed(4, -1);
        out.fixed32(5, 1);
        out.double(6, 1.5);
        let (head, tail) = message.split_at(17);
        assert_eq!(head, b"\x08\x96\x01\x12\x07testing\x1a\x03\x08\x96\x01");
        assert_eq!(tail[..11], *b"\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
        assert_eq!(tail[11..16], *b"\x2d\x01\0\0\0");
        assert_eq!(tail[16..], *b"\x31\0\0\0\0\0\0\xf8\x3f");
    }

    #[test]
    fn a_long_message_inside_of_another_has_its_length_before_it() {
        let long = "x".repeat(300);
        let mut message = Vec::new();
        Writer(&mut message).message(1, |out| out.message(2, |out| out.text(3, &long)));
        let only = |message| {
            let mut fields = Fields::of(message);
            let Some(Ok((field, Value::Bytes(bytes)))) = fields.next() else {
                panic!("{fields:?}")
            };
            assert_eq!(fields.next(), None);
            (field, bytes)
        };
        let (field, inner) = only(&message);
        assert_eq!(field, 1);
        let (field, innermost) = only(inner);
        assert_eq!((field, only(innermost)), (2, (3, long.as_bytes())));
    }

    #[test]
    fn what_is_cut_or_no_message_is_an_error_and_the_end() {
        let mut message = Vec::new();
        let mut out = Writer(&mut message);
        out.number(1, u64::MAX);
        out.fixed64(2, 7);
        out.fixed32(3, 7);
        out.text(4, "hello");
        assert!(Fields::of(&message).all(|field| field.is_ok()));
        let ends = [0, 11, 20, 25, message.len()];
        for cut in 0..message.len() {
            let whole = Fields::of(&message[..cut]).all(|field| field.is_ok());
            assert_eq!(whole, ends.contains(&cut), "{cut}");
        }
        for bad in
            [&b"\x00\x01"[..], b"\x0b", b"\x0f\x01", &[0xff; 11], b"\x0a\xff\xff\xff\xff\x0f"]
        {
            let mut fields = Fields::of(bad);
            assert_eq!((fields.next(), fields.next()), (Some(Err(Malformed)), None), "{bad:?}");
        }
    }
}
