//! Answers that are compressed on their way. What they are is told by curl, whose decoders are not ours.

use std::io::Read as _;
use std::process::Command;

use flate2::read::GzDecoder;
use locum_testkit::{Gate, Locum, Response, Upstream, eventually};

use crate::setup::{Config, locum};

const CODINGS: [&str; 3] = ["br", "zstd", "gzip"];

fn text(length: usize) -> Vec<u8> {
    (0..)
        .map(|number: usize| format!("line {number} of the text\n"))
        .flat_map(String::into_bytes)
        .take(length)
        .collect()
}

/// Answers with a text, and with the status and the fields that the request asks for.
fn obliging(length: usize) -> Upstream {
    let text = text(length);
    Upstream::start(move |peer| {
        while let Some(request) = peer.request() {
            let asked = |name| request.headers.get(name);
            let fields = asked("x-fields").unwrap_or("content-type: text/plain");
            let fields: Vec<_> = fields.split('|').filter_map(|it| it.split_once(": ")).collect();
            match asked("x-status") {
                Some(status @ "304 Not Modified") => {
                    let lines = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
                    let lines: String = lines.collect();
                    peer.send(format!("HTTP/1.1 {status}\r\n{lines}\r\n").as_bytes());
                }
                status => peer.answer_with(&request, status.unwrap_or("200 OK"), &fields, &text),
            }
        }
    })
}

fn compressing(upstream: &Upstream) -> Config {
    Config::to(upstream).route("compress = true")
}

fn asks(locum: &Locum, method: &str, lines: &[&str]) -> Response {
    let mut client = locum.client();
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    client.send(format!("{method} / HTTP/1.1\r\nHost: a.test\r\n{lines}\r\n"));
    client.response(method).unwrap()
}

/// The head of the answer, and its content as curl understands it.
fn curl(locum: &Locum, path: &str, arguments: &[&str]) -> (String, Vec<u8>) {
    let (head, body) =
        (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "20", "--compressed"])
        .args(arguments)
        .arg("-D")
        .arg(head.path())
        .arg("-o")
        .arg(body.path())
        .arg(format!("http://{}{path}", locum.address("web")))
        .output()
        .expect("curl is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let head = std::fs::read_to_string(head.path()).unwrap().to_lowercase();
    (head, std::fs::read(body.path()).unwrap())
}

#[test]
fn an_answer_is_compressed_in_each_coding_over_each_version() {
    let upstream = obliging(300_000);
    let locum = compressing(&upstream).start();
    for coding in CODINGS {
        for version in ["--http1.0", "--http1.1", "--http2-prior-knowledge"] {
            let accepted = format!("Accept-Encoding: {coding}");
            let (head, body) = curl(&locum, "/", &[version, "-H", &accepted]);
            assert!(head.contains(&format!("content-encoding: {coding}\r\n")), "{version} {head}");
            assert!(head.contains("vary: accept-encoding\r\n"), "{head}");
            assert!(!head.contains("content-length:"), "{head}");
            assert!(body == text(300_000), "{coding} {version}");
        }
        let answer = asks(&locum, "GET", &[&format!("Accept-Encoding: {coding}")]);
        assert!(answer.body.len() < 100_000, "{coding}: {}", answer.body.len());
    }
}

#[test]
fn answers_that_come_over_http2_are_compressed_too() {
    let upstream = obliging(300_000);
    let behind = Config::to(&upstream).start();
    let locum = Config::to_addresses([behind.address("web")])
        .upstream("protocol = \"h2\"")
        .route("compress = true")
        .start();
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let (head, body) = curl(&locum, "/", &[version]);
        assert!(head.contains("content-encoding: zstd\r\n"), "{head}");
        assert!(body == text(300_000), "{version}");
    }
}

#[test]
fn the_client_chooses_and_who_takes_none_gets_none() {
    let upstream = obliging(2000);
    let locum = compressing(&upstream).start();
    for (accepted, coding) in [
        ("gzip, br;q=0.5", Some("gzip")),
        ("gzip, br, zstd", Some("zstd")),
        ("gzip;q=0", None),
        ("identity", None),
        ("deflate", None),
    ] {
        let answer = asks(&locum, "GET", &[&format!("Accept-Encoding: {accepted}")]);
        assert_eq!(answer.headers.get("content-encoding"), coding, "{accepted}");
        assert_eq!(answer.headers.get("vary"), Some("Accept-Encoding"), "{accepted}");
        assert_eq!(coding.is_none(), answer.body == text(2000), "{accepted}");
    }
    let chosen = Config::to(&upstream).route("compress = { codings = [\"br\", \"gzip\"] }").start();
    let answer = asks(&chosen, "GET", &["Accept-Encoding: gzip, br, zstd"]);
    assert_eq!(answer.headers.get("content-encoding"), Some("br"));
}

