//! The streams of one connection, and what has come on each.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Waker};

use locum_wire::http1::encode;
use locum_wire::http2::{Connection, Error, ErrorCode, Event, StreamId};
use memchr::memmem;
use rustc_hash::FxHashMap;
use slab::Slab;

use super::crowd::Crowd;
use super::inbound::{Framing, Inbound};
use super::stream::Stream;

/// A connection's codec and its streams, shared by whoever serves the connection and whoever has one of its
/// streams.
pub(super) struct Streams {
    pub(super) state: RefCell<State>,
    /// The connection is under TLS.
    pub(super) secure: bool,
    pub(super) end: End,
}

/// Which end of the connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Server,
    Client,
}

pub(super) struct State {
    pub(super) codec: Connection,
    /// Streams that somebody has.
    pub(super) slots: Slab<Slot>,
    places: FxHashMap<StreamId, usize>,
    /// Those who wait for a stream to be over.
    crowd: Option<Rc<Crowd>>,
    /// The connection's task, where it has to be told that there is something to write.
    driver: Option<Waker>,
}

pub(super) struct Slot {
    pub(super) id: StreamId,
    /// Its count, of a connection whose peer opens them.
    pub(super) number: u64,
    pub(super) inbound: Inbound,
    /// Names of fields of its last head that nobody may put into a table, a line each.
    pub(super) secret: Box<[u8]>,
    pub(super) lost: Option<Lost>,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
}

/// Why nothing more comes or goes on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// The peer has given it up, or made us do so.
    Reset,
    /// The peer has not begun it.
    Refused,
    /// The connection is over.
    Broken,
}

/// What has come, as far as it is for whoever serves the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// A stream was opened; it has this slot, and the codec has its head.
    Opened(usize),
    /// The peer has given up a stream, or made us do so. Without a slot, it was never begun.
    Reset(Option<usize>),
    /// The peer takes no more streams.
    GoesAway,
    /// The peer has answered a PING.
    Pong,
}

impl Streams {
    /// Those of a connection.
    pub(super) fn new(codec: Connection, secure: bool, end: End) -> Rc<Self> {
        let (slots, places) = (Slab::new(), FxHashMap::default());
        let state = State { codec, slots, places, crowd: None, driver: None };
        Rc::new(Self { state: RefCell::new(state), secure, end })
    }

    /// When one of them is over, one of `crowd` is told.
    pub(super) fn freed_to(&self, crowd: &Rc<Crowd>) {
        self.state.borrow_mut().crowd = Some(Rc::clone(crowd));
    }

    /// Somebody takes the stream of that slot, which the peer has opened.
    pub(super) fn take(self: &Rc<Self>, key: usize) -> Stream {
        Stream::new(Rc::clone(self), key)
    }

    /// Opens a stream. `None`: the peer takes no more.
    pub(super) fn open(self: &Rc<Self>) -> Option<Stream> {
        let mut state = self.state.borrow_mut();
        let id = state.codec.open()?;
        let key = state.insert(id);
        Some(Stream::new(Rc::clone(self), key))
    }
}

impl State {
    fn insert(&mut self, id: StreamId) -> usize {
        let inbound = Inbound::new();
        let (secret, lost, reader, writer) = (Box::default(), None, None, None);
        let slot = Slot { id, number: 0, inbound, secret, lost, reader, writer };
        let key = self.slots.insert(slot);
        self.places.insert(id, key);
        key
    }

    /// Nobody has that stream any more. What is not finished on it is given up.
    pub(super) fn remove(&mut self, key: usize, end: End) {
        let slot = self.slots.remove(key);
        self.places.remove(&slot.id);
        if self.codec.is_open(slot.id) {
            self.codec.reset(
                slot.id,
                match end {
                    End::Server => ErrorCode::INTERNAL_ERROR,
                    End::Client => ErrorCode::CANCEL,
                },
            );
        }
        if let Some(crowd) = &self.crowd {
            crowd.wake_one();
        }
        self.wake_driver();
    }

