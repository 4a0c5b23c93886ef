//! The committed corpora, through the same functions that the fuzzer calls.

use std::fs;
use std::path::Path;

#[test]
fn request() {
    replay("request", locum_fuzz::request);
}

#[test]
fn response() {
    replay("response", locum_fuzz::response);
}

#[test]
fn chunked() {
    replay("chunked", locum_fuzz::chunked);
}

#[test]
fn path() {
    replay("path", locum_fuzz::path);
}

#[test]
fn native() {
    replay("native", locum_fuzz::native);
}

#[test]
fn connect() {
    replay("connect", locum_fuzz::connect);
}

#[test]
fn jsonrpc() {
    replay("jsonrpc", locum_fuzz::jsonrpc);
}

#[test]
fn gob() {
    replay("gob", locum_fuzz::gob);
}

#[test]
fn gob_json() {
    replay("gob_json", locum_fuzz::gob_json);
}

#[test]
fn netrpc() {
    replay("netrpc", locum_fuzz::netrpc);
}

#[test]
fn rpc_forward() {
    replay("rpc_forward", locum_fuzz::rpc_forward);
}

#[test]
fn gob_typed() {
    replay("gob_typed", locum_fuzz::gob_typed);
}

#[test]
fn detect() {
    replay("detect", locum_fuzz::detect);
}

#[test]
fn http2() {
    replay("http2", locum_fuzz::http2);
}

#[test]
fn http2_heads() {
    replay("http2_heads", locum_fuzz::http2_heads);
}

#[test]
fn proxy_protocol() {
    replay("proxy_protocol", locum_fuzz::proxy_protocol);
}

#[test]
fn client_hello() {
    replay("client_hello", locum_fuzz::client_hello);
}

#[test]
fn protobuf() {
    replay("protobuf", locum_fuzz::protobuf);
}

#[test]
fn differential() {
    replay("differential", locum_fuzz::differential);
}

/// Calls a target with every file of its corpus; the name of the last one is told when it fails.
fn replay(target: &str, check: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut replayed = 0;
    for entry in fs::read_dir(corpus).unwrap() {
        let file = entry.unwrap().path();
        println!("{}", file.display());
        check(&fs::read(&file).unwrap());
        replayed += 1;
    }
    assert!(replayed > 0, "the corpus is there");
}
