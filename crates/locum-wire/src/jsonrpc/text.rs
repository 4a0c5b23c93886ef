//! JSON strings.

use std::borrow::Cow;

use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine, alphabet};

/// The string that `input` begins with, and what follows its closing quote. `None`: it does not begin
/// with a whole string. Halves of surrogate pairs that stand alone become U+FFFD, as in Go.
pub(super) fn text(input: &str) -> Option<(Cow<'_, str>, &str)> {
    let inner = input.strip_prefix('"')?;
    let mut at = memchr::memchr2(b'"', b'\\', inner.as_bytes())?;
    if inner.as_bytes().get(at) == Some(&b'"') {
        return Some((Cow::Borrowed(inner.get(..at)?), inner.get(at + 1..)?));
    }
    let mut text = String::new();
    let mut rest = inner;
    loop {
        text.push_str(rest.get(..at)?);
        let special = *rest.as_bytes().get(at)?;
        rest = rest.get(at + 1..)?;
        if special == b'"' {
            return Some((Cow::Owned(text), rest));
        }
        let (char, behind) = escape(rest)?;
        text.push(char);
        rest = behind;
        at = memchr::memchr2(b'"', b'\\', rest.as_bytes())?;
    }
}

/// What stands behind a backslash.
fn escape(rest: &str) -> Option<(char, &str)> {
    let (letter, behind) = rest.split_at_checked(1)?;
    let char = match letter {
        "\"" | "\\" | "/" => letter.chars().next()?,
        "b" => '\u{8}',
        "f" => '\u{c}',
        "n" => '\n',
        "r" => '\r',
        "t" => '\t',
        "u" => return unicode(behind),
        _ => return None,
    };
    Some((char, behind))
}

/// What stands behind `\u`, and behind another if the two are one character.
fn unicode(rest: &str) -> Option<(char, &str)> {
    let (unit, behind) = unit(rest)?;
    if let Some(char) = char::from_u32(unit) {
        return Some((char, behind));
    }
    let pair = behind.strip_prefix("\\u").and_then(self::unit).and_then(|(low, behind)| {
        let units = [unit as u16, low as u16];
        Some((char::decode_utf16(units).next()?.ok()?, behind))
    });
    Some(pair.unwrap_or((char::REPLACEMENT_CHARACTER, behind)))
}

/// Four hexadecimal digits.
fn unit(rest: &str) -> Option<(u32, &str)> {
    let (digits, behind) = rest.split_at_checked(4)?;
    if !digits.bytes().all(|it| it.is_ascii_hexdigit()) {
        return None;
    }
    Some((u32::from_str_radix(digits, 16).ok()?, behind))
}

/// Appends `text` as a JSON string.
pub(super) fn put(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a vector takes any text");
}

/// Appends bytes as a JSON string in base64.
pub(super) fn put_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    out.extend_from_slice(BASE64.encode(bytes).as_bytes());
    out.push(b'"');
}

/// The bytes that `text` is the base64 of.
pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text).ok()
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
