//! Frames as a peer would write them that keeps to no rule, and a server that reads them.

use locum_wire::http2::{Connection, Error, ErrorCode, Event, Limits, PREFACE, write_data};

use super::pair::Seen;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
pub(crate) const WITH_PRIORITY: u8 = 32;
pub(crate) const WHOLE: u8 = END_STREAM | END_HEADERS;

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A block of literals that go into no table.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            assert!(text.len() < 127 + 128, "two bytes tell the length");
            if text.len() < 127 {
                bytes.push(text.len() as u8);
            } else {
                bytes.extend_from_slice(&[127, (text.len() - 127) as u8]);
            }
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    bytes
}

pub(crate) const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a.test")];
pub(crate) const POST: [(&str, &str); 4] =
    [(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "a.test")];

/// A whole head.
pub(crate) fn headers(flags: u8, stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, flags | END_HEADERS, stream, &block(fields))
}

/// A request that is complete.
pub(crate) fn get(stream: u32) -> Vec<u8> {
    headers(END_STREAM, stream, &GET)
}

/// A request whose content is to come.
pub(crate) fn post(stream: u32) -> Vec<u8> {
    headers(0, stream, &POST)
}

/// A request with these fields besides those that it must have.
pub(crate) fn with(flags: u8, stream: u32, more: &[(&str, &str)]) -> Vec<u8> {
    headers(flags, stream, &[&POST[..], more].concat())
}

pub(crate) fn setting(name: u16, value: u32) -> Vec<u8> {
    [&name.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

/// What one side has done.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// The peer sends bytes.
    Peer(Vec<u8>),
    /// The server answers a stream, completely.
    Answer(u32),
}

impl From<Vec<u8>> for Step {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Peer(bytes)
    }
}

/// What a server has made of everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) seen: Vec<Seen>,
    pub(crate) output: Vec<(u8, u8, u32, Vec<u8>)>,
    pub(crate) error: Option<Error>,
}

impl Outcome {
    /// The code of the GOAWAY it has sent.
    pub(crate) fn went(&self) -> Option<ErrorCode> {
        self.sent(GOAWAY, 0).map(|it| code(&it[4..]))
    }

    /// The code by which it has reset a stream.
    pub(crate) fn reset(&self, stream: u32) -> Option<ErrorCode> {
        self.sent(RST_STREAM, stream).map(code)
    }

    /// The payload of the first frame of a kind.
    pub(crate) fn sent(&self, kind: u8, stream: u32) -> Option<&[u8]> {
        let mut of_kind = self.output.iter().filter(|it| it.0 == kind && it.2 == stream);
        of_kind.next().map(|it| &it.3[..])
    }

    /// What came on a stream, and whether that was all.
    pub(crate) fn text(&self, stream: u32) -> Option<(&str, bool)> {
        self.seen.iter().find_map(|it| match it {
            Seen::Text(id, text, end) if *id == stream => Some((&text[..], *end)),
            _ => None,
        })
    }
}

fn code(bytes: &[u8]) -> ErrorCode {
    ErrorCode(u32::from_be_bytes(*bytes.first_chunk().unwrap()))
}

/// Has a server read the preface, settings and an acknowledgement, then go through `steps`: whole, byte by
/// byte and cut. All must come to the same.
pub(crate) fn serve(steps: &[Step]) -> Outcome {
    serve_with(&Limits::default(), steps)
}

pub(crate) fn serve_with(limits: &Limits, steps: &[Step]) -> Outcome {
    let begin = [&PREFACE[..], &frame(SETTINGS, 0, 0, &[]), &frame(SETTINGS, ACK, 0, &[])].concat();
    let steps: Vec<_> = std::iter::once(begin.into()).chain(steps.iter().cloned()).collect();
    serve_bare(limits, &steps)
}

/// Without a preface.
pub(crate) fn serve_bare(limits: &Limits, steps: &[Step]) -> Outcome {
    let whole = run(limits, steps, usize::MAX);
    for size in [1, 2, 7, 100, 5000] {
        assert_eq!(run(limits, steps, size), whole, "cut to pieces of {size}");
    }
    whole
}

fn run(limits: &Limits, steps: &[Step], most: usize) -> Outcome {
    let mut server = Connection::server(limits, 7);
    let (mut seen, mut error) = (Vec::new(), None);
    'steps: for step in steps {
        match step {
            Step::Answer(stream) => {
                let stream = StreamIds::of(*stream, &seen);
                server.send(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").unwrap();
            }
            Step::Peer(bytes) => {
                let mut buffer = Vec::new();
                for piece in bytes.chunks(most.min(bytes.len()).max(1)) {
                    buffer.extend_from_slice(piece);
                    match read(&mut server, &buffer, &mut seen) {
                        Ok(used) => drop(buffer.drain(..used)),
                        Err(it) => {
                            error = Some(it);
                            break 'steps;
                        }
                    }
                }
                assert!(buffer.len() < 9 + 16384, "no more is left than a frame");
            }
        }
    }
    let seen = seen.into_iter().map(|it| it.0).collect();
    Outcome { seen, output: split(server.output()), error }
}

type Found = (Seen, Option<locum_wire::http2::StreamId>);

/// Ids are only had from events.
struct StreamIds;

impl StreamIds {
    fn of(stream: u32, seen: &[Found]) -> locum_wire::http2::StreamId {
        seen.iter()
            .filter_map(|it| it.1)
            .find(|it| it.get() == stream)
            .expect("the stream was opened")
    }
}

/// Reads what can be read. Nothing is released, so that what is sent does not depend on the cuts.
fn read(server: &mut Connection, bytes: &[u8], seen: &mut Vec<Found>) -> Result<usize, Error> {
    let mut at = 0;
    loop {
        let (used, event) = server.receive(&bytes[at..])?;
        let here = &bytes[at..];
        at += used;
        let Some(event) = event else { return Ok(at) };
        let (stream, text, last) = match event {
            Event::Head { stream, end } => (stream, server.text().to_vec(), end),
            Event::Trailers { stream } => (stream, server.text().to_vec(), true),
            Event::Data { stream, data, end, .. } => {
                let mut text = Vec::new();
                write_data(&mut text, &here[data], false, end);
                (stream, text, end)
            }
            other => {
                seen.push((Seen::Other(other), None));
                continue;
            }
        };
        // Any bytes are text, each of them one character.
        let text: String = text.into_iter().map(char::from).collect();
        let last_of_stream = seen.iter_mut().rev().find(|it| it.1 == Some(stream));
        match last_of_stream {
            Some((Seen::Text(_, before, ended), _)) => {
                assert!(!*ended, "nothing comes behind the end");
                before.push_str(&text);
                *ended = last;
            }
            _ => seen.push((Seen::Text(stream.get(), text, last), Some(stream))),
        }
    }
}

/// The frames in what was sent: kind, flags, stream and payload.
pub(crate) fn split(mut bytes: &[u8]) -> Vec<(u8, u8, u32, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((&[a, b, c, kind, flags, d, e, f, g], rest)) = bytes.split_first_chunk::<9>() {
        let (payload, after) = rest.split_at(u32::from_be_bytes([0, a, b, c]) as usize);
        frames.push((kind, flags, u32::from_be_bytes([d, e, f, g]), payload.to_vec()));
        bytes = after;
    }
    assert_eq!(bytes, b"", "whole frames are sent");
    frames
}
