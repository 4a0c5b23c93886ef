//! JSON-RPC.

use locum_wire::jsonrpc::{Answers, Requests};
use locum_wire::rpc::{Body, Form, Limits};

use crate::cut;
use crate::stream::stream;

/// Requests and answers mean the same however they are cut; what serde_json can read as a value we can,
/// too; any text can be asked to be any value.
pub fn jsonrpc(bytes: &[u8]) {
    for message in [16 << 20, 60] {
        let limits = Limits { message, ..Limits::default() };
        let read = |pieces: Vec<&[u8]>| {
            let (mut requests, mut answers) = (Requests::new(&limits), Answers::new(&limits));
            let server = stream(&pieces, |input, taken| {
                let seen = requests.next(input, taken).map(|it| it.map(|it| format!("{it:?}")));
                (seen, requests.needs())
            });
            let client = stream(&pieces, |input, taken| {
                let seen = answers.next(input, taken).map(|it| it.map(|it| format!("{it:?}")));
                (seen, answers.needs())
            });
            (server, client)
        };
        let whole = read(vec![bytes]);
        assert_eq!(read(bytes.chunks(1).collect()), whole, "byte by byte");
        assert_eq!(read(cut(bytes)), whole, "cut");
    }

    let mut body = Requests::of_body(&Limits::default());
    let mut at = 0;
    let first = body.next(bytes, &mut at).map(|it| it.is_some());
    assert_ne!(first, Ok(false), "a body is a request, or none that can be read");

    let body = Body { bytes, form: Form::Json };
    let _ = body.decode::<Vec<(u64, Option<String>)>>();
    let _ = body.decode::<std::collections::BTreeMap<i32, Vec<u8>>>();
    let _ = body.decode::<Option<Result<i128, ()>>>();
    if serde_json::from_slice::<serde_json::Value>(bytes).is_ok() {
        body.decode::<serde_json::Value>().expect("serde_json reads it");
    }
}
