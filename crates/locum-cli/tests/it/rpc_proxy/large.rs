//! Messages over the limit: each fails its own call.

use locum_testkit::{Args, eventually};
use serde_json::json;

use super::setup::{JsonRpc, client, gob_server, held, hold, multiply, newest_go, release, to};

#[test]
fn a_call_over_the_limit_fails_alone() {
    let Some(go) = newest_go() else { return };
    let server = gob_server(&go);
    let locum = to(&[&server]).listener("limits = { message_bytes = \"64KiB\" }").start();
    let mut client = client(&locum);
    let under_way = hold(&mut client, 1);
    let answer = client.call("Echo.Bytes", Args::Bytes(&vec![7; 1 << 20]));
    let text = "gob: a message of 1048582 bytes is over the limit of 65536";
    assert_eq!(answer.failure(), text);
    assert_eq!(multiply(&mut client).int(), 42);

    let mut json = JsonRpc::connect(locum.address("rpc"));
    let long = "x".repeat(1 << 20);
    for id in ["first", "second"] {
        let call = json!({"params": [long], "method": "Echo.Text", "id": id});
        let answer = json.call(&call.to_string());
        let text = "jsonrpc: the message is over the limit of 65536 bytes";
        assert_eq!((&answer["id"], &answer["error"]), (&json!(id), &json!(text)));
        let call = json!({"method": "Arith.Multiply", "params": [{"A": 6, "B": 7}], "id": 1});
        assert_eq!(json.call(&call.to_string())["result"], 42);
    }
    locum.counts("locum_refused_total", &[("listener", "rpc"), ("reason", "too_large")], 3.0);
    release(&server, 1);
    let answer = client.answer().unwrap();
    assert_eq!((answer.seq, answer.int()), (under_way, 1));
}

#[test]
fn an_answer_over_the_limit_fails_its_call_alone() {
    let Some(go) = newest_go() else { return };
    let server = gob_server(&go);
    let locum = to(&[&server]).listener("limits = { message_bytes = \"32MiB\" }").start();
    let mut other = client(&locum);
    let under_way = hold(&mut other, 2);
    eventually("it is under way", || held(&server, 2) == 1);
    let mut caller = client(&locum);
    let answer = caller.call("Echo.Bytes", Args::Bytes(&vec![7; 17 << 20]));
    let text = "cannot be read: gob: a message of 17825799 bytes is over the limit of 16777216";
    assert!(answer.failure().ends_with(text), "{}", answer.failure());
    assert_eq!(multiply(&mut caller).int(), 42);
    release(&server, 2);
    let answer = other.answer().unwrap();
    assert_eq!((answer.seq, answer.int()), (under_way, 2), "on the same connection to the server");
}
