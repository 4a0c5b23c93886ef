//! A reader of HTTP/1.1 that forgives nothing: what it accepts, every peer reads the same way.

use std::fmt;
use std::io::{self, Read};

/// Why a message could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// The peer closed (or reset) the connection between two messages.
    Closed,
    /// The peer closed or reset the connection inside a message; the text says where.
    Cut(String),
    /// The peer fell silent: no byte came for as long as the reader was to wait.
    Silent,
    /// The bytes are not HTTP/1.1 as a strict reader has it; the text says why.
    Invalid(String),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => write!(f, "closed between messages"),
            Self::Cut(at) => write!(f, "cut {at}"),
            Self::Silent => write!(f, "silent"),
            Self::Invalid(why) => write!(f, "invalid: {why}"),
        }
    }
}

impl std::error::Error for Broken {}

/// Header or trailer lines in their order. Values are Latin-1, so that no byte is lost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, String)>);

impl Headers {
    /// The value of the first line of that name, in any case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The values of every line of that name, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// Whether a line of that name is there.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether a comma-separated field holds the token, in any case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.all(name).flat_map(|v| v.split(',')).any(|t| t.trim().eq_ignore_ascii_case(token))
    }
}

/// A request as it was read.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The method, in the case it came in.
    pub method: String,
    /// The request-target, byte for byte.
    pub target: String,
    /// The header lines.
    pub headers: Headers,
    /// The content without its framing.
    pub body: Vec<u8>,
    /// The lines after the last chunk.
    pub trailers: Headers,
}

/// A final response as it was read.
#[derive(Debug, Clone, Default)]
pub struct Response {
    /// The three digits.
    pub status: u16,
    /// The header lines.
    pub headers: Headers,
    /// The content without its framing.
    pub body: Vec<u8>,
    /// The lines after the last chunk.
    pub trailers: Headers,
    /// The interim answers (1xx) before this one, with their header lines.
    pub interim: Vec<(u16, Headers)>,
}

impl Response {
    /// The content as text, for messages and comparisons.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The content as JSON.
    ///
    /// # Panics
    ///
    /// When it is not JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    /// Whether the peer said that this is the last answer on the connection.
    pub fn closes(&self) -> bool {
        self.headers.has_token("connection", "close")
    }
}

/// How the end of a body is found. RFC 9112 §6.3
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
    /// Until the connection closes; only a response may.
    Close,
}

/// Reads one message after the other from a byte stream and keeps every byte it saw.
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
    seen: Vec<u8>,
    at: usize,
}

impl<R: Read> Reader<R> {
    /// A reader at the beginning of a connection.
    pub fn new(from: R) -> Self {
        Self { from, seen: Vec::new(), at: 0 }
    }

    /// Every byte read so far, framing and all.
    pub fn raw(&self) -> &[u8] {
        &self.seen
    }

    /// Drops the bytes of the messages already read, for connections that carry many.
    pub fn forget(&mut self) {
        self.seen.drain(..self.at);
        self.at = 0;
    }

    /// The stream beneath.
    pub fn stream(&self) -> &R {
        &self.from
    }

    /// Reads the head of a request, strictly, and how its body ends.
    pub fn request_head(&mut self) -> Result<(Request, Framing), Broken> {
        let line = self.first_line()?;
        let mut parts = line.split(' ');
        let (Some(method), Some(target), Some("HTTP/1.1"), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return invalid(format!("request line {line:?}"));
        };
        if !is_token(method) {
            return invalid(format!("method {method:?}"));
        }
        if target.is_empty() || !target.bytes().all(|b| b.is_ascii_graphic()) {
            return invalid(format!("request-target {target:?}"));
        }
        let headers = self.fields()?;
        // RFC 9112 §3.2
        if headers.all("host").count() != 1 {
            return invalid(format!("{} Host lines", headers.all("host").count()));
        }
        let framing = match declared(&headers)? {
            // RFC 9112 §6.3 rule 7: a request without a length has no body.
            None => Framing::None,
            Some(framing) => framing,
        };
        let request = Request {
            method: method.to_owned(),
            target: target.to_owned(),
            headers,
            ..Request::default()
        };
        Ok((request, framing))
    }

    /// Reads the head of a response to a request of that method, interim answers before it, and
    /// how its body ends.
    pub fn response_head(&mut self, method: &str) -> Result<(Response, Framing), Broken> {
        let mut interim = Vec::new();
        loop {
            let line = self.first_line()?;
            let status = status(&line)?;
            let headers = self.fields()?;
            let declared = declared(&headers)?;
            let bodiless = status < 200 || status == 204;
            // RFC 9110 §8.6 and RFC 9112 §6.1: neither field in 1xx and 204.
            if bodiless && declared.is_some() {
                return invalid(format!("{status} with {declared:?}"));
            }
            if status < 200 && status != 101 {
                interim.push((status, headers));
                continue;
            }
            let framing = match declared {
                _ if bodiless || status == 304 || method == "HEAD" => Framing::None,
                Some(framing) => framing,
                None => Framing::Close,
            };
            return Ok((Response { status, headers, interim, ..Response::default() }, framing));
        }
    }

