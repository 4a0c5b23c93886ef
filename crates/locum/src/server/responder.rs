//! How the result of a call gets to its caller.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use locum_policy::Cause;
use locum_wire::rpc::{Class, Failure};
use serde::Serialize;

use super::line::{Line, Stopped};
use super::outbox::{Key, Outbox};
use crate::stream::{Flow, Stream};
use crate::{AppError, CallError};

/// Takes the result of one call to its caller. Dropped without one, it says that the handler is at fault.
pub struct Responder {
    outbox: Arc<Outbox>,
    key: Key,
    told: Option<Arc<Told>>,
    flow: Option<Arc<Flow>>,
    answered: bool,
}

impl Responder {
    pub(super) fn new(
        outbox: Arc<Outbox>,
        key: Key,
        told: Option<Arc<Told>>,
        flow: Option<Arc<Flow>>,
    ) -> Self {
        Self { outbox, key, told, flow, answered: false }
    }

    /// Answers the call. A result that cannot be written on the wire it came by fails the call.
    pub fn finish<R: Serialize, E: AppError>(mut self, result: &Result<R, CallError<E>>) {
        match result {
            Ok(value) => {
                self.answered = true;
                self.tell(Cause::Reply);
                self.outbox.ok(self.key, value);
            }
            Err(error) => {
                // The error is put into words by the program, which may panic: that is answered too.
                let failure = error.to_failure();
                self.answered = true;
                self.fail(&failure);
            }
        }
    }

    /// Answers the call with a stream: returns once its last item has left, or its caller has gone.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the call as a handler at fault does.
    pub async fn stream<S, T, E>(self, result: Result<S, CallError<E>>)
    where
        S: Stream<Item = Result<T, CallError<E>>> + Send,
        T: Serialize + Send,
        E: AppError,
    {
        let stream = match (result, &self.flow) {
            (Err(error), _) => return self.finish::<(), E>(&Err(error)),
            (Ok(_), None) => {
                return self.finish::<(), String>(&Err(CallError::Internal(NO_STREAM.to_owned())));
            }
            (Ok(stream), Some(flow)) => {
                let line = Line::new(&self.outbox, self.key, Arc::clone(flow));
                line.send(stream).await
            }
        };
        match stream {
            Ok(()) => self.finish::<_, E>(&Ok(())),
            Err(Stopped::Failed(error)) => self.finish::<(), E>(&Err(error)),
            Err(Stopped::Unwritable(text)) => {
                self.finish::<(), E>(&Err(CallError::Internal(text)));
            }
            // It was answered already: its time is over, or its caller gave it up.
            Err(Stopped::Over) => {}
        }
    }

    fn fail(&self, failure: &Failure<'_>) {
        self.tell(match failure.class {
            Class::App | Class::UnknownMethod | Class::BadArguments => Cause::AppError,
            Class::Deadline => Cause::Timeout,
            Class::Cancelled => Cause::Cancelled,
            Class::Rejected | Class::Unavailable => Cause::Unavailable,
            Class::Internal => Cause::Reset,
        });
        self.outbox.fail(self.key, failure);
    }

    fn tell(&self, cause: Cause) {
        if let Some(told) = &self.told {
            told.set(cause);
        }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        // A policy answers for a handler that it drops.
        if self.answered || self.told.is_some() || self.outbox.is_beginning(self.key) {
            return;
        }
        let reason = if std::thread::panicking() { PANICKED } else { NO_ANSWER };
        self.fail(&Failure::internal(reason));
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responder").field("call", &self.key).finish_non_exhaustive()
    }
}

/// What a handler is told that answers with a stream where its method has none.
const NO_STREAM: &str = "the method returns no stream";

/// What the caller of a handler that panicked is told. What it panicked with is nobody's business.
pub(super) const PANICKED: &str = "the handler panicked";

/// What the caller of a handler is told that ended and said nothing.
pub(super) const NO_ANSWER: &str = "the handler gave no answer";

/// How a handler ended, for the policy around it.
#[derive(Debug, Default)]
pub(super) struct Told(AtomicU8);

impl Told {
    fn set(&self, cause: Cause) {
        let at = CAUSES.iter().position(|it| *it == cause).unwrap_or_default();
        self.0.store(at as u8, Ordering::Relaxed);
    }

    /// Of a handler that has ended.
    pub(super) fn cause(&self) -> Cause {
        CAUSES.get(usize::from(self.0.load(Ordering::Relaxed))).copied().unwrap_or(Cause::Reset)
    }
}

/// The first is what a handler ends with that said nothing.
const CAUSES: [Cause; 6] = [
    Cause::Reset,
    Cause::Reply,
    Cause::AppError,
    Cause::Timeout,
    Cause::Cancelled,
    Cause::Unavailable,
];
