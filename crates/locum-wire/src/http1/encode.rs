//! Writing messages: everything appends to a buffer of the caller's.

use super::byte;

/// Ends every line, and the data of every chunk.
pub const CRLF: &[u8] = b"\r\n";

/// The last chunk and an empty trailer section.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Appends `HTTP/1.1 404 Not Found` and the line's end.
pub fn status_line(out: &mut Vec<u8>, status: u16) {
    out.extend_from_slice(b"HTTP/1.1 ");
    decimal(out, u64::from(status));
    out.push(b' ');
    out.extend_from_slice(reason(status).as_bytes());
    out.extend_from_slice(CRLF);
}

/// Appends `GET /path HTTP/1.1` and the line's end. Method and target must be valid.
pub fn request_line(out: &mut Vec<u8>, method: &[u8], target: &[u8]) {
    debug_assert!(!contains_space_or_control(method) && !contains_space_or_control(target));
    out.extend_from_slice(method);
    out.push(b' ');
    out.extend_from_slice(target);
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// Appends a field line. The name must be a token; a control byte in the value becomes a space,
/// so that no value can end its line (RFC 9110 §5.5).
pub fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    debug_assert!(!contains_space_or_control(name));
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    field_value(out, value);
    out.extend_from_slice(CRLF);
}

/// Appends a field line whose value was read from a head, and so holds no control byte but tabs.
pub fn read_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    debug_assert!(!contains_space_or_control(name));
    debug_assert!(value.iter().all(|byte| !byte.is_ascii_control() || *byte == b'\t'));
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(CRLF);
}

/// Appends a Content-Length line.
pub fn content_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"Content-Length: ");
    decimal(out, length);
    out.extend_from_slice(CRLF);
}

/// Appends the line before the `length` bytes of a chunk; [`CRLF`] goes behind them. A chunk of
/// no bytes would end the content, so nothing is to be sent for it.
pub fn chunk_head(out: &mut Vec<u8>, length: usize) {
    debug_assert_ne!(length, 0, "an empty chunk is the last one");
    let digits = (usize::BITS - length.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        out.push(b"0123456789abcdef"[length >> (place * 4) & 0xf]);
    }
    out.extend_from_slice(CRLF);
}

/// Appends the last chunk with these trailers.
pub fn last_chunk<'a>(out: &mut Vec<u8>, trailers: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers {
        field(out, name, value);
    }
    out.extend_from_slice(CRLF);
}

/// Appends a number in decimal.
pub fn decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// The reason phrase of a status, or an empty one.
#[must_use]
pub fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        499 => "Client Closed Request",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        508 => "Loop Detected",
        _ => "",
    }
}

fn field_value(out: &mut Vec<u8>, value: &[u8]) {
    // Most have none.
    let clean = byte::text_len(value);
    let start = out.len() + clean;
    out.extend_from_slice(value);
    for byte in &mut out[start..] {
        if byte.is_ascii_control() && *byte != b'\t' {
            *byte = b' ';
        }
    }
}

fn contains_space_or_control(bytes: &[u8]) -> bool {
    bytes.iter().any(|byte| *byte == b' ' || byte.is_ascii_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_have_no_leading_zeros() {
        for number in [0, 1, 9, 10, 255, 4096, 65535, u64::MAX] {
            assert_eq!(written(|out| decimal(out, number)), number.to_string());
        }
        for length in [1, 15, 16, 255, 256, 65536, usize::MAX] {
            assert_eq!(written(|out| chunk_head(out, length)), format!("{length:x}\r\n"));
        }
    }

    #[test]
    fn a_value_cannot_end_its_line() {
        let line = written(|out| field(out, b"X-A", b"a\r\nEvil: 1\0\t\x7fb"));
        assert_eq!(line, "X-A: a  Evil: 1 \t b\r\n");
    }

    #[test]
    fn lines_are_as_the_grammar_wants_them() {
        assert_eq!(written(|out| status_line(out, 404)), "HTTP/1.1 404 Not Found\r\n");
        assert_eq!(written(|out| status_line(out, 299)), "HTTP/1.1 299 \r\n");
        assert_eq!(written(|out| request_line(out, b"GET", b"/x")), "GET /x HTTP/1.1\r\n");
        assert_eq!(written(|out| content_length(out, 12)), "Content-Length: 12\r\n");
        let trailers = [(&b"a"[..], &b"1"[..]), (b"b", b"2")];
        assert_eq!(written(|out| last_chunk(out, trailers)), "0\r\na: 1\r\nb: 2\r\n\r\n");
    }
}
