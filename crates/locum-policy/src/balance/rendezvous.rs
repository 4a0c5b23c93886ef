//! Highest random weight: each endpoint has a score for each key, and the highest takes it (Thaler
//! and Ravishankar, 1998). When an endpoint goes, only its own keys move; when one comes, keys move
//! only to it.

use std::collections::BTreeMap;

use crate::seed::mix;

/// FNV-1a and a finaliser: the same in every run and on every instance, which is the point.
pub fn hash(bytes: &[u8]) -> u64 {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    mix(hash, HASH)
}

/// Endpoints, of which each key has its own.
///
/// Every look goes through all of them, in a few instructions each: among those of one weight the highest word has the
/// highest score, so that they are only hashes in a row, and a logarithm is taken once a weight.
#[derive(Debug, Default)]
pub(super) struct Contest {
    classes: Box<[Class]>,
}

/// Endpoints of one weight.
#[derive(Debug)]
struct Class {
    weight: u32,
    hashes: Box<[u64]>,
    /// The places in the list of those that the hashes are of.
    places: Box<[u32]>,
}

impl Contest {
    /// For endpoints of these hashes and weights, in the order of the list.
    pub(super) fn new(endpoints: impl Iterator<Item = (u64, u32)>) -> Self {
        let mut classes: BTreeMap<u32, (Vec<u64>, Vec<u32>)> = BTreeMap::new();
        for (place, (hash, weight)) in (0..).zip(endpoints) {
            let (hashes, places) = classes.entry(weight).or_default();
            hashes.push(hash);
            places.push(place);
        }
        let class = |(weight, (hashes, places)): (u32, (Vec<_>, Vec<_>))| Class {
            weight,
            hashes: hashes.into(),
            places: places.into(),
        };
        Self { classes: classes.into_iter().map(class).collect() }
    }

    /// The place of the endpoint with the highest score for `key`, a hash, among those that `admits` lets in. It is only
    /// asked for those that are above all before them: of many a few.
    pub(super) fn winner(&self, key: u64, admits: impl Fn(u32) -> bool) -> Option<u32> {
        if let [only] = &*self.classes {
            return Some(only.winner(key, admits)?.0);
        }
        let winners =
            self.classes.iter().filter_map(|class| Some((class, class.winner(key, &admits)?)));
        let scores = winners.map(|(class, (place, word))| (place, score(word, class.weight)));
        Some(scores.max_by(|(_, a), (_, b)| a.total_cmp(b))?.0)
    }
}

impl Class {
    /// The place of the one with the highest word for `key`, and the word.
    fn winner(&self, key: u64, admits: impl Fn(u32) -> bool) -> Option<(u32, u64)> {
        let mut best = None;
        let mut least = 0;
        for (at, hash) in self.hashes.iter().enumerate() {
            let word = word(key, *hash);
            if word >= least && admits(self.places[at]) {
                best = Some((at, word));
                least = word.saturating_add(1);
            }
        }
        best.map(|(at, word)| (self.places[at], word))
    }
}

/// What an endpoint draws for a key. Both are hashes, well mixed, so that two rounds are enough.
const fn word(key: u64, endpoint: u64) -> u64 {
    let word = (key ^ endpoint).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (word ^ (word >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93)
}

/// Of several endpoints each has the highest as often as its weight says: -weight / ln(u) for a `u` uniform in (0, 1).
fn score(word: u64, weight: u32) -> f64 {
    // 53 bits of chance, and half a step more: never 0, never 1.
    let u = ((word >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -f64::from(weight) / u.ln()
}

/// What the random word is for.
const HASH: u64 = 0x6861_7368;

#[cfg(test)]
mod tests {
    use super::*;

    fn contest(weights: &[u32]) -> Contest {
        let names = (0..).map(|n: u32| hash(format!("10.0.{}.{}:80", n / 250, n % 250).as_bytes()));
        Contest::new(names.zip(weights.iter().copied()))
    }

    fn keys(count: u32) -> impl Iterator<Item = u64> {
        (0..count).map(|n| hash(format!("192.168.{}.{}", n / 256, n % 256).as_bytes()))
    }

    fn winners(contest: &Contest, count: usize, keys: impl Iterator<Item = u64>) -> Vec<u32> {
        let mut won = vec![0; count];
        for key in keys {
            won[contest.winner(key, |_| true).unwrap() as usize] += 1;
        }
        won
    }

    /// How far counts are from what is expected of them, in standard deviations of that.
    fn deviation(won: &[u32], weights: &[u32], keys: u32) -> f64 {
        let total = f64::from(weights.iter().sum::<u32>());
        let terms = won.iter().zip(weights).map(|(won, weight)| {
            let expected = f64::from(keys) * f64::from(*weight) / total;
            (f64::from(*won) - expected).powi(2) / expected
        });
        // Chi-squared with n - 1 degrees of freedom: that mean, twice that variance.
        let freedom = won.len() as f64 - 1.0;
        (terms.sum::<f64>() - freedom) / (2.0 * freedom).sqrt()
    }

    #[test]
    fn keys_are_spread_as_by_chance() {
        for count in [2, 3, 100, 1_000] {
            let weights = vec![1; count];
            let won = winners(&contest(&weights), count, keys(65_536));
            let deviation = deviation(&won, &weights, 65_536);
            assert!(deviation.abs() < 4.0, "{count}: {deviation}");
            // Neither do keys that are numbers, as they are.
            let won = winners(&contest(&weights), count, (0..65_536).map(|n| mix(n, 1)));
            let deviation = self::deviation(&won, &weights, 65_536);
            assert!(deviation.abs() < 4.0, "{count}: {deviation}");
        }
    }

    #[test]
    fn weights_are_respected() {
        let weights: Vec<_> = (0..60).map(|n| 1 + n % 5).collect();
        let won = winners(&contest(&weights), weights.len(), keys(65_536));
        let deviation = deviation(&won, &weights, 65_536);
        assert!(deviation.abs() < 4.0, "{deviation}");
    }

    #[test]
    fn who_is_not_admitted_loses_only_its_own_keys() {
        for weights in [vec![1; 200], (0..200).map(|n| 1 + n % 3).collect()] {
            let contest = contest(&weights);
            let gone = 17;
            for key in keys(5_000) {
                let before = contest.winner(key, |_| true).unwrap();
                let after = contest.winner(key, |place| place != gone).unwrap();
                assert!(after != gone && (before == gone || before == after));
            }
        }
    }

    #[test]
    fn who_comes_takes_keys_and_moves_no_others() {
        let weights: Vec<_> = (0..100).map(|n| 1 + n % 2).collect();
        let (all, fewer) = (contest(&weights), contest(&weights[..99]));
        let mut moved = 0;
        for key in keys(20_000) {
            let (before, after) = (fewer.winner(key, |_| true), all.winner(key, |_| true));
            assert!(after == before || after == Some(99));
            moved += u32::from(after != before);
        }
        // Its weight is 2 of 150.
        assert!((200..340).contains(&moved), "{moved}");
    }

    #[test]
    fn nobody_wins_where_nobody_is_admitted() {
        assert_eq!(contest(&[1, 2, 3]).winner(7, |_| false), None);
        assert_eq!(Contest::default().winner(7, |_| true), None);
    }
}
