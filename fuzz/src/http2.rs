//! HTTP/2 that arrives in pieces, and heads of HTTP/1.1 that are sent by it.

use locum_wire::http1::{self, Field, Framing, Head, Name};
use locum_wire::http2::{Connection, Error, Event, Limits, PREFACE, Scheme, SendError};

use crate::stream::however_cut;

/// Frames mean the same however they are cut, to a server and to a client; and what a head is told as is one
/// head of HTTP/1.1, or none that its parser takes.
pub fn http2(bytes: &[u8]) {
    however_cut(bytes, |pieces| {
        let mut server = Connection::server(&Limits::default(), 7);
        let begin = [&PREFACE[..], SETTINGS].concat();
        receive(&mut server, &[&begin]);
        let mut client = Connection::client(&Limits::default(), Scheme::Http);
        receive(&mut client, &[SETTINGS]);
        for request in
            [&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"]
        {
            let stream = client.open().expect("a server takes streams");
            assert_eq!(client.send(stream, request), Ok(request.len()));
        }
        (receive(&mut server, pieces), receive(&mut client, pieces))
    });
}

const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// What an end makes of pieces: what it tells, what it sends, and whether it gives up.
type Made = (Vec<(Option<Event>, Vec<u8>)>, Vec<u8>, Option<Error>);

fn receive(end: &mut Connection, pieces: &[&[u8]]) -> Made {
    let (mut buffer, mut made) = (Vec::new(), Vec::<(Option<Event>, Vec<u8>)>::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let (used, event) = match end.receive(&buffer) {
                Ok(received) => received,
                Err(error) => return (made, std::mem::take(end.output()), Some(error)),
            };
            let text = match &event {
                Some(Event::Data { data, .. }) => buffer[data.clone()].to_vec(),
                Some(Event::Head { .. }) => {
                    check(end.text());
                    end.text().to_vec()
                }
                Some(Event::Trailers { .. }) => end.text().to_vec(),
                _ => Vec::new(),
            };
            buffer.drain(..used);
            match (event, made.last_mut()) {
                (None, _) => break,
                // Content is told as it comes: how often is no matter.
                (
                    Some(Event::Data { stream, end, .. }),
                    Some((Some(Event::Data { stream: before, end: ended, .. }), content)),
                ) if stream == *before && !*ended => {
                    content.extend_from_slice(&text);
                    *ended = end;
                }
                (Some(Event::Data { stream, end, chunked, .. }), _) => {
                    made.push((Some(Event::Data { stream, data: 0..0, chunked, end }), text));
                }
                (event, _) => made.push((event, text)),
            }
        }
    }
    (made, std::mem::take(end.output()), None)
}

/// What is told as a head ends where its text does, for whoever reads HTTP/1.1.
fn check(text: &[u8]) {
    let limits = http1::Limits { head_bytes: 1 << 20, fields: 200, target_bytes: 1 << 20 };
    let mut head = Head::new();
    let is_whole = if text.starts_with(b"HTTP/1.1 ") {
        head.parse_response(text, &limits)
    } else {
        head.parse_request(text, &limits)
    };
    match is_whole {
        Ok(is_whole) => assert!(is_whole && head.len() == text.len(), "{}", text.escape_ascii()),
        // What a request asks for may be more than a gateway does; what is malformed got no further.
        Err(
            http1::Error::Target
            | http1::Error::MethodUnsupported
            | http1::Error::Expectation
            | http1::Error::UnderscoreName,
        ) => {}
        Err(error) => panic!("{error}: {}", text.escape_ascii()),
    }
}

/// A request of HTTP/1.1 that is sent by HTTP/2 arrives as it was, but for what belongs to a connection.
pub fn http2_heads(bytes: &[u8]) {
    let limits = http1::Limits::default();
    let mut sent = Head::new();
    if sent.parse_request(bytes, &limits) != Ok(true) {
        return;
    }
    let mut client = Connection::client(&Limits::default(), Scheme::Http);
    let mut server = Connection::server(&Limits::default(), 7);
    for _ in 0..3 {
        let request = sent.request(bytes);
        let Some(host) = request.host() else { return };
        let stream = client.open().expect("a server takes streams");
        match client.send(stream, &bytes[..sent.len()]) {
            Ok(taken) => assert_eq!(taken, sent.len()),
            Err(SendError::Upgrade) => return,
            Err(error) => panic!("{error:?}"),
        }
        let input = std::mem::take(client.output());
        let mut at = 0;
        let ended = loop {
            let (used, event) =
                server.receive(&input[at..]).expect("a client of ours keeps to the rules");
            at += used;
            match event {
                Some(Event::Head { end, .. }) => break end,
                Some(Event::Refused { .. }) | None => return,
                Some(_) => {}
            }
        };
        let text = server.text();
        let mut heard = Head::new();
        let mut limits = limits;
        limits.fields += 8;
        limits.head_bytes *= 2;
        assert_eq!(heard.parse_request(text, &limits), Ok(true), "{}", text.escape_ascii());
        let heard = heard.request(text);
        assert_eq!(heard.method(), request.method());
        assert_eq!((heard.path(), heard.query()), (request.path(), request.query()));
        assert_eq!(heard.host().map(<[u8]>::to_ascii_lowercase), Some(host.to_ascii_lowercase()));
        assert_eq!(ended, matches!(request.framing(), Framing::None | Framing::Length(0)));
        if !ended {
            assert_eq!(heard.framing(), request.framing());
        }
        assert_eq!(others(heard.fields()), others(request.fields()));
    }
}

/// Fields that mean nothing to either side, in lower case.
fn others<'a>(fields: impl Iterator<Item = Field<'a>>) -> Vec<(Vec<u8>, Vec<u8>)> {
    fields
        .filter(|it| it.kind == Name::Other && !it.hop)
        .map(|it| (it.name.to_ascii_lowercase(), it.value.to_vec()))
        .collect()
}
