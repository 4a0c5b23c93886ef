//! What it costs to pass a call on without its types, beside reading and writing it with them.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use locum_wire::gob::Described;
use locum_wire::rpc::{
    Body, Call, CallHead, Calls, Form, Limits, Metadata, Protocol, Request, Requests, Shape,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
struct Args {
    #[serde(rename = "A")]
    a: i64,
    #[serde(rename = "B")]
    b: i64,
}

static ARGS: Shape = Shape::of::<Args>();
static LIST: Shape = Shape::of::<Vec<Args>>();

fn forward(c: &mut Criterion) {
    calls(c, "args", &ARGS, &Args { a: 7, b: 8 });
    calls(c, "args_100", &LIST, &vec![Args { a: 7, b: 8 }; 100]);
}

fn calls<T: Serialize + DeserializeOwned>(c: &mut Criterion, name: &str, shape: &Shape, args: &T) {
    let limits = Limits::default();
    let head = CallHead {
        id: 300,
        method: "Arith.Multiply",
        timeout: None,
        attempt: 1,
        trace: None,
        metadata: Metadata::default(),
        streams: false,
    };
    let mut group = c.benchmark_group(name);
    let (mut client, mut call) = (Calls::new(Protocol::Gob), Vec::new());
    // The first call brings the definitions along.
    client.call(&mut call, &head, shape, args).unwrap();
    let mut requests = Requests::new(Protocol::Gob, &limits);
    let hint = match requests.next(&call, &mut 0) {
        Ok(Some(Request::Call(call))) => match call.args.form {
            Form::Gob { types, id } => Described::of(types, id).unwrap(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    call.clear();
    client.call(&mut call, &head, shape, args).unwrap();
    let mut out = Vec::with_capacity(4096);
    for (name, to) in
        [("to_gob", Protocol::Gob), ("to_json", Protocol::Json1), ("to_native", Protocol::Native)]
    {
        let mut server = Calls::new(to);
        group.bench_function(name, |b| {
            b.iter(|| {
                let request = requests.next(black_box(&call), &mut 0).unwrap();
                let Some(Request::Call(Call { args, .. })) = request else { panic!("a call") };
                out.clear();
                server.forward(&mut out, &head, &args, None, &limits).unwrap();
            });
        });
    }
    let mut server = Calls::new(Protocol::Gob);
    group.bench_function("typed_to_gob", |b| {
        b.iter(|| {
            let request = requests.next(black_box(&call), &mut 0).unwrap();
            let Some(Request::Call(Call { args, .. })) = request else { panic!("a call") };
            out.clear();
            server.call(&mut out, &head, shape, &args.decode::<T>().unwrap()).unwrap();
        });
    });

    let json = match requests.next(&call, &mut 0) {
        Ok(Some(Request::Call(Call { args, .. }))) => args.to_json().unwrap(),
        other => panic!("{other:?}"),
    };
    let args = Body { bytes: json.as_bytes(), form: Form::Json };
    for (name, to) in [("json_to_gob", Protocol::Gob), ("json_to_json", Protocol::Json1)] {
        let mut server = Calls::new(to);
        group.bench_function(name, |b| {
            b.iter(|| {
                out.clear();
                server.forward(&mut out, &head, black_box(&args), Some(&hint), &limits).unwrap();
            });
        });
    }
}

criterion_group!(benches, forward);
criterion_main!(benches);
