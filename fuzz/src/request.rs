//! What a gateway makes of a client's bytes.

use crate::cut;
use crate::gateway::Gateway;
use crate::strict;

/// A connection's bytes mean the same however they are cut, and what is passed on for them is
/// read by a strict reader as so many requests.
pub fn request(bytes: &[u8]) {
    let whole = Gateway::serve([bytes]);
    assert_eq!(Gateway::serve(bytes.chunks(1)), whole, "byte by byte");
    assert_eq!(Gateway::serve(cut(bytes)), whole, "cut");

    let sent = whole.forwarded.concat();
    let messages = strict::read_all(&sent).expect("what is passed on is strict");
    assert_eq!(messages.len(), whole.forwarded.len(), "{}", sent.escape_ascii());
}
