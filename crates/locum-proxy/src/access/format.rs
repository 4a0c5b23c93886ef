//! How a line of the access log is written: as JSON, as other servers have long done, or as a template says.
//!
//! What a client has a hand in cannot end its field or its line: it is escaped as nginx does, and outside of quotes a
//! space is as well.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;

/// How a line of the access log is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// A JSON object, with everything there is to tell.
    #[default]
    Json,
    /// As this says.
    Template(Template),
}

/// A text with the names of fields in braces. Braces of its own are doubled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// A field; whether it stands between quotes.
    Field(&'static str, bool),
}

/// Why a text is no format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// There is no field of this name.
    Unknown(String),
    /// A brace is not closed, or was not opened.
    Brace,
    /// Something in it cannot be seen.
    Control,
    /// It is neither the name of a format nor has it a field.
    Empty,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "there is no field `{}`", name.escape_debug()),
            Self::Brace => f.write_str("a brace stands alone"),
            Self::Control => f.write_str("it holds what cannot be seen"),
            Self::Empty => f.write_str("it is no format, and no field stands in it"),
        }
    }
}

impl std::error::Error for Malformed {}

impl Format {
    /// Reads `json`, `common`, `combined` or a template.
    ///
    /// # Errors
    ///
    /// What is wrong with a template.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        match text {
            "json" => Ok(Self::Json),
            "common" => Template::parse(COMMON).map(Self::Template),
            "combined" => Template::parse(COMBINED).map(Self::Template),
            text => Template::parse(text).map(Self::Template),
        }
    }

    /// The names of all fields.
    pub fn fields() -> &'static [&'static str] {
        FIELDS
    }

    /// Writes what is told of a call as a line.
    pub(super) fn line(&self, told: &Value) -> String {
        match self {
            Self::Json => format!("{told}\n"),
            Self::Template(template) => template.line(told),
        }
    }
}

impl Template {
    fn parse(text: &str) -> Result<Self, Malformed> {
        if text.chars().any(char::is_control) {
            return Err(Malformed::Control);
        }
        let (mut pieces, mut own) = (Vec::new(), String::new());
        let mut quoted = false;
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}', '"']) {
            own.push_str(&rest[..at]);
            let (sign, after) = rest[at..].split_at(1);
            rest = after;
            match sign {
                "\"" => {
                    quoted = !quoted;
                    own.push('"');
                }
                brace if rest.starts_with(brace) => {
                    own.push_str(brace);
                    rest = &rest[1..];
                }
                "{" => {
                    let (name, after) = rest.split_once('}').ok_or(Malformed::Brace)?;
                    let known = FIELDS.iter().find(|known| **known == name);
                    let known = known.ok_or_else(|| Malformed::Unknown(name.to_owned()))?;
                    pieces.push(Piece::Text(std::mem::take(&mut own)));
                    pieces.push(Piece::Field(known, quoted));
                    rest = after;
                }
                _ => return Err(Malformed::Brace),
            }
        }
        own.push_str(rest);
        if pieces.is_empty() {
            return Err(Malformed::Empty);
        }
        pieces.push(Piece::Text(own));
        Ok(Self(pieces))
    }

    fn line(&self, told: &Value) -> String {
        let mut line = String::with_capacity(256);
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => line.push_str(text),
                // Of our making, and written as ever.
                Piece::Field("time_local", _) => line.push_str(&field(told, "time_local")),
                Piece::Field(name, quoted) => escape(&mut line, &field(told, name), *quoted),
            }
        }
        line.push('\n');
        line
    }
}

/// What is told of this; empty: nothing.
fn field(told: &Value, name: &str) -> String {
    let text = |name: &str| match &told[name] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(list) => list.len().to_string(),
        other => other.to_string(),
    };
    match name {
        "time_local" => told["time"].as_f64().map(local_time).unwrap_or_default(),
        // Of a remote call, what it is called and what it came to stand in the places of these.
        "request" => match (&told["method"], &told["call"]) {
            (Value::String(method), _) => {
                format!("{method} {} {}", text("path"), text("version"))
            }
            (_, Value::String(call)) => format!("{call} {}", text("protocol")),
            _ => String::new(),
        },
        "status" if told["status"].is_null() => text("code"),
        "endpoint" => {
            let last = told["attempts"].as_array().and_then(|attempts| attempts.last());
            let endpoint = last.and_then(|last| last["endpoint"].as_str());
            endpoint.unwrap_or_default().to_owned()
        }
        name => text(name),
    }
}

