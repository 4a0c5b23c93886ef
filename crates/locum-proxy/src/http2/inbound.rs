//! What has come on a stream and was not read yet, read as the bytes of HTTP/1.1.

use locum_wire::http1::encode::{self, CRLF};

/// What has come on a stream. Content is kept as it came and framed only as it is read, so that it takes
/// no more memory than its flow-control window, however small its pieces were.
pub(super) struct Inbound {
    /// Bytes of HTTP/1.1 that come before `content`: heads, and the lines around chunks.
    lines: Vec<u8>,
    /// How much of `lines` was read.
    read: usize,
    /// What is left of the chunk whose line was read or stands in `lines`.
    chunk: usize,
    content: Vec<u8>,
    /// How much of `content` was read.
    used: usize,
    framing: Framing,
    /// The last chunk, until it is read.
    last: Vec<u8>,
    ended: bool,
}

/// How the content is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Framing {
    /// As it is: there is none, or its length is in the head.
    #[default]
    Plain,
    /// In chunks.
    Chunked,
    /// As it is, and what follows the last of it is the end of the stream.
    Tunnel,
}

/// How much was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Read {
    /// Bytes put into the space.
    pub(super) filled: usize,
    /// Bytes of content among them.
    pub(super) content: usize,
}

/// An empty buffer keeps no more room than this.
const KEPT: usize = 1024;

impl Inbound {
    pub(super) fn new() -> Self {
        Self {
            lines: Vec::new(),
            read: 0,
            chunk: 0,
            content: Vec::new(),
            used: 0,
            framing: Framing::Plain,
            last: Vec::new(),
            ended: false,
        }
    }

    /// A head has come. What follows it is to be read so.
    pub(super) fn head(&mut self, bytes: &[u8], framing: Framing) {
        self.lines.extend_from_slice(bytes);
        self.framing = framing;
    }

    /// Content has come.
    pub(super) fn content(&mut self, bytes: &[u8]) {
        if self.used >= KEPT && self.used >= self.unread() {
            // Moved seldom enough that each byte is moved once at most.
            self.content.drain(..self.used);
            self.used = 0;
        }
        self.content.extend_from_slice(bytes);
    }

    /// All has come. Where content is read in chunks, this is the last of them.
    pub(super) fn end(&mut self, last: &[u8]) {
        self.last = last.to_vec();
        self.ended = true;
    }

    /// Content that comes from here on is read in chunks.
    pub(super) fn chunk(&mut self) {
        self.framing = Framing::Chunked;
    }

    /// Whether all has come.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether a read would bring something: bytes, or the end of a tunnel.
    pub(super) fn is_readable(&self) -> bool {
        self.has_bytes() || (self.ended && self.framing == Framing::Tunnel)
    }

    /// Whether there are bytes to read.
    pub(super) fn has_bytes(&self) -> bool {
        self.read < self.lines.len() || self.unread() > 0 || !self.last.is_empty()
    }

    /// Bytes of content that wait to be read.
    fn unread(&self) -> usize {
        self.content.len() - self.used
    }

    /// Reads into `space`; nothing, where nothing is there or a tunnel has ended.
    pub(super) fn read(&mut self, space: &mut [u8]) -> Read {
        let mut read = Read::default();
        while read.filled < space.len() {
            let space = &mut space[read.filled..];
            if self.read < self.lines.len() {
                let count = copy(&self.lines[self.read..], space);
                self.read += count;
                read.filled += count;
                if self.read == self.lines.len() {
                    empty(&mut self.lines, &mut self.read);
                }
                continue;
            }
            let unread = self.unread();
            let most = match self.framing {
                Framing::Plain | Framing::Tunnel => unread,
                Framing::Chunked if self.chunk > 0 => self.chunk,
                Framing::Chunked if unread > 0 => {
                    encode::chunk_head(&mut self.lines, unread);
                    self.chunk = unread;
                    continue;
                }
                Framing::Chunked => {
                    if self.last.is_empty() {
                        break;
                    }
                    self.lines.append(&mut self.last);
                    // After it nothing comes.
                    self.framing = Framing::Plain;
                    continue;
                }
            };
            if most == 0 {
                break;
            }
            let count = copy(&self.content[self.used..self.used + most], space);
            self.used += count;
            read.filled += count;
            read.content += count;
            if self.chunk > 0 {
                self.chunk -= count;
                if self.chunk == 0 {
                    self.lines.extend_from_slice(CRLF);
                }
            }
            if self.used == self.content.len() {
                empty(&mut self.content, &mut self.used);
            }
        }
        read
    }
}

