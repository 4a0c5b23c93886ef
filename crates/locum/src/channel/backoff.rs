//! How long to wait before the next try to connect.

use std::time::Duration;

use locum_policy::seed::{mix, up_to};

/// Waits that grow with each failure, fully jittered: anything from nothing to the most, so that clients
/// that lost their server together do not come back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Backoff {
    /// The most after the first failure.
    pub(super) base: Duration,
    /// The most ever.
    pub(super) cap: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base: Duration::from_millis(50), cap: Duration::from_secs(5) }
    }
}

impl Backoff {
    /// The wait after `failures` in a row.
    pub(super) fn wait(&self, failures: u32, seed: u64) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
        let most = self.base.saturating_mul(1 << doublings.min(30)).min(self.cap);
        let nanos = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(up_to(mix(seed, u64::from(failures)), nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_the_cap_and_lie_anywhere_below() {
        let backoff = Backoff::default();
        assert_eq!(backoff.wait(0, 1), Duration::ZERO);
        for (failures, most) in [(1, 50), (2, 100), (5, 800), (8, 5000), (100, 5000)] {
            let most = Duration::from_millis(most);
            let waits: Vec<_> = (0..1000).map(|seed| backoff.wait(failures, seed)).collect();
            assert!(waits.iter().all(|wait| *wait <= most));
            assert!(waits.iter().any(|wait| *wait < most / 20));
            assert!(waits.iter().any(|wait| *wait > most - most / 20));
        }
    }
}
