//! What policies do to single calls, and what their clients are told.

use std::time::Duration;

use locum_testkit::clock::now;
use locum_testkit::{Args, eventually};

use super::setup::{client, factors, gob_server, held, hold, multiply, newest_go, release, to};

#[test]
fn a_rate_limit_refuses_calls_and_leaves_the_connection_alone() {
    let Some(go) = newest_go() else { return };
    let server = gob_server(&go);
    let locum = to(&[&server])
        .policy("rate_limit = { rate = \"10/s\", burst = 5, key = \"method\" }")
        .start();
    let mut client = client(&locum);
    let answers: Vec<_> = (0..20).map(|_| multiply(&mut client)).collect();
    let (passed, refused): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.failure().is_empty());
    assert!((5..20).contains(&passed.len()), "{} of 20 passed", passed.len());
    assert!(passed.iter().all(|answer| answer.int() == 42));
    for answer in &refused {
        let text = answer.failure();
        let wait =
            text.strip_prefix("locum: rejected by rate_limit \"careful\": limited; retry after ");
        let wait = wait.unwrap_or_else(|| panic!("{text}"));
        assert_eq!(wait, "0.1s", "10 a second are one in 100 ms");
    }
    // Other methods have a bucket of their own.
    let quotient = client.call("Arith.Divide", Args::Ints("Args", &factors(1, 0)));
    assert_eq!(quotient.failure(), "divide by zero");
    eventually("there is room again", || multiply(&mut client).failure().is_empty());
}

#[test]
fn calls_above_the_cap_are_refused_while_others_are_under_way() {
    let Some(go) = newest_go() else { return };
    let server = gob_server(&go);
    let locum = to(&[&server]).policy("concurrency = { max = 2 }").start();
    let mut client = client(&locum);
    let under_way = [hold(&mut client, 1), hold(&mut client, 1)];
    eventually("both are under way", || held(&server, 1) == 2);
    let refused = multiply(&mut client).failure();
    assert!(
        refused.starts_with("locum: rejected by concurrency \"careful\": overloaded"),
        "{refused}"
    );
    release(&server, 1);
    let mut answered = [(); 2].map(|()| client.answer().unwrap());
    answered.sort_by_key(|answer| answer.seq);
    assert_eq!(answered.each_ref().map(|answer| answer.seq), under_way);
    assert!(answered.iter().all(|answer| answer.int() == 1));
    assert_eq!(multiply(&mut client).int(), 42);
}

#[test]
fn a_call_that_takes_too_long_is_told_so_and_others_go_on() {
    let Some(go) = newest_go() else { return };
    let server = gob_server(&go);
    let policy = "timeout = \"20s\"\n\
                  [policies.careful.methods.\"Slow.Hold\"]\ntimeout = \"200ms\"";
    let locum = to(&[&server]).policy(policy).start();
    let mut client = client(&locum);
    let begin = now();
    let late = hold(&mut client, 2);
    assert_eq!(multiply(&mut client).int(), 42, "meanwhile");
    let answer = client.answer().unwrap();
    assert_eq!(answer.seq, late);
    assert!(
        answer.failure().starts_with("locum: rejected by deadline \"careful\": deadline"),
        "{}",
        answer.failure()
    );
    let took = begin.elapsed();
    assert!((Duration::from_millis(190)..Duration::from_secs(10)).contains(&took), "{took:?}");
    // What the server says of it now is nobody's answer.
    release(&server, 2);
    assert_eq!(multiply(&mut client).int(), 42);
    locum.counts("locum_calls_total", &[("outcome", "timeout"), ("protocol", "gob")], 1.0);
}

#[test]
fn the_time_of_the_policy_is_that_of_methods_that_have_none() {
    let Some(go) = newest_go() else { return };
    let server = gob_server(&go);
    let locum = to(&[&server])
        .policy("timeout = \"150ms\"\n[policies.careful.methods.\"Slow.Held\"]\ntimeout = \"20s\"")
        .start();
    let mut client = client(&locum);
    hold(&mut client, 3);
    let refused = client.answer().unwrap().failure();
    assert!(refused.starts_with("locum: rejected by deadline \"careful\": "), "{refused}");
    assert_eq!(client.call("Slow.Held", Args::Int(3)).int(), 1);
    release(&server, 3);
}

#[test]
fn a_breaker_that_one_method_opened_leaves_the_others_alone() {
    let Some(go) = newest_go() else { return };
    let server = gob_server(&go);
    let locum = to(&[&server])
        .policy(
            "breaker = { per = \"method\", min_calls = 5, failure_rate = 0.5, wait = \"30s\" }\n\
             [policies.careful.methods.\"Slow.Hold\"]\ntimeout = \"150ms\"",
        )
        .start();
    let mut client = client(&locum);
    for _ in 0..5 {
        hold(&mut client, 4);
    }
    for _ in 0..5 {
        let refused = client.answer().unwrap().failure();
        assert!(refused.starts_with("locum: rejected by deadline"), "{refused}");
    }
    hold(&mut client, 4);
    let refused = client.answer().unwrap().failure();
    let wait = refused.strip_prefix("locum: rejected by breaker \"careful\": open; retry after ");
    let wait = wait.and_then(|wait| wait.strip_suffix('s')).unwrap_or_else(|| panic!("{refused}"));
    assert!((20.0..=33.0).contains(&wait.parse::<f64>().unwrap()), "{refused}");
    for _ in 0..10 {
        assert_eq!(multiply(&mut client).int(), 42);
        assert_eq!(client.call("Echo.Number", Args::Int(-7)).int(), -7);
    }
    assert_eq!(held(&server, 4), 5, "the last was not sent");
    release(&server, 4);
    let open = |method: &str| {
        locum.metric("locum_breaker_state", &[("policy", "careful"), ("target", method)])
    };
    assert_eq!(["Slow.Hold", "Arith.Multiply", "Echo.Number"].map(open), [2.0, 0.0, 0.0]);
}

#[test]
fn errors_of_a_service_open_a_breaker_only_where_they_count() {
    let Some(go) = newest_go() else { return };
    let server = gob_server(&go);
    for (count, opens) in [("", false), (", count_app_errors = true", true)] {
        let breaker =
            format!("breaker = {{ per = \"method\", min_calls = 5, wait = \"30s\"{count} }}");
        let locum = to(&[&server]).policy(&breaker).start();
        let mut client = client(&locum);
        for _ in 0..10 {
            client.call("Faults.Fail", Args::Text(b"no"));
        }
        let answer = client.call("Faults.Fail", Args::Text(b"no")).failure();
        assert_eq!(answer != "no", opens, "{answer}");
        assert_eq!(multiply(&mut client).int(), 42);
    }
}
