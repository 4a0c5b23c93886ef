//! The origin and the clients of HTTP: one request after the other, the same each time.

use std::io::{self, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;

/// A server that answers every request with a kibibyte, until the process ends.
pub(super) struct Origin {
    pub(super) address: SocketAddr,
}

const BODY: usize = 1024;
/// As nginx answers.
const ANSWER: &str = "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 30 Nov 2026 12:00:00 GMT\r\n\
    Content-Type: application/octet-stream\r\nContent-Length: 1024\r\nConnection: keep-alive\r\n\r\n";

impl Origin {
    pub(super) fn start() -> Result<Self, String> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // It ends with its connection.
                thread::spawn(move || drop(answer(&stream)));
            }
        });
        Ok(Self { address })
    }
}

fn answer(mut stream: &TcpStream) -> io::Result<()> {
    let answer = [ANSWER.as_bytes(), &[b'x'; BODY]].concat();
    let mut request = BufReader::new(stream);
    loop {
        read_head(&mut request)?;
        stream.write_all(&answer)?;
    }
}

/// Reads up to the empty line; how long a body the head announces.
fn read_head(stream: &mut impl Read) -> io::Result<usize> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0].to_ascii_lowercase());
    }
    let head = String::from_utf8_lossy(&head);
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    Ok(length.unwrap_or(0))
}

/// A client of HTTP/1.1 on a kept connection.
pub(super) struct Http1(TcpStream);

const REQUEST: &str = "GET /users/7?page=2 HTTP/1.1\r\nHost: bench.test\r\nUser-Agent: counts/1\r\n\
    Accept: text/html,application/json;q=0.9,*/*;q=0.8\r\nAccept-Encoding: gzip, br\r\nCookie: session=4f6d1c8a\r\n\r\n";

impl Http1 {
    pub(super) fn connect(address: SocketAddr) -> Result<Self, String> {
        TcpStream::connect(address).map(Self).map_err(failed)
    }

    /// Asks so many times.
    pub(super) fn ask(&self, times: u32) -> Result<(), String> {
        let (mut requests, mut answers) = (&self.0, BufReader::new(&self.0));
        let mut ask = || -> io::Result<()> {
            requests.write_all(REQUEST.as_bytes())?;
            let mut body = vec![0; read_head(&mut answers)?];
            answers.read_exact(&mut body)?;
            if body.len() == BODY { Ok(()) } else { Err(unexpected("its body is another")) }
        };
        (0..times).try_for_each(|_| ask()).map_err(failed)
    }
}

/// A client of HTTP/2 (RFC 9113) that knows as much as it takes to ask for the same again and again.
pub(super) struct Http2(TcpStream);

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

impl Http2 {
    pub(super) fn connect(address: SocketAddr) -> Result<Self, String> {
        let stream = TcpStream::connect(address).map_err(failed)?;
        let mut begin = PREFACE.to_vec();
        frame(&mut begin, SETTINGS, 0, 0, &[]);
        // As much as there can be, so that nobody waits for room.
        frame(&mut begin, WINDOW_UPDATE, 0, 0, &0x7fff_0000_u32.to_be_bytes());
        (&stream).write_all(&begin).map_err(failed)?;
        Ok(Self(stream))
    }

    /// Asks so many times.
    pub(super) fn ask(&self, times: u32) -> Result<(), String> {
        let (mut requests, mut answers) = (&self.0, BufReader::new(&self.0));
        let block = block();
        let mut ask = |number: u32| -> io::Result<()> {
            let mut request = Vec::new();
            frame(&mut request, HEADERS, END_STREAM | END_HEADERS, 2 * number + 1, &block);
            requests.write_all(&request)?;
            let mut body = 0;
            loop {
                let mut head = [0; 9];
                answers.read_exact(&mut head)?;
                let [high, middle, low, kind, flags, ..] = head;
                let mut payload = vec![0; u32::from_be_bytes([0, high, middle, low]) as usize];
                answers.read_exact(&mut payload)?;
                match kind {
                    DATA => body += payload.len(),
                    SETTINGS if flags & ACK == 0 => {
                        let mut ack = Vec::new();
                        frame(&mut ack, SETTINGS, ACK, 0, &[]);
                        requests.write_all(&ack)?;
                    }
                    RST_STREAM | GOAWAY => return Err(unexpected("it was given up")),
                    _ => {}
                }
                match kind {
                    DATA | HEADERS if flags & END_STREAM != 0 && body == BODY => return Ok(()),
                    DATA | HEADERS if flags & END_STREAM != 0 => {
                        return Err(unexpected("its body is another"));
                    }
                    _ => {}
                }
            }
        };
        (0..times).try_for_each(&mut ask).map_err(failed)
    }
}

/// The head of the request in HPACK (RFC 7541): names from the static table, values as they are.
fn block() -> Vec<u8> {
    // GET and http, by their places in the static table.
    let mut block = vec![0x82, 0x86];
    for (name, value) in [
        (4, "/users/7?page=2"),
        (1, "bench.test"),
        (58, "counts/1"),
        (19, "text/html,application/json;q=0.9,*/*;q=0.8"),
        (16, "gzip, br"),
        (32, "session=4f6d1c8a"),
    ] {
        // §6.2.2, without indexing: the name's place in four bits, and the rest of it in the next byte.
        match name {
            0..15 => block.push(name),
            _ => block.extend([15, name - 15]),
        }
        block.push(value.len() as u8);
        block.extend_from_slice(value.as_bytes());
    }
    block
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

fn unexpected(what: &'static str) -> io::Error {
    io::Error::other(what)
}

fn failed(error: io::Error) -> String {
    format!("a request to be counted: {error}")
}
