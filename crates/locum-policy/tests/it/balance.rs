//! Which endpoint the next attempt takes.

use std::time::Duration;

use locum_policy::balance::{Ask, Balance, Balancer, Endpoints, Seen, SlowStart, Standing};
use locum_policy::{Cause, Time, seed};
use proptest::prelude::*;

/// Endpoints that stand as a test says.
#[derive(Debug)]
struct Stand {
    in_flight: Vec<u32>,
    usable: Vec<bool>,
}

impl Endpoints for Stand {
    fn len(&self) -> usize {
        self.in_flight.len()
    }

    fn in_flight(&self, index: u32) -> u32 {
        self.in_flight[index as usize]
    }

    fn standing(&self, index: u32) -> Standing {
        if self.usable[index as usize] { Standing::Usable } else { Standing::Ejected }
    }
}

impl Stand {
    fn idle(count: usize) -> Self {
        Self { in_flight: vec![0; count], usable: vec![true; count] }
    }
}

fn balance(text: &str) -> Balance {
    text.parse().unwrap()
}

fn balancer(text: &str, weights: &[u32]) -> Balancer {
    over(&balance(text), &named(weights))
}

fn named(weights: &[u32]) -> Vec<(String, u32)> {
    weights.iter().enumerate().map(|(index, weight)| (format!("e{index}"), *weight)).collect()
}

fn over(balance: &Balance, endpoints: &[(String, u32)]) -> Balancer {
    let (names, weights): (Vec<_>, Vec<_>) = endpoints.iter().cloned().unzip();
    Balancer::new(balance, &names, &weights)
}

fn ask(number: u64) -> Ask<'static> {
    Ask { tried: &[], key: None, random: seed::mix(7, number), now: Time::ZERO }
}

fn counts(balancer: &Balancer, stand: &Stand, picks: u64) -> Vec<u64> {
    let mut counts = vec![0; stand.len()];
    for number in 0..picks {
        counts[balancer.pick(stand, &ask(number)).unwrap() as usize] += 1;
    }
    counts
}

fn keys(count: u32) -> Vec<[u8; 4]> {
    (0..count).map(u32::to_be_bytes).collect()
}

fn holder(balancer: &Balancer, stand: &Stand, key: &[u8]) -> u32 {
    balancer.pick(stand, &Ask { key: Some(key), ..ask(0) }).unwrap()
}

const ALL: [&str; 7] = [
    "round-robin",
    "weighted",
    "random",
    "least-request",
    "peak-ewma",
    "hash:header:x-user",
    "sticky:session",
];

#[test]
fn every_balance_is_written_as_it_is_read() {
    for text in ALL.iter().chain(&["hash:client-ip"]) {
        assert_eq!(balance(text).to_string(), *text);
    }
    assert_eq!(balance("hash:header:X-User"), balance("hash:header:x-user"));
    for wrong in
        ["", "least", "hash", "hash:", "hash:route", "hash:header:", "sticky:", "sticky:a b"]
    {
        let error = wrong.parse::<Balance>().unwrap_err();
        assert!(error.expected.contains("`peak-ewma`"), "{wrong}: {error}");
    }
}

#[test]
fn round_robin_takes_each_as_often() {
    assert_eq!(counts(&balancer("round-robin", &[1, 5, 1]), &Stand::idle(3), 300), [100; 3]);
}

#[test]
fn weighted_follows_the_weights_exactly() {
    assert_eq!(counts(&balancer("weighted", &[10, 30]), &Stand::idle(2), 400), [100, 300]);
}

#[test]
fn least_request_avoids_the_busy_one() {
    let stand = Stand { in_flight: vec![3, 0], ..Stand::idle(2) };
    assert_eq!(counts(&balancer("least-request", &[1, 1]), &stand, 100), [0, 100]);
}

#[test]
fn peak_ewma_avoids_what_is_slow_and_what_fails_fast() {
    let balancer = balancer("peak-ewma", &[1, 1, 1]);
    let ms = Duration::from_millis;
    balancer.observe(0, ms(200), Seen::of(Cause::Status(200)), Time::ZERO);
    balancer.observe(1, ms(1), Seen::of(Cause::Status(503)), Time::ZERO);
    balancer.observe(2, ms(10), Seen::of(Cause::Status(200)), Time::ZERO);
    let counts = counts(&balancer, &Stand::idle(3), 3000);
    assert_eq!(counts[1], 0, "a failure in 1 ms is worth 5 s: {counts:?}");
    assert!((800..1200).contains(&counts[0]), "only when it is drawn with that: {counts:?}");
}

