//! What becomes of messages in HTTP/1.1 when they are sent.

use locum_wire::http1::{self, Head};
use locum_wire::http2::{Connection, ErrorCode, Event, Limits, Scheme, SendError, StreamId};

use super::frames::{END_HEADERS, END_STREAM, GOAWAY, HEADERS, frame, split};
use super::pair::{Pair, Seen, deliver, text};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn a_grpc_answer_may_be_trailers_only() {
    let mut pair = Pair::new();
    let post = "POST /s/m HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\n\
                Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    let stream = pair.ask(post);
    let request = "POST /s/m HTTP/1.1\r\nHost: a\r\ncontent-type: application/grpc\r\nte: trailers\r\n\
                   Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    assert_eq!(
        pair.server_reads(),
        [text(stream, request, true)],
        "a client of gRPC takes trailers"
    );
    let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nGrpc-Status: 12\r\n\
                  Content-Length: 0\r\n\r\n";
    pair.answer(stream, answer);
    let frames = split(pair.server.output());
    assert_eq!(
        frames.iter().filter(|it| it.2 == 1).map(|it| (it.0, it.1)).collect::<Vec<_>>(),
        [(HEADERS, 5)]
    );
    let lower = "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: 12\r\n\
                 content-length: 0\r\n\r\n";
    assert_eq!(pair.client_reads(), [text(stream, lower, true)]);
}

#[test]
fn what_belongs_to_a_connection_stays_there() {
    let mut pair = Pair::new();
    let stream = pair.ask(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: x-own, te\r\nX-Own: 1\r\nTE: trailers, gzip\r\n\
         Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nX-Other: 2\r\n\r\n",
    );
    let request = "GET / HTTP/1.1\r\nHost: a\r\nx-other: 2\r\nte: trailers\r\n\r\n";
    assert_eq!(pair.server_reads(), [text(stream, request, true)]);
    pair.answer(
        stream,
        "HTTP/1.1 200 OK\r\nConnection: close, x-own\r\nX-Own: 1\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
    );
    let answer = "HTTP/1.1 200 OK\r\nproxy-authenticate: Basic\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(pair.client_reads(), [text(stream, answer, true)]);
}

#[test]
fn targets_of_any_form_are_sent_as_paths() {
    for (target, path) in [
        ("/a?b", "/a?b"),
        ("http://a.test/a?b", "/a?b"),
        ("http://a.test", "/"),
        ("http://a.test?b", "/?b"),
        ("/", "/"),
        ("/?", "/?"),
    ] {
        let mut pair = Pair::new();
        let stream = pair.ask(&format!("GET {target} HTTP/1.1\r\nHost: a.test\r\n\r\n"));
        let request = format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n");
        assert_eq!(pair.server_reads(), [text(stream, &request, true)]);
    }
    let mut pair = Pair::new();
    let stream = pair.ask("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(pair.server_reads(), [text(stream, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", true)]);
}

#[test]
fn what_cannot_be_sent_resets_its_stream() {
    let mut pair = Pair::new();
    let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n";
    let stream = pair.client.open().unwrap();
    assert_eq!(pair.client.send(stream, upgrade.as_bytes()), Err(SendError::Upgrade));
    assert_eq!(pair.client.send(stream, b"x"), Err(SendError::Closed));

    let mut pair = Pair::new();
    for answer in
        ["HTTP/9 200\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"]
    {
        let stream = pair.ask(GET);
        pair.server_reads();
        let sent = pair.server.send(stream, answer.as_bytes());
        assert!(matches!(sent, Err(SendError::Malformed(_))), "{answer}: {sent:?}");
        let reset = Event::Reset { stream, code: ErrorCode::INTERNAL_ERROR };
        assert_eq!(pair.client_reads().last(), Some(&Seen::Other(reset)));
    }
}

#[test]
fn streams_are_opened_as_the_server_allows() {
    let mut pair = Pair::with(&Limits::default(), &Limits { streams: 2, ..Limits::default() });
    let first = pair.ask(GET);
    pair.ask(GET);
    assert_eq!((pair.client.capacity(), pair.client.open()), (0, None));
    pair.server_reads();
    pair.answer(first, "HTTP/1.1 204 No Content\r\n\r\n");
    pair.client_reads();
    assert_eq!(pair.client.capacity(), 1);

    let mut early = Connection::client(&Limits::default(), Scheme::Http);
    for _ in 0..100 {
        early.open().unwrap();
    }
    assert_eq!(early.open(), None, "who has not said yet is not asked for more");
}

#[test]
fn a_server_that_goes_away_has_not_begun_the_last_streams() {
    let mut pair = Pair::new();
    let (first, second) = (pair.ask(GET), pair.ask(GET));
    let went = [&[0, 0, 0, 1][..], &[0; 4]].concat();
    let seen = deliver(&mut pair.client, &frame(GOAWAY, 0, 0, &went)).unwrap();
    assert_eq!(seen, [Seen::Other(Event::GoAway { last: first, code: ErrorCode::NO_ERROR })]);
    assert_eq!((pair.client.is_open(first), pair.client.is_open(second)), (true, false));
    assert_eq!(pair.client.open(), None);
}

