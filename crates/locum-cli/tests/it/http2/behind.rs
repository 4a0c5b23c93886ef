//! Upstreams that speak HTTP/2.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use locum_testkit::http2::{self, Http2};
use locum_testkit::{Client, Locum, Upstream, eventually, script};

use super::{bytes_in_file, curl};
use crate::draining::drain;
use crate::setup::Config;
use crate::streaming::{assert_next, upgraded, upgrades};

/// A server that plays a script on each connection, which is given its number, from 0.
fn server(
    script: impl Fn(usize, &mut Http2) + Send + Sync + 'static,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    let script = Arc::new(script);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let number = count.fetch_add(1, Ordering::SeqCst);
            let script = Arc::clone(&script);
            thread::spawn(move || script(number, &mut Http2::accepted(stream.unwrap())));
        }
    });
    (address, accepted)
}

/// Answers a request on this stream.
fn answer(peer: &mut Http2, stream: u32, body: &[u8]) {
    peer.head(stream, false, &[(":status", "200")]);
    peer.frame(http2::DATA, http2::END_STREAM, stream, body);
}

fn answers(peer: &mut Http2) {
    while let Some(frame) = peer.read() {
        if frame.ends() {
            answer(peer, frame.stream, b"ok");
        }
    }
}

fn before(address: SocketAddr) -> Config {
    Config::to_addresses([address]).upstream("protocol = \"h2\"")
}

/// A program whose upstream is another of its kind, that has this one.
fn through_two(upstream: &Upstream) -> (Locum, Locum) {
    let second = Config::to(upstream).start();
    let first = before(second.address("web")).start();
    (first, second)
}

#[test]
fn requests_of_both_versions_share_a_connection_to_an_upstream_of_http2() {
    let upstream = Upstream::start(script::echoes());
    let (locum, second) = through_two(&upstream);
    for _ in 0..10 {
        let answer = Client::connect(locum.address("web")).post("/x", b"hello").unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json()["body"], "hello");
        let (output, good) = curl(&locum, &["-d", "hello"], &["/x"]);
        assert!(good && output.contains("\"body\":\"hello\""), "{output}");
    }
    second.counts("locum_calls_total", &[("protocol", "h2"), ("code", "200")], 20.0);
    assert!(second.metric("locum_connections", &[("listener", "web")]) <= 2.0, "one a worker");
    assert_eq!(upstream.violations(), [""; 0]);
}

#[test]
fn bodies_trailers_and_hints_pass_over_http2_on_both_sides() {
    let upstream = Upstream::start(|peer| {
        while let Some(request) = peer.request() {
            peer.send(
                b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\
                  Transfer-Encoding: chunked\r\n\r\n",
            );
            for piece in request.body.chunks(100_000) {
                peer.send(format!("{:x}\r\n", piece.len()).as_bytes());
                peer.send(piece);
                peer.send(b"\r\n");
            }
            peer.send(b"0\r\nX-Sum: 7\r\n\r\n");
        }
    });
    let (locum, _second) = through_two(&upstream);
    let (bytes, file) = bytes_in_file(3 << 20);
    let back = tempfile::NamedTempFile::new().unwrap();
    let [path, back_path] = [&file, &back].map(|file| file.path().to_str().unwrap());
    let (output, good) = curl(&locum, &["-v", "-T", path, "-o", back_path], &["/"]);
    assert!(good, "{output}");
    for line in ["< HTTP/2 103", "< link: </a>", "< HTTP/2 200", "< x-sum: 7"] {
        assert!(output.contains(line), "{line} in {output}");
    }
    assert!(std::fs::read(back.path()).unwrap() == bytes);
}

