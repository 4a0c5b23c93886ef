//! What a stream costs in the codec: heads and content, both ways.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use locum_wire::http2::{Connection, Event, Limits, Scheme, StreamId};

const BROWSER: &[u8] = b"GET /products/search?q=shoes&page=2 HTTP/1.1\r\n\
    Host: shop.example.com\r\n\
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
    Content-Length: 0\r\n\r\n";

/// Ends whose tables are warm, or that keep none.
fn ends(table: usize) -> (Connection, Connection) {
    let limits = Limits { table_bytes: table, ..Limits::default() };
    let mut client = Connection::client(&limits, Scheme::Https);
    let mut server = Connection::server(&limits, 7);
    for _ in 0..4 {
        pass(&mut client, &mut server);
        pass(&mut server, &mut client);
    }
    for _ in 0..4 {
        exchange(&mut client, &mut server);
    }
    (client, server)
}

/// Delivers what one end has to say; gives the last stream that a head came on.
fn pass(from: &mut Connection, to: &mut Connection) -> Option<StreamId> {
    let (mut at, mut last) = (0, None);
    let output = std::mem::take(from.output());
    loop {
        let (used, event) = to.receive(&output[at..]).expect("both keep to the rules");
        at += used;
        match event {
            Some(Event::Head { stream, .. }) => last = Some(stream),
            Some(_) => {}
            None => break,
        }
    }
    *from.output() = output;
    from.output().clear();
    last
}

fn exchange(client: &mut Connection, server: &mut Connection) {
    let stream = client.open().expect("there is room");
    client.send(stream, black_box(BROWSER)).unwrap();
    let heard = pass(client, server).expect("a request");
    black_box(server.text().len());
    server.send(heard, black_box(ANSWER)).unwrap();
    assert!(pass(server, client).is_some());
}

fn heads(c: &mut Criterion) {
    for (name, table) in [("exchange_warm", 4096), ("exchange_without_table", 0)] {
        let (mut client, mut server) = ends(table);
        c.bench_function(name, |b| b.iter(|| exchange(&mut client, &mut server)));
    }
}

fn content(c: &mut Criterion) {
    let (mut client, mut server) = ends(4096);
    let stream = client.open().unwrap();
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000000\r\n\r\n";
    client.send(stream, head).unwrap();
    let stream = pass(&mut client, &mut server).unwrap();
    let content = vec![b'x'; 16 * 1024];
    let mut group = c.benchmark_group("content");
    group.throughput(Throughput::Bytes(content.len() as u64));
    group.bench_function("16_kib", |b| {
        b.iter(|| {
            assert_eq!(client.send(stream, black_box(&content)), Ok(content.len()));
            pass(&mut client, &mut server);
            server.release(stream, content.len());
            pass(&mut server, &mut client);
        });
    });
    group.finish();
}

criterion_group!(benches, heads, content);
criterion_main!(benches);
