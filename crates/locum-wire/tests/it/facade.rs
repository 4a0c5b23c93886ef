//! What goes with calls whatever the protocol: failures, refusals, traces, metadata.

use std::time::Duration;

use locum_wire::rpc::{Class, Failure, Metadata, Refusal, TraceParent};
use proptest::prelude::*;

fn refusal(retry_after: Option<Duration>) -> Refusal {
    Refusal { kind: "breaker".into(), policy: "careful".into(), reason: "open".into(), retry_after }
}

#[test]
fn a_refusal_reads_as_documented() {
    let tenths = refusal(Some(Duration::from_millis(4200)));
    let text = r#"locum: rejected by breaker "careful": open; retry after 4.2s"#;
    assert_eq!(tenths.to_string(), text);
    assert_eq!(refusal(None).to_string(), r#"locum: rejected by breaker "careful": open"#);

    let failure = Failure::of_text(text);
    assert_eq!(failure.class, Class::Rejected);
    assert_eq!(failure.refusal, Some(tenths));
    assert_eq!(failure.text, text);
}

#[test]
fn a_refusal_never_says_too_early() {
    let soon = refusal(Some(Duration::from_nanos(1))).to_string();
    assert!(soon.ends_with("; retry after 0.1s"), "{soon}");
    let forever = refusal(Some(Duration::MAX)).to_string();
    assert!(Refusal::parse(&forever).is_some(), "{forever}");
}

#[test]
fn a_refusal_takes_go_durations_and_a_detail() {
    let text =
        r#"locum: rejected by rate_limit "a\"b\\c": limited: 100 a minute; retry after 1m30.5s"#;
    let refusal = Refusal::parse(text).unwrap();
    assert_eq!(refusal.policy, r#"a"b\c"#);
    assert_eq!(refusal.reason, "limited");
    assert_eq!(refusal.retry_after, Some(Duration::from_millis(90_500)));

    let no_time =
        Refusal::parse(r#"locum: rejected by breaker "x": open; retry after soon"#).unwrap();
    assert_eq!(no_time.retry_after, None);
}

#[test]
fn texts_tell_whose_fault_it_is() {
    let table = [
        ("divide by zero", Class::App),
        ("", Class::App),
        ("context canceled", Class::App),
        ("rpc: can't find method Arith.BadOperation", Class::UnknownMethod),
        ("rpc: can't find service Nope.Add", Class::UnknownMethod),
        ("rpc: service/method request ill-formed: Add", Class::UnknownMethod),
        ("gob: type mismatch: no fields matched compiling decoder for Args", Class::BadArguments),
        ("jsonrpc: request body missing params", Class::BadArguments),
        ("locum: unavailable: draining", Class::Unavailable),
        ("locum: no endpoint answers", Class::Internal),
        ("locum: rejected by nobody", Class::Internal),
        (r#"locum: rejected by deadline "": deadline"#, Class::Deadline),
        (r#"locum: rejected by concurrency "p": full"#, Class::Rejected),
    ];
    for (text, class) in table {
        let failure = Failure::of_text(text);
        assert_eq!(failure.class, class, "{text}");
        assert_eq!(failure.text, text);
    }
}

#[test]
fn what_is_said_of_a_failure_tells_its_class() {
    let failures = [
        Failure::app("no such user"),
        Failure::unknown_service("Nope.Add"),
        Failure::unknown_method("Arith.Nope"),
        Failure::ill_formed("Add"),
        Failure::refused(refusal(Some(Duration::from_secs(3)))),
        Failure::deadline(),
        Failure::unavailable("draining"),
        Failure::internal("a handler panicked"),
    ];
    for failure in failures {
        assert_eq!(Failure::of_text(failure.text.clone()), failure);
    }
}

#[test]
fn a_trace_is_read_as_w3c_says() {
    let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let trace: TraceParent = good.parse().unwrap();
    assert_eq!(trace.trace_id[..2], [0x4b, 0xf9]);
    assert_eq!(trace.parent_id[7], 0xb7);
    assert_eq!(trace.to_string(), good);

    let newer = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-and-more";
    assert_eq!(newer.parse(), Ok(trace));
    for bad in [
        "",
        "00",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
    ] {
        assert!(bad.parse::<TraceParent>().is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn refusals_are_read_back(
        kind in "[a-z_]+", policy in any::<String>(), reason in "[a-z_]+", tenths in proptest::option::of(0..1u64 << 40),
    ) {
        let retry_after = tenths.map(|tenths| Duration::from_millis(tenths * 100));
        let refusal = Refusal { kind, policy, reason, retry_after };
        prop_assert_eq!(Refusal::parse(&refusal.to_string()), Some(refusal));
    }

    #[test]
    fn metadata_is_read_back(pairs: Vec<(String, String)>, long in 0..70_000usize) {
        let mut pairs = pairs;
        pairs.push(("long".to_owned(), "x".repeat(long)));
        let mut bytes = Vec::new();
        Metadata::encode(&pairs, &mut bytes);
        let metadata = Metadata::parse(&bytes).unwrap();
        let read: Vec<_> = metadata.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        prop_assert_eq!(&read, &pairs);
        prop_assert_eq!(Metadata::parse(&bytes[..bytes.len() - 1]), None);
    }

    #[test]
    fn any_bytes_are_metadata_or_not(bytes: Vec<u8>) {
        if let Some(metadata) = Metadata::parse(&bytes) {
            let pairs: Vec<_> = metadata.iter().collect();
            let mut again = Vec::new();
            Metadata::encode(&pairs, &mut again);
            prop_assert_eq!(Metadata::parse(&again).unwrap().iter().collect::<Vec<_>>(), pairs);
        }
    }
}
