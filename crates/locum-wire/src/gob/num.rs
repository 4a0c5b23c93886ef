//! Numbers, and what else gob values are made of.
//!
//! What reads advances a slice past what it read; where it fails, the slice is of no more use.

use super::Corrupt;

/// An unsigned number. Go accepts non-minimal ones, and so do we.
#[inline]
pub(crate) fn uint(input: &mut &[u8]) -> Result<u64, Corrupt> {
    match input.split_first() {
        Some((&byte, rest)) if byte < 0x80 => {
            *input = rest;
            Ok(u64::from(byte))
        }
        _ => long_uint(input),
    }
}

/// gob: encoding/gob/decode.go decodeUintReader: the first byte is the negated count of those that follow.
///
/// Each value has one of a single byte before it (the number of its type), and each call one that grows (its own).
#[inline(never)]
fn long_uint(input: &mut &[u8]) -> Result<u64, Corrupt> {
    let (value, rest) = match *input {
        [0xff, byte, rest @ ..] => (u64::from(*byte), rest),
        [0xfe, high, low, rest @ ..] => (u64::from(u16::from_be_bytes([*high, *low])), rest),
        [first, rest @ ..] => {
            let count = usize::from(first.wrapping_neg());
            if count > 8 {
                return Err(Corrupt::Number);
            }
            let (bytes, rest) = rest.split_at_checked(count).ok_or(Corrupt::Short)?;
            (bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)), rest)
        }
        [] => return Err(Corrupt::Short),
    };
    *input = rest;
    Ok(value)
}

/// A signed number: the lowest bit says that the others are complemented.
#[inline]
pub(crate) fn int(input: &mut &[u8]) -> Result<i64, Corrupt> {
    let bits = uint(input)?;
    let half = (bits >> 1).cast_signed();
    Ok(if bits & 1 == 0 { half } else { !half })
}

/// A float: its bits, the bytes reversed, since the exponent is what differs from zero most often.
#[inline]
pub(crate) fn float(input: &mut &[u8]) -> Result<f64, Corrupt> {
    Ok(f64::from_bits(uint(input)?.swap_bytes()))
}

/// A length, and as many bytes.
#[inline]
pub(crate) fn bytes<'a>(input: &mut &'a [u8]) -> Result<&'a [u8], Corrupt> {
    let length = length(input)?;
    let (bytes, rest) = input.split_at(length);
    *input = rest;
    Ok(bytes)
}

/// The same, as text.
pub(crate) fn text<'a>(input: &mut &'a [u8]) -> Result<&'a str, Corrupt> {
    str::from_utf8(bytes(input)?).map_err(|_| Corrupt::Text)
}

/// A count of bytes, or of elements, each of which takes at least one: never more than there is input.
#[inline]
pub(crate) fn length(input: &mut &[u8]) -> Result<usize, Corrupt> {
    match usize::try_from(uint(input)?) {
        Ok(length) if length <= input.len() => Ok(length),
        _ => Err(Corrupt::Length),
    }
}

/// The next field of a struct, after `field`, which begins at 0 and is one more than the index of the
/// last; `None` at the end of the struct.
#[inline]
pub(crate) fn next_field(input: &mut &[u8], field: &mut usize) -> Result<Option<usize>, Corrupt> {
    let delta = usize::try_from(uint(input)?).map_err(|_| Corrupt::Field)?;
    if delta == 0 {
        return Ok(None);
    }
    *field = field.checked_add(delta).ok_or(Corrupt::Field)?;
    Ok(Some(*field - 1))
}

/// The zero that stands before a value that is no struct, at the top and in interfaces.
#[inline]
pub(crate) fn singleton(input: &mut &[u8]) -> Result<(), Corrupt> {
    if uint(input)? == 0 { Ok(()) } else { Err(Corrupt::Singleton) }
}

/// How many bytes a number takes, by its first.
pub(crate) fn size(first: u8) -> Result<usize, Corrupt> {
    match first {
        0..0x80 => Ok(1),
        0xf8.. => Ok(1 + usize::from(first.wrapping_neg())),
        _ => Err(Corrupt::Number),
    }
}

/// Appends an unsigned number.
#[inline]
pub(crate) fn put_uint(out: &mut Vec<u8>, value: u64) {
    if value < 0x80 {
        out.push(value as u8);
    } else {
        let zeros = value.leading_zeros() as usize / 8;
        // All nine bytes are copied, the significant ones first: a copy whose size is known costs far less.
        let mut bytes = [0; 9];
        bytes[0] = (zeros as u8).wrapping_sub(8);
        bytes[1..].copy_from_slice(&(value << (8 * zeros)).to_be_bytes());
        out.extend_from_slice(&bytes);
        out.truncate(out.len() - zeros);
    }
}

