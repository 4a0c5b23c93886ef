//! The clock of a runtime.

use std::future::Future;

use locum_policy::Time;
use tokio::time::Instant;

/// Tokio's clock, which starts when it is made. In a runtime whose time is paused, so is this.
///
/// States of policies are points on it, so all calls under one policy go by one clock: that of
/// [`Policy::clock`](crate::Policy::clock).
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// The moment of `at`; `None`: beyond what the system's clock can say.
    #[cfg(feature = "rpc")]
    pub(crate) fn instant(&self, at: Time) -> Option<Instant> {
        self.start.checked_add(at.since(Time::ZERO))
    }
}

impl locum_policy::Clock for Clock {
    fn now(&self) -> Time {
        Time::ZERO + self.start.elapsed()
    }

    /// # Panics
    ///
    /// When polled outside a Tokio runtime with time enabled.
    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> {
        let left = at.since(Time::ZERO);
        let start = self.start;
        async move {
            match start.checked_add(left) {
                Some(at) => tokio::time::sleep_until(at).await,
                // Beyond what the system's clock can say.
                None => std::future::pending().await,
            }
        }
    }
}
