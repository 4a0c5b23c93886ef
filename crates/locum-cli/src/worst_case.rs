//! The worst that a policy lets happen: how long a call may take, and how many it may become.

use std::time::Duration;

use locum_policy::gates::hedge::Delay;
use locum_policy::gates::rate_limit::{self, Algorithm};
use locum_policy::settings::Method;
use locum_policy::{Mode, Settings};

/// What one call may come to. A time that is `None` has no bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct WorstCase {
    /// Shaped by limits.
    pub(crate) shaping: Option<Duration>,
    /// Waiting for a place.
    pub(crate) queue: Option<Duration>,
    /// Attempts, hedges included.
    pub(crate) attempts: u32,
    /// All attempts, each as long as it may be.
    pub(crate) trying: Option<Duration>,
    /// The longest back-offs between them.
    pub(crate) backoff: Duration,
    /// The call's own time, which cuts all the above.
    pub(crate) timeout: Option<Duration>,
    /// How many times the load the upstream gets when everything fails: retries are bounded for all
    /// calls together.
    pub(crate) load: f64,
}

impl WorstCase {
    /// Of a call under `policy`, where a method differs by `method`.
    pub(crate) fn of(policy: &Settings, method: &Method) -> Self {
        let enforced = |mode: Option<Mode>| mode.unwrap_or(policy.mode) == Mode::Enforce;
        let timed = policy.mode == Mode::Enforce;
        let timeout = method.timeout.or(policy.timeout).filter(|_| timed);
        let attempt = method.attempt_timeout.or(policy.attempt_timeout).filter(|_| timed);
        let retry = policy.retry.as_ref().filter(|retry| enforced(retry.mode));
        let hedge = policy.hedge.as_ref().filter(|hedge| enforced(hedge.mode));
        let limits = policy.rate_limit.iter().filter(|limit| enforced(limit.mode));
        let concurrency = policy.concurrency.as_ref();
        let queue = concurrency.filter(|places| enforced(places.mode) && places.queue > 0);

        let tries = retry.map_or(1, |retry| retry.attempts);
        let hedges = hedge.map_or(0, |hedge| hedge.max);
        let attempts = if tries > 1 { tries } else { 1 + hedges };
        let trying = match (attempt, hedge) {
            // Hedges overlap: each begins a delay after the one before.
            (Some(attempt), Some(hedge)) if tries == 1 => {
                let apart = match hedge.delay {
                    Delay::Fixed(delay) => delay.min(attempt),
                    Delay::Percentile(_) => attempt,
                };
                Some(attempt.saturating_add(apart.saturating_mul(hedges)))
            }
            (attempt, _) => attempt.map(|attempt| attempt.saturating_mul(tries)),
        };
        let ratio = retry.map_or(0.2, |retry| retry.budget.ratio);
        Self {
            shaping: limits.map(shaping).try_fold(Duration::ZERO, |most, one| Some(most.max(one?))),
            queue: queue.map_or(Some(Duration::ZERO), |places| places.queue_timeout),
            attempts,
            trying,
            backoff: retry.map_or(Duration::ZERO, backoff),
            timeout,
            load: f64::from(attempts).min(1.0 + ratio),
        }
    }

    /// How long the call may take; `None`: as long as its caller waits.
    pub(crate) fn latency(&self) -> Option<Duration> {
        let parts = [self.shaping, self.queue, self.trying, Some(self.backoff)];
        let whole =
            parts.into_iter().try_fold(Duration::ZERO, |sum, part| Some(sum.saturating_add(part?)));
        [whole, self.timeout].into_iter().flatten().min()
    }

    /// Attempts that come of one call in the layer in front, which makes `above` of them itself.
    pub(crate) fn amplification(&self, above: u32, retry_of_retry: bool) -> u32 {
        match retry_of_retry {
            true => above.saturating_mul(self.attempts),
            false => (above - 1).saturating_add(self.attempts),
        }
    }
}

/// The longest that `limit` makes a call wait.
fn shaping(limit: &rate_limit::Settings) -> Option<Duration> {
    let interval = limit.rate.period().as_secs_f64() / limit.rate.count.get() as f64;
    match limit.algorithm {
        Algorithm::LeakyBucket => {
            let waiting = limit.burst().get().saturating_sub(limit.free.unwrap_or(1));
            let longest = Duration::try_from_secs_f64(interval * waiting as f64);
            let longest = longest.unwrap_or(Duration::MAX);
            Some(limit.max_wait.map_or(longest, |max_wait| max_wait.min(longest)))
        }
        Algorithm::WarmUp => limit.max_wait,
        Algorithm::TokenBucket | Algorithm::SlidingWindow | Algorithm::SlidingLog => {
            Some(Duration::ZERO)
        }
    }
}

