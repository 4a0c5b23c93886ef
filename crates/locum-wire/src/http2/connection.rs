//! One end of a connection.

mod block;
mod content;
mod fault;
mod receive;
mod send;
mod window;

use std::collections::{HashMap, VecDeque};

use rustc_hash::FxBuildHasher;

use super::hpack::{Decoder, Encoder, Fields};
use super::settings::{self, INITIAL_WINDOW, Peer};
use super::stream::{Content, Stage, Stream};
use super::{Error, ErrorCode, Limits, PREFACE, StreamId, frame};
use crate::http1::Head;

pub use send::SendError;

use fault::Counts;

/// One end of a connection: what it receives becomes [events](super::Event), and what it has to send gathers
/// in [`output`](Self::output), from which the caller writes.
///
/// ```
/// use locum_wire::http2::{Connection, Event, Limits, Scheme};
///
/// let mut client = Connection::client(&Limits::default(), Scheme::Http);
/// let mut server = Connection::server(&Limits::default(), 1);
///
/// let stream = client.open().expect("a server takes streams");
/// client.send(stream, b"GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n")?;
///
/// let mut input = std::mem::take(client.output());
/// loop {
///     let (used, event) = server.receive(&input)?;
///     input.drain(..used);
///     match event.expect("there is a request") {
///         Event::Head { stream: it, end } => break assert_eq!((it, end), (stream, true)),
///         _ => continue,
///     }
/// }
/// assert_eq!(server.text(), b"GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n");
///
/// server.send(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")?;
/// assert_eq!(server.streams(), 0, "all is said");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It knows no time: the caller judges what is too slow or too often.
#[derive(Debug)]
pub struct Connection {
    role: Role,
    limits: Limits,
    failed: Option<Error>,

    reading: Reading,
    /// A header block whose end has not come.
    block: Option<Block>,
    decoder: Decoder,
    fields: Fields,
    /// The last head or trailers in HTTP/1.1.
    text: Vec<u8>,
    secret: Vec<u8>,

    encoder: Encoder,
    output: Vec<u8>,
    /// How often the caller has looked at it.
    turn: u64,
    /// Heads that are to be sent, one at a time.
    head: Head,
    /// The name of a field in lower case.
    name: Vec<u8>,

    streams: HashMap<u32, Stream, FxBuildHasher>,
    /// The last stream that the peer has opened; of a client, the last one of its own.
    last: StreamId,
    /// Streams that we have reset, the last ones: the peer may not know yet.
    reset: VecDeque<u32>,
    going: Going,

    peer: Peer,
    has_peer_settings: bool,
    /// Whether the peer knows our settings.
    is_acknowledged: bool,
    incoming_window: i64,
    /// Bytes of content that were released, of which the peer was not told yet.
    credit: u32,
    outgoing_window: i64,
    counts: Counts,
}

/// What requests are asked by (RFC 9113 §8.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Over plain TCP.
    Http,
    /// Over TLS.
    Https,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// With what makes its WebSocket keys its own.
    Server(u64),
    Client(Scheme),
}

/// What is read next.
#[derive(Debug, Clone, Copy)]
enum Reading {
    /// The client's preface, of which so much was read.
    Preface(usize),
    Frame,
    /// Content of a frame, and the padding behind it.
    Data {
        stream: StreamId,
        left: usize,
        padding: usize,
        end: bool,
    },
    /// Bytes that mean nothing.
    Skip(usize),
}

#[derive(Debug)]
struct Block {
    stream: StreamId,
    end_stream: bool,
    depends_on_itself: bool,
    frames: u32,
    bytes: Vec<u8>,
}

/// How far the connection is on its way to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Going {
    Not,
    /// The peer was asked for no more streams, and those that it has sent meanwhile are still served.
    Soon,
    /// Streams above this one are not served.
    At(StreamId),
}

/// How many streams a server is trusted to take before it has said how many it does (RFC 9113 §6.5.2
/// asks for no fewer).
const UNTOLD: u32 = 100;

impl Connection {
    /// The server's end. `seed` goes into what stands for WebSocket keys.
    #[must_use]
    pub fn server(limits: &Limits, seed: u64) -> Self {
        let mut it = Self::new(Role::Server(seed), limits, Reading::Preface(0));
        frame::settings(&mut it.output, &settings::of_server(limits));
        it.open_window();
        it
    }

    /// The client's end.
    #[must_use]
    pub fn client(limits: &Limits, scheme: Scheme) -> Self {
        let mut it = Self::new(Role::Client(scheme), limits, Reading::Frame);
        it.output.extend_from_slice(PREFACE);
        frame::settings(&mut it.output, &settings::of_client(limits));
        it.open_window();
        it
    }

    fn new(role: Role, limits: &Limits, reading: Reading) -> Self {
        Self {
            role,
            limits: *limits,
            failed: None,
            reading,
            block: None,
            decoder: Decoder::new(),
            fields: Fields::new(),
            text: Vec::new(),
            secret: Vec::new(),
            encoder: Encoder::new(),
            output: Vec::new(),
            turn: 0,
            head: Head::new(),
            name: Vec::new(),
            streams: HashMap::default(),
            last: StreamId::CONNECTION,
            reset: VecDeque::new(),
            going: Going::Not,
            peer: Peer::new(),
            has_peer_settings: false,
            is_acknowledged: false,
            incoming_window: i64::from(INITIAL_WINDOW),
            credit: 0,
            outgoing_window: i64::from(INITIAL_WINDOW),
            counts: Counts::default(),
        }
    }

