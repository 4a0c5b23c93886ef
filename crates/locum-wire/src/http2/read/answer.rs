//! Answers.

use super::field;
use crate::http1::{Name, encode};
use crate::http2::Reason;
use crate::http2::hpack::Fields;
use crate::http2::stream::{Asked, Content};

/// Appends the head of an answer; `ended`: no content follows. Gives what content does.
pub(in crate::http2) fn answer(
    fields: &Fields,
    ended: bool,
    asked: Asked,
    out: &mut Vec<u8>,
) -> Result<Content, Reason> {
    let status = status(fields)?;
    let is_interim = status < 200;
    // RFC 9113 §8.1: an interim answer is not the last; §8.6: 101 is not for HTTP/2.
    if status == 101 || (is_interim && ended) {
        return Err(Reason::Status);
    }
    encode::status_line(out, status);
    let has_content = asked != Asked::Head && !is_interim && !matches!(status, 204 | 304);
    let mut length = None;
    let is_grpc = has_content && !ended && is_grpc(fields);
    for (name, value) in fields.iter().skip(1) {
        if field::check(name, value)? == Name::ContentLength {
            field::read_length(&mut length, value)?;
            // Trailers must have a place, and without a length they do.
            if is_grpc {
                continue;
            }
        }
        field::write(out, name, value);
    }
    let content = match length {
        _ if is_interim => Content::NoHead,
        _ if !has_content => Content::None,
        Some(length) if ended && length > 0 => return Err(Reason::ContentLength),
        Some(length) if !is_grpc => Content::Length(length),
        None if ended => {
            encode::content_length(out, 0);
            Content::None
        }
        _ => {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
            Content::Chunked
        }
    };
    out.extend_from_slice(encode::CRLF);
    Ok(content)
}

/// RFC 9113 §8.3.2: the only pseudo-header field, and the first of the fields.
fn status(fields: &Fields) -> Result<u16, Reason> {
    match fields.iter().next() {
        Some((b":status", [a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9'])) => {
            let digit = |it: &u8| u16::from(it - b'0');
            Ok(digit(a) * 100 + digit(b) * 10 + digit(c))
        }
        Some((b":status", _)) => Err(Reason::Status),
        _ => Err(Reason::Pseudo),
    }
}

fn is_grpc(fields: &Fields) -> bool {
    fields.iter().any(|(name, value)| name == b"content-type" && value.starts_with(GRPC))
}

pub(in crate::http2) const GRPC: &[u8] = b"application/grpc";
