//! JSON-RPC.

use locum_wire::jsonrpc::Requests;
use locum_wire::rpc::{Body, Form, Limits, Protocol};

use crate::stream::calls;

/// Requests and answers mean the same however they are cut; what serde_json can read as a value we can,
/// too; any text can be asked to be any value.
pub fn jsonrpc(bytes: &[u8]) {
    calls(Protocol::Json2, bytes, 60, |it| format!("{it:?}"), |it| format!("{it:?}"));

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
