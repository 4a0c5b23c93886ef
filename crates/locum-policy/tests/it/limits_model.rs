//! Rate limits against a model that keeps every hit there ever was, adds them up again for each
//! question, and finds out by search when something will be so.

use std::time::Duration;

use locum_policy::gates::rate_limit::{Algorithm, Settings};
use locum_policy::text::Rate;
use locum_policy::{Key, Time};
use proptest::prelude::*;

use crate::limits::{Asks, Said, ask, limited};
use crate::world::millis;

#[derive(Clone, Copy, Debug)]
struct Hit {
    at: u64,
    units: u64,
    client: u8,
}

/// One limit and all its hits.
struct Model {
    settings: Settings,
    hits: Vec<Hit>,
}

impl Model {
    fn count(&self) -> u128 {
        self.settings.rate.count.get().into()
    }

    fn period(&self) -> u128 {
        self.settings.rate.period.get().into()
    }

    /// What a unit is in the measure of [`used`](Self::used).
    fn unit(&self) -> u128 {
        if self.settings.algorithm == Algorithm::SlidingLog { 1 } else { self.period() }
    }

    fn whole(&self) -> u128 {
        u128::from(self.settings.burst().get()) * self.unit()
    }

    /// What is in use at `at`, with `more` units taken at `now`.
    fn used(&self, client: u8, now: u64, more: u64, at: u64) -> u128 {
        let mine = |hit: &Hit| self.settings.key.is_empty() || hit.client == client;
        let mut hits: Vec<_> =
            self.hits.iter().filter(|hit| mine(hit)).map(|hit| (hit.at, hit.units)).collect();
        hits.push((now, more));
        let period = self.settings.rate.period.get();
        let sum = |wanted: &dyn Fn(u64) -> bool| {
            let hits = hits.iter().filter(|(at, _)| wanted(*at));
            hits.map(|(_, units)| u128::from(*units)).sum::<u128>()
        };
        match self.settings.algorithm {
            Algorithm::SlidingLog => sum(&|hit| hit + period > at),
            Algorithm::SlidingWindow => {
                let left = u128::from(period - at % period);
                let previous = sum(&|hit| hit / period + 1 == at / period);
                previous * left + sum(&|hit| hit / period == at / period) * self.unit()
            }
            // Water that drips in by units and out at the rate.
            _ => {
                let (mut level, mut since) = (0, 0);
                for (hit, units) in hits {
                    level = u128::saturating_sub(level, u128::from(hit - since) * self.count());
                    level += u128::from(units) * self.unit();
                    since = hit;
                }
                level.saturating_sub(u128::from(at - since) * self.count())
            }
        }
    }

    fn decide(&self, asks: &Asks) -> Said {
        let now = asks.now.as_nanos();
        let units = asks.cost * self.settings.cost;
        if units > 0 && u128::from(units) * self.unit() > self.whole() {
            return Said::Refused { reason: "never", retry_after: None };
        }
        let used = |more, at| self.used(asks.client, now, more, at);
        // `units` at a later time are `units` on top of what is then left of what there is now.
        let passes = |after| used(0, now + after) + u128::from(units) * self.unit() <= self.whole();
        if units > 0 && !passes(0) {
            return refused(least(passes));
        }
        let free = u128::from(self.settings.free.unwrap_or(1)) * self.unit();
        let wait = match self.settings.algorithm {
            Algorithm::LeakyBucket if units > 0 => least(|after| used(units, now + after) <= free),
            _ => 0,
        };
        let patience = [
            asks.deadline.map(|deadline| deadline.as_nanos() - now),
            self.settings.max_wait.map(|max_wait| max_wait.as_nanos() as u64),
        ];
        if let Some(patience) = patience.into_iter().flatten().min()
            && wait > patience
        {
            return refused(wait - patience);
        }
        Said::Passed {
            wait: Duration::from_nanos(wait),
            remaining: ((self.whole() - used(units, now)) / self.unit()) as u64,
            reset: Duration::from_nanos(least(|after| used(units, now + after) == 0)),
        }
    }

    fn take(&mut self, asks: &Asks) {
        let (at, units) = (asks.now.as_nanos(), asks.cost * self.settings.cost);
        self.hits.push(Hit { at, units, client: asks.client });
    }

    /// No more than burst + rate * time, and of a log no more than its count in each period.
    fn check_total(&self, now: u64) {
        let total: u128 = self.hits.iter().map(|hit| u128::from(hit.units)).sum();
        let over = match self.settings.algorithm {
            _ if !self.settings.key.is_empty() => return,
            Algorithm::SlidingWindow => return,
            Algorithm::SlidingLog => {
                total.saturating_sub((u128::from(now) / self.period() + 1) * self.count())
            }
            _ => (total * self.period())
                .saturating_sub(self.whole() + self.count() * u128::from(now)),
        };
        assert_eq!(over, 0);
    }
}

