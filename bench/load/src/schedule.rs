//! When requests are due: at random times that do not depend on each other, as those of many clients are.

use std::time::Duration;

/// A Poisson process, the same for the same seed.
#[derive(Debug)]
pub(crate) struct Schedule {
    random: fastrand::Rng,
    /// Requests a second.
    rate: f64,
    /// Seconds after the begin.
    due: f64,
}

impl Schedule {
    pub(crate) fn new(rate: f64, seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), rate, due: 0.0 }
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        // The times in between are exponentially distributed; 1 - x is never 0.
        self.due -= (1.0 - self.random.f64()).ln() / self.rate;
        Some(Duration::from_secs_f64(self.due))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept_and_the_seed_decides() {
        let due = |seed| Schedule::new(1000.0, seed).take(100_000).last().unwrap();
        assert!((due(1).as_secs_f64() - 100.0).abs() < 2.0, "{:?}", due(1));
        assert_eq!(due(1), due(1));
        assert_ne!(due(1), due(2));
    }
}
