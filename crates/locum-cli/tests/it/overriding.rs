//! The switch beside a breaker, thrown through the admin API.

use locum_testkit::{Locum, Response, Upstream, eventually, script};
use serde_json::{Value, json};

use crate::setup::Config;

const BREAKER: &str = "breaker = { min_calls = 2, wait = \"60s\" }";

#[test]
fn a_breaker_that_is_forced_open_refuses_until_it_is_let_go() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream).policy(BREAKER).start();
    assert_eq!(locum.get("/").status, 200);

    let shown = told(put(&locum, "careful", &json!({ "override": "force_open" })));
    assert_eq!(shown["name"], "careful");
    let breaker = &shown["breakers"][0];
    assert_eq!((&breaker["state"], &breaker["beneath"]), (&json!("open"), &json!("closed")));
    assert_eq!(
        (&breaker["override"], &breaker["override_ends_in"]),
        (&json!("force_open"), &json!(null))
    );

    let refused = locum.get("/");
    assert_eq!(refused.status, 503);
    assert_eq!(
        (&refused.json()["kind"], &refused.json()["reason"]),
        (&json!("breaker"), &json!("open"))
    );
    assert_eq!(upstream.deliveries(), 1);
    let labels = [("policy", "careful"), ("target", "up")];
    locum.counts("locum_breaker_state", &labels, 2.0);
    locum.counts("locum_breaker_override", &labels, 1.0);

    let shown = told(put(&locum, "careful", &json!({ "override": "none" })));
    assert_eq!(shown, one(&locum, "careful"));
    assert_eq!(
        (&shown["breakers"][0]["state"], &shown["breakers"][0]["override"]),
        (&json!("closed"), &json!("none"))
    );
    assert_eq!(locum.get("/").status, 200);
    locum.counts("locum_breaker_override", &labels, 0.0);
}

#[test]
fn a_breaker_that_is_forced_closed_lets_pass_what_it_would_refuse() {
    let upstream = Upstream::start(script::fails_first(2, "500 Internal Server Error"));
    let locum = Config::to(&upstream).policy(BREAKER).start();
    let mut client = locum.client();
    let statuses = [(); 3].map(|()| client.get("/").unwrap().status);
    assert_eq!(statuses, [500, 500, 503], "it has tripped");
    told(put(&locum, "careful", &json!({ "override": "force_closed", "target": "up" })));
    assert_eq!(client.get("/").unwrap().status, 200);
    let breaker = &one(&locum, "careful")["breakers"][0];
    assert_eq!((&breaker["state"], &breaker["beneath"]), (&json!("closed"), &json!("open")));
    locum.counts("locum_breaker_state", &[("policy", "careful")], 0.0);
}

#[test]
fn a_switch_goes_back_when_its_time_is_over() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream).policy(BREAKER).start();
    told(put(&locum, "careful", &json!({ "override": "force_open", "for": "10m" })));
    let left = one(&locum, "careful")["breakers"][0]["override_ends_in"].as_f64().unwrap();
    assert!((540.0..=600.0).contains(&left), "{left}");
    let refused = locum.get("/");
    let after: u64 = refused.headers.get("retry-after").unwrap().parse().unwrap();
    assert!((540..=600).contains(&after), "{after}");

    told(put(&locum, "careful", &json!({ "override": "force_open", "for": "50ms" })));
    eventually("calls pass again", || locum.get("/").status == 200);
    assert_eq!(one(&locum, "careful")["breakers"][0]["override"], "none");
}

#[test]
fn a_switch_outlives_a_reload() {
    let upstream = Upstream::start(script::answers("ok"));
    let config = Config::to(&upstream).policy(BREAKER);
    let locum = config.start();
    told(put(&locum, "careful", &json!({ "override": "force_open", "for": "10m" })));
    locum.reload(&Config::to(&upstream).policy("breaker = { min_calls = 7 }").to_string());
    assert_eq!(one(&locum, "careful")["settings"]["breaker"]["min_calls"], 7);
    assert_eq!(locum.get("/").status, 503);
    assert_eq!(one(&locum, "careful")["breakers"][0]["override"], "force_open");
}

#[test]
fn one_of_several_breakers_is_meant_by_its_target() {
    let (one, other) =
        (Upstream::start(script::answers("1")), Upstream::start(script::answers("2")));
    let locum = Config::to_addresses([one.address(), other.address()])
        .policy("breaker = { per = \"endpoint\" }")
        .start();
    // Before any call there is no breaker yet; the one to come is meant as well.
    let target = one.address().to_string();
    told(put(&locum, "careful", &json!({ "override": "force_open", "target": target })));
    for _ in 0..6 {
        assert_eq!(locum.get("/").text(), "2");
    }
    told(put(&locum, "careful", &json!({ "override": "force_open" })));
    assert_eq!(locum.get("/").status, 503);
    told(put(&locum, "careful", &json!({ "override": "none" })));
    eventually("both are used", || locum.get("/").text() == "1");
}

#[test]
fn what_cannot_be_done_is_said_with_its_remedy() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum =
        Config::to(&upstream).policy(BREAKER).and("[policies.bare]\ntimeout = \"1s\"").start();
    let cases = [
        ("karful", json!({ "override": "none" }), 404, "there is `bare`, `careful`"),
        ("careful", json!({ "override": "none", "target": "upp" }), 404, "there is `up`"),
        ("bare", json!({ "override": "none" }), 400, "add `breaker = {}` to `[policies.bare]`"),
        ("careful", json!({ "override": "open" }), 400, "write \"force_open\""),
        ("careful", json!({ "for": "10m" }), 400, "missing field `override`"),
        ("careful", json!({ "override": "none", "four": "1s" }), 400, "unknown field `four`"),
        ("careful", json!({ "override": "force_open", "for": "0s" }), 400, "such as \"10m\""),
        ("careful", json!({ "override": "force_open", "for": "soon" }), 400, "`for`: "),
    ];
    for (policy, body, status, says) in cases {
        let answer = put(&locum, policy, &body);
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(says), "{body}: {detail}");
    }
    assert_eq!(locum.admin("/api/v1/policies/careful/breaker/override").status, 405);
    assert_eq!(locum.admin("/api/v1/policies/careful/breaker").status, 404);
    assert_eq!(locum.get("/").status, 200);
}

#[test]
fn a_change_needs_the_token() {
    let upstream = Upstream::start(script::answers("ok"));
    let config = Config::to(&upstream).policy(BREAKER).to_string();
    let config = config.replace("[admin]\n", "[admin]\ntoken = \"s3cret\"\n");
    let locum = crate::setup::locum().config(config).start();
    let body = json!({ "override": "force_open" });
    assert_eq!(put(&locum, "careful", &body).status, 401);
    assert_eq!(put_with(&locum, "careful", &body, "Authorization: Bearer wrong\r\n").status, 401);
    assert_eq!(locum.get("/").status, 200);
    assert_eq!(put_with(&locum, "careful", &body, "Authorization: Bearer s3cret\r\n").status, 200);
    assert_eq!(locum.get("/").status, 503);
}

fn put(locum: &Locum, policy: &str, body: &Value) -> Response {
    put_with(locum, policy, body, "")
}

fn put_with(locum: &Locum, policy: &str, body: &Value, fields: &str) -> Response {
    let target = format!("/api/v1/policies/{policy}/breaker/override");
    locum.change(&target, &body.to_string(), fields)
}

fn told(answer: Response) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn one(locum: &Locum, policy: &str) -> Value {
    told(locum.admin(&format!("/api/v1/policies/{policy}")))
}