fn copy(bytes: &[u8], space: &mut [u8]) -> usize {
    let count = bytes.len().min(space.len());
    space[..count].copy_from_slice(&bytes[..count]);
    count
}

fn empty(bytes: &mut Vec<u8>, used: &mut usize) {
    bytes.clear();
    bytes.shrink_to(KEPT);
    *used = 0;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that can be read, `step` bytes at a time, and how much of it was content.
    fn drain(inbound: &mut Inbound, step: usize) -> (String, usize) {
        let (mut text, mut content) = (Vec::new(), 0);
        let mut space = vec![0; step];
        loop {
            let read = inbound.read(&mut space);
            text.extend_from_slice(&space[..read.filled]);
            content += read.content;
            if read.filled == 0 {
                return (String::from_utf8(text).unwrap(), content);
            }
        }
    }

    #[test]
    fn content_of_a_known_length_is_read_as_it_came() {
        for step in [1, 7, 100] {
            let mut inbound = Inbound::new();
            inbound.head(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n", Framing::Plain);
            inbound.content(b"hel");
            inbound.content(b"lo");
            inbound.end(b"");
            let (text, content) = drain(&mut inbound, step);
            assert_eq!(text, "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello");
            assert_eq!(content, 5);
            assert!(!inbound.is_readable(), "nothing follows a message");
        }
    }

    #[test]
    fn content_that_is_read_late_becomes_one_chunk_and_trailers_follow_it() {
        for step in [1, 2, 3, 100] {
            let mut inbound = Inbound::new();
            inbound.head(b"H\r\n\r\n", Framing::Chunked);
            "tiny pieces".bytes().for_each(|byte| inbound.content(&[byte]));
            inbound.end(b"0\r\nx-sum: 1\r\n\r\n");
            let (text, content) = drain(&mut inbound, step);
            assert_eq!(text, "H\r\n\r\nb\r\ntiny pieces\r\n0\r\nx-sum: 1\r\n\r\n");
            assert_eq!(content, 11);
            assert!(inbound.has_ended() && !inbound.is_readable());
        }
    }

    #[test]
    fn what_comes_while_a_chunk_is_read_becomes_another() {
        let mut inbound = Inbound::new();
        inbound.head(b"", Framing::Chunked);
        inbound.content(b"one");
        let mut space = [0; 4];
        assert_eq!(inbound.read(&mut space), Read { filled: 4, content: 1 });
        inbound.content(b"two");
        assert_eq!(drain(&mut inbound, 5).0, "ne\r\n3\r\ntwo\r\n");
        assert!(!inbound.is_readable());
        inbound.end(encode::LAST_CHUNK);
        assert!(inbound.is_readable());
        assert_eq!(drain(&mut inbound, 5).0, "0\r\n\r\n");
    }

    #[test]
    fn a_tunnel_ends_with_an_end_that_can_be_read() {
        let mut inbound = Inbound::new();
        inbound.head(b"H", Framing::Tunnel);
        inbound.content(b"frames");
        assert_eq!(drain(&mut inbound, 4).0, "Hframes");
        assert!(!inbound.is_readable());
        inbound.end(b"");
        assert!(inbound.is_readable());
        assert_eq!(inbound.read(&mut [0; 4]), Read::default());
    }

    #[test]
    fn what_is_never_read_to_its_end_does_not_grow() {
        let mut inbound = Inbound::new();
        inbound.head(b"", Framing::Plain);
        inbound.content(b"x");
        for _ in 0..1000 {
            inbound.content(&[b'x'; 4096]);
            assert_eq!(inbound.read(&mut [0; 4096]).content, 4096);
        }
        assert!(inbound.content.capacity() < 64 * 1024);
    }

    #[test]
    fn what_was_read_takes_no_room() {
        let mut inbound = Inbound::new();
        inbound.head(b"", Framing::Plain);
        inbound.content(&[b'x'; 64 * 1024]);
        assert_eq!(drain(&mut inbound, 16 * 1024).1, 64 * 1024);
        assert!(inbound.content.capacity() <= KEPT);
    }
}
