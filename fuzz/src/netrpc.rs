//! net/rpc over gob.

use locum_wire::rpc::{Answer, Body, Call, Form, Protocol, Request};

use crate::stream::calls;

/// Requests and answers mean the same however they are cut; any argument can be asked to be any value.
pub fn netrpc(bytes: &[u8]) {
    calls(Protocol::Gob, bytes, 60, request, answer);
}

fn request(request: &Request<'_>) -> String {
    match request {
        Request::Call(Call { id, method, args, .. }) => format!("{id:?} {method} {}", body(args)),
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
