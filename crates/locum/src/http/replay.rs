//! The body of a request that may be sent more than once.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Buf as _, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};

/// The body of one attempt. What the first attempt reads of the caller's body is kept, as long as it is
/// no more than the policy's `replay_bytes`, and given to the attempts after it and beside it.
pub struct Replay<B> {
    source: Arc<Source<B>>,
    /// How many of the frames it has given out.
    at: usize,
}

/// The caller's body and what is kept of it.
pub(super) struct Source<B>(Mutex<State<B>>);

struct State<B> {
    body: Pin<Box<B>>,
    /// What it has given so far; useless once `spent`.
    frames: Vec<Frame<Bytes>>,
    /// How many frames it has given, kept or not.
    given: usize,
    bytes: u64,
    limit: u64,
    /// More than the limit was read, or it failed: no other attempt can have all of it.
    spent: bool,
    /// It is the caller's body that failed.
    failed: bool,
    ended: bool,
    /// Attempts that wait for what another is reading: a body remembers one waker only.
    waiting: Vec<Waker>,
}

impl<B: HttpBody> Source<B> {
    pub(super) fn new(body: B, limit: u64) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            ended: body.is_end_stream(),
            body: Box::pin(body),
            frames: Vec::new(),
            given: 0,
            bytes: 0,
            limit,
            spent: false,
            failed: false,
            waiting: Vec::new(),
        })))
    }

    /// Whether another attempt could send all that the earlier ones did.
    pub(super) fn is_repeatable(&self) -> bool {
        !self.lock().spent
    }

    /// Whether it was the caller's body that failed, which says nothing about the peer.
    pub(super) fn has_failed(&self) -> bool {
        self.lock().failed
    }

    /// The body of one more attempt.
    pub(super) fn attempt(self: &Arc<Self>) -> Replay<B> {
        Replay { source: Arc::clone(self), at: 0 }
    }
}

impl<B> Source<B> {
    fn lock(&self) -> MutexGuard<'_, State<B>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: HttpBody> State<B> {
    /// Frame number `at`, counted from 0.
    fn poll_frame(
        &mut self,
        at: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReplayError<B::Error>>>> {
        if at < self.given {
            return Poll::Ready(Some(match self.frames.get(at).filter(|_| !self.spent) {
                Some(frame) => Ok(copy(frame)),
                None => Err(ReplayError::Spent),
            }));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        let Poll::Ready(polled) = self.body.as_mut().poll_frame(cx) else {
            if !self.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                self.waiting.push(cx.waker().clone());
            }
            return Poll::Pending;
        };
        self.wake();
        match polled {
            None => {
                self.ended = true;
                Poll::Ready(None)
            }
            Some(Err(error)) => {
                (self.spent, self.failed) = (true, true);
                Poll::Ready(Some(Err(ReplayError::Body(error))))
            }
            Some(Ok(frame)) => {
                let frame = frame.map_data(|mut data| data.copy_to_bytes(data.remaining()));
                self.keep(&frame);
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn keep(&mut self, frame: &Frame<Bytes>) {
        self.given += 1;
        self.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        if self.bytes > self.limit {
            self.spent = true;
            self.frames = Vec::new();
        }
        if !self.spent {
            self.frames.push(copy(frame));
        }
    }
}

impl<B> State<B> {
    fn wake(&mut self) {
        self.waiting.drain(..).for_each(Waker::wake);
    }
}

impl<B: HttpBody> HttpBody for Replay<B> {
    type Data = Bytes;
    type Error = ReplayError<B::Error>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = self.source.lock().poll_frame(self.at, cx);
        self.at += usize::from(matches!(polled, Poll::Ready(Some(Ok(_)))));
        polled
    }

    fn is_end_stream(&self) -> bool {
        let state = self.source.lock();
        self.at == state.given && (state.ended || state.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let state = self.source.lock();
        let kept = state.frames.get(self.at..).unwrap_or_default();
        let kept: u64 = kept.iter().filter_map(Frame::data_ref).map(|data| data.len() as u64).sum();
        let left = if state.ended { SizeHint::with_exact(0) } else { state.body.size_hint() };
        let mut hint = SizeHint::new();
        hint.set_lower(left.lower().saturating_add(kept));
        if let Some(upper) = left.upper() {
            hint.set_upper(upper.saturating_add(kept));
        }
        hint
    }
}

impl<B> Drop for Replay<B> {
    fn drop(&mut self) {
        // It may have been the one that the body would wake.
        self.source.lock().wake();
    }
}

fn copy(frame: &Frame<Bytes>) -> Frame<Bytes> {
    match (frame.data_ref(), frame.trailers_ref()) {
        (Some(data), _) => Frame::data(data.clone()),
        (None, Some(trailers)) => Frame::trailers(trailers.clone()),
        (None, None) => Frame::data(Bytes::new()),
    }
}

/// Why the body of an attempt broke off.
#[derive(Debug)]
pub enum ReplayError<E> {
    /// The caller's body did.
    Body(E),
    /// Another attempt has read more of it than is kept.
    Spent,
}

impl<E> fmt::Display for ReplayError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Body(_) => "the request's body failed",
            Self::Spent => "another attempt has read more of the request's body than is kept",
        })
    }
}

