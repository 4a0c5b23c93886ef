//! A file on its way to the client.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use locum_wire::http1::encode;

use super::CHUNK;
use crate::caller::Caller;
use crate::client::{self, Next};
use crate::compress::Coder;
use crate::forward::{Delivery, Persistence, chunk};
use crate::worker::Worker;

/// A part of a file that is sent.
pub(super) struct Sending {
    pub(super) file: File,
    /// What was read of it already, from its beginning.
    pub(super) first: Vec<u8>,
    /// From here to before there.
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) delivery: Delivery,
    /// What it goes through on its way.
    pub(super) coder: Option<Box<Coder>>,
}

impl Sending {
    /// Sends the head that is in `out`, and the file behind it. Gives the bytes written.
    pub(super) async fn send(
        self,
        caller: &Caller<'_>,
        mut out: Vec<u8>,
        persistence: Persistence,
        worker: &Worker,
    ) -> (u64, Next) {
        let Self { mut file, first: mut piece, start: mut at, end, delivery, mut coder } = self;
        let is_coded = coder.is_some();
        let stall = caller.listener.settings.limits.write_stall;
        let abort = |written| {
            if delivery == Delivery::UntilClose {
                caller.stream.borrow().reset_on_close();
            }
            (written, Next::Abort)
        };
        // What a small file has leaves with the head.
        let there = usize::try_from(at).ok().and_then(|at| piece.get(at..)).unwrap_or_default();
        let most = usize::try_from(end - at).unwrap_or(usize::MAX);
        let there = &there[..there.len().min(most)];
        at += there.len() as u64;
        append(&mut out, &mut coder, delivery, there, at == end);
        let mut written = 0;
        loop {
            // Plain pieces leave from where they were read.
            let bytes = if is_coded || written == 0 { &out } else { &piece };
            if client::send(&caller.stream, caller.alarm, stall, bytes).await.is_err() {
                return abort(written);
            }
            written += bytes.len() as u64;
            if at == end {
                break;
            }
            out.clear();
            let most = usize::try_from(end - at).unwrap_or(usize::MAX).min(CHUNK);
            let read = tokio::task::spawn_blocking(move || {
                piece.resize(most, 0);
                let read = file.read_at(&mut piece, at);
                piece.truncate(*read.as_ref().unwrap_or(&0));
                (file, piece)
            });
            let Ok((file_back, piece_back)) = read.await else { return abort(written) };
            (file, piece) = (file_back, piece_back);
            // It has become shorter, or cannot be read: nobody may take this for the whole.
            if piece.is_empty() {
                return abort(written);
            }
            at += piece.len() as u64;
            if is_coded {
                append(&mut out, &mut coder, delivery, &piece, at == end);
            }
        }
        worker.give_scratch(out);
        (written, caller.next(persistence))
    }
}

/// Appends a piece of the content as it is delivered, and the end of it behind the last.
fn append(
    out: &mut Vec<u8>,
    coder: &mut Option<Box<Coder>>,
    delivery: Delivery,
    piece: &[u8],
    is_last: bool,
) {
    let mut append = |piece: &[u8]| match delivery {
        Delivery::Chunked => chunk(out, piece),
        _ => out.extend_from_slice(piece),
    };
    match coder {
        None => append(piece),
        Some(coder) => append(coder.write(piece)),
    }
    if is_last {
        coder.take().into_iter().for_each(|coder| append(&coder.finish()));
        if delivery == Delivery::Chunked {
            encode::last_chunk(out, std::iter::empty());
        }
    }
}