#[test]
fn what_must_stay_as_it_is_stays() {
    let upstream = obliging(2000);
    let locum = compressing(&upstream).start();
    let cases: &[(&str, &[&str])] = &[
        ("GET", &["X-Fields: content-type: image/png"]),
        ("GET", &["X-Fields: server: x"]),
        ("GET", &["X-Fields: content-type: text/css|content-encoding: aws-chunked"]),
        ("GET", &["X-Fields: content-type: text/css|cache-control: public, no-transform"]),
        ("GET", &["X-Fields: content-type: text/css|content-digest: sha-256=:AA==:"]),
        (
            "GET",
            &[
                "X-Status: 206 Partial Content",
                "X-Fields: content-type: text/css|content-range: bytes 0-1999/3000",
            ],
        ),
        ("GET", &["Cache-Control: no-transform"]),
        ("POST", &["Content-Type: application/grpc", "Content-Length: 0"]),
        ("GET", &["X-Fields: content-type: application/grpc+json"]),
    ];
    for (method, lines) in cases {
        let answer = asks(&locum, method, &[&["Accept-Encoding: gzip"], *lines].concat());
        let coding =
            answer.headers.get("content-encoding").filter(|coding| *coding != "aws-chunked");
        assert_eq!(coding, None, "{lines:?}");
        assert_eq!(answer.headers.get("content-length"), Some("2000"), "{lines:?}");
        assert!(answer.body == text(2000), "{lines:?}");
    }
    let head = asks(&locum, "HEAD", &["Accept-Encoding: gzip"]);
    assert_eq!(head.headers.get("content-length"), Some("2000"));
    assert_eq!(head.headers.get("content-encoding"), None);
    assert_eq!(head.headers.get("vary"), Some("Accept-Encoding"));
    let error = asks(&locum, "GET", &["Accept-Encoding: gzip", "X-Status: 404 Not Found"]);
    assert_eq!((error.status, error.headers.get("content-encoding")), (404, Some("gzip")));
}

#[test]
fn small_answers_and_other_types_are_left_alone() {
    let upstream = obliging(1023);
    let locum = compressing(&upstream).start();
    let answer = asks(&locum, "GET", &["Accept-Encoding: gzip"]);
    assert_eq!((answer.headers.get("content-encoding"), answer.body.len()), (None, 1023));
    let lower = "compress = { min_body = \"1023B\", types = [\"x/*\"] }";
    let locum = Config::to(&upstream).route(lower).start();
    for (kind, coding) in [("x/y", Some("gzip")), ("text/plain", None)] {
        let lines = ["Accept-Encoding: gzip".to_owned(), format!("X-Fields: content-type: {kind}")];
        let answer = asks(&locum, "GET", &lines.each_ref().map(String::as_str));
        assert_eq!(answer.headers.get("content-encoding"), coding, "{kind}");
    }
}

#[test]
fn a_tag_becomes_weak_and_is_known_again() {
    let upstream = obliging(2000);
    let locum = compressing(&upstream).start();
    let fields = "X-Fields: content-type: text/css|etag: \"v1\"|accept-ranges: bytes";
    let coded = asks(&locum, "GET", &["Accept-Encoding: gzip", fields]);
    assert_eq!(coded.headers.get("etag"), Some("W/\"v1\""));
    assert_eq!(coded.headers.get("accept-ranges"), None);
    let plain = asks(&locum, "GET", &[fields]);
    assert_eq!(plain.headers.get("etag"), Some("\"v1\""));
    for (named, told) in
        [("W/\"v1\"", "W/\"v1\""), ("\"v0\", W/\"v1\"", "W/\"v1\""), ("\"v1\"", "\"v1\"")]
    {
        let lines = [
            "Accept-Encoding: gzip",
            "X-Status: 304 Not Modified",
            "X-Fields: etag: \"v1\"",
            &format!("If-None-Match: {named}"),
        ];
        let same = asks(&locum, "GET", &lines);
        assert_eq!((same.status, same.headers.get("etag")), (304, Some(told)), "{named}");
    }
}

#[test]
fn events_arrive_as_they_are_sent() {
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
            peer.send(b"0\r\nx-trailer: 1\r\n\r\n");
        }
    });
    let locum = compressing(&upstream).start();
    let mut client = locum.client();
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\nAccept-Encoding: gzip\r\n\r\n");
    let (head, _) = client.reader().response_head("GET").unwrap();
    assert_eq!(head.headers.get("content-encoding"), Some("gzip"));
    let mut coded = Vec::new();
    let readable = |coded: &[u8]| {
        let (mut decoder, mut text) = (GzDecoder::new(coded), Vec::new());
        // It ends where there is no more of it yet.
        let _ = decoder.read_to_end(&mut text);
        String::from_utf8(text).unwrap()
    };
    let mut expected = String::new();
    for n in 1..=3 {
        // The next event is not even written before this one was read.
        expected += &format!("data: {n}\n\n");
        while readable(&coded) != expected {
            coded.extend(client.reader().chunk().unwrap().expect("an event"));
        }
        gate.open(1);
    }
    while let Some(piece) = client.reader().chunk().unwrap() {
        coded.extend(piece);
    }
    let mut whole = String::new();
    GzDecoder::new(&*coded).read_to_string(&mut whole).expect("it has an end");
    assert_eq!(whole, expected);
}

