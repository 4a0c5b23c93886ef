//! Who may call over HTTP.

use locum_proxy::auth::{Credential, Hash, Kind};
use locum_testkit::{Client, Upstream, script};
use serde_json::json;

use crate::setup::{Running, settings};

/// The SHA-256 of `secret`.
const SECRET: [u8; 32] = [
    0x2b, 0xb8, 0x0d, 0x53, 0x7b, 0x1d, 0xa3, 0xe3, 0x8b, 0xd3, 0x03, 0x61, 0xaa, 0x85, 0x56, 0x86,
    0xbd, 0xe0, 0xea, 0xcd, 0x71, 0x62, 0xfe, 0xf6, 0xa2, 0x5f, 0xe9, 0x7b, 0xf5, 0x27, 0xa2, 0x5b,
];

fn guarded(upstream: &Upstream, auth: Vec<Kind>) -> Running {
    let mut settings = settings(upstream.address());
    for (at, auth) in auth.into_iter().enumerate() {
        settings.routes[0].auth.push(format!("auth-{at}"));
        settings.auth.push((format!("auth-{at}"), auth.into()));
    }
    Running::start(settings)
}

fn keys() -> Kind {
    let hash = Hash::Sha256(SECRET);
    let keys = vec![Credential { name: "alice".to_owned(), hash }];
    Kind::ApiKey { header: "x-api-key".to_owned(), keys }
}

fn bring(client: &mut Client, key: &str) -> locum_testkit::Response {
    client.send(format!("GET / HTTP/1.1\r\nHost: a.test\r\nX-API-Key: {key}\r\n\r\n"));
    client.response("GET").unwrap()
}

#[test]
fn a_key_lets_in_and_none_or_a_wrong_one_is_told_the_same() {
    let upstream = Upstream::start(script::echoes());
    let proxy = guarded(&upstream, vec![keys()]);
    let mut client = Client::connect(proxy.address());
    let none = client.get("/").unwrap();
    let wrong = bring(&mut client, "guess");
    assert_eq!((none.status, wrong.status), (401, 401));
    assert_eq!(none.body, wrong.body);
    assert_eq!(none.headers.get("www-authenticate"), Some("ApiKey header=\"x-api-key\""));
    assert_eq!(none.headers.get("content-type"), Some("application/problem+json"));
    assert_eq!(none.json()["reason"], "unauthorized");
    assert_eq!(upstream.received().len(), 0);
    let right = bring(&mut client, "secret");
    assert_eq!(right.status, 200);
    let fields = right.json()["headers"].as_array().unwrap().clone();
    assert!(fields.contains(&json!(["X-API-Key", "secret"])), "it goes on: {fields:?}");
    proxy.counts("locum_refused_total{listener=\"web\",reason=\"unauthorized\"}", 2);
}

#[test]
fn all_checks_have_to_agree() {
    let upstream = Upstream::start(script::answers("hello"));
    let here = Kind::Ip { allow: vec!["127.0.0.0/8".parse().unwrap()], deny: Vec::new() };
    let proxy = guarded(&upstream, vec![here, keys()]);
    let mut client = Client::connect(proxy.address());
    assert_eq!(client.get("/").unwrap().status, 401);
    assert_eq!(bring(&mut client, "secret").status, 200);

    let elsewhere = Kind::Ip { allow: vec!["10.0.0.0/8".parse().unwrap()], deny: Vec::new() };
    let proxy = guarded(&upstream, vec![keys(), elsewhere]);
    let refused = bring(&mut Client::connect(proxy.address()), "secret");
    assert_eq!(refused.status, 403);
    assert_eq!(refused.json()["reason"], "unauthorized");
    assert!(!refused.headers.has("www-authenticate"));
}

#[test]
fn what_an_untrusted_peer_says_of_its_address_counts_for_nothing() {
    let upstream = Upstream::start(script::answers("hello"));
    let elsewhere = Kind::Ip { allow: vec!["10.0.0.0/8".parse().unwrap()], deny: Vec::new() };
    let mut settings = settings(upstream.address());
    settings.auth.push(("net".to_owned(), elsewhere.into()));
    settings.routes[0].auth.push("net".to_owned());
    let proxy = Running::start(settings.clone());
    let ask = || {
        let mut client = Client::connect(proxy.address());
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n");
        client.response("GET").unwrap().status
    };
    assert_eq!(ask(), 403);
    settings.listeners[0].trusted_proxies.push("127.0.0.1/32".parse().unwrap());
    proxy.reload(settings);
    locum_testkit::eventually("the reload is followed", || ask() == 200);
}

#[test]
fn a_check_that_is_not_defined_is_told_of() {
    let upstream = Upstream::start(script::answers("hello"));
    let mut settings = settings(upstream.address());
    settings.routes[0].auth.push("nobody".to_owned());
    let error = locum_proxy::plan::Plan::build(settings, None).err().unwrap();
    assert_eq!(error.path, "routes.0.auth");
    assert_eq!(error.remedy, "add `[auth.nobody]`");
}
