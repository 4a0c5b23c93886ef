//! Calls that stay in the zone of their caller.

/// The share of calls that stays in a zone whose usable endpoints have this weight, of the weight that all
/// of its endpoints have. All stay as long as the usable ones are five of seven: these can carry what the
/// others would have, where a zone is built to lose some (Envoy's overprovisioning factor). Of fewer it is
/// asked for no more than that, and the rest goes to other zones.
pub fn stay(usable: u64, all: u64) -> f64 {
    if all == 0 {
        return 0.0;
    }
    (OVERPROVISIONED * usable as f64 / all as f64).min(1.0)
}

/// What usable endpoints are thought to carry of their own share.
const OVERPROVISIONED: f64 = 1.4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_leave_a_zone_as_it_fails() {
        assert_eq!([4, 3, 2, 1, 0].map(|usable| stay(usable, 4)), [1.0, 1.0, 0.7, 0.35, 0.0]);
        assert_eq!(stay(5, 7), 1.0);
        assert_eq!(stay(0, 0), 0.0);
    }
}
