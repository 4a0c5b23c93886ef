//! What a warm parser asks of the allocator: nothing.

use allocation_counter::measure;

use locum_wire::http1::{Chunked, Head, Limits, path};
use locum_wire::http2::{self, Connection, Event, Scheme};

const REQUEST: &[u8] = b"POST /a/b?c HTTP/1.1\r\nHost: a.test\r\nConnection: x-own, keep-alive\r\n\
    X-Own: 1\r\nAccept: */*\r\nCookie: a=b\r\nTransfer-Encoding: chunked\r\n\r\n";

const GET: &[u8] = b"GET /a/b?c HTTP/1.1\r\nHost: a.test\r\nAccept: */*\r\nCookie: a=b\r\n\r\n";

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: x-own\r\n\r\n";

#[test]
fn a_warm_head_allocates_nothing() {
    let limits = Limits::default();
    let mut head = Head::new();
    let mut read = || {
        head.clear();
        assert!(head.parse_request(REQUEST, &limits).unwrap());
        let request = head.request(REQUEST);
        assert_eq!(request.fields().filter(|it| it.hop).count(), 3);
        assert_eq!(path::normalise(request.path()).unwrap(), &b"/a/b"[..]);
        head.clear();
        assert!(head.parse_response(ANSWER, &limits).unwrap());
    };
    assert!(measure(&mut read).count_total > 0, "the first time it makes room");
    assert_eq!(measure(&mut read).count_total, 0);
}

#[test]
fn chunks_without_trailers_allocate_nothing() {
    let read = || {
        let mut chunked = Chunked::new(&Limits::default());
        let mut input = &b"5\r\nhello\r\n5;a=b\r\nworld\r\n0\r\n\r\n"[..];
        while !input.is_empty() {
            input = &input[chunked.next(input).unwrap().0..];
        }
    };
    assert_eq!(measure(read).count_total, 0);
}

#[test]
fn a_warm_connection_of_http_2_allocates_nothing_for_a_stream() {
    let limits = http2::Limits::default();
    let mut client = Connection::client(&limits, Scheme::Http);
    let mut server = Connection::server(&limits, 7);
    let mut turn = || {
        let stream = client.open().unwrap();
        assert_eq!(client.send(stream, GET), Ok(GET.len()));
        deliver(&mut client, &mut server);
        assert_eq!(server.send(stream, ANSWER), Ok(ANSWER.len()));
        assert_eq!(server.send(stream, b"hello"), Ok(5));
        deliver(&mut server, &mut client);
    };
    for _ in 0..200 {
        turn();
    }
    assert_eq!(measure(turn).count_total, 0);
}

#[test]
fn an_idle_connection_of_http_2_keeps_its_tables_and_little_else() {
    let mut server = None;
    let kept = measure(|| {
        let limits = http2::Limits::default();
        let mut end = Connection::server(&limits, 7);
        // The other end is not what is measured.
        let mut client = Connection::client(&limits, Scheme::Http);
        for _ in 0..10 {
            let streams: Vec<_> = (0..50).map(|_| client.open().unwrap()).collect();
            for stream in &streams {
                client.send(*stream, GET).unwrap();
            }
            deliver(&mut client, &mut end);
            for stream in streams {
                end.send(stream, ANSWER).unwrap();
                end.send(stream, b"hello").unwrap();
            }
            deliver(&mut end, &mut client);
        }
        end.shrink();
        server = Some(end);
    });
    println!("{} bytes, {} of them its own", kept.bytes_current, size_of::<Connection>());
    assert!((0..6000).contains(&kept.bytes_current), "{kept:?}");
}

/// Has one end read what the other has to say.
fn deliver(from: &mut Connection, to: &mut Connection) {
    let mut at = 0;
    loop {
        let (used, event) = to.receive(&from.output()[at..]).unwrap();
        at += used;
        match event {
            Some(Event::Data { stream, data, .. }) => to.release(stream, data.len()),
            Some(_) => {}
            None => break,
        }
    }
    from.output().clear();
}