/// Appends a signed number.
#[inline]
pub(crate) fn put_int(out: &mut Vec<u8>, value: i64) {
    put_uint(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

/// Appends a float.
#[inline]
pub(crate) fn put_float(out: &mut Vec<u8>, value: f64) {
    put_uint(out, value.to_bits().swap_bytes());
}

/// Appends a length and bytes.
#[inline]
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_uint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends what `write` does, and before it how long that is; nothing when it fails.
pub(crate) fn put_sized<E>(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let start = out.len();
    // Most are short, and have room for their length in one byte; others move up.
    out.push(0);
    if let Err(error) = write(out) {
        out.truncate(start);
        return Err(error);
    }
    size_at(out, start);
    Ok(())
}

/// Makes the byte at `start` the length of all that follows it.
fn size_at(out: &mut Vec<u8>, start: usize) {
    let body = start + 1;
    let length = out.len() - body;
    if length < 0x80 {
        out[start] = length as u8;
        return;
    }
    let mut prefix = Vec::with_capacity(9);
    put_uint(&mut prefix, length as u64);
    let more = prefix.len() - 1;
    out.resize(out.len() + more, 0);
    out.copy_within(body..body + length, body + more);
    out[start..=start + more].copy_from_slice(&prefix);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_go_writes_them() {
        let cases: [(u64, &[u8]); 6] = [
            (0, b"\x00"),
            (7, b"\x07"),
            (127, b"\x7f"),
            (255, b"\xff\xff"),
            (256, b"\xfe\x01\x00"),
            (1 << 63, b"\xf8\x80\0\0\0\0\0\0\0"),
        ];
        for (value, bytes) in cases {
            let mut out = Vec::new();
            put_uint(&mut out, value);
            assert_eq!(out, bytes);
            assert_eq!(size(bytes[0]), Ok(bytes.len()));
            assert_eq!(uint(&mut &bytes[..]), Ok(value));
        }
        for (value, bytes) in
            [(17, &b"\x22"[..]), (33, b"\x42"), (-129, b"\xfe\x01\x01"), (-1, b"\x01")]
        {
            let mut out = Vec::new();
            put_int(&mut out, value);
            assert_eq!(out, bytes);
            assert_eq!(int(&mut &bytes[..]), Ok(value));
        }
        for value in [i64::MIN, i64::MAX] {
            let mut out = Vec::new();
            put_int(&mut out, value);
            assert_eq!(int(&mut &out[..]), Ok(value));
        }
        let mut out = Vec::new();
        put_float(&mut out, 17.0);
        assert_eq!(out, b"\xfe\x31\x40");
        assert_eq!(float(&mut &out[..]), Ok(17.0));
    }

    #[test]
    fn numbers_need_not_be_minimal_but_have_at_most_eight_bytes() {
        assert_eq!(uint(&mut &b"\xff\x00"[..]), Ok(0));
        assert_eq!(uint(&mut &b"\xfd\0\0\x07"[..]), Ok(7));
        assert_eq!(uint(&mut &b"\xf7\0\0\0\0\0\0\0\0\x01"[..]), Err(Corrupt::Number));
        assert_eq!(uint(&mut &b"\x80"[..]), Err(Corrupt::Number));
        assert_eq!(uint(&mut &b"\xfe\x01"[..]), Err(Corrupt::Short));
        assert_eq!(uint(&mut &b""[..]), Err(Corrupt::Short));
    }

    #[test]
    fn a_length_is_at_most_what_is_there() {
        assert_eq!(length(&mut &b"\x02ab"[..]), Ok(2));
        assert_eq!(length(&mut &b"\x03ab"[..]), Err(Corrupt::Length));
        assert_eq!(length(&mut &b"\xf8\xff\xff\xff\xff\xff\xff\xff\xff"[..]), Err(Corrupt::Length));
    }

    #[test]
    fn a_long_body_moves_up_for_its_length() {
        for length in [0, 127, 128, 255, 256, 70_000] {
            let body = vec![7; length];
            let (mut sized, mut plain) = (b"x".to_vec(), b"x".to_vec());
            put_sized(&mut sized, |out| {
                out.extend_from_slice(&body);
                Ok::<_, ()>(())
            })
            .unwrap();
            put_bytes(&mut plain, &body);
            assert_eq!(sized, plain);
        }
        let mut out = b"x".to_vec();
        put_sized(&mut out, |out| {
            out.push(1);
            Err(())
        })
        .unwrap_err();
        assert_eq!(out, b"x");
    }
}
