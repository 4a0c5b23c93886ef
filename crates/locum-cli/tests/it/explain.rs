//! What is said of a request before it is made.

use std::fs;

use locum_testkit::{Finished, run_to_end};
use serde_json::Value;

use crate::setup::binary;

const FILE: &str = r#"
[listeners.web]
bind = "127.0.0.1:0"
[upstreams.users]
endpoints = ["127.0.0.1:7001", "127.0.0.1:7002"]
endpoint_policy = "guard"
[policies.careful]
timeout = "2s"
attempt_timeout = "300ms"
concurrency = { max = 8, queue = 8, queue_timeout = "50ms" }
retry = { attempts = 3, base = "20ms" }
methods.write = { timeout = "1s" }
[policies.guard]
breaker = {}
[listeners.rpc]
bind = "127.0.0.1:0"
protocol = "rpc"
[upstreams.arith]
endpoints = ["gob://127.0.0.1:7003"]
[auth.office]
kind = "ip"
allow = ["10.0.0.0/8"]
[policies.calls]
timeout = "2s"
methods = { "Arith.Multiply" = { timeout = "500ms", idempotent = true } }
[[routes]]
match = { call = "Arith.*" }
upstream = "arith"
policy = "calls"
auth = ["office"]
[[routes]]
match = { call = "Arith.Divide" }
upstream = "arith"
[[routes]]
match = { path = "/rpc/*" }
transcode = { upstream = "arith" }
policy = "calls"
[[routes]]
name = "write"
match = { path = "/users/{id}", methods = ["PUT"] }
upstream = "users"
policy = "careful"
[[routes]]
name = "read"
match = { path = "/users/*" }
upstream = "users"
policy = "careful"
"#;

fn explain(arguments: &[&str]) -> Finished {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("locum.toml");
    fs::write(&file, FILE).unwrap();
    run_to_end(binary(), &[&["explain", "-c", file.to_str().unwrap()], arguments].concat())
}

fn json_of(asked: &str) -> Value {
    let told = explain(&[asked, "--json"]);
    assert_eq!(told.code, Some(0), "{}", told.errors);
    serde_json::from_str(&told.output).unwrap()
}

/// What becomes of a request on the listener of HTTP.
fn json(request: &str) -> Value {
    json_of(request)["listeners"][0].clone()
}

#[test]
fn the_route_is_named_with_those_that_were_passed_over() {
    let answer = json("GET http://a.test/users/7");
    assert_eq!(answer["route"], "read");
    assert_eq!(answer["candidates"][0]["passed_over"], "it takes PUT only");
    assert_eq!(answer["candidates"][1]["passed_over"], Value::Null);
    assert_eq!(answer["upstreams"][0]["endpoints"][1]["name"], "127.0.0.1:7002");
    assert_eq!(json("PUT /users/7")["route"], "write");
    assert_eq!(json("GET /else")["route"], Value::Null);
    assert!(json("GET /%2f")["refused"].is_string());
}

#[test]
fn the_worst_case_is_the_sum_of_the_parts_cut_by_the_methods_timeout() {
    let worst = &json("GET /users/7")["policy"]["worst_case"];
    // 50 ms in the queue, three attempts of 300 ms, back-offs of 20 and 40 ms.
    assert_eq!(worst["latency"], "1010ms");
    assert_eq!(worst["attempts"], 3);
    assert_eq!(worst["attempts_under_a_caller_that_does_the_same"], 5);
    assert_eq!(json("PUT /users/7")["policy"]["worst_case"]["latency"], "1s");
}

#[test]
fn the_gates_stand_in_order_with_their_defaults() {
    let answer = json("/users/7");
    let names: Vec<_> = answer["policy"]["gates"].as_array().unwrap().iter().collect();
    assert_eq!(names[0]["gate"], "concurrency");
    assert_eq!(names[1]["settings"]["budget"]["ratio"], 0.2);
    assert_eq!(answer["endpoint_policies"][0]["gates"][0]["settings"]["min_calls"], 20);
}