const fn refused(after: u64) -> Said {
    Said::Refused { reason: "limited", retry_after: Some(Duration::from_nanos(after)) }
}

/// The least number for which `is_so`, which stays so once it is.
fn least(is_so: impl Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (0, 1 << 50);
    while low < high {
        let middle = u64::midpoint(low, high);
        if is_so(middle) { high = middle } else { low = middle + 1 }
    }
    low
}

/// What several limits say together.
fn together(said: &[Said]) -> Said {
    let refused = said.iter().rev().filter(|said| said.wait().is_none());
    let longest = refused.max_by_key(|said| match said {
        Said::Refused { retry_after, .. } => retry_after.unwrap_or(Duration::MAX),
        Said::Passed { .. } => Duration::ZERO,
    });
    if let Some(longest) = longest {
        return *longest;
    }
    let tightest = said.iter().min_by_key(|said| match said {
        Said::Passed { remaining, .. } => *remaining,
        Said::Refused { .. } => unreachable!("none refuses"),
    });
    match *tightest.expect("there are limits") {
        Said::Passed { remaining, reset, .. } => {
            let wait = said.iter().filter_map(|said| said.wait()).max().unwrap_or_default();
            Said::Passed { wait, remaining, reset }
        }
        refused @ Said::Refused { .. } => refused,
    }
}

#[derive(Clone, Copy, Debug)]
struct Step {
    pause: u64,
    cost: u64,
    client: u8,
    patience: Option<u64>,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let pause = prop_oneof![2 => Just(0), 3 => 0_u64..50_000_000, 1 => 0_u64..3_000_000_000];
    let cost = prop_oneof![6 => Just(1_u64), 2 => 0_u64..6, 1 => 0_u64..30];
    let patience = prop::option::of(1_u64..600_000_000);
    let step = (pause, cost, 0_u8..3, patience);
    let step =
        step.prop_map(|(pause, cost, client, patience)| Step { pause, cost, client, patience });
    prop::collection::vec(step, 1..60)
}

fn rate() -> impl Strategy<Value = Rate> {
    let awkward = (1_u64..20, 1_u64..2_000_000_000)
        .prop_map(|(count, period)| Rate::new(count, Duration::from_nanos(period)).unwrap());
    let round = (1_u64..20, 1_u64..20)
        .prop_map(|(count, period)| Rate::new(count, millis(100 * period)).unwrap());
    prop_oneof![awkward, round]
}

