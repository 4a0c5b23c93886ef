//! Clients that speak HTTP/2, to upstreams of HTTP/1.1.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use locum_testkit::http2::{self, Http2};
use locum_testkit::{Client, Gate, Signal, Upstream, eventually, script};

use super::{bytes_in_file, curl};
use crate::setup::Config;

#[test]
fn a_request_over_http2_is_a_request_like_any_other() {
    let upstream = Upstream::start(script::echoes());
    let locum = Config::to(&upstream).start();
    let arguments =
        ["-d", "hello", "-H", "x-a: 1", "-b", "a=1", "-w", "%{http_version} %{http_code}"];
    let (output, _) = curl(&locum, &arguments, &["/x?q=1"]);
    assert!(output.ends_with("2 200"), "{output}");
    let received = &upstream.received()[0].request;
    assert_eq!((&*received.method, &*received.target), ("POST", "/x?q=1"));
    assert_eq!(received.body, b"hello");
    assert_eq!(received.headers.get("x-a"), Some("1"));
    assert_eq!(received.headers.get("cookie"), Some("a=1"));
    assert_eq!(received.headers.get("x-forwarded-proto"), Some("http"));
    assert_eq!(received.headers.get("via"), Some("2.0 locum"));
    assert_eq!(upstream.violations(), [""; 0]);
    locum.counts("locum_calls_total", &[("protocol", "h2"), ("code", "200")], 1.0);
}

#[test]
fn large_bodies_arrive_unchanged_both_ways() {
    let upstream = Upstream::start(|peer| {
        while let Some(request) = peer.request() {
            peer.answer(&request, &request.body);
        }
    });
    let locum = Config::to(&upstream).start();
    let (bytes, file) = bytes_in_file(3 << 20);
    let path = file.path().to_str().unwrap();
    let back = tempfile::NamedTempFile::new().unwrap();
    let back_path = back.path().to_str().unwrap();
    // With a length, and, from standard input, without.
    for upload in [path, "-"] {
        let arguments = ["-T", upload, "-o", back_path, "-w", "%{http_code}"];
        let mut command = std::process::Command::new("curl");
        command
            .args(["--silent", "--max-time", "20", "--http2-prior-knowledge"])
            .args(arguments)
            .arg(format!("http://{}/", locum.address("web")))
            .stdin(file.reopen().unwrap());
        let output = command.output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "200", "{upload}");
        assert!(std::fs::read(back.path()).unwrap() == bytes, "{upload}");
    }
    assert_eq!(upstream.violations(), [""; 0]);
}

#[test]
fn many_streams_of_one_connection_are_answered_each_by_its_own() {
    let upstream = Upstream::start(script::names_the_target());
    let locum = Config::to(&upstream).start();
    let mut client = Http2::connect(locum.address("web"));
    let streams: Vec<u32> = (0..100).map(|n| 2 * n + 1).collect();
    let wanted: Vec<_> = streams.iter().map(|stream| (*stream, format!("/{stream}"))).collect();
    wanted.iter().for_each(|(stream, path)| client.get(*stream, path));
    let mut answers = std::collections::BTreeMap::<u32, String>::new();
    let mut open = wanted.len();
    while open > 0 {
        let frame = client.read().unwrap();
        if frame.kind == http2::DATA {
            let text = std::str::from_utf8(&frame.payload).unwrap();
            answers.entry(frame.stream).or_default().push_str(text);
        }
        open -= usize::from(frame.ends());
    }
    assert_eq!(answers.into_iter().collect::<Vec<_>>(), wanted);
}

#[test]
fn early_hints_and_trailers_arrive() {
    let upstream = Upstream::start(|peer| {
        while peer.request().is_some() {
            peer.send(
                b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\nHTTP/1.1 200 OK\r\n\
                  Transfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n",
            );
        }
    });
    let locum = Config::to(&upstream).start();
    let (output, good) = curl(&locum, &["-v"], &["/"]);
    assert!(good, "{output}");
    for line in ["< HTTP/2 103", "< link: </style.css>", "< HTTP/2 200", "< x-sum: 7"] {
        assert!(output.contains(line), "{line} in {output}");
    }
    assert!(!output.contains("transfer-encoding"), "{output}");
}

