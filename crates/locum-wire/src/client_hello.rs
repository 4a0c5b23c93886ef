//! Whom a client of TLS wants to speak to, from the first message of its handshake, which is not encrypted.
//!
//! Nothing is taken: who only looks passes the same bytes on. [`Reader`] is given all that came so far, as often
//! as something comes, and looks at each byte once.

use std::fmt;

/// How many bytes the message may take, as it comes.
pub const LIMIT: usize = 16 << 10;

/// Reads the first message of a client.
#[derive(Debug, Default)]
pub struct Reader {
    /// How many bytes of the input are in whole records that were read.
    read: usize,
    /// What these carried: the message, as far as it came.
    message: Vec<u8>,
}

/// The first message of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientHello {
    /// The server that it names, in lower case (RFC 6066 §3).
    pub server_name: Option<Box<str>>,
}

/// Why there is no such message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// This is no TLS.
    NotTls,
    /// It begins as TLS does and goes on otherwise.
    Malformed,
    /// It is longer than [`LIMIT`].
    TooLong,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotTls => "the client does not speak TLS",
            Self::Malformed => "the client's first message of TLS is malformed",
            Self::TooLong => "the client's first message of TLS is too long",
        })
    }
}

impl std::error::Error for Unreadable {}

impl Reader {
    /// The message, once `input` has all of it; `None`: it takes more.
    ///
    /// # Errors
    ///
    /// There is none, and no more bytes make one.
    pub fn read(&mut self, input: &[u8]) -> Result<Option<ClientHello>, Unreadable> {
        if input.first().is_some_and(|first| *first != HANDSHAKE)
            || input.get(1).is_some_and(|major| *major != 3)
        {
            return Err(Unreadable::NotTls);
        }
        while let Some((length, fragment)) = record(&input[self.read..])? {
            self.read += RECORD_HEAD + length;
            if self.read > LIMIT {
                return Err(Unreadable::TooLong);
            }
            self.message.extend_from_slice(fragment);
            if let Some(hello) = self.hello()? {
                return Ok(Some(hello));
            }
        }
        if input.len() >= LIMIT { Err(Unreadable::TooLong) } else { Ok(None) }
    }

    fn hello(&self) -> Result<Option<ClientHello>, Unreadable> {
        // RFC 8446 §4: the type, a length of three bytes, the message.
        let Some((head, rest)) = self.message.split_first_chunk::<4>() else { return Ok(None) };
        let [kind, length @ ..] = *head;
        let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        if kind != CLIENT_HELLO {
            return Err(Unreadable::Malformed);
        }
        if length > LIMIT {
            return Err(Unreadable::TooLong);
        }
        let Some(body) = rest.get(..length) else { return Ok(None) };
        let server_name = server_name(body).ok_or(Unreadable::Malformed)?;
        Ok(Some(ClientHello { server_name }))
    }
}

/// The record that `input` begins with, once it is whole (RFC 8446 §5.1).
fn record(input: &[u8]) -> Result<Option<(usize, &[u8])>, Unreadable> {
    let Some((head, rest)) = input.split_first_chunk::<RECORD_HEAD>() else { return Ok(None) };
    let [kind, major, _, high, low] = *head;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if kind != HANDSHAKE || major != 3 || length == 0 {
        return Err(Unreadable::Malformed);
    }
    if length > LIMIT {
        return Err(Unreadable::TooLong);
    }
    Ok(rest.get(..length).map(|fragment| (length, fragment)))
}

/// What a message names; `None`: it is malformed.
fn server_name(body: &[u8]) -> Option<Option<Box<str>>> {
    let mut body = Bytes(body);
    body.take(2 + 32)?; // The version, and the random.
    body.vector(1)?; // The session.
    body.vector(2)?; // Ciphers.
    body.vector(1)?; // Ways to compress.
    if body.0.is_empty() {
        return Some(None); // Before TLS 1.3 there may be no extensions.
    }
    let mut extensions = Bytes(body.vector(2)?);
    if !body.0.is_empty() {
        return None;
    }
    let mut found = None;
    while !extensions.0.is_empty() {
        let kind = extensions.number(2)?;
        let data = extensions.vector(2)?;
        if kind == SERVER_NAME {
            // RFC 8446 §4.2: of each type there is one.
            if found.is_some() {
                return None;
            }
            found = Some(host_name(data)?);
        }
    }
    Some(found)
}

/// The name in the extension: a list with one entry, of the type `host_name` (RFC 6066 §3).
fn host_name(data: &[u8]) -> Option<Box<str>> {
    let mut data = Bytes(data);
    let mut list = Bytes(data.vector(2)?);
    let kind = list.number(1)?;
    let name = list.vector(2)?;
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    let plain = kind == 0
        && data.0.is_empty()
        && list.0.is_empty()
        && (1..=255).contains(&name.len())
        && name.iter().all(is_name);
    let name = if plain { std::str::from_utf8(name).ok()? } else { return None };
    Some(name.to_ascii_lowercase().into())
}

