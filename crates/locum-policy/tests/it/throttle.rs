//! The throttle: what it lets through, and what it remembers.

use locum_policy::gates::breaker;
use locum_policy::gates::throttle::{Settings, Snapshot};
use locum_policy::seed::{mix, of_call};
use locum_policy::{Bound, Cause, Mode, Time, policy};
use proptest::prelude::*;

use crate::world::{Case, World, at_once_seeded, bound, meets, millis, ms};

fn throttled(throttle: Settings) -> Bound {
    bound(&policy::Settings { throttle: Some(throttle), ..policy::Settings::default() })
}

fn snapshot(policy: &Bound, now: Time) -> Snapshot {
    policy.policy().unwrap().snapshot(now).throttles.swap_remove(0)
}

fn counts(policy: &Bound, now: Time) -> (u64, u64) {
    let Snapshot { requests, accepts, .. } = snapshot(policy, now);
    (requests, accepts)
}

/// A service that takes so many calls a second and answers 503 to the others.
struct Service {
    a_second: u64,
    second: u64,
    seen: u64,
    accepted: u64,
}

impl Service {
    fn new(a_second: u64) -> Self {
        Self { a_second, second: 0, seen: 0, accepted: 0 }
    }

    /// What the next call meets at `now`, if it comes.
    fn meets(&mut self, now: Time) -> Cause {
        let second = now.as_nanos() / 1_000_000_000;
        if second != self.second {
            (self.second, self.accepted) = (second, 0);
        }
        if self.accepted < self.a_second { Cause::Status(200) } else { Cause::Status(503) }
    }

    fn took(&mut self, cause: Cause) {
        self.seen += 1;
        self.accepted += u64::from(cause == Cause::Status(200));
    }
}

/// Offers a call each millisecond of `seconds`; tells how many of them the service saw.
fn offer(policy: &Bound, service: &mut Service, seconds: std::ops::Range<u64>) -> u64 {
    let before = service.seen;
    for at in seconds.start * 1_000..seconds.end * 1_000 {
        let (now, cause) = (ms(at), service.meets(ms(at)));
        if at_once_seeded(policy, now, cause, of_call(1, at)) {
            service.took(cause);
        }
    }
    service.seen - before
}

#[test]
fn a_service_sees_k_times_what_it_accepts() {
    // 1000 offered a second, 100 accepted, K = 2: 200; not sqrt(2 * 1000 * 100) = 447.
    let policy = throttled(Settings { window: millis(10_000), ..Settings::default() });
    let mut service = Service::new(100);
    offer(&policy, &mut service, 0..20);
    let seen = offer(&policy, &mut service, 20..40) / 20;
    assert!((190..=215).contains(&seen), "{seen} a second");
}

#[test]
fn nothing_is_kept_back_while_half_is_accepted() {
    let policy = throttled(Settings::default());
    for at in 0..2_000 {
        let cause = if at % 2 == 0 { Cause::Status(200) } else { Cause::Status(503) };
        assert!(at_once_seeded(&policy, ms(at), cause, of_call(1, at)), "{at}");
    }
    assert_eq!(counts(&policy, ms(2_000)), (2_000, 1_000));
}

#[test]
fn a_total_outage_is_survived() {
    let policy = throttled(Settings { window: millis(10_000), ..Settings::default() });
    offer(&policy, &mut Service::new(0), 0..30);
    let mut healthy = Service::new(u64::MAX);
    let recovered =
        (30..90).find(|second| offer(&policy, &mut healthy, *second..*second + 1) >= 900);
    let after = recovered.unwrap() - 30;
    assert!((20..=40).contains(&after), "after {after} s");
}

#[test]
fn one_of_a_hundred_passes_however_bad_it_looks() {
    let policy = throttled(Settings::default());
    offer(&policy, &mut Service::new(0), 0..10);
    let passed = offer(&policy, &mut Service::new(0), 10..60);
    assert!((400..=650).contains(&passed), "{passed} of 50,000");
    assert_eq!(snapshot(&policy, ms(60_000)).kept_back, 990);
}

#[test]
fn one_a_second_passes_however_few_come() {
    let policy = throttled(Settings { k: 1.0, ..Settings::default() });
    offer(&policy, &mut Service::new(0), 0..10);
    // Two calls a second from here on, of which 1 % would be one in 50 s.
    let passed = (0..40)
        .filter(|half| {
            let now = ms(11_000 + half * 500);
            at_once_seeded(&policy, now, Cause::Status(503), of_call(2, *half))
        })
        .count();
    assert!((20..=22).contains(&passed), "{passed} of 40");
}

#[test]
fn what_the_caller_did_wrong_is_accepted_and_what_nobody_answered_is_not_counted() {
    for (cause, counted) in [
        (Cause::Status(200), (1, 1)),
        (Cause::Status(404), (1, 1)),
        (Cause::AppError, (1, 1)),
        (Cause::Status(429), (1, 0)),
        (Cause::Grpc(8), (1, 0)),
        (Cause::Status(500), (1, 0)),
        (Cause::Connect, (1, 0)),
        (Cause::Cancelled, (0, 0)),
        (Cause::Grpc(1), (0, 0)),
    ] {
        let policy = throttled(Settings::default());
        at_once_seeded(&policy, ms(0), cause, 7);
        assert_eq!(counts(&policy, ms(0)), counted, "{cause:?}");
    }
}