#[test]
fn a_client_that_reads_nothing_of_one_stream_gets_the_others() {
    let upstream = Upstream::start(|peer| {
        while let Some(request) = peer.request() {
            let length = if request.target == "/large" { 8 << 20 } else { 2 };
            peer.answer(&request, &vec![b'x'; length]);
        }
    });
    let locum = Config::to(&upstream).start();
    let mut client = Http2::connect(locum.address("web"));
    let before = locum.resident();
    client.get(1, "/large");
    client.until("a whole window of it", |frame| frame.stream == 1 && frame.kind == http2::DATA);
    // The window of all is used up as well, so that one is opened.
    client.frame(http2::WINDOW_UPDATE, 0, 0, &1_000_000_u32.to_be_bytes());
    client.get(3, "/small");
    assert_eq!(client.body(3), b"xx");
    let grown = locum.resident().saturating_sub(before);
    assert!(grown < 8 << 20, "{} KiB more: the rest stays with the upstream", grown >> 10);
    client.frame(http2::WINDOW_UPDATE, 0, 1, &(8_u32 << 20).to_be_bytes());
    client.frame(http2::WINDOW_UPDATE, 0, 0, &(8_u32 << 20).to_be_bytes());
    let last = client.until("the end", |frame| frame.stream == 1 && frame.ends());
    assert!(last.payload.len() <= 16 << 10);
}

#[test]
fn a_stream_that_is_given_up_is_given_up_at_the_upstream() {
    let upstream = Upstream::start(script::hangs());
    let locum = Config::to(&upstream).start();
    let mut client = Http2::connect(locum.address("web"));
    client.get(1, "/");
    eventually("the request arrives", || upstream.received().len() == 1);
    client.frame(http2::RST_STREAM, 0, 1, &8_u32.to_be_bytes());
    eventually("its connection is closed", || upstream.open() == 0);
    locum.counts("locum_calls_total", &[("outcome", "cancelled"), ("code", "499")], 1.0);
    locum.counts("locum_panics_total", &[], 0.0);
    // The connection goes on.
    client.get(3, "/");
    eventually("another arrives", || upstream.received().len() == 2);
}

#[test]
fn a_call_that_waits_for_its_next_attempt_ends_with_its_stream() {
    let upstream = Upstream::start(script::says("503 Service Unavailable"));
    let policy = "timeout = \"60s\"\nretry = { attempts = 3, backoff = \"fixed\", base = \"50s\", cap = \"50s\" }";
    let locum = Config::to(&upstream).policy(policy).start();
    let mut client = Http2::connect(locum.address("web"));
    client.get(1, "/");
    eventually("the first attempt is over", || upstream.received().len() == 1);
    client.frame(http2::RST_STREAM, 0, 1, &8_u32.to_be_bytes());
    eventually("the call is over", || {
        locum.metric("locum_calls_total", &[("outcome", "cancelled")]) == 1.0
    });
}

