//! The PROXY protocol, versions 1 and 2: what a proxy that carries bytes says first of whom it carries them for.
//!
//! [`read`] is given all that came so far, as often as something comes, and asks for more or has an answer;
//! [`Version::write`] writes. Both follow HAProxy's `proxy-protocol.txt`, whose sections are named here.

use std::fmt;
use std::net::SocketAddr;

mod v1;
mod v2;

/// How many bytes a header may have. Version 2 could have 64 KiB; what is carried there beside addresses is small.
pub const LIMIT: usize = 4 << 10;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// The connection is the proxy's own: it asks whether anybody listens.
    Local,
    /// It is somebody's, whose address is none of TCP, or is not told.
    Unknown,
    /// It is one between these two.
    Addresses(Addresses),
}

/// The ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Who made it.
    pub client: SocketAddr,
    /// Whom it was made to.
    pub server: SocketAddr,
}

/// How a header is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// A line of text (§2.1).
    V1,
    /// Bytes (§2.2).
    V2,
}

impl Version {
    /// Appends a header.
    pub fn write(self, header: &Header, out: &mut Vec<u8>) {
        match self {
            Self::V1 => v1::write(header, out),
            Self::V2 => v2::write(header, out),
        }
    }
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// They do not begin like one.
    NotOne,
    /// It is longer than [`LIMIT`], or than the 107 bytes of version 1.
    TooLong,
    /// It begins like one and goes on otherwise.
    Invalid,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotOne => "no PROXY header comes first",
            Self::TooLong => "the PROXY header is too long",
            Self::Invalid => "the PROXY header is malformed",
        })
    }
}

impl std::error::Error for Malformed {}

/// The header that `input` begins with, and its length; `None`: it takes more of it.
///
/// ```
/// use locum_wire::proxy_protocol::{Header, read};
/// assert_eq!(read(b"PROXY UNK"), Ok(None));
/// assert_eq!(read(b"PROXY UNKNOWN\r\nGET /"), Ok(Some((Header::Unknown, 15))));
/// ```
///
/// # Errors
///
/// It is none, and no more bytes make it one.
pub fn read(input: &[u8]) -> Result<Option<(Header, usize)>, Malformed> {
    match input.first() {
        None => Ok(None),
        Some(first) if *first == v2::SIGNATURE[0] => v2::read(input),
        Some(_) => v1::read(input),
    }
}

