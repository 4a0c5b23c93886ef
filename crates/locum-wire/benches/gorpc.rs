//! What a call costs in the codecs that Go has: each half of each side, for gob and for both JSON-RPCs.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use locum_wire::rpc::{
    Answer, Answers, Call, CallHead, Calls, Limits, Metadata, Protocol, Replies, Request, Requests,
    Shape,
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Args {
    a: i64,
    b: i64,
}

static ARGS: Shape = Shape::of::<Args>();
static REPLY: Shape = Shape::of::<i64>();

fn calls(c: &mut Criterion) {
    for (name, protocol) in
        [("gob", Protocol::Gob), ("json1", Protocol::Json1), ("json2", Protocol::Json2)]
    {
        call(c, name, protocol);
    }
}

fn call(c: &mut Criterion, name: &str, protocol: Protocol) {
    let head = CallHead {
        id: 300,
        method: "Arith.Multiply",
        timeout: None,
        attempt: 1,
        trace: None,
        metadata: Metadata::default(),
        streams: false,
    };
    let limits = Limits::default();
    let mut out = Vec::with_capacity(4096);
    let mut group = c.benchmark_group(name);

    // The first call brings the definitions along.
    let mut calls = Calls::new(protocol);
    calls.call(&mut out, &head, &ARGS, &Args { a: 7, b: 8 }).unwrap();
    let mut requests = Requests::new(protocol, &limits);
    requests.next(&out, &mut 0).unwrap();
    group.bench_function("write_call", |b| {
        b.iter(|| {
            out.clear();
            calls.call(&mut out, black_box(&head), &ARGS, &Args { a: 7, b: 8 }).unwrap();
        });
    });
    let call = out.clone();
    group.bench_function("read_call", |b| {
        b.iter(|| {
            let request = requests.next(black_box(&call), &mut 0).unwrap();
            let Some(Request::Call(Call { args, .. })) = request else { panic!("a call") };
            args.decode::<Args>().unwrap().a
        });
    });
    group.bench_function("read_head", |b| {
        b.iter(|| requests.next(black_box(&call), &mut 0).unwrap().is_some());
    });

    let Ok(Some(Request::Call(Call { id, .. }))) = requests.next(&call, &mut 0) else {
        panic!("a call")
    };
    let mut replies = Replies::new(protocol);
    out.clear();
    replies.ok(&mut out, &id, "Arith.Multiply", &REPLY, &56i64).unwrap();
    let mut answers = Answers::new(protocol, &limits);
    answers.next(&out, &mut 0).unwrap();
    group.bench_function("write_reply", |b| {
        b.iter(|| {
            out.clear();
            replies.ok(&mut out, black_box(&id), "Arith.Multiply", &REPLY, &56i64).unwrap();
        });
    });
    let reply = out.clone();
    group.bench_function("read_reply", |b| {
        b.iter(|| {
            let answer = answers.next(black_box(&reply), &mut 0).unwrap();
            let Some(Answer::Reply { body, .. }) = answer else { panic!("a reply") };
            body.decode::<i64>().unwrap()
        });
    });
}

criterion_group!(benches, calls);
criterion_main!(benches);