/// Bytes that are taken from the front.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self, bytes: usize) -> Option<usize> {
        let bytes = self.take(bytes)?;
        Some(bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    /// What follows its own length, which takes so many bytes.
    fn vector(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let length = self.number(bytes)?;
        self.take(length)
    }
}

const RECORD_HEAD: usize = 5;
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: usize = 0;

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(bytes: usize, data: &[u8]) -> Vec<u8> {
        let length = data.len().to_be_bytes();
        [&length[length.len() - bytes..], data].concat()
    }

    fn extension(kind: u8, data: &[u8]) -> Vec<u8> {
        [&[0, kind][..], &vector(2, data)].concat()
    }

    fn name(name: &[u8]) -> Vec<u8> {
        extension(0, &vector(2, &[&[0][..], &vector(2, name)].concat()))
    }

    fn message(extensions: &[u8]) -> Vec<u8> {
        let body = [&[3, 3][..], &[7; 32], &[0], &vector(2, &[0x13, 1]), &[1, 0], extensions];
        [&[1][..], &vector(3, &body.concat())].concat()
    }

    fn hello(extensions: &[&[u8]]) -> Vec<u8> {
        message(&vector(2, &extensions.concat()))
    }

    /// In records of at most so many bytes.
    fn records(message: &[u8], most: usize) -> Vec<u8> {
        let record = |part: &[u8]| [&[22, 3, 1][..], &vector(2, part)].concat();
        message.chunks(most).flat_map(record).collect()
    }

    /// The verdict, which may not depend on how the bytes were cut.
    fn verdict(input: &[u8]) -> Result<Option<Option<String>>, Unreadable> {
        let whole = Reader::default().read(input);
        let mut reader = Reader::default();
        let bytewise = (0..=input.len()).map(|end| reader.read(&input[..end]));
        let first = bytewise.into_iter().find(|told| *told != Ok(None)).unwrap_or(Ok(None));
        assert_eq!(first, whole, "{input:?}");
        whole.map(|hello| hello.map(|hello| hello.server_name.map(Into::into)))
    }

    #[test]
    fn the_name_is_found_however_the_message_is_cut_into_records() {
        let alpn = extension(16, &vector(2, &vector(1, b"h2")));
        let message = hello(&[&alpn, &name(b"A.Example.com"), &extension(10, &[0, 2, 0, 29])]);
        for most in [1, 7, 100, 1 << 14] {
            let mut bytes = records(&message, most);
            bytes.extend_from_slice(b"more");
            assert_eq!(verdict(&bytes), Ok(Some(Some("a.example.com".into()))));
        }
    }

    #[test]
    fn a_message_may_name_nobody() {
        assert_eq!(verdict(&records(&message(&[]), 99)), Ok(Some(None)));
        assert_eq!(verdict(&records(&hello(&[]), 99)), Ok(Some(None)));
        assert_eq!(verdict(&records(&hello(&[&extension(10, &[])]), 99)), Ok(Some(None)));
    }

    #[test]
    fn what_is_malformed_is_told() {
        let good = hello(&[&name(b"a.test")]);
        let longer = [&good[..3], &[good[3] + 1], &good[4..], &[0]].concat();
        let cases = [
            (b"GET / HTTP/1.1\r\n\r\n".to_vec(), Unreadable::NotTls),
            (b"\x16\x02\x01\0\x05hello".to_vec(), Unreadable::NotTls),
            (b"\x16\x03\x01\0\0".to_vec(), Unreadable::Malformed),
            (records(&[2, 0, 0, 1, 0], 99), Unreadable::Malformed),
            (
                [records(&good[..9], 99), b"\x17\x03\x03\0\x01x".to_vec()].concat(),
                Unreadable::Malformed,
            ),
            (records(&longer, 999), Unreadable::Malformed),
            (records(&hello(&[&name(b"a.test"), &name(b"b.test")]), 999), Unreadable::Malformed),
            (records(&hello(&[&name(b"")]), 999), Unreadable::Malformed),
            (records(&hello(&[&name(b"a b")]), 999), Unreadable::Malformed),
            (records(&hello(&[&name(&[b'a'; 256])]), 999), Unreadable::Malformed),
            (records(&hello(&[&extension(0, &[])]), 999), Unreadable::Malformed),
            (records(&hello(&[&[0, 0, 0, 9, 1]]), 999), Unreadable::Malformed),
            (records(&[1, 0, 0x40, 1], 99), Unreadable::TooLong),
            (
                records(&[&[1, 0, 0x3f, 0xff][..], &[0; 1 << 14]].concat(), 1000),
                Unreadable::TooLong,
            ),
        ];
        for (bytes, expected) in cases {
            assert_eq!(verdict(&bytes), Err(expected), "{bytes:?}");
        }
        let cut = records(&good, 999);
        assert_eq!(verdict(&cut[..cut.len() - 1]), Ok(None));
    }
}