/// Whether `input` begins as `signature` does, as far as it goes.
fn begins(input: &[u8], signature: &[u8]) -> bool {
    let common = input.len().min(signature.len());
    input[..common] == signature[..common]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(client: &str, server: &str) -> Header {
        Header::Addresses(Addresses {
            client: client.parse().unwrap(),
            server: server.parse().unwrap(),
        })
    }

    /// The verdict on all of `input`, which may not depend on how it was cut.
    fn verdict(input: &[u8]) -> Result<Option<(Header, usize)>, Malformed> {
        let whole = read(input);
        let first = (0..=input.len()).map(|end| read(&input[..end])).find(|it| *it != Ok(None));
        assert_eq!(first.unwrap_or(Ok(None)), whole, "{input:?}");
        whole
    }

    fn v2(rest: &[u8]) -> Vec<u8> {
        [v2::SIGNATURE, rest].concat()
    }

    #[test]
    fn what_is_written_is_read() {
        let headers = [
            between("192.0.2.1:56324", "198.51.100.7:443"),
            between("[2001:db8::1]:56324", "[2001:db8::2]:443"),
            Header::Unknown,
        ];
        for header in headers {
            for version in [Version::V1, Version::V2] {
                let mut bytes = Vec::new();
                version.write(&header, &mut bytes);
                let length = bytes.len();
                bytes.extend_from_slice(b"GET / HTTP/1.1\r\n");
                assert_eq!(verdict(&bytes), Ok(Some((header, length))), "{version:?}");
            }
        }
        let mut local = Vec::new();
        Version::V2.write(&Header::Local, &mut local);
        assert_eq!(verdict(&local), Ok(Some((Header::Local, 16))));
    }

    #[test]
    fn ends_of_two_families_are_told_in_the_larger() {
        let mixed = between("192.0.2.1:1", "[2001:db8::2]:2");
        for version in [Version::V1, Version::V2] {
            let mut bytes = Vec::new();
            version.write(&mixed, &mut bytes);
            let told = between("[::ffff:192.0.2.1]:1", "[2001:db8::2]:2");
            assert_eq!(verdict(&bytes), Ok(Some((told, bytes.len()))));
        }
    }

    #[test]
    fn lines_are_read_by_the_letter() {
        let known = between("192.0.2.1:56324", "198.51.100.7:443");
        let cases: &[(&str, Result<Header, Malformed>)] = &[
            ("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n", Ok(known)),
            ("PROXY UNKNOWN\r\n", Ok(Header::Unknown)),
            ("PROXY UNKNOWN ffff::1 ffff::2 1 2 and more\r\n", Ok(Header::Unknown)),
            ("PROXY TCP6 ::1 ::2 0 65535\r\n", Ok(between("[::1]:0", "[::2]:65535"))),
            ("GET / HTTP/1.1\r\n", Err(Malformed::NotOne)),
            ("proxy TCP4 192.0.2.1 198.51.100.7 1 2\r\n", Err(Malformed::NotOne)),
            ("PROXYTCP4 192.0.2.1 198.51.100.7 1 2\r\n", Err(Malformed::NotOne)),
            ("PROXY\r\n", Err(Malformed::NotOne)),
            ("PROXY \r\n", Err(Malformed::Invalid)),
            ("PROXY TCP5 192.0.2.1 198.51.100.7 1 2\r\n", Err(Malformed::Invalid)),
            ("PROXY UNKNOWNS\r\n", Err(Malformed::Invalid)),
            ("PROXY TCP4\r\n", Err(Malformed::Invalid)),
            ("PROXY TCP4 192.0.2.1 198.51.100.7 1\r\n", Err(Malformed::Invalid)),
            ("PROXY TCP4 192.0.2.1 198.51.100.7 1 2 3\r\n", Err(Malformed::Invalid)),
            ("PROXY TCP4  192.0.2.1 198.51.100.7 1 2\r\n", Err(Malformed::Invalid)),
            ("PROXY TCP4 192.0.2.1 198.51.100.7 1 2 \r\n", Err(Malformed::Invalid)),
            ("PROXY TCP4 192.0.2.256 198.51.100.7 1 2\r\n", Err(Malformed::Invalid)),
            ("PROXY TCP4 192.0.2.01 198.51.100.7 1 2\r\n", Err(Malformed::Invalid)),
            ("PROXY TCP4 ::1 ::2 1 2\r\n", Err(Malformed::Invalid)),
            ("PROXY TCP6 192.0.2.1 198.51.100.7 1 2\r\n", Err(Malformed::Invalid)),
            ("PROXY TCP4 192.0.2.1 198.51.100.7 65536 2\r\n", Err(Malformed::Invalid)),
            ("PROXY TCP4 192.0.2.1 198.51.100.7 01 2\r\n", Err(Malformed::Invalid)),
            ("PROXY TCP4 192.0.2.1 198.51.100.7 +1 2\r\n", Err(Malformed::Invalid)),
            ("PROXY TCP4 192.0.2.1 198.51.100.7 -1 2\r\n", Err(Malformed::Invalid)),
            ("PROXY TCP4 192.0.2.1 198.51.100.7 1 2\r3\r\n", Err(Malformed::Invalid)),
            ("PROXY TCP4 192.0.2.1 198.51.100.7 1 2\n\r\n", Err(Malformed::Invalid)),
            ("PROXY TCP4 é 198.51.100.7 1 2\r\n", Err(Malformed::Invalid)),
        ];
        for (line, expected) in cases {
            let told = verdict(line.as_bytes());
            assert_eq!(told, expected.map(|header| Some((header, line.len()))), "{line:?}");
        }
    }

    #[test]
    fn a_line_has_at_most_107_bytes() {
        let line = |length: usize| format!("PROXY UNKNOWN {}\r\n", "x".repeat(length - 16));
        assert_eq!(verdict(line(107).as_bytes()), Ok(Some((Header::Unknown, 107))));
        assert_eq!(verdict(line(108).as_bytes()), Err(Malformed::TooLong));
        assert_eq!(verdict("PROXY UNKNOWN ".repeat(20).as_bytes()), Err(Malformed::TooLong));
    }

    #[test]
    fn bytes_are_read_by_the_letter() {
        let v4 = [192, 0, 2, 1, 198, 51, 100, 7, 0xdc, 0x04, 0x01, 0xbb];
        let known = between("192.0.2.1:56324", "198.51.100.7:443");
        let with = |head: [u8; 4], body: &[u8]| v2(&[&head[..], body].concat());
        let cases = [
            (with([0x21, 0x11, 0, 12], &v4), Ok(known)),
            // What follows the addresses is skipped.
            (with([0x21, 0x11, 0, 16], &[&v4[..], &[4, 0, 1, 0]].concat()), Ok(known)),
            // Whatever a health check says of addresses means nothing.
            (with([0x20, 0x00, 0, 0], &[]), Ok(Header::Local)),
            (with([0x20, 0x11, 0, 12], &v4), Ok(Header::Local)),
            (with([0x20, 0xff, 0, 1], &[0]), Ok(Header::Local)),
            (with([0x21, 0x00, 0, 0], &[]), Ok(Header::Unknown)),
            (with([0x21, 0x00, 0, 3], &[1, 2, 3]), Ok(Header::Unknown)),
            (with([0x21, 0x31, 0, 216], &[0; 216]), Ok(Header::Unknown)),
            (with([0x21, 0x12, 0, 12], &v4), Ok(Header::Unknown)),
            (with([0x11, 0x11, 0, 12], &v4), Err(Malformed::Invalid)),
            (with([0x31, 0x11, 0, 12], &v4), Err(Malformed::Invalid)),
            (with([0x22, 0x11, 0, 12], &v4), Err(Malformed::Invalid)),
            (with([0x21, 0x41, 0, 12], &v4), Err(Malformed::Invalid)),
            (with([0x21, 0x13, 0, 12], &v4), Err(Malformed::Invalid)),
            (with([0x21, 0x11, 0, 11], &v4[..11]), Err(Malformed::Invalid)),
            (with([0x21, 0x21, 0, 12], &v4), Err(Malformed::Invalid)),
            (with([0x21, 0x31, 0, 12], &v4), Err(Malformed::Invalid)),
            (with([0x21, 0x11, 0x10, 0], &v4), Err(Malformed::TooLong)),
            (b"\r\n\r\n\0\r\nQUIX\n\x21".to_vec(), Err(Malformed::NotOne)),
            (b"\r\nGET / HTTP/1.1\r\n".to_vec(), Err(Malformed::NotOne)),
        ];
        for (bytes, expected) in cases {
            let length = bytes.len();
            let told = verdict(&bytes);
            assert_eq!(told, expected.map(|header| Some((header, length))), "{bytes:?}");
        }
        assert_eq!(verdict(&with([0x21, 0x11, 0, 12], &v4[..11])), Ok(None));
    }
}