#[test]
fn an_answer_without_a_length_is_whole_or_broken_as_the_upstreams_was() {
    let body = text(200_000);
    let sent = body.clone();
    let upstream = Upstream::start(move |peer| {
        let Some(request) = peer.request() else { return };
        match &*request.target {
            "/closes" => {
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n");
                peer.send(&sent);
            }
            _ => {
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 300000\r\n\r\n");
                peer.send(&sent);
            }
        }
    });
    let locum = compressing(&upstream).start();
    for version in ["--http1.0", "--http1.1", "--http2-prior-knowledge"] {
        let (head, read) = curl(&locum, "/closes", &[version]);
        assert!(head.contains("content-encoding: zstd\r\n"), "{head}");
        assert!(read == body, "{version}");
        let url = format!("http://{}/breaks", locum.address("web"));
        let broken =
            ["--silent", "--max-time", "20", "--compressed", version, "-o", "/dev/null", &url];
        let status = Command::new("curl").args(broken).status().unwrap();
        assert!(!status.success() && status.code() != Some(28), "{version}: {status}");
    }
}

#[test]
fn a_client_that_reads_slowly_holds_up_nobody_and_gets_all() {
    let upstream = obliging(3 << 20);
    let locum = compressing(&upstream).start();
    let mut slow = locum.client();
    slow.send("GET / HTTP/1.1\r\nHost: a.test\r\nAccept-Encoding: gzip\r\n\r\n");
    eventually("the upstream was asked", || upstream.deliveries() == 1);
    for _ in 0..5 {
        assert_eq!(asks(&locum, "GET", &["Accept-Encoding: br"]).status, 200);
    }
    let answer = slow.response("GET").unwrap();
    let mut read = Vec::new();
    GzDecoder::new(&*answer.body).read_to_end(&mut read).unwrap();
    assert!(read == text(3 << 20));
    assert_eq!(slow.get("/").unwrap().body.len(), 3 << 20, "the connection is kept");
}

#[test]
fn files_are_compressed_where_there_is_no_coded_form() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("a.txt"), text(200_000)).unwrap();
    std::fs::write(root.path().join("b.txt"), text(200_000)).unwrap();
    std::fs::write(root.path().join("b.txt.gz"), "gz!").unwrap();
    std::fs::write(root.path().join("c.txt"), "short").unwrap();
    let config = format!(
        "[admin]\nlisten = \"127.0.0.1:0\"\n[listeners.web]\nbind = \"127.0.0.1:0\"\n[[routes]]\n\
         match = {{ path = \"/*\" }}\ncompress = true\n\
         files = {{ root = {:?}, precompressed = [\"gzip\"] }}",
        root.path()
    );
    let locum = locum().config(config).start();
    for version in ["--http1.0", "--http1.1", "--http2-prior-knowledge"] {
        let (head, body) = curl(&locum, "/a.txt", &[version, "-H", "Accept-Encoding: zstd"]);
        assert!(
            head.contains("content-encoding: zstd\r\n") && head.contains("etag: w/\""),
            "{head}"
        );
        assert!(!head.contains("content-length") && !head.contains("accept-ranges"), "{head}");
        assert!(body == text(200_000), "{version}");
    }
    let get = |target: &str, lines: &str| {
        let mut client = locum.client();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a.test\r\n{lines}\r\n"));
        client.response("GET").unwrap()
    };
    let accept = "Accept-Encoding: gzip\r\n";
    assert_eq!(get("/b.txt", accept).text(), "gz!");
    assert_eq!(get("/c.txt", accept).headers.get("content-encoding"), None);
    let plain = get("/a.txt", "");
    assert_eq!((plain.body.len(), plain.headers.get("vary")), (200_000, Some("Accept-Encoding")));
    let part = get("/a.txt", &format!("{accept}Range: bytes=0-4\r\n"));
    assert_eq!(
        (part.status, &*part.text(), part.headers.get("content-encoding")),
        (206, "line ", None)
    );
    let tag = get("/a.txt", accept).headers.get("etag").unwrap().to_owned();
    let same = get("/a.txt", &format!("{accept}If-None-Match: {tag}\r\n"));
    assert_eq!((same.status, same.headers.get("etag")), (304, Some(&*tag)));
}
