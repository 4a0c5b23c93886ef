//! One port for everything: what a connection speaks is found out from its first bytes, however they come.

use std::thread;
use std::time::Duration;

use locum_testkit::clock::now;
use locum_testkit::{
    Broken, Calls, Client, GoServer, Mode, NetRpc, Slicer, Upstream, get, run_to_end, script,
};

use super::setup::{client, gob_server, multiply, newest_go, to};
use crate::setup::{Config, binary};

/// Remote calls go to the one, requests of HTTP to the other, from a port for both.
fn both(server: &GoServer, web: &Upstream) -> Config {
    to(&[server]).takes("auto").and(&format!(
        "[upstreams.web]\nendpoints = [\"{}\"]\n\
         [[routes]]\nname = \"web\"\nmatch = {{ path = \"/*\" }}\nupstream = \"web\"",
        web.address()
    ))
}

#[test]
fn everything_comes_to_one_port_byte_by_byte() {
    let Some(go) = newest_go() else { return };
    let (server, web) = (gob_server(&go), Upstream::start(script::answers("web")));
    let locum = both(&server, &web).start();
    let sliced = Slicer::before(locum.address("rpc")).address();
    let address = sliced.to_string();
    thread::scope(|scope| {
        for protocol in ["gob", "http", "json-rpc", "json-rpc2", "native"] {
            let call = ["call", &address, "Arith.Multiply", r#"{"A":7,"B":8}"#];
            scope.spawn(move || {
                let told = run_to_end(binary(), &[&call[..], &["--protocol", protocol]].concat());
                let is = (told.code, told.output.trim());
                assert_eq!(is, (Some(0), "56"), "{protocol}: {told:?}");
            });
        }
        for mode in [Mode::Gob, Mode::Http, Mode::Json] {
            let go = &go;
            scope.spawn(move || {
                let tally = go.load(mode, sliced, Calls { connections: 1, callers: 1, calls: 2 });
                assert_eq!((tally.ok(), tally.failures()), (2, 0), "{mode:?}: {tally:?}");
            });
        }
        scope.spawn(|| assert_eq!(get(sliced, "/").text(), "web"));
        scope.spawn(|| {
            let mut client = Client::connect(sliced);
            assert_eq!(
                client.post("/", b"CONNECT /_goRPC_ is no method here").unwrap().text(),
                "web"
            );
        });
    });
}

#[test]
fn no_head_is_decided_by_its_half() {
    let Some(go) = newest_go() else { return };
    let (server, web) = (gob_server(&go), Upstream::start(script::answers("web")));
    let locum = both(&server, &web).listener("limits = { header_timeout = \"400ms\" }").start();
    let halves: [&[u8]; 8] = [
        b"\x2f",
        b"\xff",
        b"\xfe\x00",
        b"C",
        b"CONNECT",
        b"CONNECT /_goRPC_ HTTP/1.0\n",
        b"G",
        b"GET /",
    ];
    thread::scope(|scope| {
        for half in halves {
            let locum = &locum;
            scope.spawn(move || {
                let begin = now();
                let mut client = client(locum);
                client.send(half);
                assert!(client.is_closed(), "{half:?}");
                assert!(
                    begin.elapsed() >= Duration::from_millis(390),
                    "{half:?} after {:?}",
                    begin.elapsed()
                );
            });
        }
    });
    locum.counts("locum_refused_total", &[("reason", "timeout")], 8.0);
    // Who says nothing yet may take its time.
    let mut waits = client(&locum);
    waits.patience(Duration::from_millis(800));
    assert!(!waits.is_closed());
    assert_eq!(multiply(&mut waits).int(), 42);
}

#[test]
fn a_connect_has_five_seconds() {
    let Some(go) = newest_go() else { return };
    let server = gob_server(&go);
    let locum = to(&[&server]).start();
    let mut stops = client(&locum);
    let begin = now();
    stops.send(b"CONNECT /_goRPC_ HTTP/1.0\n");
    assert!(stops.is_closed());
    let took = begin.elapsed();
    assert!((Duration::from_millis(4900)..Duration::from_secs(9)).contains(&took), "{took:?}");
}

#[test]
fn what_is_nothing_that_is_served_is_closed() {
    let Some(go) = newest_go() else { return };
    let server = gob_server(&go);
    let locum = to(&[&server]).start();
    for nothing in
        [&b"\x16\x03\x01\x00\x05hello"[..], b"SSH-2.0-OpenSSH_9.2\r\n", b"\x00\x00\x00\x00"]
    {
        let mut client = NetRpc::connect(locum.address("rpc"));
        client.send(nothing);
        assert!(client.is_closed(), "{nothing:?}");
    }
    locum.counts("locum_refused_total", &[("reason", "malformed")], 3.0);
    // Requests of HTTP on a port for calls are told what Go tells them.
    let mut client = Client::connect(locum.address("rpc"));
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert!(matches!(client.response("GET"), Err(Broken::Invalid(_))), "it is HTTP/1.0");
    let told = String::from_utf8_lossy(client.raw());
    assert!(told.starts_with("HTTP/1.0 405 Method Not Allowed\r\n"), "{told}");
    assert!(told.ends_with("405 must CONNECT\n"), "{told}");
}

#[test]
fn a_message_that_has_begun_and_goes_no_further_is_closed() {
    let Some(go) = newest_go() else { return };
    let server = gob_server(&go);
    for (limits, least) in [("", 9900), ("limits = { header_timeout = \"400ms\" }", 390)] {
        let locum = to(&[&server]).listener(limits).start();
        let mut stops = client(&locum);
        assert_eq!(multiply(&mut stops).int(), 42);
        let next = stops.header("Arith.Multiply");
        let begin = now();
        stops.send(&next[..next.len() - 1]);
        assert!(stops.is_closed());
        let took = begin.elapsed();
        let expected = Duration::from_millis(least)..Duration::from_millis(least + 9000);
        assert!(expected.contains(&took), "{limits:?} after {took:?}");
        locum.counts("locum_refused_total", &[("reason", "timeout")], 1.0);
    }
}
