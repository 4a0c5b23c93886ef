//! Calls by who does not know the types: JSON in, JSON out, on every protocol.

use locum_wire::rpc::{
    Answer, Answers, Body, Call, CallHead, Calls, Form, Limits, Metadata, Protocol, Replies,
    Request, Requests, Shape,
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Args {
    #[serde(rename = "A")]
    a: i64,
    #[serde(rename = "B")]
    b: f64,
}

#[derive(Serialize, Deserialize)]
struct Reply {
    #[serde(rename = "Sum")]
    sum: f64,
    #[serde(rename = "Word")]
    word: String,
}

const PROTOCOLS: [Protocol; 4] =
    [Protocol::Gob, Protocol::Json1, Protocol::Json2, Protocol::Native];

fn head() -> CallHead<'static> {
    CallHead {
        id: 1,
        method: "Arith.Add",
        timeout: None,
        attempt: 1,
        trace: None,
        metadata: Metadata::default(),
        streams: false,
    }
}

#[test]
fn a_typed_server_understands_and_is_understood() {
    static REPLY: Shape = Shape::of::<Reply>();
    let limits = Limits::default();
    for protocol in PROTOCOLS {
        let (mut call, mut reply) = (Vec::new(), Vec::new());
        Calls::new(protocol).call_json(&mut call, &head(), r#" {"A": 7, "B": 1.5} "#).unwrap();

        let mut requests = Requests::new(protocol, &limits);
        let Ok(Some(Request::Call(Call { id, method, args, .. }))) = requests.next(&call, &mut 0)
        else {
            panic!("{protocol:?}");
        };
        assert_eq!(method, "Arith.Add");
        let Args { a, b } = args.decode().unwrap();
        let sum = Reply { sum: a as f64 + b, word: String::new() };
        Replies::new(protocol).ok(&mut reply, &id, method, &REPLY, &sum).unwrap();

        let mut answers = Answers::new(protocol, &limits);
        let Ok(Some(Answer::Reply { id: 1, body })) = answers.next(&reply, &mut 0) else {
            panic!("{protocol:?}");
        };
        assert_eq!(body.to_json().unwrap(), r#"{"Sum":8.5,"Word":""}"#, "{protocol:?}");
    }
}

#[test]
fn what_is_not_json_is_not_sent() {
    for protocol in PROTOCOLS {
        let mut calls = Calls::new(protocol);
        let mut out = Vec::new();
        for bad in ["", "{", "1 2", "], \"id\": 5", "nul"] {
            assert!(calls.call_json(&mut out, &head(), bad).is_err(), "{protocol:?} {bad}");
        }
        assert_eq!(out, b"", "{protocol:?}");
    }
}

#[test]
fn json_is_sent_as_it_stands() {
    let mut out = Vec::new();
    Calls::new(Protocol::Json1).call_json(&mut out, &head(), r#" {"x": 1.50} "#).unwrap();
    assert_eq!(out, b"{\"method\":\"Arith.Add\",\"params\":[{\"x\": 1.50}],\"id\":1}\n");
}

#[test]
fn postcard_cannot_be_shown() {
    let body = Body { bytes: &[7], form: Form::Postcard };
    assert!(body.to_json().unwrap_err().0.starts_with("postcard: "));
    assert!(Body { bytes: b"{", form: Form::Json }.to_json().is_err());
}
