//! The head that comes before gob where Go's net/rpc goes over HTTP (`rpc.HandleHTTP`, `rpc.DialHTTP`).
//!
//! The client sends [`REQUEST`], the server answers [`ACCEPTED`], then both speak gob. Go's server throws
//! away what it had buffered by then, so a client sends nothing until it has read the answer.
//!
//! [`Request`] reads the one and [`Response`] the other; each is given all that came so far, as often as
//! something comes, and looks at each byte once.

use std::fmt;

/// What a client sends: line feeds alone, no fields (net/rpc/client.go, `DialHTTPPath`).
pub const REQUEST: &[u8] = b"CONNECT /_goRPC_ HTTP/1.0\n\n";

/// What a server answers (net/rpc/server.go, `ServeHTTP`).
pub const ACCEPTED: &[u8] = b"HTTP/1.0 200 Connected to Go RPC\n\n";

/// How long a head may be.
pub const LIMIT: usize = 8 << 10;

/// Reads what a client sends.
#[derive(Debug, Default)]
pub struct Request(Head);

/// Reads what a server answers.
#[derive(Debug, Default)]
pub struct Response(Head);

/// Why a server turns a client away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The method is not `CONNECT`.
    Method,
    /// The path is not `/_goRPC_`.
    Path,
    /// This is no head of HTTP/1.
    Malformed,
    /// The head is longer than [`LIMIT`].
    TooLong,
}

/// Why a client does not go on: what the server answered instead, cut to a readable length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unexpected(pub String);

impl Request {
    /// The length of the head, once `input` has all of it; gob begins behind.
    ///
    /// Lines may end in a line feed alone, and fields are passed over.
    ///
    /// # Errors
    ///
    /// The client is to be answered with [`Refused::response`] and the connection closed.
    pub fn read(&mut self, input: &[u8]) -> Result<Option<usize>, Refused> {
        let Some(length) = self.0.end(input).map_err(|TooLong| Refused::TooLong)? else {
            return Ok(None);
        };
        let line = first_line(input).ok_or(Refused::Malformed)?;
        let mut parts = line.split(' ');
        let (Some(method), Some(path), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refused::Malformed);
        };
        if !version.starts_with("HTTP/1.") {
            return Err(Refused::Malformed);
        }
        match (method, path) {
            ("CONNECT", "/_goRPC_") => Ok(Some(length)),
            ("CONNECT", _) => Err(Refused::Path),
            _ => Err(Refused::Method),
        }
    }
}

impl Response {
    /// The length of the head, once `input` has all of it; gob begins behind.
    ///
    /// # Errors
    ///
    /// This is not the answer of a net/rpc server. Like Go's client this goes by the reason, not the
    /// status alone: any web server may say 200.
    pub fn read(&mut self, input: &[u8]) -> Result<Option<usize>, Unexpected> {
        let too_long = |TooLong| Unexpected("a head of more than 8 KiB".to_owned());
        let Some(length) = self.0.end(input).map_err(too_long)? else { return Ok(None) };
        let line = first_line(input).unwrap_or_default();
        match line.split_once(' ') {
            Some((version, "200 Connected to Go RPC")) if version.starts_with("HTTP/1.") => {
                Ok(Some(length))
            }
            _ => Err(Unexpected(line.chars().take(100).collect())),
        }
    }
}

impl Refused {
    /// What the client is told.
    pub fn response(self) -> &'static [u8] {
        match self {
            Self::Method => {
                b"HTTP/1.0 405 Method Not Allowed\r\nContent-Type: text/plain; charset=utf-8\r\n\
                  Content-Length: 17\r\nConnection: close\r\n\r\n405 must CONNECT\n"
            }
            Self::Path => {
                b"HTTP/1.0 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\n\
                  Content-Length: 19\r\nConnection: close\r\n\r\n404 page not found\n"
            }
            Self::Malformed => {
                b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
                  Content-Length: 16\r\nConnection: close\r\n\r\n400 Bad Request\n"
            }
            Self::TooLong => {
                b"HTTP/1.0 431 Request Header Fields Too Large\r\n\
                  Content-Length: 0\r\nConnection: close\r\n\r\n"
            }
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Method => "the method is not CONNECT",
            Self::Path => "the path is not /_goRPC_",
            Self::Malformed => "malformed head",
            Self::TooLong => "a head of more than 8 KiB",
        })
    }
}

impl fmt::Display for Unexpected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unexpected HTTP response: {}", self.0)
    }
}

impl std::error::Error for Refused {}
impl std::error::Error for Unexpected {}

/// Finds the end of a head, however it is cut.
#[derive(Debug, Default)]
struct Head {
    /// All lines that begin before this are known to be not empty.
    line: usize,
    /// There is no line feed between there and here.
    scanned: usize,
}

struct TooLong;

impl Head {
    /// Where the empty line ends, once it is there.
    fn end(&mut self, input: &[u8]) -> Result<Option<usize>, TooLong> {
        let head = input.get(..LIMIT).unwrap_or(input);
        while let Some(at) = memchr::memchr(b'\n', head.get(self.scanned..).unwrap_or_default()) {
            let end = self.scanned + at;
            let line = head.get(self.line..end).unwrap_or_default();
            (self.line, self.scanned) = (end + 1, end + 1);
            if matches!(line, b"" | b"\r") {
                return Ok(Some(end + 1));
            }
        }
        self.scanned = head.len();
        if head.len() == LIMIT { Err(TooLong) } else { Ok(None) }
    }
}

fn first_line(input: &[u8]) -> Option<&str> {
    let end = memchr::memchr(b'\n', input)?;
    let line = str::from_utf8(input.get(..end)?).ok()?;
    Some(line.strip_suffix('\r').unwrap_or(line))
}
