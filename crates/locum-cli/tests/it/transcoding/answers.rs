//! What a client is told: results, the service's own errors, and why there was no call.

use locum_testkit::{Go, Locum, Mode, eventually, refused};
use serde_json::{Value, json};

use super::setup::{Gateway, OurServer, call, is_problem, result, send};

const MULTIPLY: &str = r#"{"A":7,"B":8}"#;

#[test]
fn a_post_is_a_call_and_its_result_is_the_answer() {
    for (go, mode, protocol) in go_servers() {
        let server = go.server(mode, ANY);
        let locum = Gateway::to(protocol, server.address).start();
        let mut client = locum.client();
        assert_eq!(result(&mut client, "Arith.Multiply", MULTIPLY), "56");
        let answer = call(&mut client, "Arith%2eMultiply", MULTIPLY).unwrap();
        assert!(is_problem(&answer, 404, "in one way: Arith.Multiply"), "{}", answer.text());
        assert_eq!(result(&mut client, "Arith.Divide", MULTIPLY), r#"{"Quo":0,"Rem":7}"#);
        assert_eq!(result(&mut client, "Arith.Multiply", " {\n} "), "0");
        assert_eq!(result(&mut client, "Arith.Multiply", ""), "0");
        assert_eq!(result(&mut client, "Echo.Text", r#""grüße""#), r#""grüße""#);
        assert_eq!(result(&mut client, "Echo.Numbers", "[7,0,-8]"), "[7,0,-8]");
        assert_eq!(result(&mut client, "Echo.Nothing", "{}"), "{}");
    }
}

#[test]
fn servers_of_every_protocol_are_called() {
    let server = OurServer::start();
    for protocol in ["gob", "gob-http", "json-rpc", "json-rpc2", "native"] {
        let locum = Gateway::to(protocol, server.address).start();
        let mut client = locum.client();
        let price = result(&mut client, "Shop.Price", r#"{"Amount":2,"Each":1.5}"#);
        assert_eq!(price.parse(), Ok(3.0), "{protocol}");
        let answer = call(&mut client, "Shop.Nope", "{}").unwrap();
        assert!(is_problem(&answer, 404, "Shop.Nope"), "{protocol}: {}", answer.text());
        let answer = call(&mut client, "Shop.Price", "\"free\"").unwrap();
        assert!(is_problem(&answer, 400, ""), "{protocol}: {}", answer.text());
    }
}

#[test]
fn what_curl_sends_is_taken_and_what_a_browser_sends_for_anybody_is_not() {
    for (locum, _server) in gob_gateways() {
        let mut client = locum.client();
        let form = "Content-Type: application/x-www-form-urlencoded\r\n";
        send(&mut client, "Arith.Multiply", form, MULTIPLY.as_bytes());
        assert_eq!(client.response("POST").unwrap().text(), "56");
        let foreign = format!("{form}Origin: http://elsewhere.test\r\n");
        send(&mut client, "Arith.Multiply", &foreign, MULTIPLY.as_bytes());
        let answer = client.response("POST").unwrap();
        assert!(is_problem(&answer, 415, "Content-Type: application/json"), "{}", answer.text());
        assert_eq!(answer.headers.get("accept"), Some("application/json"));
        assert_eq!(result(&mut client, "Arith.Multiply", MULTIPLY), "56");
    }
}

#[test]
fn a_body_in_chunks_is_one_argument_however_it_is_cut() {
    for (locum, _server) in gob_gateways() {
        let mut client = locum.client();
        client.send(
            "POST /rpc/Arith.Multiply HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\
             Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        );
        assert_eq!(client.reader().interim().map(|(status, _)| status), Ok(100));
        client.send("3\r\n{\"A\r\n1\r\n\"\r\n9;x=y\r\n:7,\"B\":8}\r\n0\r\nTrailer: 1\r\n\r\n");
        assert_eq!(client.response("POST").unwrap().text(), "56");
        assert_eq!(result(&mut client, "Arith.Multiply", MULTIPLY), "56");
    }
}

#[test]
fn each_failure_has_its_status_and_the_services_words() {
    for (locum, _server) in gob_gateways() {
        let mut client = locum.client();
        let cases = [
            ("Arith.Divide", r#"{"A":7}"#, 422, "divide by zero"),
            ("Faults.Fail", r#""no \"such\" thing""#, 422, "no \"such\" thing"),
            ("Arith.Nope", "{}", 404, "rpc: can't find method Arith.Nope"),
            ("Nope.Nope", "{}", 404, "rpc: can't find service Nope.Nope"),
            ("Multiply", "{}", 404, "rpc: service/method request ill-formed: Multiply"),
            ("", "{}", 404, "rpc: service/method request ill-formed: "),
            ("Arith.Multiply", r#"{"A":7,}"#, 400, "unexpected '}' at byte 7"),
            ("Arith.Multiply", "A=7&B=8", 400, "unexpected 'A' at byte 0"),
            ("Arith.Multiply", r#"{"C":7}"#, 400, "gob: type mismatch: no fields matched"),
            ("Arith.Multiply", "\"7\"", 400, "gob: type mismatch"),
            ("Arith.Multiply", "[]", 400, "name its type"),
        ];
        for (method, body, status, words) in cases {
            let answer = call(&mut client, method, body).unwrap();
            assert!(is_problem(&answer, status, words), "{method} {body}: {}", answer.text());
        }
        let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        let answer = call(&mut client, "Echo.Numbers", &deep).unwrap();
        assert!(is_problem(&answer, 400, "nested too deep"), "{}", answer.text());
        assert_eq!(result(&mut client, "Arith.Multiply", MULTIPLY), "56", "the connection goes on");
    }
}

#[test]
fn what_is_no_call_is_told_what_would_be() {
    for (locum, _server) in gob_gateways() {
        let mut client = locum.client();
        for (method, target, allowed) in [
            ("GET", "/rpc/Arith.Multiply", "POST"),
            ("HEAD", "/rpc/Arith.Multiply", "POST"),
            ("OPTIONS", "/rpc/Arith.Multiply", "POST"),
            ("PUT", "/rpc", "GET, HEAD"),
        ] {
            client.send(format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
            let answer = client.response(method).unwrap();
            assert_eq!((answer.status, answer.headers.get("allow")), (405, Some(allowed)));
        }
        assert_eq!(result(&mut client, "Arith.Multiply", MULTIPLY), "56");
    }
}

#[test]
fn a_result_that_json_cannot_say_fails_that_call() {
    let server = OurServer::start();
    let locum = Gateway::to("gob", server.address).start();
    let mut client = locum.client();
    let infinite = r#"{"Amount":1000,"Each":1.5e308}"#;
    let answer = call(&mut client, "Shop.Price", infinite).unwrap();
    assert!(is_problem(&answer, 502, "JSON has no number inf"), "{}", answer.text());
    let answer = call(&mut client, "Shop.Panics", "{}").unwrap();
    assert!(is_problem(&answer, 500, "locum: internal: "), "{}", answer.text());
    assert_eq!(result(&mut client, "Shop.Price", r#"{"Amount":2,"Each":1.5}"#), "3");
}

#[test]
fn a_body_beyond_the_limit_is_refused_and_ends_the_connection() {
    for go in Go::all() {
        let server = go.server(Mode::Gob, ANY);
        let gateway = Gateway::to("gob", server.address);
        let small = Gateway { route: "max_body = \"1KiB\"", ..gateway }.start();
        let large = Gateway::to("gob", server.address).start();
        let text = format!("\"{}\"", "x".repeat(2000));
        let answer = call(&mut small.client(), "Echo.Text", &text).unwrap();
        assert!(is_problem(&answer, 413, "larger than this route allows"), "{}", answer.text());
        assert!(answer.closes());
        let mut client = small.client();
        client.send(
            "POST /rpc/Echo.Text HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
             5\r\n\"aaaa\r\n",
        );
        client.send(format!("7d0\r\n{}\r\n", "x".repeat(2000)));
        assert_eq!(client.response("POST").map(|answer| answer.status), Ok(413));
        assert_eq!(result(&mut large.client(), "Echo.Text", &text), text);
        let mut client = large.client();
        client.send("POST /rpc/Echo.Text HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n");
        assert_eq!(client.response("POST").map(|answer| answer.status), Ok(413));
    }
}

#[test]
fn bodies_that_are_held_have_a_limit_together() {
    let server = OurServer::start();
    let route = "max_body = \"60MiB\"\n[runtime]\nworkers = 1";
    let locum = Gateway { route, ..Gateway::to("native", server.address) }.start();
    let head = "POST /rpc/Shop.Waiting HTTP/1.1\r\nHost: a\r\nContent-Length: ";
    let spaces = " ".repeat(50 << 20);
    let mut first = locum.client();
    first.send(format!("{head}{}\r\n\r\n{spaces}", spaces.len() + 2));
    let refused = || {
        let mut next = locum.client();
        next.send(format!("{head}{}\r\n\r\n{}", 20 << 20, &spaces[..20 << 20]));
        next.response("POST").ok().filter(|answer| answer.status == 503)
    };
    let answer = refused().expect("there is no room for it");
    assert!(is_problem(&answer, 503, "try again"), "{}", answer.text());
    assert_eq!(answer.headers.get("retry-after"), Some("1"));
    first.send("{}");
    assert_eq!(first.response("POST").map(|answer| answer.status), Ok(200));
    assert!(refused().is_none(), "what was held is given back");
}

#[test]
fn a_body_that_breaks_off_is_no_call() {
    for (locum, _server) in gob_gateways() {
        let mut client = locum.client();
        let head = "POST /rpc/Arith.Multiply HTTP/1.1\r\nHost: a\r\n";
        client.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\nzz\r\n"));
        let answer = client.response("POST").unwrap();
        assert!(is_problem(&answer, 400, ""), "{}", answer.text());
        assert!(answer.closes() && client.is_closed());

        let mut client = locum.client();
        client.send(format!("{head}Content-Length: 100\r\n\r\n{{}}"));
        client.half_close();
        assert!(client.is_closed());
        locum.counts("locum_calls_total", &[("outcome", "cancelled"), ("code", "499")], 1.0);
        assert_eq!(locum.metric("locum_attempts_total", &[]), 0.0);
    }
}

#[test]
fn refusals_are_those_of_http() {
    for go in Go::all() {
        let server = go.server(Mode::Gob, ANY);
        let gateway = Gateway::to("gob", server.address);
        let policy = "rate_limit = { rate = \"1/h\", burst = 1 }";
        let locum = Gateway { policy, ..gateway }.start();
        let mut client = locum.client();
        assert_eq!(result(&mut client, "Arith.Multiply", MULTIPLY), "56");
        let answer = call(&mut client, "Arith.Multiply", MULTIPLY).unwrap();
        assert_eq!(answer.status, 429);
        let problem = answer.json();
        let said =
            ["policy", "kind", "reason"].map(|key| problem[key].as_str().unwrap_or_default());
        assert_eq!(said, ["careful", "rate_limit", "limited"]);
        assert!(problem["retry_after"].as_f64().is_some_and(|after| after > 3000.0), "{problem}");
        assert!(answer.headers.has("retry-after") && answer.headers.has("proxy-status"));
        assert!(!answer.closes());
    }
}

#[test]
fn a_call_that_takes_too_long_is_given_up_everywhere() {
    for go in Go::all() {
        let server = go.server(Mode::Cancel, ANY);
        let gateway = Gateway::to("gob", server.address);
        let policy = "attempt_timeout = \"100ms\"";
        let locum = Gateway { policy, ..gateway }.start();
        let mut client = locum.client();
        let answer = call(&mut client, "Slow.Hold", r#"{"Key":1}"#).unwrap();
        assert!(is_problem(&answer, 504, "no answer within 0.1"), "{}", answer.text());
        assert_eq!(answer.json()["kind"], "deadline");
        eventually("the server was told", || result(&mut client, "Slow.Held", "1") == "0");

        // Without a timeout, and a client that leaves.
        let locum = Gateway::to("gob", server.address).start();
        let mut client = locum.client();
        let mut leaves = locum.client();
        send(&mut leaves, "Slow.Hold", "", br#"{"Key":2}"#);
        eventually("it waits", || result(&mut client, "Slow.Held", "2") == "1");
        drop(leaves);
        eventually("the server was told", || result(&mut client, "Slow.Held", "2") == "0");
        locum.counts("locum_calls_total", &[("outcome", "cancelled"), ("code", "499")], 1.0);
    }
}

#[test]
fn a_call_with_an_idempotency_key_is_tried_again() {
    for go in Go::all() {
        let server = go.server(Mode::Gob, ANY);
        let gateway = Gateway::to("gob", server.address);
        let policy = "attempt_timeout = \"50ms\"\nretry = { attempts = 2, base = \"1ms\" }";
        let locum = Gateway { policy, ..gateway }.start();
        let mut client = locum.client();
        for (fields, retries) in [("", 0.0), ("Idempotency-Key: \"1\"\r\n", 1.0)] {
            send(&mut client, "Slow.Hold", fields, br#"{"Key":1}"#);
            assert_eq!(client.response("POST").map(|answer| answer.status), Ok(504));
            locum.counts("locum_attempts_total", &[("kind", "retry")], retries);
        }
    }
}

#[test]
fn where_nobody_answers_that_is_a_bad_gateway() {
    let locum = Gateway::to("gob", refused()).start();
    let mut client = locum.client();
    let answer = call(&mut client, "Arith.Multiply", MULTIPLY).unwrap();
    assert!(is_problem(&answer, 502, ""), "{}", answer.text());
    assert_eq!(answer.json()["reason"], "connect");
    assert!(!answer.closes());

    for go in Go::all() {
        let server = go.server(Mode::Gob, ANY);
        let locum = Gateway::to("gob", server.address).start();
        let mut client = locum.client();
        let mut watch = locum.client();
        send(&mut client, "Slow.Hold", "", br#"{"Key":1}"#);
        eventually("it waits", || result(&mut watch, "Slow.Held", "1") == "1");
        drop(server);
        let answer = client.response("POST").unwrap();
        assert!(is_problem(&answer, 502, "upstream \"up\""), "{}", answer.text());
        assert_eq!(answer.json()["reason"], "reset");
    }
}

#[test]
fn a_fallback_stands_in_for_a_call() {
    let gateway = Gateway::to("gob", refused());
    let policy = "fallback = { status = 203, body = \"0\", headers = { x-a = \"1\" } }";
    let locum = Gateway { policy, ..gateway }.start();
    let answer = call(&mut locum.client(), "Arith.Multiply", MULTIPLY).unwrap();
    assert_eq!((answer.status, &*answer.text(), answer.headers.get("x-a")), (203, "0", Some("1")));
    let said = answer.headers.get("proxy-status").unwrap_or_default();
    assert!(said.contains("details=\"fallback: "), "{said}");
}

#[test]
fn what_goes_with_a_request_goes_with_the_call() {
    let server = OurServer::start();
    let gateway = Gateway::to("native", server.address);
    let trusting = "trusted_proxies = [\"127.0.0.0/8\"]";
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for (listener, time) in [(trusting, "less than 5"), ("", "less than 10")] {
        let locum = Gateway { listener, ..gateway }.start();
        let mut client = locum.client();
        let fields =
            format!("Tenant: blue\r\nX-Request-Timeout-Ms: 5000\r\nTraceparent: {trace}\r\n");
        for (name, value) in [("tenant", "blue"), ("time", time), ("host", ""), ("trace", trace)] {
            send(&mut client, "Shop.Seen", &fields, json!(name).to_string().as_bytes());
            assert_eq!(client.response("POST").unwrap().json(), json!(value), "{name}");
        }
    }
}

#[test]
fn metrics_and_log_tell_of_a_call_as_of_any_request() {
    for (locum, _server) in gob_gateways() {
        let mut client = locum.client();
        result(&mut client, "Arith.Multiply", MULTIPLY);
        call(&mut client, "Arith.Divide", r#"{"A":7}"#).unwrap();
        let of =
            |code| [("route", "json"), ("upstream", "up"), ("outcome", "success"), ("code", code)];
        locum.counts("locum_calls_total", &of("200"), 1.0);
        locum.counts("locum_calls_total", &of("422"), 1.0);
        locum.counts("locum_attempts_total", &[("upstream", "up")], 2.0);
        eventually("both are logged", || locum.output().lines().count() == 2);
        let lines: Vec<Value> =
            locum.output().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let told = |line: &Value| {
            ["call", "path", "upstream"]
                .map(|key| line[key].as_str().unwrap_or_default().to_owned())
        };
        let told: Vec<_> = lines.iter().map(told).collect();
        assert_eq!(told[0], ["Arith.Multiply", "/rpc/Arith.Multiply", "up"]);
        assert_eq!(told[1], ["Arith.Divide", "/rpc/Arith.Divide", "up"]);
        assert_eq!(lines[0]["attempts"][0]["outcome"], "success");
    }
}

#[test]
fn the_edits_of_a_route_apply() {
    for go in Go::all() {
        let server = go.server(Mode::Gob, ANY);
        let gateway = Gateway::to("gob", server.address);
        let route = "response_headers = { set = { x-a = \"1\" } }";
        let locum = Gateway { route, ..gateway }.start();
        for (body, status) in [(MULTIPLY, 200), (r#"{"A":7}"#, 422)] {
            let answer = call(&mut locum.client(), "Arith.Divide", body).unwrap();
            assert_eq!((answer.status, answer.headers.get("x-a")), (status, Some("1")));
        }
    }
}

#[test]
fn what_a_route_edits_of_a_request_goes_with_the_call_so() {
    let server = OurServer::start();
    let route = "request_headers = { set = { Tenant = \"red\" }, remove = [\"x-api-key\"] }";
    // Callers are told apart by what they sent.
    let policy = "rate_limit = { rate = \"1/h\", burst = 1, key = \"header:x-api-key\" }";
    let locum = Gateway { route, policy, ..Gateway::to("native", server.address) }.start();
    let mut client = locum.client();
    let mut seen = |name: &str, key: &str| {
        let fields = format!("Tenant: blue\r\nX-Api-Key: {key}\r\n");
        send(&mut client, "Shop.Seen", &fields, json!(name).to_string().as_bytes());
        let answer = client.response("POST").unwrap();
        (answer.status, answer.json())
    };
    assert_eq!(seen("tenant", "one"), (200, json!("red")));
    assert_eq!(seen("x-api-key", "two"), (200, json!("")));
    assert_eq!(seen("tenant", "two").0, 429);
}

/// Servers of every Go that is there, in every protocol.
fn go_servers() -> impl Iterator<Item = (Go, Mode, &'static str)> {
    let modes = [(Mode::Gob, "gob"), (Mode::Http, "gob-http"), (Mode::Json, "json-rpc")];
    let servers = move |go: Go| modes.map(|(mode, protocol)| (go.clone(), mode, protocol));
    Go::all().into_iter().flat_map(servers)
}

/// A gateway in front of each Go.
fn gob_gateways() -> impl Iterator<Item = (Locum, locum_testkit::GoServer)> {
    Go::all().into_iter().map(|go| {
        let server = go.server(Mode::Gob, ANY);
        (Gateway::to("gob", server.address).start(), server)
    })
}

pub(super) const ANY: std::net::SocketAddr =
    std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
