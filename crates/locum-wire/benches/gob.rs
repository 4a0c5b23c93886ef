//! What Rust values cost on gob, once their types are known to both ends.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use locum_wire::gob::{Bytes, Encoder, Schema, Stream, Typed, decode};
use locum_wire::rpc::Limits;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
struct Args {
    a: i64,
    b: i64,
}

#[derive(Clone, Serialize, Deserialize)]
struct Order {
    id: u64,
    customer: String,
    email: String,
    cents: i64,
    weight: f64,
    express: bool,
    lines: Vec<i64>,
    note: Option<String>,
    warehouse: u32,
    at: i64,
}

fn order() -> Order {
    Order {
        id: 81_723,
        customer: "Grace Hopper".to_owned(),
        email: "grace@navy.example".to_owned(),
        cents: 129_900,
        weight: 1.25,
        express: true,
        lines: vec![7, 300, 12],
        note: None,
        warehouse: 3,
        at: 1_795_000_000,
    }
}

fn bench<T: Serialize + DeserializeOwned>(c: &mut Criterion, name: &str, value: &T) {
    let schema = Schema::trace::<T>().expect("gob can carry it");
    let (mut encoder, mut out) = (Encoder::new(), Vec::new());
    encoder.encode(&mut out, &schema, value).expect("gob can carry it");
    let mut stream = Stream::new(&Limits::default());
    stream.next(&out, &mut 0).expect("it was just written").expect("whole");
    out.clear();
    encoder.encode(&mut out, &schema, value).expect("gob can carry it");
    let message = out.clone();
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Bytes(message.len() as u64));
    group.bench_function("encode", |b| {
        b.iter(|| {
            out.clear();
            encoder.encode(&mut out, &schema, black_box(value)).expect("as before");
            out.len()
        });
    });
    group.bench_function("decode", |b| {
        b.iter(|| {
            let raw = stream.next(black_box(&message), &mut 0).expect("valid").expect("whole");
            decode::<T>(raw.types, raw.id, raw.bytes).expect("as before")
        });
    });
    group.finish();
}

/// What carries a value that it has no type for does: finds it, reads it, hands it on.
fn untyped<T: Serialize + DeserializeOwned>(c: &mut Criterion, name: &str, value: &T) {
    let schema = Schema::trace::<T>().expect("gob can carry it");
    let (mut encoder, mut out) = (Encoder::new(), Vec::new());
    encoder.encode(&mut out, &schema, value).expect("gob can carry it");
    let (limits, mut stream) = (Limits::default(), Stream::new(&Limits::default()));
    stream.next(&out, &mut 0).expect("it was just written").expect("whole");
    out.clear();
    encoder.encode(&mut out, &schema, value).expect("gob can carry it");
    let message = out.clone();
    let mut other = Encoder::new();
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Bytes(message.len() as u64));
    group.bench_function("find", |b| {
        b.iter(|| stream.next(black_box(&message), &mut 0).expect("valid").is_some());
    });
    group.bench_function("copy", |b| {
        b.iter(|| {
            let raw = stream.next(black_box(&message), &mut 0).expect("valid").expect("whole");
            out.clear();
            other.copy(&mut out, &raw, &limits).expect("as before");
        });
    });
    group.bench_function("read", |b| {
        b.iter(|| {
            let raw = stream.next(black_box(&message), &mut 0).expect("valid").expect("whole");
            Typed::decode(&raw, &limits).expect("as before")
        });
    });
    group.finish();
}

fn all(c: &mut Criterion) {
    untyped(c, "untyped_args", &Args { a: 7, b: 8 });
    untyped(c, "untyped_order", &order());
    bench(c, "args", &Args { a: 7, b: 8 });
    bench(c, "order", &order());
    bench(c, "orders_100", &vec![order(); 100]);
    bench(c, "args_100", &vec![Args { a: 7, b: 8 }; 100]);
    bench(c, "ints_100", &(0..100).collect::<Vec<i64>>());
    bench(c, "bytes_64k", &Bytes(vec![7; 1 << 16]));
    bench(c, "vec_u8_64k", &vec![7_u8; 1 << 16]);
}

criterion_group!(gob, all);
criterion_main!(gob);
