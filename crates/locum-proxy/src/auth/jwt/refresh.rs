//! When an issuer's keys are fetched. Decided here; [`remote`](super::remote) does it.

use std::time::Duration;

use locum_policy::Time;

/// How fetching stands.
#[derive(Debug)]
pub(super) struct Refresh {
    /// How long keys are taken for fresh.
    every: Duration,
    under_way: bool,
    /// When to fetch again, unasked.
    due: Time,
    /// When an unknown key may be asked for again.
    askable: Time,
    /// Fetches in a row that brought nothing.
    failures: u32,
    /// When keys were fetched last.
    good: Option<Time>,
}

/// What somebody does whose key is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Fetches.
    Fetch,
    /// Waits for the fetch that is under way.
    Wait,
    /// Nothing: keys were asked for a moment ago.
    Nothing,
}

/// The shortest time between two fetches for keys that are not known.
const PAUSE: Duration = Duration::from_secs(30);
/// The same after a fetch that brought nothing; doubled each time, up to `PAUSE`.
const RETRY: Duration = Duration::from_secs(1);
/// How long keys are believed that could not be fetched again.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

impl Refresh {
    pub(super) fn new(every: Duration) -> Self {
        Self {
            every,
            under_way: false,
            due: Time::ZERO,
            askable: Time::ZERO,
            failures: 0,
            good: None,
        }
    }

    /// Whether to fetch now; then a fetch is under way.
    pub(super) fn begin_if_due(&mut self, now: Time) -> bool {
        let begins = !self.under_way && now >= self.due;
        self.under_way |= begins;
        begins
    }

    /// A token names a key that is not known. `random` spreads what comes of it.
    pub(super) fn ask(&mut self, now: Time, random: u64) -> Asked {
        if self.under_way {
            return Asked::Wait;
        }
        // As long as there is nothing to know a key by, it is fetched when it is due.
        if self.good.is_none() {
            return if self.begin_if_due(now) { Asked::Fetch } else { Asked::Nothing };
        }
        if now < self.askable {
            return Asked::Nothing;
        }
        self.under_way = true;
        self.askable = now + PAUSE + spread(PAUSE / 10, random);
        Asked::Fetch
    }

    /// The fetch that was under way has ended.
    pub(super) fn ended(&mut self, now: Time, good: bool, random: u64) {
        self.under_way = false;
        if good {
            self.good = Some(now);
            self.failures = 0;
            self.due = now + (self.every - self.every / 10) + spread(self.every / 5, random);
        } else {
            let pause = RETRY.saturating_mul(1 << self.failures.min(5)).min(PAUSE);
            self.failures = self.failures.saturating_add(1);
            self.due = now + pause / 2 + spread(pause / 2, random);
        }
    }

    /// Whether what was fetched last is still believed.
    pub(super) fn is_believed(&self, now: Time) -> bool {
        self.good.is_some_and(|good| now.since(good) < KEPT)
    }
}

fn spread(most: Duration, random: u64) -> Duration {
    most.mul_f64(random as f64 / u64::MAX as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Time {
        Time::from_millis(second * 1000)
    }

    #[test]
    fn keys_are_fetched_at_the_start_and_before_they_are_old() {
        let mut refresh = Refresh::new(Duration::from_secs(600));
        assert!(refresh.begin_if_due(at(0)));
        assert!(!refresh.begin_if_due(at(0)), "one is under way");
        assert!(!refresh.is_believed(at(0)));
        refresh.ended(at(1), true, 0);
        assert!(!refresh.begin_if_due(at(540)));
        assert!(refresh.begin_if_due(at(541)));
        refresh.ended(at(541), true, u64::MAX);
        assert!(!refresh.begin_if_due(at(1200)));
        assert!(refresh.begin_if_due(at(1201)));
    }

    #[test]
    fn unknown_keys_are_asked_for_once_in_thirty_seconds() {
        let mut refresh = Refresh::new(Duration::from_secs(600));
        refresh.begin_if_due(at(0));
        assert_eq!(refresh.ask(at(0), 0), Asked::Wait);
        refresh.ended(at(0), true, 0);
        let mut fetches = 0;
        for millis in 0..90_000 {
            if refresh.ask(Time::from_millis(millis), 0) == Asked::Fetch {
                assert_eq!(refresh.ask(Time::from_millis(millis), 0), Asked::Wait);
                fetches += 1;
                refresh.ended(Time::from_millis(millis), millis % 60_000 == 0, u64::MAX);
            }
        }
        assert_eq!(fetches, 3);
    }

    #[test]
    fn an_issuer_that_is_down_is_asked_ever_more_rarely_and_its_keys_are_kept_a_day() {
        let mut refresh = Refresh::new(Duration::from_secs(600));
        refresh.begin_if_due(at(0));
        refresh.ended(at(0), true, 0);
        let (mut begun, mut last) = (0, 0);
        for second in 541..86_400 {
            if refresh.begin_if_due(at(second)) {
                begun += 1;
                last = second;
                refresh.ended(at(second), false, u64::MAX);
            }
        }
        assert!((2800..3000).contains(&begun), "{begun}");
        assert!(86_400 - last <= 30);
        assert!(refresh.is_believed(at(86_399)));
        assert!(!refresh.is_believed(at(86_400)));
        // From the beginning without keys, nobody who comes with a token hastens it.
        let mut refresh = Refresh::new(Duration::from_secs(600));
        refresh.begin_if_due(at(0));
        refresh.ended(at(0), false, 0);
        assert_eq!(refresh.ask(Time::from_millis(400), 0), Asked::Nothing);
        assert_eq!(refresh.ask(Time::from_millis(500), 0), Asked::Fetch);
    }
}
