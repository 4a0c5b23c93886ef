//! `locum call` and `locum list` against real servers.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;

use locum::{CallError, Cx, Policies, Server};
use locum_testkit::{Finished, Go, Mode, refused, run_to_end};

use crate::setup::binary;

/// What a service of ours is called by hand with.
#[locum::service(name = "Desk")]
trait Desk {
    async fn greet(&self, cx: &Cx, name: String) -> Result<String, CallError>;
    async fn forever(&self) -> Result<(), CallError>;
    async fn panics(&self) -> Result<i64, CallError>;
}

struct RealDesk;

impl Desk for RealDesk {
    async fn greet(&self, cx: &Cx, name: String) -> Result<String, CallError> {
        match cx.metadata().get("language") {
            Some("de") => Ok(format!("Guten Tag, {name}")),
            Some(other) => Err(format!("nobody here speaks {other}").into()),
            None => Ok(format!("Hello, {name}")),
        }
    }

    async fn forever(&self) -> Result<(), CallError> {
        std::future::pending().await
    }

    async fn panics(&self) -> Result<i64, CallError> {
        panic!("this is expected")
    }
}

/// Runs `test` beside a server of ours at the address it is given; `policy` stands before it.
pub(crate) fn beside_ours(policy: Option<&str>, test: impl FnOnce(&str)) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let server = Server::new().serve(DeskServer::new(RealDesk)).listen("tcp://127.0.0.1:0");
    let server = match policy {
        None => server,
        Some(text) => {
            let policies = Policies::parse(text).expect("a policy");
            server.policy(policies.get("strict").expect("it is there"))
        }
    };
    let bound = runtime.block_on(server.bind()).expect("a free port");
    let address = bound.addresses().first().expect("one listener").to_string();
    let server = bound.handle();
    // It ends with the process, should the test fail.
    let served = thread::spawn(move || runtime.block_on(bound.run()));
    test(address.strip_prefix("tcp://").unwrap_or(&address));
    server.shutdown();
    served.join().expect("it served to its end");
}