    /// What is to be written. The caller takes from its front what it has written.
    ///
    /// No stream fills it alone: each has its share from one look at the output to the next. Whatever was
    /// not taken is to be offered again when half of it, 64 KiB, or all was written.
    pub fn output(&mut self) -> &mut Vec<u8> {
        self.turn += 1;
        &mut self.output
    }

    /// The head or the trailers that the last [event](super::Event) has told of, in HTTP/1.1.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The names of those fields of the last head that its sender wants nobody to put into a table, because their
    /// values could be guessed there (RFC 7541 §7.1.3), a line each. Whoever sends the head on
    /// [says so](Self::keep_secret).
    #[must_use]
    pub fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// Never puts fields of these names into a table, of the heads that are sent on `stream`; a line each.
    pub fn keep_secret(&mut self, stream: StreamId, names: &[u8]) {
        if let Some(it) = self.streams.get_mut(&stream.0) {
            it.outgoing.secret = names.into();
        }
    }

    /// How many streams are open.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// Whether `stream` is open: anything can still come or be sent on it.
    #[must_use]
    pub fn is_open(&self, stream: StreamId) -> bool {
        self.streams.contains_key(&stream.0)
    }

    /// Whether a header block or the preface has begun and its end is awaited.
    #[must_use]
    pub fn is_in_head(&self) -> bool {
        self.block.is_some() || matches!(self.reading, Reading::Preface(_))
    }

    /// Whether the peer knows our settings.
    #[must_use]
    pub fn is_acknowledged(&self) -> bool {
        self.is_acknowledged
    }

    /// Whether the peer takes a WebSocket on a stream (RFC 8441 §3). None: it has not said yet.
    #[must_use]
    pub fn takes_websockets(&self) -> Option<bool> {
        self.has_peer_settings.then_some(self.peer.websockets)
    }

    /// Opens a stream for a request. None: the peer takes no more, now or at all.
    pub fn open(&mut self) -> Option<StreamId> {
        if self.capacity() == 0 {
            return None;
        }
        self.last = StreamId(if self.last == StreamId::CONNECTION { 1 } else { self.last.0 + 2 });
        let incoming_window = self.stream_window();
        let stream = Stream::new(Content::NoHead, incoming_window, i64::from(self.peer.window));
        self.streams.insert(self.last.0, stream);
        self.counts.streams += 1;
        Some(self.last)
    }

    /// How many streams the peer would take now. A server opens none.
    #[must_use]
    pub fn capacity(&self) -> usize {
        let is_used_up = self.last.0 >= StreamId::MAX.0 - 1;
        let is_client = matches!(self.role, Role::Client(_));
        if !is_client || is_used_up || self.going != Going::Not || self.failed.is_some() {
            return 0;
        }
        let most = if self.has_peer_settings { self.peer.streams } else { UNTOLD };
        (most as usize).saturating_sub(self.streams.len())
    }

    /// Gives up a stream.
    pub fn reset(&mut self, stream: StreamId, code: ErrorCode) {
        // Of a stream on which nothing was said the peer has not heard (RFC 9113 §5.1): it must not be told that it
        // is over.
        let is_unsaid = matches!(self.role, Role::Client(_))
            && self
                .streams
                .get(&stream.0)
                .is_some_and(|it| matches!(it.outgoing.stage, Stage::Head));
        if self.forget(stream) && !is_unsaid {
            self.remember_reset(stream);
            frame::rst_stream(&mut self.output, stream, code);
        }
    }

    /// Asks whether the peer is there; it answers with the same bytes.
    pub fn ping(&mut self, payload: [u8; 8]) {
        frame::ping(&mut self.output, false, payload);
    }

    /// Tells the peer that the connection ends (RFC 9113 §6.8). A server calls it twice, a round trip
    /// or a second apart: what was on its way at the first call is still served, and what comes after
    /// the second is not. Streams that are open go on.
    pub fn shutdown(&mut self) {
        let (going, last) = match (self.role, self.going) {
            (Role::Server(_), Going::Not) => (Going::Soon, StreamId::MAX),
            (Role::Server(_), Going::Soon) => (Going::At(self.last), self.last),
            (Role::Client(_), Going::Not | Going::Soon) => {
                (Going::At(StreamId::CONNECTION), StreamId::CONNECTION)
            }
            (_, Going::At(_)) => return,
        };
        self.going = going;
        frame::go_away(&mut self.output, last, ErrorCode::NO_ERROR);
    }

    /// Gives up the connection at once, for instance because the peer does too much of something.
    pub fn abort(&mut self, code: ErrorCode) {
        let last = if let Going::At(last) = self.going { last } else { self.last_of_peer() };
        self.going = Going::At(last);
        frame::go_away(&mut self.output, last, code);
    }

    /// Gives back memory that only a busy connection needs.
    pub fn shrink(&mut self) {
        self.fields.shrink();
        self.text = Vec::new();
        self.name = Vec::new();
        self.head = Head::new();
        self.streams.shrink_to_fit();
        if self.output.is_empty() {
            self.output = Vec::new();
        }
    }

    fn last_of_peer(&self) -> StreamId {
        if let Role::Server(_) = self.role { self.last } else { StreamId::CONNECTION }
    }

    /// Forgets a stream that is over; says whether there was one.
    fn forget(&mut self, stream: StreamId) -> bool {
        let Some(it) = self.streams.remove(&stream.0) else { return false };
        self.counts.tiny_data -= it.incoming.tiny;
        self.counts.heads -= it.incoming.head;
        self.credit(it.incoming.unreleased);
        true
    }
}
