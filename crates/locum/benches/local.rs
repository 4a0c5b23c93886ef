//! What a proxy around a service in the same program costs, over calling the service itself.

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use locum::{Cx, Policies};

use arith::{Args, Arith, ArithProxy, RealArith};

#[path = "shared/arith.rs"]
mod arith;

/// Nothing waits, so one poll is a whole call.
fn call_once(arith: &impl Arith, cx: &Cx) -> i64 {
    let call = pin!(arith.multiply(cx, black_box(Args { a: 6, b: 7 })));
    let Poll::Ready(product) = call.poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("it waits")
    };
    product.expect("nothing fails")
}

fn calls(criterion: &mut Criterion) {
    let policies = Policies::parse(
        "[policies.careful]\ntimeout = \"2s\"\nretry = { attempts = 3 }\nbreaker = {}\n",
    );
    let careful = policies.expect("it is one").get("careful").expect("it stands above").clone();
    let cx = Cx::new();
    let timed = cx.with_timeout(Duration::from_secs(3600));
    let wrapped = ArithProxy::wrap(RealArith, None);
    let guarded = ArithProxy::wrap(RealArith, careful);
    criterion.bench_function("local/service itself", |b| b.iter(|| call_once(&RealArith, &cx)));
    criterion.bench_function("local/wrapped", |b| b.iter(|| call_once(&wrapped, &cx)));
    criterion.bench_function("local/wrapped, with a deadline", |b| {
        b.iter(|| call_once(&wrapped, &timed));
    });
    criterion.bench_function("local/under a policy", |b| b.iter(|| call_once(&guarded, &cx)));
}

criterion_group!(local, calls);
criterion_main!(local);
