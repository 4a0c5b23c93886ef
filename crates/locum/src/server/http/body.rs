//! The content of a request.

use std::io;

use locum_wire::http1::{self, Chunked, Framing, Piece};
use tokio::time::timeout;

use crate::server::Limits;
use crate::server::entry::read_more;
use crate::transport::Io;

/// Takes the content from `input` and what follows from `io`. If it cannot be: the status that says why.
pub(super) async fn read(
    io: &mut Io,
    input: &mut Vec<u8>,
    framing: Framing,
    limits: &Limits,
) -> io::Result<Result<Vec<u8>, u16>> {
    let most = limits.message.message;
    match framing {
        Framing::None | Framing::UntilClose => Ok(Ok(Vec::new())),
        Framing::Length(length) => match usize::try_from(length).ok().filter(|it| *it <= most) {
            None => Ok(Err(413)),
            Some(length) => {
                while input.len() < length {
                    more(io, input, limits).await?;
                }
                let behind = input.split_off(length);
                Ok(Ok(std::mem::replace(input, behind)))
            }
        },
        Framing::Chunked => {
            let mut chunked = Chunked::new(&http1::Limits::default());
            let mut content = Vec::new();
            loop {
                let (used, piece) = match chunked.next(input) {
                    Ok(found) => found,
                    Err(error) => return Ok(Err(error.status())),
                };
                if let Piece::Data(range) = &piece {
                    content.extend_from_slice(input.get(range.clone()).unwrap_or_default());
                }
                input.drain(..used);
                match piece {
                    _ if content.len() > most => return Ok(Err(413)),
                    Piece::Data(_) => {}
                    Piece::NeedMore => more(io, input, limits).await?,
                    Piece::End => return Ok(Ok(content)),
                }
            }
        }
    }
}

async fn more(io: &mut Io, input: &mut Vec<u8>, limits: &Limits) -> io::Result<()> {
    let read = timeout(limits.message_timeout, read_more(io, input)).await;
    read.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
