//! The smallest gateway there can be: reads what a client sends, in whatever pieces, and writes
//! what an upstream would get.

use locum_wire::http1::{
    Chunked, Error, Framing, Head, Limits, Name, Piece, Request, Target, encode, path,
};

/// What became of the bytes of one connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The bytes of each request that was passed on; only whole ones are.
    pub(crate) forwarded: Vec<Vec<u8>>,
    /// Why the connection ended with a refusal.
    pub(crate) refused: Option<Error>,
    /// Whether the client closed in the middle of a message.
    pub(crate) broken_off: bool,
    /// Whether the connection ended as it should after an answer.
    pub(crate) closed: bool,
}

/// One client connection.
pub(crate) struct Gateway {
    limits: Limits,
    buf: Vec<u8>,
    head: Head,
    /// The request whose content is being read.
    open: Option<Open>,
    outcome: Outcome,
}

struct Open {
    head: Vec<u8>,
    content: Content,
    body: Vec<u8>,
    keep_alive: bool,
}

enum Content {
    None,
    Left(u64),
    Chunks(Box<Chunked>),
}

impl Gateway {
    pub(crate) fn new() -> Self {
        Self {
            limits: Limits::default(),
            buf: Vec::new(),
            head: Head::new(),
            open: None,
            outcome: Outcome::default(),
        }
    }

    /// Serves a client that sends `pieces` one after the other, then closes.
    pub(crate) fn serve<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
        let mut gateway = Self::new();
        for piece in pieces {
            gateway.buf.extend_from_slice(piece);
            while gateway.is_open() {
                match gateway.advance() {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => gateway.outcome.refused = Some(error),
                }
            }
        }
        let is_started = gateway.open.is_some() || gateway.head.is_started(&gateway.buf);
        gateway.outcome.broken_off = gateway.is_open() && is_started;
        gateway.outcome
    }

    fn is_open(&self) -> bool {
        !self.outcome.closed && self.outcome.refused.is_none()
    }

    /// One step. False: more bytes are needed.
    fn advance(&mut self) -> Result<bool, Error> {
        let Some(open) = &mut self.open else { return self.begin() };
        let (used, is_complete) = open.read(&self.buf)?;
        self.buf.drain(..used);
        if is_complete {
            let open = self.open.take().expect("it was just read");
            self.outcome.closed = !open.keep_alive;
            self.outcome.forwarded.push(open.encode());
        }
        Ok(is_complete || used > 0)
    }

    fn begin(&mut self) -> Result<bool, Error> {
        if !self.head.parse_request(&self.buf, &self.limits)? {
            return Ok(false);
        }
        let request = self.head.request(&self.buf);
        self.open = Some(Open {
            head: encode_head(&request)?,
            content: match request.framing() {
                Framing::None => Content::None,
                Framing::Length(length) => Content::Left(length),
                Framing::Chunked => Content::Chunks(Box::new(Chunked::new(&self.limits))),
                Framing::UntilClose => unreachable!("requests have no such framing"),
            },
            body: Vec::new(),
            keep_alive: request.keep_alive(),
        });
        self.buf.drain(..self.head.len());
        self.head.clear();
        Ok(true)
    }
}

impl Open {
    /// Says how many bytes were used and whether the content is complete.
    fn read(&mut self, input: &[u8]) -> Result<(usize, bool), Error> {
        match &mut self.content {
            Content::None => Ok((0, true)),
            Content::Left(left) => {
                let used = (input.len() as u64).min(*left);
                *left -= used;
                self.body.extend_from_slice(&input[..used as usize]);
                Ok((used as usize, *left == 0))
            }
            Content::Chunks(chunked) => {
                let (used, piece) = chunked.next(input)?;
                if let Piece::Data(range) = &piece {
                    self.body.extend_from_slice(&input[range.clone()]);
                }
                Ok((used, piece == Piece::End))
            }
        }
    }

    fn encode(self) -> Vec<u8> {
        let mut out = self.head;
        match self.content {
            Content::None => out.extend_from_slice(encode::CRLF),
            Content::Left(_) => {
                encode::content_length(&mut out, self.body.len() as u64);
                out.extend_from_slice(encode::CRLF);
                out.extend_from_slice(&self.body);
            }
            Content::Chunks(chunked) => {
                encode::field(&mut out, b"Transfer-Encoding", b"chunked");
                out.extend_from_slice(encode::CRLF);
                if !self.body.is_empty() {
                    encode::chunk_head(&mut out, self.body.len());
                    out.extend_from_slice(&self.body);
                    out.extend_from_slice(encode::CRLF);
                }
                encode::last_chunk(&mut out, chunked.trailers());
            }
        }
        out
    }
}

/// The head as it is passed on, without the lines of its framing and its end.
fn encode_head(request: &Request<'_>) -> Result<Vec<u8>, Error> {
    let mut target = path::normalise(request.path())?.into_owned();
    if request.target() != Target::Asterisk
        && let Some(query) = request.query()
    {
        target.push(b'?');
        target.extend_from_slice(query);
    }
    let mut out = Vec::new();
    encode::request_line(&mut out, request.method(), &target);
    encode::field(&mut out, b"Host", request.host().unwrap_or(b"upstream.test"));
    for field in request.fields() {
        if !field.hop && !matches!(field.kind, Name::Host | Name::ContentLength) {
            encode::field(&mut out, field.name, field.value);
        }
    }
    Ok(out)
}
