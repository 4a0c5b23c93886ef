//! HTTP/2 by hand: frames as they are, good or bad, and heads that are never compressed.
//!
//! What a peer's head says is not read but for its status: whoever wants to know more asks by HTTP/1.1, or uses
//! curl.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use crate::clock::PATIENCE;

/// What a client sends first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames (RFC 9113 §6).
pub const DATA: u8 = 0;
/// See above.
pub const HEADERS: u8 = 1;
/// See above.
pub const PRIORITY: u8 = 2;
/// See above.
pub const RST_STREAM: u8 = 3;
/// See above.
pub const SETTINGS: u8 = 4;
/// See above.
pub const PING: u8 = 6;
/// See above.
pub const GOAWAY: u8 = 7;
/// See above.
pub const WINDOW_UPDATE: u8 = 8;
/// See above.
pub const CONTINUATION: u8 = 9;

/// Flags: the last frame of a stream, and of a head. A SETTINGS or PING with the first is an answer.
pub const END_STREAM: u8 = 1;
/// See above.
pub const END_HEADERS: u8 = 4;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: u8,
    /// What is said of it.
    pub flags: u8,
    /// Whose it is; 0: the connection's.
    pub stream: u32,
    /// What it carries.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Whether it ends its stream in this direction.
    pub fn ends(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }

    /// The number that RST_STREAM begins with.
    pub fn code(&self) -> u32 {
        number(&self.payload, 0)
    }

    /// The last stream and the error code of a GOAWAY.
    pub fn goes_away(&self) -> (u32, u32) {
        (number(&self.payload, 0), number(&self.payload, 4))
    }
}

fn number(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |four| u32::from_be_bytes(four.try_into().unwrap_or_default()))
}

/// One end of a connection.
#[derive(Debug)]
pub struct Http2 {
    stream: TcpStream,
}

impl Http2 {
    /// Connects as a client: its preface and empty SETTINGS are sent.
    ///
    /// # Panics
    ///
    /// Where nobody listens.
    pub fn connect(address: SocketAddr) -> Self {
        let mut it = Self::silent(address);
        it.send(PREFACE);
        it.frame(SETTINGS, 0, 0, &[]);
        it
    }

    /// Connects and says nothing yet.
    ///
    /// # Panics
    ///
    /// Where nobody listens.
    pub fn silent(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("somebody listens");
        Self::of(stream)
    }

    /// The server's end of an accepted connection, whose preface is read; SETTINGS are sent.
    ///
    /// # Panics
    ///
    /// When the client does not begin as it must.
    pub fn accepted(stream: TcpStream) -> Self {
        let mut it = Self::of(stream);
        let mut preface = [0; 24];
        it.stream.read_exact(&mut preface).expect("a preface");
        assert_eq!(preface, PREFACE);
        it.frame(SETTINGS, 0, 0, &[]);
        it
    }

    fn of(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit above zero");
        stream.set_write_timeout(Some(PATIENCE)).expect("a limit above zero");
        stream.set_nodelay(true).expect("a connected socket");
        Self { stream }
    }

    /// Sends bytes as they are; whoever is turned away meanwhile finds out by reading.
    pub fn send(&mut self, bytes: &[u8]) {
        drop(self.stream.write_all(bytes));
    }

    /// Sends a frame.
    pub fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.send(&frame(kind, flags, stream, payload));
    }

    /// Sends a head in one frame.
    pub fn head(&mut self, stream: u32, end: bool, fields: &[(&str, &str)]) {
        let flags = if end { END_HEADERS | END_STREAM } else { END_HEADERS };
        self.frame(HEADERS, flags, stream, &block(fields));
    }

    /// Asks for a path, without content.
    pub fn get(&mut self, stream: u32, path: &str) {
        self.head(stream, true, &get(path));
    }

    /// The next frame; `None` at the end. SETTINGS and PING are answered before.
    pub fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).ok()?;
        let [a, b, c, kind, flags, id @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.stream.read_exact(&mut payload).ok()?;
        if matches!(kind, SETTINGS | PING) && flags & END_STREAM == 0 {
            self.frame(kind, END_STREAM, 0, if kind == PING { &payload } else { &[] });
        }
        Some(Frame { kind, flags, stream: u32::from_be_bytes(id), payload })
    }

    /// Reads up to a frame of which `is` holds.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn until(&mut self, what: &str, is: impl Fn(&Frame) -> bool) -> Frame {
        let mut seen = Vec::new();
        while let Some(frame) = self.read() {
            if is(&frame) {
                return frame;
            }
            seen.push((frame.kind, frame.stream, frame.payload.len()));
        }
        panic!("{what} did not come; these did: {seen:?}");
    }

    /// The content of the answer on a stream, to its end, whose window is kept open.
    ///
    /// # Panics
    ///
    /// When the stream ends otherwise.
    pub fn body(&mut self, stream: u32) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let frame = self.read().expect("the answer ends before the connection");
            match frame.kind {
                DATA => {
                    let more = (frame.payload.len() as u32).to_be_bytes();
                    if !frame.payload.is_empty() {
                        self.frame(WINDOW_UPDATE, 0, 0, &more);
                    }
                    if frame.stream != stream {
                        continue;
                    }
                    body.extend_from_slice(&frame.payload);
                    if !frame.ends() && !frame.payload.is_empty() {
                        self.frame(WINDOW_UPDATE, 0, stream, &more);
                    }
                }
                RST_STREAM if frame.stream == stream => panic!("reset: {}", frame.code()),
                _ => {}
            }
            if frame.stream == stream && frame.ends() {
                return body;
            }
        }
    }

    /// Reads to the end of the connection; gives the last GOAWAY's last stream and code.
    pub fn end(&mut self) -> Option<(u32, u32)> {
        let mut last = None;
        while let Some(frame) = self.read() {
            if frame.kind == GOAWAY {
                last = Some(frame.goes_away());
            }
        }
        last
    }

    /// The socket.
    pub fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// Reads what there is, to the end.
    ///
    /// # Errors
    ///
    /// The connection breaks, or does not end in time.
    pub fn drain(&mut self) -> io::Result<u64> {
        io::copy(&mut self.stream, &mut io::sink())
    }
}

/// A frame as it is sent.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The fields of a request without content.
pub fn get(path: &str) -> [(&str, &str); 4] {
    [(":method", "GET"), (":scheme", "http"), (":authority", "a.test"), (":path", path)]
}

/// A head, each field a literal that is not remembered (RFC 7541 §6.2.2).
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            integer(&mut block, text.len());
            block.extend(text.bytes());
        }
    }
    block
}

/// RFC 7541 §5.1, with a prefix of seven bits.
fn integer(block: &mut Vec<u8>, value: usize) {
    if value < 127 {
        return block.push(value as u8);
    }
    block.push(127);
    let mut rest = value - 127;
    while rest >= 128 {
        block.push(rest as u8 | 128);
        rest >>= 7;
    }
    block.push(rest as u8);
}
