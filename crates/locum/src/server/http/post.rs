//! JSON-RPC by `POST`: one request, or one batch.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use locum_wire::jsonrpc;
use locum_wire::rpc::{Protocol, Requests};
use tokio::time::Instant;

use super::Answer;
use crate::cx::Peer;
use crate::server::alarm::Alarm;
use crate::server::core::Core;
use crate::server::session::Session;

/// Makes the calls in `content` and gives their answers, once all are there.
///
/// # Cancel safety
///
/// Dropping the future gives the calls up.
pub(super) async fn answer(core: &Arc<Core>, peer: Peer, content: &[u8]) -> Answer {
    let requests = Requests::Json(jsonrpc::Requests::of_body(&core.limits.message));
    let session = Session::new(core, Protocol::Json2, requests, peer, Instant::now());
    let mut calls = Calls { session, content, answers: Vec::new(), alarm: Alarm::default() };
    let most = core.limits.message.decoded;
    if poll_fn(|task| calls.poll(most, task)).await.is_err() {
        return Answer::refused(500);
    }
    // Notifications have no answer.
    let status = if calls.answers.is_empty() { 204 } else { 200 };
    Answer { status, content_type: "application/json", content: calls.answers }
}

/// The calls of one request of HTTP.
struct Calls<'a> {
    session: Session,
    /// What was not looked at yet.
    content: &'a [u8],
    answers: Vec<u8>,
    alarm: Alarm,
}

/// The answers take more room than there is.
struct TooLarge;

impl Calls<'_> {
    fn poll(&mut self, most: usize, task: &mut Context<'_>) -> Poll<Result<(), TooLarge>> {
        let outbox = Arc::clone(self.session.outbox());
        loop {
            let now = Instant::now();
            let standing = outbox.awake();
            if standing.earliest.is_some_and(|earliest| earliest <= now) {
                outbox.sweep(now);
            }
            let mut gathered = Vec::new();
            outbox.swap(&mut gathered);
            self.answers.append(&mut gathered);
            if self.answers.len() > most {
                return Poll::Ready(Err(TooLarge));
            }
            let standing = outbox.awake();
            if self.session.has_stopped() && self.session.poll_ready(standing, task).is_ready() {
                // A body that is no JSON is answered as that, and is over.
                let taken = self.session.take(self.content, now).unwrap_or(self.content.len());
                self.content = self.content.get(taken..).unwrap_or_default();
                continue;
            }
            if standing.broken {
                return Poll::Ready(Err(TooLarge));
            }
            if !self.session.has_stopped() {
                // Room is for those who have something to begin.
                self.session.rest();
            }
            let Some(asleep) = outbox.sleep(task.waker(), true) else { continue };
            if asleep.calls < standing.calls {
                // An answer that is none, or waits for others of its batch, made room all the same.
                continue;
            }
            if asleep.calls == 0 && !self.session.has_stopped() {
                return Poll::Ready(Ok(()));
            }
            if self.alarm.poll(asleep.earliest, task).is_pending() {
                return Poll::Pending;
            }
        }
    }
}
