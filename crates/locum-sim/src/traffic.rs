//! When calls come in.

use std::time::Duration;

use locum_policy::Time;
use locum_policy::seed::mix;

use crate::scenario::{Arrivals, Process};
use crate::service::exponential;

/// The arrivals of an open loop, one after another.
pub(crate) struct Traffic {
    process: Process,
    seed: u64,
    /// From when on which rate holds, in calls a nanosecond; in order.
    rates: Vec<(Time, f64)>,
    /// Which of them holds.
    current: usize,
    every: Duration,
    end: Time,
    /// Where counting starts afresh: the last change of the rate, or the last random arrival.
    base: Time,
    /// Calls that are still to be counted from there until the next one.
    ahead: f64,
    /// Calls that have come since, evenly.
    since: u64,
    /// Calls in all, or bursts.
    count: u64,
    /// Of a burst: calls that are still to come of it, and the fraction of one left over.
    left: u64,
    over: f64,
}

impl Traffic {
    /// `None`: `arrivals` are a closed loop.
    pub(crate) fn new(arrivals: &Arrivals, seed: u64, end: Time) -> Option<Self> {
        let process = arrivals.process?;
        let first = (Time::ZERO, arrivals.rate.unwrap_or_default());
        let steps = arrivals.steps.iter().map(|step| (Time::ZERO + step.at.0, step.rate));
        let rates = [first].into_iter().chain(steps);
        Some(Self {
            process,
            seed,
            rates: rates.map(|(at, rate)| (at, rate / 1e9)).collect(),
            current: 0,
            every: arrivals.every.map_or(Duration::from_secs(1), |every| every.0),
            end,
            base: Time::ZERO,
            ahead: if process == Process::Poisson { exponential(mix(seed, 0)) } else { 0.0 },
            since: 0,
            count: 0,
            left: 0,
            over: 0.0,
        })
    }

    /// When the next call comes; `None`: none does any more.
    pub(crate) fn next(&mut self) -> Option<Time> {
        let at = match self.process {
            Process::Poisson | Process::Constant => self.next_single()?,
            Process::Burst => self.next_of_burst()?,
        };
        (at < self.end).then_some(at)
    }

    fn next_single(&mut self) -> Option<Time> {
        loop {
            let (_, rate) = self.rates[self.current];
            let ahead = self.ahead + self.since as f64;
            let until = self.rates.get(self.current + 1).map(|(at, _)| *at);
            let at = (rate > 0.0).then(|| self.base + nanos(ahead / rate));
            match (at, until) {
                (Some(at), until) if until.is_none_or(|until| at < until) => {
                    self.count += 1;
                    if self.process == Process::Poisson {
                        self.base = at;
                        self.ahead = exponential(mix(self.seed, self.count));
                    } else {
                        self.since += 1;
                    }
                    return Some(at);
                }
                (_, None) => return None,
                // What is still to be counted goes on at the next rate.
                (_, Some(until)) => {
                    let counted = rate * self.base.until(until).as_nanos() as f64;
                    self.ahead = (ahead - counted).max(0.0);
                    (self.base, self.since, self.current) = (until, 0, self.current + 1);
                }
            }
        }
    }

    fn next_of_burst(&mut self) -> Option<Time> {
        while self.left == 0 {
            let at = Time::ZERO + self.every.saturating_mul(u32::try_from(self.count).ok()?);
            if at >= self.end {
                return None;
            }
            while self.rates.get(self.current + 1).is_some_and(|(from, _)| *from <= at) {
                self.current += 1;
            }
            let calls = self.rates[self.current].1 * self.every.as_nanos() as f64 + self.over;
            // A rate such as 0.1 must not lose a call to its binary fraction.
            self.left = (calls + 1e-9).floor() as u64;
            self.over = calls - self.left as f64;
            self.base = at;
            self.count += 1;
        }
        self.left -= 1;
        Some(self.base)
    }
}

fn nanos(nanos: f64) -> Duration {
    Duration::from_nanos(nanos.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Span, Step};

    fn arrivals(process: Process, rate: f64, steps: &[(u64, f64)]) -> Vec<u64> {
        let step =
            |(at, rate): &(u64, f64)| Step { at: Span(Duration::from_secs(*at)), rate: *rate };
        let arrivals = Arrivals {
            process: Some(process),
            rate: Some(rate),
            steps: steps.iter().map(step).collect(),
            ..Arrivals::default()
        };
        let mut traffic = Traffic::new(&arrivals, 1, Time::from_millis(10_000)).unwrap();
        std::iter::from_fn(|| traffic.next()).map(|at| at.as_nanos() / 1_000).collect()
    }

    #[test]
    fn constant_arrivals_are_even_and_do_not_drift() {
        let at = arrivals(Process::Constant, 3.0, &[]);
        assert_eq!((at.len(), &at[..4]), (30, &[0, 333_333, 666_666, 1_000_000][..]));
        assert_eq!(at[27], 9_000_000);
    }

    #[test]
    fn what_a_step_interrupts_goes_on_at_the_new_rate() {
        // Half of the way to the second call is made at 0.5/s, the rest at 2/s.
        let at = arrivals(Process::Constant, 0.5, &[(1, 2.0), (2, 0.0), (9, 1.0)]);
        assert_eq!(at, [0, 1_250_000, 1_750_000, 9_500_000]);
    }

    #[test]
    fn random_arrivals_have_the_rate_and_the_spread_of_their_kind() {
        let at = arrivals(Process::Poisson, 5_000.0, &[(5, 15_000.0)]);
        let early = at.partition_point(|at| *at < 5_000_000);
        // Five standard deviations.
        assert!(early.abs_diff(25_000) < 5 * 158, "{early}");
        assert!((at.len() - early).abs_diff(75_000) < 5 * 274, "{}", at.len());
        let gaps: Vec<_> = at[..early].windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
        let long = gaps.iter().filter(|gap| **gap > 200.0).count() as f64 / gaps.len() as f64;
        assert!((long - (-1.0_f64).exp()).abs() < 0.02, "{long}");
    }

    #[test]
    fn a_burst_is_a_second_of_calls_at_once() {
        let at = arrivals(Process::Burst, 2.5, &[(3, 0.5)]);
        assert_eq!(at[..7], [0, 0, 1_000_000, 1_000_000, 1_000_000, 2_000_000, 2_000_000]);
        // Half a call is left over at 2, and one comes of every two halves.
        assert_eq!(at[7..], [3_000_000, 5_000_000, 7_000_000, 9_000_000]);
    }
}
