//! Work against a clock.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use crate::{Clock, Time};

/// Lets `work` run until `deadline`; `None`: that came first. At the very instant, the work wins.
///
/// The alarm is set only if there is a deadline and the work is not ready at once: most calls that
/// fail fast never touch a timer.
///
/// # Cancel safety
///
/// As safe as `work`.
pub(super) async fn before<F: Future, C: Clock>(
    work: F,
    deadline: Option<Time>,
    clock: &C,
) -> Option<F::Output> {
    let mut work = pin!(work);
    let mut alarm = pin!(None);
    poll_fn(|context| {
        if let Poll::Ready(output) = work.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        let Some(at) = deadline else { return Poll::Pending };
        if alarm.is_none() {
            alarm.set(Some(clock.sleep_until(at)));
        }
        match alarm.as_mut().as_pin_mut() {
            Some(alarm) => alarm.poll(context).map(|()| None),
            None => Poll::Pending,
        }
    })
    .await
}
