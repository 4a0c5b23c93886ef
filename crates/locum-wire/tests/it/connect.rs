//! The head before gob over HTTP.

use locum_wire::connect::{ACCEPTED, LIMIT, REQUEST, Refused, Request, Response};

fn request(head: &[u8]) -> Result<Option<usize>, Refused> {
    Request::default().read(head)
}

#[test]
fn the_two_heads_are_gos_own() {
    assert_eq!(REQUEST, b"CONNECT /_goRPC_ HTTP/1.0\n\n");
    assert_eq!(ACCEPTED, b"HTTP/1.0 200 Connected to Go RPC\n\n");
    assert_eq!(request(REQUEST), Ok(Some(REQUEST.len())));
    assert_eq!(Response::default().read(ACCEPTED), Ok(Some(ACCEPTED.len())));
}

#[test]
fn fields_and_carriage_returns_are_passed_over_and_gob_is_left() {
    let head = b"CONNECT /_goRPC_ HTTP/1.1\r\nHost: here\r\nX: y\n\r\n";
    assert_eq!(request(&[head, &b"\x2f\xff\n\n"[..]].concat()), Ok(Some(head.len())));
    let answer = b"HTTP/1.1 200 Connected to Go RPC\r\nVia: 1.1 a\r\n\r\n";
    assert_eq!(Response::default().read(answer), Ok(Some(answer.len())));
}

#[test]
fn another_method_is_told_to_connect() {
    assert_eq!(request(b"GET /_goRPC_ HTTP/1.0\n\n"), Err(Refused::Method));
    let answer = str::from_utf8(Refused::Method.response()).unwrap();
    assert!(answer.starts_with("HTTP/1.0 405 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\n405 must CONNECT\n"), "{answer}");
}

#[test]
fn what_is_refused_is_told_how_long_the_answer_is() {
    for refused in [Refused::Method, Refused::Path, Refused::Malformed, Refused::TooLong] {
        let answer = str::from_utf8(refused.response()).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{answer}");
    }
}

#[test]
fn other_paths_and_other_protocols_are_refused() {
    assert_eq!(request(b"CONNECT /elsewhere HTTP/1.0\n\n"), Err(Refused::Path));
    for head in ["\n", "CONNECT\n\n", "CONNECT /_goRPC_ SPDY\n\n", "CONNECT  /_goRPC_ HTTP/1.0\n\n"]
    {
        assert_eq!(request(head.as_bytes()), Err(Refused::Malformed), "{head:?}");
    }
    assert_eq!(request(b"CONNECT /\xff HTTP/1.0\n\n"), Err(Refused::Malformed));
}

#[test]
fn any_other_answer_is_unexpected() {
    for answer in ["HTTP/1.0 200 OK\n\n", "HTTP/1.0 405 Method Not Allowed\r\n\r\n", "\n"] {
        let error = Response::default().read(answer.as_bytes()).unwrap_err();
        assert_eq!(error.0, answer.lines().next().unwrap());
    }
}

#[test]
fn a_head_without_an_end_is_not_waited_for() {
    let mut head = REQUEST[..REQUEST.len() - 1].to_vec();
    head.resize(LIMIT - 1, b'x');
    assert_eq!(request(&head), Ok(None));
    head.push(b'x');
    assert_eq!(request(&head), Err(Refused::TooLong));
    assert!(Response::default().read(&head).is_err());
}

#[test]
fn a_head_means_the_same_however_it_is_cut() {
    let whole = b"CONNECT /_goRPC_ HTTP/1.1\r\nHost: here\r\n\r\ngob";
    let mut reader = Request::default();
    for end in 0..whole.len() - 3 {
        assert_eq!(reader.read(&whole[..end]), Ok(None));
    }
    assert_eq!(reader.read(whole), Ok(Some(whole.len() - 3)));
}
