//! Servers that others have written behind, nginx and Go's net/http, and h2load in front.

use std::collections::BTreeSet;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use locum_testkit::{Client, Go, Locum, Nginx, Response};

use crate::setup::Config;
use crate::tls::Authority;

const FILES: &str = "root {directory};\n location /files/ { dav_methods PUT; create_full_put_path on; }\n \
                     location /packed/ { alias {directory}/files/; gzip on; gzip_types *; gzip_proxied any; add_trailer X-Sum 7; }\n \
                     location = /from { return 200 \"$server_protocol $connection\"; }\n \
                     location = /nothing { return 204; }";

/// One worker: calls that follow each other find the connection that the one before has left.
const ONE_WORKER: &str = "[runtime]\nworkers = 1";

#[test]
fn nginx_behind_is_asked_over_kept_connections() {
    let nginx = Nginx::start(FILES);
    let locum = Config::to_addresses([nginx.address()]).and(ONE_WORKER).start();
    let mut client = locum.client();
    assert_kept(&mut client, "HTTP/1.1");
    let large = large();
    client.send(
        [
            format!(
                "PUT /files/a HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\n\r\n",
                large.len()
            )
            .as_bytes(),
            &large,
        ]
        .concat(),
    );
    assert_eq!(client.response("PUT").unwrap().status, 201);
    assert!(client.get("/files/a").unwrap().body == large, "what was put is what is got");

    client.send("PUT /files/b HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    large.chunks(100_000).for_each(|piece| client.send(chunk(piece)));
    client.send("0\r\n\r\n");
    assert_eq!(client.response("PUT").unwrap().status, 201);
    assert!(client.get("/files/b").unwrap().body == large, "in chunks as well");

    // What nginx packs it sends in chunks, and trailers after them.
    client.send("GET /packed/a HTTP/1.1\r\nHost: a.test\r\nAccept-Encoding: gzip\r\n\r\n");
    let packed = client.response("GET").unwrap();
    assert!(packed.headers.has_token("transfer-encoding", "chunked"), "{:?}", packed.headers);
    assert_eq!(packed.trailers.get("x-sum"), Some("7"));
    assert_eq!(packed.body[..2], [0x1f, 0x8b]);
    let url = format!("http://{}/packed/a", locum.address("web"));
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let curl = ["--silent", "--max-time", "20", "--compressed", version, &url];
        let ended = Command::new("curl").args(curl).output().expect("curl is installed");
        assert!(ended.stdout == large, "{version}: {} bytes", ended.stdout.len());
    }
    assert_eq!(client.get("/nothing").unwrap().status, 204);
    client.send("HEAD /files/a HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let head = client.response("HEAD").unwrap();
    assert_eq!(head.headers.get("content-length"), Some(&*large.len().to_string()));
    assert_eq!(client.get("/files/none").unwrap().status, 404);
    locum.counts("locum_attempts_total", &[("outcome", "reset")], 0.0);
}

#[test]
fn go_behind_is_asked_over_kept_connections() {
    for go in Web::all(&[]) {
        let locum = Config::to_addresses([go.address]).and(ONE_WORKER).start();
        assert_kept(&mut locum.client(), "HTTP/1.1");
        assert_carried(&locum);
        assert_eq!(trailers(&locum).text(), "5 bytes, \"9\"");
    }
}

#[test]
fn go_behind_is_asked_over_http2_under_tls() {
    let authority = Authority::new();
    authority.sign("up", &["up.test"]);
    let [certificate, key, ca] = ["up.pem", "up.key", "ca.pem"].map(|file| authority.path(file));
    for go in Web::all(&[&certificate, &key]) {
        for protocol in ["h2", "auto"] {
            let locum = Config::to_addresses([go.address])
                .upstream(&format!("protocol = \"{protocol}\""))
                .upstream(&format!("tls = {{ server_name = \"up.test\", ca = {ca:?} }}"))
                .and(ONE_WORKER)
                .start();
            assert_kept(&mut locum.client(), "HTTP/2.0");
            assert_carried(&locum);
            // Of trailers that no field has announced, this server tells its handler nothing.
            assert_eq!(trailers(&locum).text(), "5 bytes, \"\"");
        }
    }
}

#[test]
fn h2load_is_answered_every_request() {
    if !is_there("h2load") {
        return;
    }
    let nginx = Nginx::start("location / { return 200 \"hello\"; }");
    let authority = Authority::new();
    authority.sign("web", &["web.test"]);
    let plain = Config::to_addresses([nginx.address()]);
    let tls = format!("tls = {{ certificates = [{{ {} }}] }}", authority.table("web"));
    for (config, scheme, version) in [
        (plain.clone(), "http", "h2c"),
        (plain.clone().listener(&tls), "https", "h2"),
        (plain.listener(&tls), "https", "http/1.1"),
    ] {
        let locum = config.start();
        let url = format!("{scheme}://{}/", locum.address("web"));
        let mut load = Command::new("h2load");
        load.args(["-n", "4000", "-c", "8", "-m", "16"]);
        if version == "http/1.1" {
            load.arg("--h1");
        }
        let ended = load.arg(&url).output().expect("it is there");
        let said = String::from_utf8_lossy(&ended.stdout);
        for line in [
            "4000 succeeded, 0 failed, 0 errored, 0 timeout",
            "status codes: 4000 2xx, 0 3xx, 0 4xx, 0 5xx",
            &format!("Application protocol: {version}"),
        ] {
            assert!(said.contains(line), "{url}: no {line:?} in {said}");
        }
        locum.counts("locum_calls_total", &[("code", "200"), ("outcome", "success")], 4000.0);
        locum.counts("locum_panics_total", &[], 0.0);
    }
}

/// Whether calls that follow each other share a connection to the upstream, which names it behind its protocol.
fn assert_kept(client: &mut Client, protocol: &str) {
    let from: BTreeSet<String> = (0..20).map(|_| client.get("/from").unwrap().text()).collect();
    assert_eq!(from.len(), 1, "{from:?}");
    assert!(from.first().unwrap().starts_with(protocol), "{from:?}");
}

/// Whether everything that a server of Go is asked arrives there and back.
fn assert_carried(locum: &Locum) {
    let mut client = locum.client();
    let pieces = client.get("/pieces").unwrap();
    assert_eq!(pieces.text(), "piece 0\npiece 1\npiece 2\npiece 3\npiece 4\n");
    assert!(pieces.headers.has_token("transfer-encoding", "chunked"), "{:?}", pieces.headers);
    let large = large();
    assert!(client.post("/echo", &large).unwrap().body == large);
    client.send("POST /echo HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    large.chunks(100_000).for_each(|piece| client.send(chunk(piece)));
    client.send("0\r\n\r\n");
    assert!(client.response("POST").unwrap().body == large);
    assert_eq!(client.get("/nothing").unwrap().status, 204);
    client.send("HEAD /from HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(client.response("HEAD").unwrap().status, 200);
    assert_eq!(client.get("/none").unwrap().status, 404);
    locum.counts("locum_attempts_total", &[("outcome", "reset")], 0.0);
}

/// The answer to a request with a trailer, which has one as well. Over HTTP/2 the server says its length besides.
fn trailers(locum: &Locum) -> Response {
    let mut client = locum.client();
    client.send(
        "POST /trailers HTTP/1.1\r\nHost: a.test\r\nTE: trailers\r\nConnection: TE\r\n\
         Transfer-Encoding: chunked\r\n\r\n\
         5\r\nhello\r\n0\r\nX-Sent: 9\r\n\r\n",
    );
    let answer = client.response("POST").unwrap();
    assert_eq!(answer.trailers.get("x-sum"), Some("7"), "{answer:?}");
    answer
}

/// 1 MiB that is not compressed.
fn large() -> Vec<u8> {
    (0..1_u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn chunk(piece: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()
}

fn is_there(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).status();
    if found.is_err() {
        // Past the capture of a test's output, or nobody would see it.
        drop(writeln!(io::stderr(), "SKIPPED {program}: it is not on the PATH"));
    }
    found.is_ok()
}

/// The server in `go/web.go`. Dropping it kills it.
struct Web {
    address: SocketAddr,
    child: Child,
    // Open as long as the server runs, so that it may write.
    _output: BufReader<ChildStdout>,
}

impl Web {
    /// One of every Go that is there.
    fn all(arguments: &[&str]) -> Vec<Self> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/go/web.go");
        let start = |program: PathBuf| {
            let mut child = Command::new(&program)
                .args(arguments)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .expect("what was built can be started");
            let mut output = BufReader::new(child.stdout.take().unwrap());
            let mut line = String::new();
            output.read_line(&mut line).expect("it says where it listens");
            Self { address: line.trim().parse().unwrap(), child, _output: output }
        };
        Go::programs(&source).into_iter().map(start).collect()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