#[test]
fn our_own_servers_are_called_by_hand_over_every_protocol() {
    beside_ours(None, |address| {
        for protocol in ["gob", "http", "json-rpc", "json-rpc2", "native"] {
            let call =
                |method: &str, json: &str| call(&[address, method, json, "--protocol", protocol]);
            told(&call("Desk.Greet", r#""Ada""#), 0, r#""Hello, Ada""#, "");
            told(&call("Desk.Wave", "{}"), 1, "", "Desk.Wave");
            told(&call("Desk.Greet", "7"), 1, "", "");
            told(&call("Desk.Panics", "{}"), 1, "", "");
        }
        let native = |more: &[&str]| {
            call(&[&[address, "Desk.Greet", r#""Ada""#, "--protocol", "native"], more].concat())
        };
        told(&native(&["-H", "language: de"]), 0, r#""Guten Tag, Ada""#, "");
        told(&native(&["-H", "language: xx"]), 1, "", "nobody here speaks xx");
        let late = call(&[address, "Desk.Forever", "{}", "--timeout", "100ms"]);
        told(&late, 4, "", "deadline");
    });
}

#[test]
fn what_a_policy_of_the_server_refuses_is_told_from_its_own_errors() {
    let strict = "[policies.strict]\nrate_limit = { rate = \"1/h\", burst = 1 }";
    for protocol in ["gob", "json-rpc", "json-rpc2", "native"] {
        beside_ours(Some(strict), |address| {
            let call = || call(&[address, "Desk.Greet", r#""Ada""#, "--protocol", protocol]);
            told(&call(), 0, r#""Hello, Ada""#, "");
            told(&call(), 4, "", "rejected by rate_limit \"strict\": limited");
        });
    }
}

#[test]
fn our_own_servers_are_listed_in_every_way() {
    beside_ours(None, |address| {
        let ways = [
            vec![],
            vec!["--protocol", "gob"],
            vec!["--protocol", "http"],
            vec!["--protocol", "json-rpc"],
            vec!["--protocol", "json-rpc2"],
            vec!["--protocol", "native"],
        ];
        for way in ways {
            let listed = run_to_end(binary(), &[vec!["list", address], way].concat());
            assert_eq!(listed.code, Some(0), "{listed:?}");
            let first = listed.output.lines().next().expect("a line");
            let words: Vec<_> = first.split_whitespace().collect();
            assert_eq!(words, ["Desk.Greet", "String", "->", "String"]);
        }
    });
}

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn call(arguments: &[&str]) -> Finished {
    run_to_end(binary(), &[&["call"], arguments].concat())
}

/// What is printed, on which of the two outputs, and the exit code.
#[track_caller]
fn told(finished: &Finished, code: i32, output: &str, errors: &str) {
    assert_eq!(finished.code, Some(code), "{finished:?}");
    assert_eq!(finished.output.trim_end(), output, "{finished:?}");
    assert!(finished.errors.contains(errors), "{finished:?}");
    assert_eq!(finished.errors.is_empty(), code == 0, "{finished:?}");
}

#[test]
fn every_protocol_of_go_is_called_by_hand() {
    for go in Go::all() {
        for (mode, protocol) in [(Mode::Gob, "gob"), (Mode::Http, "http"), (Mode::Json, "json-rpc")]
        {
            let server = go.server(mode, ANY);
            let address = server.address.to_string();
            let call =
                |method: &str, json: &str| call(&[&address, method, json, "--protocol", protocol]);
            told(&call("Arith.Multiply", r#"{"A":7,"B":8}"#), 0, "56", "");
            told(&call("Arith.Multiply", "{}"), 0, "0", "");
            told(&call("Arith.Divide", r#"{"A":-17,"B":5}"#), 0, r#"{"Quo":-3,"Rem":-2}"#, "");
            told(&call("Arith.Divide", r#"{"A":4,"B":8}"#), 0, r#"{"Quo":0,"Rem":4}"#, "");
            told(&call("Arith.Divide", r#"{"A":1,"B":0}"#), 1, "", "divide by zero");
            told(&call("Arith.Nothing", "{}"), 1, "", "rpc: can't find method Arith.Nothing");
            told(&call("Nobody.Nothing", "{}"), 1, "", "rpc: can't find service Nobody.Nothing");
            told(&call("Echo.Text", r#""grüß \"Gott\"\n""#), 0, r#""grüß \"Gott\"\n""#, "");
            told(&call("Echo.Number", "-9223372036854775808"), 0, "-9223372036854775808", "");
            told(&call("Echo.Numbers", "[3,0,-1]"), 0, "[3,0,-1]", "");
            told(&call("Echo.Nothing", "{}"), 0, "{}", "");
        }
    }
}

#[test]
fn a_call_that_comes_to_nothing_says_why_by_its_exit_code() {
    let nobody = refused().to_string();
    told(&call(&[&nobody, "A.B", "{}"]), 3, "", "connect");
    told(&call(&[&nobody, "A.B", "{"]), 2, "", "not JSON");
    told(&call(&[&nobody, "A.B", "{}", "-H", "a: b"]), 2, "", "native");
    told(&call(&["gopher://h:1", "A.B", "{}"]), 2, "", "gopher");
    told(
        &call(&["gob://127.0.0.1:1", "A.B", "{}", "--protocol", "native"]),
        2,
        "",
        "another protocol",
    );
    // It accepts, and says nothing.
    let silent = TcpListener::bind(ANY).expect("a port");
    let silent = silent.local_addr().expect("its address").to_string();
    told(&call(&[&silent, "A.B", "{}", "--timeout", "100ms"]), 4, "", "deadline");
}

#[test]
fn the_services_of_go_are_listed_where_it_has_a_page() {
    for go in Go::all() {
        let server = go.server(Mode::Http, ANY);
        let address = server.address.to_string();
        let listed = run_to_end(binary(), &["list", &address]);
        assert_eq!(listed.code, Some(0), "{listed:?}");
        let divide = listed.output.lines().find(|line| line.starts_with("Arith.Divide"));
        let words: Vec<_> = divide.expect("it is listed").split_whitespace().collect();
        assert_eq!(words, ["Arith.Divide", "main.Args", "->", "*main.Quotient"]);
    }
}

#[test]
fn a_server_that_does_not_tell_is_said_so() {
    let listed = run_to_end(binary(), &["list", &refused().to_string(), "--timeout", "1s"]);
    told(&listed, 1, "", "does not tell");
}
