//! Deadlines: what is allotted, what travels, what is cut.

use std::time::Duration;

use locum_policy::gates::deadline::codec::{
    grpc_timeout, millis as write_millis, parse_grpc_timeout, parse_millis,
};
use locum_policy::gates::{concurrency, retry};
use locum_policy::{Cause, Mode, Policy, Settings};
use proptest::prelude::*;

use crate::world::{Case, World, bound, hangs, meets, millis, ms};

#[test]
fn a_timeout_is_written_in_the_finest_unit_that_fits() {
    let vectors = [
        (Duration::from_nanos(99_999_999), "99999999n"),
        (millis(100), "100000u"),
        (Duration::from_secs(30 * 3_600), "108000S"),
        (millis(845), "845000u"),
        (Duration::ZERO, "0n"),
        (Duration::MAX, "99999999H"),
    ];
    for (duration, text) in vectors {
        assert_eq!(grpc_timeout(duration).to_string(), text);
    }
}

#[test]
fn a_timeout_is_read_if_it_has_up_to_eight_digits_and_a_unit() {
    assert_eq!(parse_grpc_timeout(b"1S"), Some(Duration::from_secs(1)));
    assert_eq!(parse_grpc_timeout(b"8H"), Some(Duration::from_secs(8 * 3_600)));
    assert_eq!(parse_grpc_timeout(b"99999999H"), Some(Duration::from_secs(99_999_999 * 3_600)));
    let malformed: [&[u8]; 9] =
        [b"", b"S", b"123456789m", b"5X", b"-1S", b"+1S", b"1 S", b"1", b"1s"];
    for value in malformed {
        assert_eq!(parse_grpc_timeout(value), None, "{}", String::from_utf8_lossy(value));
    }
}

