//! Which endpoint the next attempt takes.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Settings, Upstream};

/// A way to spread calls over the endpoints of an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// One after the other, each as often.
    #[default]
    RoundRobin,
    /// One after the other, each as often as its weight says, evenly interleaved.
    Weighted,
    /// Any, each as likely as its weight says.
    Random,
    /// The less busy of two picked at random (power of two choices), by calls in flight and weight.
    LeastRequest,
}

/// A balance made ready for one upstream. Shared by all workers; holds no lock.
pub(super) struct Balancer {
    balance: Balance,
    /// Endpoints in the order in which `Weighted` takes them, one round.
    round: Box<[u32]>,
    next: AtomicUsize,
    total_weight: u64,
}

impl Balancer {
    pub(super) fn new(settings: &Settings) -> Self {
        let weights: Vec<u32> = settings.endpoints.iter().map(|endpoint| endpoint.weight).collect();
        Self {
            balance: settings.balance,
            round: match settings.balance {
                Balance::Weighted => interleave(&weights),
                _ => (0..weights.len())
                    .map(|index| u32::try_from(index).unwrap_or(u32::MAX))
                    .collect(),
            },
            next: AtomicUsize::new(0),
            total_weight: weights.iter().map(|weight| u64::from(*weight)).sum(),
        }
    }

    /// The next endpoint, one that `tried` does not name if there is one.
    pub(super) fn pick(&self, upstream: &Upstream, tried: &[u32], random: u64) -> u32 {
        if upstream.endpoints.len() == 1 {
            return 0;
        }
        let chosen = match self.balance {
            Balance::RoundRobin | Balance::Weighted => return self.next_in_round(tried),
            Balance::Random => self.by_weight(upstream, random),
            Balance::LeastRequest => self.less_busy(upstream, tried, random),
        };
        if !tried.contains(&chosen) {
            return chosen;
        }
        let count = u32::try_from(upstream.endpoints.len()).unwrap_or(u32::MAX);
        let others = (1..count).map(|step| (chosen + step) % count);
        others.into_iter().find(|index| !tried.contains(index)).unwrap_or(chosen)
    }

    fn next_in_round(&self, tried: &[u32]) -> u32 {
        let at = self.next.fetch_add(1, Ordering::Relaxed);
        let place = |step: usize| self.round[at.wrapping_add(step) % self.round.len()];
        (0..self.round.len())
            .map(place)
            .find(|index| !tried.contains(index))
            .unwrap_or_else(|| place(0))
    }

    fn by_weight(&self, upstream: &Upstream, random: u64) -> u32 {
        let mut ticket = random % self.total_weight.max(1);
        for (index, endpoint) in (0..).zip(&upstream.endpoints) {
            let weight = u64::from(endpoint.settings.weight);
            if ticket < weight {
                return index;
            }
            ticket -= weight;
        }
        0
    }

    /// The power of two choices: near the best of all, for two looks (Mitzenmacher 2001).
    fn less_busy(&self, upstream: &Upstream, tried: &[u32], random: u64) -> u32 {
        let count = upstream.endpoints.len() as u64;
        let first = (random & 0xffff_ffff) % count;
        let second = (first + 1 + (random >> 32) % (count - 1)) % count;
        // A tried endpoint is as busy as can be. Loads compare as fractions in flight / weight.
        let load = |index: u64| {
            let endpoint = &upstream.endpoints[index as usize];
            let tried = tried.contains(&(index as u32));
            (tried, u64::from(endpoint.in_flight()) + 1, u64::from(endpoint.settings.weight.max(1)))
        };
        let (a, b) = (load(first), load(second));
        let first_is_better = (a.0, a.1 * b.2) <= (b.0, b.1 * a.2);
        (if first_is_better { first } else { second }) as u32
    }
}

/// One round in which each index comes as often as its weight says, spread out evenly: each step
/// takes the index that is furthest behind its share (nginx's smooth weighted round-robin).
fn interleave(weights: &[u32]) -> Box<[u32]> {
    let divisor = weights.iter().copied().fold(0, gcd).max(1);
    let weights: Vec<i64> = weights.iter().map(|weight| i64::from(weight / divisor)).collect();
    let total: i64 = weights.iter().sum();
    let mut credit = vec![0; weights.len()];
    let mut step = || {
        for (credit, weight) in credit.iter_mut().zip(&weights) {
            *credit += weight;
        }
        let (at, _) =
            (0_u32..).zip(&credit).max_by_key(|(index, credit)| (**credit, u32::MAX - index))?;
        credit[at as usize] -= total;
        Some(at)
    };
    (0..total).filter_map(|_| step()).collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{EndpointSettings, PoolSettings};
    use super::*;

    fn upstream(balance: Balance, weights: &[u32]) -> Arc<Upstream> {
        let endpoint = |weight: &u32| EndpointSettings {
            name: format!("w{weight}"),
            address: ([127, 0, 0, 1], 1).into(),
            weight: *weight,
            zone: None,
        };
        let settings = Settings {
            name: "u".into(),
            endpoints: weights.iter().map(endpoint).collect(),
            balance,
            pool: PoolSettings::default(),
            endpoint_policy: None,
        };
        Upstream::build(&settings, None, None).unwrap()
    }

    fn counts(upstream: &Upstream, picks: u64) -> Vec<u64> {
        let mut counts = vec![0; upstream.endpoints.len()];
        let mut random = crate::random::Random::new(7);
        for _ in 0..picks {
            counts[upstream.pick(&[], random.next()) as usize] += 1;
        }
        counts
    }

    #[test]
    fn round_robin_takes_each_as_often() {
        assert_eq!(counts(&upstream(Balance::RoundRobin, &[1, 5, 1]), 300), [100, 100, 100]);
    }

    #[test]
    fn weighted_interleaves_exactly() {
        assert_eq!(*interleave(&[5, 1, 1]), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(counts(&upstream(Balance::Weighted, &[10, 30]), 400), [100, 300]);
    }

    #[test]
    fn random_follows_the_weights() {
        let counts = counts(&upstream(Balance::Random, &[1, 3]), 10_000);
        assert!((2_300..2_700).contains(&counts[0]), "{counts:?}");
    }

    #[test]
    fn least_request_avoids_the_busy_one() {
        let upstream = upstream(Balance::LeastRequest, &[1, 1]);
        let _busy: Vec<_> = (0..3).map(|_| upstream.endpoints[0].begin()).collect();
        assert_eq!(counts(&upstream, 100), [0, 100]);
    }

    #[test]
    fn a_retry_prefers_an_endpoint_not_tried_yet() {
        for balance in
            [Balance::RoundRobin, Balance::Weighted, Balance::Random, Balance::LeastRequest]
        {
            let upstream = upstream(balance, &[3, 1, 2]);
            let mut random = crate::random::Random::new(7);
            for _ in 0..100 {
                assert_eq!(upstream.pick(&[0, 2], random.next()), 1, "{balance:?}");
            }
            assert!(
                upstream.pick(&[0, 1, 2], 5) < 3,
                "{balance:?}: all tried is no reason to fail"
            );
        }
    }
}