#[test]
fn what_a_peer_has_not_begun_is_sent_again_even_a_post() {
    // The first connection goes away, the second refuses its stream, the third answers.
    let (address, accepted) = server(|number, peer| match number {
        0 => {
            let asked = peer.until("a request", http2::Frame::ends);
            let mut payload = (asked.stream - 1).to_be_bytes().to_vec();
            payload.extend(0_u32.to_be_bytes());
            peer.frame(http2::GOAWAY, 0, 0, &payload);
            let _ = peer.drain();
        }
        1 => {
            let asked = peer.until("a request", http2::Frame::ends);
            peer.frame(http2::RST_STREAM, 0, asked.stream, &7_u32.to_be_bytes());
            let mut payload = asked.stream.to_be_bytes().to_vec();
            payload.extend(0_u32.to_be_bytes());
            peer.frame(http2::GOAWAY, 0, 0, &payload);
            let _ = peer.drain();
        }
        _ => answers(peer),
    });
    let locum = before(address).start();
    let answer = Client::connect(locum.address("web")).post("/", b"once").unwrap();
    assert_eq!((answer.status, answer.text()), (200, "ok".to_owned()));
    assert_eq!(accepted.load(Ordering::SeqCst), 3);
    locum.counts("locum_attempts_total", &[("upstream", "up")], 1.0);
}

#[test]
fn what_a_peer_may_have_begun_is_not_sent_again() {
    let (address, accepted) = server(|_, peer| {
        let asked = peer.until("a request", http2::Frame::ends);
        peer.frame(http2::RST_STREAM, 0, asked.stream, &2_u32.to_be_bytes());
        answers(peer);
    });
    let locum = before(address).start();
    let answer = Client::connect(locum.address("web")).post("/", b"once").unwrap();
    assert_eq!(answer.status, 502);
    assert_eq!(answer.json()["reason"], "reset");
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
}

#[test]
fn more_connections_are_made_when_streams_run_out_and_no_more_than_the_pool_may_have() {
    // Each connection takes two streams. Who comes first waits for another, then are four to be there at once,
    // and after them nobody waits.
    let waiting = Mutex::new((Vec::new(), vec![4, 2]));
    let (address, accepted) = server(move |_, peer| {
        peer.frame(http2::SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 2]);
        while let Some(frame) = peer.read() {
            if !frame.ends() {
                continue;
            }
            let (waiting, rounds) = &mut *waiting.lock().unwrap();
            waiting.push((peer.socket().try_clone().unwrap(), frame.stream));
            if waiting.len() >= rounds.last().copied().unwrap_or(1) {
                rounds.pop();
                for (mut socket, stream) in waiting.drain(..) {
                    let head = http2::block(&[(":status", "200")]);
                    let head = http2::frame(http2::HEADERS, http2::END_HEADERS, stream, &head);
                    let body = http2::frame(http2::DATA, http2::END_STREAM, stream, b"ok");
                    socket.write_all(&[head, body].concat()).unwrap();
                }
            }
        }
    });
    let config = before(address).upstream("pool = { connections_per_worker = 2 }");
    let locum = config.and("[runtime]\nworkers = 1").start();
    // So that its settings are known.
    let warm: Vec<_> = (0..2).map(|_| Client::connect(locum.address("web"))).collect();
    let ask = |client: &mut Client| client.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let mut clients = warm;
    clients.iter_mut().for_each(ask);
    for client in &mut clients {
        assert_eq!(client.response("GET").unwrap().text(), "ok");
    }
    clients.extend((0..6).map(|_| Client::connect(locum.address("web"))));
    clients.iter_mut().for_each(ask);
    for client in &mut clients {
        assert_eq!(client.response("GET").unwrap().text(), "ok");
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 2, "four at once on two, the other four behind");
    locum.counts("locum_upstream_connections", &[("state", "idle")], 2.0);
}

#[test]
fn who_finds_no_stream_is_not_kept_waiting_for_ever() {
    let known = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&known);
    let (address, _) = server(move |_, peer| {
        // Never a stream; the first may come before that is known.
        peer.frame(http2::SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 0]);
        // These, and those that every connection begins with.
        for _ in 0..2 {
            let acknowledges = |it: &http2::Frame| it.kind == http2::SETTINGS && it.flags == 1;
            peer.until("an acknowledgement", acknowledges);
        }
        told.store(true, Ordering::SeqCst);
        while peer.read().is_some() {}
    });
    let config = before(address)
        .upstream("pool = { connections_per_worker = 1, connect_timeout = \"200ms\" }")
        .and("[runtime]\nworkers = 1");
    let locum = config.start();
    let mut first = Client::connect(locum.address("web"));
    first.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    eventually("it is known that there is no stream", || known.load(Ordering::SeqCst));
    let answer = locum.get("/");
    assert_eq!((answer.status, &answer.json()["reason"]), (504, &"connect_timeout".into()));
}

