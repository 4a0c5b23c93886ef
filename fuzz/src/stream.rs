//! A stream that arrives in pieces.

use std::fmt::Debug;

use locum_wire::rpc::{Answer, Answers, Fatal, Limits, Protocol, Request, Requests};

use crate::cut;

/// What `read` makes of `bytes` is the same however they are cut.
pub(crate) fn however_cut<T: Debug + PartialEq>(bytes: &[u8], read: impl Fn(&[&[u8]]) -> T) {
    let whole = read(&[bytes]);
    assert_eq!(read(&bytes.chunks(1).collect::<Vec<_>>()), whole, "byte by byte");
    assert_eq!(read(&cut(bytes)), whole, "cut");
}

/// So it is with requests and answers, also where messages may have no more than `small` bytes; `request`
/// and `answer` say what is looked at.
pub(crate) fn calls(
    protocol: Protocol,
    bytes: &[u8],
    small: usize,
    request: impl Fn(&Request<'_>) -> String,
    answer: impl Fn(&Answer<'_>) -> String,
) {
    for message in [16 << 20, small] {
        let limits = Limits { message, ..Limits::default() };
        however_cut(bytes, |pieces| {
            let mut requests = Requests::new(protocol, &limits);
            let mut answers = Answers::new(protocol, &limits);
            let server = stream(pieces, |input, taken| {
                let seen = requests.next(input, taken).map(|it| it.map(|it| request(&it)));
                (seen, requests.needs())
            });
            let client = stream(pieces, |input, taken| {
                let seen = answers.next(input, taken).map(|it| it.map(|it| answer(&it)));
                (seen, answers.needs())
            });
            (server, client)
        });
    }
}

/// What one side makes of pieces that arrive one after the other.
pub(crate) fn stream(
    pieces: &[&[u8]],
    mut next: impl FnMut(&[u8], &mut usize) -> (Result<Option<String>, Fatal>, usize),
) -> Vec<String> {
    let (mut buffer, mut seen) = (Vec::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let mut taken = 0;
            let (read, needs) = next(&buffer, &mut taken);
            assert!(taken <= buffer.len(), "no more is taken than there is");
            buffer.drain(..taken);
            match read {
                Ok(Some(text)) => seen.push(text),
                Ok(None) => {
                    assert!(needs > buffer.len(), "what is needed is more than there is");
                    break;
                }
                Err(fatal) => {
                    seen.push(fatal.0);
                    return seen;
                }
            }
        }
    }
    seen
}
