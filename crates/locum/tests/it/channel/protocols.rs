//! What channels send, protocol by protocol.

use locum::Server;
use locum::transport::tls::{ClientSettings, Identity, ServerSettings};
use locum_wire::rpc::Protocol;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

#[derive(Serialize, Deserialize)]
struct Args {
    a: i64,
    b: i64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Reply {
    c: i64,
}

#[locum::service(name = "Arith")]
trait Arith {
    async fn add(&self, cx: &Cx, args: Args) -> Result<Reply, CallError>;
}

struct RealArith;

impl Arith for RealArith {
    async fn add(&self, _: &Cx, args: Args) -> Result<Reply, CallError> {
        args.a.checked_add(args.b).map(|c| Reply { c }).ok_or_else(|| "overflow".into())
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let hex: String = hex.split_whitespace().collect();
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

/// What Go's client sends of its first call, `Arith.Add` of `Args{7, 8}`.
const FIRST: &str =
    "2fff81030101 0752657175657374 01ff82000102 010d536572766963654d6574686f64 010c00
    01035365 71 010600 0000  0eff82 010941726974682e416464 00
    1eff83030101 0441726773 01ff84000102 010141 010400 010142 010400 0000  07ff84 010e 0110 00";
/// And of its second.
const SECOND: &str = "10ff82 010941726974682e416464 0101 00  07ff84 0102 0104 00";
/// What Go's server answers to the first: 15.
const ANSWER: &str =
    "3aff85030101 08526573706f6e7365 01ff86000103 010d536572766963654d6574686f64 010c00
    0103536571 010600 01054572726f72 010c00 0000  0eff86 010941726974682e416464 00
    19ff87030101 055265706c79 01ff88000101 010143 010400 0000  05ff88 011e 00";

#[tokio::test(start_paused = true)]
async fn gob_is_what_go_sends() {
    let (builder, mut door) = Door::new("gob://a:1", Protocol::Gob, 4096);
    let arith = ArithProxy::from(builder.build().unwrap());
    let cx = Cx::new();
    let (first, second, ()) = tokio::join!(
        biased;
        arith.add(&cx, Args { a: 7, b: 8 }),
        arith.add(&cx, Args { a: 1, b: 2 }),
        async {
            let mut io = door.accept_raw().await;
            let expected = [bytes(FIRST), bytes(SECOND)].concat();
            let mut asked = vec![0; expected.len()];
            io.read_exact(&mut asked).await.unwrap();
            assert_eq!(asked, expected);
            io.write_all(&bytes(ANSWER)).await.unwrap();
            // Of the second call its answer says nothing but its number: Seq 1, then a C of 3; in between
            // an answer that nobody waits for.
            io.write_all(&bytes("05ff86 0263 00 05ff88 0102 00")).await.unwrap();
            io.write_all(&bytes("05ff86 0201 00 05ff88 0106 00")).await.unwrap();
        }
    );
    assert_eq!((first, second), (Ok(Reply { c: 15 }), Ok(Reply { c: 3 })));
}

#[tokio::test(start_paused = true)]
async fn a_net_rpc_server_is_told_of_dropped_calls_only_if_that_was_said() {
    for cancel in [false, true] {
        let (builder, mut door) = Door::new("gob://a:1", Protocol::Gob, 4096);
        let channel: Channel = builder.cancel(cancel).build().unwrap();
        let calling = channel.clone();
        let call = tokio::spawn(async move { double(&calling, 1).await });
        let mut peer = door.accept().await;
        assert_eq!(peer.call().await.id, 0);
        call.abort();
        settle().await;
        assert_eq!(channel.pending(), 0);
        let (answer, ()) = tokio::join!(biased; double(&channel, 2), async {
            if cancel {
                assert_eq!(peer.next().await, Asked::Cancel(0));
                // The cancel is a call with a number of its own.
                peer.reply_cancelled(1).await;
            }
            let call = peer.call().await;
            assert_eq!(call.id, if cancel { 2 } else { 1 });
            peer.reply(call.id, &4).await;
        });
        assert_eq!(answer, Ok(4));
    }
}

#[tokio::test(start_paused = true)]
async fn behind_a_connect_nothing_is_sent_before_the_answer() {
    let (builder, mut door) = Door::new("gob-http://a:1", Protocol::Gob, 4096);
    let arith = ArithProxy::from(builder.build().unwrap());
    let cx = Cx::new();
    let (answer, ()) = tokio::join!(biased; arith.add(&cx, Args { a: 7, b: 8 }), async {
        let mut io = door.accept_raw().await;
        let mut asked = vec![0; 4096];
        let count = io.read(&mut asked).await.unwrap();
        assert_eq!(&asked[..count], b"CONNECT /_goRPC_ HTTP/1.0\n\n");
        settle().await;
        io.write_all(b"HTTP/1.0 200 Connected to Go RPC\n\n").await.unwrap();
        let count = io.read(&mut asked).await.unwrap();
        assert_eq!(asked[..count], bytes(FIRST));
        io.write_all(&bytes(ANSWER)).await.unwrap();
    });
    assert_eq!(answer, Ok(Reply { c: 15 }));
}

#[tokio::test(start_paused = true)]
async fn a_web_server_is_no_net_rpc_server() {
    let (builder, mut door) = Door::new("gob-http://a:1", Protocol::Gob, 4096);
    let channel: Channel = builder.timeout(seconds(1)).build().unwrap();
    tokio::spawn(async move {
        loop {
            let mut io = door.accept_raw().await;
            let _ = io.write_all(b"HTTP/1.1 405 Method Not Allowed\r\n\r\n").await;
        }
    });
    let Err(CallError::Transport(error)) = double(&channel, 1).await else { panic!("answered") };
    assert_eq!((error.kind, error.delivery), (TransportKind::Connect, Delivery::NotSent));
    assert!(error.detail.contains("405 Method Not Allowed"), "{}", error.detail);
}

#[tokio::test(start_paused = true)]
async fn json_rpc_is_called() {
    for (url, asked, answer) in [
        (
            "json-rpc://a:1",
            r#"{"method":"Arith.Add","params":[{"A":7,"B":8}],"id":0}"#,
            r#"{"id":0,"result":{"C":15},"error":null}"#,
        ),
        (
            "json-rpc2://a:1",
            r#"{"jsonrpc":"2.0","method":"Arith.Add","params":{"a":7,"b":8},"id":0}"#,
            r#"{"jsonrpc":"2.0","id":0,"result":{"c":15}}"#,
        ),
    ] {
        let (builder, mut door) = Door::new(url, Protocol::Json1, 4096);
        let arith = ArithProxy::from(builder.build().unwrap());
        let cx = Cx::new();
        let (answer, sent) = tokio::join!(biased; arith.add(&cx, Args { a: 7, b: 8 }), async {
            let mut io = door.accept_raw().await;
            let mut sent = vec![0; 4096];
            let count = io.read(&mut sent).await.unwrap();
            io.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(sent[..count].to_vec()).unwrap()
        });
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(json(&sent), json(asked));
        assert_eq!(answer, Ok(Reply { c: 15 }));
    }
}

#[tokio::test]
async fn every_protocol_reaches_a_real_server() {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (cert, key) = (cert.pem(), signing_key.serialize_pem());
    let identity = Identity::from_pem(cert.as_bytes(), key.as_bytes()).unwrap();
    let server = Server::new()
        .serve(ArithServer::new(RealArith))
        .listen("tcp://127.0.0.1:0")
        .tls(ServerSettings::new(identity).unwrap().taking_plain_too())
        .bind()
        .await
        .unwrap();
    let address = server.addresses()[0].to_string();
    let port = address.rsplit_once(':').unwrap().1.to_owned();
    let handle = server.handle();
    let served = tokio::spawn(server.run());
    for scheme in [
        "gob",
        "gob-http",
        "json-rpc",
        "json-rpc2",
        "native",
        "gob+tls",
        "native+tls",
        "json-rpc+tls",
    ] {
        let builder = ArithProxy::connect(format!("{scheme}://localhost:{port}"));
        let believing = ClientSettings::trusting(cert.as_bytes()).unwrap();
        let builder = if scheme.ends_with("+tls") { builder.tls(believing) } else { builder };
        let arith = builder.build().unwrap();
        let cx = Cx::new();
        let sum = arith.add(&cx, Args { a: 7, b: 8 }).await;
        assert_eq!(sum, Ok(Reply { c: 15 }), "{scheme}");
        let overflow = arith.add(&cx, Args { a: i64::MAX, b: 8 }).await;
        assert_eq!(overflow, Err(CallError::App("overflow".to_owned())), "{scheme}");
        if scheme.ends_with("+tls") {
            continue;
        }
        let channel: Channel =
            Channel::builder(format!("{scheme}://localhost:{port}")).build().unwrap();
        let (a, b, c) = if matches!(scheme, "json-rpc2" | "native") {
            ("a", "b", "c")
        } else {
            ("A", "B", "C")
        };
        let json = format!(r#"{{"{a}": 7, "{b}": 8}}"#);
        let sum = channel.call_json(&cx, "Arith.Add", &json).await;
        assert_eq!(sum, Ok(format!(r#"{{"{c}":15}}"#)), "{scheme}");
        let unknown = channel.call_json(&cx, "Arith.Sub", &json).await;
        assert!(matches!(unknown, Err(CallError::Protocol(_))), "{scheme}: {unknown:?}");
        let malformed = channel.call_json(&cx, "Arith.Add", "{").await.unwrap_err();
        assert_eq!(malformed.delivery(), Delivery::NotSent);
    }
    handle.shutdown();
    served.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn whatever_a_server_sends_calls_end() {
    for (url, protocol) in [
        ("native://a:1", Protocol::Native),
        ("gob://a:1", Protocol::Gob),
        ("json-rpc://a:1", Protocol::Json1),
    ] {
        for seed in 0..200 {
            let (builder, mut door) = Door::new(url, protocol, 4096);
            let channel: Channel = builder.timeout(seconds(1)).seed(seed).build().unwrap();
            let server = tokio::spawn(async move {
                for connection in 0.. {
                    let mut io = door.accept_raw().await;
                    let word = |at: u64| locum::policy::seed::mix(seed * 1000 + connection, at);
                    let length = word(0) % 200;
                    let noise: Vec<_> =
                        (1..=length).map(|at| word(at) as u8 & word(999) as u8).collect();
                    let _ = io.write_all(&noise).await;
                    if word(998) % 2 == 0 {
                        let mut rest = Vec::new();
                        let _ = io.read_to_end(&mut rest).await;
                    }
                }
            });
            let begun = Instant::now();
            let (one, other) = tokio::join!(double(&channel, 1), add(&channel, 2));
            assert!(one.is_err() && other.is_err(), "{url} {seed}");
            assert!(begun.elapsed() <= Duration::from_millis(1001), "{url} {seed}");
            assert_eq!(channel.pending(), 0, "{url} {seed}");
            server.abort();
        }
    }
}
