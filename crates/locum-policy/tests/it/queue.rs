//! Who waits for a place, and who goes next: the worked cases, and any other against a model that keeps
//! a list of everybody and looks through all of it every time.

use std::time::Duration;

use locum_policy::gates::concurrency::Settings;
use locum_policy::{Bound, Cause, Key, Mode, Time, policy};
use proptest::prelude::*;

use crate::world::{Case, Meets, World, bound, hangs, meets, millis, ms};

fn capped(concurrency: Settings) -> Bound {
    bound(&policy::Settings { concurrency: Some(concurrency), ..policy::Settings::default() })
}

fn called(name: &'static str, took: u64, priority: u8) -> Case {
    Case { endpoints: vec![(name, None)], priority, ..Case::new(&[meets(took, Cause::Reply)]) }
}

/// Who was let in, in order.
fn order(world: &World) -> Vec<String> {
    let lines = world.log.lines();
    let names = lines.iter().filter(|line| line.contains("attempt"));
    names.map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect()
}

#[test]
fn the_newest_goes_first_once_the_queue_has_stood_for_100_ms() {
    let (world, policy) = (World::new(), capped(Settings { queue: 10, ..Settings::new(1) }));
    for name in ["now", "a", "b", "c", "d"] {
        world.call(&policy, called(name, 40, 1));
    }
    world.advance(ms(1_000));
    // Places are free at 40, 80, 120 and 160 ms.
    assert_eq!(order(&world), ["now", "a", "b", "d", "c"]);
}

#[test]
fn a_queue_in_which_somebody_hardly_waits_does_not_stand() {
    let (world, policy) = (World::new(), capped(Settings { queue: 10, ..Settings::new(1) }));
    world.call(&policy, called("now", 95, 1));
    world.call_at(91, &policy, called("quick", 40, 1));
    world.call_at(92, &policy, called("b", 40, 1));
    world.call_at(93, &policy, called("c", 40, 1));
    world.advance(ms(1_000));
    // "quick" waited 4 ms, until 95; "b" goes at 135 though there is a queue since 91 ms.
    assert_eq!(order(&world), ["now", "quick", "b", "c"]);
}

#[test]
fn a_queue_that_was_empty_begins_anew() {
    let (world, policy) = (World::new(), capped(Settings { queue: 10, ..Settings::new(1) }));
    world.call(&policy, called("now", 500, 1));
    world.call_at(450, &policy, called("a", 10, 1));
    world.call_at(460, &policy, called("b", 10, 1));
    world.advance(ms(1_000));
    assert_eq!(order(&world), ["now", "a", "b"]);
}

#[test]
fn a_higher_priority_goes_first() {
    let (world, policy) = (World::new(), capped(Settings { queue: 10, ..Settings::new(1) }));
    world.call(&policy, called("now", 10, 1));
    for (name, priority) in [("low", 0), ("usual", 1), ("high", 3), ("high", 3)] {
        world.call(&policy, called(name, 10, priority));
    }
    world.advance(ms(1_000));
    assert_eq!(order(&world), ["now", "high", "high", "usual", "low"]);
}

#[test]
fn the_lowest_priority_is_shed_first() {
    let (world, policy) = (World::new(), capped(Settings { queue: 2, ..Settings::new(1) }));
    world.call(&policy, called("now", 10, 1));
    world.call(&policy, called("old", 10, 0));
    world.call(&policy, called("young", 10, 0));
    world.call_at(1, &policy, called("low", 10, 0));
    assert_eq!(world.log.count("1 rejected concurrency overloaded"), 1);
    world.call_at(2, &policy, called("high", 10, 2));
    assert_eq!(world.log.count("2 rejected concurrency overloaded"), 1);
    assert_eq!(world.log.detail(), "a call of higher priority took its turn");
    world.advance(ms(1_000));
    assert_eq!(order(&world), ["now", "high", "old"]);
}

#[test]
fn a_header_says_the_priority_if_it_is_one() {
    let settings = Settings {
        queue: 10,
        priority: Some(Key::Header("x-priority".into())),
        ..Settings::new(1)
    };
    let (world, policy) = (World::new(), capped(settings));
    world.call(&policy, called("now", 10, 1));
    for (name, header) in
        [("a", Some("0")), ("b", Some("4")), ("c", None), ("d", Some(" 3 ")), ("e", Some("high"))]
    {
        world.call(&policy, Case { header, ..called(name, 10, 1) });
    }
    world.advance(ms(1_000));
    assert_eq!(order(&world), ["now", "d", "b", "c", "e", "a"]);
}