/// `06/Nov/1994:08:49:37 +0000`.
fn local_time(unix: f64) -> String {
    let since = Duration::try_from_secs_f64(unix).unwrap_or_default();
    // `Sun, 06 Nov 1994 08:49:37 GMT`.
    let date = httpdate::fmt_http_date(UNIX_EPOCH + since);
    match date.split([' ', ',']).collect::<Vec<_>>()[..] {
        [_, _, day, month, year, time, _] => format!("{day}/{month}/{year}:{time} +0000"),
        _ => String::new(),
    }
}

fn escape(line: &mut String, value: &str, quoted: bool) {
    if value.is_empty() {
        line.push('-');
    }
    for byte in value.bytes() {
        match byte {
            b'"' | b'\\' => hex(line, byte),
            b' ' if !quoted => hex(line, byte),
            b' '..=b'~' => line.push(char::from(byte)),
            _ => hex(line, byte),
        }
    }
}

fn hex(line: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    line.push_str("\\x");
    line.push(char::from(DIGITS[usize::from(byte >> 4)]));
    line.push(char::from(DIGITS[usize::from(byte & 15)]));
}

/// What NCSA's server wrote, and its successors.
const COMMON: &str = r#"{client} - {identity} [{time_local}] "{request}" {status} {bytes_out}"#;
const COMBINED: &str = r#"{client} - {identity} [{time_local}] "{request}" {status} {bytes_out} "{referer}" "{user_agent}""#;

/// Those of a line of JSON, and a few made of them.
const FIELDS: &[&str] = &[
    "time",
    "time_local",
    "id",
    "traceparent",
    "client",
    "identity",
    "listener",
    "route",
    "upstream",
    "endpoint",
    "protocol",
    "request",
    "method",
    "host",
    "path",
    "version",
    "call",
    "server_name",
    "referer",
    "user_agent",
    "status",
    "grpc_status",
    "outcome",
    "reason",
    "took",
    "deadline",
    "bytes_in",
    "bytes_out",
    "attempts",
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(format: &str, told: &Value) -> String {
        Format::parse(format).unwrap().line(told)
    }

    #[test]
    fn lines_are_written_as_other_servers_write_them() {
        let told = json!({
            "time": 784111777.25, "client": "10.0.0.1", "identity": "ann", "method": "GET", "path": "/a",
            "version": "HTTP/1.1", "status": 200, "bytes_out": 2326, "referer": "http://a.test/",
            "user_agent": "curl/8", "attempts": [{ "endpoint": "b:1" }, { "endpoint": "b:2" }],
        });
        let common = r#"10.0.0.1 - ann [06/Nov/1994:08:49:37 +0000] "GET /a HTTP/1.1" 200 2326"#;
        assert_eq!(line("common", &told), format!("{common}\n"));
        let more = r#""http://a.test/" "curl/8""#;
        assert_eq!(line("combined", &told), format!("{common} {more}\n"));
        assert_eq!(line("{{{endpoint}}} {attempts}x {reason}", &told), "{b:2} 2x -\n");
    }

    #[test]
    fn calls_and_connections_have_lines_too() {
        let call = json!({ "time": 0.0, "call": "Arith.Divide", "protocol": "gob", "code": "app", "bytes_out": 9 });
        let epoch = "[01/Jan/1970:00:00:00 +0000]";
        assert_eq!(line("common", &call), format!("- - - {epoch} \"Arith.Divide gob\" app 9\n"));
        let connection = json!({ "time": 0.0, "protocol": "tcp", "code": "ok", "bytes_out": 9 });
        assert_eq!(line("common", &connection), format!("- - - {epoch} \"-\" ok 9\n"));
    }

    #[test]
    fn nobody_can_forge_a_field_or_a_line() {
        let told = json!({ "user_agent": "a\" 200\n\\ é", "host": "a b\"\u{2028}" });
        assert_eq!(
            line("\"{user_agent}\" {host} \"{user_agent}\"", &told),
            "\"a\\x22 200\\x0A\\x5C \\xC3\\xA9\" a\\x20b\\x22\\xE2\\x80\\xA8 \"a\\x22 200\\x0A\\x5C \\xC3\\xA9\"\n"
        );
    }

    #[test]
    fn a_malformed_template_is_told_why() {
        for (text, why) in [
            ("{path} {statuss}", Malformed::Unknown("statuss".to_owned())),
            ("{path", Malformed::Brace),
            ("path} {path}", Malformed::Brace),
            ("{path}\n", Malformed::Control),
            ("jsn", Malformed::Empty),
            ("", Malformed::Empty),
        ] {
            assert_eq!(Format::parse(text), Err(why), "{text}");
        }
    }
}
