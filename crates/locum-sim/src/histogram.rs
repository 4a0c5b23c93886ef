//! Percentiles in bounded memory.

use std::time::Duration;

/// Counts durations in buckets that are log-linear: 128 of one width between a power of two and the
/// next. A percentile is the middle of its bucket, so it errs by less than 0.4 %; of few enough
/// values it is exact.
#[derive(Clone, Debug, Default)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    /// The first so many values as they came.
    first: Vec<u64>,
    count: u64,
    sum: u128,
    max: u64,
}

/// 128 buckets between powers of two.
const PRECISION: u32 = 7;
/// So many values are kept as they are: half a mebibyte.
const FEW: usize = 1 << 16;

impl Histogram {
    pub(crate) fn record(&mut self, value: Duration) {
        let nanos = u64::try_from(value.as_nanos()).unwrap_or(u64::MAX);
        let index = index_of(nanos);
        if index >= self.counts.len() {
            self.counts.resize(index + 1, 0);
        }
        self.counts[index] += 1;
        if self.first.len() < FEW {
            self.first.push(nanos);
        }
        self.count += 1;
        self.sum += u128::from(nanos);
        self.max = self.max.max(nanos);
    }

    /// In nanoseconds, exact; 0 of nothing.
    pub(crate) fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum as f64 / self.count as f64 }
    }

    /// In nanoseconds, exact.
    pub(crate) const fn max(&self) -> u64 {
        self.max
    }

    /// The smallest duration, in nanoseconds, that `share` of all do not exceed; 0 of nothing.
    pub(crate) fn percentile(&self, share: f64) -> u64 {
        let rank = ((share * self.count as f64).ceil() as u64).max(1);
        if self.count == self.first.len() as u64 {
            let mut sorted = self.first.clone();
            sorted.sort_unstable();
            return sorted.get(rank as usize - 1).copied().unwrap_or_default();
        }
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return middle_of(index).min(self.max);
            }
        }
        0
    }
}

/// Values below 128 have a bucket of their own; then the leading 8 bits name the bucket.
fn index_of(value: u64) -> usize {
    let shift = (64 - value.leading_zeros()).saturating_sub(PRECISION + 1);
    ((u64::from(shift) << PRECISION) + (value >> shift)) as usize
}

fn middle_of(index: usize) -> u64 {
    let index = index as u64;
    let shift = (index >> PRECISION).saturating_sub(1);
    let start = (index - (shift << PRECISION)) << shift;
    start + (((1_u64 << shift) - 1) >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_is_close_to_its_middle() {
        for value in (0..2_000).chain((0..64).map(|bit| 1 << bit)).chain([u64::MAX, 987_654_321]) {
            let middle = middle_of(index_of(value));
            let error = middle.abs_diff(value) as f64 / value.max(1) as f64;
            assert!(error < 0.004, "{value} became {middle}");
        }
    }

    #[test]
    fn percentiles_of_a_few_are_those_of_the_sorted_list() {
        let mut histogram = Histogram::default();
        (1..=1_000).rev().for_each(|ms| histogram.record(Duration::from_millis(ms)));
        let found = [0.5, 0.9, 0.99, 0.999, 1.0].map(|share| histogram.percentile(share));
        assert_eq!(found, [500, 900, 990, 999, 1_000].map(|ms| ms * 1_000_000));
        assert_eq!((histogram.mean(), histogram.max()), (500.5e6, 1_000_000_000));
    }

    #[test]
    fn percentiles_of_many_are_close_to_it() {
        let mut histogram = Histogram::default();
        (1..=100_000).for_each(|us| histogram.record(Duration::from_micros(us)));
        for (share, micros) in [(0.5, 5e4), (0.9, 9e4), (0.99, 9.9e4), (0.999, 9.99e4), (1.0, 1e5)]
        {
            let found = histogram.percentile(share) as f64 / 1e3;
            assert!((found / micros - 1.0_f64).abs() < 0.004, "{share}: {found}");
        }
    }

    #[test]
    fn nothing_has_no_percentile() {
        assert_eq!(Histogram::default().percentile(0.5), 0);
    }
}
