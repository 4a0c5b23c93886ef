//! JSON text, read with its numbers as they stand.

use std::borrow::Cow;

use super::JsonError;
use crate::rpc::Limits;

/// A JSON value. It borrows from the text whatever has no escapes in it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json<'a> {
    Null,
    Bool(bool),
    /// As JSON's grammar has it.
    Number(&'a str),
    String(Cow<'a, str>),
    List(Vec<Self>),
    Object(Vec<(Cow<'a, str>, Self)>),
}

impl<'a> Json<'a> {
    /// Reads a text that is one value.
    pub(super) fn parse(text: &'a str, limits: &Limits) -> Result<Self, JsonError> {
        let mut parser = Parser { text, at: 0, nesting: limits.nesting, memory: limits.decoded };
        let value = parser.value()?;
        parser.space();
        if parser.at < text.len() {
            return Err(parser.unexpected());
        }
        Ok(value)
    }
}

struct Parser<'a> {
    text: &'a str,
    // Invariant: on the boundary of a character.
    at: usize,
    /// How much deeper values may nest.
    nesting: usize,
    /// How many bytes more they may take.
    memory: usize,
}

impl<'a> Parser<'a> {
    fn value(&mut self) -> Result<Json<'a>, JsonError> {
        // The most that one takes: with its name, in an object.
        let most = size_of::<(Cow<'a, str>, Json<'a>)>();
        let memory = self.memory.checked_sub(most);
        self.memory = memory.ok_or_else(|| JsonError("JSON takes too much memory".to_owned()))?;
        self.space();
        match self.peek() {
            Some(b'n') => self.word("null", Json::Null),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'"') => Ok(Json::String(self.string()?)),
            Some(b'[') => self.nested(Self::list),
            Some(b'{') => self.nested(Self::object),
            Some(b'-' | b'0'..=b'9') => Ok(Json::Number(self.number()?)),
            _ => Err(self.unexpected()),
        }
    }

    fn nested(
        &mut self,
        read: fn(&mut Self) -> Result<Json<'a>, JsonError>,
    ) -> Result<Json<'a>, JsonError> {
        self.nesting = self
            .nesting
            .checked_sub(1)
            .ok_or_else(|| JsonError("JSON nests too deeply".to_owned()))?;
        self.at += 1;
        let value = read(self)?;
        self.nesting += 1;
        Ok(value)
    }

    fn list(&mut self) -> Result<Json<'a>, JsonError> {
        let mut list = Vec::new();
        if self.next_is(b']') {
            return Ok(Json::List(list));
        }
        loop {
            list.push(self.value()?);
            if self.next_is(b']') {
                return Ok(Json::List(list));
            }
            self.expect(b',')?;
        }
    }

    fn object(&mut self) -> Result<Json<'a>, JsonError> {
        let mut members = Vec::new();
        if self.next_is(b'}') {
            return Ok(Json::Object(members));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(self.unexpected());
            }
            let name = self.string()?;
            self.expect(b':')?;
            members.push((name, self.value()?));
            if self.next_is(b'}') {
                return Ok(Json::Object(members));
            }
            self.expect(b',')?;
        }
    }

    fn number(&mut self) -> Result<&'a str, JsonError> {
        let start = self.at;
        self.skip(|it| it == b'-');
        match self.peek() {
            // Nothing may follow a zero that stands first.
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while self.peek().is_some_and(|it| it.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { Err(self.unexpected()) } else { Ok(()) }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        self.at += 1;
        let mut string = Cow::Borrowed("");
        loop {
            let rest = &self.text.as_bytes()[self.at..];
            let plain = rest.iter().position(|it| matches!(it, b'"' | b'\\' | 0..0x20));
            let Some(plain) = plain else {
                self.at = self.text.len();
                return Err(self.unexpected());
            };
            string += &self.text[self.at..self.at + plain];
            self.at += plain;
            match rest[plain] {
                b'"' => {
                    self.at += 1;
                    return Ok(string);
                }
                b'\\' => {
                    self.at += 1;
                    string.to_mut().push(self.escape()?);
                }
                _ => return Err(self.unexpected()),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let escaped = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.utf16();
            }
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        Ok(escaped)
    }

    /// The four digits of an escape, and the escape of the other half of a pair. What is half of a pair alone
    /// becomes U+FFFD, as in Go.
    fn utf16(&mut self) -> Result<char, JsonError> {
        let first = self.hex()?;
        if !(0xd800..0xdc00).contains(&first) {
            return Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        if !self.text[self.at..].starts_with("\\u") {
            return Ok(char::REPLACEMENT_CHARACTER);
        }
        let alone = self.at;
        self.at += 2;
        let second = self.hex()?;
        if !(0xdc00..0xe000).contains(&second) {
            self.at = alone;
            return Ok(char::REPLACEMENT_CHARACTER);
        }
        let pair = 0x10000 + ((first - 0xd800) << 10 | (second - 0xdc00));
        Ok(char::from_u32(pair).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex(&mut self) -> Result<u32, JsonError> {
        let digits = self.text.get(self.at..self.at + 4);
        let digits = digits.filter(|it| it.bytes().all(|it| it.is_ascii_hexdigit()));
        let value = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let value = value.ok_or_else(|| self.unexpected())?;
        self.at += 4;
        Ok(value)
    }

    fn word(&mut self, word: &str, value: Json<'a>) -> Result<Json<'a>, JsonError> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.unexpected());
        }
        self.at += word.len();
        Ok(value)
    }

    /// Takes the next byte that is no white space, if it is this one.
    fn next_is(&mut self, byte: u8) -> bool {
        self.space();
        let is = self.peek() == Some(byte);
        self.at += usize::from(is);
        is
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.next_is(byte) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|it| matches!(it, b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn skip(&mut self, is: impl Fn(u8) -> bool) {
        self.at += usize::from(self.peek().is_some_and(is));
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn unexpected(&self) -> JsonError {
        JsonError(match self.text[self.at..].chars().next() {
            None => "unexpected end of JSON".to_owned(),
            Some(found) => format!("unexpected {found:?} in JSON at byte {}", self.at),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Json<'_>, JsonError> {
        Json::parse(text, &Limits { nesting: 8, decoded: 4096, ..Limits::default() })
    }

    #[test]
    fn json_is_read_as_it_stands() {
        let value =
            parse(r#" {"a" : [1, -0.5e+3 ,"xé\n\u00e9\ud83d\ude00\ud800"], "":null,"b":{} } "#);
        let list = vec![
            Json::Number("1"),
            Json::Number("-0.5e+3"),
            Json::String("xé\né😀\u{fffd}".into()),
        ];
        let expected = Json::Object(vec![
            ("a".into(), Json::List(list)),
            ("".into(), Json::Null),
            ("b".into(), Json::Object(vec![])),
        ]);
        assert_eq!(value, Ok(expected));
        assert_eq!(parse(r#""\ud800\u0041\"\/""#), Ok(Json::String("\u{fffd}A\"/".into())));
        assert_eq!(
            parse("[true,false]"),
            Ok(Json::List(vec![Json::Bool(true), Json::Bool(false)]))
        );
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in [
            "",
            " ",
            "nul",
            "01",
            "-",
            "1.",
            "1e",
            ".5",
            "+1",
            "[1,]",
            "[1 2]",
            "{\"a\"}",
            "{a:1}",
            "{\"a\":1,}",
            "\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12é\"",
            "\"\u{1}\"",
            "1 2",
            "[",
            "{",
            "NaN",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn json_nests_as_deep_as_it_may() {
        assert!(parse("[[[[[[[[1]]]]]]]]").is_ok());
        assert!(parse("[[[[[[[[[1]]]]]]]]]").is_err());
        assert!(parse(&"[".repeat(1 << 20)).is_err());
    }

    #[test]
    fn json_takes_no_more_than_it_may() {
        assert!(parse(&format!("[{}0]", "0,".repeat(10))).is_ok());
        assert!(parse(&format!("[{}0]", "0,".repeat(1000))).is_err());
    }
}
