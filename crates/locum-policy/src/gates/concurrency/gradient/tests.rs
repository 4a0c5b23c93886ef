//! The limit before a service whose capacity is known, and its formula against a model that begins
//! anew at every answer.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use proptest::prelude::*;

use super::*;
use crate::seed::mix;

fn ms(millis: u64) -> Time {
    Time::from_millis(millis)
}

/// A service that does `places` calls at once, first come, first served, and a crowd that offers twice
/// what it can do.
struct Load {
    places: usize,
    /// Nanoseconds.
    service: u64,
    /// Whether the time of each call varies, exponentially.
    varies: bool,
}

/// What came of it.
struct Outcome {
    /// The limit at the end of each second.
    limits: Vec<u32>,
    /// The mean time of a call in each second, in units of the service's own.
    times: Vec<f64>,
}

impl Load {
    fn run(&self, gradient: &mut Gradient, seconds: std::ops::Range<u64>) -> Outcome {
        let pause = self.service / (2 * self.places as u64);
        let mut free_at: BinaryHeap<_> = (0..self.places).map(|_| Reverse(0)).collect();
        let mut ends = BinaryHeap::new();
        let mut outcome = Outcome { limits: Vec::new(), times: Vec::new() };
        for second in seconds {
            let (mut took, mut answered) = (0.0, 0.0);
            let (start, end) = (second * 1_000_000_000, (second + 1) * 1_000_000_000);
            for now in (start..end).step_by(usize::try_from(pause).unwrap()) {
                while let Some(Reverse((end, began))) =
                    ends.peek().copied().filter(|Reverse((end, _))| *end <= now)
                {
                    let in_flight = ends.len() as u32;
                    ends.pop();
                    let sample = Sample::Took(Duration::from_nanos(end - began));
                    gradient.sample(Time::from_nanos(end), sample, in_flight);
                    took += (end - began) as f64 / self.service as f64;
                    answered += 1.0;
                }
                if ends.len() < gradient.limit() as usize {
                    let Reverse(free) = free_at.pop().unwrap();
                    let done = free.max(now) + self.service_time(now);
                    free_at.push(Reverse(done));
                    ends.push(Reverse((done, now)));
                }
            }
            outcome.limits.push(gradient.limit());
            outcome.times.push(took / answered);
        }
        outcome
    }