#[test]
fn a_peer_that_breaks_the_protocol_is_a_bad_gateway_and_is_left() {
    let (address, accepted) = server(|_, peer| {
        peer.until("a request", http2::Frame::ends);
        peer.frame(http2::DATA, 0, 0, b"on no stream");
        assert_eq!(peer.end().map(|(_, code)| code), Some(1), "PROTOCOL_ERROR");
    });
    let locum = before(address).start();
    for round in 1..=2 {
        assert_eq!(Client::connect(locum.address("web")).post("/", b"x").unwrap().status, 502);
        assert_eq!(accepted.load(Ordering::SeqCst), round);
    }
}

#[test]
fn an_answer_that_breaks_off_is_not_taken_for_whole() {
    let (address, _) = server(|_, peer| {
        while let Some(frame) = peer.read() {
            if frame.ends() {
                peer.head(frame.stream, false, &[(":status", "200")]);
                for _ in 0..12 {
                    peer.frame(http2::DATA, 0, frame.stream, &[b'x'; 16 << 10]);
                }
                // Some of it has been passed on.
                peer.until("more room", |it| it.kind == http2::WINDOW_UPDATE && it.stream > 0);
                peer.frame(http2::RST_STREAM, 0, frame.stream, &2_u32.to_be_bytes());
            }
        }
    });
    let locum = before(address).start();
    assert!(Client::connect(locum.address("web")).get("/").is_err());
    let (output, good) = curl(&locum, &[], &["/"]);
    assert!(!good && output.contains("INTERNAL_ERROR"), "{output}");
    locum.counts("locum_calls_total", &[("outcome", "failure"), ("protocol", "h2")], 1.0);
}

#[test]
fn an_upstream_without_http2_fails_as_what_it_is() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream).upstream("protocol = \"h2\"").start();
    let answer = locum.get("/");
    assert_eq!(answer.status, 502, "{}", answer.text());
}

#[test]
fn a_websocket_is_not_asked_of_an_upstream_whose_http2_has_none() {
    let (address, accepted) = server(|_, peer| answers(peer));
    let locum = before(address).and("[runtime]\nworkers = 1").start();
    let mut client = locum.client();
    client.send(
        "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n",
    );
    let answer = client.response("GET").unwrap();
    assert_eq!((answer.status, &answer.json()["reason"]), (502, &"protocol".into()));
    // The connection that it was not asked on is as good as before.
    for _ in 0..3 {
        assert_eq!(locum.get("/").text(), "ok");
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
}

#[test]
fn a_websocket_goes_to_an_upstream_of_http2_that_takes_one() {
    let upstream = Upstream::start(upgrades());
    let (locum, _second) = through_two(&upstream);
    let mut client = upgraded(&locum);
    assert_next(&mut client, "hello");
    for text in ["one", "two"] {
        client.send(text);
        assert_next(&mut client, text);
    }
    drop(client);
    eventually("the upstream's side is closed", || upstream.open() == 0);
}

#[test]
fn endpoints_are_checked_over_what_they_speak() {
    let well = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&well);
    let (address, _) = server(move |_, peer| {
        while let Some(frame) = peer.read() {
            if frame.ends() {
                let status = if told.load(Ordering::SeqCst) { "200" } else { "500" };
                peer.head(frame.stream, true, &[(":status", status)]);
            }
        }
    });
    let health = "health = { path = \"/healthz\", every = \"50ms\", timeout = \"10s\", unhealthy = 1, healthy = 1 }";
    let locum = before(address).upstream(health).start();
    let is_up = || locum.metric("locum_endpoint_up", &[("upstream", "up")]) == 1.0;
    eventually("it is down", || !is_up());
    well.store(true, Ordering::SeqCst);
    eventually("it is up again", is_up);
    eventually("the connections of its checks are closed", || {
        locum.metric("locum_upstream_connections", &[("upstream", "up")]) <= 1.0
    });
}

#[test]
fn connections_close_when_their_endpoint_is_taken_out() {
    let (address, _) = server(|_, peer| answers(peer));
    let locum = before(address).start();
    assert_eq!(locum.get("/").text(), "ok");
    let connections = || locum.metric("locum_upstream_connections", &[("upstream", "up")]);
    assert_eq!(connections(), 1.0);
    drain(&locum, address);
    eventually("it is closed", || connections() == 0.0);
}
