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
    let value = whole(json, limits.nesting.saturating_add(1)).map_err(|invalid| match invalid {
        Invalid::Syntax => DecodeError("json: not one JSON value".to_owned()),
        Invalid::Deep => DecodeError("json: nested too deep".to_owned()),
    })?;
    let value = str::from_utf8(value).map_err(|_| DecodeError("json: invalid UTF-8".to_owned()))?;
    Ok(unbroken(value))
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
}
