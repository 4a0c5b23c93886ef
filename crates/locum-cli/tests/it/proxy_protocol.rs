//! Whom a connection is carried for, as proxies in front say it and upstreams are told.

use std::fs;
use std::io::Read as _;
use std::iter;
use std::net::SocketAddr;
use std::process::Command;

use locum_testkit::{Client, HaProxy, Locum, Pieces, Upstream, eventually, script};
use serde_json::Value;

use crate::setup::{Config, locum};
use crate::tls::Authority;

const ACCEPTS: &str = "proxy_protocol = \"accept\"\ntrusted_proxies = [\"127.0.0.0/8\"]";
const NAMED: &str = "PROXY TCP4 192.0.2.9 198.51.100.7 56324 443\r\n";
const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";

/// What curl gets, from that address.
fn curl(from: &str, arguments: &[&str], url: &str) -> String {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "20", "--interface", from]);
    let ended = curl.args(arguments).arg(url).output().expect("curl is installed");
    String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr)
}

fn forwarded_for(upstream: &Upstream) -> Vec<String> {
    let received = upstream.received();
    let last = received.last().expect("a request");
    last.request.headers.all("x-forwarded-for").map(str::to_owned).collect()
}

#[test]
fn a_haproxy_in_front_names_its_clients_in_both_versions() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream).listener(ACCEPTS).start();
    for (send, from) in [("send-proxy", "127.0.0.7"), ("send-proxy-v2", "127.0.0.8")] {
        let server = format!("server it {} {send}", locum.address("web"));
        let haproxy = HaProxy::start("", &["mode tcp", &server]);
        assert_eq!(curl(from, &[], &format!("http://{}/", haproxy.address())), "ok");
        assert_eq!(forwarded_for(&upstream), [from]);
    }
}

#[test]
fn tls_begins_after_the_header() {
    let authority = Authority::new();
    authority.sign("web", &["web.test"]);
    let upstream = Upstream::start(script::answers("ok"));
    for protocol in ["http", "auto"] {
        let locum = Config::to(&upstream)
            .takes(protocol)
            .listener(ACCEPTS)
            .listener(&format!("tls = {{ certificates = [{{ {} }}] }}", authority.table("web")))
            .start();
        let server = format!("server it {} send-proxy-v2", locum.address("web"));
        let haproxy = HaProxy::start("", &["mode tcp", &server]);
        let port = haproxy.address().port();
        let resolve = format!("web.test:{port}:127.0.0.1");
        let arguments = ["--cacert", &authority.path("ca.pem"), "--resolve", &resolve];
        let url = format!("https://web.test:{port}/");
        assert_eq!(curl("127.0.0.7", &arguments, &url), "ok");
        assert_eq!(curl("127.0.0.7", &[&arguments[..], &["--http1.1"]].concat(), &url), "ok");
        assert_eq!(forwarded_for(&upstream), ["127.0.0.7"]);
    }
}

#[test]
fn a_header_may_come_in_any_pieces() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream).listener(ACCEPTS).start();
    let mut v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10".to_vec();
    v2.extend_from_slice(&[192, 0, 2, 9, 198, 51, 100, 7, 0xdc, 0x04, 0x01, 0xbb, 4, 0, 1, 0]);
    for header in [NAMED.as_bytes(), &v2] {
        for pieces in [Pieces::Whole, Pieces::Bytes] {
            let mut client = locum.client();
            client.send_in(pieces, &[header, GET.as_bytes()].concat());
            assert_eq!(client.response("GET").unwrap().text(), "ok");
            assert_eq!(forwarded_for(&upstream), ["192.0.2.9"]);
            // It holds for the connection.
            assert_eq!(client.get("/").unwrap().text(), "ok");
            assert_eq!(forwarded_for(&upstream), ["192.0.2.9"]);
        }
    }
    for header in ["PROXY UNKNOWN\r\n", "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
        let mut client = locum.client();
        client.send(format!("{header}{GET}"));
        assert_eq!(client.response("GET").unwrap().text(), "ok");
        assert_eq!(forwarded_for(&upstream), ["127.0.0.1"]);
    }
}

#[test]
fn whoever_says_nothing_or_is_not_believed_is_refused() {
    let upstream = Upstream::start(script::answers("ok"));
    let refused = |locum: &Locum, bytes: &str| {
        let mut client = locum.client();
        client.send(bytes);
        assert!(client.is_closed() && client.raw().is_empty(), "{bytes:?}");
    };
    let demanding = Config::to(&upstream).listener(ACCEPTS).start();
    refused(&demanding, GET);
    refused(&demanding, "PROXY TCP4 192.0.2.9\r\n");
    refused(&demanding, &format!("{}{GET}", NAMED.replace("TCP4", "TCP6")));
    let reason = [("listener", "web"), ("reason", "proxy_protocol")];
    demanding.counts("locum_refused_total", &reason, 3.0);
    let elsewhere = ACCEPTS.replace("127.0.0.0/8", "192.0.2.0/24");
    let distrustful = Config::to(&upstream).listener(&elsewhere).start();
    refused(&distrustful, &format!("{NAMED}{GET}"));
    distrustful.counts("locum_refused_total", &reason, 1.0);
    // A silent one is not waited for without end.
    let brief = Config::to(&upstream)
        .listener(ACCEPTS)
        .listener("limits = { header_timeout = \"50ms\" }")
        .start();
    refused(&brief, "");
    refused(&brief, "PROXY TCP4 ");
    assert_eq!(upstream.deliveries(), 0);
}