#[test]
fn large_heads_take_more_frames() {
    let mut pair = Pair::new();
    let stream = pair.ask(GET);
    pair.server_reads();
    let value: String = ('!'..='~').cycle().take(30_000).collect();
    pair.answer(stream, &format!("HTTP/1.1 200 OK\r\nX-A: {value}\r\nContent-Length: 0\r\n\r\n"));
    let kinds: Vec<_> =
        split(pair.server.output()).iter().map(|it| (it.0, it.1, it.3.len() <= 16384)).collect();
    assert_eq!(kinds[kinds.len() - 2..], [(HEADERS, END_STREAM, true), (9, END_HEADERS, true)]);
    let answer = format!("HTTP/1.1 200 OK\r\nx-a: {value}\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(pair.client_reads(), [text(stream, &answer, true)]);
}

#[test]
fn windows_are_opened_as_content_is_released() {
    let mut pair = Pair::new();
    let content = "x".repeat(1 << 20);
    let post =
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{content}", 1 << 20);
    let stream = pair.client.open().unwrap();
    let mut sent = 0;
    while sent < post.len() {
        let more = pair.client.send(stream, &post.as_bytes()[sent..]).unwrap();
        sent += more;
        assert!(more <= 70_000 && more > 0, "{more}");
        pair.server_reads();
        pair.client_reads();
    }
    assert!(pair.server.is_open(stream));
}

#[test]
fn no_stream_waits_for_the_end_of_another() {
    let window = Limits { stream_window: 1 << 30, connection_window: 1 << 30, ..Limits::default() };
    let mut pair = Pair::with(&window, &Limits::default());
    let streams: Vec<_> = (0..20).map(|_| pair.ask(GET)).collect();
    pair.server_reads();
    let content = "x".repeat(1 << 20);
    let answers = [
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{content}", 1 << 20),
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100000\r\n{content}"),
    ];
    let mut sent = [0; 20];
    for turn in 1..=3 {
        for (at, stream) in streams.iter().enumerate() {
            // Each offers all it has, again and again, the first ones first.
            for _ in 0..10 {
                let rest = &answers[at % 2].as_bytes()[sent[at]..];
                sent[at] += pair.server.send(*stream, rest).unwrap();
            }
        }
        let waits = pair.client_reads();
        assert_eq!(waits.len(), 20, "every stream has something to say in turn {turn}");
        pair.server_reads();
    }
    assert!(sent.iter().all(|it| *it > 9_000), "{sent:?}");
    assert!(sent.iter().sum::<usize>() <= 3 * 140_000, "{sent:?}");
}

#[test]
fn a_peer_never_hears_of_a_stream_that_was_opened_and_not_used() {
    let mut client = Connection::client(&Limits::default(), Scheme::Http);
    let unused = client.open().unwrap();
    let before = client.output().len();
    client.reset(unused, ErrorCode::CANCEL);
    assert_eq!((client.output().len(), client.is_open(unused)), (before, false));
    let used = client.open().unwrap();
    client.send(used, b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").unwrap();
    let before = client.output().len();
    client.reset(used, ErrorCode::CANCEL);
    assert_eq!(client.output().len(), before + 13, "RST_STREAM");
}

#[test]
fn a_head_told_by_its_fields_is_sent_as_the_same_in_text() {
    for (text, request) in [
        (
            "HTTP/1.1 200 OK\r\nServer: s\r\nContent-Length: 2\r\nConnection: x\r\nX: y\r\nA: B\r\n\r\n",
            GET,
        ),
        ("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 7\r\n\r\n", GET),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", GET),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ] {
        let limits = http1::Limits { head_bytes: 1000, fields: 10, target_bytes: 0 };
        let mut head = Head::new();
        assert_eq!(head.parse_response(text.as_bytes(), &limits), Ok(true));
        let answer = head.response(text.as_bytes());
        let [mut in_text, mut by_fields] = [Pair::new(), Pair::new()];
        // The second time fields may be told by a number.
        for _ in 0..2 {
            let stream = in_text.ask(request);
            in_text.server_reads();
            in_text.answer(stream, text);
            assert_eq!(by_fields.ask(request), stream);
            by_fields.server_reads();
            let (server, framing) = (&mut by_fields.server, answer.framing(false));
            let fields = || answer.fields().filter(|it| !it.hop);
            let taken = server.answer(stream, answer.status(), framing, fields()).unwrap();
            assert_eq!(server.output().len(), taken);
            assert_eq!(server.output(), in_text.server.output());
            assert_eq!(server.answer(stream, 200, framing, fields()), None, "it has one");
            by_fields.client_reads();
            in_text.client_reads();
            assert_alike(&mut by_fields, &mut in_text, stream);
        }
    }
}

/// Both servers know as much of the stream.
fn assert_alike(one: &mut Pair, other: &mut Pair, stream: StreamId) {
    assert_eq!(one.server.is_open(stream), other.server.is_open(stream));
    assert_eq!(one.server.send(stream, b"hi"), other.server.send(stream, b"hi"));
    assert_eq!(one.server.output(), other.server.output());
    one.client_reads();
    other.client_reads();
}