#[test]
fn a_first_call_may_take_longer_than_a_client_may_be_silent() {
    let upstream = Upstream::start(|peer| {
        while peer.request().is_some() {
            // Longer than a connection that says nothing is kept at hand.
            thread::sleep(Duration::from_millis(1500));
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let locum = Config::to(&upstream).start();
    let mut client = Http2::silent(locum.address("web"));
    let get = http2::frame(
        http2::HEADERS,
        http2::END_HEADERS | http2::END_STREAM,
        1,
        &http2::block(&http2::get("/")),
    );
    // All at once, so that the call is under way before anything else is waited for.
    client.send(&[http2::PREFACE, &http2::frame(http2::SETTINGS, 0, 0, &[]), &get].concat());
    assert_eq!(client.body(1), b"ok");
}

#[test]
fn half_a_preface_decides_nothing() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream).start();
    let mut client = Http2::silent(locum.address("web"));
    for byte in http2::PREFACE {
        client.send(&[*byte]);
    }
    client.frame(http2::SETTINGS, 0, 0, &[]);
    client.get(1, "/");
    assert_eq!(client.body(1), b"ok");

    // What only looks like it is HTTP/1.1 that is refused.
    let mut other = Client::connect(locum.address("web"));
    other.send(b"PRI * HTTP/2.0\r\n\r\nno\r\n\r\n");
    assert_eq!(other.response("PRI").unwrap().status, 400);
    let mut post = Client::connect(locum.address("web"));
    post.send(b"PROPFIND / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(post.response("PROPFIND").unwrap().status, 200);
}

#[test]
fn a_connection_has_as_many_streams_and_requests_as_its_limits_say() {
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::start(move |peer| {
        while let Some(request) = peer.request() {
            held.wait();
            peer.answer(&request, b"ok");
        }
    });
    let locum = Config::to(&upstream)
        .listener("limits = { requests_per_connection = 4, http2 = { streams = 2 } }")
        .start();
    let mut client = Http2::connect(locum.address("web"));
    for stream in [1, 3, 5] {
        client.get(stream, "/");
    }
    let refused = client.until("RST_STREAM", |frame| frame.kind == http2::RST_STREAM);
    assert_eq!((refused.stream, refused.code()), (5, 7), "REFUSED_STREAM");
    gate.open(2);
    client.until("the end of one", http2::Frame::ends);
    client.until("the end of the other", http2::Frame::ends);
    gate.open(2);
    client.get(7, "/");
    client.get(9, "/");
    assert_eq!(client.end(), Some((9, 0)), "the fourth was the last");
}

#[test]
fn a_drain_lets_streams_end_and_says_twice_that_there_are_no_more() {
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::start(move |peer| {
        while let Some(request) = peer.request() {
            held.wait();
            peer.answer(&request, b"ok");
        }
    });
    let mut locum = Config::to(&upstream).start();
    let mut client = Http2::connect(locum.address("web"));
    client.get(1, "/");
    eventually("the request arrives", || upstream.received().len() == 1);
    locum.signal(Signal::TERM);
    let first = client.until("GOAWAY", |frame| frame.kind == http2::GOAWAY);
    assert_eq!(first.goes_away(), ((1 << 31) - 1, 0));
    // One that was on its way.
    client.get(3, "/");
    let second = client.until("another", |frame| frame.kind == http2::GOAWAY);
    assert_eq!(second.goes_away(), (3, 0));
    gate.open(2);
    client.until("the end of one", http2::Frame::ends);
    client.until("the end of the other", http2::Frame::ends);
    assert_eq!(client.end(), None);
    assert!(locum.wait().success());
}

#[test]
fn a_reload_says_goodbye_only_where_the_listener_goes() {
    let upstream = Upstream::start(script::answers("ok"));
    let stays = Config::to(&upstream);
    let both = stays.clone().and("[listeners.goes]\nbind = \"127.0.0.1:0\"");
    let locum = both.start();
    let mut staying = Http2::connect(locum.address("web"));
    let mut going = Http2::connect(locum.address("goes"));
    for client in [&mut staying, &mut going] {
        client.get(1, "/");
        assert_eq!(client.body(1), b"ok");
    }
    locum.reload(&stays.to_string());
    assert_eq!(going.end(), Some((1, 0)));
    staying.get(3, "/");
    assert_eq!(staying.body(3), b"ok");
}

#[test]
fn a_hundred_reloads_under_load_fail_nothing_and_close_nothing() {
    let upstream = Upstream::start(script::names_the_target());
    let config = |n: usize| Config::to(&upstream).route(&format!("max_body = \"{n}MiB\""));
    let locum = config(1).start();
    let address = locum.address("web");
    let done = AtomicBool::new(false);
    let answered: usize = thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = Http2::connect(address);
                    let mut stream = 1;
                    let mut answered = 0;
                    // Ten at a time. A stream that is reset, or a connection that goes away, is a panic here.
                    while !done.load(Ordering::SeqCst) {
                        (0..10).for_each(|n| client.get(stream + 2 * n, "/x"));
                        let mut open = 10;
                        while open > 0 {
                            let frame = client.read().expect("the connection stays");
                            let bad = [http2::RST_STREAM, http2::GOAWAY].contains(&frame.kind);
                            assert!(!bad, "{frame:?}");
                            open -= usize::from(frame.ends());
                        }
                        answered += 10;
                        stream += 20;
                    }
                    answered
                })
            })
            .collect();
        (1..=100).for_each(|n| locum.reload(&config(n).to_string()));
        done.store(true, Ordering::SeqCst);
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    assert_eq!(locum.reloads(), 100.0);
    locum.counts("locum_calls_total", &[("protocol", "h2"), ("code", "200")], answered as f64);
}

#[test]
fn a_websocket_over_http2_lives_on_over_a_reload() {
    let upstream = Upstream::start(|peer| {
        let Some(request) = peer.request_head() else { return };
        assert_eq!(request.headers.get("upgrade"), Some("websocket"));
        peer.send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Protocol: chat\r\n\r\n",
        );
        let mut stream = peer.stream();
        let mut bytes = [0; 1024];
        while let Ok(count @ 1..) = std::io::Read::read(&mut stream, &mut bytes) {
            std::io::Write::write_all(&mut stream, &bytes[..count]).unwrap();
        }
    });
    let config = Config::to(&upstream);
    let locum = config.start();
    let mut client = Http2::connect(locum.address("web"));
    client.until("SETTINGS", |frame| frame.kind == http2::SETTINGS && frame.flags == 0);
    let fields = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":authority", "a.test"),
        (":path", "/chat"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "chat"),
    ];
    client.head(1, false, &fields);
    let head = client.until("a head", |frame| frame.kind == http2::HEADERS);
    assert!(!head.ends());
    for (round, text) in ["one", "two"].into_iter().enumerate() {
        client.frame(http2::DATA, 0, 1, text.as_bytes());
        let echo = client.until("an echo", |frame| frame.kind == http2::DATA);
        assert_eq!(echo.payload, text.as_bytes());
        if round == 0 {
            locum.reload(&config.clone().route("max_body = \"1MiB\"").to_string());
        }
    }
    client.frame(http2::DATA, http2::END_STREAM, 1, b"");
    client.until("the end", http2::Frame::ends);
    eventually("the upstream hears of it", || upstream.open() == 0);
}
