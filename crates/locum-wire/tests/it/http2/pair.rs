//! A client and a server that talk without a network.

use locum_wire::http2::{Connection, Error, Event, Limits, Scheme, StreamId, write_data};

/// Both ends.
pub(crate) struct Pair {
    pub(crate) client: Connection,
    pub(crate) server: Connection,
}

impl Pair {
    /// Ends that have exchanged their settings.
    pub(crate) fn new() -> Self {
        Self::with(&Limits::default(), &Limits::default())
    }

    pub(crate) fn with(client: &Limits, server: &Limits) -> Self {
        let mut pair = Self {
            client: Connection::client(client, Scheme::Https),
            server: Connection::server(server, 7),
        };
        assert_eq!(pair.server_reads(), [] as [Seen; 0]);
        assert_eq!(pair.client_reads(), [] as [Seen; 0]);
        assert_eq!(pair.server_reads(), [] as [Seen; 0]);
        pair
    }

    /// Delivers what the client has to say; gives what the server makes of it.
    pub(crate) fn server_reads(&mut self) -> Vec<Seen> {
        let output = std::mem::take(self.client.output());
        deliver(&mut self.server, &output).expect("a client of ours keeps to the rules")
    }

    pub(crate) fn client_reads(&mut self) -> Vec<Seen> {
        let output = std::mem::take(self.server.output());
        deliver(&mut self.client, &output).expect("a server of ours keeps to the rules")
    }

    /// Opens a stream and sends `request`, which must fit.
    pub(crate) fn ask(&mut self, request: &str) -> StreamId {
        let stream = self.client.open().expect("there is room for a stream");
        assert_eq!(self.client.send(stream, request.as_bytes()), Ok(request.len()));
        stream
    }

    /// Has the server send `answer`, which must fit.
    pub(crate) fn answer(&mut self, stream: StreamId, answer: &str) {
        assert_eq!(self.server.send(stream, answer.as_bytes()), Ok(answer.len()));
    }
}

/// What an end has made of bytes: text of a stream, or an event without any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The HTTP/1.1 form of what came on a stream, and whether that is all.
    Text(u32, String, bool),
    Other(Event),
}

/// Gives `bytes` to an end. What comes on a stream is put together and released at once; of the windows
/// that open nothing is told.
pub(crate) fn deliver(end: &mut Connection, bytes: &[u8]) -> Result<Vec<Seen>, Error> {
    let (mut seen, mut at) = (Vec::new(), 0);
    loop {
        let (used, event) = end.receive(&bytes[at..])?;
        let here = &bytes[at..];
        at += used;
        let Some(event) = event else {
            assert_eq!(at, bytes.len(), "whole frames are delivered");
            return Ok(seen);
        };
        let (stream, text, last) = match event {
            Event::Head { stream, end: last } => (stream, end.text().to_vec(), last),
            Event::Trailers { stream } => (stream, end.text().to_vec(), true),
            Event::Data { stream, data, chunked, end: last } => {
                end.release(stream, data.len());
                let mut text = Vec::new();
                write_data(&mut text, &here[data], chunked, last);
                (stream, text, last)
            }
            Event::Writable(_) => continue,
            other => {
                seen.push(Seen::Other(other));
                continue;
            }
        };
        let text = String::from_utf8(text).expect("the tests send text");
        match seen
            .iter_mut()
            .rev()
            .find(|it| matches!(it, Seen::Text(id, ..) if *id == stream.get()))
        {
            Some(Seen::Text(_, before, ended)) => {
                assert!(!*ended, "nothing comes behind the end");
                before.push_str(&text);
                *ended = last;
            }
            _ => seen.push(Seen::Text(stream.get(), text, last)),
        }
    }
}

/// What came on a stream.
pub(crate) fn text(stream: StreamId, text: &str, end: bool) -> Seen {
    Seen::Text(stream.get(), text.to_owned(), end)
}