#[test]
fn the_text_says_the_same_in_lines() {
    let told = explain(&["PUT", "http://a.test/users/7"]);
    assert_eq!(told.code, Some(0), "{}", told.errors);
    for words in
        ["takes it", "upstream users: 127.0.0.1:7001", "worst case: 1s", "amplification: 3"]
    {
        assert!(told.output.contains(words), "{words} in\n{}", told.output);
    }
}

#[test]
fn a_call_has_the_route_of_its_method_before_that_of_its_service() {
    let answer = json_of("Arith.Multiply");
    assert_eq!(answer["call"], "Arith.Multiply");
    let [rpc, web] = &answer["listeners"].as_array().unwrap()[..] else { panic!("{answer:#}") };
    assert_eq!((&rpc["listener"], &rpc["route"]), (&"rpc".into(), &"Arith.*".into()));
    assert_eq!(rpc["candidates"][0]["passed_over"], "it is for Arith.Divide only");
    assert_eq!(rpc["candidates"][1]["passed_over"], Value::Null);
    assert_eq!(rpc["upstreams"][0]["protocol"], "gob");
    assert_eq!(rpc["auth"]["office"]["allow"][0], "10.0.0.0/8");
    // The same over HTTP, where another route makes a request into it.
    assert_eq!((&web["listener"], &web["route"]), (&"web".into(), &"/rpc/*".into()));
    assert_eq!(web["request"], "POST /rpc/Arith.Multiply");
    assert_eq!(web["policy"]["worst_case"], rpc["policy"]["worst_case"]);

    let of_method = json_of("Arith.Divide");
    assert_eq!(of_method["listeners"][0]["route"], "Arith.Divide");
    let nowhere = json_of("Echo.Say");
    assert_eq!(nowhere["listeners"][0]["route"], Value::Null);
}

#[test]
fn a_call_has_the_numbers_of_its_method() {
    let policy = |method: &str| json_of(method)["listeners"][0]["policy"].clone();
    let (one, other) = (policy("Arith.Multiply"), policy("Arith.Add"));
    assert_eq!((&one["method"], &one["timeout"]), (&"Arith.Multiply".into(), &"500ms".into()));
    assert_eq!((&other["method"], &other["timeout"]), (&Value::Null, &"2s".into()));
    assert_eq!((&one["idempotent"], &other["idempotent"]), (&true.into(), &false.into()));
    assert_eq!(one["worst_case"]["latency"], "500ms");
    assert_eq!(json_of("Arith.Divide")["listeners"][0]["policy"], Value::Null);
    // A request that is made into the call has the same.
    let requested = json_of("POST /rpc/Arith.Multiply");
    assert_eq!(requested["listeners"][0]["policy"], one);
}

#[test]
fn the_text_says_of_a_call_the_same_in_lines() {
    let told = explain(&["Arith.Multiply"]);
    assert_eq!(told.code, Some(0), "{}", told.errors);
    for words in [
        "Arith.Multiply as a remote call",
        "listener rpc",
        "listener web, as POST /rpc/Arith.Multiply",
        "route Arith.Divide (Arith.Divide): passed over: it is for Arith.Divide only",
        "route Arith.* (Arith.*): takes it",
        "only for who passes office",
        "upstream arith: 127.0.0.1:7003 by round-robin, over gob",
        "with what `methods` says of Arith.Multiply",
        "calling it twice does no harm",
    ] {
        assert!(told.output.contains(words), "{words} in\n{}", told.output);
    }
}

#[test]
fn the_pages_are_in_the_program() {
    let listed = run_to_end(binary(), &["explain", "--docs"]);
    assert_eq!(listed.code, Some(0), "{}", listed.errors);
    assert!(listed.output.contains("breaker: stop calling"), "{}", listed.output);
    let page = run_to_end(binary(), &["explain", "--docs", "retry"]);
    assert!(page.output.starts_with("# `retry`"), "{}", page.output);
    assert_eq!(run_to_end(binary(), &["explain", "--docs", "luck"]).code, Some(2));
}
