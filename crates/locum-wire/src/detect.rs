//! What a connection speaks, by its first bytes.

use crate::native;

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Detected {
    /// TLS: its handshake.
    Tls,
    /// JSON-RPC: an object, or a batch.
    Json,
    /// A request line of HTTP, `CONNECT` and HTTP/2's preface among them.
    Http,
    /// gob: the definition that comes before the first header of net/rpc.
    Gob,
    /// The native protocol.
    Native,
    /// None of these.
    Other,
}

/// Tells what a connection speaks whose first bytes are `input`; `None`: it takes more of them. What
/// was told stays so, whatever follows.
///
/// A few bytes always decide. Nothing is taken: what is detected reads the same bytes.
///
/// ```
/// use locum_wire::detect::{Detected, detect};
/// assert_eq!(detect(b"\x2e\x7f"), Some(Detected::Gob));
/// assert_eq!(detect(b"CONN"), None);
/// assert_eq!(detect(b"CONNECT /_goRPC_"), Some(Detected::Http));
/// ```
pub fn detect(input: &[u8]) -> Option<Detected> {
    let (&first, rest) = input.split_first()?;
    if first == native::MAGIC[0] {
        return starts(input, &native::MAGIC, Detected::Native);
    }
    if first >= 0x80 {
        return long_gob(first, rest);
    }
    // As the length of a gob message, a first byte may be any character; the second tells.
    let &second = rest.first()?;
    if defines_type(second) {
        return Some(if first == 0 { Detected::Other } else { Detected::Gob });
    }
    match first {
        TLS_HANDSHAKE if second == 3 => Some(Detected::Tls),
        b'{' | b'[' => Some(Detected::Json),
        b' ' | b'\t' | b'\r' | b'\n' => after_white_space(rest),
        b'A'..=b'Z' => request_line(input),
        _ => Some(Detected::Other),
    }
}

/// RFC 8446 §5.1: content type 22, then a version that begins with 3.
const TLS_HANDSHAKE: u8 = 0x16;

/// How much white space may come before the first value.
const WHITE_SPACE: usize = 256;

/// How long a method of HTTP may be.
const METHOD: usize = 16;

/// gob's definitions begin with a negated id, and ids begin at 64: `7f` is -64, a longer number begins
/// with its own negated length. No text has either after its first character.
fn defines_type(byte: u8) -> bool {
    byte == 0x7f || byte >= 0xf8
}

/// A gob message whose length takes several bytes: the first is how many, negated.
fn long_gob(first: u8, rest: &[u8]) -> Option<Detected> {
    if first < 0xf8 {
        return Some(Detected::Other);
    }
    let &byte = rest.get(usize::from(first.wrapping_neg()))?;
    Some(if defines_type(byte) { Detected::Gob } else { Detected::Other })
}

/// JSON values may have white space before them, and so may a request line (RFC 9112 §2.2).
fn after_white_space(rest: &[u8]) -> Option<Detected> {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    match rest.iter().take(WHITE_SPACE).position(|byte| !blank(byte)) {
        Some(at) => match rest.get(at..)? {
            [b'{' | b'[', ..] => Some(Detected::Json),
            line => request_line(line),
        },
        None if rest.len() < WHITE_SPACE => None,
        None => Some(Detected::Other),
    }
}

/// A method in capitals and a space.
fn request_line(line: &[u8]) -> Option<Detected> {
    match line.iter().take(METHOD + 1).position(|byte| !byte.is_ascii_uppercase()) {
        Some(at) if at > 0 && line.get(at) == Some(&b' ') => Some(Detected::Http),
        None if line.len() <= METHOD => None,
        _ => Some(Detected::Other),
    }
}

fn starts(input: &[u8], with: &[u8], detected: Detected) -> Option<Detected> {
    if !input.iter().zip(with).all(|(byte, expected)| byte == expected) {
        return Some(Detected::Other);
    }
    (input.len() >= with.len()).then_some(detected)
}
