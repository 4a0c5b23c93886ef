//! Bodies, trailers, interim answers and the order of things.

use std::io::Read as _;

use locum_testkit::http::Framing;
use locum_testkit::{Client, Connection, Gate, Locum, Upstream, eventually, script};

use crate::setup::Config;

#[test]
fn large_bodies_arrive_unchanged_both_ways() {
    let body: Vec<u8> =
        (0..3 << 20).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let upstream = Upstream::start(|peer| {
        while let Some(request) = peer.request() {
            peer.answer(&request, &request.body);
        }
    });
    let locum = Config::to(&upstream).start();
    let mut client = locum.client();
    for _ in 0..3 {
        assert!(client.post("/", &body).unwrap().body == body);
    }
}

#[test]
fn chunks_arrive_as_one_body_both_ways() {
    let upstream = Upstream::start(|peer| {
        while let Some(request) = peer.request() {
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            for piece in request.body.chunks(1000) {
                peer.send(format!("{:x}\r\n", piece.len()).as_bytes());
                peer.send(piece);
                peer.send(b"\r\n");
            }
            peer.send(b"0\r\n\r\n");
        }
    });
    let locum = Config::to(&upstream).start();
    let mut client = locum.client();
    let body = vec![b'x'; 100_000];
    let mut message =
        b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for piece in body.chunks(777) {
        message.extend(format!("{:X}\r\n", piece.len()).bytes());
        message.extend(piece);
        message.extend(b"\r\n");
    }
    message.extend(b"0\r\n\r\n");
    for _ in 0..3 {
        client.send(&message);
        assert!(client.response("POST").unwrap().body == body);
    }
    assert_eq!(upstream.violations(), [""; 0]);
}

#[test]
fn server_sent_events_arrive_as_they_are_sent() {
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::start(move |peer| {
        if peer.request().is_some() {
            peer.send(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                  Transfer-Encoding: chunked\r\n\r\n",
            );
            for event in ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"] {
                peer.send(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes());
                held.wait();
            }
            peer.send(b"0\r\n\r\n");
        }
    });
    let locum = Config::to(&upstream).start();
    let mut client = locum.client();
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let (head, _) = client.reader().response_head("GET").unwrap();
    assert_eq!(head.headers.get("content-type"), Some("text/event-stream"));
    for n in 1..=3 {
        // The next event is not even written before this one was read.
        let event = client.reader().chunk().unwrap().unwrap();
        assert_eq!(event, format!("data: {n}\n\n").into_bytes());
        gate.open(1);
    }
    assert_eq!(client.reader().chunk().unwrap(), None);
}

#[test]
fn the_head_arrives_before_the_body_is_there() {
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::start(move |peer| {
        if peer.request().is_some() {
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
            held.wait();
            peer.send(b"ok");
        }
    });
    let locum = Config::to(&upstream).start();
    let mut client = locum.client();
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let (mut answer, framing) = client.reader().response_head("GET").unwrap();
    gate.open(1);
    client.reader().body(framing, &mut answer.body).unwrap();
    assert_eq!(answer.text(), "ok");
}

#[test]
fn a_request_body_arrives_as_it_is_sent() {
    let upstream = Upstream::start(|peer| {
        if peer.request_head().is_some() {
            peer.wait_for_close();
        }
    });
    let locum = Config::to(&upstream).start();
    let mut client = locum.client();
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000000\r\n\r\nthe beginning");
    eventually("the head arrives while the body is far from whole", || {
        upstream.received().len() == 1
    });
}

#[test]
fn expect_100_continue_is_honoured() {
    let upstream = Upstream::start(script::continues());
    let locum = Config::to(&upstream).start();
    let mut client = locum.client();
    for _ in 0..3 {
        client.send(
            "POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        );
        assert_eq!(client.reader().interim().unwrap().0, 100);
        client.send("hello");
        let answer = client.response("POST").unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "5"));
    }
}

#[test]
fn a_refused_expectation_needs_no_body() {
    let upstream = Upstream::start(script::answers_before_the_body("417 Expectation Failed"));
    let locum = Config::to(&upstream).start();
    let mut client = locum.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    );
    assert_eq!(client.response("POST").unwrap().status, 417);
}

