//! What the program keeps back of what its upstream would refuse, and how far a cap has found itself.

use locum_testkit::{Upstream, script};

use crate::setup::Config;

#[test]
fn an_upstream_that_fails_is_asked_less_and_less() {
    let upstream = Upstream::start(script::says("503 Service Unavailable"));
    let locum = Config::to(&upstream).policy("throttle = { k = 2.0 }").start();
    let mut client = locum.client();
    let answers: Vec<_> = (0..200).map(|_| client.get("/").unwrap()).collect();
    let kept: Vec<_> = answers.iter().filter(|answer| answer.headers.has("proxy-status")).collect();
    assert_eq!(kept.len(), 200 - upstream.deliveries());
    assert!(kept.len() > 100, "only {} of 200 were kept back", kept.len());
    let problem = kept[0].json();
    assert_eq!((kept[0].status, &problem["kind"]), (503, &"throttle".into()), "{problem}");
    assert_eq!(problem["reason"], "throttled");
    let rejected = [("kind", "throttle"), ("decision", "reject"), ("reason", "throttled")];
    locum.counts("locum_policy_decisions_total", &rejected, kept.len() as f64);

    let throttle = &locum.admin("/api/v1/policies/careful").json()["throttles"][0];
    assert_eq!((&throttle["target"], &throttle["accepts"]), (&"up".into(), &0.into()));
    assert_eq!(throttle["requests"], 200);
    let labels = [("policy", "careful"), ("target", "up")];
    assert!(locum.metric("locum_throttle_kept_back_ratio", &labels) > 0.9);
}

#[test]
fn a_cap_that_finds_itself_is_shown() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream)
        .policy("concurrency = { adaptive = { min = 3, max = 30, initial = 7 } }")
        .start();
    assert_eq!(locum.get("/").status, 200);
    let shown = locum.admin("/api/v1/policies/careful").json();
    let limit = shown["concurrency"]["limit"].as_f64().unwrap();
    assert!((3.0..=30.0).contains(&limit), "{shown}");
    locum.counts("locum_concurrency_limit", &[("policy", "careful")], limit);
}