#[test]
fn limits_are_those_of_whom_the_header_names() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream)
        .listener(ACCEPTS)
        .listener("limits = { connections_per_client = 1 }")
        .start();
    let ask = |name: &str| {
        let mut client = locum.client();
        client.send(format!("{}{GET}", NAMED.replace("192.0.2.9", name)));
        let status = client.response("GET").unwrap().status;
        (client, status)
    };
    let (first, status) = ask("192.0.2.9");
    assert_eq!(status, 200);
    assert_eq!(ask("192.0.2.9").1, 503);
    assert_eq!(ask("192.0.2.10").1, 200);
    drop(first);
    eventually("the place is free again", || ask("192.0.2.9").1 == 200);
}

#[test]
fn callers_of_remote_calls_are_named_too() {
    let config = format!(
        "[admin]\nlisten = \"127.0.0.1:0\"\n[log]\naccess = \"stdout\"\n\
         [listeners.rpc]\nbind = \"127.0.0.1:0\"\nprotocol = \"rpc\"\n{ACCEPTS}\n\
         [upstreams.up]\nendpoints = [\"demo-rpc://1\"]\n[[routes]]\nupstream = \"up\"\n"
    );
    let locum = locum().config(config).start();
    let mut client = Client::connect(locum.address("rpc"));
    client.send(format!(
        "{NAMED}{{\"method\":\"Arith.Multiply\",\"params\":[{{\"A\":6,\"B\":7}}],\"id\":1}}\n"
    ));
    let logged = || -> Option<Value> {
        let output = locum.output();
        output.lines().find_map(|line| serde_json::from_str(line).ok())
    };
    eventually("the call is logged", || logged().is_some());
    let line = logged().unwrap();
    assert_eq!((&line["client"], &line["code"]), (&"192.0.2.9".into(), &"ok".into()), "{line}");
}

/// A HAProxy that answers with the address that it was told.
fn answers_with_source(options: &str) -> HaProxy {
    let answer = "http-request return status 200 content-type text/plain lf-string %[src]";
    HaProxy::start(&format!("accept-proxy {options}"), &["mode http", answer])
}

#[test]
fn a_haproxy_behind_is_told_of_each_client() {
    let haproxy = answers_with_source("");
    for version in ["v1", "v2"] {
        let locum = Config::to_addresses([haproxy.address()])
            .upstream(&format!("proxy_protocol = {version:?}"))
            .upstream("health = { path = \"/\", every = \"50ms\", unhealthy = 1 }")
            .start();
        let url = format!("http://{}/", locum.address("web"));
        // One after another on one worker: a kept connection would tell of the one before.
        for from in ["127.0.0.7", "127.0.0.8", "127.0.0.7"] {
            assert_eq!(curl(from, &[], &url), from);
        }
        // Two on one connection.
        assert_eq!(curl("127.0.0.9", &[&url], &url), "127.0.0.9127.0.0.9");
        let endpoint = haproxy.address().to_string();
        eventually("it was checked", || {
            locum.admin("/api/v1/upstreams/up").json()["endpoints"][0]["health"].is_object()
        });
        assert_eq!(locum.metric("locum_endpoint_up", &[("endpoint", &endpoint)]), 1.0);
    }
}

#[test]
fn an_upstream_under_tls_is_told_before_the_handshake() {
    let authority = Authority::new();
    authority.sign("up", &["up.test"]);
    let both = ["up.pem", "up.key"].map(|file| fs::read_to_string(authority.path(file)).unwrap());
    fs::write(authority.path("both.pem"), both.concat()).unwrap();
    let haproxy = answers_with_source(&format!("ssl crt {}", authority.path("both.pem")));
    let ca = authority.path("ca.pem");
    let locum = Config::to_addresses([haproxy.address()])
        .upstream("proxy_protocol = \"v2\"")
        .upstream(&format!("tls = {{ server_name = \"up.test\", ca = {ca:?} }}"))
        .start();
    assert_eq!(curl("127.0.0.7", &[], &format!("http://{}/", locum.address("web"))), "127.0.0.7");
}

#[test]
fn the_upstream_is_told_where_the_client_came_to() {
    let upstream = Upstream::start(|peer| {
        // Byte by byte: what follows is for the reader of requests.
        let mut byte = [0];
        let next = || peer.stream().read_exact(&mut byte).is_ok().then_some(byte[0]);
        let line: Vec<u8> = iter::from_fn(next).take_while(|byte| *byte != b'\n').collect();
        let Some(request) = peer.request() else { return };
        peer.answer(&request, &line);
    });
    let locum = Config::to(&upstream).upstream("proxy_protocol = \"v1\"").start();
    let to: SocketAddr = locum.address("web");
    let told = locum.get("/").text();
    let parts: Vec<_> = told.split_whitespace().collect();
    assert_eq!(parts[..4], ["PROXY", "TCP4", "127.0.0.1", "127.0.0.1"], "{told}");
    assert_eq!(parts[5], to.port().to_string());
}