#[test]
fn peak_ewma_tries_an_unknown_endpoint_by_one_attempt() {
    let balancer = balancer("peak-ewma", &[1, 1]);
    balancer.observe(0, Duration::from_millis(10), Seen::Answer, Time::ZERO);
    let mut stand = Stand::idle(2);
    assert_eq!(balancer.pick(&stand, &ask(0)), Some(1));
    stand.in_flight = vec![50, 1];
    assert_eq!(counts(&balancer, &stand, 100), [100, 0]);
}

#[test]
fn a_reload_keeps_what_is_known_of_endpoints_by_their_names() {
    let old = balancer("peak-ewma", &[1, 1]);
    old.observe(1, Duration::from_millis(70), Seen::Answer, Time::ZERO);
    let new = Balancer::new(&balance("peak-ewma"), &["e1", "other"], &[1, 1]);
    new.inherit(&old);
    assert_eq!(new.expected(0, Time::ZERO), Some(Duration::from_millis(70)));
    assert_eq!(new.expected(1, Time::ZERO), None);
}

#[test]
fn a_caller_goes_back_to_the_endpoint_of_its_cookie() {
    let balancer = balancer("sticky:session", &[1, 1, 1]);
    let mut stand = Stand { in_flight: vec![9; 3], ..Stand::idle(3) };
    for index in 0..3 {
        let mark = balancer.mark(index).unwrap();
        assert_eq!(holder(&balancer, &stand, mark), index);
    }
    let mark = balancer.mark(1).unwrap();
    stand.usable[1] = false;
    assert_ne!(holder(&balancer, &stand, mark), 1, "not to one that is ejected");
    stand.usable[1] = true;
    let tried = Ask { tried: &[1], key: Some(mark), ..ask(0) };
    assert_ne!(balancer.pick(&stand, &tried), Some(1), "nor to one that was tried in vain");
}

#[test]
fn a_call_without_a_key_goes_anywhere() {
    for key in [None, Some(&b""[..])] {
        let balancer = balancer("hash:client-ip", &[1, 1]);
        let stand = Stand::idle(2);
        let picks: Vec<_> =
            (0..100).map(|n| balancer.pick(&stand, &Ask { key, ..ask(n) }).unwrap()).collect();
        assert!(picks.contains(&0) && picks.contains(&1));
    }
}

/// Endpoints without calls, each of which stands as it says.
struct As<F>(usize, F);

impl<F: Fn(u32) -> Standing> Endpoints for As<F> {
    fn len(&self) -> usize {
        self.0
    }

    fn in_flight(&self, _: u32) -> u32 {
        0
    }

    fn standing(&self, index: u32) -> Standing {
        self.1(index)
    }
}

#[test]
fn one_that_is_out_is_never_taken() {
    for text in ALL {
        for count in 1..4 {
            let balancer = balancer(text, &vec![1; count]);
            let pick = |last: Standing| {
                let standing = |index| if index + 1 == count as u32 { last } else { Standing::Out };
                balancer.pick(&As(count, standing), &ask(3))
            };
            assert_eq!(pick(Standing::Ejected), Some(count as u32 - 1), "{text} of {count}");
            assert_eq!(pick(Standing::Out), None, "{text} of {count}");
        }
    }
}

#[test]
fn one_that_is_spared_is_taken_before_one_that_was_tried() {
    for text in ALL {
        let balancer = balancer(text, &[1, 1, 1]);
        let standing =
            |index| [Standing::Usable, Standing::Spared, Standing::Ejected][index as usize];
        let first = Ask { key: Some(b"a"), ..ask(1) };
        assert_eq!(balancer.pick(&As(3, standing), &first), Some(0), "{text}");
        let again = Ask { tried: &[0], ..first };
        assert_eq!(balancer.pick(&As(3, standing), &again), Some(1), "{text}");
        let once_more = Ask { tried: &[0, 1], ..first };
        assert_ne!(balancer.pick(&As(3, standing), &once_more), Some(2), "{text}");
    }
}

#[test]
fn a_caller_stays_with_its_endpoint_though_that_is_spared() {
    let balancer = balancer("sticky:session", &[1, 1]);
    let standing = |index| [Standing::Spared, Standing::Usable][index as usize];
    let asked = Ask { key: balancer.mark(0), ..ask(0) };
    assert_eq!(balancer.pick(&As(2, standing), &asked), Some(0));
}

