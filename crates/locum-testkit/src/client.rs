//! One client connection that sends exactly the bytes it is given.

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use crate::clock::PATIENCE;
use crate::http::{Broken, Reader, Response};

/// How the bytes of a message are cut into writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pieces {
    /// One write.
    Whole,
    /// One write a byte.
    Bytes,
    /// Cut at places drawn from this seed.
    Cut(u64),
}

impl Pieces {
    /// The pieces, in order; together they are the message.
    pub fn of(self, bytes: &[u8]) -> Vec<&[u8]> {
        match self {
            Self::Whole => vec![bytes],
            Self::Bytes => bytes.chunks(1).collect(),
            Self::Cut(seed) => cut(bytes, seed),
        }
    }
}

fn cut(bytes: &[u8], seed: u64) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let mut rest = bytes;
    let mut state = seed.wrapping_add(1);
    while !rest.is_empty() {
        // A linear congruential step (Knuth, MMIX): any spread will do, but the same every time.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let longest = rest.len().min(24) as u64;
        let (piece, more) = rest.split_at(1 + (state >> 33) as usize % longest as usize);
        pieces.push(piece);
        rest = more;
    }
    pieces
}

/// A connection to the program (or to anything that speaks HTTP/1.1).
#[derive(Debug)]
pub struct Client {
    reader: Reader<TcpStream>,
}

impl Client {
    /// Connects. Reads end in [`Broken::Silent`] after [`PATIENCE`].
    ///
    /// # Panics
    ///
    /// When the connection is not taken.
    pub fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).unwrap_or_else(|error| panic!("{address}: {error}"))
    }

    /// Connects, or says why it could not.
    pub fn try_connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        let client = Self { reader: Reader::new(stream) };
        client.patience(PATIENCE);
        Ok(client)
    }

    /// Changes how long a read or a write waits before it gives up.
    pub fn patience(&self, limit: Duration) {
        let stream = self.reader.stream();
        stream.set_read_timeout(Some(limit)).expect("a limit above zero");
        stream.set_write_timeout(Some(limit)).expect("a limit above zero");
    }

    /// Sends the bytes. That the peer no longer takes them shows in what is read next.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        drop(self.try_send(bytes.as_ref()));
    }

    /// Sends the bytes, or says that the peer does not take them.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut stream = self.reader.stream();
        stream.write_all(bytes)
    }

    /// Sends the bytes in pieces, each a write of its own, until the peer takes no more.
    pub fn send_in(&mut self, pieces: Pieces, bytes: &[u8]) {
        for piece in pieces.of(bytes) {
            if self.try_send(piece).is_err() {
                return;
            }
        }
    }

    /// Says that nothing more will be sent, and stays to read.
    pub fn half_close(&self) {
        drop(self.reader.stream().shutdown(Shutdown::Write));
    }

    /// Reads one response to a request of that method, strictly.
    pub fn response(&mut self, method: &str) -> Result<Response, Broken> {
        self.reader.response(method)
    }

    /// Sends a request without a body and reads its answer.
    pub fn get(&mut self, target: &str) -> Result<Response, Broken> {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: a.test\r\n\r\n"));
        self.response("GET")
    }

    /// Sends a request with a body and reads its answer.
    pub fn post(&mut self, target: &str, body: &[u8]) -> Result<Response, Broken> {
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.send([head.as_bytes(), body].concat());
        self.response("POST")
    }

    /// Waits until the peer closes the connection; `false` if it sends a byte or stays silent.
    pub fn is_closed(&mut self) -> bool {
        self.reader.is_closed()
    }

    /// Every byte received.
    pub fn raw(&self) -> &[u8] {
        self.reader.raw()
    }

    /// The reader, for answers that are taken in parts.
    pub fn reader(&mut self) -> &mut Reader<TcpStream> {
        &mut self.reader
    }
}

/// One GET on a connection of its own.
///
/// # Panics
///
/// When no whole answer comes.
pub fn get(address: SocketAddr, target: &str) -> Response {
    Client::connect(address)
        .get(target)
        .unwrap_or_else(|broken| panic!("GET {target} at {address}: {broken}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_up_the_message() {
        let message: Vec<u8> = (0..=255).collect();
        for pieces in [Pieces::Whole, Pieces::Bytes, Pieces::Cut(1), Pieces::Cut(2)] {
            assert_eq!(pieces.of(&message).concat(), message, "{pieces:?}");
        }
        assert_ne!(Pieces::Cut(1).of(&message), Pieces::Cut(2).of(&message));
    }
}
