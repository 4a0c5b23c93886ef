//! The breaker and the rate limit against models that are slow, simple and written from the rules:
//! they keep everything that ever happened and count it again each time.

use locum_policy::gates::breaker::{HalfOpen, Settings, Slow, Window};
use locum_policy::gates::rate_limit;
use locum_policy::text::Rate;
use locum_policy::{Cause, policy};
use proptest::prelude::*;

use crate::world::{Case, World, bound, hangs, meets, millis};

/// What a call of a trace meets.
#[derive(Clone, Copy, Debug)]
enum Meets {
    Success,
    Failure,
    Ignored,
    Hang,
}

/// One call: so long after the one before it, for so long.
#[derive(Clone, Copy, Debug)]
struct Step {
    pause: u64,
    took: u64,
    meets: Meets,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Closed { since: u64 },
    Open { until: u64 },
    HalfOpen,
    Ramp { since: u64 },
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Closed { .. } => "closed",
            Self::Open { .. } => "open",
            Self::HalfOpen => "half_open",
            Self::Ramp { .. } => "ramp",
        }
    }
}

/// A call that the model admitted.
#[derive(Clone, Copy, Debug)]
struct Admitted {
    at: u64,
    epoch: usize,
    /// When it ended, or was given up as lost.
    over: Option<u64>,
}

/// Something that was recorded while closed.
#[derive(Clone, Copy, Debug)]
struct Recorded {
    at: u64,
    epoch: usize,
    failed: bool,
    slow: bool,
}

struct Model {
    settings: Settings,
    state: State,
    epoch: usize,
    trips: u32,
    calls: Vec<Admitted>,
    recorded: Vec<Recorded>,
    /// Of the present half-open state.
    ok: u32,
    failed: u32,
    /// Of each call in turn, whether the ramp's dice went against it: chance is not the rules' matter.
    unlucky: Vec<bool>,
    arrived: usize,
    lines: Vec<String>,
}

impl Model {
    fn new(settings: &Settings, unlucky: Vec<bool>) -> Self {
        Self {
            settings: settings.clone(),
            state: State::Closed { since: 0 },
            epoch: 0,
            trips: 0,
            calls: Vec::new(),
            recorded: Vec::new(),
            ok: 0,
            failed: 0,
            unlucky,
            arrived: 0,
            lines: Vec::new(),
        }
    }

    fn enter(&mut self, at: u64, state: State, why: &str) {
        self.lines.push(format!("{at} state up {} {} {why}", self.state.name(), state.name()));
        self.state = state;
        self.epoch += 1;
        (self.ok, self.failed) = (0, 0);
    }

    fn open(&mut self, at: u64, why: &str) {
        let calm = self.settings.calm.as_millis() as u64;
        if matches!(self.state, State::Closed { since } if at - since >= calm) {
            self.trips = 0;
        }
        let wait = self.settings.wait.as_millis() as u64 * 2_u64.saturating_pow(self.trips);
        self.trips = (self.trips + 1).min(40);
        let wait = wait.min(self.settings.max_wait.as_millis() as u64);
        self.enter(at, State::Open { until: at + wait }, why);
    }

    /// Calls, failures and slow calls in the window, from the whole history.
    fn counts(&self, now: u64) -> (u64, u64, u64) {
        let of_epoch = self.recorded.iter().filter(|recorded| recorded.epoch == self.epoch);
        let live: Vec<_> = match self.settings.window {
            Window::Time(length) => {
                let buckets = u64::from(self.settings.buckets.unwrap_or(10));
                let width = length.as_millis() as u64 / buckets;
                of_epoch.filter(|recorded| recorded.at / width + buckets > now / width).collect()
            }
            Window::Last(length) => of_epoch.rev().take(length as usize).collect(),
        };
        let count = |of: fn(&&&Recorded) -> bool| live.iter().filter(of).count() as u64;
        (live.len() as u64, count(|recorded| recorded.failed), count(|recorded| recorded.slow))
    }

