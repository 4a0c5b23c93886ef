//! The order in which endpoints take turns.

/// One after the other.
pub(super) fn plain(count: usize) -> Box<[u32]> {
    (0..u32::try_from(count).unwrap_or(u32::MAX)).collect()
}

/// One round in which each index comes as often as its weight says, spread out evenly: each step
/// takes the index that is furthest behind its share (nginx's smooth weighted round-robin).
pub(super) fn interleave(weights: Vec<u32>) -> Box<[u32]> {
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
    use super::*;

    #[test]
    fn turns_are_spread_out_evenly() {
        assert_eq!(*interleave(vec![5, 1, 1]), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(*interleave(vec![10, 30]), [1, 0, 1, 1]);
    }
}