    /// Reads one interim answer: its status and its header lines.
    pub fn interim(&mut self) -> Result<(u16, Headers), Broken> {
        let line = self.first_line()?;
        match status(&line)? {
            status @ 100..200 => Ok((status, self.fields()?)),
            status => invalid(format!("{status} where an interim answer should come")),
        }
    }

    /// Reads a whole response to a request of that method.
    pub fn response(&mut self, method: &str) -> Result<Response, Broken> {
        let (mut response, framing) = self.response_head(method)?;
        if framing == Framing::Close && !response.closes() {
            return invalid("a body that only the close ends, unannounced".to_owned());
        }
        response.trailers = self.body(framing, &mut response.body)?;
        Ok(response)
    }

    /// Reads a body to its end into `into`, which holds what came if it is cut; gives the trailers.
    pub fn body(&mut self, framing: Framing, into: &mut Vec<u8>) -> Result<Headers, Broken> {
        match framing {
            Framing::None => {}
            Framing::Length(length) => {
                let mut left = length;
                while left > 0 {
                    left -= self.some(left, into)?;
                }
            }
            Framing::Close => while self.some_or_end(into)? {},
            Framing::Chunked => {
                while let Some(chunk) = self.chunk()? {
                    into.extend(chunk);
                }
                return self.fields();
            }
        }
        Ok(Headers::default())
    }

    /// Reads one chunk; `None` for the last one, after which come the trailers.
    pub fn chunk(&mut self) -> Result<Option<Vec<u8>>, Broken> {
        let line = self.line()?;
        // Extensions are legal, but no proxy should pass one on: RFC 9112 §7.1.1.
        if line.is_empty() || line.len() > 16 || !line.bytes().all(|b| b.is_ascii_hexdigit()) {
            return invalid(format!("chunk size {line:?}"));
        }
        let mut left = u64::from_str_radix(&line, 16).expect("at most 16 hexadecimal digits");
        if left == 0 {
            return Ok(None);
        }
        let mut chunk = Vec::new();
        while left > 0 {
            left -= self.some(left, &mut chunk)?;
        }
        match self.line()?.as_str() {
            "" => Ok(Some(chunk)),
            more => invalid(format!("{more:?} after a chunk")),
        }
    }

    /// Whether the peer has closed or reset the connection; waits for it, or for a byte.
    pub fn is_closed(&mut self) -> bool {
        self.at == self.seen.len() && matches!(self.fill(), Ok(0) | Err(Broken::Closed))
    }

    /// The first line of a message: nothing before it is a clean close.
    fn first_line(&mut self) -> Result<String, Broken> {
        if self.at == self.seen.len() && self.fill()? == 0 {
            return Err(Broken::Closed);
        }
        self.line()
    }

