//! One protocol in, another out.

use std::fmt;
use std::net::SocketAddr;

use locum::{AppError, CallError, Server};
use locum_testkit::{Calls, GoServer, Mode, NetRpc, run_to_end};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::setup::{ANYWHERE, JsonRpc, client, factors, gob_server, multiply, newest_go, to};
use crate::setup::{Config, binary};

#[derive(Serialize, Deserialize)]
struct Args {
    a: i64,
    b: i64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Quotient {
    quo: i64,
    rem: i64,
}

#[locum::service]
trait Arith {
    async fn multiply(&self, args: Args) -> Result<i64, CallError>;
    async fn divide(&self, args: Args) -> Result<Quotient, CallError>;
}

struct RealArith;

impl Arith for RealArith {
    async fn multiply(&self, args: Args) -> Result<i64, CallError> {
        Ok(args.a * args.b)
    }

    async fn divide(&self, args: Args) -> Result<Quotient, CallError> {
        match args.b {
            0 => Err("divide by zero".into()),
            b => Ok(Quotient { quo: args.a / b, rem: args.a % b }),
        }
    }
}

/// A server of ours, which speaks everything, for as long as the runtime.
async fn our_server() -> SocketAddr {
    serve(Server::new().serve(ArithServer::new(RealArith))).await
}

async fn serve(server: Server) -> SocketAddr {
    let server = server.listen("tcp://127.0.0.1:0").bind().await.expect("a free port");
    let address = server.addresses().first().expect("one listener").to_string();
    tokio::spawn(server.run());
    address.trim_start_matches("tcp://").parse().expect("it is on TCP")
}

/// Does what waits by blocking while the runtime goes on.
async fn beside(blocking: impl FnOnce() + Send + 'static) {
    tokio::task::spawn_blocking(blocking).await.expect("it does not panic");
}

#[test]
fn json_rpc_becomes_gob() {
    let Some(go) = newest_go() else { return };
    let server = gob_server(&go);
    let locum = to(&[&server]).start();
    json_1(locum.address("rpc"));
    let mut client = JsonRpc::connect(locum.address("rpc"));
    for (method, params, result) in [
        ("Echo.Text", json!("grüße"), json!("grüße")),
        ("Echo.Number", json!(-1_i64 << 62), json!(-1_i64 << 62)),
        ("Echo.Numbers", json!([3, 0, -1]), json!([3, 0, -1])),
        ("Echo.Nothing", json!({}), json!({})),
        ("Arith.Multiply", json!({}), json!(0)),
        ("Arith.Multiply", json!({"A": 7, "B": 8, "None": null, "Text": "skipped"}), json!(56)),
    ] {
        let call = json!({"method": method, "params": [params], "id": 5});
        let answer = json!({"id": 5, "result": result, "error": null});
        assert_eq!(client.call(&call.to_string()), answer, "{call}");
    }
    // A value that the service cannot take is the service's to refuse.
    let answer = client.call(r#"{"method":"Arith.Multiply","params":["no struct"],"id":6}"#);
    let error = answer["error"].as_str().unwrap_or_default();
    assert!(answer["result"].is_null() && error.starts_with("gob: "), "{answer}");
    json_2(locum.address("rpc"));
}

#[test]
fn gob_becomes_json_rpc() {
    let Some(go) = newest_go() else { return };
    let server = go.server(Mode::Json, ANYWHERE);
    let locum = Config::calls_to("json-rpc", [server.address]).start();
    let calls = Calls { connections: 3, callers: 4, calls: 50 };
    for mode in [Mode::Gob, Mode::Http, Mode::Json] {
        let tally = go.load(mode, locum.address("rpc"), calls);
        assert_eq!((tally.by(server.address), tally.failures()), (600, 0), "{mode:?} {tally:?}");
    }
    let mut client = client(&locum);
    let answer = client.call("Arith.Divide", locum_testkit::Args::Ints("Args", &factors(1, 0)));
    assert_eq!(answer.failure(), "divide by zero");
    json_2(locum.address("rpc"));
}

#[tokio::test]
async fn json_and_gob_become_native() {
    let server = our_server().await;
    let locum = Config::calls_to("native", [server]).start();
    let address = locum.address("rpc");
    beside(move || {
        json_1(address);
        json_2(address);
        assert_eq!(multiply(&mut NetRpc::connect(address)).int(), 42);
    })
    .await;
    // From native to native nothing is translated.
    let native = ArithProxy::connect(format!("native://{address}")).build().expect("an address");
    let quotient = native.divide(Args { a: 17, b: 5 }).await;
    assert_eq!(quotient.ok(), Some(Quotient { quo: 3, rem: 2 }));
    let failed = native.divide(Args { a: 1, b: 0 }).await.expect_err("of the service");
    assert_eq!(failed.to_string(), "divide by zero");
}

/// An error whose value looks like JSON, and is by postcard.
#[derive(Debug)]
struct Odd;

impl fmt::Display for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("odd")
    }
}

impl AppError for Odd {
    fn code(&self) -> Option<i64> {
        Some(7)
    }

    fn to_bytes(&self) -> Option<Vec<u8>> {
        Some(b"[1]".to_vec())
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        (bytes == b"[1]").then_some(Self)
    }

    fn from_text(text: String) -> Self {
        panic!("{text:?} without its value")
    }
}

#[locum::service]
trait Strange {
    async fn fail(&self, args: Args) -> Result<i64, CallError<Odd>>;
}

struct RealStrange;

