//! The body of an answer, which holds the permits of its call until it ends.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
use locum_policy::{Cause, Clock as _, Held};

use crate::Clock;

use super::Watch;
use super::answer::grpc_status;

/// The body of an answer under a policy: the service's own, or that of an answer of ours.
///
/// The call is over when it ends. Dropped before, its caller went away: that says nothing about the
/// service.
pub struct Body<B>(Content<B>);

enum Content<B> {
    Inner { body: Pin<Box<B>>, call: Option<Open> },
    Ours(Option<Bytes>),
}

/// A call that ends with its body.
pub(super) struct Open {
    pub(super) held: Held,
    pub(super) cause: Cause,
    pub(super) clock: Clock,
    pub(super) watch: Watch,
    /// Whether trailers may tell what became of it.
    pub(super) grpc: bool,
}

impl Open {
    fn end(self, cause: Cause) {
        self.held.settle(cause, self.clock.now(), &self.watch);
    }
}

impl<B: HttpBody> Body<B> {
    pub(super) fn inner(body: B, call: Open) -> Self {
        let mut body = Self(Content::Inner { body: Box::pin(body), call: Some(call) });
        body.end_if_empty();
        body
    }

    pub(super) fn ours(text: Bytes) -> Self {
        Self(Content::Ours(Some(text).filter(|text| !text.is_empty())))
    }

    /// A body that says it is at its end may never be polled again.
    fn end_if_empty(&mut self) {
        if let Content::Inner { body, call } = &mut self.0
            && body.is_end_stream()
            && let Some(call) = call.take()
        {
            let cause = call.cause;
            call.end(cause);
        }
    }
}

impl<B: HttpBody> HttpBody for Body<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let (body, call) = match &mut self.0 {
            Content::Ours(text) => {
                return Poll::Ready(text.take().map(|text| Ok(Frame::data(text))));
            }
            Content::Inner { body, call } => (body, call),
        };
        let polled = ready!(body.as_mut().poll_frame(cx));
        match &polled {
            Some(Ok(frame)) => {
                if let (Some(open), Some(trailers)) = (call.as_mut(), frame.trailers_ref())
                    && open.grpc
                    && let Some(code) = grpc_status(trailers)
                {
                    open.cause = Cause::Grpc(code);
                }
                self.end_if_empty();
            }
            Some(Err(_)) => {
                if let Some(call) = call.take() {
                    call.end(Cause::Truncated);
                }
            }
            None => {
                if let Some(call) = call.take() {
                    let cause = call.cause;
                    call.end(cause);
                }
            }
        }
        let in_bytes =
            |frame: Frame<B::Data>| frame.map_data(|mut data| data.copy_to_bytes(data.remaining()));
        Poll::Ready(polled.map(|frame| frame.map(in_bytes)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Content::Inner { body, .. } => body.is_end_stream(),
            Content::Ours(text) => text.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Inner { body, .. } => body.size_hint(),
            Content::Ours(text) => {
                SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64))
            }
        }
    }
}

impl<B> Drop for Body<B> {
    fn drop(&mut self) {
        if let Content::Inner { call, .. } = &mut self.0
            && let Some(call) = call.take()
        {
            call.end(Cause::Cancelled);
        }
    }
}
