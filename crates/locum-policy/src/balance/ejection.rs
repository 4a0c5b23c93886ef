//! Endpoints that are left out because their breakers are open, and when that goes too far.

use crate::ratio::Ratio;
use crate::settings::Error;

/// How many endpoints of an upstream may be left out at once. When more would have to be, it is
/// likelier that something else is wrong, and that the few that are left would drown: then all are
/// used as if none were ejected, and their breakers do not refuse (panic mode).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ejection(Ratio);

impl Default for Ejection {
    fn default() -> Self {
        Self(Ratio::nearest(DEFAULT))
    }
}

impl Ejection {
    /// At most this share of the endpoints, rounded down: from 0 (never eject) to 1 (no panic mode).
    ///
    /// # Errors
    ///
    /// A share out of range.
    pub fn new(max_ejected: f64) -> Result<Self, Error> {
        if !(0.0..=1.0).contains(&max_ejected) {
            let reason = format!("{max_ejected} is not a share");
            let remedy = "write a share from 0 (eject none) to 1 (all may be ejected)";
            return Err(Error::new("max_ejected", reason, remedy));
        }
        Ok(Self(Ratio::nearest(max_ejected)))
    }

    /// Whether `ejected` of so many `endpoints` are too many. An only endpoint is never one too many:
    /// there is nothing to choose, and its breaker is there to refuse.
    pub fn panics(self, ejected: usize, endpoints: usize) -> bool {
        endpoints > 1 && ejected as u64 > self.0.of(endpoints as u64)
    }
}

/// Half of them: with more out, the rest would have to carry more than twice their load.
const DEFAULT: f64 = 0.5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_rounded_down() {
        let most = |share: f64, endpoints: usize| {
            let ejection = Ejection::new(share).unwrap();
            (0..=endpoints).take_while(|ejected| !ejection.panics(*ejected, endpoints)).last()
        };
        assert_eq!(most(0.5, 2), Some(1));
        assert_eq!(most(0.5, 3), Some(1));
        assert_eq!(most(0.1, 10), Some(1));
        assert_eq!(most(0.0, 2), Some(0));
        assert_eq!(most(1.0, 3), Some(3));
        assert_eq!(most(0.5, 1), Some(1), "an only endpoint's breaker refuses");
    }

    #[test]
    fn a_share_out_of_range_is_an_error() {
        for share in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Ejection::new(share).unwrap_err().path, "max_ejected");
        }
    }
}