/// The longest waits that the back-off may draw, one before each retry.
fn backoff(retry: &locum_policy::gates::retry::Settings) -> Duration {
    let mut previous = retry.base;
    let waits = (1..retry.attempts).map(|number| {
        previous = retry.backoff.wait(number, previous, retry.base, retry.cap, u64::MAX);
        previous
    });
    waits.fold(Duration::ZERO, Duration::saturating_add)
}

#[cfg(test)]
mod tests {
    use locum_policy::gates::retry::{self, Backoff};
    use locum_policy::text::parse_duration;

    use super::*;

    fn of(text: &str) -> WorstCase {
        WorstCase::of(&toml::from_str(text).unwrap(), &Method::default())
    }

    fn time(text: &str) -> Option<Duration> {
        Some(parse_duration(text).unwrap())
    }

    #[test]
    fn a_call_takes_at_most_the_sum_of_its_parts_or_its_timeout() {
        let text = "attempt_timeout = '1s'\nretry = { attempts = 3, base = '100ms' }\n\
                    concurrency = { max = 1, queue = 1, queue_timeout = '50ms' }\n\
                    rate_limit = { rate = '10/s', burst = 21, algorithm = 'leaky-bucket' }\n";
        let worst = of(text);
        assert_eq!((worst.shaping, worst.queue), (time("2s"), time("50ms")));
        assert_eq!((worst.trying, Some(worst.backoff)), (time("3s"), time("300ms")));
        assert_eq!(worst.latency(), time("5350ms"));
        assert_eq!(of(&format!("timeout = '2s'\n{text}")).latency(), time("2s"));
        assert_eq!(of("retry = {}").latency(), None);
        assert_eq!(of("timeout = '2s'\nmode = 'shadow'").latency(), None);
    }

    #[test]
    fn hedges_overlap_and_count() {
        let worst = of("attempt_timeout = '1s'\nhedge = { delay = '100ms', max = 2 }");
        assert_eq!((worst.attempts, worst.latency()), (3, time("1200ms")));
        let worst = of("attempt_timeout = '1s'\nhedge = { delay = 'p95' }");
        assert_eq!((worst.attempts, worst.latency()), (2, time("2s")));
        let worst =
            of("attempt_timeout = '1s'\nhedge = { delay = 'p95' }\nretry = { base = '0s' }");
        assert_eq!((worst.attempts, worst.trying), (3, time("3s")));
    }

    #[test]
    fn layers_multiply_only_where_retries_are_retried() {
        let worst = of("retry = { attempts = 3 }");
        assert_eq!((worst.amplification(3, true), worst.amplification(3, false)), (9, 5));
        assert_eq!(worst.load, 1.2);
    }

    /// Every way the dice may fall, three faces each: none is worse than what is told, and one is as bad.
    #[test]
    fn no_draw_of_the_back_off_is_longer_than_the_longest() {
        fn longest(retry: &retry::Settings, number: u32, previous: Duration) -> Duration {
            if number == retry.attempts {
                return Duration::ZERO;
            }
            let draws = [0, u64::MAX / 2, u64::MAX].map(|word| {
                let wait = retry.backoff.wait(number, previous, retry.base, retry.cap, word);
                wait + longest(retry, number + 1, wait)
            });
            draws.into_iter().max().unwrap()
        }
        let kinds = ["full-jitter", "equal-jitter", "decorrelated-jitter", "exponential", "fixed"];
        for kind in kinds.map(|kind| kind.parse::<Backoff>().unwrap()) {
            for (attempts, base, cap) in [(1, 5, 5), (2, 0, 9), (4, 25, 60), (6, 10, 1_000)] {
                let (base, cap) = (Duration::from_millis(base), Duration::from_millis(cap));
                let settings =
                    retry::Settings { attempts, backoff: kind, base, cap, ..Default::default() };
                assert_eq!(backoff(&settings), longest(&settings, 1, base), "{settings:?}");
            }
        }
    }
}