    fn fields(&mut self) -> Result<Headers, Broken> {
        let mut headers = Headers::default();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(headers);
            }
            let Some((name, value)) = line.split_once(':') else {
                return invalid(format!("field line {line:?}"));
            };
            let value = value.trim_matches([' ', '\t']);
            // RFC 9110 §5.1 and §5.5
            if !is_token(name) || value.chars().any(|c| (c < ' ' && c != '\t') || c == '\x7f') {
                return invalid(format!("field line {line:?}"));
            }
            headers.0.push((name.to_owned(), value.to_owned()));
        }
    }

    /// One line without its CRLF; a CR or LF of its own is an error. RFC 9112 §2.2
    fn line(&mut self) -> Result<String, Broken> {
        let begin = self.at;
        loop {
            let rest = &self.seen[self.at..];
            if let Some(end) = rest.iter().position(|&b| b == b'\r' || b == b'\n') {
                if rest[end] == b'\n' {
                    return invalid("a bare LF".to_owned());
                }
                match rest.get(end + 1) {
                    Some(b'\n') => {
                        let line = latin1(&self.seen[begin..self.at + end]);
                        self.at += end + 2;
                        return Ok(line);
                    }
                    Some(_) => return invalid("a bare CR".to_owned()),
                    None => self.at += end,
                }
            } else {
                self.at = self.seen.len();
            }
            match self.fill() {
                Ok(1..) => {}
                Ok(0) | Err(Broken::Closed) => {
                    return Err(Broken::Cut(format!("in line {:?}", latin1(&self.seen[begin..]))));
                }
                Err(broken) => return Err(broken),
            }
        }
    }

    /// Takes at least one and at most `limit` bytes.
    fn some(&mut self, limit: u64, into: &mut Vec<u8>) -> Result<u64, Broken> {
        if self.at == self.seen.len() {
            match self.fill() {
                Ok(1..) => {}
                Ok(0) | Err(Broken::Closed) => {
                    return Err(Broken::Cut(format!("in a body, after {} bytes", into.len())));
                }
                Err(broken) => return Err(broken),
            }
        }
        let there = self.seen.len() - self.at;
        let take = usize::try_from(limit).map_or(there, |limit| there.min(limit));
        into.extend(&self.seen[self.at..self.at + take]);
        self.at += take;
        Ok(take as u64)
    }

    /// Takes what is there; `false` at an orderly end. A reset is a cut.
    fn some_or_end(&mut self, into: &mut Vec<u8>) -> Result<bool, Broken> {
        if self.at == self.seen.len() {
            match self.fill() {
                Ok(0) => return Ok(false),
                Ok(_) => {}
                Err(Broken::Closed) => return Err(Broken::Cut("by a reset, in a body".to_owned())),
                Err(broken) => return Err(broken),
            }
        }
        into.extend(&self.seen[self.at..]);
        self.at = self.seen.len();
        Ok(true)
    }

    fn fill(&mut self) -> Result<usize, Broken> {
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.from.read(&mut buffer) {
                Ok(n) => {
                    self.seen.extend(&buffer[..n]);
                    return Ok(n);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => {
                    return Err(Broken::Silent);
                }
                Err(_) => return Err(Broken::Closed),
            }
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// RFC 9112 §4: `HTTP/1.1 SP 3DIGIT SP [reason]`.
fn status(line: &str) -> Result<u16, Broken> {
    let digits = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.split_once(' '));
    match digits {
        Some((digits, reason))
            if digits.len() == 3
                && digits.bytes().all(|b| b.is_ascii_digit())
                && !reason.chars().any(|c| (c < ' ' && c != '\t') || c == '\x7f') =>
        {
            Ok(digits.parse().expect("three digits"))
        }
        _ => invalid(format!("status line {line:?}")),
    }
}

/// The framing that the header names: one plain Content-Length or `chunked`, never both.
/// RFC 9112 §6.1 and §6.2
fn declared(headers: &Headers) -> Result<Option<Framing>, Broken> {
    let lengths: Vec<_> = headers.all("content-length").collect();
    let codings: Vec<_> = headers.all("transfer-encoding").collect();
    match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => Ok(None),
        ([], ["chunked"]) => Ok(Some(Framing::Chunked)),
        ([length], []) if !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit()) => {
            match length.parse() {
                Ok(length) => Ok(Some(Framing::Length(length))),
                Err(_) => invalid(format!("Content-Length {length:?}")),
            }
        }
        _ => invalid(format!("Content-Length {lengths:?}, Transfer-Encoding {codings:?}")),
    }
}

fn is_token(text: &str) -> bool {
    // RFC 9110 §5.6.2
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&b| char::from(b)).collect()
}

fn invalid<T>(why: String) -> Result<T, Broken> {
    Err(Broken::Invalid(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(bytes: &[u8]) -> Result<Request, Broken> {
        let mut reader = Reader::new(bytes);
        let (mut request, framing) = reader.request_head()?;
        request.trailers = reader.body(framing, &mut request.body)?;
        Ok(request)
    }

    #[test]
    fn a_plain_request_is_read_whole() {
        let read =
            request(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello").unwrap();
        assert_eq!((read.method.as_str(), read.target.as_str()), ("POST", "/x"));
        assert_eq!(read.body, b"hello");
    }

    #[test]
    fn chunks_and_trailers_are_read_whole() {
        let read = request(
            b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
              3\r\nhel\r\n2\r\nlo\r\n0\r\nX-T: 1\r\n\r\n",
        )
        .unwrap();
        assert_eq!(read.body, b"hello");
        assert_eq!(read.trailers.get("x-t"), Some("1"));
    }

    #[test]
    fn what_peers_read_differently_is_refused() {
        for bytes in [
            &b"GET /x HTTP/1.1\nHost: a\n\n"[..],
            b"GET /x HTTP/1.1\r\nHost: a\rb\r\n\r\n",
            b"GET  /x HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /x HTTP/1.0\r\nHost: a\r\n\r\n",
            b"GET /x HTTP/1.1\r\n\r\n",
            b"GET /x HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            b"GET /x HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n",
            b"GET /x HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
            b"GET /x HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
            b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
            b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
            b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
            b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a\r\nhello\r\n0\r\n\r\n",
            b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n",
        ] {
            let read = request(bytes);
            assert!(matches!(read, Err(Broken::Invalid(_))), "{} {read:?}", latin1(bytes));
        }
    }

    #[test]
    fn an_end_inside_a_message_is_a_cut_and_between_messages_a_close() {
        let whole = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(request(&whole[..0]).unwrap_err(), Broken::Closed);
        for end in 1..whole.len() {
            assert!(matches!(request(&whole[..end]), Err(Broken::Cut(_))), "at {end}");
        }
    }

    #[test]
    fn interim_answers_are_kept_apart_and_have_no_body() {
        let bytes = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
        let read = Reader::new(&bytes[..]).response("GET").unwrap();
        assert_eq!((read.status, read.interim.len(), read.body.as_slice()), (200, 1, &b"hi"[..]));
    }
}
