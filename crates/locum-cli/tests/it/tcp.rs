//! Connections whose bytes are carried as they are, by what a client names, or by nothing.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use locum_testkit::clock::PATIENCE;
use locum_testkit::{
    Connection, Gate, HaProxy, Locum, Signal, Slicer, Upstream, eventually, refused, script,
};
use serde_json::Value;

use crate::setup::{Config, locum};
use crate::tls::{Authority, Server};

/// Gives back what it is sent, to its end.
fn gives_back(peer: &mut Connection) {
    let stream = peer.stream();
    drop(io::copy(&mut &*stream, &mut &*stream));
    drop(stream.shutdown(Shutdown::Write));
    peer.wait_for_close();
}

fn carried_to(endpoints: impl IntoIterator<Item = SocketAddr>) -> Config {
    Config::to_addresses(endpoints)
        .takes("tcp")
        .upstream("protocol = \"tcp\"")
        .and("[log]\naccess = \"stdout\"")
}

fn connect(locum: &Locum) -> TcpStream {
    let stream = TcpStream::connect(locum.address("web")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn rest(mut stream: &TcpStream) -> io::Result<Vec<u8>> {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).map(|_| rest)
}

/// The line of the access log with this code.
fn logged(locum: &Locum, code: &str) -> Value {
    let find = || -> Option<Value> {
        let output = locum.output();
        let mut lines = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.find(|line| line["code"] == code)
    };
    eventually("it is logged", || find().is_some());
    find().unwrap()
}

#[test]
fn bytes_go_both_ways_and_each_side_may_end_its_own() {
    let upstream = Upstream::start(gives_back);
    let locum = carried_to([upstream.address()]).start();
    let stream = connect(&locum);
    let sent: Vec<u8> = (0..4 << 20).map(|n: u32| (n % 251) as u8).collect();
    let given = thread::scope(|scope| {
        scope.spawn(|| {
            (&stream).write_all(&sent).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        });
        rest(&stream).unwrap()
    });
    assert!(given == sent, "{} of {} bytes", given.len(), sent.len());
    let line = logged(&locum, "ok");
    let bytes = Value::from(4 << 20);
    assert_eq!((&line["bytes_in"], &line["bytes_out"]), (&bytes, &bytes), "{line}");
    assert_eq!((&line["outcome"], &line["protocol"]), (&"success".into(), &"tcp".into()));
    assert_eq!(line["client"], "127.0.0.1");
    locum.counts("locum_calls_total", &[("protocol", "tcp"), ("outcome", "success")], 1.0);
    locum.counts("locum_bytes_total", &[("direction", "out")], f64::from(4 << 20));
}

#[test]
fn who_takes_nothing_is_read_from_no_more() {
    let (gate, is_first) = (Gate::new(), Arc::new(AtomicBool::new(true)));
    let upstream = Upstream::start({
        let (gate, is_first) = (gate.clone(), Arc::clone(&is_first));
        move |peer| {
            if is_first.swap(false, Ordering::SeqCst) {
                gate.wait();
            }
            gives_back(peer);
        }
    });
    let locum = carried_to([upstream.address()]).and("[runtime]\nworkers = 1").start();
    let mut stream = connect(&locum);
    eventually("it is connected", || !is_first.load(Ordering::SeqCst));
    stream.set_nonblocking(true).unwrap();
    // The kernel's buffers on the way take some megabytes; the proxy adds no more than one of its own.
    let sent = until_full(&mut stream, &mut connect(&locum));
    assert!(sent < MOST, "{sent}");
    assert!(locum.resident() < 64 << 20);
    gate.open(1);
    stream.set_nonblocking(false).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&stream).unwrap().len(), sent);
}

/// So much was sent where nothing stops the sender.
const MOST: usize = 64 << 20;

/// Writes until nothing is taken any more: what goes back and forth over `other` shows that the worker, which is
/// the only one, has looked at both connections so often since.
fn until_full(stream: &mut TcpStream, other: &mut TcpStream) -> usize {
    const LOOKS: usize = 20;
    let block = vec![b'x'; 1 << 16];
    let (mut sent, mut refused) = (0, 0);
    while refused < LOOKS && sent < MOST {
        match stream.write(&block) {
            Ok(count) => (sent, refused) = (sent + count, 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                refused += 1;
                other.write_all(b"x").unwrap();
                other.read_exact(&mut [0; 1]).unwrap();
            }
            Err(error) => panic!("{error}"),
        }
    }
    sent
}

#[test]
fn a_server_may_speak_first() {
    let upstream = Upstream::start(|peer| {
        peer.send(b"220 ready\r\n");
        peer.wait_for_close();
    });
    let locum = carried_to([upstream.address()]).start();
    let mut greeting = [0; 11];
    connect(&locum).read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"220 ready\r\n");
}

