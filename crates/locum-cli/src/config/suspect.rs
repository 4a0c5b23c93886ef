//! What is doubtful in one policy: numbers that are in range, each by itself, and together do nothing
//! or too much.

use std::time::Duration;

use locum_policy::gates::breaker::{self, Per, Window};
use locum_policy::gates::hedge::Delay;
use locum_policy::gates::rate_limit::{self, Algorithm};
use locum_policy::settings::Method;
use locum_policy::{Mode, Settings, text};

use crate::worst_case::WorstCase;

/// Something allowed, but hardly meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Doubt {
    /// The key, from the policy down.
    pub(crate) key: String,
    /// What comes of it.
    pub(crate) reason: String,
    /// What to do about it.
    pub(crate) remedy: &'static str,
}

/// All that is doubtful in `policy`.
pub(crate) fn doubts(policy: &Settings) -> Vec<Doubt> {
    let mut doubts = Doubts { policy, found: Vec::new() };
    doubts.times();
    doubts.amplification();
    doubts.limits();
    doubts.queue();
    doubts.hedge();
    doubts.breaker();
    doubts.fallback();
    doubts.fault();
    doubts.found
}

struct Doubts<'a> {
    policy: &'a Settings,
    found: Vec<Doubt>,
}

impl Doubts<'_> {
    fn doubt(&mut self, key: &str, reason: impl Into<String>, remedy: &'static str) {
        self.found.push(Doubt { key: key.to_owned(), reason: reason.into(), remedy });
    }

    fn mode(&self, part: Option<Mode>) -> Mode {
        part.unwrap_or(self.policy.mode)
    }

    /// How long one attempt may take.
    fn longest_attempt(&self) -> Option<Duration> {
        [self.policy.attempt_timeout, self.policy.timeout].into_iter().flatten().min()
    }

    fn times(&mut self) {
        let policy = self.policy;
        if let (Some(timeout), Some(attempt)) = (policy.timeout, policy.attempt_timeout)
            && attempt >= timeout
        {
            let (timeout, attempt) = (text::duration(timeout), text::duration(attempt));
            let reason = format!("an attempt may take {attempt}, the whole call only {timeout}");
            let remedy = "shorten it below `timeout`, or remove it";
            self.doubt("attempt_timeout", reason, remedy);
        }
        let Some(retry) = policy.retry.as_ref().filter(|retry| retry.attempts > 1) else { return };
        let Some(attempt) = policy.attempt_timeout else {
            if policy.timeout.is_none() {
                let reason = "a call has no end: neither it nor its attempts have a timeout";
                self.doubt("retry", reason, "set `timeout` and `attempt_timeout`");
            }
            return;
        };
        let attempts = attempt.saturating_mul(retry.attempts);
        match policy.timeout {
            Some(timeout) if attempts > timeout => {
                let reason = format!(
                    "{} attempts of {} take {}, longer than the {} of `timeout`: the last are cut off or never made",
                    retry.attempts,
                    text::duration(attempt),
                    text::duration(attempts),
                    text::duration(timeout),
                );
                let remedy = "shorten `attempt_timeout`, or lengthen `timeout`";
                self.doubt("attempt_timeout", reason, remedy);
            }
            Some(_) => {}
            None => {
                if let Some(worst) = WorstCase::of(policy, &Method::default()).latency() {
                    let worst = text::duration(worst);
                    let reason = format!("a call may take {worst} in the worst case");
                    self.doubt("retry", reason, "set `timeout` to what a caller will wait");
                }
            }
        }
    }

    /// One call may become many.
    fn amplification(&mut self) {
        let Some(retry) = &self.policy.retry else { return };
        let unbounded = retry.budget.ratio >= 1.0;
        if retry.attempts > MANY_ATTEMPTS || (unbounded && retry.attempts > 1) {
            let most = f64::from(retry.attempts).min(1.0 + retry.budget.ratio);
            let reason = format!(
                "when everything fails, the upstream gets {most} times the load (one call up to {} times)",
                retry.attempts
            );
            self.doubt("retry", reason, "lower `attempts`, or `budget.ratio` below 1");
        }
        if retry.retry_of_retry && retry.attempts > 1 {
            let reason = format!(
                "layers multiply: a caller in front that makes {0} attempts makes them {1} here",
                retry.attempts,
                retry.attempts.saturating_mul(retry.attempts)
            );
            self.doubt("retry.retry_of_retry", reason, "remove it, and let one layer retry");
        }
    }

    /// Limits that some calls never pass.
    fn limits(&mut self) {
        let several = self.policy.rate_limit.len() > 1;
        for (index, limit) in self.policy.rate_limit.iter().enumerate() {
            if self.mode(limit.mode) == Mode::Off {
                continue;
            }
            let path = match several {
                true => format!("rate_limit.{index}"),
                false => "rate_limit".to_owned(),
            };
            self.limit(&path, limit);
        }
    }

    fn limit(&mut self, path: &str, limit: &rate_limit::Settings) {
        if limit.cost == 0 {
            let reason = "a call takes nothing, so the limit is never reached";
            self.doubt(&format!("{path}.cost"), reason, "write 1, or remove the limit");
        }
        let interval = limit.rate.period().as_secs_f64() / limit.rate.count.get() as f64;
        let cost = limit.cost as f64;
        let first_wait = match limit.algorithm {
            Algorithm::LeakyBucket if limit.free.unwrap_or(1) < limit.burst().get() => {
                interval * cost
            }
            // A cold limit lets the first call pass and makes the next pay for it.
            Algorithm::WarmUp => interval * cost * limit.cold_factor.unwrap_or(3.0),
            _ => return,
        };
        let longest = [limit.max_wait, self.policy.timeout].into_iter().flatten().min();
        if let (Some(longest), Ok(wait)) = (longest, Duration::try_from_secs_f64(first_wait))
            && wait > longest
        {
            let reason = format!(
                "a call that has to wait has to wait {} and may wait {}: right behind another it is always refused",
                text::duration(wait),
                text::duration(longest),
            );
            let remedy = "raise `rate`, or lengthen `max_wait` and `timeout`";
            self.doubt(path, reason, remedy);
        }
    }

    fn queue(&mut self) {
        let Some(places) = &self.policy.concurrency else { return };
        if let (Some(wait), Some(timeout)) = (places.queue_timeout, self.policy.timeout)
            && wait >= timeout
        {
            let (wait, timeout) = (text::duration(wait), text::duration(timeout));
            let reason = format!(
                "a call may wait {wait} for a place and take {timeout} in all: it leaves the queue with no time left"
            );
            self.doubt("concurrency.queue_timeout", reason, "shorten it well below `timeout`");
        }
    }

    fn hedge(&mut self) {
        let Some(hedge) = &self.policy.hedge else { return };
        if let (Delay::Fixed(delay), Some(longest)) = (hedge.delay, self.longest_attempt())
            && delay >= longest
        {
            let longest = text::duration(longest);
            let reason = format!("no attempt is ever hedged: it ends after {longest} anyway");
            self.doubt("hedge.delay", reason, "shorten it well below the timeout");
        }
    }

    /// A breaker that can never trip, enforced or in shadow.
    fn breaker(&mut self) {
        let Some(breaker) = &self.policy.breaker else { return };
        if self.mode(breaker.mode) == Mode::Off {
            return;
        }
        if let (Some(slow), Some(longest)) = (&breaker.slow, self.longest_attempt())
            && slow.threshold >= longest
        {
            let longest = text::duration(longest);
            let reason = format!("no attempt is ever slow: it ends after {longest} anyway");
            self.doubt("breaker.slow", reason, "lower `threshold` below the timeout");
        }
        if breaker.consecutive.is_some() {
            return;
        }
        if breaker.failure_rate >= 1.0 && breaker.slow.is_none() {
            let reason = "one success among the calls it looks back on keeps it closed";
            let remedy = "lower `failure_rate`, or set `consecutive`";
            self.doubt("breaker.failure_rate", reason, remedy);
        }
        match breaker.window {
            Window::Time(window) => self.starved(breaker, window),
            Window::Last(calls) => self.short_sighted(breaker, calls),
        }
    }

    /// A window of the last so many calls, fewer than it takes to trip.
    fn short_sighted(&mut self, breaker: &breaker::Settings, calls: u32) {
        let counts_hangs = breaker.slow.as_ref().is_some_and(|slow| slow.in_flight);
        if u64::from(calls) < breaker.min_calls && !counts_hangs {
            let reason = format!(
                "the breaker can never trip: it looks back on {calls} calls, fewer than {}",
                breaker.min_calls
            );
            self.doubt("breaker.min_calls", reason, "lower `min_calls`, or widen `window`");
        }
    }

    /// A window of time that too few calls end in.
    fn starved(&mut self, breaker: &breaker::Settings, window: Duration) {
        let remedy = "lower `min_calls`, or widen `window`";
        let policy = self.policy;
        let worst = WorstCase::of(policy, &Method::default());
        let enforced = |mode: Option<Mode>| mode.unwrap_or(policy.mode) == Mode::Enforce;
        let limits = policy.rate_limit.iter();
        let limits = limits.filter(|limit| limit.key.is_empty() && enforced(limit.mode));
        // As many calls as the limit lets through in the window, each with all its attempts.
        let admitted = limits.filter(|limit| limit.cost > 0).map(|limit| {
            let share = window.as_secs_f64() / limit.rate.period().as_secs_f64();
            let units = limit.rate.count.get() as f64 * share + limit.burst.unwrap_or(0) as f64;
            units / limit.cost as f64
        });
        let most = admitted.fold(f64::INFINITY, f64::min) * f64::from(worst.attempts);
        if breaker.per == Per::Upstream && most < breaker.min_calls as f64 {
            let reason = format!(
                "the breaker can never trip: the rate limit lets {most:.0} calls through in {}, fewer than {}",
                text::duration(window),
                breaker.min_calls
            );
            self.doubt("breaker.min_calls", reason, remedy);
        }
        let counts_hangs = breaker.slow.as_ref().is_some_and(|slow| slow.in_flight);
        let places = policy.concurrency.as_ref().filter(|places| enforced(places.mode));
        let places = places.and_then(|places| places.max);
        if let (Some(places), Some(longest), false) = (places, self.longest_attempt(), counts_hangs)
        {
            let rounds = window.as_secs_f64() / longest.as_secs_f64();
            let ended = f64::from(places) * rounds.ceil();
            if breaker.per == Per::Upstream && ended < breaker.min_calls as f64 {
                let reason = format!(
                    "a hang never trips the breaker: of {places} calls in flight, each given up after {}, {ended:.0} end in {}, fewer than {}",
                    text::duration(longest),
                    text::duration(window),
                    breaker.min_calls
                );
                self.doubt("breaker.min_calls", reason, "lower `min_calls`, or set `slow`");
            }
        }
    }

    /// An answer that tells nobody of a refusal.
    fn fallback(&mut self) {
        let Some(fallback) = &self.policy.fallback else { return };
        let refuses = !self.policy.rate_limit.is_empty() || self.policy.concurrency.is_some();
        if self.mode(fallback.mode) == Mode::Enforce && fallback.status < 400 && refuses {
            let reason = format!(
                "a caller that is refused gets {} like any other: it does not learn to slow down, and its monitoring sees success only",
                fallback.status
            );
            let remedy = "give it a status from 400, or move the limits to another policy";
            self.doubt("fallback.status", reason, remedy);
        }
    }

    /// A drill that was not ended.
    fn fault(&mut self) {
        let Some(fault) = &self.policy.fault else { return };
        if self.mode(fault.mode) != Mode::Enforce {
            return;
        }
        let meets = |rate: Option<f64>| rate.is_some_and(|rate| rate > 0.0);
        if fault.abort_rate.is_some_and(|rate| rate >= 1.0) {
            let reason = "every attempt is made to fail, so no call reaches the upstream";
            self.doubt("fault", reason, "lower `abort_rate`, or remove it after the drill");
        } else if meets(fault.delay_rate) || meets(fault.abort_rate) {
            let reason = "calls are delayed or made to fail on purpose";
            self.doubt("fault", reason, "remove it after the drill, or write mode = \"off\"");
        }
    }
}

/// More than this is rarely meant: what fails three times fails four times.
const MANY_ATTEMPTS: u32 = 5;
