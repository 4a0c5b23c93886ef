//! docs/native.md is right: what its blocks show is what is written, and is read as what it says.

use std::collections::BTreeMap;
use std::time::Duration;

use locum_wire::native::{Answers, Calls, Replies, Requests};
use locum_wire::rpc::{
    Answer, Body, Call, CallHead, CallId, Class, Failure, Form, Limits, Metadata, Refusal, Request,
    TraceParent,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Args {
    a: i64,
    b: i64,
}

const ARGS: Args = Args { a: 7, b: 8 };

#[test]
fn what_a_client_writes_is_what_the_page_shows() {
    let mut page = Page::read();
    let mut metadata = Vec::new();
    Metadata::encode(&[("tenant", "blue")], &mut metadata);
    let first = CallHead {
        id: 0,
        method: "Arith.Multiply",
        timeout: None,
        attempt: 1,
        trace: None,
        metadata: Metadata::default(),
        streams: false,
    };
    let all = CallHead {
        id: 257,
        timeout: Some(Duration::from_secs(5)),
        attempt: 2,
        trace: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap()),
        metadata: Metadata::parse(&metadata).unwrap(),
        streams: true,
        ..first
    };
    let (mut calls, mut out) = (Calls::new(), Vec::new());
    calls.call(&mut out, &first, &ARGS).unwrap();
    assert_eq!(out, [page.take("hello"), page.take("call, the first of its method")].concat());
    out.clear();
    calls.call(&mut out, &all, &ARGS).unwrap();
    assert_eq!(out, page.take("call, with everything"));
    out.clear();
    calls.cancel(&mut out, 257);
    calls.item(&mut out, 3, &42i32).unwrap();
    calls.end(&mut out, 3);
    calls.credit(&mut out, 3, 65536);
    calls.ping(&mut out, TOKEN);
    calls.pong(&mut out, TOKEN);
    let shown = ["cancel", "item", "end", "credit", "ping", "pong"].map(|name| page.take(name));
    assert_eq!(out, shown.concat());

    out.clear();
    let second = CallHead { id: 2, timeout: all.timeout, ..first };
    let json = serde_json::value::to_raw_value(&ARGS).unwrap();
    calls.call_json(&mut out, &second, &json).unwrap();
    assert_eq!(out, page.take("call, in JSON"));

    let names = [
        "error, a refusal",
        "error, with a code and a detail",
        "goaway",
        "item, in JSON",
        "open",
        "reply",
        "reply, in JSON",
    ];
    assert_eq!(page.0.into_keys().collect::<Vec<_>>(), names, "the rest is the server's");
}

#[test]
fn what_a_server_writes_is_what_the_page_shows() {
    let mut page = Page::read();
    let (mut replies, mut out) = (Replies::new(), Vec::new());
    replies.ok(&mut out, &CallId::Number(0), &56i64).unwrap();
    replies.ok(&mut out, &CallId::NumberInJson(2), &56i64).unwrap();
    replies.failure(&mut out, &CallId::Number(1), &divide_by_zero());
    replies.failure(&mut out, &CallId::Number(3), &too_much());
    replies.go_away(&mut out, Some(257));
    replies.open(&mut out, &CallId::Number(3)).unwrap();
    replies.item(&mut out, &CallId::Number(3), &42i32).unwrap();
    replies.item(&mut out, &CallId::NumberInJson(3), &42i32).unwrap();
    replies.credit(&mut out, 3, 65536);
    replies.ping(&mut out, TOKEN);
    replies.pong(&mut out, TOKEN);
    let shown = [
        "hello",
        "reply",
        "reply, in JSON",
        "error, with a code and a detail",
        "error, a refusal",
        "goaway",
        "open",
        "item",
        "item, in JSON",
        "credit",
        "ping",
        "pong",
    ];
    assert_eq!(out, shown.map(|name| page.take(name)).concat());
}

