//! One timer for everything that a connection waits for.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep};

/// A timer that is set forward only: what is no more waited for when it rings costs a look, and setting it
/// anew for each message would cost more.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    /// When it rings, if it is set.
    at: Option<Instant>,
}

impl Alarm {
    /// Ready when it rings: at `next` or before.
    pub(super) fn poll(&mut self, next: Option<Instant>, task: &mut Context<'_>) -> Poll<()> {
        match (self.at, next) {
            (None, None) => return Poll::Pending,
            (None, Some(next)) => self.set(next),
            (Some(at), Some(next)) if next < at => self.set(next),
            (Some(_), _) => {}
        }
        let Some(sleep) = &mut self.sleep else { return Poll::Pending };
        if sleep.as_mut().poll(task).is_pending() {
            return Poll::Pending;
        }
        self.at = None;
        Poll::Ready(())
    }

    fn set(&mut self, at: Instant) {
        self.at = Some(at);
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(at),
            none => *none = Some(Box::pin(tokio::time::sleep_until(at))),
        }
    }
}
