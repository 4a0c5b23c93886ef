//! What a gateway makes of an upstream's head.

use locum_wire::http1::{Error, Head, Limits, encode};

use crate::cut;

/// What a head says, apart from the buffer it was in.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    len: usize,
    status: u16,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    hop: Vec<Vec<u8>>,
    reusable: bool,
}

/// An answer's head means the same however it is cut; what is passed on of it is read again as
/// what it was.
pub fn response(bytes: &[u8]) {
    let whole = read([bytes]);
    assert_eq!(read(bytes.chunks(1)), whole, "byte by byte");
    assert_eq!(read(cut(bytes)), whole, "cut");

    let Ok(Some(said)) = whole else { return };
    let mut out = Vec::new();
    encode::status_line(&mut out, said.status);
    for (name, value) in &said.fields {
        encode::field(&mut out, name, value);
    }
    out.extend_from_slice(encode::CRLF);
    // A written line may be longer than it was.
    if out.len() < Limits::default().head_bytes {
        let again = read([&out[..]]).expect("it was valid").expect("it is whole");
        assert_eq!((again.status, again.fields), (said.status, said.fields));
    }
}

fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Option<Said>, Error> {
    let limits = Limits::default();
    let mut buf = Vec::new();
    let mut head = Head::new();
    for piece in pieces {
        buf.extend_from_slice(piece);
        if head.parse_response(&buf, &limits)? {
            let answer = head.response(&buf);
            let (hop, kept): (Vec<_>, Vec<_>) = answer.fields().partition(|it| it.hop);
            return Ok(Some(Said {
                len: head.len(),
                status: answer.status(),
                fields: kept.iter().map(|it| (it.name.to_vec(), it.value.to_vec())).collect(),
                hop: hop.iter().map(|it| it.name.to_vec()).collect(),
                reusable: answer.reusable(),
            }));
        }
    }
    Ok(None)
}
