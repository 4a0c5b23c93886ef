//! One stream, as far as its connection must know it.

use crate::http1::Chunked;

/// One stream. It is forgotten when both directions have ended.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) incoming: Incoming,
    pub(super) outgoing: Outgoing,
}

/// What the peer sends.
#[derive(Debug)]
pub(super) struct Incoming {
    /// Whether the peer may still send.
    pub(super) is_open: bool,
    pub(super) content: Content,
    /// How many bytes the peer may send. Less than nothing after a setting made it smaller.
    pub(super) window: i64,
    /// Bytes that were given to the caller and not released.
    pub(super) unreleased: u32,
    /// Bytes that were released, of which the peer was not told yet.
    pub(super) credit: u32,
    /// What frames cost beyond their few bytes, which are not released yet.
    pub(super) tiny: u32,
    /// Bytes of its head.
    pub(super) head: usize,
}

/// What content a head has announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// There was no final head yet.
    NoHead,
    /// There must not be any.
    None,
    /// So much is still to come.
    Length(u64),
    /// The HTTP/1.1 form has it in chunks.
    Chunked,
    /// Bytes of a tunnel, as they are.
    Tunnel,
}

/// What we send.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) stage: Stage,
    /// How many bytes we may send. Less than nothing after a setting made it smaller.
    pub(super) window: i64,
    /// How much of the output it has had in which turn.
    pub(super) had: usize,
    pub(super) turn: u64,
    pub(super) asked: Asked,
    /// Whether who asked takes trailers (RFC 9110 §6.5.1).
    pub(super) takes_trailers: bool,
    /// Names of fields that must not be in a table, a line each.
    pub(super) secret: Box<[u8]>,
}

/// What is expected of the sender next.
#[derive(Debug)]
pub(super) enum Stage {
    Head,
    Length(u64),
    Chunked(Box<Chunked>),
    UntilClose,
    Done,
}

/// What kind of request a stream carries, which says how its answer is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// Its answer has no content.
    Head,
    /// Its answer, if it is a good one, is a tunnel (RFC 8441).
    Tunnel,
    Other,
}

impl Stream {
    pub(super) fn new(content: Content, incoming_window: i64, outgoing_window: i64) -> Self {
        Self {
            incoming: Incoming {
                is_open: true,
                content,
                window: incoming_window,
                unreleased: 0,
                credit: 0,
                tiny: 0,
                head: 0,
            },
            outgoing: Outgoing {
                stage: Stage::Head,
                window: outgoing_window,
                had: 0,
                turn: 0,
                asked: Asked::Other,
                takes_trailers: false,
                secret: Box::default(),
            },
        }
    }

    /// Whether nothing can be sent either way.
    pub(super) fn is_over(&self) -> bool {
        !self.incoming.is_open && self.outgoing.stage.is_done()
    }
}

impl Stage {
    /// Whether everything was sent.
    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }
}

impl Incoming {
    /// Takes note of a frame with so many bytes of content; false: that contradicts the head.
    pub(super) fn count(&mut self, data: usize, end: bool) -> bool {
        match &mut self.content {
            Content::NoHead => false,
            Content::None => data == 0,
            Content::Length(left) => match left.checked_sub(data as u64) {
                Some(less) => {
                    *left = less;
                    !end || less == 0
                }
                None => false,
            },
            Content::Chunked | Content::Tunnel => true,
        }
    }
}
