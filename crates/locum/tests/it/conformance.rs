//! {Our client, Go's} with {our server, Go's}, over gob, gob after a `CONNECT`, and JSON-RPC.
//!
//! Both ends know one value of every kind ([`zoo`]), send it to each other and compare; the rest are
//! named checks, which both clients have. What fails is shown with the bytes that went over the
//! connection.

mod client;
mod proxied;
mod recorded;
mod services;
mod types;
mod zoo;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use locum::transport::Address;
use locum_testkit::{Go, Mode};

use client::{ANYWHERE, GOB};
use recorded::Record;
use services::{Args, Arith as _, ArithProxy};

const PORT_0: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

#[test]
fn go_passes_with_itself() {
    for server in Go::all() {
        for client in Go::all() {
            for mode in [Mode::Gob, Mode::Http, Mode::Json] {
                let peer = server.server(mode, PORT_0);
                let mut checks = client.checks(mode);
                // A server of net/rpc cannot cancel.
                checks.retain(|check| check != "cancel");
                let failed = client.client(mode, peer.address, &checks);
                assert!(
                    failed.is_empty(),
                    "{mode:?} {} {}\n{}",
                    client.version,
                    server.version,
                    failed.join("\n")
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn go_passes_with_our_server() {
    let address = our_server().await;
    let failed = tokio::task::spawn_blocking(move || {
        let mut failed = Vec::new();
        for client in Go::all() {
            for mode in [Mode::Gob, Mode::Http, Mode::Json] {
                let these = client.client(mode, address, &client.checks(mode));
                failed.extend(these.iter().map(|it| format!("{} {mode:?} {it}", client.version)));
            }
        }
        failed
    });
    let failed = failed.await.expect("the checks are made");
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_client_passes_with_go() {
    let mut failed = Vec::new();
    for go in Go::all() {
        let cancel = &["cancel"][..];
        for (scheme, mode, more) in [
            ("gob", Mode::Gob, &GOB[..]),
            ("gob-http", Mode::Http, &GOB[..]),
            ("gob", Mode::Cancel, cancel),
            ("json-rpc", Mode::Json, &[]),
        ] {
            let server = go.server(mode, PORT_0);
            let checks = if more == cancel { more.to_vec() } else { [&ANYWHERE, more].concat() };
            let url = format!("{scheme}://{}", server.address);
            let these = client::check(&url, &checks).await;
            failed.extend(these.iter().map(|it| format!("{} {scheme} {it}", go.version)));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_client_passes_with_our_server() {
    let address = our_server().await;
    let mut failed = Vec::new();
    for (scheme, more) in [
        ("gob", &[&GOB[..], &["cancel"]].concat()[..]),
        ("gob-http", &[&GOB[..], &["cancel"]].concat()),
        ("json-rpc", &[]),
        ("json-rpc2", &[]),
        ("native", &["cancel", "zoo.floats", "zoo.complexes", "zoo.embedded"]),
    ] {
        let checks = [&ANYWHERE, more, &["panic"]].concat();
        let these = client::check(&format!("{scheme}://{address}"), &checks).await;
        failed.extend(these.iter().map(|it| format!("{scheme} {it}")));
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_client_finds_a_server_that_was_killed_and_came_back() {
    for go in Go::all() {
        let server = go.server(Mode::Gob, PORT_0);
        let address = server.address;
        let record = Record::default();
        let arith = ArithProxy::from(client::channel(&format!("gob://{address}"), &record));
        assert_eq!(arith.multiply(Args { a: 6, b: 7 }).await, Ok(42), "{}", record.shown());
        // Dropping it kills it.
        drop(server);
        let _server = go.server(Mode::Gob, address);
        // The first call may still go to the one that is no more.
        let product = match arith.multiply(Args { a: 6, b: 7 }).await {
            Err(locum::CallError::Transport(_)) => arith.multiply(Args { a: 6, b: 7 }).await,
            other => other,
        };
        assert_eq!(product, Ok(42), "{}", record.shown());
    }
}

/// Our server on a port of the system's choice, for as long as the test's runtime.
async fn our_server() -> SocketAddr {
    let server = services::server().listen("tcp://127.0.0.1:0").bind().await.expect("a free port");
    let address = server.addresses().first().map(Address::to_string).expect("it listens");
    tokio::spawn(server.run());
    address.trim_start_matches("tcp://").parse().expect("it is on TCP")
}