    fn service_time(&self, now: u64) -> u64 {
        if !self.varies {
            return self.service;
        }
        let uniform = (mix(7, now) >> 11) as f64 / (1_u64 << 53) as f64;
        (-(1.0 - uniform).ln() * self.service as f64) as u64
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn the_limit_comes_to_rest_at_tolerance_times_what_the_service_does_at_once() {
    for places in [5, 10, 40, 200] {
        for varies in [false, true] {
            let load = Load { places, service: 50_000_000, varies };
            let mut gradient = Gradient::new(&Adaptive::default(), u32::MAX);
            let outcome = load.run(&mut gradient, 0..120);
            let limits: Vec<_> =
                outcome.limits[60..].iter().map(|limit| f64::from(*limit)).collect();
            let (limit, time) = (mean(&limits), mean(&outcome.times[60..]));
            let of_capacity = limit / places as f64;
            assert!(
                (1.0..=2.0).contains(&of_capacity),
                "{places} {varies}: {limit} is {of_capacity}"
            );
            assert!(time <= 2.2, "{places} {varies}: calls take {time} times as long");
        }
    }
}

#[test]
fn a_long_overload_does_not_lift_the_limit() {
    // Netflix' limit takes an average of the overload for the time without one, and drifts up.
    let load = Load { places: 10, service: 20_000_000, varies: true };
    let mut gradient = Gradient::new(&Adaptive::default(), u32::MAX);
    let outcome = load.run(&mut gradient, 0..600);
    let late = &outcome.limits[300..];
    assert!(late.iter().all(|limit| *limit <= 25), "{}", late.iter().max().unwrap());
}

#[test]
fn a_service_that_becomes_slower_by_itself_is_not_held_back_for_ever() {
    let mut gradient = Gradient::new(&Adaptive::default(), u32::MAX);
    Load { places: 40, service: 20_000_000, varies: false }.run(&mut gradient, 0..60);
    let slower = Load { places: 40, service: 100_000_000, varies: false };
    let outcome = slower.run(&mut gradient, 61..181);
    assert!(outcome.limits[119] >= 40, "{:?}", outcome.limits);
}

#[test]
fn an_idle_night_does_not_open_the_limit() {
    let mut gradient = Gradient::new(&Adaptive::default(), u32::MAX);
    for at in 0..100_000 {
        gradient.sample(ms(at * 10), Sample::Took(Duration::from_millis(5)), 3);
    }
    assert_eq!(gradient.limit(), 20);
}

#[test]
fn drops_lower_it_to_its_floor_and_no_further() {
    let mut gradient = Gradient::new(&Adaptive::default(), u32::MAX);
    let mut round = |at| {
        (0..20).for_each(|_| gradient.sample(ms(at), Sample::Dropped, 1));
        gradient.limit()
    };
    // A fifth of a half less; and a probe begins, of which nothing is measured.
    assert_eq!((round(0), gradient_after_one_drop()), (9, 18.0));
    let least = (1..200).map(&mut round).min();
    assert_eq!(least, Some(4));
}

fn gradient_after_one_drop() -> f64 {
    let mut gradient = Gradient::new(&Adaptive::default(), u32::MAX);
    (0..20).for_each(|_| gradient.sample(ms(0), Sample::Dropped, 1));
    gradient.limit
}

#[test]
fn the_ceiling_holds() {
    let adaptive = Adaptive { max: 50, ..Adaptive::default() };
    for (most, ceiling) in [(u32::MAX, 50), (30, 30)] {
        let mut gradient = Gradient::new(&adaptive, most);
        for at in 0..100_000 {
            let in_flight = gradient.limit();
            gradient.sample(ms(at), Sample::Took(Duration::from_millis(5)), in_flight);
            assert!(gradient.limit() <= ceiling);
        }
        assert!(f64::from(ceiling) - gradient.limit < 1e-6);
    }
}

/// The formula as the page has it, from all samples there ever were.
fn model(adaptive: &Adaptive, samples: &[(u64, Option<u64>, u32)]) -> u32 {
    let share = f64::min(0.5, 0.75 / adaptive.tolerance);
    let (least, most) = (f64::from(adaptive.min), f64::from(adaptive.max));
    let mut limit = f64::from(adaptive.initial).clamp(least, most);
    let (quiet, mut due, mut rest) = (Cell::new(None::<f64>), 0, samples);
    loop {
        // A round of all that comes next.
        let size = ((limit / 2.0).floor() as usize).max(20);
        let Some((round, after)) = rest.split_at_checked(size) else { return limit as u32 };
        rest = after;
        let now = round[size - 1].0;
        let took: Vec<_> =
            round.iter().filter_map(|sample| sample.1).map(|took| took as f64).collect();
        let dropped = took.len() < size;
        let peak = round.iter().map(|sample| sample.2).max().unwrap();
        let mean = took.iter().sum::<f64>() / took.len() as f64;
        let few = (limit * share).floor().max(1.0);
        let learn = |mean: f64, now: u64| {
            let fell = quiet.get().is_none_or(|quiet| mean < 0.9 * quiet);
            quiet.set(Some(mean));
            let probe = adaptive.probe.as_nanos() as u64;
            now + if fell { probe / 10 } else { probe }
        };
        if !dropped && f64::from(peak) <= few {
            due = learn(mean, now);
            continue;
        }
        if dropped || f64::from(peak) >= limit / 2.0 {
            let gradient = match quiet.get() {
                _ if dropped => 0.5,
                Some(quiet) => (adaptive.tolerance * quiet / mean).clamp(0.5, 1.0),
                None => 1.0,
            };
            let headroom = if gradient == 1.0 { limit.sqrt() } else { 0.0 };
            let aim = limit * gradient + headroom;
            limit = (limit + adaptive.smoothing * (aim - limit)).clamp(least, most);
        }
        if now < due {
            continue;
        }
        // A probe: from when few are in flight, and only of what began after that.
        let few = (limit * share).floor().max(1.0);
        let Some(calm) = rest.iter().position(|sample| f64::from(sample.2) <= few) else {
            return few as u32;
        };
        let since = rest[calm].0;
        let size = ((limit / 2.0).floor() as usize).max(20);
        let began =
            |sample: &(u64, Option<u64>, u32)| sample.0.saturating_sub(sample.1.unwrap_or(0));
        let counted: Vec<_> =
            (calm..rest.len()).filter(|at| began(&rest[*at]) >= since).take(size).collect();
        if counted.len() < size {
            return few as u32;
        }
        let last = counted[size - 1];
        let took: Vec<_> =
            counted.iter().filter_map(|at| rest[*at].1).map(|took| took as f64).collect();
        let now = rest[last].0;
        due = match took.is_empty() {
            true => now + adaptive.probe.as_nanos() as u64,
            false => learn(took.iter().sum::<f64>() / took.len() as f64, now),
        };
        rest = &rest[last + 1..];
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// After any answers the limit is what the formula makes of all of them.
    #[test]
    fn the_limit_is_what_the_formula_says_of_all_answers(
        (min, span) in (1_u32..10, 0_u32..100),
        initial in 1_u32..60,
        (smoothing, tolerance) in (0.05_f64..1.0, 1.0_f64..3.0),
        probe in 100_u64..5_000,
        stretches in prop::collection::vec((1_u64..40, 1_u64..200, 1_u32..120, 0_u8..30, 1_usize..60), 1..12),
    ) {
        let adaptive = Adaptive {
            min,
            max: min + span,
            initial,
            smoothing,
            tolerance,
            probe: Duration::from_millis(probe),
        };
        let mut gradient = Gradient::new(&adaptive, u32::MAX);
        let (mut samples, mut now) = (Vec::new(), 1_000_000_000);
        for (pause, took, in_flight, drops, length) in stretches {
            for index in 0..length {
                now += pause * 100_000;
                let dropped = drops > 25 && index % 7 == 0;
                let took = (!dropped).then_some(took * 1_000_000);
                let sample = took.map_or(Sample::Dropped, |took| Sample::Took(Duration::from_nanos(took)));
                gradient.sample(Time::from_nanos(now), sample, in_flight);
                samples.push((now, took, in_flight));
                prop_assert_eq!(gradient.limit(), model(&adaptive, &samples));
            }
        }
    }
}
