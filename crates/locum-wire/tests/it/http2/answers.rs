//! What a client makes of a server's frames, and a server of the answers it is to send.

use locum_wire::http2::{Connection, ErrorCode, Event, Limits, Reason, Scheme};

use super::frames::{
    DATA, END_HEADERS, END_STREAM, HEADERS, PUSH_PROMISE, RST_STREAM, SETTINGS, block, frame,
    headers, setting, split,
};
use super::pair::{Seen, deliver};

/// A client that has asked on stream 1, and whose request is written.
fn asking(request: &str) -> Connection {
    let mut client = Connection::client(&Limits::default(), Scheme::Http);
    deliver(&mut client, &frame(SETTINGS, 0, 0, &[])).unwrap();
    let stream = client.open().unwrap();
    assert_eq!(client.send(stream, request.as_bytes()), Ok(request.len()));
    client.output().clear();
    client
}

/// What a client gets to see of an answer in these frames.
fn answer(request: &str, frames: &[Vec<u8>]) -> Result<(String, bool), Reason> {
    let mut client = asking(request);
    let seen = deliver(&mut client, &frames.concat()).expect("the connection lives");
    let refused = seen.iter().find_map(|it| match it {
        Seen::Other(Event::Refused { reason, .. }) => Some(*reason),
        _ => None,
    });
    match (refused, seen.first()) {
        (Some(reason), _) => {
            let sent = split(client.output());
            assert!(sent.iter().any(|it| (it.0, it.2) == (RST_STREAM, 1)), "{sent:?}");
            Err(reason)
        }
        (None, Some(Seen::Text(1, text, end))) => Ok((text.clone(), *end)),
        _ => panic!("{seen:?}"),
    }
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const HEAD: &str = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: (&str, &str) = (":status", "200");

fn whole(text: &str) -> Result<(String, bool), Reason> {
    Ok((text.to_owned(), true))
}

#[test]
fn answers_have_a_length_or_come_in_chunks() {
    let content = [headers(0, 1, &[OK]), frame(DATA, END_STREAM, 1, b"hi")];
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    assert_eq!(answer(GET, &content), whole(chunks));
    let content =
        [headers(0, 1, &[OK, ("content-length", "2")]), frame(DATA, END_STREAM, 1, b"hi")];
    assert_eq!(answer(GET, &content), whole("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"));
    let none = [headers(END_STREAM, 1, &[OK])];
    assert_eq!(answer(GET, &none), whole("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    let none = [headers(0, 1, &[OK, ("content-length", "0")]), frame(DATA, END_STREAM, 1, b"")];
    assert_eq!(answer(GET, &none), whole("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
}

#[test]
fn trailers_that_are_announced_to_who_takes_them_have_a_place() {
    let asks = "GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n";
    let head = [OK, ("content-length", "2"), ("trailer", "x-sum")];
    let frames =
        [headers(0, 1, &head), frame(DATA, 0, 1, b"hi"), headers(END_STREAM, 1, &[("x-sum", "7")])];
    let plain = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntrailer: x-sum\r\n\r\nhi";
    assert_eq!(answer(GET, &frames), whole(plain));
    let chunks = "HTTP/1.1 200 OK\r\ntrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n\
                  2\r\nhi\r\n0\r\nx-sum: 7\r\n\r\n";
    assert_eq!(answer(asks, &frames), whole(chunks));
    let unannounced = [headers(0, 1, &head[..2]), frame(DATA, END_STREAM, 1, b"hi")];
    let plain = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
    assert_eq!(answer(asks, &unannounced), whole(plain), "most answers keep their length");
}

#[test]
fn answers_without_content_get_no_framing() {
    let length = ("content-length", "5");
    let head = whole("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
    assert_eq!(answer(HEAD, &[headers(END_STREAM, 1, &[OK, length])]), head);
    let late = [headers(0, 1, &[OK, length]), frame(DATA, END_STREAM, 1, b"")];
    assert_eq!(answer(HEAD, &late), head);
    let not_modified = headers(END_STREAM, 1, &[(":status", "304"), length]);
    assert_eq!(
        answer(GET, &[not_modified]),
        whole("HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n")
    );
    let no_content = headers(END_STREAM, 1, &[(":status", "204")]);
    assert_eq!(answer(GET, &[no_content]), whole("HTTP/1.1 204 No Content\r\n\r\n"));
    for (request, status) in [(HEAD, "200"), (GET, "204"), (GET, "304")] {
        let content = [headers(0, 1, &[(":status", status)]), frame(DATA, END_STREAM, 1, b"hi")];
        assert_eq!(answer(request, &content), Err(Reason::Unasked), "{status}");
    }
}

#[test]
fn interim_answers_come_first() {
    let frames = [
        headers(0, 1, &[(":status", "103"), ("link", "</a>")]),
        headers(0, 1, &[(":status", "100")]),
        headers(END_STREAM, 1, &[(":status", "204")]),
    ];
    let text = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n\
                HTTP/1.1 204 No Content\r\n\r\n";
    assert_eq!(answer(GET, &frames), whole(text));
    let ended = headers(END_STREAM, 1, &[(":status", "103")]);
    assert_eq!(answer(GET, &[ended]), Err(Reason::Status));
    let content = [headers(0, 1, &[(":status", "103")]), frame(DATA, END_STREAM, 1, b"hi")];
    assert_eq!(answer(GET, &content), Err(Reason::Unasked));
}

#[test]
fn malformed_answers_are_refused() {
    let answers: &[(&[(&str, &str)], Reason)] = &[
        (&[], Reason::Pseudo),
        (&[("server", "x")], Reason::Pseudo),
        (&[OK, OK], Reason::Pseudo),
        (&[("server", "x"), OK], Reason::Pseudo),
        (&[OK, (":path", "/")], Reason::Pseudo),
        (&[(":status", "")], Reason::Status),
        (&[(":status", "20")], Reason::Status),
        (&[(":status", "2000")], Reason::Status),
        (&[(":status", "+20")], Reason::Status),
        (&[(":status", "600")], Reason::Status),
        (&[(":status", "099")], Reason::Status),
        (&[(":status", "101")], Reason::Status),
        (&[(":status", "200\r\n")], Reason::Status),
        (&[OK, ("Server", "x")], Reason::FieldName),
        (&[OK, ("x-a", "b\r\nc: d")], Reason::FieldValue),
        (&[OK, ("connection", "close")], Reason::ConnectionField),
        (&[OK, ("transfer-encoding", "chunked")], Reason::ConnectionField),
        (&[OK, ("upgrade", "h2c")], Reason::ConnectionField),
        (&[OK, ("content-length", "1"), ("content-length", "1")], Reason::ContentLength),
        (&[OK, ("content-length", "1,1")], Reason::ContentLength),
        (&[OK, ("content-length", "1")], Reason::ContentLength),
    ];
    for (fields, reason) in answers {
        assert_eq!(answer(GET, &[headers(END_STREAM, 1, fields)]), Err(*reason), "{fields:?}");
    }
    let many = vec![("a", "b"); 100];
    let large = headers(0, 1, &[&[OK], &many[..]].concat());
    assert_eq!(answer(GET, &[large]), Err(Reason::TooManyFields));
    assert_eq!(answer(GET, &[frame(DATA, END_STREAM, 1, b"hi")]), Err(Reason::Unasked));
}

#[test]
fn what_only_a_client_does_ends_the_connection() {
    for (frame, reason) in [
        (
            frame(PUSH_PROMISE, END_HEADERS, 1, &[&[0, 0, 0, 2][..], &block(&[OK])].concat()),
            Reason::Push,
        ),
        (headers(END_STREAM, 2, &[OK]), Reason::StreamIdle),
        (headers(END_STREAM, 3, &[OK]), Reason::StreamIdle),
        (frame(SETTINGS, 0, 0, &setting(2, 1)), Reason::SettingValue),
    ] {
        assert_eq!(deliver(&mut asking(GET), &frame).unwrap_err().reason, reason);
    }
    let mut client = Connection::client(&Limits::default(), Scheme::Http);
    let early = deliver(&mut client, &frame(HEADERS, END_HEADERS, 1, &block(&[OK])));
    assert_eq!(early.unwrap_err().reason, Reason::SettingsFirst);
}

#[test]
fn a_grpc_answer_with_a_length_keeps_its_trailers() {
    let head =
        headers(0, 1, &[OK, ("content-type", "application/grpc+proto"), ("content-length", "2")]);
    let frames = [head, frame(DATA, 0, 1, b"hi"), headers(END_STREAM, 1, &[("grpc-status", "0")])];
    let chunks = "HTTP/1.1 200 OK\r\ncontent-type: application/grpc+proto\r\n\
                  Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\ngrpc-status: 0\r\n\r\n";
    assert_eq!(answer(GET, &frames), whole(chunks));
}

#[test]
fn answers_that_nobody_waits_for_any_more_are_skipped() {
    let mut client = asking(GET);
    let mut streams = Vec::new();
    for _ in 0..1000 {
        let stream = client.open().unwrap();
        client.send(stream, GET.as_bytes()).unwrap();
        client.reset(stream, ErrorCode::CANCEL);
        streams.push(stream.get());
    }
    for stream in streams {
        let answer = [headers(0, stream, &[OK]), frame(DATA, END_STREAM, stream, &[0; 10_000])];
        assert_eq!(deliver(&mut client, &answer.concat()), Ok(Vec::new()));
    }
    client.output().clear();
    let answer = headers(END_STREAM, 1, &[OK]);
    assert_eq!(deliver(&mut client, &answer).unwrap().len(), 1, "the connection lives");
}
