//! JSON that keeps the place of every value; `serde_json` keeps none.

use super::problem::Place;
use super::tree::{Entry, Node, Value};

/// Where a text stops being JSON.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Error {
    pub(super) at: usize,
    pub(super) reason: String,
}

/// Reads `text`, the `source`th file, as one object.
pub(super) fn parse(text: &str, source: usize) -> Result<Node, Error> {
    let mut reader = Reader { text, at: 0, source };
    reader.skip_space();
    let node = reader.value(0)?;
    reader.skip_space();
    if reader.at < text.len() {
        return Err(reader.error("there is more after the end"));
    }
    match node.value {
        Value::Table(_) => Ok(node),
        _ => Err(Error { at: node.place.start, reason: "a configuration is an object".to_owned() }),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    source: usize,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Result<Node, Error> {
        if depth > MAX_DEPTH {
            return Err(self.error("it is nested too deeply"));
        }
        let start = self.at;
        let value = match self.peek() {
            Some(b'{') => Value::Table(self.object(depth)?),
            Some(b'[') => Value::List(self.array(depth)?),
            Some(b'"') => Value::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ if self.eat("true") => Value::Bool(true),
            _ if self.eat("false") => Value::Bool(false),
            _ if self.rest().starts_with("null") => {
                return Err(self.error("`null` has no meaning; leave the key out"));
            }
            Some(_) => return Err(self.error("expected a value")),
            None => return Err(self.error("the text ends where a value is expected")),
        };
        Ok(Node::new(self.place(start), value))
    }

    fn object(&mut self, depth: usize) -> Result<Vec<Entry>, Error> {
        let mut entries: Vec<Entry> = Vec::new();
        self.at += 1;
        self.skip_space();
        if self.eat("}") {
            return Ok(entries);
        }
        loop {
            self.skip_space();
            let start = self.at;
            if self.peek() != Some(b'"') {
                return Err(self.error("expected a key in quotes"));
            }
            let name = self.string()?;
            let place = self.place(start);
            if entries.iter().any(|entry| entry.name == name) {
                return Err(Error {
                    at: start,
                    reason: format!("the key `{name}` is given twice"),
                });
            }
            self.skip_space();
            if !self.eat(":") {
                return Err(self.error("expected `:` after the key"));
            }
            self.skip_space();
            let node = self.value(depth + 1)?;
            entries.push(Entry { name, place, node });
            self.skip_space();
            if self.eat("}") {
                return Ok(entries);
            }
            if !self.eat(",") {
                return Err(self.error("expected `,` or `}`"));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Vec<Node>, Error> {
        let mut items = Vec::new();
        self.at += 1;
        self.skip_space();
        if self.eat("]") {
            return Ok(items);
        }
        loop {
            self.skip_space();
            items.push(self.value(depth + 1)?);
            self.skip_space();
            if self.eat("]") {
                return Ok(items);
            }
            if !self.eat(",") {
                return Err(self.error("expected `,` or `]`"));
            }
        }
    }

    fn string(&mut self) -> Result<String, Error> {
        let start = self.at;
        let mut escaped = false;
        let inside = self.text.as_bytes()[start + 1..].iter();
        let length = inside.take_while(|byte| {
            let ends = **byte == b'"' && !escaped;
            escaped = **byte == b'\\' && !escaped;
            !ends
        });
        let end = start + 1 + length.count() + 1;
        let literal = self.text.get(start..end);
        match literal.map(serde_json::from_str) {
            Some(Ok(text)) => {
                self.at = end;
                Ok(text)
            }
            Some(Err(_)) => Err(self.error("the text between the quotes is malformed")),
            None => Err(self.error("the quotes are not closed")),
        }
    }

    fn number(&mut self) -> Result<Value, Error> {
        let length = self.rest().bytes().take_while(|byte| {
            byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E')
        });
        let literal = &self.rest()[..length.count()];
        let value = match serde_json::from_str::<serde_json::Number>(literal) {
            Ok(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => Value::Integer(whole),
                (None, Some(number)) if number.is_finite() => Value::Float(number),
                _ => return Err(self.error("the number is out of range")),
            },
            Err(_) => return Err(self.error("the number is malformed")),
        };
        self.at += literal.len();
        Ok(value)
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.rest().bytes().next()
    }

    fn eat(&mut self, expected: &str) -> bool {
        let found = self.rest().starts_with(expected);
        if found {
            self.at += expected.len();
        }
        found
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
    }

    fn place(&self, start: usize) -> Place {
        Place { source: self.source, start, end: self.at }
    }

    fn error(&self, reason: &str) -> Error {
        Error { at: self.at, reason: reason.to_owned() }
    }
}

/// Far more than a configuration needs, far less than a stack holds.
const MAX_DEPTH: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_places() {
        let text = r#"{"a": [1, -2.5, "x\n\"y"], "b": {"c": true}}"#;
        let tree = parse(text, 0).unwrap();
        let slice = |path: &str| {
            let place = tree.locate(path).value;
            &text[place.start..place.end]
        };
        assert_eq!(slice("a.0"), "1");
        assert_eq!(slice("a.1"), "-2.5");
        assert_eq!(slice("a.2"), r#""x\n\"y""#);
        assert_eq!(slice("b.c"), "true");
        assert_eq!(slice("b"), r#"{"c": true}"#);
    }

    #[test]
    fn malformed_text_is_refused_where_it_breaks() {
        let cases = [
            ("", 0),
            ("[]", 0),
            ("{", 1),
            ("{\"a\"}", 4),
            ("{\"a\": }", 6),
            ("{\"a\": 1,}", 8),
            ("{\"a\": 1 \"b\": 2}", 8),
            ("{\"a\": \"x}", 6),
            ("{\"a\": \"\\q\"}", 6),
            ("{\"a\": 01}", 6),
            ("{\"a\": 1e999}", 6),
            ("{\"a\": null}", 6),
            ("{\"a\": 1, \"a\": 2}", 9),
            ("{} x", 3),
            ("{\"a\": [1, 2}", 11),
        ];
        for (text, at) in cases {
            assert_eq!(parse(text, 0).expect_err(text).at, at, "{text}");
        }
        let deep = "[".repeat(1_000_000);
        assert_eq!(parse(&deep, 0).unwrap_err().at, MAX_DEPTH + 1);
    }
}
