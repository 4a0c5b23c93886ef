//! Load that comes little by little.

use std::time::Duration;

/// How long an endpoint that is new, or up again, takes to get its full share: what has to fill caches,
/// compile or connect first would drown in it at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowStart(pub Duration);

impl SlowStart {
    /// The share of its picks that makes use of an endpoint which has been up for so long, from 0.1 to 1.
    pub fn share(self, up_for: Duration) -> f64 {
        if up_for >= self.0 {
            return 1.0;
        }
        LEAST.max(up_for.as_secs_f64() / self.0.as_secs_f64())
    }
}

/// With less nobody would find out that it works.
const LEAST: f64 = 0.1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_grows_in_a_straight_line_from_a_tenth() {
        let share =
            |millis| SlowStart(Duration::from_secs(10)).share(Duration::from_millis(millis));
        assert_eq!(
            [0, 500, 1000, 2500, 5000, 10_000, 99_999].map(share),
            [0.1, 0.1, 0.1, 0.25, 0.5, 1.0, 1.0]
        );
        assert_eq!(SlowStart(Duration::ZERO).share(Duration::ZERO), 1.0);
    }
}
