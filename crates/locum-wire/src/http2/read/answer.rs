//! Answers.

use super::field;
use crate::http1::{Name, encode};
use crate::http2::Reason;
use crate::http2::hpack::Fields;
use crate::http2::stream::{Asked, Content, Outgoing};

/// Appends the head of an answer to what was asked; `ended`: no content follows. Gives what content does.
pub(in crate::http2) fn answer(
    fields: &Fields,
    ended: bool,
    to: &Outgoing,
    out: &mut Vec<u8>,
) -> Result<Content, Reason> {
    let status = status(fields)?;
    let is_interim = status < 200;
    // RFC 9113 §8.1: an interim answer is not the last; §8.6: 101 is not for HTTP/2.
    if status == 101 || (is_interim && ended) {
        return Err(Reason::Status);
    }
    let is_tunnel = to.asked == Asked::Tunnel && (200..300).contains(&status);
    if is_tunnel {
        // RFC 8441 §5: which of them it is does not matter.
        encode::status_line(out, 101);
        out.extend_from_slice(b"Upgrade: websocket\r\nConnection: Upgrade\r\n");
    } else {
        encode::status_line(out, status);
    }
    let has_content =
        to.asked != Asked::Head && !is_tunnel && !is_interim && !matches!(status, 204 | 304);
    let mut length = None;
    let is_trailed = has_content && !ended && is_trailed(fields, to.takes_trailers);
    for (name, value) in fields.iter().skip(1) {
        let stays = match field::check(name, value)? {
            Name::ContentLength => {
                field::read_length(&mut length, value)?;
                // Trailers must have a place, and without a length they do. A tunnel has none.
                !is_trailed && !is_tunnel
            }
            // RFC 8441 §5: there is none.
            Name::Other => !is_tunnel || name != b"sec-websocket-accept",
            _ => true,
        };
        if stays {
            field::write(out, name, value);
        }
    }
    let content = match length {
        _ if is_tunnel => Content::Tunnel,
        _ if is_interim => Content::NoHead,
        _ if !has_content => Content::None,
        Some(length) if ended && length > 0 => return Err(Reason::ContentLength),
        Some(length) if !is_trailed => Content::Length(length),
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

/// Whether trailers are to be expected: of gRPC always, of others where they are announced (RFC 9110 §6.6.2) and
/// whoever asked takes them.
fn is_trailed(fields: &Fields, takes_trailers: bool) -> bool {
    fields.iter().any(|(name, value)| match name {
        b"content-type" => value.starts_with(GRPC),
        b"trailer" => takes_trailers,
        _ => false,
    })
}

pub(in crate::http2) const GRPC: &[u8] = b"application/grpc";