    fn evaluate(&mut self, now: u64, hanging: u64) {
        let (n, failures, slow) = self.counts(now);
        let (n, slow) = (n + hanging, slow + hanging);
        let of_epoch = self.recorded.iter().rev().filter(|recorded| recorded.epoch == self.epoch);
        let run = of_epoch.take_while(|recorded| recorded.failed).count() as u32;
        let share = |part: u64, rate: f64| part as f64 >= rate * n as f64;
        let enough = n >= self.settings.min_calls;
        if self.settings.consecutive.is_some_and(|limit| run >= limit) {
            self.open(now, "consecutive");
        } else if enough && share(failures, self.settings.failure_rate) {
            self.open(now, "failure_rate");
        } else if enough && self.settings.slow.as_ref().is_some_and(|rule| share(slow, rule.rate)) {
            self.open(now, "slow_rate");
        }
    }

    fn probes(&self) -> Vec<usize> {
        let open = |call: &Admitted| call.epoch == self.epoch && call.over.is_none();
        (0..self.calls.len()).filter(|index| open(&self.calls[*index])).collect()
    }

    fn lease(&self) -> u64 {
        self.settings.half_open.lease.as_millis() as u64
    }

    fn fail_probe(&mut self, at: u64, why: &str) {
        self.failed += 1;
        if self.failed > self.settings.half_open.tolerated {
            self.open(at, why);
        }
    }

    /// What time alone brings about.
    fn pass_time(&mut self, now: u64) {
        self.lose_probes(now);
        let ramp = self.settings.ramp.as_millis() as u64;
        if let State::Ramp { since } = self.state
            && since + ramp <= now
        {
            self.enter(since + ramp, State::Closed { since: since + ramp }, "ramped");
        }
    }

    fn lose_probes(&mut self, now: u64) {
        while self.state == State::HalfOpen {
            let lost =
                self.probes().into_iter().find(|index| self.calls[*index].at + self.lease() <= now);
            let Some(lost) = lost else { break };
            let at = self.calls[lost].at + self.lease();
            self.calls[lost].over = Some(at);
            self.fail_probe(at, "probe_lost");
        }
    }

    fn admit(&mut self, now: u64) -> Option<usize> {
        self.pass_time(now);
        let unlucky = self.unlucky.get(self.arrived).copied().unwrap_or_default();
        self.arrived += 1;
        if matches!(self.state, State::Open { until } if now >= until) {
            self.enter(now, State::HalfOpen, "wait_over");
        }
        if let (State::Closed { .. }, Some(slow)) = (self.state, self.settings.slow.clone())
            && slow.in_flight
        {
            let threshold = slow.threshold.as_millis() as u64;
            let hanging =
                self.probes().into_iter().filter(|index| now - self.calls[*index].at > threshold);
            self.evaluate(now, hanging.count() as u64);
        }
        match self.state {
            State::Closed { .. } => {}
            State::Ramp { .. } if unlucky => {
                self.lines.push(format!("{now} rejected breaker ramp"));
                return None;
            }
            State::Ramp { .. } => {}
            State::Open { until } => {
                self.lines.push(format!("{now} rejected breaker open {:?}", millis(until - now)));
                return None;
            }
            State::HalfOpen => {
                let (probes, rule) = (self.probes(), &self.settings.half_open);
                let inflight = probes.len() as u32;
                if inflight >= rule.concurrency || self.ok + inflight >= rule.required {
                    let leases =
                        probes.iter().map(|index| self.calls[*index].at + self.lease() - now);
                    let after = leases.min().unwrap().min(self.settings.wait.as_millis() as u64);
                    self.lines
                        .push(format!("{now} rejected breaker half_open_busy {:?}", millis(after)));
                    return None;
                }
            }
        }
        self.calls.push(Admitted { at: now, epoch: self.epoch, over: None });
        Some(self.calls.len() - 1)
    }