    /// Takes in what begins with `bytes`, up to the next that is of interest to whoever serves the connection;
    /// gives how many bytes that were.
    ///
    /// # Errors
    ///
    /// The connection is over, and what is to be told is in the output.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Result<(usize, Option<News>), Error> {
        let mut taken = 0;
        loop {
            let rest = bytes.get(taken..).unwrap_or_default();
            let (used, event) = self.codec.receive(rest)?;
            taken += used;
            let Some(event) = event else { return Ok((taken, None)) };
            if let Some(news) = self.apply(event, rest) {
                return Ok((taken, Some(news)));
            }
        }
    }

    fn apply(&mut self, event: Event, bytes: &[u8]) -> Option<News> {
        match event {
            Event::Head { stream, end } => {
                let known = self.places.get(&stream).copied();
                let key = known.unwrap_or_else(|| self.insert(stream));
                let (slot, text) = (&mut self.slots[key], self.codec.text());
                slot.secret = self.codec.secret().into();
                // Of a stream that the peer has opened it is told as news.
                let read = if known.is_some() { text } else { b"" };
                slot.inbound.head(read, framing(text, end));
                if end {
                    slot.inbound.end(b"");
                }
                slot.wake_reader();
                known.is_none().then_some(News::Opened(key))
            }
            Event::Data { stream, data, chunked, end } => {
                let Some(&key) = self.places.get(&stream) else {
                    self.codec.release(stream, data.len());
                    return None;
                };
                let slot = &mut self.slots[key];
                if chunked {
                    slot.inbound.chunk();
                }
                slot.inbound.content(&bytes[data]);
                if end {
                    slot.inbound.end(if chunked { encode::LAST_CHUNK } else { b"" });
                }
                slot.wake_reader();
                None
            }
            Event::Trailers { stream } => {
                let slot = &mut self.slots[*self.places.get(&stream)?];
                let last = self.codec.text();
                if !last.is_empty() {
                    slot.inbound.chunk();
                }
                slot.inbound.end(last);
                slot.wake_reader();
                None
            }
            Event::Reset { stream, code } => {
                let lost =
                    if code == ErrorCode::REFUSED_STREAM { Lost::Refused } else { Lost::Reset };
                Some(News::Reset(self.lose(stream, lost)))
            }
            Event::Refused { stream, .. } => Some(News::Reset(self.lose(stream, Lost::Reset))),
            Event::Writable(Some(stream)) => {
                if let Some(&key) = self.places.get(&stream) {
                    self.slots[key].writer.take().into_iter().for_each(Waker::wake);
                }
                None
            }
            Event::Writable(None) => {
                self.wake_writers();
                None
            }
            Event::GoAway { last, .. } => {
                for (_, slot) in &mut self.slots {
                    if slot.id > last {
                        slot.lose(Lost::Refused);
                    }
                }
                Some(News::GoesAway)
            }
            Event::Pong(_) => Some(News::Pong),
        }
    }

    fn lose(&mut self, stream: StreamId, lost: Lost) -> Option<usize> {
        let key = *self.places.get(&stream)?;
        self.slots[key].lose(lost);
        Some(key)
    }

    /// Gives back what only a busy connection needs.
    pub(super) fn shrink(&mut self) {
        self.codec.shrink();
        self.slots.shrink_to_fit();
        self.places.shrink_to_fit();
    }

    /// The connection is over.
    pub(super) fn close(&mut self) {
        self.slots.iter_mut().for_each(|(_, slot)| slot.lose(Lost::Broken));
    }

    /// There is room for more to be sent.
    pub(super) fn wake_writers(&mut self) {
        for (_, slot) in &mut self.slots {
            slot.writer.take().into_iter().for_each(Waker::wake);
        }
    }

    /// There may be something to write that the connection's task does not know of.
    pub(super) fn wake_driver(&mut self) {
        self.driver.take().into_iter().for_each(Waker::wake);
    }

    /// The task is woken when there is something to write.
    pub(super) fn watch(&mut self, cx: &Context<'_>) {
        match &mut self.driver {
            Some(driver) => driver.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }
}

impl Slot {
    fn lose(&mut self, lost: Lost) {
        self.lost.get_or_insert(lost);
        self.wake_reader();
        self.writer.take().into_iter().for_each(Waker::wake);
    }

    fn wake_reader(&mut self) {
        self.reader.take().into_iter().for_each(Waker::wake);
    }
}

/// How what follows `head` is read, as far as it is known before it comes.
fn framing(head: &[u8], end: bool) -> Framing {
    // Nothing else asks for an upgrade: no field of HTTP/2 can (RFC 9113 §8.2.2, RFC 8441 §4).
    let asks = || memmem::find(head, b"\r\nUpgrade: websocket\r\n").is_some();
    let is_tunnel = match head {
        [b'G', b'E', b'T', b' ', ..] => !end && asks(),
        _ => head.starts_with(b"HTTP/1.1 101 "),
    };
    if is_tunnel { Framing::Tunnel } else { Framing::Plain }
}