#[test]
fn milliseconds_are_rounded_down_and_read_strictly() {
    assert_eq!(write_millis(Duration::from_micros(845_999)).to_string(), "845");
    assert_eq!(parse_millis(b"845"), Some(millis(845)));
    for value in [&b""[..], b"-1", b"1.5", b" 1", b"99999999999999999999"] {
        assert_eq!(parse_millis(value), None, "{}", String::from_utf8_lossy(value));
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_and_never_longer(nanos in any::<u64>()) {
        let duration = Duration::from_nanos(nanos);
        let text = grpc_timeout(duration).to_string();
        let read = parse_grpc_timeout(text.as_bytes()).unwrap();
        prop_assert!(read <= duration);
        prop_assert!(text.len() <= 9);
        // The next finer unit would have had nine digits, and is at most a thousand times finer.
        prop_assert!(duration - read <= duration / 99_999);
    }
}

#[test]
fn a_call_that_queued_tells_its_peer_what_is_left() {
    let settings = Settings {
        concurrency: Some(concurrency::Settings { queue: 1, ..concurrency::Settings::new(1) }),
        ..Settings::default()
    };
    let (world, policy) = (World::new(), bound(&settings));
    world.call(&policy, Case::new(&[meets(150, Cause::Reply)]));
    let told = Case { deadline: Some(1_000), ..Case::new(&[hangs()]) };
    world.call(&policy, told);
    world.advance(ms(2_000));
    assert_eq!(world.log.count("150 attempt 1 first a"), 1);
    assert_eq!(world.log.count("995 done deadline 1 995ms"), 1);
    let told = world.log.told();
    assert_eq!(told.map(|time| grpc_timeout(time).to_string()).as_deref(), Some("845000u"));
}

#[test]
fn the_smaller_of_route_and_caller_ends_the_call() {
    for (route, caller, end) in [(100, 200, 95), (200, 100, 95)] {
        let (world, policy) = (
            World::new(),
            bound(&Settings { timeout: Some(millis(route)), ..Settings::default() }),
        );
        world.call(&policy, Case { deadline: Some(caller), ..Case::new(&[hangs()]) });
        world.advance(ms(1_000));
        assert_eq!(world.log.last(), format!("{end} done deadline 1 {end}ms"));
    }
}

#[test]
fn an_attempt_without_enough_time_is_not_made() {
    let (world, policy) = (World::new(), bound(&Settings::default()));
    world.call(&policy, Case { deadline: Some(14), ..Case::new(&[hangs()]) });
    assert_eq!(
        world.log.lines(),
        ["0 rejected deadline deadline_insufficient", "0 done rejected 0 0ns"]
    );
    assert_eq!(world.log.detail(), "9 ms left of the 10 ms an attempt needs");
    world.call(&policy, Case { deadline: Some(15), ..Case::new(&[hangs()]) });
    assert_eq!(world.log.last(), "0 attempt 1 first a");
}

#[test]
fn an_attempt_that_times_out_by_itself_is_a_failure_of_the_call() {
    let (world, policy) = (
        World::new(),
        bound(&Settings { attempt_timeout: Some(millis(50)), ..Settings::default() }),
    );
    world.call(&policy, Case::new(&[hangs()]));
    world.advance(ms(1_000));
    assert_eq!(world.log.last(), "50 done failure 1 50ms");
}

#[test]
fn an_attempt_whose_time_is_all_the_call_has_ends_the_call() {
    let settings = Settings {
        timeout: Some(millis(105)),
        attempt_timeout: Some(millis(100)),
        retry: Some(retry::Settings { base: millis(0), ..Default::default() }),
        ..Settings::default()
    };
    let (world, policy) = (World::new(), bound(&settings));
    world.call(&policy, Case::new(&[hangs()]));
    world.advance(ms(1_000));
    assert_eq!(world.log.lines(), ["0 attempt 1 first a", "100 done deadline 1 100ms"]);
}

#[test]
fn the_second_attempt_gets_what_the_first_one_left() {
    let settings = Settings {
        timeout: Some(millis(1_000)),
        attempt_timeout: Some(millis(600)),
        retry: Some(retry::Settings { base: millis(0), ..Default::default() }),
        ..Settings::default()
    };
    let (world, policy) = (World::new(), bound(&settings));
    world.call(&policy, Case::new(&[hangs()]));
    world.advance(ms(2_000));
    let lines = world.log.lines();
    assert_eq!(
        lines,
        ["0 attempt 1 first a", "600 attempt 2 retry a", "995 done deadline 2 995ms"]
    );
    assert_eq!(world.log.told(), Some(millis(395)));
}

#[test]
fn an_answer_at_the_very_end_still_counts() {
    let (world, policy) =
        (World::new(), bound(&Settings { timeout: Some(millis(105)), ..Settings::default() }));
    world.call(&policy, Case::new(&[meets(100, Cause::Reply)]));
    world.advance(ms(1_000));
    assert_eq!(world.log.last(), "100 done success 1 100ms");
}

#[test]
fn in_shadow_nothing_is_cut_and_what_would_have_been_is_told() {
    let settings =
        Settings { mode: Mode::Shadow, timeout: Some(millis(100)), ..Settings::default() };
    let (world, policy) = (World::new(), bound(&settings));
    world.call(&policy, Case::new(&[meets(300, Cause::Reply)]));
    world.advance(ms(1_000));
    assert_eq!(world.log.count("300 would_reject deadline timeout"), 1);
    assert_eq!(world.log.last(), "300 done success 1 300ms");
}

#[test]
fn a_method_may_have_a_time_of_its_own() {
    let mut settings = Settings { timeout: Some(millis(1_000)), ..Settings::default() };
    let divide =
        locum_policy::settings::Method { timeout: Some(millis(105)), ..Default::default() };
    settings.methods.insert("Arith.Divide".into(), divide);
    let (world, policy) = (World::new(), bound(&settings));
    world.call(&policy, Case { method: "Arith.Divide".into(), ..Case::new(&[hangs()]) });
    world.call(&policy, Case::new(&[hangs()]));
    world.advance(ms(2_000));
    assert_eq!(world.log.count("100 done deadline 1 100ms"), 1);
    assert_eq!(world.log.count("995 done deadline 1 995ms"), 1);
}

#[test]
fn times_that_leave_no_room_for_an_attempt_are_refused() {
    let error = |settings| Policy::build("test", &settings, 1, None).unwrap_err().to_string();
    let short = Settings { timeout: Some(millis(14)), ..Settings::default() };
    assert_eq!(error(short), "`timeout`: 14ms is too small; write at least 15ms");
    let mut settings = Settings::default();
    let method =
        locum_policy::settings::Method { attempt_timeout: Some(millis(1)), ..Default::default() };
    settings.methods.insert("A.B".into(), method);
    assert_eq!(
        error(settings),
        "`methods.\"A.B\".attempt_timeout`: 1ms is too small; write at least 10ms"
    );
}

/// Attempts of one call that follow each other at once, as the rules on time have them.
struct Model {
    /// When the call's time is over, if ever.
    end: Option<u64>,
    attempt_timeout: Option<u64>,
    reserve: u64,
    min_attempt: u64,
    attempts: usize,
    /// How long each attempt would take, and whether it would end well.
    script: Vec<(u64, bool)>,
}

impl Model {
    /// What an attempt at `now` has: until when, and whether the call is over then.
    fn has(&self, now: u64) -> Option<(u64, bool)> {
        let left = self.end.map_or(u64::MAX, |end| end.saturating_sub(now + self.reserve));
        let time = left.min(self.attempt_timeout.unwrap_or(u64::MAX));
        (time >= self.min_attempt).then_some((now.saturating_add(time), time == left))
    }

    fn lines(&self) -> Vec<String> {
        let (mut now, mut lines) = (0, Vec::new());
        for (index, (took, good)) in self.script.iter().cycle().enumerate() {
            let Some((until, ends_call)) = self.has(now) else {
                let how = if index == 0 { "rejected" } else { "failure" };
                lines.push(format!("{now} done {how} {index} {:?}", millis(now)));
                return lines;
            };
            let kind = if index == 0 { "first" } else { "retry" };
            lines.push(format!("{now} attempt {} {kind} a", index + 1));
            let itself = Some(now + took).filter(|at| *at <= until);
            now = itself.unwrap_or(until);
            let how = match itself {
                Some(_) if *good => "success",
                None if ends_call => "deadline",
                _ if index + 1 < self.attempts && self.has(now).is_some() => continue,
                _ => "failure",
            };
            lines.push(format!("{now} done {how} {} {:?}", index + 1, millis(now)));
            return lines;
        }
        unreachable!("a call ends")
    }
}

proptest! {
    #[test]
    fn every_attempt_has_the_time_that_its_rules_give_it(
        timeout in prop::option::of(0_u64..500),
        deadline in prop::option::of(0_u64..500),
        attempt_timeout in prop::option::of(0_u64..200),
        reserve in 0_u64..20,
        min_attempt in 1_u64..40,
        attempts in 1_usize..5,
        script in prop::collection::vec((0_u64..250, any::<bool>()), 1..6),
    ) {
        let timeout = timeout.map(|more| reserve + min_attempt + more);
        let attempt_timeout = attempt_timeout.map(|more| min_attempt + more);
        let settings = Settings {
            timeout: timeout.map(millis),
            attempt_timeout: attempt_timeout.map(millis),
            reserve: millis(reserve),
            min_attempt: millis(min_attempt),
            retry: Some(retry::Settings {
                attempts: attempts as u32,
                base: millis(0),
                ..Default::default()
            }),
            ..Settings::default()
        };
        let meeting = script.iter().map(|(took, good)| {
            meets(*took, if *good { Cause::Reply } else { Cause::Status(503) })
        });
        let world = World::new();
        let case = Case { deadline, ..Case::new(&meeting.collect::<Vec<_>>()) };
        world.call(&bound(&settings), case);
        world.advance(ms(10_000));
        let of_interest = |line: &String| line.contains(" attempt ") || line.contains(" done ");
        let lines: Vec<_> = world.log.lines().into_iter().filter(of_interest).collect();
        // The last of a script repeats.
        let mut script = script;
        script.resize(6, *script.last().expect("at least one"));
        let end = [timeout, deadline].into_iter().flatten().min();
        let model = Model { end, attempt_timeout, reserve, min_attempt, attempts, script };
        prop_assert_eq!(lines, model.lines());
    }
}
