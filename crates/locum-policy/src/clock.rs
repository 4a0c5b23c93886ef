//! Where time comes from.

use std::future::Future;

use crate::Time;

/// The clock of whoever runs calls: a runtime's, a worker's, a simulator's.
pub trait Clock {
    /// The present. Never goes back.
    fn now(&self) -> Time;

    /// Resolves at `at` or as soon after it as the clock can.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future forgets the alarm.
    fn sleep_until(&self, at: Time) -> impl Future<Output = ()>;
}
