//! The same checks through the proxy, which knows none of the types.

use std::net::SocketAddr;
use std::time::Duration;

use locum_proxy::upstream::{self, EndpointSettings, Protocol};
use locum_proxy::{Options, Proxy, listener, plan, route};
use locum_testkit::{Go, Mode};

use super::client::{ANYWHERE, GOB, check};
use super::{PORT_0, our_server};

/// A proxy in front of a server that speaks `protocol`.
struct Proxied {
    _proxy: Proxy,
    address: SocketAddr,
}

impl Proxied {
    fn new(protocol: Protocol, server: SocketAddr) -> Self {
        let proxy = Proxy::start(plan(protocol, server), Options::default()).expect("it starts");
        let Some(listener::Bind::Tcp(address)) = proxy.bound().remove("rpc") else {
            panic!("it listens on TCP")
        };
        Self { _proxy: proxy, address }
    }
}

fn plan(protocol: Protocol, server: SocketAddr) -> plan::Settings {
    let listener = listener::Settings {
        protocol: listener::Protocol::Rpc,
        ..listener::Settings::new("rpc", listener::Bind::Tcp(PORT_0))
    };
    let endpoint = EndpointSettings::new(&server.to_string(), server);
    let upstream =
        upstream::Settings { protocol, ..upstream::Settings::new("peer", vec![endpoint]) };
    let forward = route::Action::Forward(vec![("peer".to_owned(), 1)]);
    let route = route::Settings {
        matches: route::Match { call: Some("*".to_owned()), ..route::Match::default() },
        ..route::Settings::new("all", forward)
    };
    plan::Settings {
        listeners: vec![listener],
        upstreams: vec![upstream],
        routes: vec![route],
        drain: Duration::from_secs(1),
        ..plan::Settings::default()
    }
}

/// Go's client over each protocol, with Go's server over the same, or the other way of carrying gob.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn go_passes_with_go() {
    let made = tokio::task::spawn_blocking(|| {
        let mut failed = Vec::new();
        for server in Go::all() {
            for client in Go::all() {
                for (outside, inside, protocol) in [
                    (Mode::Gob, Mode::Gob, Protocol::Gob),
                    (Mode::Http, Mode::Gob, Protocol::Gob),
                    (Mode::Gob, Mode::Http, Protocol::GobHttp),
                    (Mode::Json, Mode::Json, Protocol::JsonRpc),
                ] {
                    let peer = server.server(inside, PORT_0);
                    let proxied = Proxied::new(protocol, peer.address);
                    let mut checks = client.checks(outside);
                    // A server of net/rpc cannot cancel.
                    checks.retain(|check| check != "cancel");
                    let these = client.client(outside, proxied.address, &checks);
                    let (from, to) = (&client.version, &server.version);
                    let named = |it: &String| format!("{from} {outside:?} {to} {inside:?} {it}");
                    failed.extend(these.iter().map(named));
                }
            }
        }
        failed
    });
    let failed = made.await.expect("the checks are made");
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Go's client with our server, which can cancel.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn go_passes_with_our_server() {
    let server = our_server().await;
    let made = tokio::task::spawn_blocking(move || {
        let mut failed = Vec::new();
        for client in Go::all() {
            for (mode, protocol) in [
                (Mode::Gob, Protocol::Gob),
                (Mode::Http, Protocol::GobHttp),
                (Mode::Json, Protocol::JsonRpc),
                (Mode::Json, Protocol::JsonRpc2),
            ] {
                let proxied = Proxied::new(protocol, server);
                let mut checks = client.checks(mode);
                if protocol == Protocol::JsonRpc2 {
                    // There our server spells fields as Rust does, which Go does not know for its own.
                    checks.retain(|check| !check.starts_with("zoo."));
                }
                let these = client.client(mode, proxied.address, &checks);
                failed.extend(these.iter().map(|it| format!("{} {mode:?} {it}", client.version)));
            }
        }
        failed
    });
    let failed = made.await.expect("the checks are made");
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_client_passes_with_go() {
    let mut failed = Vec::new();
    for go in Go::all() {
        let cancel = &["cancel"][..];
        // JSON-RPC 2.0 spells fields as Rust does, which Go does not know for its own.
        let plain = &["arith", "unknown", "fail", "order", "in-flight"][..];
        for (scheme, mode, protocol, more) in [
            ("gob", Mode::Gob, Protocol::Gob, &GOB[..]),
            ("gob-http", Mode::Http, Protocol::GobHttp, &GOB[..]),
            ("gob", Mode::Cancel, Protocol::Gob, cancel),
            ("json-rpc", Mode::Json, Protocol::JsonRpc, &[]),
            ("json-rpc2", Mode::Json, Protocol::JsonRpc, plain),
        ] {
            let server = go.server(mode, PORT_0);
            let proxied = Proxied::new(protocol, server.address);
            let alone = more == cancel || more == plain;
            let checks = if alone { more.to_vec() } else { [&ANYWHERE, more].concat() };
            let these = check(&format!("{scheme}://{}", proxied.address), &checks).await;
            failed.extend(these.iter().map(|it| format!("{} {scheme} {it}", go.version)));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_client_passes_with_our_server() {
    let server = our_server().await;
    let mut failed = Vec::new();
    for (scheme, protocol, more) in [
        ("gob", Protocol::Gob, &[&GOB[..], &["cancel"]].concat()[..]),
        ("gob-http", Protocol::GobHttp, &[&GOB[..], &["cancel"]].concat()),
        ("json-rpc", Protocol::JsonRpc, &[]),
        ("json-rpc2", Protocol::JsonRpc2, &[]),
        ("native", Protocol::Native, &["cancel", "zoo.floats", "zoo.complexes", "zoo.embedded"]),
    ] {
        let proxied = Proxied::new(protocol, server);
        let checks = [&ANYWHERE[..], more, &["panic"]].concat();
        let these = check(&format!("{scheme}://{}", proxied.address), &checks).await;
        failed.extend(these.iter().map(|it| format!("{scheme} {it}")));
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
