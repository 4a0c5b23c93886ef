//! The head before gob over HTTP.

use locum_wire::connect::{LIMIT, Request, Response};

/// A head means the same however it is cut, ends in an empty line, and is not waited for without end.
pub fn connect(bytes: &[u8]) {
    let request = Request::default().read(bytes);
    let response = Response::default().read(bytes);
    let (mut requests, mut responses) = (Request::default(), Response::default());
    let (mut asked, mut answered) = (Ok(None), Ok(None));
    for end in 0..=bytes.len() {
        if asked == Ok(None) {
            asked = requests.read(&bytes[..end]);
        }
        if answered == Ok(None) {
            answered = responses.read(&bytes[..end]);
        }
    }
    assert_eq!(asked, request);
    assert_eq!(answered, response);
    if let Ok(Some(length)) = request {
        assert!(length <= LIMIT && bytes[..length].ends_with(b"\n"));
        assert!(bytes.starts_with(b"CONNECT /_goRPC_ HTTP/1."));
    }
    assert!(request != Ok(None) || bytes.len() < LIMIT);
}
