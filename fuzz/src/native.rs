//! The native protocol.

use locum_wire::rpc::{Body, Form, Protocol};

use crate::stream::calls;

/// Frames mean the same however they are cut, to a server and to a client; any body can be asked to be
/// any value.
pub fn native(bytes: &[u8]) {
    calls(Protocol::Native, bytes, 40, |it| format!("{it:?}"), |it| format!("{it:?}"));
    let body = Body { bytes, form: Form::Postcard };
    let _ = body.decode::<Vec<(u64, Option<String>)>>();
    let _ = body.decode::<std::collections::BTreeMap<i32, Vec<()>>>();
}