#[test]
fn a_connect_failure_is_tried_elsewhere() {
    let upstream = Upstream::start(gives_back);
    let locum = carried_to([refused(), upstream.address()])
        .policy("retry = { attempts = 2, base = \"1ms\" }\nbreaker = { per = \"endpoint\" }")
        .start();
    for _ in 0..4 {
        let mut stream = connect(&locum);
        stream.write_all(b"hello").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(rest(&stream).unwrap(), b"hello");
    }
    locum.counts("locum_calls_total", &[("outcome", "success")], 4.0);
    assert!(locum.metric("locum_attempts_total", &[("outcome", "connect")]) >= 1.0);
}

#[test]
fn nobody_to_connect_to_is_a_closed_connection() {
    let locum = carried_to([refused()]).start();
    assert_eq!(rest(&connect(&locum)).unwrap_or_default(), b"");
    assert_eq!(logged(&locum, "connect")["outcome"], "failure");
}

#[test]
fn what_the_upstream_cuts_is_cut() {
    let upstream = Upstream::start(|peer| {
        peer.send(b"half");
        drop(peer.stream().read(&mut [0; 1]));
        peer.reset();
    });
    let locum = carried_to([upstream.address()]).start();
    let mut stream = connect(&locum);
    let mut half = [0; 4];
    stream.read_exact(&mut half).unwrap();
    stream.write_all(b"x").unwrap();
    assert_eq!(rest(&stream).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(logged(&locum, "reset")["outcome"], "failure");
}

#[test]
fn a_silent_connection_ends_after_the_idle_time() {
    let upstream = Upstream::start(gives_back);
    let locum = carried_to([upstream.address()]).listener("limits = { idle = \"100ms\" }").start();
    let mut stream = connect(&locum);
    stream.write_all(b"ping").unwrap();
    assert_eq!(rest(&stream).unwrap(), b"ping");
    assert_eq!(logged(&locum, "idle")["outcome"], "timeout");
    eventually("the upstream's is closed too", || upstream.open() == 0);
}

#[test]
fn connections_are_limited_like_calls() {
    let upstream = Upstream::start(gives_back);
    let locum = carried_to([upstream.address()])
        .policy("rate_limit = { rate = \"1/h\", burst = 2, key = \"client-ip\" }\nconcurrency = { max = 1 }")
        .start();
    let held = connect(&locum);
    eventually("it is connected", || upstream.open() == 1);
    // There is room for one at a time.
    assert_eq!(rest(&connect(&locum)).unwrap_or_default(), b"");
    drop(held);
    eventually("it has left", || upstream.open() == 0);
    // And of one address for two an hour.
    assert_eq!(rest(&connect(&locum)).unwrap_or_default(), b"");
    locum.counts("locum_calls_total", &[("outcome", "rejected")], 2.0);
    assert_eq!(upstream.accepted(), 1);
}

#[test]
fn tls_may_end_here_and_begin_anew() {
    let authority = Authority::new();
    authority.sign("web", &["web.test"]);
    authority.sign("up", &["up.test"]);
    let server = Server::start(&authority, "up", &[]);
    let ca = authority.path("ca.pem");
    let locum = carried_to([server.1])
        .listener(&format!("tls = {{ certificates = [{{ {} }}] }}", authority.table("web")))
        .upstream(&format!("tls = {{ server_name = \"up.test\", ca = {ca:?} }}"))
        .start();
    let (answer, content) = authority.curl(&locum, &["--http1.1"], &["/"]);
    assert!(content && answer.contains("s_server"), "{answer}");
    assert_eq!(logged(&locum, "ok")["server_name"], "web.test");
}

#[test]
fn what_is_nothing_else_on_a_port_for_anything_is_carried() {
    let (bytes, web) = (Upstream::start(gives_back), Upstream::start(script::answers("web")));
    let other = format!(
        "[upstreams.web]\nendpoints = [\"{}\"]\n[[routes]]\nmatch = {{ path = \"/*\" }}\nupstream = \"web\"",
        web.address()
    );
    let locum = carried_to([bytes.address()]).takes("auto").and(&other).start();
    assert_eq!(locum.get("/").text(), "web");
    let mut stream = connect(&locum);
    stream.write_all(b"\x01\x02\x03\x04").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&stream).unwrap(), b"\x01\x02\x03\x04");
}