#[test]
fn in_shadow_the_shed_call_is_told_when_it_ends() {
    let settings = Settings { mode: Some(Mode::Shadow), queue: 1, ..Settings::new(1) };
    let (world, policy) = (World::new(), capped(settings));
    world.call(&policy, called("now", 100, 1));
    world.call(&policy, called("low", 30, 0));
    world.call_at(10, &policy, called("high", 30, 2));
    assert_eq!(world.log.count("would_reject"), 0);
    world.advance(ms(1_000));
    assert_eq!(world.log.count("30 would_reject concurrency overloaded"), 1);
    assert_eq!(world.log.count("would_reject"), 1);
    assert_eq!(order(&world), ["now", "low", "high"], "and nobody was kept waiting");
}

#[test]
fn in_shadow_a_place_goes_to_nobody_who_would_have_given_up() {
    let settings = Settings {
        mode: Some(Mode::Shadow),
        queue: 1,
        queue_timeout: Some(millis(20)),
        ..Settings::new(1)
    };
    let (world, policy) = (World::new(), capped(settings));
    world.call(&policy, called("now", 50, 1));
    world.call(&policy, called("late", 80, 1));
    world.advance(ms(60));
    let concurrency = policy.policy().unwrap().snapshot(ms(60)).concurrency.unwrap();
    assert_eq!((concurrency.in_flight, concurrency.waiting), (0, 0));
    world.advance(ms(1_000));
    assert_eq!(world.log.count("80 would_reject concurrency queue_timeout"), 1);
}

/// A call of the model.
#[derive(Clone, Debug)]
struct Client {
    at: u64,
    took: u64,
    priority: u8,
    /// When its caller goes away.
    leaves: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Coming,
    Waiting,
    InFlight { until: u64 },
    Over,
}

/// The whole history of one queue; times in nanoseconds.
struct Model<'a> {
    clients: &'a [Client],
    states: Vec<State>,
    max: usize,
    queue: usize,
    patience: u64,
    /// When there was nobody waiting, or somebody went on who had hardly waited.
    at_ease: u64,
    lines: Vec<(u64, String)>,
}

impl Model<'_> {
    fn all(&self, state: impl Fn(State) -> bool) -> Vec<usize> {
        (0..self.clients.len()).filter(|id| state(self.states[*id])).collect()
    }

    fn waiting(&self) -> Vec<usize> {
        self.all(|state| state == State::Waiting)
    }

    fn in_flight(&self) -> usize {
        self.all(|state| matches!(state, State::InFlight { .. })).len()
    }

    fn says(&mut self, now: u64, what: impl Into<String>) {
        self.lines.push((now, what.into()));
    }

    fn let_in(&mut self, id: usize, now: u64) {
        self.states[id] = State::InFlight { until: now + self.clients[id].took };
        self.says(now, format!("attempt 1 first {}", NAMES[id]));
    }

    fn arrive(&mut self, id: usize, now: u64) {
        let waiting = self.waiting();
        if waiting.is_empty() {
            self.at_ease = now;
            if self.in_flight() < self.max {
                return self.let_in(id, now);
            }
        }
        if waiting.len() == self.queue {
            let lowest = waiting.iter().map(|id| self.clients[*id].priority).min();
            self.says(now, "rejected concurrency overloaded");
            match lowest.filter(|lowest| *lowest < self.clients[id].priority) {
                None => return self.states[id] = State::Over,
                Some(lowest) => {
                    let newest =
                        waiting.into_iter().rfind(|id| self.clients[*id].priority == lowest);
                    self.states[newest.unwrap()] = State::Over;
                }
            }
        }
        self.states[id] = State::Waiting;
    }

    fn hand_on(&mut self, now: u64) {
        let waiting = self.waiting();
        let Some(highest) = waiting.iter().map(|id| self.clients[*id].priority).max() else {
            return;
        };
        let of_it: Vec<_> =
            waiting.into_iter().filter(|id| self.clients[*id].priority == highest).collect();
        if now - self.clients[of_it[0]].at < 5_000_000 {
            self.at_ease = now;
        }
        let newest_first = now - self.at_ease >= 100_000_000;
        let next = if newest_first { of_it[of_it.len() - 1] } else { of_it[0] };
        self.let_in(next, now);
    }

    /// The next thing that happens to `id`.
    fn next(&self, id: usize) -> Option<u64> {
        let Client { at, leaves, .. } = self.clients[id];
        let next = match self.states[id] {
            State::Coming => return Some(at),
            State::Waiting => at + self.patience,
            State::InFlight { until } => until,
            State::Over => return None,
        };
        Some(leaves.map_or(next, |leaves| next.min(leaves)))
    }

    fn play(mut self) -> Vec<String> {
        while let Some((now, id)) =
            (0..self.clients.len()).filter_map(|id| Some((self.next(id)?, id))).min()
        {
            match self.states[id] {
                State::Coming => self.arrive(id, now),
                State::Waiting => {
                    self.states[id] = State::Over;
                    if self.clients[id].leaves != Some(now) {
                        self.says(now, "rejected concurrency queue_timeout");
                    }
                }
                State::InFlight { .. } => {
                    self.states[id] = State::Over;
                    self.hand_on(now);
                }
                State::Over => unreachable!(),
            }
        }
        let line = |(at, what): (u64, String)| format!("{} {what}", at as f64 / 1e6);
        self.lines.into_iter().map(line).collect()
    }
}

