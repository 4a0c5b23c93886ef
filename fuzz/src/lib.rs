//! What must hold of any bytes. Each function is a fuzz target and panics when it does not hold;
//! the tests call the same functions on the committed corpora.

#![forbid(unsafe_code)]

mod chunked;
mod client_hello;
mod connect;
mod detect;
mod differential;
#[path = "../../crates/locum-wire/tests/it/gateway.rs"]
mod gateway;
mod gob;
mod gob_typed;
mod http2;
mod jsonrpc;
mod native;
mod netrpc;
mod oracle;
mod path;
mod protobuf;
mod proxy_protocol;
mod request;
mod response;
mod rpc_forward;
mod stream;
#[path = "../../crates/locum-wire/tests/it/strict.rs"]
mod strict;

pub use chunked::chunked;
pub use client_hello::client_hello;
pub use connect::connect;
pub use detect::detect;
pub use differential::differential;
pub use gob::{gob, gob_json};
pub use gob_typed::gob_typed;
pub use http2::{http2, http2_heads};
pub use jsonrpc::jsonrpc;
pub use native::native;
pub use netrpc::netrpc;
pub use path::path;
pub use protobuf::protobuf;
pub use proxy_protocol::proxy_protocol;
pub use request::request;
pub use response::response;
pub use rpc_forward::rpc_forward;

/// Cuts `bytes` in places that depend on the bytes alone.
fn cut(bytes: &[u8]) -> Vec<&[u8]> {
    // FNV-1a, then xorshift64.
    let mut state = bytes.iter().fold(0xcbf2_9ce4_8422_2325u64, |state, byte| {
        (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut pieces = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let (piece, after) = rest.split_at((1 + state as usize % 23).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}
