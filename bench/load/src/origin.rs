//! What stands behind the proxy: it answers every request at once, with a kibibyte.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use rustix::event::epoll;

use crate::Result;

const ANSWER: &str = "HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Mon, 30 Nov 2026 12:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\nConnection: keep-alive\r\n\r\n";
const END: &[u8] = b"\r\n\r\n";

pub(crate) struct Origin {
    listener: TcpListener,
    /// Its number among what is waited for; its connections have those after it.
    first: u64,
    connections: Vec<Option<Connection>>,
    answer: Vec<u8>,
    buffer: Box<[u8]>,
}

struct Connection {
    stream: TcpStream,
    /// How much of the end of a head was the last that arrived.
    matched: usize,
}

impl Origin {
    /// Listens there. What happens is to be given to `attend`, by a number of `first` or more.
    ///
    /// # Errors
    ///
    /// The address is taken.
    pub(crate) fn listen(address: SocketAddr, poll: &OwnedFd, first: u64) -> Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        epoll::add(poll, &listener, epoll::EventData::new_u64(first), epoll::EventFlags::IN)?;
        let answer = [ANSWER.as_bytes(), &[b'x'; 1024]].concat();
        let buffer = vec![0; 16 * 1024].into();
        Ok(Self { listener, first, connections: Vec::new(), answer, buffer })
    }

    /// Does what has become possible.
    ///
    /// # Errors
    ///
    /// There are no descriptors left.
    pub(crate) fn attend(&mut self, number: u64, poll: &OwnedFd) -> Result<()> {
        match number.checked_sub(self.first + 1) {
            None => self.accept(poll)?,
            Some(at) => self.answer(at as usize),
        }
        Ok(())
    }

    fn accept(&mut self, poll: &OwnedFd) -> Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let at = self.connections.iter().position(Option::is_none);
            let at = at.unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            let number = epoll::EventData::new_u64(self.first + 1 + at as u64);
            epoll::add(poll, &stream, number, epoll::EventFlags::IN)?;
            self.connections[at] = Some(Connection { stream, matched: 0 });
        }
    }

    /// Reads what has arrived on a connection, and answers the requests that end with it.
    fn answer(&mut self, at: usize) {
        let Some(connection) = &mut self.connections[at] else { return };
        let n = match connection.stream.read(&mut self.buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            // Who is gone needs no answer.
            Ok(0) | Err(_) => {
                self.connections[at] = None;
                return;
            }
            Ok(n) => n,
        };
        let ends = connection.ends(&self.buffer[..n]);
        // Who does not take it, which is less than a socket holds, is gone as well.
        if (0..ends).any(|_| connection.stream.write_all(&self.answer).is_err()) {
            self.connections[at] = None;
        }
    }
}

impl Connection {
    /// How many heads end within what has arrived. No request has a body.
    fn ends(&mut self, bytes: &[u8]) -> usize {
        let mut ends = 0;
        for byte in bytes {
            self.matched = match self.matched {
                matched if *byte == END[matched] => matched + 1,
                _ => usize::from(*byte == END[0]),
            };
            if self.matched == END.len() {
                self.matched = 0;
                ends += 1;
            }
        }
        ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_answered_when_it_ends_however_it_is_cut() {
        let stream = || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            TcpStream::connect(listener.local_addr().unwrap()).unwrap()
        };
        let requests = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\r\n\r\n";
        for cut in 1..requests.len() {
            let mut connection = Connection { stream: stream(), matched: 0 };
            let before = connection.ends(&requests[..cut]);
            assert_eq!(before, usize::from(cut >= 27), "{cut}");
            assert_eq!(before + connection.ends(&requests[cut..]), 2, "{cut}");
        }
    }
}
