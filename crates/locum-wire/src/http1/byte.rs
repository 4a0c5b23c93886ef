//! Which bytes may stand where.

use super::Error;

/// A byte of a method or a field name: `tchar` of RFC 9110 §5.6.2.
pub(crate) const TOKEN: u8 = 1;
/// A byte of a path, or of an absolute URI before its query: RFC 3986 §3.3, and `[`, `]`, `^`,
/// `{`, `|` and `}`, which clients send as they are.
pub(crate) const PATH: u8 = 2;
/// A byte of a query: RFC 3986 §3.4, and what browsers leave as it is there, such as `\`.
pub(crate) const QUERY: u8 = 4;
/// An underscore: a token byte, but one that some servers read as a hyphen.
pub(crate) const UNDERSCORE: u8 = 8;
/// A byte of a host name, besides the brackets of an address.
pub(crate) const HOST: u8 = 16;

/// A byte of a field name in HTTP/2: a token byte, but no upper case (RFC 9113 §8.2.1).
pub(crate) const LOWER: u8 = 32;

/// The classes of every byte.
pub(crate) static CLASS: [u8; 256] = classes();

/// Whether `byte` is of one of the `classes`.
pub(crate) fn is(byte: u8, classes: u8) -> bool {
    CLASS[usize::from(byte)] & classes != 0
}

/// Counts the leading bytes that may stand in a field value, tabs excepted: everything but
/// control bytes (RFC 9110 §5.5). The byte that stops it is usually the line's carriage return.
pub(crate) fn text_len(bytes: &[u8]) -> usize {
    // Most lines are short: eight bytes at a time. Of a long one so many more that the compiler looks at them at once.
    let near = near_text_len(&bytes[..bytes.len().min(BLOCK)]);
    if near < BLOCK {
        return near;
    }
    let is_clean = |block: &&[u8; BLOCK]| {
        !block.iter().fold(false, |stops, &byte| stops | (byte < 0x20) | (byte == 0x7f))
    };
    let blocks = bytes.as_chunks().0.iter().skip(1).take_while(is_clean).count();
    let clean = BLOCK + blocks * BLOCK;
    clean + near_text_len(&bytes[clean..])
}

const BLOCK: usize = 32;

/// The same, a word at a time: a line is checked and its end is found in one pass.
#[inline]
fn near_text_len(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let stops = controls(u64::from_le_bytes(*word));
        if stops != 0 {
            return at * 8 + (stops.trailing_zeros() / 8) as usize;
        }
    }
    let checked = words.len() * 8;
    checked + rest.iter().position(|&byte| byte.is_ascii_control()).unwrap_or(rest.len())
}

/// Finds the first colon, which is never far.
pub(crate) fn find_colon(bytes: &[u8]) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let colons = zeros(u64::from_le_bytes(*word) ^ (ONES * b':' as u64));
        if colons != 0 {
            return Some(at * 8 + (colons.trailing_zeros() / 8) as usize);
        }
    }
    let checked = words.len() * 8;
    rest.iter().position(|&byte| byte == b':').map(|at| checked + at)
}

/// The error that a byte is by itself, or `otherwise`.
pub(crate) fn refusal(byte: u8, otherwise: Error) -> Error {
    match byte {
        0 => Error::Nul,
        b'\n' => Error::BareLf,
        b'\r' => Error::BareCr,
        byte if byte.is_ascii_control() => Error::Control,
        _ => otherwise,
    }
}

/// Trims optional white space: spaces and tabs, nothing else (RFC 9110 §5.6.3).
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

const ONES: u64 = u64::from_le_bytes([1; 8]);
const HIGH: u64 = ONES << 7;

/// Sets the high bit of the first byte that is below 0x20 or equal to 0x7f; bits above it may be
/// set by the borrow and mean nothing.
const fn controls(word: u64) -> u64 {
    let below = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
    below | zeros(word ^ (ONES * 0x7f))
}

/// Sets the high bit of the first byte that is zero, with the same reservation.
const fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGH
}

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut at = 0x21;
    while at < 0x7f {
        let byte = at as u8;
        let alphanumeric = byte.is_ascii_alphanumeric();
        let mut class = 0;
        if alphanumeric || contains(b"!#$%&'*+-.^_`|~", byte) {
            class |= TOKEN;
            if !byte.is_ascii_uppercase() {
                class |= LOWER;
            }
        }
        // A fragment never travels (RFC 9112 §3.2.1); quotes and angle brackets delimit URIs.
        if !contains(b"\"#<>", byte) {
            class |= QUERY;
            if !contains(b"\\`?", byte) {
                class |= PATH;
            }
        }
        if byte == b'_' {
            class |= UNDERSCORE;
        }
        if alphanumeric || contains(b"-._~", byte) {
            class |= HOST;
        }
        classes[at] = class;
        at += 1;
    }
    classes
}

const fn contains(set: &[u8], byte: u8) -> bool {
    let mut at = 0;
    while at < set.len() {
        if set[at] == byte {
            return true;
        }
        at += 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stops_at_every_control_byte_and_at_nothing_else() {
        for byte in 0..=255u8 {
            for before in 0..20 {
                let mut bytes = vec![b'\xff'; 24];
                bytes[before] = byte;
                let stops = byte < 0x20 || byte == 0x7f;
                assert_eq!(text_len(&bytes), if stops { before } else { 24 }, "{byte} at {before}");
            }
        }
    }

    #[test]
    fn the_first_colon_is_found_wherever_it_is() {
        for length in 0..30 {
            for at in 0..length {
                let mut bytes = vec![b';'; length];
                assert_eq!(find_colon(&bytes), None);
                bytes[at..].fill(b':');
                assert_eq!(find_colon(&bytes), Some(at));
            }
        }
    }

    #[test]
    fn only_spaces_and_tabs_are_trimmed() {
        assert_eq!(trim(b" \t a b\t "), b"a b");
        assert_eq!(trim(b" \t "), b"");
        assert_eq!(trim(b"\xa0a\x0b"), b"\xa0a\x0b");
    }
}