#[test]
fn a_connection_outlasts_the_order_to_stop_if_it_ends_in_time() {
    let upstream = Upstream::start(gives_back);
    let mut locum = carried_to([upstream.address()]).and("[runtime]\ndrain = \"20s\"").start();
    let mut stream = connect(&locum);
    stream.write_all(b"be").unwrap();
    let mut back = [0; 2];
    stream.read_exact(&mut back).unwrap();
    locum.signal(Signal::TERM);
    eventually("it listens no more", || TcpStream::connect(locum.address("web")).is_err());
    stream.write_all(b"fore").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&stream).unwrap(), b"fore");
    assert!(locum.wait().success());
}

#[test]
fn the_proxy_protocol_goes_along() {
    let answer = "http-request return status 200 content-type text/plain lf-string %[src]";
    let behind = HaProxy::start("accept-proxy", &["mode http", answer]);
    let locum = carried_to([behind.address()])
        .listener("proxy_protocol = \"accept\"\ntrusted_proxies = [\"127.0.0.0/8\"]")
        .upstream("proxy_protocol = \"v2\"")
        .start();
    let server = format!("server it {} send-proxy", locum.address("web"));
    let front = HaProxy::start("", &["mode tcp", &server]);
    let url = format!("http://{}/", front.address());
    let curl = ["--silent", "--max-time", "20", "--interface", "127.0.0.7", &url];
    let ended = Command::new("curl").args(curl).output().expect("curl is installed");
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "127.0.0.7");
}

/// In front of servers of two names, to which TLS is passed through.
fn by_name(authority: &Authority, servers: [&Server; 2], protocol: &str) -> Locum {
    authority.sign("web", &["web.test"]);
    let [one, other] = servers.map(|server| server.1);
    let config = format!(
        r#"
        [admin]
        listen = "127.0.0.1:0"
        [log]
        access = "stdout"
        [listeners.web]
        bind = "127.0.0.1:0"
        protocol = "{protocol}"
        limits = {{ header_timeout = "2s" }}
        [upstreams.one]
        protocol = "tcp"
        endpoints = ["{one}"]
        [upstreams.other]
        endpoints = ["tcp://{other}"]
        [[routes]]
        name = "one"
        match = {{ sni = "web.test" }}
        upstream = "one"
        [[routes]]
        name = "other"
        match = {{ sni = "*.web.test" }}
        upstream = "other"
        "#
    );
    locum().config(config).start()
}

/// Whether curl finds a server of that name, and believes it.
fn finds(authority: &Authority, address: SocketAddr, name: &str) -> bool {
    let port = address.port();
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--max-time", "20", "--cacert", &authority.path("ca.pem")]);
    curl.args(["--resolve", &format!("{name}:{port}:127.0.0.1")]);
    let ended = curl.arg(format!("https://{name}:{port}/")).output().expect("curl is installed");
    ended.status.success()
}

#[test]
fn tls_is_passed_through_to_whom_the_client_names() {
    let authority = Authority::new();
    authority.sign("one", &["web.test"]);
    authority.sign("other", &["a.web.test", "b.a.web.test"]);
    let servers = ["one", "other"].map(|file| Server::start(&authority, file, &[]));
    for protocol in ["tcp", "auto"] {
        let locum = by_name(&authority, [&servers[0], &servers[1]], protocol);
        let address = locum.address("web");
        for name in ["web.test", "a.web.test", "b.a.web.test"] {
            assert!(finds(&authority, address, name), "{name}");
        }
        let line = logged(&locum, "ok");
        assert_eq!((&line["server_name"], &line["route"]), (&"web.test".into(), &"one".into()));
        // However the message is cut on its way.
        assert!(finds(&authority, Slicer::before(address).address(), "a.web.test"));
        // Nobody else is served.
        assert!(!finds(&authority, address, "elsewhere.test"));
        assert_eq!(logged(&locum, "no_route")["server_name"], "elsewhere.test");
    }
}

#[test]
fn who_does_not_say_whom_it_wants_is_closed() {
    let authority = Authority::new();
    authority.sign("one", &["web.test"]);
    let server = Server::start(&authority, "one", &[]);
    let locum = by_name(&authority, [&server, &server], "tcp");
    let cases: [(&[u8], &str); 4] = [
        (b"no TLS at all", "no_route"),
        (b"\x16\x03\x01\0\x05hello", "malformed"),
        (b"\x16\x03\x01\x40\x01", "too_large"),
        (b"\x16\x03\x01\0\x05", "timeout"),
    ];
    for (bytes, code) in cases {
        let mut stream = connect(&locum);
        stream.write_all(bytes).unwrap();
        assert_eq!(rest(&stream).unwrap_or_default(), b"", "{code}");
        assert_eq!(logged(&locum, code)["outcome"], "refused");
        locum.counts("locum_refused_total", &[("reason", code)], 1.0);
    }
}
