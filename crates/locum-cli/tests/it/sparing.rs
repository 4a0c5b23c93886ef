//! Endpoints that get less than the others: those that start slowly, and those in other zones.

use locum_testkit::{Locum, Upstream, eventually, script};

use crate::health::{Checked, HEALTH, endpoint_is_up};
use crate::setup::{Config, locum};

fn numbered<const N: usize>() -> [Upstream; N] {
    std::array::from_fn(|number| Upstream::start(script::answers(number.to_string())))
}

/// One worker whose chances are the same in every run.
const SAME: &str = "[runtime]\nworkers = 1\nseed = 7";

/// How many of so many calls each of those that answer with a number has answered.
fn counts<const N: usize>(locum: &Locum, calls: usize) -> [usize; N] {
    let mut counts = [0; N];
    for _ in 0..calls {
        counts[locum.get("/").text().parse::<usize>().unwrap()] += 1;
    }
    counts
}

#[test]
fn an_endpoint_that_joins_others_starts_slowly() {
    for balance in ["round-robin", "weighted", "random", "least-request"] {
        let upstreams = numbered::<3>();
        let config = |count: usize| {
            Config::to_addresses(upstreams[..count].iter().map(Upstream::address))
                .upstream(&format!("balance = \"{balance}\"\nslow_start = \"1h\""))
                .and(SAME)
                .to_string()
        };
        let locum = locum().config(config(2)).start();
        let [a, b]: [usize; 2] = counts(&locum, 40);
        assert!(a >= 10 && b >= 10, "{balance}: those of the start are as new as each other");
        locum.reload(&config(3));
        // A tenth of a third.
        let [a, b, c]: [usize; 3] = counts(&locum, 600);
        // By chance it leaves these bounds once in ten thousand runs.
        assert!((5..=40).contains(&c) && a > 150 && b > 150, "{balance}: {a} {b} {c}");
        locum.reload(&config(3).replace("slow_start = \"1h\"", ""));
        let [.., c]: [usize; 3] = counts(&locum, 90);
        assert!(c > 15, "{balance}: {c}");
    }
}

#[test]
fn an_endpoint_that_is_up_again_starts_slowly() {
    let upstreams = ["0", "1"].map(Checked::start);
    let locum = Config::to_addresses(upstreams.iter().map(Checked::address))
        .upstream(HEALTH)
        .upstream("slow_start = \"1h\"")
        .and(SAME)
        .start();
    upstreams[0].be(false);
    eventually("it is down", || !endpoint_is_up(&locum, upstreams[0].address()));
    upstreams[0].be(true);
    eventually("it is up again", || endpoint_is_up(&locum, upstreams[0].address()));
    let [again, other]: [usize; 2] = counts(&locum, 200);
    assert!((4..=40).contains(&again), "{again} {other}");
}

#[test]
fn calls_stay_in_their_zone_as_long_as_enough_of_it_works() {
    let upstreams = ["0", "1", "2", "3"].map(Checked::start);
    let endpoint = |(upstream, zone): (&Checked, &str)| {
        format!("{{ address = \"{}\", zone = \"{zone}\" }}", upstream.address())
    };
    let endpoints: Vec<_> = upstreams.iter().zip(["a", "a", "b", "b"]).map(endpoint).collect();
    let locum = Config::to_addresses([])
        .upstream(&format!("endpoints = [{}]", endpoints.join(", ")))
        .upstream(HEALTH)
        .and(&format!("{SAME}\nzone = \"a\""))
        .start();
    let [a, b, c, d]: [usize; 4] = counts(&locum, 40);
    assert!(a > 8 && b > 8 && (c, d) == (0, 0), "{a} {b} {c} {d}");
    upstreams[0].be(false);
    eventually("half of the zone is down", || !endpoint_is_up(&locum, upstreams[0].address()));
    let [a, b, c, d]: [usize; 4] = counts(&locum, 200);
    // Half of it carries seven tenths.
    assert!(a == 0 && (110..=170).contains(&b) && c > 10 && d > 10, "{a} {b} {c} {d}");
    upstreams[1].be(false);
    eventually("all of it is down", || !endpoint_is_up(&locum, upstreams[1].address()));
    let [a, b, c, d]: [usize; 4] = counts(&locum, 40);
    assert_eq!((a, b), (0, 0));
    assert!(c > 0 && d > 0);
}

#[test]
fn a_zone_without_endpoints_prefers_none() {
    let upstreams = numbered::<2>();
    let locum = Config::to_addresses(upstreams.iter().map(Upstream::address))
        .and(&format!("{SAME}\nzone = \"elsewhere\""))
        .start();
    let [a, b]: [usize; 2] = counts(&locum, 10);
    assert_eq!((a, b), (5, 5));
}
