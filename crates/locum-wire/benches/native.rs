//! What a call of the native protocol costs in the codec: each half of each side.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use locum_wire::native::{Answers, Calls, Replies, Requests};
use locum_wire::rpc::{Answer, Call, CallHead, CallId, Limits, Metadata, Request};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Args {
    a: i64,
    b: i64,
}

fn native(c: &mut Criterion) {
    let head = CallHead {
        id: 300,
        method: "Arith.Multiply",
        timeout: Some(Duration::from_secs(10)),
        attempt: 1,
        trace: None,
        metadata: Metadata::default(),
        streams: false,
    };
    let limits = Limits::default();
    let mut out = Vec::with_capacity(4096);

    let mut calls = Calls::new();
    calls.call(&mut out, &head, &Args { a: 7, b: 8 }).unwrap();
    let mut requests = Requests::new(&limits);
    requests.next(&out, &mut 0).unwrap();
    out.clear();
    c.bench_function("write_call", |b| {
        b.iter(|| {
            out.clear();
            calls.call(&mut out, black_box(&head), &Args { a: 7, b: 8 }).unwrap();
        });
    });
    let call = out.clone();
    c.bench_function("read_call", |b| {
        b.iter(|| {
            let request = requests.next(black_box(&call), &mut 0).unwrap();
            let Some(Request::Call(Call { args, .. })) = request else { panic!("a call") };
            args.decode::<Args>().unwrap().a
        });
    });

    let mut replies = Replies::new();
    out.clear();
    replies.ok(&mut out, &CallId::Number(300), &56i64).unwrap();
    let mut answers = Answers::new(&limits);
    answers.next(&out, &mut 0).unwrap();
    c.bench_function("write_reply", |b| {
        b.iter(|| {
            out.clear();
            replies.ok(&mut out, black_box(&CallId::Number(300)), &56i64).unwrap();
        });
    });
    let reply = out.clone();
    c.bench_function("read_reply", |b| {
        b.iter(|| {
            let answer = answers.next(black_box(&reply), &mut 0).unwrap();
            let Some(Answer::Reply { body, .. }) = answer else { panic!("a reply") };
            body.decode::<i64>().unwrap()
        });
    });
}

criterion_group!(benches, native);
criterion_main!(benches);