#[test]
fn a_refusal_of_the_breaker_behind_it_is_no_request() {
    let consecutive = Some(3);
    let policy = bound(&policy::Settings {
        throttle: Some(Settings { k: 100.0, ..Settings::default() }),
        breaker: Some(breaker::Settings { consecutive, ..breaker::Settings::default() }),
        ..policy::Settings::default()
    });
    at_once_seeded(&policy, ms(0), Cause::Status(200), 1);
    for at in 1..4 {
        at_once_seeded(&policy, ms(at), Cause::Status(500), at);
    }
    for at in 4..100 {
        assert!(!at_once_seeded(&policy, ms(at), Cause::Status(200), at));
    }
    assert_eq!(counts(&policy, ms(100)), (4, 1));
}

#[test]
fn each_upstream_has_its_own_counts_and_a_reload_keeps_them() {
    let settings =
        policy::Settings { throttle: Some(Settings::default()), ..policy::Settings::default() };
    let first = policy::Policy::build("test", &settings, 1, None).unwrap();
    let (a, _b) = (first.bind("a"), first.bind("b"));
    at_once_seeded(&a, ms(0), Cause::Status(200), 7);
    let watched = Settings { mode: Some(Mode::Shadow), ..Settings::default() };
    let settings = policy::Settings { throttle: Some(watched), ..settings };
    let second = policy::Policy::build("test", &settings, 1, Some(&first)).unwrap();
    let stand = second.snapshot(ms(0)).throttles;
    let stand: Vec<_> = stand.iter().map(|one| (&*one.target, one.requests)).collect();
    assert_eq!(stand, [("a", 1), ("b", 0)]);
}

#[test]
fn in_shadow_nothing_is_kept_back_and_it_is_told() {
    let world = World::new();
    let policy = throttled(Settings { mode: Some(Mode::Shadow), k: 1.0, ..Settings::default() });
    for seed in 0..200 {
        world.call(&policy, Case { seed, ..Case::new(&[meets(0, Cause::Status(503))]) });
    }
    assert_eq!(world.log.count("attempt"), 200);
    let told = world.log.count("would_reject throttle throttled");
    assert!(told > 150, "{told}");
    assert_eq!(counts(&policy, ms(0)), (200, 0), "each counts once");
}

#[test]
fn a_refusal_says_why() {
    let world = World::new();
    let policy = throttled(Settings::default());
    for seed in 0..20 {
        world.call(&policy, Case { seed, ..Case::new(&[meets(0, Cause::Status(503))]) });
    }
    assert!(world.log.count("rejected throttle throttled") > 0);
    assert!(world.log.detail().ends_with("calls were accepted in 2 min"), "{}", world.log.detail());
}

/// Everything that ever happened: when, and whether it was accepted.
struct Model {
    k: u128,
    bucket: u64,
    ended: Vec<(u64, bool)>,
    passed_at: Option<u64>,
}

impl Model {
    fn counts(&self, now: u64) -> (u128, u128) {
        let live = |at: u64| now / self.bucket - at / self.bucket < 120;
        let live: Vec<_> = self.ended.iter().filter(|(at, _)| live(*at)).collect();
        (live.len() as u128, live.iter().filter(|(_, accepted)| *accepted).count() as u128)
    }

    /// (requests - k * accepts) / (requests + 1), over 1000, against `draw` over 2^40.
    fn passes(&mut self, now: u64, draw: u128) -> bool {
        let (requests, accepts) = self.counts(now);
        let wanted = requests * 1_000;
        let (excess, whole) = (wanted.saturating_sub(self.k * accepts), wanted + 1_000);
        if excess == 0 {
            return true;
        }
        let unlucky = draw * whole < excess << 40 && draw * 100 < 99 << 40;
        let starved = self.passed_at.is_none_or(|passed| now - passed >= 1_000_000_000);
        let passes = !unlucky || starved;
        if passes {
            self.passed_at = Some(now);
        } else {
            self.ended.push((now, false));
        }
        passes
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// What passes is what a list of everything that ever happened says.
    #[test]
    fn attempts_pass_as_the_whole_history_says(
        k in 1_000_u32..4_000,
        window in 100_u64..20_000,
        calls in prop::collection::vec((0_u64..120, 0_u8..4), 1..400),
    ) {
        let settings = Settings { k: f64::from(k) / 1e3, window: millis(window), mode: None };
        let policy = throttled(settings);
        let mut model =
            Model { k: k.into(), bucket: window * 1_000_000 / 120, ended: Vec::new(), passed_at: None };
        let mut now = 0;
        for (id, (pause, kind)) in (0_u64..).zip(calls) {
            now += pause * 1_000_000;
            let cause = [Cause::Status(200), Cause::Status(503), Cause::Connect, Cause::Cancelled]
                [usize::from(kind)];
            let draw = mix(of_call(1, id), (0x7468_726f << 32) + 1) >> 24;
            let expected = model.passes(now, draw.into());
            let passed = at_once_seeded(&policy, Time::from_nanos(now), cause, of_call(1, id));
            prop_assert_eq!(passed, expected, "call {} at {}", id, now);
            if passed && cause != Cause::Cancelled {
                model.ended.push((now, kind == 0));
            }
            let (requests, accepts) = model.counts(now);
            let stands = counts(&policy, Time::from_nanos(now));
            prop_assert_eq!((requests, accepts), (stands.0.into(), stands.1.into()));
        }
    }
}
