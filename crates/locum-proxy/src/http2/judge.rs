//! Whether a client makes work and takes it back: rapid reset (CVE-2023-44487) and its kin, in which
//! the client has us reset its streams (MadeYouReset, CVE-2025-8671).

use std::time::Duration;

use locum_policy::Time;

/// Watches how the streams of one connection end.
pub(super) struct Judge {
    /// Resets a second that are borne for as long as they go on.
    rate: u32,
    /// Resets beyond the rate, in thousandths.
    excess: u64,
    counted: Time,
    /// Streams so far.
    opened: u64,
    /// The last streams: when each was opened, and whether it was reset soon after.
    last: Vec<(Time, bool)>,
    soon: usize,
}

/// So many of the last streams are looked at, once there were so many.
const LAST: usize = 200;
/// A stream that is reset within so long was not meant.
const SOON: Duration = Duration::from_secs(1);
/// So many seconds' worth of resets may come at once: a page that is left takes all of its streams back.
const BURST: u64 = 2;

impl Judge {
    /// Bears `rate` resets a second, and twice as many at once.
    pub(super) fn new(rate: u32) -> Self {
        Self { rate, excess: 0, counted: Time::ZERO, opened: 0, last: Vec::new(), soon: 0 }
    }

    /// A stream was opened; gives its number.
    pub(super) fn open(&mut self, now: Time) -> u64 {
        let number = self.opened;
        self.opened += 1;
        if self.last.len() < LAST {
            self.last.push((now, false));
        } else {
            let oldest = &mut self.last[place(number)];
            self.soon -= usize::from(oldest.1);
            *oldest = (now, false);
        }
        number
    }

    /// The client has reset the stream of that number, or made us do it. False: it has gone too far.
    pub(super) fn reset(&mut self, number: u64, now: Time) -> bool {
        if self.opened - number <= LAST as u64 {
            let (opened, reset) = &mut self.last[place(number)];
            if !*reset && now.since(*opened) <= SOON {
                *reset = true;
                self.soon += 1;
            }
        }
        let rate = u64::from(self.rate);
        let passed = u64::try_from(now.since(self.counted).as_millis()).unwrap_or(u64::MAX);
        if passed > 0 {
            self.excess = self.excess.saturating_sub(passed.saturating_mul(rate));
            self.counted = now;
        }
        self.excess += 1000;
        let rarely = self.last.len() < LAST || self.soon * 2 <= LAST;
        rarely && self.excess <= BURST * rate * 1000
    }
}

fn place(number: u64) -> usize {
    (number % LAST as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn a_flood_of_resets_is_told_by_its_rate() {
        let mut judge = Judge::new(100);
        // Opened long ago, so that it is the rate alone that tells.
        let streams: Vec<_> = (0..400).map(|_| judge.open(at(0))).collect();
        let borne = streams.iter().take_while(|stream| judge.reset(**stream, at(5000))).count();
        assert_eq!(borne, 200, "twice the rate at once");

        let mut judge = Judge::new(100);
        let streams: Vec<_> = (0..2000).map(|_| judge.open(at(0))).collect();
        let steadily =
            streams.iter().zip(0..).all(|(stream, n)| judge.reset(*stream, at(5000 + n * 10)));
        assert!(steadily, "one every 10 ms is the rate itself");
    }

    #[test]
    fn streams_that_are_mostly_taken_back_at_once_are_not_borne() {
        let mut judge = Judge::new(1000);
        let mut borne = 0;
        for n in 0..1000 {
            let stream = judge.open(at(n * 20));
            if !judge.reset(stream, at(n * 20 + 1)) {
                break;
            }
            borne += 1;
        }
        assert_eq!(borne, LAST - 1, "judged as soon as there were enough");
    }

    #[test]
    fn half_of_them_are_borne_and_so_are_late_ones() {
        let mut judge = Judge::new(1000);
        for n in 0..2000 {
            let stream = judge.open(at(n * 20));
            assert!(n % 2 == 0 || judge.reset(stream, at(n * 20 + 1)), "{n}");
        }
        let mut judge = Judge::new(1000);
        for n in 0..2000 {
            let stream = judge.open(at(n * 20));
            assert!(judge.reset(stream, at(n * 20 + 1001)), "{n}");
        }
    }

    #[test]
    fn a_stream_of_long_ago_can_be_reset() {
        let mut judge = Judge::new(100);
        let first = judge.open(at(0));
        (0..1000).for_each(|_| assert!(judge.open(at(1)) > first));
        assert!(judge.reset(first, at(2)));
        assert_eq!(judge.soon, 0);
    }
}
