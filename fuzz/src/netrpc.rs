//! net/rpc over gob.

use locum_wire::netrpc::{Answers, Requests};
use locum_wire::rpc::{Answer, Body, Form, Limits, Request};

use crate::cut;
use crate::stream::stream;

/// Requests and answers mean the same however they are cut; any argument can be asked to be any value.
pub fn netrpc(bytes: &[u8]) {
    for message in [16 << 20, 60] {
        let limits = Limits { message, ..Limits::default() };
        let read = |pieces: Vec<&[u8]>| {
            let (mut requests, mut answers) = (Requests::new(&limits), Answers::new(&limits));
            let server = stream(&pieces, |input, taken| {
                let seen = requests.next(input, taken);
                let seen = seen.map(|it| it.map(|it| request(&it)));
                (seen, requests.needs())
            });
            let client = stream(&pieces, |input, taken| {
                let seen = answers.next(input, taken);
                let seen = seen.map(|it| it.map(|it| answer(&it)));
                (seen, answers.needs())
            });
            (server, client)
        };
        let whole = read(vec![bytes]);
        assert_eq!(read(bytes.chunks(1).collect()), whole, "byte by byte");
        assert_eq!(read(cut(bytes)), whole, "cut");
    }
}

fn request(request: &Request<'_>) -> String {
    match request {
        Request::Call { id, method, args, .. } => format!("{id:?} {method} {}", body(args)),
        other => format!("{other:?}"),
    }
}

fn answer(answer: &Answer<'_>) -> String {
    match answer {
        Answer::Reply { id, body: reply } => format!("{id} {}", body(reply)),
        other => format!("{other:?}"),
    }
}

fn body(body: &Body<'_>) -> String {
    let Form::Gob { id, .. } = body.form else { panic!("net/rpc carries gob") };
    let numbers = body.decode::<Vec<i64>>();
    let texts = body.decode::<std::collections::BTreeMap<String, Option<f64>>>();
    format!("{id:?} {:?} {numbers:?} {texts:?}", body.bytes)
}
