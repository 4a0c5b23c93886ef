//! Content in chunks, rule by rule (RFC 9112 §7.1).

use locum_wire::http1::{Chunked, Error, Limits, Piece};

fn decode(bytes: &[u8]) -> Result<(Vec<u8>, Vec<String>, bool), Error> {
    let mut chunked = Chunked::new(&Limits::default());
    let mut content = Vec::new();
    let mut input = bytes;
    loop {
        let (used, piece) = chunked.next(input)?;
        let is_end = piece == Piece::End;
        match piece {
            Piece::Data(range) => content.extend_from_slice(&input[range]),
            Piece::NeedMore | Piece::End => {
                let names = chunked.trailers().map(|it| String::from_utf8_lossy(it.0).into_owned());
                return Ok((content, names.collect(), is_end));
            }
        }
        input = &input[used..];
    }
}

#[test]
fn sizes_are_plain_hexadecimal_of_64_bits_rfc9112_7_1() {
    for size in
        ["0x5", "-5", "+5", " 5", "", "z", "5z", "5_", "00000000000000005", "10000000000000005"]
    {
        let text = format!("{size}\r\nhello\r\n0\r\n\r\n");
        assert_eq!(decode(text.as_bytes()), Err(Error::ChunkSize), "{size:?}");
    }
    for size in ["5", "05", "0000000000000005"] {
        let text = format!("{size}\r\nhello\r\n0\r\n\r\n");
        assert_eq!(decode(text.as_bytes()), Ok((b"hello".into(), vec![], true)), "{size:?}");
    }
    assert_eq!(decode(b"a\r\n0123456789\r\n000\r\n\r\n").unwrap().0, b"0123456789");
    assert_eq!(decode(b"A\r\n0123456789\r\n000\r\n\r\n").unwrap().0, b"0123456789");
    assert_eq!(decode(b"ffffffffffffffff\r\nabc"), Ok((b"abc".into(), vec![], false)));
}

#[test]
fn lines_end_in_crlf_and_nothing_else_rfc9112_7_1() {
    for (text, error) in [
        ("5\nhello\r\n0\r\n\r\n", Error::BareLf),
        ("5\rXhello\r\n0\r\n\r\n", Error::BareCr),
        ("5\0\r\nhello\r\n0\r\n\r\n", Error::Nul),
        ("5 \r\nhello\r\n0\r\n\r\n", Error::ChunkExtension),
        ("5\r\nhello0\r\n\r\n", Error::ChunkEnd),
        ("5\r\nhelloXX0\r\n\r\n", Error::ChunkEnd),
        ("5\r\nhello\n0\r\n\r\n", Error::ChunkEnd),
        ("5\r\nhello\rX0\r\n\r\n", Error::ChunkEnd),
        ("7\r\nhello\r\n0\r\n\r\n", Error::ChunkEnd),
        ("0\r\n\n", Error::BareLf),
        ("0\r\n\rX", Error::BareCr),
    ] {
        assert_eq!(decode(text.as_bytes()), Err(error), "{text:?}");
    }
}

#[test]
fn extensions_are_checked_and_skipped_rfc9112_7_1_1() {
    for extension in [";a", ";a=b", ";a=b;c", " ; a = b", ";a=\"b;\\\"\t\"", ";a=\"\"", "\t;a=b ;c"]
    {
        let text = format!("5{extension}\r\nhello\r\n0{extension}\r\n\r\n");
        assert_eq!(decode(text.as_bytes()), Ok((b"hello".into(), vec![], true)), "{extension:?}");
    }
    for (extension, error) in [
        (";", Error::ChunkExtension),
        (";a=", Error::ChunkExtension),
        (";a[=x", Error::ChunkExtension),
        (";a=b=c", Error::ChunkExtension),
        (";a b", Error::ChunkExtension),
        (";a=\"b", Error::ChunkExtension),
        (";a=\"b\"c", Error::ChunkExtension),
        (";a\n", Error::BareLf),
        (";a=\"\n\"", Error::BareLf),
        (";\r\r;a", Error::ChunkExtension),
        (";a=\0", Error::Nul),
        (";a ", Error::ChunkExtension),
    ] {
        let text = format!("5{extension}\r\nhello\r\n0\r\n\r\n");
        assert_eq!(decode(text.as_bytes()), Err(error), "{extension:?}");
    }
}

#[test]
fn extensions_cost_content() {
    let chunk = |extension: usize, content: usize| {
        format!("{content:x};{}\r\n{}\r\n", "a".repeat(extension), "x".repeat(content))
    };
    // A signature for every chunk is fine, however long the content is.
    let signed = chunk(80, 1000).repeat(200);
    assert!(decode(signed.as_bytes()).is_ok());
    let padded = chunk(80, 1).repeat(200);
    assert_eq!(decode(padded.as_bytes()), Err(Error::ChunkExtensionsTooLong));
    assert_eq!(decode(chunk(5000, 1).as_bytes()), Err(Error::ChunkExtensionsTooLong));
}

#[test]
fn trailers_that_decide_anything_are_dropped_rfc9110_6_5_1() {
    let text =
        b"0\r\nX-A: 1\r\nContent-Length: 10\r\nHost: b\r\nAuthorization: x\r\nConnection: x\r\n\
        Content_Length: 5\r\nTransfer-Encoding: chunked\r\nSet-Cookie: a=b\r\nX-B: 2\r\n\r\n";
    assert_eq!(decode(text), Ok((vec![], vec!["X-A".into(), "X-B".into()], true)));
}

#[test]
fn trailers_are_held_to_the_rules_and_limits_of_a_head() {
    for (lines, error) in [
        ("X : 1\r\n", Error::SpaceBeforeColon),
        (" X: 1\r\n", Error::FoldedLine),
        ("X: 1\n", Error::BareLf),
        ("X: \0\r\n", Error::Nul),
        ("X\r\n", Error::FieldName),
    ] {
        assert_eq!(decode(format!("0\r\n{lines}\r\n").as_bytes()), Err(error), "{lines:?}");
    }
    let many = format!("0\r\n{}\r\n", "X: 1\r\n".repeat(101));
    assert_eq!(decode(many.as_bytes()), Err(Error::TrailersTooLarge));
    let large = format!("0\r\nX: {}", "x".repeat(32 * 1024));
    assert_eq!(decode(large.as_bytes()), Err(Error::TrailersTooLarge));
}

#[test]
fn nothing_behind_the_end_is_used() {
    let mut chunked = Chunked::new(&Limits::default());
    let input = b"0\r\nX: 1\r\n\r\nGET / HTTP/1.1\r\n";
    assert_eq!(chunked.next(input), Ok((11, Piece::End)));
    assert_eq!(chunked.next(&input[11..]), Ok((0, Piece::End)));
}