impl<E: Error + 'static> Error for ReplayError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Body(error) => Some(error),
            Self::Spent => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;

    use super::*;

    /// Gives what is there, and waits where nothing is.
    struct Script(VecDeque<Option<&'static str>>);

    impl HttpBody for Script {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match self.0.pop_front() {
                None => Poll::Ready(None),
                Some(None) => Poll::Pending,
                Some(Some(text)) => Poll::Ready(Some(Ok(Frame::data(Bytes::from(text))))),
            }
        }
    }

    /// The next piece: its text, `-` at the end, `.` where there is none yet, `!` where it is spent.
    fn next(body: &mut Replay<Script>) -> String {
        let mut cx = Context::from_waker(Waker::noop());
        match Pin::new(body).poll_frame(&mut cx) {
            Poll::Pending => ".".into(),
            Poll::Ready(None) => "-".into(),
            Poll::Ready(Some(Err(_))) => "!".into(),
            Poll::Ready(Some(Ok(frame))) => {
                String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
            }
        }
    }

    fn source(limit: u64, script: &[Option<&'static str>]) -> Arc<Source<Script>> {
        Source::new(Script(script.iter().copied().collect()), limit)
    }

    #[test]
    fn attempts_beside_each_other_read_one_body() {
        let source = source(4, &[Some("ab"), None, Some("cd")]);
        let (mut one, mut two) = (source.attempt(), source.attempt());
        let read = [&mut one, &mut two].map(next);
        assert_eq!(read, ["ab", "ab"]);
        assert_eq!(next(&mut one), ".");
        assert_eq!(
            (next(&mut two), next(&mut two), next(&mut one), next(&mut one)),
            ("cd".into(), "-".into(), "cd".into(), "-".into())
        );
        drop((one, two));
        let mut three = source.attempt();
        assert_eq!([(); 3].map(|()| next(&mut three)), ["ab", "cd", "-"]);
        assert!(source.is_repeatable() && three.is_end_stream());
    }

    #[test]
    fn beyond_the_limit_the_first_to_read_goes_on_alone() {
        let source = source(3, &[Some("ab"), Some("cd"), Some("ef")]);
        let (mut one, mut two) = (source.attempt(), source.attempt());
        assert_eq!((next(&mut one), next(&mut two)), ("ab".into(), "ab".into()));
        assert_eq!(next(&mut one), "cd");
        assert!(!source.is_repeatable());
        assert_eq!(next(&mut two), "!");
        assert_eq!((next(&mut one), next(&mut one)), ("ef".into(), "-".into()));
    }
}