    fn settle(&mut self, call: usize, now: u64, meets: Meets) {
        self.pass_time(now);
        let Admitted { at, epoch, .. } = self.calls[call];
        self.calls[call].over.get_or_insert(now);
        if epoch != self.epoch {
            return;
        }
        let threshold = self.settings.slow.as_ref().map(|slow| slow.threshold.as_millis() as u64);
        let slow = threshold.is_some_and(|threshold| now - at > threshold);
        let failed = match meets {
            Meets::Success => false,
            Meets::Failure => true,
            Meets::Ignored | Meets::Hang => return,
        };
        match self.state {
            State::Closed { .. } | State::Ramp { .. } => {
                self.recorded.push(Recorded { at: now, epoch, failed, slow });
                self.evaluate(now, 0);
            }
            State::HalfOpen if failed || slow => self.fail_probe(now, "probe_failed"),
            State::HalfOpen => {
                self.ok += 1;
                if self.ok == self.settings.half_open.required {
                    let next = match self.settings.ramp.is_zero() {
                        true => State::Closed { since: now },
                        false => State::Ramp { since: now },
                    };
                    self.enter(now, next, "recovered");
                }
            }
            State::Open { .. } => {}
        }
    }

    /// Runs a trace: at one instant first what ends, in the order in which it began.
    fn run(mut self, steps: &[Step]) -> Vec<String> {
        let mut ends: Vec<(u64, usize, Meets)> = Vec::new();
        let mut now = 0;
        for step in steps {
            now += step.pause;
            ends.sort_by_key(|(at, call, _)| (*at, *call));
            let due = ends.iter().take_while(|(at, ..)| *at <= now).count();
            for (at, call, meets) in ends.drain(..due).collect::<Vec<_>>() {
                self.settle(call, at, meets);
            }
            if let Some(call) = self.admit(now) {
                match step.meets {
                    Meets::Hang => {}
                    meets if step.took == 0 => self.settle(call, now, meets),
                    meets => ends.push((now + step.took, call, meets)),
                }
            }
        }
        self.lines
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let meets = prop_oneof![
        5 => Just(Meets::Success),
        5 => Just(Meets::Failure),
        1 => Just(Meets::Ignored),
        1 => Just(Meets::Hang),
    ];
    // Short and long pauses: bursts within a bucket, and waits that end.
    let pause = prop_oneof![4 => 0_u64..30, 1 => 0_u64..400];
    let took = prop_oneof![2 => Just(0_u64), 3 => 0_u64..120];
    let step = (pause, took, meets).prop_map(|(pause, took, meets)| Step { pause, took, meets });
    prop::collection::vec(step, 1..150)
}

fn settings() -> impl Strategy<Value = Settings> {
    let window = prop_oneof![
        (1_u64..50, 1_u32..6).prop_map(|(width, buckets)| (
            Window::Time(millis(10 * width * u64::from(buckets))),
            Some(buckets)
        )),
        (8_u32..40).prop_map(|length| (Window::Last(length), None)),
    ];
    let slow =
        (10_u64..100, prop_oneof![Just(0.25), Just(0.5), Just(1.0)], any::<bool>()).prop_map(
            |(threshold, rate, in_flight)| Slow { threshold: millis(threshold), rate, in_flight },
        );
    let half_open = (1_u32..4, 1_u32..4, 0_u32..2, 20_u64..300).prop_map(
        |(concurrency, required, tolerated, lease)| HalfOpen {
            concurrency,
            required,
            tolerated,
            lease: millis(lease),
        },
    );
    let numbers =
        (1_u64..8, prop_oneof![Just(0.25), Just(0.5), Just(1.0)], 20_u64..200, 0_u64..500);
    let ramp = prop_oneof![Just(0_u64), 50_u64..500];
    (window, numbers, prop::option::of(slow), prop::option::of(1_u32..5), half_open, ramp).prop_map(
        |(
            (window, buckets),
            (min_calls, failure_rate, wait, calm),
            slow,
            consecutive,
            half_open,
            ramp,
        )| Settings {
            window,
            buckets,
            min_calls,
            failure_rate,
            slow,
            consecutive,
            half_open,
            wait: millis(wait),
            max_wait: millis(4 * wait),
            calm: millis(calm),
            ramp: millis(ramp),
            jitter: 0.0,
            ..Settings::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_breaker_does_what_its_rules_say(settings in settings(), steps in steps()) {
        let world = World::new();
        let guarded = policy::Settings { breaker: Some(settings.clone()), ..policy::Settings::default() };
        let policy = bound(&guarded);
        let mut now = 0;
        for (seed, Step { pause, took, meets: met }) in steps.iter().enumerate() {
            now += pause;
            let met = match met {
                Meets::Success => meets(*took, Cause::Status(200)),
                Meets::Failure => meets(*took, Cause::Status(500)),
                Meets::Ignored => meets(*took, Cause::Status(404)),
                Meets::Hang => hangs(),
            };
            world.call_at(now, &policy, Case { seed: seed as u64, ..Case::new(&[met]) });
        }
        // A call is sent or refused when it arrives, so these are in the order of the calls.
        let decided =
            |line: &&String| line.contains(" attempt ") || line.contains(" rejected breaker ");
        let log = world.log.lines();
        let unlucky = log.iter().filter(decided).map(|line| line.ends_with("breaker ramp"));
        let unlucky = unlucky.collect();
        let told = |line: &String| line.contains(" state ") || line.contains(" rejected breaker ");
        let lines: Vec<_> = log.iter().filter(|line| told(line)).cloned().collect();
        prop_assert_eq!(lines, Model::new(&settings, unlucky).run(&steps));
    }

    #[test]
    fn the_token_bucket_is_one(
        count in 1_u64..2_000,
        period in 1_u64..5_000,
        burst in 1_u64..20,
        steps in prop::collection::vec((0_u64..1_000, 0_u64..8), 1..80),
    ) {
        let rate = Rate::new(count, millis(period)).unwrap();
        let limit = rate_limit::Settings { burst: Some(burst), ..rate_limit::Settings::new(rate) };
        let policy = bound(&policy::Settings { rate_limit: vec![limit], ..policy::Settings::default() });
        let world = World::new();
        // Tokens as a bucket has them, times the period, so that they are whole numbers.
        let period = u128::from(period) * 1_000_000;
        let (mut level, mut now) = (u128::from(burst) * period, 0);
        for (pause, cost) in steps {
            now += pause;
            level = (level + u128::from(pause) * 1_000_000 * u128::from(count)).min(u128::from(burst) * period);
            world.log.clear();
            world.call_at(now, &policy, Case { cost, ..Case::new(&[meets(0, Cause::Reply)]) });
            let needed = u128::from(cost) * period;
            let line = &world.log.lines()[0];
            if cost > burst {
                prop_assert_eq!(line, &format!("{now} rejected rate_limit never"));
            } else if level >= needed {
                level -= needed;
                prop_assert_eq!(line, &format!("{now} admitted rate_limit"));
                if cost > 0 {
                    prop_assert_eq!(world.log.remaining(), Some((level / period) as u64));
                }
            } else {
                let after = (needed - level).div_ceil(u128::from(count));
                let after = std::time::Duration::from_nanos(after as u64);
                prop_assert_eq!(line, &format!("{now} rejected rate_limit limited {after:?}"));
            }
        }
    }
}

#[test]
fn the_model_itself_trips_and_recovers() {
    let settings = Settings { min_calls: 2, jitter: 0.0, wait: millis(100), ..Settings::default() };
    let step = |pause, meets| Step { pause, took: 0, meets };
    let steps = [
        step(0, Meets::Failure),
        step(0, Meets::Failure),
        step(99, Meets::Success),
        step(1, Meets::Success),
        step(0, Meets::Success),
        step(0, Meets::Success),
    ];
    let expected = [
        "0 state up closed open failure_rate",
        "99 rejected breaker open 1ms",
        "100 state up open half_open wait_over",
        "100 state up half_open closed recovered",
    ];
    assert_eq!(Model::new(&settings, Vec::new()).run(&steps), expected);
}
