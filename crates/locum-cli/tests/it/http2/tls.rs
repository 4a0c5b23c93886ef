//! HTTP/2 as handshakes agree on it.

use locum_testkit::{Upstream, script};

use crate::setup::Config;
use crate::tls::{Authority, Server, web};

#[test]
fn a_listener_over_tls_speaks_what_its_client_does() {
    let upstream = Upstream::start(script::answers("ok"));
    let authority = Authority::new();
    let locum = web(&upstream, &authority).start();
    let version = ["-w", " %{http_version}"];
    for (flag, told) in [("--http1.1", "ok 1.1"), ("--http2", "ok 2")] {
        let arguments = [&version[..], &[flag]].concat();
        assert_eq!(authority.curl(&locum, &arguments, &["/"]).0, told, "{flag}");
    }
    // Under TLS it is not spoken without a word.
    let (told, good) = authority.curl(&locum, &["--no-alpn", "--http2-prior-knowledge"], &["/"]);
    assert!(!good, "{told}");
    locum.counts("locum_calls_total", &[("code", "200")], 2.0);
}

#[test]
fn an_upstream_over_tls_is_spoken_to_as_it_agrees() {
    let upstream = Upstream::start(script::answers("ok"));
    let authority = Authority::new();
    let second = web(&upstream, &authority).start();
    let tls =
        format!("tls = {{ server_name = \"web.test\", ca = {:?} }}", authority.path("ca.pem"));
    let to = |address, protocol: &str| {
        let protocol = format!("protocol = \"{protocol}\"");
        Config::to_addresses([address]).upstream(&tls).upstream(&protocol).start()
    };
    for (protocol, of_http2) in [("h2", 3.0), ("grpc", 6.0), ("auto", 9.0), ("http1", 9.0)] {
        let locum = to(second.address("web"), protocol);
        for _ in 0..3 {
            assert_eq!(locum.get("/").text(), "ok", "{protocol}");
        }
        second.counts("locum_calls_total", &[("protocol", "h2"), ("code", "200")], of_http2);
    }
    // OpenSSL's server knows nothing of it.
    let server = Server::start(&authority, "web", &[]);
    let locum = to(server.1, "auto");
    for _ in 0..3 {
        assert_eq!(locum.get("/").status, 200);
    }
    let locum = to(server.1, "h2");
    let answer = locum.get("/");
    assert_eq!((answer.status, &answer.json()["reason"]), (502, &"tls".into()));
}
