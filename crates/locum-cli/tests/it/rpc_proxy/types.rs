//! Types: a connection holds so many, and the proxy begins another in time.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use locum_testkit::netrpc::gob;
use locum_testkit::{Connection, Upstream};
use serde_json::json;

use super::setup::JsonRpc;
use crate::setup::Config;

/// Answers every call of `Arith.Multiply` with a struct of another type, whose name has 100 KiB.
fn answers_with_ever_new_types(peer: &mut Connection) {
    peer.send(&gob::structure(
        65,
        "Response",
        &[("ServiceMethod", gob::STRING), ("Seq", gob::UINT), ("Error", gob::STRING)],
    ));
    let (mut input, mut buffer) = (Vec::new(), [0; 4096]);
    for id in 66.. {
        // Behind the name stand a 1, as the next field's, and the number of the call.
        let seq = loop {
            let method = b"Arith.Multiply";
            let name = input.windows(method.len()).position(|it| it == method);
            if let Some([1, length, rest @ ..]) = name.and_then(|at| input.get(at + method.len()..))
                && let length = usize::from(length.wrapping_neg())
                && rest.len() >= length
            {
                break [&[length.wrapping_neg() as u8], &rest[..length]].concat();
            }
            match peer.stream().read(&mut buffer) {
                Ok(count @ 1..) => input.extend_from_slice(&buffer[..count]),
                _ => return,
            }
        };
        input.clear();
        let header = gob::message(&[&gob::int(65), &[2], &seq, &[0]]);
        let name = format!("T{id}{}", "x".repeat(100 << 10));
        let value = gob::message(&[&gob::int(id), &[1], &gob::int(id), &[0]]);
        peer.send(&[header, gob::structure(id, &name, &[("C", gob::INT)]), value].concat());
    }
}

#[test]
fn a_server_that_defines_ever_new_types_is_given_another_connection_in_time() {
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    let server = Upstream::start(move |peer| {
        count.fetch_add(1, Ordering::Relaxed);
        answers_with_ever_new_types(peer);
    });
    let locum = Config::calls_to("gob", [server.address()]).start();
    let mut client = JsonRpc::connect(locum.address("rpc"));
    let mut seen = Vec::new();
    for id in 0..24 {
        let call = json!({"method": "Arith.Multiply", "params": [{"A": 6}], "id": id});
        let answer = client.call(&call.to_string());
        seen.push(answer["result"]["C"].as_i64().unwrap_or_else(|| panic!("{answer}")));
    }
    // Half of the MiB that a connection may hold is five names of 100 KiB.
    let expected: Vec<i64> = (0..24).map(|at| 66 + at % 6).collect();
    assert_eq!(seen, expected);
    assert_eq!(connections.load(Ordering::Relaxed), 4);
}