impl Strange for RealStrange {
    async fn fail(&self, _: Args) -> Result<i64, CallError<Odd>> {
        Err(CallError::App(Odd))
    }
}

#[tokio::test]
async fn an_error_as_a_value_stays_with_those_who_can_read_it() {
    let address = serve(Server::new().serve(StrangeServer::new(RealStrange))).await;
    let locum = Config::calls_to("native", [address]).start();
    let address = locum.address("rpc");
    let native = StrangeProxy::connect(format!("native://{address}")).build().expect("an address");
    let failed = native.fail(Args { a: 1, b: 0 }).await;
    assert!(matches!(failed, Err(CallError::App(Odd))), "{failed:?}");
    beside(move || {
        let call = r#"{"jsonrpc":"2.0","method":"Strange.Fail","params":{"A":1,"B":0},"id":1}"#;
        let answer = JsonRpc::connect(address).call(call);
        assert_eq!(answer["error"], json!({"code": 7, "message": "odd"}));
    })
    .await;
}

#[tokio::test]
async fn native_becomes_gob_where_it_is_json() {
    let Some(go) = newest_go() else { return };
    let server = gob_server(&go);
    let locum = to(&[&server]).start();
    let address = locum.address("rpc");
    let native = ArithProxy::connect(format!("native://{address}")).build().expect("an address");
    for _ in 0..2 {
        // Only who knows the type can read it, and nobody between the two does.
        let failed = native.multiply(Args { a: 6, b: 7 }).await.expect_err("it is not JSON");
        assert!(failed.to_string().contains("JSON"), "{failed}");
    }
    beside(move || by_hand(address, &server)).await;
    // One connection carried all of them.
    assert!(native.multiply(Args { a: 6, b: 7 }).await.is_err());
    assert_eq!(locum.metric("locum_connections", &[("listener", "rpc")]), 1.0);
}

/// Calls a server of Go's with JSON over the native protocol.
fn by_hand(address: SocketAddr, server: &GoServer) {
    let address = address.to_string();
    let call = |method: &str, json: &str| {
        run_to_end(binary(), &["call", &address, method, json, "--protocol", "native"])
    };
    let told = call("Arith.Divide", r#"{"A":17,"B":5}"#);
    assert_eq!((told.code, told.output.trim()), (Some(0), r#"{"Quo":3,"Rem":2}"#), "{told:?}");
    let told = call("Who.Am", "0");
    let name = format!("\"{}\"", server.address);
    assert_eq!((told.code, told.output.trim()), (Some(0), &*name), "{told:?}");
    let told = call("Arith.Divide", r#"{"A":1,"B":0}"#);
    assert_eq!((told.code, &*told.output), (Some(1), ""), "{told:?}");
    assert!(told.errors.contains("divide by zero"), "{told:?}");
    let told = call("Arith.Power", "{}");
    assert!(told.errors.contains("rpc: can't find method Arith.Power"), "{told:?}");
}

/// Calls `Arith` in JSON-RPC 1.0.
fn json_1(address: SocketAddr) {
    let mut client = JsonRpc::connect(address);
    let answer = client.call(r#"{"method":"Arith.Multiply","params":[{"A":7,"B":8}],"id":1}"#);
    assert_eq!(answer, json!({"id": 1, "result": 56, "error": null}));
    let answer = client.call(r#"{"method":"Arith.Divide","params":[{"A":17,"B":5}],"id":"x"}"#);
    let lower = |value: &Value| value.to_string().to_lowercase();
    assert_eq!(lower(&answer["result"]), r#"{"quo":3,"rem":2}"#, "{answer}");
    assert_eq!(answer["id"], "x");
    let answer = client.call(r#"{"method":"Arith.Divide","params":[{"A":1,"B":0}],"id":2}"#);
    assert_eq!(answer, json!({"id": 2, "result": null, "error": "divide by zero"}));
    let answer = client.call(r#"{"method":"Nobody.Knows","params":[{}],"id":3}"#);
    let error = answer["error"].as_str().unwrap_or_default();
    assert!(error.contains("Nobody.Knows"), "{answer}");
}

/// Calls `Arith` in JSON-RPC 2.0.
fn json_2(address: SocketAddr) {
    let mut client = JsonRpc::connect(address);
    let call = |params: Value, id: Value| json!({"jsonrpc": "2.0", "method": "Arith.Multiply", "params": params, "id": id});
    let answer = client.call(&call(json!({"A": 7, "B": 8}), json!("y")).to_string());
    assert_eq!(answer, json!({"jsonrpc": "2.0", "id": "y", "result": 56}));
    let batch = json!([
        call(json!({"A": 2, "B": 3}), json!(1)),
        {"jsonrpc": "2.0", "method": "Arith.Multiply", "params": {"A": 9, "B": 9}},
        call(json!({"A": 4, "B": 5}), json!(2)),
    ]);
    let mut answers = client.call(&batch.to_string());
    let answers = answers.as_array_mut().expect("a batch is answered by one");
    answers.sort_by_key(|answer| answer["id"].as_i64());
    let results: Vec<_> = answers.iter().map(|answer| &answer["result"]).collect();
    assert_eq!(results, [&json!(6), &json!(20)], "a notification is not answered");
    let unknown = json!({"jsonrpc": "2.0", "method": "Arith.Power", "params": {}, "id": 3});
    let answer = client.call(&unknown.to_string());
    assert_eq!(answer["error"]["code"], -32601, "{answer}");
}
