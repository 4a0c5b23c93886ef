//! Content in chunks.

use locum_wire::http1::{Chunked, Error, Limits, Piece, encode};

use crate::cut;

#[derive(Debug, PartialEq, Eq)]
struct Content {
    data: Vec<u8>,
    trailers: Vec<(Vec<u8>, Vec<u8>)>,
    after: Vec<u8>,
}

/// Content in chunks means the same however it is cut, and survives being written again.
pub fn chunked(bytes: &[u8]) {
    let whole = read(vec![bytes]);
    assert_eq!(read(bytes.chunks(1).collect()), whole, "byte by byte");
    assert_eq!(read(cut(bytes)), whole, "cut");

    let Ok(Some(content)) = whole else { return };
    let mut out = Vec::new();
    if !content.data.is_empty() {
        encode::chunk_head(&mut out, content.data.len());
        out.extend_from_slice(&content.data);
        out.extend_from_slice(encode::CRLF);
    }
    encode::last_chunk(
        &mut out,
        content.trailers.iter().map(|(name, value)| (&name[..], &value[..])),
    );
    out.extend_from_slice(&content.after);
    // Written trailers may be longer than they were.
    if out.len() < Limits::default().head_bytes {
        assert_eq!(read(vec![&out]), Ok(Some(content)));
    }
}

/// None: the end is missing.
fn read(pieces: Vec<&[u8]>) -> Result<Option<Content>, Error> {
    let mut chunked = Chunked::new(&Limits::default());
    let mut data = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        let mut input = *piece;
        loop {
            let (used, found) = chunked.next(input)?;
            match found {
                Piece::Data(range) => data.extend_from_slice(&input[range]),
                Piece::NeedMore => {
                    assert_eq!(used, input.len(), "everything is used");
                    break;
                }
                Piece::End => {
                    let trailers = chunked.trailers().map(|it| (it.0.to_vec(), it.1.to_vec()));
                    let after = [&[&input[used..]][..], &pieces[at + 1..]].concat().concat();
                    return Ok(Some(Content { data, trailers: trailers.collect(), after }));
                }
            }
            input = &input[used..];
        }
    }
    Ok(None)
}