/// Whatever the balance, and as exactly as chance allows.
#[test]
fn an_endpoint_that_starts_slowly_gets_its_share_little_by_little() {
    let slow_start = SlowStart(Duration::from_secs(30));
    for text in ALL {
        let balancer = balancer(text, &[1, 1, 1, 1]);
        for second in [0, 3, 10, 15, 20, 29, 30, 60] {
            let share = slow_start.share(Duration::from_secs(second));
            let picks = keys(4000);
            let taken = (0..).zip(&picks).filter(|(number, key)| {
                let asked =
                    Ask { key: text.starts_with("hash").then_some(&key[..]), ..ask(*number) };
                let standing = |index| match index == 2 && balancer.spares(index, share, &asked) {
                    true => Standing::Spared,
                    false => Standing::Usable,
                };
                balancer.pick(&As(4, standing), &asked) == Some(2)
            });
            let taken = taken.count() as f64 / picks.len() as f64;
            assert!((taken - share / 4.0).abs() < 0.04, "{text} at {second} s: {taken}");
        }
    }
}

#[test]
fn keys_come_to_an_endpoint_that_starts_slowly_and_do_not_leave_it() {
    let balancer = balancer("hash:client-ip", &[1, 1, 1]);
    let held = |share: f64| -> Vec<_> {
        let holds = |key: &[u8; 4]| {
            let asked = Ask { key: Some(key), ..ask(0) };
            let standing = |index| match index == 0 && balancer.spares(index, share, &asked) {
                true => Standing::Spared,
                false => Standing::Usable,
            };
            balancer.pick(&As(3, standing), &asked) == Some(0)
        };
        keys(600).into_iter().filter(holds).collect()
    };
    let shares = [0.1, 0.3, 0.7, 1.0].map(held);
    for pair in shares.windows(2) {
        assert!(pair[0].len() < pair[1].len());
        assert!(pair[0].iter().all(|key| pair[1].contains(key)));
    }
}

#[test]
fn the_turns_of_one_that_is_ejected_are_not_all_its_neighbours() {
    let stand = Stand { usable: vec![true, false, true, true], ..Stand::idle(4) };
    let counts = counts(&balancer("round-robin", &[1; 4]), &stand, 3000);
    assert!(counts.iter().all(|count| *count == 0 || count.abs_diff(1000) < 80), "{counts:?}");
}

#[test]
fn no_endpoints_is_no_pick() {
    for text in ALL {
        assert_eq!(balancer(text, &[]).pick(&Stand::idle(0), &ask(0)), None);
    }
}

#[test]
fn a_pick_allocates_nothing() {
    let stand = Stand { usable: vec![true, false, true, true], ..Stand::idle(4) };
    for text in ALL {
        let balancer = balancer(text, &[1, 2, 3, 4]);
        let info = allocation_counter::measure(|| {
            let asked = Ask { tried: &[2], key: Some(b"alice"), ..ask(3) };
            balancer.pick(&stand, &asked);
            balancer.observe(0, Duration::from_millis(3), Seen::Answer, Time::ZERO);
        });
        assert_eq!(info.count_total, 0, "{text}");
    }
}

