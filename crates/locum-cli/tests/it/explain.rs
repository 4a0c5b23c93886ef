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

fn json(request: &str) -> Value {
    let told = explain(&[request, "--json"]);
    assert_eq!(told.code, Some(0), "{}", told.errors);
    let answer: Value = serde_json::from_str(&told.output).unwrap();
    answer["listeners"][0].clone()
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
fn a_call_is_said_not_to_be_served_yet() {
    let told = explain(&["Arith.Multiply"]);
    assert_eq!(told.code, Some(2));
    assert!(told.errors.contains("routes by call are not served yet"), "{}", told.errors);
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
