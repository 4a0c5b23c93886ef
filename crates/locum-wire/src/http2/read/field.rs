//! One field, which must be one in HTTP/1.1 as well.

use crate::http1::byte::{self, CLASS, LOWER};
use crate::http1::{Name, encode};
use crate::http2::Reason;

/// Which field it is, after its name and value were found good.
pub(super) fn check(name: &[u8], value: &[u8]) -> Result<Name, Reason> {
    check_name(name)?;
    check_value(value)?;
    let kind = Name::of(name);
    match kind {
        // RFC 9113 §8.2.2.
        Name::Connection
        | Name::KeepAlive
        | Name::ProxyConnection
        | Name::TransferEncoding
        | Name::Upgrade => Err(Reason::ConnectionField),
        Name::Te if value != b"trailers" => Err(Reason::ConnectionField),
        _ => Ok(kind),
    }
}

/// RFC 9113 §8.2.1, and what HTTP/1.1 lets no value have.
pub(super) fn check_value(value: &[u8]) -> Result<(), Reason> {
    if let [b' ' | b'\t', ..] | [.., b' ' | b'\t'] = value {
        return Err(Reason::FieldValue);
    }
    let mut rest = value;
    loop {
        match rest[byte::text_len(rest)..] {
            [] => return Ok(()),
            [b'\t', ..] => rest = &rest[byte::text_len(rest) + 1..],
            _ => return Err(Reason::FieldValue),
        }
    }
}

/// Appends a line. Name and value must be good.
pub(super) fn write(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(encode::CRLF);
}

/// Takes in a Content-Length, of which there is one (RFC 9110 §8.6).
pub(super) fn read_length(length: &mut Option<u64>, value: &[u8]) -> Result<(), Reason> {
    let is_plain = !matches!(value, [] | [b'0', _, ..]);
    let number = value.iter().try_fold(0u64, |length, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        length.checked_mul(10)?.checked_add(digit)
    });
    let number = number.filter(|_| is_plain && length.is_none());
    *length = Some(number.ok_or(Reason::ContentLength)?);
    Ok(())
}

/// RFC 9113 §8.2: a token without upper case. One that begins with a colon comes too late.
fn check_name(name: &[u8]) -> Result<(), Reason> {
    // Every byte is looked at, which is faster than to stop at the first that is wrong.
    let all = name.iter().fold(LOWER, |all, &byte| all & CLASS[usize::from(byte)]);
    match name {
        [b':', ..] => Err(Reason::Pseudo),
        [_, ..] if all == LOWER => Ok(()),
        _ => Err(Reason::FieldName),
    }
}