/// Some endpoints, some of them ejected, some of them tried.
fn situation() -> impl Strategy<Value = (Vec<u32>, Stand, Vec<u32>)> {
    let endpoint = (1_u32..20, 0_u32..5, any::<bool>(), any::<bool>());
    prop::collection::vec(endpoint, 1..8).prop_map(|endpoints| {
        let tried = (0..).zip(&endpoints).filter(|(_, endpoint)| endpoint.3);
        let tried = tried.map(|(index, _)| index).collect();
        let stand = Stand {
            in_flight: endpoints.iter().map(|endpoint| endpoint.1).collect(),
            usable: endpoints.iter().map(|endpoint| endpoint.2).collect(),
        };
        (endpoints.iter().map(|endpoint| endpoint.0).collect(), stand, tried)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Usable before ejected, and among these untried before tried, whatever the balance.
    #[test]
    fn the_best_kind_of_endpoint_that_there_is_is_taken(
        (weights, stand, tried) in situation(),
        which in 0..ALL.len(),
        random: u64,
        key: Option<[u8; 3]>,
    ) {
        let balancer = balancer(ALL[which], &weights);
        let kind = |index: u32| (stand.standing(index), !tried.contains(&index));
        let best = (0..weights.len() as u32).map(kind).max().unwrap();
        let key = key.as_ref().map(|key| &key[..]);
        for _ in 0..5 {
            let asked = Ask { tried: &tried, key, random, now: Time::ZERO };
            let pick = balancer.pick(&stand, &asked).unwrap();
            prop_assert_eq!(kind(pick), best, "{} took {}", ALL[which], pick);
        }
    }

    /// Counted over many picks, weights hold for those that are left when others are ejected.
    #[test]
    fn random_and_hash_follow_the_weights(
        (weights, mut stand, _) in situation(),
        by_hash: bool,
    ) {
        stand.usable[0] = true;
        let balancer = balancer(if by_hash { "hash:client-ip" } else { "random" }, &weights);
        let mut counts = vec![0.0; weights.len()];
        for (number, key) in (0..).zip(keys(4000)) {
            let key = by_hash.then_some(&key[..]);
            let pick = balancer.pick(&stand, &Ask { key, ..ask(number) }).unwrap();
            counts[pick as usize] += 1.0;
        }
        let share = |index: usize| if stand.usable[index] { f64::from(weights[index]) } else { 0.0 };
        let total: f64 = (0..weights.len()).map(share).sum();
        for (index, count) in counts.iter().enumerate() {
            let expected = 4000.0 * share(index) / total;
            // Five standard deviations of a binomial.
            let slack = 5.0 * (expected * (1.0 - share(index) / total)).sqrt() + 1e-9;
            prop_assert!((count - expected).abs() <= slack, "{counts:?} of {weights:?}");
        }
    }

    /// In every round of round-robin and weighted each endpoint has exactly its turns.
    #[test]
    fn rounds_are_exact((weights, ..) in situation(), weighted: bool, rounds in 1_u64..4) {
        let balancer = balancer(if weighted { "weighted" } else { "round-robin" }, &weights);
        let turns: Vec<u64> =
            weights.iter().map(|weight| if weighted { u64::from(*weight) } else { 1 }).collect();
        let stand = Stand::idle(weights.len());
        let counts = counts(&balancer, &stand, rounds * turns.iter().sum::<u64>());
        let expected: Vec<u64> = turns.iter().map(|turns| turns * rounds).collect();
        prop_assert_eq!(counts, expected);
    }

    /// Only the keys of an endpoint that is ejected move, and they come back with it; a list with one
    /// endpoint fewer, or in another order, chooses alike.
    #[test]
    fn a_hash_moves_no_key_without_need(weights in prop::collection::vec(1_u32..20, 2..8), gone: prop::sample::Index) {
        let gone = gone.index(weights.len());
        let balance = balance("hash:header:x");
        let whole = over(&balance, &named(&weights));
        let mut fewer = named(&weights);
        fewer.remove(gone);
        fewer.reverse();
        let without = over(&balance, &fewer);
        let all = Stand::idle(weights.len());
        let mut ejected = Stand::idle(weights.len());
        ejected.usable[gone] = false;
        for key in keys(300) {
            let before = holder(&whole, &all, &key);
            let after = holder(&whole, &ejected, &key);
            prop_assert!(before == gone as u32 || before == after);
            prop_assert_ne!(after, gone as u32);
            let removed = holder(&without, &Stand::idle(fewer.len()), &key);
            prop_assert_eq!(&fewer[removed as usize].0, &format!("e{after}"));
        }
    }

    /// Beside a model that keeps every answer ever seen and works the average out anew each time.
    #[test]
    fn the_average_is_what_all_answers_make_it(
        answers in prop::collection::vec((0_u64..20_000, 1_u64..3_000, any::<bool>()), 1..40),
        idle in 0_u64..60_000,
    ) {
        let balancer = balancer("peak-ewma", &[1, 1]);
        let mut seen = Vec::new();
        let mut now = 0;
        for (gap, took, failed) in answers {
            now += gap;
            let kind = if failed { Seen::Failure } else { Seen::Answer };
            balancer.observe(0, Duration::from_millis(took), kind, Time::from_millis(now));
            seen.push((now, if failed { took.max(5_000) } else { took } as f64));
            let then = now + idle;
            let expected = average(&seen) * left(now, then);
            let known = balancer.expected(0, Time::from_millis(then)).unwrap().as_secs_f64() * 1e3;
            prop_assert!((known - expected).abs() <= expected * 2e-3 + 1e-3, "{known} {expected}");
        }
    }
}

/// What is left at `now` of what was seen at `then`, both in ms.
fn left(then: u64, now: u64) -> f64 {
    (-((now - then) as f64) / 10_000.0).exp()
}

/// The value after the last of `answers`: from the last that was above all that was left of those
/// before it, the sum of what each moved the average by.
fn average(answers: &[(u64, f64)]) -> f64 {
    let [before @ .., (at, took)] = answers else { return 0.0 };
    let Some((earlier, _)) = before.last() else { return *took };
    let faded = average(before) * left(*earlier, *at);
    if *took >= faded { *took } else { faded + took * (1.0 - left(*earlier, *at)) }
}
