//! How attempts are spread over endpoints.

use locum_policy::balance::{Ask, Balance, Balancer, Endpoints};
use locum_policy::seed::mix;
use proptest::prelude::*;

use crate::world::{millis, ms};

/// Endpoints as a test wants them: in flight, usable.
struct Given(Vec<(u32, bool)>);

impl Endpoints for Given {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn in_flight(&self, endpoint: u32) -> u32 {
        self.0[endpoint as usize].0
    }

    fn usable(&self, endpoint: u32) -> bool {
        self.0[endpoint as usize].1
    }
}

const ALL: [&str; 7] = [
    "round-robin",
    "weighted",
    "random",
    "least-request",
    "peak-ewma",
    "hash:client-ip",
    "sticky:id",
];

fn balancer(balance: &str, weights: &[u32]) -> Balancer {
    let names: Vec<_> = (0..weights.len()).map(|id| format!("10.0.0.{id}:80")).collect();
    Balancer::new(&balance.parse::<Balance>().unwrap(), &names, weights)
}

fn idle(count: usize) -> Given {
    Given(vec![(0, true); count])
}

fn ask(word: u64) -> Ask<'static> {
    Ask { tried: &[], key: None, random: mix(word, 0), now: ms(0) }
}

fn counts(balancer: &Balancer, endpoints: &Given, picks: u64) -> Vec<u64> {
    let mut counts = vec![0; endpoints.0.len()];
    for word in 0..picks {
        counts[balancer.pick(endpoints, &ask(word)).unwrap() as usize] += 1;
    }
    counts
}

#[test]
fn a_balance_is_written_as_it_is_read() {
    for text in ALL.into_iter().chain(["hash:header:x-user"]) {
        assert_eq!(text.parse::<Balance>().unwrap().to_string(), text);
    }
    for text in ["roundrobin", "hash:", "sticky:", "hash:header:"] {
        assert!(text.parse::<Balance>().is_err(), "{text}");
    }
}

#[test]
fn shares_follow_the_weights() {
    assert_eq!(counts(&balancer("round-robin", &[1, 5, 1]), &idle(3), 300), [100, 100, 100]);
    assert_eq!(counts(&balancer("weighted", &[10, 30]), &idle(2), 400), [100, 300]);
    let random = counts(&balancer("random", &[1, 3]), &idle(2), 10_000);
    assert!(random[0].abs_diff(2_500) < 220, "{random:?}");
    let balancer = balancer("hash:client-ip", &[1, 3]);
    let mine = (0..10_000_u32).filter(|client| {
        let key = client.to_be_bytes();
        balancer.pick(&idle(2), &Ask { key: Some(&key), ..ask(0) }) == Some(0)
    });
    let mine = mine.count();
    assert!(mine.abs_diff(2_500) < 220, "{mine}");
}

#[test]
fn the_less_busy_and_the_quicker_are_preferred() {
    let busy = Given(vec![(3, true), (0, true)]);
    assert_eq!(counts(&balancer("least-request", &[1, 1]), &busy, 100), [0, 100]);
    let balancer = balancer("peak-ewma", &[1, 1]);
    balancer.observe(0, millis(10), false, ms(0));
    balancer.observe(1, millis(1), true, ms(0));
    assert_eq!(counts(&balancer, &idle(2), 100), [100, 0], "who fails fast attracts nobody");
    // Six times 10 ms is still less than the 5 s that a failure counts as.
    assert_eq!(counts(&balancer, &Given(vec![(5, true), (0, true)]), 100), [100, 0]);
    // 110 s later nothing is left of it.
    let later = Ask { now: ms(110_000), ..ask(1) };
    balancer.observe(0, millis(10), false, ms(110_000));
    assert_eq!(balancer.pick(&idle(2), &later), Some(1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn an_unusable_endpoint_is_never_chosen_and_a_tried_one_only_if_it_must_be(
        balance in prop::sample::select(&ALL[..]),
        endpoints in prop::collection::vec((0_u32..5, any::<bool>(), any::<bool>(), 1_u32..9), 1..8),
        key in prop::option::of(any::<u64>()),
        random: u64,
    ) {
        let weights: Vec<_> = endpoints.iter().map(|endpoint| endpoint.3).collect();
        let some = Given(endpoints.iter().map(|endpoint| (endpoint.0, endpoint.1)).collect());
        let tried: Vec<_> = (0..).zip(&endpoints).filter(|(_, endpoint)| endpoint.2).map(|(id, _)| id).collect();
        let key = key.map(u64::to_be_bytes);
        let ask = Ask { tried: &tried, key: key.as_ref().map(|key| &key[..]), random, now: ms(5) };
        let picked = balancer(balance, &weights).pick(&some, &ask);
        let usable: Vec<u32> = (0..).zip(&endpoints).filter(|(_, endpoint)| endpoint.1).map(|(id, _)| id).collect();
        match picked {
            None => prop_assert!(usable.is_empty()),
            Some(id) => {
                prop_assert!(usable.contains(&id));
                let untried = usable.iter().any(|id| !tried.contains(id));
                prop_assert_eq!(tried.contains(&id), !untried);
            }
        }
    }

    #[test]
    fn when_an_endpoint_goes_only_its_keys_move(
        weights in prop::collection::vec(1_u32..9, 2..8),
        key: u64,
        gone: prop::sample::Index,
    ) {
        let balancer = balancer("hash:client-ip", &weights);
        let key = key.to_be_bytes();
        let ask = Ask { key: Some(&key), ..ask(0) };
        let before = balancer.pick(&idle(weights.len()), &ask).unwrap();
        let mut some = idle(weights.len());
        let gone = gone.index(weights.len());
        some.0[gone].1 = false;
        let after = balancer.pick(&some, &ask).unwrap();
        prop_assert!(after == before || before as usize == gone);
        prop_assert_ne!(after as usize, gone);
    }
}
