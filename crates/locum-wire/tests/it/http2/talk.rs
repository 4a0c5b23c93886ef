//! What a client says is what a server hears, and back, in HTTP/1.1.

use locum_wire::http2::{Connection, ErrorCode, Event, Limits, PREFACE, Scheme};

use super::frames::{GET, HEADERS, SETTINGS, WHOLE, block, frame, split};
use super::pair::{Pair, Seen, deliver, text};

#[test]
fn a_request_and_its_answer_arrive_as_they_were_sent() {
    let mut pair = Pair::new();
    for _ in 0..3 {
        let stream = pair.ask("GET /a?b=c HTTP/1.1\r\nHost: a.test\r\nAccept: */*\r\n\r\n");
        let request = "GET /a?b=c HTTP/1.1\r\nHost: a.test\r\naccept: */*\r\n\r\n";
        assert_eq!(pair.server_reads(), [text(stream, request, true)]);
        pair.answer(stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\nhi");
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-a: b\r\n\r\nhi";
        assert_eq!(pair.client_reads(), [text(stream, answer, true)]);
        assert_eq!((pair.client.streams(), pair.server.streams()), (0, 0));
    }
}

#[test]
fn content_without_a_length_comes_in_chunks_with_trailers() {
    let mut pair = Pair::new();
    let post = "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let stream = pair.ask(&format!("{post}3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n"));
    let request = format!("{post}5\r\nabcde\r\n0\r\nx-sum: 1\r\n\r\n");
    assert_eq!(pair.server_reads(), [text(stream, &request, true)]);

    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    pair.answer(stream, &format!("{head}3\r\nabc\r\n"));
    assert_eq!(pair.client_reads(), [text(stream, &format!("{head}3\r\nabc\r\n"), false)]);
    pair.answer(stream, "1\r\nd\r\n0\r\nGrpc-Status: 0\r\n\r\n");
    assert_eq!(pair.client_reads(), [text(stream, "1\r\nd\r\n0\r\ngrpc-status: 0\r\n\r\n", true)]);
}

#[test]
fn content_is_sent_as_far_as_the_windows_allow() {
    let mut pair = Pair::new();
    let stream = pair.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    pair.server_reads();
    let answer =
        format!("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n{}", "x".repeat(200_000));
    let mut rest = answer.as_bytes();
    let mut got = String::new();
    let mut turns = 0;
    while !rest.is_empty() {
        rest = &rest[pair.server.send(stream, rest).unwrap()..];
        assert!(pair.server.output().len() <= 70_000, "a window of content");
        for seen in pair.client_reads() {
            let Seen::Text(_, text, _) = seen else { panic!("{seen:?}") };
            got.push_str(&text);
        }
        pair.server_reads();
        turns += 1;
    }
    assert!(turns >= 3, "{turns}");
    assert_eq!(got, answer.replace("Content-Length", "content-length"));
    assert_eq!((pair.client.streams(), pair.server.streams()), (0, 0));
}

#[test]
fn an_answer_that_is_complete_stops_the_request() {
    let mut pair = Pair::new();
    let stream = pair.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab");
    pair.server_reads();
    pair.answer(stream, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
    let seen = pair.client_reads();
    let answer = "HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n";
    let reset = Event::Reset { stream, code: ErrorCode::NO_ERROR };
    assert_eq!(seen, [text(stream, answer, true), Seen::Other(reset)]);
    assert_eq!((pair.client.streams(), pair.server.streams()), (0, 0));
    assert!(pair.client.send(stream, b"c").is_err());
}

#[test]
fn an_answer_that_is_broken_off_is_not_taken_for_whole() {
    let mut pair = Pair::new();
    let stream = pair.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    pair.server_reads();
    pair.answer(stream, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab");
    pair.server.finish(stream);
    let seen = pair.client_reads();
    let reset = Event::Reset { stream, code: ErrorCode::INTERNAL_ERROR };
    assert_eq!(seen.last(), Some(&Seen::Other(reset)));

    let stream = pair.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    pair.server_reads();
    pair.answer(stream, "HTTP/1.1 200 OK\r\n\r\nab");
    pair.server.finish(stream);
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
    assert_eq!(pair.client_reads(), [text(stream, answer, true)], "this one has no other end");
}

#[test]
fn a_server_goes_in_two_steps() {
    let mut pair = Pair::new();
    pair.server.shutdown();
    let last = Limits::default();
    assert_eq!(last.streams, 100);
    let stream = pair.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let seen = pair.client_reads();
    assert!(matches!(&seen[..], [Seen::Other(Event::GoAway { last, .. })] if last.get() > 1000));
    assert_eq!(pair.client.open(), None);
    assert_eq!(pair.server_reads().len(), 1, "it was on its way");
    pair.server.shutdown();
    let seen = pair.client_reads();
    let going = Event::GoAway { last: stream, code: ErrorCode::NO_ERROR };
    assert_eq!(seen, [Seen::Other(going)]);
    pair.answer(stream, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(pair.client_reads(), [text(stream, "HTTP/1.1 204 No Content\r\n\r\n", true)]);
}

#[test]
fn what_nobody_may_put_into_a_table_is_passed_on_as_such() {
    let mut server = Connection::server(&Limits::default(), 7);
    let mut head = block(&GET);
    for (name, value) in [("x-token", "t"), ("x-other", "o")] {
        // RFC 7541 §6.2.3: a literal that is never indexed, and §6.2.2: one that may be.
        head.push(if name == "x-token" { 0x10 } else { 0 });
        head.push(name.len() as u8);
        head.extend(name.as_bytes());
        head.push(value.len() as u8);
        head.extend(value.as_bytes());
    }
    let frames = [PREFACE.to_vec(), frame(SETTINGS, 0, 0, &[]), frame(HEADERS, WHOLE, 1, &head)];
    deliver(&mut server, &frames.concat()).unwrap();
    assert_eq!(server.secret(), b"x-token\n");

    let mut client = Connection::client(&Limits::default(), Scheme::Http);
    let names = server.secret().to_vec();
    for _ in 0..3 {
        let stream = client.open().unwrap();
        client.keep_secret(stream, &names);
        client.output().clear();
        client.send(stream, server.text()).unwrap();
        let sent = &split(client.output())[0].3;
        // Its name stands here in six bytes, by the code of RFC 7541 appendix B, and its value as it is.
        let at = sent.windows(2).position(|it| it == [0x10, 0x80 | 6]).expect("never indexed");
        assert_eq!(sent[at + 8..at + 10], *b"\x01t");
    }
}