#[test]
fn head_204_and_304_have_no_body_and_keep_the_connection() {
    let upstream = Upstream::start(|peer| {
        while let Some(request) = peer.request() {
            match request.target.as_str() {
                "/204" => peer.send(b"HTTP/1.1 204 No Content\r\n\r\n"),
                "/304" => peer.send(b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n"),
                _ => peer.answer(&request, b"the body!"),
            }
        }
    });
    let locum = Config::to(&upstream).start();
    let mut client = locum.client();
    for _ in 0..3 {
        client.send("HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        let head = client.response("HEAD").unwrap();
        assert_eq!(head.headers.get("content-length"), Some("9"));
        assert_eq!(client.get("/204").unwrap().status, 204);
        assert_eq!(client.get("/304").unwrap().status, 304);
        assert_eq!(client.get("/").unwrap().text(), "the body!");
    }
    assert_eq!(upstream.received()[0].request.method, "HEAD");
    assert_eq!(upstream.accepted(), 1, "nothing was left on the upstream's connection");
}

#[test]
fn trailers_pass_both_ways_and_framing_in_them_does_not() {
    let upstream = Upstream::start(script::sends_raw(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
         2\r\nok\r\n0\r\nX-Sum: 7\r\nContent-Length: 99\r\nConnection: close\r\n\r\n",
    ));
    let locum = Config::to(&upstream).start();
    let mut client = locum.client();
    for _ in 0..2 {
        client.send(
            "POST / HTTP/1.1\r\nHost: a.test\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n\
             5\r\nhello\r\n0\r\nX-Sum: 5\r\nHost: b.test\r\nTransfer-Encoding: gzip\r\n\r\n",
        );
        let answer = client.response("POST").unwrap();
        assert_eq!(answer.text(), "ok");
        assert_eq!(answer.trailers.get("x-sum"), Some("7"));
        assert_eq!(answer.trailers.0.len(), 1, "{:?}", answer.trailers);
    }
    for received in upstream.received() {
        assert_eq!(received.request.trailers.get("x-sum"), Some("5"));
        assert_eq!(received.request.trailers.0.len(), 1, "{:?}", received.request.trailers);
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::start(script::names_the_target());
    let locum = Config::to(&upstream).start();
    let mut client = locum.client();
    let requests: String =
        (0..50).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: a.test\r\n\r\n")).collect();
    client.send(requests);
    for n in 0..50 {
        assert_eq!(client.response("GET").unwrap().text(), format!("/{n}"));
    }
}

#[test]
fn an_http_1_0_client_gets_a_length_or_a_close() {
    let upstream = Upstream::start(script::sends_raw(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ));
    let locum = Config::to(&upstream).start();
    let mut client = locum.client();
    client.send("GET / HTTP/1.0\r\nHost: a.test\r\n\r\n");
    let answer = client.response("GET").unwrap();
    assert_eq!(answer.text(), "hello");
    assert!(!answer.headers.has("transfer-encoding"), "HTTP/1.0 knows no chunks");
    assert!(client.is_closed());
}

#[test]
fn upstream_connections_are_kept() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream).start();
    let mut client = locum.client();
    for _ in 0..100 {
        assert_eq!(client.get("/").unwrap().text(), "ok");
    }
    assert_eq!(upstream.accepted(), 1);
}

/// Accepts an upgrade, greets, and then echoes bytes; refuses what asks for no upgrade.
pub(crate) fn upgrades() -> impl Fn(&mut Connection) {
    |peer| {
        while let Some(request) = peer.request() {
            if request.headers.get("upgrade") != Some("websocket") {
                peer.answer_with(&request, "426 Upgrade Required", &[], b"");
                continue;
            }
            peer.send(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                  Connection: Upgrade\r\n\r\nhello",
            );
            let mut buffer = [0; 1024];
            while let Ok(read @ 1..) = peer.stream().read(&mut buffer) {
                peer.send(&buffer[..read]);
            }
            return;
        }
    }
}

pub(crate) fn upgraded(locum: &Locum) -> Client {
    let mut client = locum.client();
    client.send(
        "GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: keep-alive, Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    let (answer, _) = client.reader().response_head("GET").unwrap();
    assert_eq!(answer.status, 101);
    assert_eq!(answer.headers.get("upgrade"), Some("websocket"));
    assert!(answer.headers.has_token("connection", "upgrade"));
    // Where an upstream of HTTP/1.1 gives no proof, none is made up.
    let proof = answer.headers.get("sec-websocket-accept");
    assert!(proof.is_none_or(|proof| proof == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{proof:?}");
    client
}

/// Reads exactly this from a tunnel.
pub(crate) fn assert_next(client: &mut Client, expected: &str) {
    let mut bytes = Vec::new();
    client.reader().body(Framing::Length(expected.len() as u64), &mut bytes).unwrap();
    assert_eq!(String::from_utf8_lossy(&bytes), expected);
}

#[test]
fn a_websocket_is_a_tunnel_both_ways_and_ends_with_either_side() {
    let upstream = Upstream::start(upgrades());
    let locum = Config::to(&upstream).start();
    let mut client = upgraded(&locum);
    assert_next(&mut client, "hello");
    for text in ["one", "two", "GET /SMUGGLED HTTP/1.1\r\n\r\n"] {
        client.send(text);
        assert_next(&mut client, text);
    }
    assert_eq!(upstream.received().len(), 1, "a tunnel carries no requests");
    drop(client);
    eventually("the upstream's side is closed", || upstream.open() == 0);
}

#[test]
fn a_websocket_survives_reloads() {
    let upstream = Upstream::start(upgrades());
    let config = Config::to(&upstream);
    let locum = config.start();
    let mut client = upgraded(&locum);
    assert_next(&mut client, "hello");
    locum.reload(&config.route("max_body = \"1MiB\"").to_string());
    client.send("still here");
    assert_next(&mut client, "still here");
}

#[test]
fn no_tunnel_opens_without_the_upstreams_consent_or_for_another_protocol() {
    let refusing = Upstream::start(script::says("403 Forbidden"));
    let locum = Config::to(&refusing).start();
    let mut client = locum.client();
    let ask = |client: &mut Client, protocol: &str| {
        client.send(format!(
            "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade, HTTP2-Settings\r\n\
             Upgrade: {protocol}\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
        ));
        client.response("GET").unwrap().status
    };
    assert_eq!(ask(&mut client, "websocket"), 403);
    assert_eq!(client.get("/").unwrap().status, 403, "the connection speaks HTTP as before");

    let upstream = Upstream::start(upgrades());
    let locum = Config::to(&upstream).start();
    let mut client = locum.client();
    for protocol in ["h2c", "TLS/1.3", "foo"] {
        assert_eq!(ask(&mut client, protocol), 426, "{protocol}");
    }
    assert!(upstream.received().iter().all(|r| !r.request.headers.has("upgrade")));
    assert!(upstream.received().iter().all(|r| !r.request.headers.has("http2-settings")));
}