const NAMES: [&str; 40] = [
    "c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9", "c10", "c11", "c12", "c13", "c14",
    "c15", "c16", "c17", "c18", "c19", "c20", "c21", "c22", "c23", "c24", "c25", "c26", "c27",
    "c28", "c29", "c30", "c31", "c32", "c33", "c34", "c35", "c36", "c37", "c38", "c39",
];

/// Clients in order of arrival; every time is of its own nanosecond, so that nothing coincides.
fn clients() -> impl Strategy<Value = Vec<Client>> {
    let client = (0_u64..30, 1_u64..80, 0_u8..5, prop::option::weighted(0.2, 1_u64..150));
    prop::collection::vec(client, 1..NAMES.len()).prop_map(|clients| {
        let mut now = 0;
        let numbered = clients.into_iter().zip(1_u64..);
        numbered
            .map(|((pause, took, priority, leaves), number)| {
                now += pause * 1_000_000;
                let at = now + number * 101;
                Client {
                    at,
                    took: took * 1_000_000 + number * 10_007,
                    priority: priority.min(3),
                    leaves: leaves.map(|leaves| at + leaves * 1_000_000 + 50),
                }
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whoever comes, waits, is shed, gives up or is served: as in the model.
    #[test]
    fn calls_go_on_as_a_list_of_all_who_wait_says(
        max in 1_u32..4,
        queue in 1_u32..8,
        patience in 10_u64..250,
        clients in clients(),
    ) {
        let settings =
            Settings { queue, queue_timeout: Some(millis(patience)), ..Settings::new(max) };
        let (world, policy) = (World::new(), capped(settings));
        let mut tasks = vec![0; clients.len()];
        let mut steps = Vec::new();
        for (id, client) in clients.iter().enumerate() {
            steps.push((client.at, id, true));
            steps.extend(client.leaves.map(|leaves| (leaves, id, false)));
        }
        steps.sort_unstable();
        for (at, id, comes) in steps {
            world.advance(Time::from_nanos(at));
            if comes {
                let took = Some(Duration::from_nanos(clients[id].took));
                let script = [Meets { took, ..hangs() }];
                let priority = clients[id].priority;
                let case = Case { endpoints: vec![(NAMES[id], None)], priority, ..Case::new(&script) };
                tasks[id] = world.call(&policy, case);
            } else {
                world.cancel(tasks[id]);
            }
        }
        world.advance(ms(1_000_000));
        let told: Vec<_> = world
            .log
            .lines()
            .into_iter()
            .filter(|line| line.contains(" attempt ") || line.contains(" rejected concurrency"))
            .collect();
        let model = Model {
            states: vec![State::Coming; clients.len()],
            clients: &clients,
            max: max as usize,
            queue: queue as usize,
            patience: patience * 1_000_000,
            at_ease: 0,
            lines: Vec::new(),
        };
        prop_assert_eq!(told, model.play());
    }
}
