//! Trailers.

use super::field;
use crate::http1::{Name, encode};
use crate::http2::Reason;
use crate::http2::hpack::Fields;

/// Appends the last chunk with trailers, or, where the content does not come in chunks, nothing: there
/// HTTP/1.1 has no place for them.
pub(in crate::http2) fn trailers(
    fields: &Fields,
    chunked: bool,
    out: &mut Vec<u8>,
) -> Result<(), Reason> {
    if chunked {
        out.extend_from_slice(b"0\r\n");
    }
    for (name, value) in fields.iter() {
        let kind = field::check(name, value)?;
        // RFC 9110 §6.5.1: what belongs into a head does not become part of it later.
        if chunked && kind == Name::Other {
            field::write(out, name, value);
        }
    }
    if chunked {
        out.extend_from_slice(encode::CRLF);
    }
    Ok(())
}
