//! JSON of somebody else, made fit to stand in a message of ours.

use std::borrow::Cow;

use super::scan::{Invalid, whole};
use crate::rpc::{DecodeError, Limits};

/// The one value that `json` is, in one line. White space around it goes, and line breaks in it become
/// spaces: peers may read by lines, and between its tokens JSON means the same with either.
///
/// # Errors
///
/// It is not one value, or nested too deep. No bytes are a request of 1.0 without an argument.
pub(crate) fn line<'a>(json: &'a [u8], limits: &Limits) -> Result<Cow<'a, str>, DecodeError> {
    if json.is_empty() {
        return Err(DecodeError("jsonrpc: request body missing params".to_owned()));
    }
    // A request that is in no batch may have an argument that is one level deeper than the limit.
    let value = whole(json, limits.nesting.saturating_add(1));
    let value = value.map_err(|(invalid, at)| match invalid {
        Invalid::Syntax => unexpected(json, at),
        Invalid::Deep => DecodeError("json: nested too deep".to_owned()),
    })?;
    let value = str::from_utf8(value).map_err(|_| DecodeError("json: invalid UTF-8".to_owned()))?;
    Ok(unbroken(value))
}

/// What stands at this place of `json` is out of place, or missing.
fn unexpected(json: &[u8], at: usize) -> DecodeError {
    let rest = json.get(at..).unwrap_or_default();
    let found = rest.utf8_chunks().next();
    DecodeError(match found.map(|chunk| chunk.valid().chars().next()) {
        Some(Some(found)) => format!("json: unexpected {found:?} at byte {at}"),
        Some(None) => format!("json: invalid UTF-8 at byte {at}"),
        None => "json: unexpected end".to_owned(),
    })
}

/// `json`, which is well-formed, with spaces for its line breaks.
pub(super) fn unbroken(json: &str) -> Cow<'_, str> {
    match memchr::memchr2(b'\n', b'\r', json.as_bytes()) {
        None => Cow::Borrowed(json),
        Some(_) => Cow::Owned(json.replace(['\n', '\r'], " ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lined(json: &str) -> Result<String, DecodeError> {
        line(json.as_bytes(), &Limits { nesting: 2, ..Limits::default() }).map(Cow::into_owned)
    }

    #[test]
    fn json_stays_what_it_is_but_for_line_breaks() {
        for (json, expected) in [
            (" {\"a\" : [1.50, \"\\n\\r\"]}\n", "{\"a\" : [1.50, \"\\n\\r\"]}"),
            ("{\r\n\t\"a\":\n1}", "{  \t\"a\": 1}"),
            (" 7", "7"),
            ("-0.5e3\n", "-0.5e3"),
            ("null", "null"),
            ("\"\u{2028}\"", "\"\u{2028}\""),
            ("[[[]]]", "[[[]]]"),
        ] {
            assert_eq!(lined(json).as_deref(), Ok(expected), "{json:?}");
        }
    }

    #[test]
    fn what_is_not_one_value_is_refused() {
        for json in
            ["", " ", "{", "1 2", "{}]", "}], \"id\": 5", "nul", "\"a\nb\"", "01", "[[[[]]]]"]
        {
            assert!(lined(json).is_err(), "{json:?}");
        }
        assert!(line(b"\"\xff\"", &Limits::default()).is_err());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let cases: [(&[u8], &str); 7] = [
            (b" {\"a\":", "json: unexpected end"),
            (b"{\"A\":7,}", "json: unexpected '}' at byte 7"),
            (b" 1 2", "json: unexpected '2' at byte 3"),
            (b"A=7&B=8", "json: unexpected 'A' at byte 0"),
            (b"-", "json: unexpected end"),
            ("[ä]".as_bytes(), "json: unexpected 'ä' at byte 1"),
            (b"[\xff]", "json: invalid UTF-8 at byte 1"),
        ];
        for (json, error) in cases {
            assert_eq!(line(json, &Limits::default()), Err(DecodeError(error.to_owned())));
        }
    }
}
