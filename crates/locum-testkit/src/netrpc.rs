//! Go's net/rpc by hand: calls byte by byte, and a reader of their answers that forgives nothing.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use gob::{field, message};

use crate::clock::PATIENCE;
use crate::{Broken, Pieces};

pub mod gob;

/// A client connection.
#[derive(Debug)]
pub struct NetRpc {
    stream: TcpStream,
    /// Names of the types that were defined so far, `Request` first.
    defined: Vec<String>,
    /// Calls written so far.
    seq: u64,
    /// Bytes that came and were not taken.
    received: Vec<u8>,
}

/// The argument of a call.
#[derive(Debug, Clone, Copy)]
pub enum Args<'a> {
    /// `int`.
    Int(i64),
    /// `string`, which need not be UTF-8.
    Text(&'a [u8]),
    /// `[]byte`.
    Bytes(&'a [u8]),
    /// A struct of this name with fields of type `int`.
    Ints(&'a str, &'a [(&'a str, i64)]),
    /// A struct of this name with one field of type `uint64`.
    Uint(&'a str, &'a str, u64),
}

/// What is answered to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// As the call named it.
    pub method: Vec<u8>,
    /// Of the call; the first is 0.
    pub seq: u64,
    /// Empty if the call succeeded.
    pub error: Vec<u8>,
    /// The value that was returned, behind the number of its type.
    body: Vec<u8>,
}

impl NetRpc {
    /// Connects. Reads end in [`Broken::Silent`] after [`PATIENCE`].
    ///
    /// # Panics
    ///
    /// When the connection is not taken.
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)
            .unwrap_or_else(|error| panic!("{address}: {error}"));
        stream.set_nodelay(true).expect("a connected socket");
        let client = Self { stream, defined: Vec::new(), seq: 0, received: Vec::new() };
        client.patience(PATIENCE);
        client
    }

    /// Changes how long a read or a write waits before it gives up.
    pub fn patience(&self, limit: Duration) {
        self.stream.set_read_timeout(Some(limit)).expect("a limit above zero");
        self.stream.set_write_timeout(Some(limit)).expect("a limit above zero");
    }

    /// The bytes of the next call, with what it defines.
    pub fn write(&mut self, method: impl AsRef<[u8]>, args: Args<'_>) -> Vec<u8> {
        let mut bytes = self.header(method);
        bytes.extend(self.body(args));
        bytes
    }

    /// The bytes of the next call's header alone.
    pub fn header(&mut self, method: impl AsRef<[u8]>) -> Vec<u8> {
        let fields = [("ServiceMethod", gob::STRING), ("Seq", gob::UINT)];
        let (id, mut bytes) = self.define("Request", &fields);
        let seq = self.seq;
        self.seq += 1;
        let mut last = -1;
        let method = field(&mut last, 0, &gob::sized(method.as_ref()));
        let seq = if seq == 0 { Vec::new() } else { field(&mut last, 1, &gob::uint(seq)) };
        bytes.extend(message(&[&gob::int(id), &method, &seq, &[0]]));
        bytes
    }

    fn body(&mut self, args: Args<'_>) -> Vec<u8> {
        match args {
            Args::Int(value) => message(&[&gob::int(gob::INT), &[0], &gob::int(value)]),
            Args::Text(text) => message(&[&gob::int(gob::STRING), &[0], &gob::sized(text)]),
            Args::Bytes(bytes) => message(&[&gob::int(gob::BYTES), &[0], &gob::sized(bytes)]),
            Args::Ints(name, values) => {
                let fields: Vec<_> = values.iter().map(|(name, _)| (*name, gob::INT)).collect();
                let (id, mut bytes) = self.define(name, &fields);
                let mut last = -1;
                let values = values.iter().enumerate().filter(|(_, (_, value))| *value != 0);
                let values: Vec<u8> = values
                    .flat_map(|(at, (_, value))| field(&mut last, at as i64, &gob::int(*value)))
                    .collect();
                bytes.extend(message(&[&gob::int(id), &values, &[0]]));
                bytes
            }
            Args::Uint(name, of, value) => {
                let (id, mut bytes) = self.define(name, &[(of, gob::UINT)]);
                let value =
                    if value == 0 { Vec::new() } else { field(&mut -1, 0, &gob::uint(value)) };
                bytes.extend(message(&[&gob::int(id), &value, &[0]]));
                bytes
            }
        }
    }

    /// The number of the struct of this name, and its definition unless it was sent before.
    fn define(&mut self, name: &str, fields: &[(&str, i64)]) -> (i64, Vec<u8>) {
        let known = self.defined.iter().position(|known| known == name);
        let at = known.unwrap_or(self.defined.len());
        let id = gob::FIRST + at as i64;
        if known.is_some() {
            return (id, Vec::new());
        }
        self.defined.push(name.to_owned());
        (id, gob::structure(id, name, fields))
    }

    /// Sends the bytes. That the peer no longer takes them shows in what is read next.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        drop(self.stream.write_all(bytes.as_ref()));
    }

    /// Sends the bytes, or says that the peer does not take them.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends the bytes in pieces, each a write of its own, until the peer takes no more.
    pub fn send_in(&mut self, pieces: Pieces, bytes: &[u8]) {
        for piece in pieces.of(bytes) {
            if self.stream.write_all(piece).is_err() {
                return;
            }
        }
    }

    /// Begins a call and gives back its number.
    pub fn begin(&mut self, method: &str, args: Args<'_>) -> u64 {
        let bytes = self.write(method, args);
        self.send(bytes);
        self.seq - 1
    }

    /// Makes a call and reads the next answer, which has to be its.
    ///
    /// # Panics
    ///
    /// When another call is answered, or none.
    pub fn call(&mut self, method: &str, args: Args<'_>) -> Answer {
        let seq = self.begin(method, args);
        let answer = self.answer().unwrap_or_else(|broken| panic!("{method}: {broken}"));
        assert_eq!((answer.seq, &*answer.method), (seq, method.as_bytes()), "{answer:?}");
        answer
    }

    /// Reads the next answer.
    pub fn answer(&mut self) -> Result<Answer, Broken> {
        let header = self.value()?;
        let invalid = || Broken::Invalid(format!("no header: {header:02x?}"));
        let (mut method, mut seq, mut error) = (Vec::new(), 0, Vec::new());
        let (mut rest, mut at) = (header.as_slice(), -1);
        gob::take_int(&mut rest).filter(|id| *id >= gob::LEAST).ok_or_else(invalid)?;
        while let Some(delta @ 1..) = gob::take_uint(&mut rest) {
            at += delta as i64;
            match at {
                0 => method = gob::take_sized(&mut rest).ok_or_else(invalid)?,
                1 => seq = gob::take_uint(&mut rest).ok_or_else(invalid)?,
                2 => error = gob::take_sized(&mut rest).ok_or_else(invalid)?,
                _ => return Err(invalid()),
            }
        }
        let body = self.value().map_err(|broken| match broken {
            Broken::Closed => Broken::Cut("before the value of an answer".to_owned()),
            other => other,
        })?;
        Ok(Answer { method, seq, error, body })
    }

    /// The next message that is no definition.
    fn value(&mut self) -> Result<Vec<u8>, Broken> {
        loop {
            let message = self.message()?;
            if gob::take_int(&mut message.as_slice()).is_some_and(|id| id > 0) {
                return Ok(message);
            }
        }
    }

    fn message(&mut self) -> Result<Vec<u8>, Broken> {
        loop {
            let mut rest = self.received.as_slice();
            if let Some(message) = gob::take_sized(&mut rest) {
                self.received = rest.to_vec();
                return Ok(message);
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> Result<(), Broken> {
        let mut buffer = vec![0; 64 << 10];
        match self.stream.read(&mut buffer) {
            Ok(0) if self.received.is_empty() => Err(Broken::Closed),
            Ok(0) => Err(Broken::Cut(format!("after {:02x?}", self.received))),
            Ok(n) => {
                self.received.extend(&buffer[..n]);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(Broken::Silent),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Err(Broken::Closed),
            Err(error) => Err(Broken::Cut(error.to_string())),
        }
    }

    /// Waits until the peer has closed the connection, and throws away what it sends until then.
    /// `false` if it neither sends nor closes.
    pub fn is_closed(&mut self) -> bool {
        loop {
            self.received.clear();
            match self.fill() {
                Ok(()) => {}
                Err(broken) => return broken != Broken::Silent,
            }
        }
    }

    /// Asks for net/rpc as `rpc.DialHTTP` does, and reads the word of the server.
    ///
    /// # Panics
    ///
    /// When it is another word.
    pub fn upgrade(&mut self, pieces: Pieces) {
        self.send_in(pieces, b"CONNECT /_goRPC_ HTTP/1.0\n\n");
        self.expect(b"HTTP/1.0 200 Connected to Go RPC\n\n");
    }

    /// Reads exactly these bytes.
    ///
    /// # Panics
    ///
    /// When others come, or too few.
    pub fn expect(&mut self, bytes: &[u8]) {
        while self.received.len() < bytes.len() {
            self.fill().unwrap_or_else(|broken| panic!("{broken}: {:?}", self.received));
        }
        let got: Vec<u8> = self.received.drain(..bytes.len()).collect();
        assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(bytes));
    }

    /// Says that nothing more will be sent, and stays to read.
    pub fn half_close(&self) {
        drop(self.stream.shutdown(Shutdown::Write));
    }

    /// Closes with a reset: the peer is told that nobody reads any more.
    pub fn reset(self) {
        // Nothing but a socket option turns a close into a reset.
        drop(socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)));
    }

    /// The socket itself.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

impl Answer {
    /// The error as text.
    pub fn failure(&self) -> String {
        String::from_utf8_lossy(&self.error).into_owned()
    }

    /// The `int` that was returned.
    ///
    /// # Panics
    ///
    /// When it is none, or the call failed.
    pub fn int(&self) -> i64 {
        let mut rest = self.plain(gob::INT);
        gob::take_int(&mut rest).expect("an int")
    }

    /// The `bool` that was returned.
    ///
    /// # Panics
    ///
    /// When it is none, or the call failed.
    pub fn truth(&self) -> bool {
        self.plain(gob::BOOL) == [1]
    }

    /// The `string` that was returned.
    ///
    /// # Panics
    ///
    /// When it is none, or the call failed.
    pub fn text(&self) -> Vec<u8> {
        gob::take_sized(&mut self.plain(gob::STRING)).expect("a string")
    }

    /// The `[]byte` that was returned.
    ///
    /// # Panics
    ///
    /// When it is none, or the call failed.
    pub fn bytes(&self) -> Vec<u8> {
        gob::take_sized(&mut self.plain(gob::BYTES)).expect("bytes")
    }

    /// The value, if it has this type, which is no struct.
    fn plain(&self, id: i64) -> &[u8] {
        assert_eq!(self.failure(), "");
        let mut rest = self.body.as_slice();
        assert_eq!(gob::take_int(&mut rest), Some(id), "{self:?}");
        rest.strip_prefix(&[0]).unwrap_or_else(|| panic!("no zero before the value: {self:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Go writes of `Arith.Add` with `Args{7, 8}`, twice.
    #[test]
    fn calls_are_written_as_go_does() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = NetRpc::connect(listener.local_addr().unwrap());
        let args = Args::Ints("Args", &[("A", 7), ("B", 8)]);
        let first = [
            b"\x2f\xff\x81\x03\x01\x01\x07Request\x01\xff\x82\x00\x01\x02".as_slice(),
            b"\x01\x0dServiceMethod\x01\x0c\x00\x01\x03Seq\x01\x06\x00\x00\x00",
            b"\x0e\xff\x82\x01\x09Arith.Add\x00",
            b"\x1e\xff\x83\x03\x01\x01\x04Args\x01\xff\x84\x00\x01\x02",
            b"\x01\x01A\x01\x04\x00\x01\x01B\x01\x04\x00\x00\x00",
            b"\x07\xff\x84\x01\x0e\x01\x10\x00",
        ];
        assert_eq!(client.write("Arith.Add", args), first.concat());
        let second = b"\x10\xff\x82\x01\x09Arith.Add\x01\x01\x00\x07\xff\x84\x01\x0e\x01\x10\x00";
        assert_eq!(client.write("Arith.Add", args), second);
    }
}
