//! What one head costs, beside `httparse`, which checks less: it knows no framing, no host, no
//! hop-by-hop fields, and starts over when more bytes arrive.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use locum_wire::http1::{Chunked, Framing, Head, Limits, path};

const WRK: &[u8] = b"GET /users/42 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";

const FIVE_FIELDS: &[u8] = b"GET /api/users/42?full=1 HTTP/1.1\r\n\
    Host: shop.example.com\r\n\
    User-Agent: curl/8.5.0\r\n\
    Accept: */*\r\n\
    Accept-Encoding: gzip, br\r\n\
    X-Request-Id: 7f3c1e0a9b\r\n\r\n";

const BROWSER: &[u8] = b"GET /products/search?q=shoes&page=2 HTTP/1.1\r\n\
    Host: shop.example.com\r\n\
    Connection: keep-alive\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Referer: https://shop.example.com/products\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\
    Cache-Control: max-age=0\r\n\
    Upgrade-Insecure-Requests: 1\r\n\r\n";

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Server: nginx\r\n\
    Date: Wed, 25 Nov 2026 03:00:00 GMT\r\n\
    Content-Type: application/json\r\n\
    Content-Length: 1024\r\n\
    Connection: keep-alive\r\n\r\n";

fn requests(c: &mut Criterion) {
    let limits = Limits::default();
    for (name, bytes) in [("wrk", WRK), ("five_fields", FIVE_FIELDS), ("browser", BROWSER)] {
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        let mut head = Head::new();
        group.bench_function("locum", |b| {
            b.iter(|| {
                head.clear();
                assert!(head.parse_request(black_box(bytes), &limits).unwrap());
                black_box(head.request(bytes).framing() == Framing::None)
            });
        });
        group.bench_function("httparse", |b| {
            b.iter(|| {
                let mut fields = [httparse::EMPTY_HEADER; 32];
                let mut request = httparse::Request::new(&mut fields);
                assert!(request.parse(black_box(bytes)).unwrap().is_complete());
                black_box(request.headers.len())
            });
        });
        let mut head = Head::new();
        group.bench_function("locum_byte_by_byte", |b| {
            b.iter(|| {
                head.clear();
                (1..=bytes.len())
                    .any(|end| head.parse_request(black_box(&bytes[..end]), &limits).unwrap())
            });
        });
        group.finish();
    }
}

fn answers(c: &mut Criterion) {
    let limits = Limits::default();
    let mut group = c.benchmark_group("answer");
    let mut head = Head::new();
    group.bench_function("locum", |b| {
        b.iter(|| {
            head.clear();
            assert!(head.parse_response(black_box(ANSWER), &limits).unwrap());
            black_box(head.response(ANSWER).framing(false))
        });
    });
    group.bench_function("httparse", |b| {
        b.iter(|| {
            let mut fields = [httparse::EMPTY_HEADER; 32];
            let mut response = httparse::Response::new(&mut fields);
            assert!(response.parse(black_box(ANSWER)).unwrap().is_complete());
            black_box(response.headers.len())
        });
    });
    group.finish();
}

fn content(c: &mut Criterion) {
    let limits = Limits::default();
    let mut bytes = Vec::new();
    for _ in 0..16 {
        bytes.extend_from_slice(b"400\r\n");
        bytes.extend_from_slice(&[b'x'; 1024]);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    c.bench_function("chunked_16_x_1024", |b| {
        b.iter(|| {
            let mut chunked = Chunked::new(&limits);
            let mut used = 0;
            while used < bytes.len() {
                used += chunked.next(black_box(&bytes[used..])).unwrap().0;
            }
            used
        });
    });
    c.bench_function("normalise", |b| {
        b.iter(|| path::normalise(black_box(b"/api/v1/users/42/orders")).unwrap().len());
    });
}

criterion_group!(benches, requests, answers, content);
criterion_main!(benches);
