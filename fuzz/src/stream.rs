//! A stream that arrives in pieces.

use locum_wire::rpc::Fatal;

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