fn settings() -> impl Strategy<Value = Settings> {
    let algorithm = prop_oneof![
        Just(Algorithm::TokenBucket),
        Just(Algorithm::LeakyBucket),
        Just(Algorithm::SlidingWindow),
        Just(Algorithm::SlidingLog),
    ];
    let max_wait = prop::option::of((0_u64..500).prop_map(millis));
    (algorithm, rate(), 1_u64..20, prop::option::of(0_u64..20), max_wait, any::<bool>(), 1_u64..3)
        .prop_map(|(algorithm, rate, burst, free, max_wait, keyed, cost)| {
            let leaky = algorithm == Algorithm::LeakyBucket;
            let bucket = leaky || algorithm == Algorithm::TokenBucket;
            let most = if bucket { burst } else { rate.count.get() };
            Settings {
                algorithm,
                burst: bucket.then_some(burst),
                free: free.filter(|_| leaky).map(|free| free.min(burst)),
                max_wait: max_wait.filter(|_| leaky),
                key: if keyed { vec![Key::ClientIp] } else { Vec::new() },
                cost: cost.min(most),
                ..Settings::new(rate)
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn limits_say_what_their_model_says(
        settings in prop::collection::vec(settings(), 1..4),
        steps in steps(),
    ) {
        let policy = limited(&settings);
        let model = |settings: &Settings| Model { settings: settings.clone(), hits: Vec::new() };
        let mut models: Vec<_> = settings.iter().map(model).collect();
        let mut now = 0;
        for Step { pause, cost, client, patience } in steps {
            now += pause;
            let deadline = patience.map(|patience| Time::from_nanos(now + patience));
            let asks = Asks { now: Time::from_nanos(now), cost, client, deadline };
            let said: Vec<_> = models.iter().map(|model| model.decide(&asks)).collect();
            let said = together(&said);
            prop_assert_eq!(ask(&policy, asks), said, "{:?}", asks);
            if said.wait().is_some() {
                models.iter_mut().for_each(|model| model.take(&asks));
            }
            models.iter().for_each(|model| model.check_total(now));
        }
    }

    #[test]
    fn a_warm_up_waits_as_guava_does(
        rate in rate(),
        warm_up in 1_u64..5_000,
        cold_factor in 1.0..10.0_f64,
        max_wait in prop::option::of(0_u64..3_000),
        steps in steps(),
    ) {
        let settings = Settings {
            algorithm: Algorithm::WarmUp,
            warm_up: Some(millis(warm_up)),
            cold_factor: Some(cold_factor),
            max_wait: max_wait.map(millis),
            key: vec![Key::ClientIp],
            ..Settings::new(rate)
        };
        let policy = limited(&[settings]);
        let mut models = [(); 3].map(|()| Guava::new(rate, millis(warm_up), cold_factor));
        let mut now = 0;
        for Step { pause, cost, client, patience } in steps {
            now += pause;
            let deadline = patience.map(|patience| Time::from_nanos(now + patience));
            let asks = Asks { now: Time::from_nanos(now), cost, client, deadline };
            let said = ask(&policy, asks);
            let guava = &mut models[usize::from(client)];
            guava.resync(now as f64);
            let wait = guava.next_free - now as f64;
            let longest = [patience.map(|patience| patience as f64), max_wait.map(|wait| wait as f64 * 1e6)];
            let longest = longest.into_iter().flatten().fold(f64::INFINITY, f64::min);
            match said {
                Said::Passed { wait: waits, remaining, reset } => {
                    if cost > 0 {
                        prop_assert!(wait <= longest + CLOSE, "{} {}", wait, longest);
                        prop_assert!(close(waits, wait), "{:?} {}", waits, wait);
                        guava.reserve(cost as f64);
                    }
                    prop_assert!(close(reset, guava.next_free - now as f64));
                    prop_assert_eq!(remaining, u64::from(reset.is_zero()));
                }
                Said::Refused { reason, retry_after } => {
                    prop_assert!(cost > 0 && wait >= longest - CLOSE, "{} {}", wait, longest);
                    prop_assert_eq!(reason, "limited");
                    prop_assert!(close(retry_after.unwrap(), wait - longest));
                }
            }
        }
    }
}

/// Guava's `SmoothWarmingUp` as it is written there, in nanoseconds.
struct Guava {
    stable_interval: f64,
    threshold_permits: f64,
    max_permits: f64,
    slope: f64,
    cool_down_interval: f64,
    stored_permits: f64,
    next_free: f64,
}

impl Guava {
    fn new(rate: Rate, warm_up: Duration, cold_factor: f64) -> Self {
        let stable_interval = rate.period.get() as f64 / rate.count.get() as f64;
        let warm_up = warm_up.as_nanos() as f64;
        let cold_interval = stable_interval * cold_factor;
        let threshold_permits = 0.5 * warm_up / stable_interval;
        let max_permits = threshold_permits + 2.0 * warm_up / (stable_interval + cold_interval);
        Self {
            stable_interval,
            threshold_permits,
            max_permits,
            slope: (cold_interval - stable_interval) / (max_permits - threshold_permits),
            cool_down_interval: warm_up / max_permits,
            stored_permits: max_permits,
            next_free: 0.0,
        }
    }

    fn resync(&mut self, now: f64) {
        if now > self.next_free {
            let new = (now - self.next_free) / self.cool_down_interval;
            self.stored_permits = self.max_permits.min(self.stored_permits + new);
            self.next_free = now;
        }
    }

    fn reserve(&mut self, wanted: f64) {
        let stored = wanted.min(self.stored_permits);
        let wait = self.stored_permits_to_wait_time(stored);
        self.next_free += wait + (wanted - stored) * self.stable_interval;
        self.stored_permits -= stored;
    }

    fn stored_permits_to_wait_time(&self, mut permits: f64) -> f64 {
        let above = self.stored_permits - self.threshold_permits;
        let mut time = 0.0;
        if above > 0.0 {
            let taken = above.min(permits);
            let length = self.permits_to_time(above) + self.permits_to_time(above - taken);
            time = taken * length / 2.0;
            permits -= taken;
        }
        time + self.stable_interval * permits
    }

    fn permits_to_time(&self, permits: f64) -> f64 {
        self.stable_interval + permits * self.slope
    }
}

/// Each hit is rounded up to a nanosecond at most, and a model in floating point is not exact.
const CLOSE: f64 = 200.0;

fn close(actual: Duration, nanos: f64) -> bool {
    (actual.as_nanos() as f64 - nanos.max(0.0)).abs() < CLOSE
}
