//! JSON-RPC 1.0 and 2.0 from outside, and whether docs/json-rpc.md is true.

use std::collections::BTreeMap;
use std::time::Duration;

use locum_wire::jsonrpc::{Answers, Calls, MOST_IN_BATCH, Replies, Requests};
use locum_wire::rpc::{
    Answer, Body, Call, CallHead, CallId, Class, DecodeError, Failure, Fatal, Form, Limits,
    Metadata, Protocol, Refusal, Request,
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Args {
    a: i64,
    b: i64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Reply {
    c: i64,
}

/// Serves a stream as a server would: `Arith.Add` adds, `Arith.Nothing` returns nothing, `Arith.Fail` fails.
fn serve(input: &[u8]) -> (String, Option<Fatal>) {
    serve_with(Requests::new(&Limits::default()), input)
}

fn serve_with(mut requests: Requests, input: &[u8]) -> (String, Option<Fatal>) {
    let mut replies = Replies::new();
    let mut out = Vec::new();
    let mut at = 0;
    let fatal = loop {
        match requests.next(&input[at..], &mut at) {
            Ok(None) => break None,
            Err(fatal) => break Some(fatal),
            Ok(Some(Request::Batch { calls })) => replies.batch(calls),
            Ok(Some(Request::Malformed { id, failure, .. })) => {
                replies.failure(&mut out, &id, &failure)
            }
            Ok(Some(Request::Call(Call { id, method, args, .. }))) => {
                answer(&mut replies, &mut out, &id, method, &args);
            }
            Ok(Some(other)) => panic!("{other:?}"),
        }
    };
    (String::from_utf8(out).unwrap(), fatal)
}

fn answer(replies: &mut Replies, out: &mut Vec<u8>, id: &CallId, method: &str, args: &Body<'_>) {
    let bad = |error: DecodeError| Failure::bad_arguments(error.0);
    let result = match method {
        "Arith.Add" => {
            args.decode().map_err(bad).map(|Args { a, b }| replies.ok(out, id, &Reply { c: a + b }))
        }
        "Arith.Nothing" => args.decode::<()>().map_err(bad).map(|()| replies.ok(out, id, &())),
        "Arith.Busy" => Err(Failure::refused(refusal())),
        "Arith.Fail" => Err(Failure { code: Some(7), ..Failure::app("divide by zero") }),
        method => Err(Failure::unknown_method(method)),
    };
    match result {
        Ok(written) => written.unwrap(),
        Err(failure) => replies.failure(out, id, &failure),
    }
}

fn refusal() -> Refusal {
    Refusal {
        kind: "breaker".into(),
        policy: "careful".into(),
        reason: "open".into(),
        retry_after: Some(Duration::from_millis(4200)),
    }
}

#[test]
fn the_examples_of_the_page_are_true() {
    let page = include_str!("../../../../docs/json-rpc.md");
    let mut exchanges = 0;
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(request) = line.strip_prefix("--> ") else { continue };
        let answer = lines.next().and_then(|line| line.strip_prefix("<-- ")).unwrap();
        assert_eq!(serve(request.as_bytes()), (format!("{answer}\n"), None));
        exchanges += 1;
    }
    assert_eq!(exchanges, 8);
}

#[test]
fn json_1_is_answered_word_for_word() {
    let table = [
        (
            r#"{"method":"Arith.Add","params":[{"A":7,"B":8}],"id":0}"#,
            r#"{"id":0,"result":{"C":15},"error":null}"#,
        ),
        (
            r#"{"method":"Arith.Add","params":[{"A":7,"B":8}]}"#,
            r#"{"id":null,"result":{"C":15},"error":null}"#,
        ),
        (
            r#"{"ID":["x", 1.50],"Method":"Arith.Add","PARAMS":[{"a":7}, "more"]}"#,
            r#"{"id":["x", 1.50],"result":{"C":7},"error":null}"#,
        ),
        (
            r#"{"method":"Arith.Add","params":[],"id":1}"#,
            r#"{"id":1,"result":{"C":0},"error":null}"#,
        ),
        (
            r#"{"method":"Arith.Add","params":[null],"id":1}"#,
            r#"{"id":1,"result":{"C":0},"error":null}"#,
        ),
        (
            r#"{"method":"Arith.Add","id":1}"#,
            r#"{"id":1,"result":null,"error":"jsonrpc: request body missing params"}"#,
        ),
        (
            r#"{"method":"Arith.Add","params":null,"id":1}"#,
            r#"{"id":1,"result":null,"error":"jsonrpc: request body missing params"}"#,
        ),
        (
            r#"{"method":"Arith.Nope","id":1}"#,
            r#"{"id":1,"result":null,"error":"rpc: can't find method Arith.Nope"}"#,
        ),
        ("{}", r#"{"id":null,"result":null,"error":"rpc: service/method request ill-formed: "}"#),
        (
            r#"{"method":"Add","params":[],"id":"a\u0062"}"#,
            r#"{"id":"a\u0062","result":null,"error":"rpc: service/method request ill-formed: Add"}"#,
        ),
        (
            r#"{"method":"Arith.Fail","params":[0],"id":3}"#,
            r#"{"id":3,"result":null,"error":"divide by zero"}"#,
        ),
        (
            r#"{"method":"Arith.\u004eothing","params":[{}],"id":3}"#,
            r#"{"id":3,"result":{},"error":null}"#,
        ),
    ];
    for (request, response) in table {
        assert_eq!(serve(request.as_bytes()), (format!("{response}\n"), None), "{request}");
    }
}

#[test]
fn values_follow_each_other_with_or_without_white_space() {
    let call = r#"{"method":"Arith.Nothing","params":[0],"id":1}"#.replace("[0]", "[{}]");
    let (out, fatal) = serve(format!("\n {call}{call}\t\r\n{call} ").as_bytes());
    assert_eq!(out.lines().count(), 3);
    assert_eq!(fatal, None);
}

#[test]
fn what_json_1_cannot_read_closes_without_an_answer() {
    for input in [
        "hello",
        "5",
        "null",
        "{]",
        "{\"method\":5}",
        "{\"method\" 5}",
        "{\"a\":01}",
        "{\"a\":\"\n\"}",
        "{\"a\":tru1}",
        "{\"a\":1,}",
        "{\"a\":[1,]}",
        "{,}",
        "}",
        "{\"a\":\"\\x\"}",
        "{\"a\":-}",
        "{\"a\":1.}",
        "{\"a\":1e}",
        "{\"a\":.5}",
        "{\"a\":\"\\u12g4\"}",
        "{a:1}",
        "{\"a\":1 2}",
        "{\"a\"}",
    ] {
        let (out, fatal) = serve(input.as_bytes());
        assert_eq!(out, "", "{input}");
        assert!(fatal.is_some(), "{input}");
    }
    assert!(serve(b"{\"method\":\"\xff\"}").1.is_some());
}

#[test]
fn json_2_is_answered_as_its_specification_shows() {
    let table = [
        (
            r#"{"jsonrpc": "2.0", "method": "Arith.Add", "params": [{"a":7,"b":8}], "id": 1}"#,
            r#"{"jsonrpc":"2.0","result":{"c":15},"id":1}"#,
        ),
        (
            r#"{"jsonrpc": "2.0", "method": "Arith.Add", "params": [7, 8], "id": "x"}"#,
            r#"{"jsonrpc":"2.0","result":{"c":15},"id":"x"}"#,
        ),
        (
            r#"{"jsonrpc": "2.0", "method": "Arith.Add", "params": {"B":8,"A":7}, "id": null}"#,
            r#"{"jsonrpc":"2.0","result":{"c":15},"id":null}"#,
        ),
        (
            r#"{"jsonrpc": "2.0", "method": "Arith.Nothing", "id": 1}"#,
            r#"{"jsonrpc":"2.0","result":null,"id":1}"#,
        ),
        (
            r#"{"jsonrpc": "2.0", "method": "Arith.Foobar", "id": "1"}"#,
            r#"{"jsonrpc":"2.0","error":{"code":-32601,"message":"rpc: can't find method Arith.Foobar"},"id":"1"}"#,
        ),
        (
            r#"{"jsonrpc": "2.0", "method": "Arith.Fail", "id": -1.5}"#,
            r#"{"jsonrpc":"2.0","error":{"code":7,"message":"divide by zero"},"id":-1.5}"#,
        ),
        (
            r#"{"jsonrpc": "2.0", "method": 1, "params": "bar"}"#,
            r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request"},"id":null}"#,
        ),
        (
            r#"{"jsonrpc": "2.0", "method": "Arith.Add", "params": [1,2], "id": {}}"#,
            r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request"},"id":null}"#,
        ),
        (
            "[]",
            r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request"},"id":null}"#,
        ),
        (
            "[1]",
            r#"[{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request"},"id":null}]"#,
        ),
        (
            r#" [ {"jsonrpc": "2.0", "method": "Arith.Add", "params": [1,2], "id": "1"} ,
                {"jsonrpc": "2.0", "method": "Arith.Add", "params": [7]},
                {"jsonrpc": "2.0", "method": "Arith.Add", "params": {"a":42,"b":23}, "id": "2"},
                {"foo": "boo"},
                {"jsonrpc": "2.0", "method": "Arith.Fail", "params": {"name": "me"}, "id": "5"} ] "#,
            concat!(
                r#"[{"jsonrpc":"2.0","result":{"c":3},"id":"1"},"#,
                r#"{"jsonrpc":"2.0","result":{"c":65},"id":"2"},"#,
                r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request"},"id":null},"#,
                r#"{"jsonrpc":"2.0","error":{"code":7,"message":"divide by zero"},"id":"5"}]"#
            ),
        ),
    ];
    for (request, response) in table {
        assert_eq!(serve(request.as_bytes()), (format!("{response}\n"), None), "{request}");
    }
}

#[test]
fn arguments_of_the_wrong_type_have_a_code_of_their_own() {
    let call = r#"{"jsonrpc":"2.0","method":"Arith.Add","params":{"a":"x"},"id":1}"#;
    let (out, _) = serve(call.as_bytes());
    assert!(
        out.starts_with(r#"{"jsonrpc":"2.0","error":{"code":-32602,"message":"json: "#),
        "{out}"
    );
    assert!(out.contains("i64"), "{out}");
}

#[test]
fn notifications_are_never_answered() {
    for request in [
        r#"{"jsonrpc":"2.0","method":"Arith.Add","params":[1,2]}"#,
        r#"{"jsonrpc":"2.0","method":"Arith.Nope"}"#,
        r#"{"jsonrpc":"2.0","method":"Arith.Add","params":[{"a":"x"}]}"#,
        r#"[{"jsonrpc":"2.0","method":"Arith.Add"},{"jsonrpc":"2.0","method":"Arith.Fail"}]"#,
    ] {
        assert_eq!(serve(request.as_bytes()), (String::new(), None), "{request}");
    }
}

#[test]
fn json_2_is_told_of_a_parse_error_before_the_end() {
    let told = "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32700,\"message\":\"Parse error\"},\"id\":null}\n";
    let good = r#"{"jsonrpc":"2.0","method":"Arith.Nope"}"#;
    for input in [
        r#"{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]"#,
        r#"[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"}, {"jsonrpc": "2.0", "method"]"#,
        &format!("{good} oops"),
    ] {
        let (out, fatal) = serve(input.as_bytes());
        assert_eq!(out, told, "{input}");
        assert!(fatal.is_some());
    }
}

#[test]
fn a_body_is_one_value() {
    let body = |text: &str| serve_with(Requests::of_body(&Limits::default()), text.as_bytes());
    let good = r#"{"jsonrpc":"2.0","method":"Arith.Add","params":[1,2],"id":1}"#;
    let answer = "{\"jsonrpc\":\"2.0\",\"result\":{\"c\":3},\"id\":1}\n";
    assert_eq!(body(&format!(" {good}\n")), (answer.to_owned(), None));
    assert_eq!(body(&format!("[{good}]")), (format!("[{}]\n", answer.trim()), None));
    for bad in [
        "",
        " ",
        "{",
        "nonsense",
        &good[..good.len() - 1],
        &format!("{good}{good}"),
        &format!("{good},"),
    ] {
        let (out, fatal) = body(bad);
        assert!(out.contains("-32700"), "{bad}: {out}");
        assert_eq!(out.lines().count(), 1);
        assert!(fatal.is_some());
    }
}

#[test]
fn batches_are_answered_apart_whatever_the_order() {
    let id = |raw: &str, batch| CallId::Json {
        protocol: Protocol::Json2,
        raw: Some(raw.into()),
        batched: Some(batch),
    };
    let mut replies = Replies::new();
    let mut out = Vec::new();
    replies.batch(2);
    replies.batch(1);
    replies.ok(&mut out, &id("2", 0), &2).unwrap();
    assert_eq!(out, b"");
    replies.ok(&mut out, &id("3", 1), &3).unwrap();
    assert_eq!(out, b"[{\"jsonrpc\":\"2.0\",\"result\":3,\"id\":3}]\n");
    out.clear();
    assert!(replies.ok(&mut out, &id("1", 0), &f64::NAN).is_err());
    replies.failure(&mut out, &id("1", 0), &Failure::internal("no number"));
    assert_eq!(
        str::from_utf8(&out).unwrap(),
        "[{\"jsonrpc\":\"2.0\",\"result\":2,\"id\":2},{\"jsonrpc\":\"2.0\",\"error\":\
         {\"code\":-32603,\"message\":\"locum: internal: no number\"},\"id\":1}]\n"
    );
}

#[test]
fn a_batch_has_an_end() {
    let batch = |elements: usize| format!("[{}]", vec!["1"; elements].join(","));
    let (out, _) = serve(batch(MOST_IN_BATCH).as_bytes());
    assert_eq!(out.matches("-32600").count(), MOST_IN_BATCH);
    let (out, fatal) = serve(batch(MOST_IN_BATCH + 1).as_bytes());
    assert_eq!(out.matches("-32600").count(), 1);
    assert_eq!(fatal, None);
}

#[test]
fn size_and_nesting_have_limits() {
    let limits = Limits { message: 1000, nesting: 10, ..Limits::default() };
    let call = |args: &str| format!(r#"{{"method":"A.B","params":[{args}],"id":1}}"#);
    let deep = |depth| call(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
    let read =
        |input: &str| Requests::new(&limits).next(input.as_bytes(), &mut 0).map(|it| it.is_some());
    assert_eq!(read(&deep(10)), Ok(true));
    assert_eq!(read(&deep(12)).unwrap_err().0, "jsonrpc: nested too deep");
    assert_eq!(read(&call(&"1".repeat(900))), Ok(true));
    let long = call(&"1".repeat(1000));
    assert_eq!(read(&long), Ok(true));
    assert_eq!(read(&long[..1020]), Ok(false), "whose it is is not known before its end");
    // What is no JSON ends the stream, however long it is.
    assert_eq!(read(&call(&format!("{}x", "1".repeat(1000)))).unwrap_err().0, "jsonrpc: not JSON");
    let deep = format!("\"{}\", {}", "x".repeat(1000), "[".repeat(20));
    assert_eq!(read(&call(&deep)).unwrap_err().0, "jsonrpc: nested too deep");
}

/// Reads a stream of which no more is at hand than the last so many bytes that were not taken.
fn in_pieces<T>(
    input: &str,
    size: usize,
    mut next: impl FnMut(&[u8], &mut usize) -> Option<T>,
) -> Vec<T> {
    let (mut buffer, mut seen) = (Vec::new(), Vec::new());
    for piece in input.as_bytes().chunks(size) {
        buffer.extend_from_slice(piece);
        loop {
            let mut taken = 0;
            let found = next(&buffer, &mut taken);
            buffer.drain(..taken);
            match found {
                Some(found) => seen.push(found),
                None => break,
            }
        }
        assert!(buffer.len() <= 300 + size, "{} bytes are held", buffer.len());
    }
    seen
}

#[test]
fn a_call_over_the_limit_fails_alone_wherever_its_id_stands() {
    let limits = Limits { message: 300, ..Limits::default() };
    let long = format!(r#"{{"id":7,"\"id":[{{"id":8}},"{}"]}}"#, "}]\\\"".repeat(200));
    let input = [
        &*format!(r#"{{"method":"A.B","params":[{long}],"id":"1"}}"#),
        &format!("\n{{ \"ID\" : 2 ,\"params\":[{long}], \"method\" : \"A.C\" }} "),
        &format!(r#"{{"params":[{long}],"jsonrpc":"2.0","method":"A.D","id":3}}"#),
        &format!(r#"{{"jsonrpc":"2.0","method":"A.E","params":{long}}}"#),
        &format!(r#"[{{"jsonrpc":"2.0","method":"A.F","params":{long},"id":4}}]"#),
        &format!(r#"{{"{}":1,"method":"A.G","id":5,"id":{}}}"#, "x".repeat(300), "6".repeat(2000)),
        r#"{"method":"A.H","params":[1],"id":9}"#,
    ]
    .concat();
    let text = "jsonrpc: the message is over the limit of 300 bytes";
    for size in [1, 7, 299, 5000] {
        let mut requests = Requests::new(&limits);
        let seen = in_pieces(&input, size, |input, taken| {
            Some(match requests.next(input, taken).unwrap()? {
                Request::TooLarge {
                    id: CallId::Json { protocol, raw, batched: None },
                    method,
                    failure,
                } => {
                    assert_eq!(failure.text, text);
                    format!(
                        "{protocol:?} {} {method} {:?}",
                        raw.as_deref().unwrap_or("-"),
                        failure.code
                    )
                }
                Request::Call(call) => call.method.to_owned(),
                other => panic!("{other:?}"),
            })
        });
        assert_eq!(
            seen,
            [
                "Json1 \"1\" A.B None",
                "Json1 2 A.C None",
                "Json2 3 A.D None",
                "Json2 - A.E None",
                "Json2 null  Some(-32600)",
                "Json1 5 A.G None",
                "A.H",
            ],
            "in pieces of {size}"
        );
    }
}

#[test]
fn an_answer_over_the_limit_fails_its_call_alone() {
    let limits = Limits { message: 300, ..Limits::default() };
    let long = "x".repeat(2000);
    let input = [
        &*format!(r#"{{"id":1,"result":"{long}","error":null}}"#),
        &format!(r#"{{"result":"{long}","id":2}}"#),
        &format!(r#"{{"result":"{long}"}}"#),
        r#"{"id":3,"result":1,"error":null}"#,
    ]
    .join("\n");
    for size in [1, 7, 299, 9000] {
        let mut answers = Answers::new(&limits);
        let seen = in_pieces(&input, size, |input, taken| {
            Some(match answers.next(input, taken).unwrap()? {
                Answer::Unreadable { id, error } => (id, error.0),
                Answer::Reply { id, .. } => (id, String::new()),
                other => panic!("{other:?}"),
            })
        });
        let text = "jsonrpc: the message is over the limit of 300 bytes".to_owned();
        assert_eq!(seen, [(1, text.clone()), (2, text), (3, String::new())], "in pieces of {size}");
    }
}

fn head(method: &str, id: u64) -> CallHead<'_> {
    CallHead {
        id,
        method,
        timeout: None,
        attempt: 1,
        trace: None,
        metadata: Metadata::default(),
        streams: false,
    }
}

fn written<T: Serialize + ?Sized>(protocol: Protocol, args: &T) -> String {
    let mut out = Vec::new();
    Calls::new(protocol).call(&mut out, &head("Arith.Add", 3), args).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn calls_are_written_as_go_and_as_the_specification_write_them() {
    let args = Args { a: 7, b: 8 };
    assert_eq!(
        written(Protocol::Json1, &args),
        "{\"method\":\"Arith.Add\",\"params\":[{\"A\":7,\"B\":8}],\"id\":3}\n"
    );
    let table = [
        (written(Protocol::Json2, &args), r#","params":{"a":7,"b":8}"#),
        (written(Protocol::Json2, &[1, 2]), r#","params":[[1,2]]"#),
        (written(Protocol::Json2, "x"), r#","params":["x"]"#),
        (written(Protocol::Json2, &()), ""),
    ];
    for (call, params) in table {
        let expected =
            format!("{{\"jsonrpc\":\"2.0\",\"method\":\"Arith.Add\"{params},\"id\":3}}\n");
        assert_eq!(call, expected);
        let (out, fatal) = serve(call.as_bytes());
        assert!(out.contains("\"id\":3"), "{out}");
        assert_eq!(fatal, None);
    }
}

#[test]
fn what_json_has_no_word_for_is_not_sent() {
    let mut out = Vec::new();
    let mut calls = Calls::new(Protocol::Json1);
    assert!(calls.call(&mut out, &head("A.B", 2), &f32::INFINITY).is_err());
    assert_eq!(out, b"");
}

#[test]
fn what_is_answered_is_read() {
    let failures = [
        Failure { code: Some(7), ..Failure::app("divide by \"zero\"\n") },
        Failure { detail: Some(br#"{"of":"x"}"#.as_slice().into()), ..Failure::app("") },
        Failure::unknown_method("A.B"),
        Failure::bad_arguments("json: no"),
        Failure::refused(refusal()),
        Failure::deadline(),
        Failure::cancelled(),
        Failure::unavailable("draining"),
        Failure::internal("a handler panicked"),
    ];
    for failure in &failures {
        for protocol in [Protocol::Json1, Protocol::Json2] {
            let id = CallId::Json { protocol, raw: Some("5".into()), batched: None };
            let mut out = Vec::new();
            Replies::new().failure(&mut out, &id, failure);
            let mut taken = 0;
            let mut answers = Answers::new(&Limits::default());
            let answer = answers.next(&out, &mut taken).unwrap().unwrap();
            let Answer::Failure { id: 5, failure: read } = answer else { panic!("{answer:?}") };
            let expected = match protocol {
                Protocol::Json2 => failure.clone(),
                _ => Failure::of_text(failure.text.clone()),
            };
            assert_eq!(*read, expected);
            assert_eq!(taken, out.len() - 1);
        }
    }
}

#[test]
fn an_applications_code_is_none_that_is_reserved() {
    let id = CallId::Json { protocol: Protocol::Json2, raw: Some("5".into()), batched: None };
    let mut out = Vec::new();
    Replies::new().failure(&mut out, &id, &Failure { code: Some(-32001), ..Failure::app("mine") });
    assert!(out.starts_with(br#"{"jsonrpc":"2.0","error":{"code":-32000,"#));
}

#[test]
fn postcard_is_no_data() {
    let id = CallId::Json { protocol: Protocol::Json2, raw: Some("5".into()), batched: None };
    for detail in [&b"\x01\x02"[..], b"5", b"{", b"{} ", b"\"\xff\""] {
        let mut out = Vec::new();
        Replies::new().failure(
            &mut out,
            &id,
            &Failure { detail: Some(detail.into()), ..Failure::app("x") },
        );
        assert_eq!(out.windows(6).any(|it| it == b"\"data\""), detail == b"{} ");
    }
}

#[test]
fn others_answers_are_understood() {
    let read = |text: &str| {
        let mut answers = Answers::new(&Limits::default());
        match answers.next(text.as_bytes(), &mut 0).unwrap() {
            Some(Answer::Failure { id: 1, failure }) => failure.into_owned(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(read(r#"{"id":1,"error":"rpc: can't find method X"}"#).class, Class::UnknownMethod);
    assert_eq!(read(r#"{"id":1,"error":{"reason":"odd"}}"#).text, r#"{"reason":"odd"}"#);
    assert_eq!(read(r#"{"id":1,"error":false}"#), Failure::app("false"));
    let server =
        read(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32050,"message":"busy","data":[1]}}"#);
    assert_eq!((server.class, server.code), (Class::App, Some(-32050)));
    assert_eq!(server.detail.as_deref(), Some(&b"[1]"[..]));
}

#[test]
fn answers_to_nobody_are_passed_over_and_odd_ones_are_unreadable() {
    let input = concat!(
        r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error"},"id":null}"#,
        r#"{"id":"x","result":1}{"id":1.5,"result":1}{"result":1}"#,
        r#"{"id":1}{"id":2,"result":null,"error":null}"#
    );
    let mut answers = Answers::new(&Limits::default());
    let mut at = 0;
    let answer = answers.next(&input.as_bytes()[at..], &mut at).unwrap().unwrap();
    assert!(matches!(answer, Answer::Unreadable { id: 1, .. }), "{answer:?}");
    let answer = answers.next(&input.as_bytes()[at..], &mut at).unwrap().unwrap();
    let Answer::Reply { id: 2, body } = answer else { panic!("{answer:?}") };
    assert_eq!(body.decode::<()>(), Ok(()));
    assert!(answers.next(b"[]", &mut 0).is_err());
}

fn decode<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, DecodeError> {
    Body { bytes: json.as_bytes(), form: Form::Json }.decode()
}

#[test]
fn what_is_short_in_json_and_large_in_memory_is_limited() {
    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Fat {
        text: [[String; 8]; 8],
    }
    let fats = |count: usize| format!("[{}{{}}]", "{},".repeat(count - 1));
    assert_eq!(decode::<Vec<Fat>>(&fats(1000)).unwrap().len(), 1000);
    let too_much = "json: cannot unmarshal a value that takes too much memory";
    assert_eq!(decode::<Vec<Fat>>(&fats(50_000)).unwrap_err().0, too_much);
    let members: Vec<_> = (0..50_000).map(|key| format!("\"{key}\":{{}}")).collect();
    let map = format!("{{{}}}", members.join(","));
    assert_eq!(decode::<BTreeMap<u32, Fat>>(&map).unwrap_err().0, too_much);
    let ones = format!("[{}1]", "1,".repeat(5_000_000));
    assert_eq!(decode::<Vec<Option<u64>>>(&ones).unwrap().len(), 5_000_001);
}

#[test]
fn the_last_of_members_with_one_name_is_the_one() {
    #[derive(Debug, Default, PartialEq, Deserialize)]
    struct Pair {
        a: i64,
        b: String,
        inner: Option<Box<Self>>,
    }
    let pair = |a, b: &str| Pair { a, b: b.to_owned(), inner: None };
    assert_eq!(decode::<Pair>(r#"{"A":1,"a":2,"b":"x"}"#), Ok(pair(2, "x")));
    let twice = r#"[{"a":1, "b":"x","a":2,"B":"y", "a":3},{"a":4}]"#;
    assert_eq!(decode::<Vec<Pair>>(twice), Ok(vec![pair(3, "y"), pair(4, "")]));
    let nested = r#"{"inner":{"a":5,"a":6},"a":1,"inner":{"a":7,"a":8},"b":""}"#;
    let inner = Some(Box::new(pair(8, "")));
    assert_eq!(decode::<Pair>(nested), Ok(Pair { inner, ..pair(1, "") }));
}

#[test]
fn numbers_beyond_a_float_are_refused() {
    let range = "json: cannot unmarshal a number out of range";
    assert_eq!(decode::<f64>("1e999").unwrap_err().0, range);
    assert_eq!(decode::<f64>("-1e999").unwrap_err().0, range);
    assert_eq!(decode::<f32>("1e300").unwrap_err().0, range);
    assert_eq!(decode::<Vec<f32>>("[1.5, -2, null, 0.1]"), Ok(vec![1.5, -2.0, 0.0, 0.1]));
    assert_eq!(decode::<f64>("1e300"), Ok(1e300));
}

#[test]
fn json_that_is_cut_short_is_not_passed_over() {
    for json in ["{", "[", "{\"a\":", "[1", "[1,", "{\"a\":1", "\"a", "tru", "-", "1e", "1."] {
        assert!(decode::<serde::de::IgnoredAny>(json).is_err(), "{json}");
        assert!(decode::<()>(json).is_err(), "{json}");
        assert!(decode::<Box<serde_json::value::RawValue>>(json).is_err(), "{json}");
    }
    for json in ["0", "-12", "1.5", "1e9", "null", "{} ", "[1]"] {
        assert!(decode::<serde::de::IgnoredAny>(json).is_ok(), "{json}");
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Wide {
    user_id: u8,
    name: String,
    data: Vec<u8>,
    fixed: [u16; 3],
    inner: Args,
    maybe: Option<Box<Self>>,
    by_number: BTreeMap<i32, bool>,
    list: Vec<Args>,
    float: f64,
    #[serde(default = "ten")]
    ten: i32,
    wide: i128,
    letter: char,
    nothing: (),
}

fn ten() -> i32 {
    10
}

fn zero() -> Wide {
    Wide {
        user_id: 0,
        name: String::new(),
        data: Vec::new(),
        fixed: [0; 3],
        inner: Args { a: 0, b: 0 },
        maybe: None,
        by_number: BTreeMap::new(),
        list: Vec::new(),
        float: 0.0,
        ten: 10,
        wide: 0,
        letter: '\0',
        nothing: (),
    }
}

#[test]
fn what_is_missing_is_zero_or_the_types_own_default() {
    assert_eq!(decode("{}"), Ok(zero()));
    assert_eq!(decode("null"), Ok(zero()));
    let nulls = r#"{"user_id":null,"name":null,"data":null,"fixed":null,"inner":null,"maybe":null,
        "by_number":null,"list":null,"float":null,"ten":null,"wide":null,"letter":null,"nothing":null}"#;
    assert_eq!(decode(nulls), Ok(Wide { ten: 0, ..zero() }));
    assert_eq!(
        decode::<Vec<Args>>(r#"[{"a":1},{"b":2}]"#),
        Ok(vec![Args { a: 1, b: 0 }, Args { a: 0, b: 2 }])
    );
}

#[test]
fn names_match_without_regard_to_case() {
    let json = r#"{"UserID":1,"NAME":"n","Data":"aGk=","fixed":[1],"INNER":{"A":1,"b":2},
        "Maybe":{"list":[{"A":5}]},"ByNumber":{"-5":true},"unknown":[{}],"wide":-170141183460469231731687303715884105728}"#;
    let read: Wide = decode(json).unwrap();
    let maybe = Wide { list: vec![Args { a: 5, b: 0 }], ..zero() };
    let expected = Wide {
        user_id: 1,
        name: "n".into(),
        data: b"hi".into(),
        fixed: [1, 0, 0],
        inner: Args { a: 1, b: 2 },
        maybe: Some(Box::new(maybe)),
        by_number: BTreeMap::from([(-5, true)]),
        wide: i128::MIN,
        ..zero()
    };
    assert_eq!(read, expected);
}

#[test]
fn an_exact_name_goes_before_a_similar_one() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Two {
        ab: i32,
        a_b: i32,
        #[serde(alias = "old")]
        new: i32,
    }
    assert_eq!(decode(r#"{"a_b":1,"ab":2,"old":3}"#), Ok(Two { ab: 2, a_b: 1, new: 3 }));
}

#[test]
fn wrong_values_are_told_in_words() {
    for (error, json) in [
        (decode::<u8>("300").unwrap_err(), "300"),
        (decode::<i64>("1.5").unwrap_err(), "1.5"),
        (decode::<i64>("\"x\"").unwrap_err(), "\"x\""),
        (decode::<Vec<u8>>("\"?\"").unwrap_err(), "base64"),
        (decode::<Args>("7").unwrap_err(), "struct Args"),
        (decode::<Args>("{} {}").unwrap_err(), "JSON"),
    ] {
        assert!(error.0.starts_with("json: cannot unmarshal "), "{error}");
        assert!(error.0.contains(json.trim_matches('"')), "{error}");
    }
    assert_eq!(decode::<()>("").unwrap_err().0, "jsonrpc: request body missing params");
}

#[test]
fn recursive_types_are_read_only_so_deep() {
    #[derive(Debug, Deserialize)]
    struct Deep {
        #[expect(dead_code, reason = "only its depth matters")]
        deep: Option<Box<Self>>,
    }
    let nest = |depth| format!("{}null{}", "{\"deep\":".repeat(depth), "}".repeat(depth));
    assert!(decode::<Deep>(&nest(128)).is_ok());
    assert!(decode::<Deep>(&nest(129)).unwrap_err().0.contains("too deep"));
    let ignored = format!("{{\"x\":{}}}", nest(100_000));
    assert!(decode::<Deep>(&ignored).is_ok());
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Choice {
    Nothing,
    One(i32),
    Two(i32, String),
    Named { snake_case: Option<u8> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Many {
    snake_case: u64,
    text: String,
    bytes: Vec<u8>,
    small: Vec<Option<u8>>,
    nested: Vec<Vec<u8>>,
    choices: Vec<Choice>,
    map: BTreeMap<u16, i64>,
    named: BTreeMap<String, bool>,
    float: f64,
    single: f32,
    pair: (i8, char),
    #[serde(rename = "Odd\"Name")]
    odd: Option<Box<Self>>,
}

fn choice() -> impl Strategy<Value = Choice> {
    prop_oneof![
        Just(Choice::Nothing),
        any::<i32>().prop_map(Choice::One),
        any::<(i32, String)>().prop_map(|(a, b)| Choice::Two(a, b)),
        any::<Option<u8>>().prop_map(|snake_case| Choice::Named { snake_case }),
    ]
}

prop_compose! {
    fn many()(
        (snake_case, text, bytes, small, nested) in any::<(u64, String, Vec<u8>, Vec<Option<u8>>, Vec<Vec<u8>>)>(),
        choices in proptest::collection::vec(choice(), 0..4),
        (map, named, pair) in any::<(BTreeMap<u16, i64>, BTreeMap<String, bool>, (i8, char))>(),
        float in proptest::num::f64::NORMAL, single in proptest::num::f32::NORMAL,
    ) -> Many {
        // A list that is all numbers looks like bytes, and is read back as none that may be absent.
        let small = if small.iter().all(Option::is_some) { Vec::new() } else { small };
        Many { snake_case, text, bytes, small, nested, choices, map, named, float, single, pair, odd: None }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn values_are_read_back(value in many(), outer in many()) {
        let value = Many { odd: Some(Box::new(value)), ..outer };
        for protocol in [Protocol::Json1, Protocol::Json2] {
            let id = CallId::Json { protocol, raw: Some("1".into()), batched: None };
            let mut out = Vec::new();
            Replies::new().ok(&mut out, &id, &value).unwrap();
            let text = str::from_utf8(&out).unwrap();
            prop_assert_eq!(text.contains("SnakeCase"), protocol == Protocol::Json1);
            prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok());
            let mut answers = Answers::new(&Limits::default());
            let Ok(Some(Answer::Reply { body, .. })) = answers.next(&out, &mut 0) else { panic!("{text}") };
            prop_assert_eq!(body.decode::<Many>(), Ok(value.clone()));
        }
    }

    /// The scanner and serde_json agree about what is JSON.
    #[test]
    fn requests_are_json(text in r#"[\[\]{}",:0-9eE+.\\ntrufalse \-]{0,12}"#, cut in 0..40usize) {
        let input = format!(r#"{{"method":"A.B","params":[{text}],"id":1}}"#);
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&input).is_ok();
        let mut requests = Requests::new(&Limits::default());
        let cut = input.len().min(cut);
        let first = requests.next(&input.as_bytes()[..cut], &mut 0).map(|it| it.is_some());
        let read = first.and_then(|_| requests.next(input.as_bytes(), &mut 0).map(|it| it.is_some()));
        if is_json {
            prop_assert_eq!(read, Ok(true));
        } else {
            // It may still go on, or have ended early.
            let ends_early = text.contains(b'}' as char);
            prop_assert!(read != Ok(true) || ends_early);
        }
    }
}

#[test]
fn a_list_of_bytes_is_base64_to_go_and_numbers_to_others() {
    assert!(written(Protocol::Json1, &vec![1u8, 2, 255]).contains("[\"AQL/\"]"));
    assert!(written(Protocol::Json2, &vec![1u8, 2, 255]).contains("[[1,2,255]]"));
    assert!(written(Protocol::Json1, &[1u8, 2]).contains("[[1,2]]"));
    assert!(written(Protocol::Json1, &vec![Some(1u8), None, Some(3)]).contains("[[1,null,3]]"));
    assert!(written(Protocol::Json1, &Vec::<u8>::new()).contains("[[]]"));
    assert_eq!(decode::<Vec<u8>>("\"AQL/\""), decode::<Vec<u8>>("[1,2,255]"));
    assert_eq!(decode::<Vec<u8>>("\"AQI\""), Ok(vec![1, 2]));
}

#[test]
fn nothing_and_something_are_told_apart_in_results() {
    for protocol in [Protocol::Json1, Protocol::Json2] {
        for value in [None, Some(5)] {
            let id = CallId::Json { protocol, raw: Some("1".into()), batched: None };
            let mut out = Vec::new();
            Replies::new().ok(&mut out, &id, &value).unwrap();
            let mut answers = Answers::new(&Limits::default());
            let Ok(Some(Answer::Reply { body, .. })) = answers.next(&out, &mut 0) else { panic!() };
            assert_eq!(body.decode::<Option<i32>>(), Ok(value));
        }
    }
}

#[test]
fn half_a_surrogate_pair_is_replaced_and_a_whole_one_is_read() {
    assert_eq!(
        decode::<String>(r#""\ud83d\ude00 \ud800 \udc00x \ud800\u0041 \/\b""#).unwrap(),
        "😀 \u{fffd} \u{fffd}x \u{fffd}A /\u{8}"
    );
}