#[test]
fn a_server_reads_what_the_page_shows() {
    let mut page = Page::read();
    let shown = [
        "hello",
        "call, the first of its method",
        "call, with everything",
        "call, in JSON",
        "cancel",
        "item",
        "item, in JSON",
        "end",
        "credit",
        "ping",
        "pong",
        "goaway",
    ];
    let input = shown.map(|name| page.take(name)).concat();
    let mut requests = Requests::new(&Limits::default());
    let (mut taken, mut seen) = (0, Vec::new());
    while let Some(request) = requests.next(&input[taken..], &mut taken).unwrap() {
        seen.push(match request {
            Request::Call(Call {
                id,
                method,
                timeout,
                attempt,
                trace,
                metadata,
                args,
                streams,
            }) => {
                let Args { a, b } = value(args);
                let metadata = metadata.iter().collect::<Vec<_>>();
                let trace = trace.map(|trace: TraceParent| trace.to_string());
                format!(
                    "{id:?} {method} {timeout:?} {attempt} {trace:?} {metadata:?} {streams} {a} {b}"
                )
            }
            Request::Cancel { id, answer: None } => format!("cancel {id}"),
            Request::Item { id, item } => format!("item {id} {}", value::<i32>(item)),
            Request::Ping(TOKEN) => "ping".to_owned(),
            Request::Pong(TOKEN) => "pong".to_owned(),
            other => format!("{other:?}"),
        });
    }
    assert_eq!(taken, input.len());
    let expected = [
        "Number(0) Arith.Multiply None 1 None [] false 7 8",
        "Number(257) Arith.Multiply Some(5s) 2 Some(\"00-4bf92f3577b34da6a3ce929d0e0e4736-\
         00f067aa0ba902b7-01\") [(\"tenant\", \"blue\")] true 7 8",
        "NumberInJson(2) Arith.Multiply Some(5s) 1 None [] false 7 8",
        "cancel 257",
        "item 3 42",
        "item 3 42",
        "End { id: 3 }",
        "Credit { id: 3, bytes: 65536 }",
        "ping",
        "pong",
        "GoAway",
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_client_reads_what_the_page_shows() {
    let mut page = Page::read();
    let shown = [
        "hello",
        "reply",
        "reply, in JSON",
        "error, with a code and a detail",
        "error, a refusal",
        "open",
        "item",
        "item, in JSON",
        "credit",
        "ping",
        "pong",
        "goaway",
    ];
    let input = shown.map(|name| page.take(name)).concat();
    let mut answers = Answers::new(&Limits::default());
    let (mut taken, mut seen) = (0, Vec::new());
    while let Some(answer) = answers.next(&input[taken..], &mut taken).unwrap() {
        seen.push(match answer {
            Answer::Reply { id, body } => format!("reply {id} {}", value::<i64>(body)),
            Answer::Failure { id: 1, failure } if *failure == divide_by_zero() => "app".to_owned(),
            Answer::Failure { id: 3, failure } if *failure == too_much() => "refusal".to_owned(),
            Answer::Item { id, item } => format!("item {id} {}", value::<i32>(item)),
            Answer::Ping(TOKEN) => "ping".to_owned(),
            Answer::Pong(TOKEN) => "pong".to_owned(),
            other => format!("{other:?}"),
        });
    }
    assert_eq!(taken, input.len());
    let expected = [
        "reply 0 56",
        "reply 2 56",
        "app",
        "refusal",
        "Open { id: 3 }",
        "item 3 42",
        "item 3 42",
        "Credit { id: 3, bytes: 65536 }",
        "ping",
        "pong",
        "GoAway { last: Some(257) }",
    ];
    assert_eq!(seen, expected);
}

const TOKEN: u64 = 0x0807_0605_0403_0201;

fn divide_by_zero() -> Failure<'static> {
    let plain = Failure::new(Class::App, "divide by zero");
    Failure { code: Some(-9), detail: Some(vec![42].into()), ..plain }
}

fn too_much() -> Failure<'static> {
    let refusal = Refusal {
        kind: "rate_limit".to_owned(),
        policy: "per-tenant".to_owned(),
        reason: "limited".to_owned(),
        retry_after: Some(Duration::from_millis(250)),
    };
    Failure { refusal: Some(refusal), ..Failure::new(Class::Rejected, "too much") }
}

fn value<T: DeserializeOwned>(body: Body<'_>) -> T {
    match body.form {
        Form::Json => serde_json::from_slice(body.bytes).unwrap(),
        Form::Postcard => postcard::from_bytes(body.bytes).unwrap(),
        Form::Gob { .. } | Form::Params => panic!("native carries none"),
    }
}

/// The page's blocks, by name.
struct Page(BTreeMap<&'static str, Vec<u8>>);

impl Page {
    fn read() -> Self {
        let blocks = include_str!("../../../../docs/native.md").split("```hex ").skip(1);
        Self(blocks.map(Self::block).collect())
    }

    fn block(block: &'static str) -> (&'static str, Vec<u8>) {
        let (name, lines) = block.split_once("```").unwrap().0.split_once('\n').unwrap();
        let mut bytes = Vec::new();
        for line in lines.lines() {
            let shown = line.split("//").next().unwrap();
            for (at, part) in shown.split('"').enumerate() {
                if at % 2 == 1 {
                    bytes.push(u8::try_from(part.len()).unwrap());
                    bytes.extend_from_slice(part.as_bytes());
                    continue;
                }
                let digits: Vec<_> = part.chars().filter_map(|digit| digit.to_digit(16)).collect();
                bytes.extend(digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8));
            }
        }
        (name, bytes)
    }

    fn take(&mut self, name: &str) -> Vec<u8> {
        self.0.remove(name).unwrap_or_else(|| panic!("no block called {name}"))
    }
}
