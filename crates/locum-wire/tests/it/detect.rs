//! What a connection speaks, by its first bytes.

use locum_wire::detect::Detected::{self, Gob, Http, Json, Native, Other, Tls};
use locum_wire::detect::detect;
use proptest::collection::vec;
use proptest::prelude::*;

/// First bytes, how many of them it takes, and what they are.
const KINDS: &[(&[u8], usize, Detected)] = &[
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 2, Tls),
    (b"\x16\x03\x03\x00\x10", 2, Tls),
    (b"{\"method\":\"Arith.Add\"", 2, Json),
    (b"{}", 2, Json),
    (b"[{\"jsonrpc\":\"2.0\"}]", 2, Json),
    (b"\n{\"method\"", 2, Json),
    (b" \t\r\n [", 6, Json),
    (b"CONNECT /_goRPC_ HTTP/1.0\n\n", 8, Http),
    (b"GET / HTTP/1.1\r\n", 4, Http),
    (b"POST /rpc HTTP/1.1\r\n", 5, Http),
    (b"PUT / HTTP/1.1\r\n", 4, Http),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 4, Http),
    (b"\r\nGET / HTTP/1.1\r\n", 6, Http),
    // encoding/gob of Go 1.27 and of Go 1.19.
    (b"\x2e\x7f\x03\x01\x01\x07Request", 2, Gob),
    (b"\x2f\xff\x81\x03\x01\x01\x07Request", 2, Gob),
    // An id of more bytes, lengths that are characters, lengths of more bytes.
    (b"\x30\xfe\x01\x81\x03", 2, Gob),
    (b"{\xff\x81\x03", 2, Gob),
    (b"[\x7f\x03", 2, Gob),
    (b"G\x7f\x03", 2, Gob),
    (b"\x16\x7f\x03", 2, Gob),
    (b"\n\xff\x81\x03", 2, Gob),
    (b"\xff\x90\xff\x81\x03", 3, Gob),
    (b"\xfe\x01\x02\x7f\x03", 4, Gob),
    (b"\xf8\0\0\0\0\0\0\x01\x02\xff\x81", 10, Gob),
    (b"\xf1Locum\x01\x01\x00", 6, Native),
    (b"\xf1Locus", 6, Other),
    (b"\xf1\x7f", 2, Other),
    (b"\xf1\xff\x81", 2, Other),
    (b"\x00\xff\x81", 2, Other),
    (b"\x2e\x05", 2, Other),
    (b"\xff\x90\x05", 3, Other),
    (b"\xf7\x01", 1, Other),
    (b"\x80", 1, Other),
    (b"\x16\x02\x01", 2, Other),
    (b"get / HTTP/1.1", 2, Other),
    (b"G\xc3\x89T / HTTP/1.1", 2, Other),
    (b"SSH-2.0-OpenSSH_9.6", 4, Other),
    (b"\"text\"", 2, Other),
    (b"ABCDEFGHIJKLMNOPQRST / HTTP/1.1", 17, Other),
    (b"ABCDEFGHIJKLMNOP / HTTP/1.1", 17, Http),
];

#[test]
fn as_many_bytes_decide_as_it_takes() {
    for (bytes, takes, expected) in KINDS {
        for length in 0..=bytes.len() {
            let decided = (length >= *takes).then_some(*expected);
            assert_eq!(detect(&bytes[..length]), decided, "{:?}", bytes[..length].escape_ascii());
        }
    }
}

#[test]
fn white_space_without_end_is_nothing() {
    assert_eq!(detect(&[b' '; 256]), None);
    assert_eq!(detect(&[b' '; 257]), Some(Other));
}

proptest! {
    #[test]
    fn what_was_told_stays_so(
        start in prop::sample::select(KINDS),
        keep in 0usize..12,
        rest in vec(any::<u8>(), 0..12),
    ) {
        let (bytes, ..) = start;
        let bytes = [&bytes[..keep.min(bytes.len())], &rest].concat();
        let mut told = None;
        for length in 0..=bytes.len() {
            let now = detect(&bytes[..length]);
            prop_assert!(told.is_none() || now == told, "{told:?}, then {now:?}");
            told = now;
        }
    }
}
