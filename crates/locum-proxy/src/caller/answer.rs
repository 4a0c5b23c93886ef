//! How a caller is answered by the proxy itself, and what becomes of its connection after any answer.

use locum_wire::http1::Version;
use locum_wire::http1::encode::{self, field};

use super::Caller;
use crate::client::{self, Next};
use crate::forward::{Delivery, Persistence};
use crate::refusal::Refusal;
use crate::route::Edits;
use crate::worker::Worker;

impl Caller<'_> {
    /// Whether and how the connection goes on after an answer whose body is delivered so.
    pub(crate) fn persistence(&self, delivery: Delivery, worker: &Worker) -> Persistence {
        // What is still to come of the request would be read as the next one.
        let whole = self.upload.borrow().is_done();
        let keeps =
            self.keeps && whole && delivery != Delivery::UntilClose && !worker.is_draining();
        match (keeps, self.version) {
            (false, _) => Persistence::Closed,
            (true, Version::Http11) => Persistence::Kept,
            (true, _) => Persistence::KeptAlive,
        }
    }

    /// What becomes of the connection, once an answer that told the client so has gone whole.
    pub(crate) fn next(&self, persistence: Persistence) -> Next {
        match persistence {
            Persistence::Closed if !self.request.keep_alive() && self.upload.borrow().is_done() => {
                Next::Done
            }
            Persistence::Closed => Next::Close,
            Persistence::Kept | Persistence::KeptAlive => Next::Request,
        }
    }

    /// Tells the client why not. Gives the bytes written.
    pub(crate) async fn refuse(&self, refusal: &Refusal, worker: &Worker) -> (u64, Next) {
        self.upload.borrow_mut().skip_received();
        let persistence = if refusal.ends_connection() {
            Persistence::Closed
        } else {
            self.persistence(Delivery::Nothing, worker)
        };
        let mut out = worker.scratch();
        match self.grpc {
            true => refusal.write_grpc(&mut out, persistence),
            false => refusal.write(&mut out, self.head_only, persistence),
        }
        self.tell_pages(&mut out);
        self.send(out, persistence, worker).await
    }

    /// Answers with `body` and what `fields` writes. Gives the bytes written.
    pub(crate) async fn answer(
        &self,
        status: u16,
        fields: impl FnOnce(&mut Vec<u8>),
        body: &[u8],
        edits: &Edits,
        worker: &Worker,
    ) -> (u64, Next) {
        self.upload.borrow_mut().skip_received();
        let persistence = self.persistence(Delivery::Nothing, worker);
        let mut out = worker.scratch();
        encode::status_line(&mut out, status);
        field(&mut out, b"Date", crate::clock::http_date().as_bytes());
        fields(&mut out);
        // RFC 9110 §8.6: no length in a 204, and in a 304 only that of the answer it stands for.
        if !matches!(status, 204 | 304) {
            encode::content_length(&mut out, body.len() as u64);
        }
        persistence.write(&mut out);
        out.extend_from_slice(&edits.lines);
        out.extend_from_slice(b"\r\n");
        if !self.head_only {
            out.extend_from_slice(body);
        }
        self.tell_pages(&mut out);
        self.send(out, persistence, worker).await
    }

    /// Puts what pages of other origins are told into the head that `out` begins with.
    pub(crate) fn tell_pages(&self, out: &mut Vec<u8>) {
        let Some(lines) = self.told_pages.get() else { return };
        if let Some(end) = memchr::memchr(b'\n', out) {
            out.splice(end + 1..end + 1, lines.iter().copied());
        }
    }

    /// Sends what is ready to go. Gives the bytes written.
    pub(crate) async fn send(
        &self,
        out: Vec<u8>,
        persistence: Persistence,
        worker: &Worker,
    ) -> (u64, Next) {
        let stall = self.listener.settings.limits.write_stall;
        let sent = client::send(&self.stream, self.alarm, stall, &out).await;
        let written = out.len() as u64;
        worker.give_scratch(out);
        match sent {
            Ok(()) => (written, self.next(persistence)),
            Err(_) => (0, Next::Abort),
        }
    }
}
