//! What a line of a trace may say, and what comes of it.

use locum_sim::Error;

use crate::setup::{Trace, having, play, policy, try_play};

#[test]
fn a_bad_line_anywhere_means_that_nothing_is_played() {
    for (line, reason) in [
        (r#"{"at":-1}"#, "milliseconds, 0 or more"),
        (r#"{"at":"0"}"#, "invalid type: string"),
        (r#"{"at":null}"#, "milliseconds, 0 or more"),
        (r#"{"call":"a"}"#, "missing field `at`"),
        (r#"{"at":5,"kee":"x"}"#, "unknown field `kee`"),
        (r#"{"at":5,"at":6}"#, "duplicate field"),
        (r#"{"at":5,"cost":-1}"#, "invalid value"),
        (r#"{"at":5,"cost":1.5}"#, "invalid type"),
        (r#"{"at":5,"priority":4}"#, "`priority`"),
        (r#"{"at":5,"idempotent":"yes"}"#, "invalid type"),
        (r#"{"at":5,"deadline":-3}"#, "milliseconds, 0 or more"),
        (r#"{"at":5,"cancel_at":4}"#, "`cancel_at`"),
        (r#"{"at":5,"attempts":{}}"#, "invalid type"),
        (r#"{"at":5,"attempts":[{"outcome":"sucess"}]}"#, "unknown variant `sucess`"),
        (r#"{"at":5,"attempts":[{"tok":5}]}"#, "unknown field `tok`"),
        (r#"{"at":5,"attempts":[{"took":-5}]}"#, "milliseconds, 0 or more"),
        (r#"{"at":1e300}"#, "more than 584 years"),
        (r#"{"at":0}"#, "earlier than in the line before"),
        (r#"{"at":5"#, "EOF"),
        (r#"{"at":5} {"at":5}"#, "trailing characters"),
        ("[5]", "expected an object"),
        (r#"{"at":5,"attempts":[[5]]}"#, "expected an object"),
        ("", "an empty line"),
    ] {
        let mut trace = Trace::default();
        trace.call(0.0, "").call(1.0, "");
        trace.0.push_str(line);
        trace.0.push('\n');
        let error = match try_play(&policy(""), &trace, 1) {
            Err(Error::Trace(error)) => error,
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!(error.line, 3, "{line}");
        assert!(error.reason.contains(reason), "{line}: {error}");
    }
}

#[test]
fn the_last_line_needs_no_newline_and_nulls_are_absences() {
    let line = r#"{"at":0,"key":null,"deadline":null,"cancel_at":null,"attempts":null}"#;
    let (_, summary) = play(&policy(""), &Trace(line.to_owned()));
    assert_eq!((summary.calls, summary.outcomes.success, summary.latency.max), (1, 1, 0.0));
    let (log, summary) = play(&policy(""), &Trace::default());
    assert_eq!((log.len(), summary.calls, summary.amplification), (0, 0, 0.0));
}

#[test]
fn every_outcome_of_an_attempt_means_what_it_says() {
    for (outcome, retried, done) in [
        ("success", false, "success"),
        ("failure", true, "failure"),
        ("ignored", false, "success"),
        ("overload", false, "success"),
    ] {
        let mut trace = Trace::default();
        let attempts = format!(r#""idempotent":true,"attempts":[{{"outcome":"{outcome}"}}]"#);
        trace.call(0.0, &attempts);
        let (log, summary) = play(&policy("[retry]\nattempts = 2"), &trace);
        assert_eq!(summary.attempts, if retried { 2 } else { 1 }, "{outcome}");
        assert_eq!(having(&log, &["done", done]).len(), 1, "{outcome}");
    }
}

#[test]
fn a_failure_is_retried_only_if_the_call_or_the_policy_says_that_it_may_be() {
    for (settings, line, attempts) in
        [("", "", 1), ("", r#","idempotent":true"#, 3), ("idempotent = true\n", "", 3)]
    {
        let mut trace = Trace::default();
        trace.call(0.0, &format!(r#""attempts":[{{"outcome":"failure"}}]{line}"#));
        let (_, summary) = play(&policy(&format!("{settings}[retry]")), &trace);
        assert_eq!(summary.attempts, attempts, "{settings}{line}");
    }
}

#[test]
fn each_attempt_meets_its_own_endpoint_and_the_last_repeats() {
    let mut trace = Trace::default();
    trace.call(
        0.0,
        r#""idempotent":true,"attempts":[{"outcome":"failure","endpoint":"a"},{"outcome":"failure","endpoint":"b"}]"#,
    );
    let (log, summary) = play(&policy("[retry]\nbackoff = \"fixed\""), &trace);
    let attempts = having(&log, &["\"event\":\"attempt\""]);
    assert_eq!(
        attempts,
        [
            r#"{"t":0,"id":0,"event":"attempt","n":1,"kind":"first","endpoint":"a"}"#,
            r#"{"t":25,"id":0,"event":"attempt","n":2,"kind":"retry","endpoint":"b"}"#,
            r#"{"t":50,"id":0,"event":"attempt","n":3,"kind":"retry","endpoint":"b"}"#,
        ]
    );
    let shares = summary.shares.unwrap();
    assert_eq!((shares.recorded * 3.0, shares.modelled * 3.0), (2.0, 1.0));
}

#[test]
fn an_open_breaker_of_the_lines_endpoint_rejects_it() {
    let mut trace = Trace::default();
    for endpoint in ["a", "b", "a"] {
        let outcome = if endpoint == "a" { "failure" } else { "success" };
        let attempt = format!(r#""attempts":[{{"outcome":"{outcome}","endpoint":"{endpoint}"}}]"#);
        trace.call(0.0, &attempt);
    }
    let breaker = "[breaker]\nper = \"endpoint\"\nmin_calls = 1\njitter = 0.0\nwindow = 10";
    let (log, summary) = play(&policy(breaker), &trace);
    assert_eq!(
        having(&log, &["state"]),
        [
            r#"{"t":0,"event":"state","policy":"breaker","target":"a","from":"closed","to":"open","cause":"failure_rate","n":1,"failures":1,"until":5000}"#
        ]
    );
    assert_eq!(having(&log, &["\"id\":2", "rejected", "\"reason\":\"open\""]).len(), 1);
    assert_eq!(summary.breakers.keys().map(String::as_str).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn keys_cost_and_methods_are_those_of_the_line() {
    let mut trace = Trace::default();
    trace.call(0.0, r#""key":"x","cost":5"#).call(0.0, r#""key":"x""#).call(0.0, r#""key":"y""#);
    trace.call(0.0, r#""key":"x","cost":6"#).call(0.0, r#""key":"x","cost":0"#);
    let limit = r#"rate_limit = { rate = "10/s", burst = 5, key = "client-ip" }"#;
    let (log, _) = play(&policy(limit), &trace);
    assert_eq!(having(&log, &["\"event\":\"rejected\""]).len(), 2);
    assert_eq!(having(&log, &["\"id\":1", "\"reason\":\"limited\""]).len(), 1);
    assert_eq!(having(&log, &["\"id\":3", "\"reason\":\"never\""]).len(), 1);

    let mut trace = Trace::default();
    for call in ["A.Slow", "A.Fast"] {
        trace.call(0.0, &format!(r#""call":"{call}","attempts":[{{"outcome":"hang"}}]"#));
    }
    let methods = "timeout = \"1s\"\n[methods.\"A.Fast\"]\ntimeout = \"100ms\"";
    let (log, _) = play(&policy(methods), &trace);
    let done = having(&log, &["done"]);
    assert!(done[0].starts_with("{\"t\":95,\"id\":1,"), "{done:?}");
    assert!(done[1].starts_with("{\"t\":995,\"id\":0,"), "{done:?}");
}

#[test]
fn a_retry_after_beside_the_outcome_is_obeyed() {
    let mut trace = Trace::default();
    trace.call(
        0.0,
        r#""idempotent":true,"attempts":[{"outcome":"failure","retry_after":700},{"took":1}]"#,
    );
    let (log, _) = play(&policy("[retry]"), &trace);
    assert_eq!(
        having(&log, &["delayed"]),
        [r#"{"t":0,"id":0,"event":"delayed","policy":"retry","wait":700}"#]
    );
}

#[test]
fn a_shadow_says_what_it_would_do_and_does_nothing() {
    let mut trace = Trace::default();
    (0..7).for_each(|_| _ = trace.call(0.0, ""));
    let limit = r#"rate_limit = { rate = "10/s", burst = 5, mode = "shadow" }"#;
    let (log, summary) = play(&policy(limit), &trace);
    assert_eq!(
        having(&log, &["would_reject"])[1],
        r#"{"t":0,"id":6,"event":"would_reject","policy":"rate_limit","reason":"limited","retry_after":100}"#
    );
    assert_eq!((summary.outcomes.success, having(&log, &["would_reject"]).len()), (7, 2));
}
