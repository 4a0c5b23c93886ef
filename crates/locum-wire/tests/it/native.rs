//! The native protocol, rule by rule.

use std::borrow::Cow;
use std::time::Duration;

use locum_wire::native::{Answers, Calls, Replies, Requests};
use locum_wire::rpc::{
    Answer, Call, CallHead, CallId, Class, Failure, Fatal, Form, Limits, Metadata, Protocol,
    Request, TraceParent,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn head() -> CallHead<'static> {
    CallHead {
        id: 1,
        method: "Arith.Multiply",
        timeout: None,
        attempt: 1,
        trace: None,
        metadata: Metadata::default(),
        streams: false,
    }
}

/// What a server makes of pieces that arrive one after the other.
fn requests<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limits: &Limits) -> Vec<String> {
    let mut reader = Requests::new(limits);
    read(pieces, |input, taken| {
        let seen = reader.next(input, taken).map(|it| it.map(|it| format!("{it:?}")));
        (seen, reader.needs())
    })
}

/// The same of a client.
fn answers<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limits: &Limits) -> Vec<String> {
    let mut reader = Answers::new(limits);
    read(pieces, |input, taken| {
        let seen = reader.next(input, taken).map(|it| it.map(|it| format!("{it:?}")));
        (seen, reader.needs())
    })
}

fn read<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    mut next: impl FnMut(&[u8], &mut usize) -> (Result<Option<String>, Fatal>, usize),
) -> Vec<String> {
    let (mut buffer, mut seen) = (Vec::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let mut taken = 0;
            let (read, needs) = next(&buffer, &mut taken);
            buffer.drain(..taken);
            match read {
                Ok(Some(text)) => seen.push(text),
                Ok(None) => {
                    assert!(buffer.is_empty() || needs > buffer.len(), "{needs}");
                    break;
                }
                Err(fatal) => {
                    seen.push(fatal.0);
                    return seen;
                }
            }
        }
    }
    seen
}

fn calls(write: impl FnOnce(&mut Calls, &mut Vec<u8>)) -> Vec<u8> {
    let (mut calls, mut out) = (Calls::new(), Vec::new());
    write(&mut calls, &mut out);
    out
}

/// A hello and frames of those kinds and fields.
fn frames(frames: &[(u8, &[u8])]) -> Vec<u8> {
    let mut out = b"\xf1Locum\x01\x01\x00".to_vec();
    for (kind, fields) in frames {
        out.extend_from_slice(&(fields.len() as u32 + 1).to_le_bytes());
        out.push(*kind);
        out.extend_from_slice(fields);
    }
    out
}

fn server_reads(bytes: &[u8]) -> Vec<String> {
    requests([bytes], &Limits::default())
}

fn client_reads(bytes: &[u8]) -> Vec<String> {
    answers([bytes], &Limits::default())
}

#[test]
fn a_small_call_has_a_small_head() {
    let mut calls = Calls::new();
    let mut out = Vec::new();
    let head = CallHead { timeout: Some(Duration::from_secs(10)), ..head() };
    calls.call(&mut out, &head, &()).unwrap();
    out.clear();
    calls.call(&mut out, &head, &()).unwrap();
    assert_eq!(out.len(), 12);
}

#[test]
fn a_name_crosses_once() {
    let bytes = calls(|calls, out| {
        for method in ["A.B", "A.C", "A.B", "A.C"] {
            calls.call(out, &CallHead { method, ..head() }, &()).unwrap();
        }
    });
    assert_eq!(bytes.windows(3).filter(|it| it.starts_with(b"A.")).count(), 2);
    let seen = server_reads(&bytes);
    let named = |method| seen.iter().filter(|it| it.contains(method)).count();
    assert_eq!((seen.len(), named("\"A.B\""), named("\"A.C\"")), (4, 2, 2));
}

#[test]
fn names_beyond_the_table_go_in_full() {
    let mut out = Vec::new();
    let mut calls = Calls::new();
    for number in (0..1030).chain(0..1030) {
        let method = format!("Service.Method{number}");
        calls.call(&mut out, &CallHead { method: &method, ..head() }, &()).unwrap();
    }
    let seen = server_reads(&out);
    assert_eq!(seen.len(), 2060);
    for (number, request) in (0..1030).chain(0..1030).zip(seen) {
        assert!(request.contains(&format!("\"Service.Method{number}\"")), "{request}");
    }
}

#[test]
fn a_call_that_cannot_be_written_leaves_nothing_behind() {
    struct Broken;
    impl serde::Serialize for Broken {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("broken"))
        }
    }
    let bytes = calls(|calls, out| {
        assert!(calls.call(out, &head(), &(7, Broken)).is_err());
        assert!(calls.item(out, 1, &(7, Broken)).is_err());
        calls.call(out, &head(), &7).unwrap();
    });
    assert_eq!(bytes, calls(|calls, out| calls.call(out, &head(), &7).unwrap()));
    let long = "x".repeat(1025);
    calls(|calls, out| {
        calls.call(out, &CallHead { method: &long, ..head() }, &()).unwrap_err();
        assert_eq!(out, b"");
    });
}

#[test]
fn another_version_is_named() {
    let text = "native: the peer speaks version 2 of the protocol, this side 1";
    assert_eq!(server_reads(b"\xf1Locum\x02"), [text]);
    assert_eq!(client_reads(b"\xf1Locum\x02"), [text]);
}

#[test]
fn another_protocol_is_told_at_its_first_byte() {
    let text = "native: the stream does not begin with the protocol's magic";
    assert_eq!(server_reads(b"{"), [text]);
    assert_eq!(server_reads(b"\xf1Lx"), [text]);
}

#[test]
fn what_a_later_hello_offers_is_passed_over() {
    let bytes = b"\xf1Locum\x01\x05\x83\x01\xff\xff\xff\x02\x00\x00\x00\x06\x03";
    assert_eq!(server_reads(bytes), ["End { id: 3 }"]);
}

#[test]
fn an_unknown_kind_is_skipped_if_it_says_so() {
    assert_eq!(server_reads(&frames(&[(0xbf, b"new"), (0xc1, b""), (6, &[3])])), ["End { id: 3 }"]);
    let seen = server_reads(&frames(&[(0x3f, b"new"), (6, &[3])]));
    assert_eq!(seen, ["native: frame of kind 0x3f: not to be sent to this side"]);
}

#[test]
fn malformed_frames_end_the_stream() {
    let cases: [(u8, &[u8], &str); 20] = [
        (1, &[], "CALL: cut short"),
        (1, &[0x20, 0, 0, 0], "CALL: flags that nobody knows"),
        (1, &[0, 0, 2, 1, b'a'], "CALL: a method's number out of turn"),
        (1, &[0, 0, 1, 2, b'a'], "CALL: cut short"),
        (1, &[0, 0, 1, 2, 0xff, 0xff], "CALL: a text that is not UTF-8"),
        (1, &[2, 0, 0, 0, 0], "CALL: an attempt that is none"),
        (1, &[2, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x7f], "CALL: an attempt that is none"),
        (1, &[4, 0, 0, 0, 1, 2, 3], "CALL: cut short"),
        (1, &[8, 0, 0, 0, 3, 1, b'a', 9], "CALL: metadata that is none"),
        (2, &[0], "REPLY: not to be sent to this side"),
        (3, &[0], "ERROR: not to be sent to this side"),
        (4, &[], "CANCEL: cut short"),
        (4, &[1, 1], "CANCEL: more bytes than it has fields"),
        (4, &[0xff; 10], "CANCEL: a number beyond 64 bits"),
        (4, &[0xff; 9], "CANCEL: cut short"),
        (0x44, &[1], "frame of kind 0x44: not to be sent to this side"),
        (7, &[1], "CREDIT: cut short"),
        (7, &[1, 0xff, 0xff, 0xff, 0xff, 0x1f], "CREDIT: more than 4 GiB"),
        (8, &[1; 7], "PING: cut short"),
        (9, &[1; 9], "PONG: more bytes than it has fields"),
    ];
    for (kind, fields, text) in cases {
        assert_eq!(server_reads(&frames(&[(kind, fields)])), [format!("native: {text}")]);
    }
    assert_eq!(
        server_reads(b"\xf1Locum\x01\x01\x00\x00\x00\x00\x00"),
        ["native: a frame of no bytes"]
    );
    assert_eq!(server_reads(b"\xf1Locum\x01\x80"), ["native: a hello of 128 bytes"]);
    assert_eq!(server_reads(b"\xf1Locum\x01\x00"), ["native: HELLO: cut short"]);

    let cases: [(u8, &[u8], &str); 6] = [
        (1, &[0, 0, 0, 0], "CALL: not to be sent to this side"),
        (3, &[0, 0, 16, 0], "ERROR: flags that nobody knows"),
        (3, &[0, 0, 4, 0, 1], "ERROR: a time to come back, but no refusal"),
        (3, &[0, 0, 0, 0, 1], "ERROR: more bytes than it has fields"),
        (6, &[0], "END: not to be sent to this side"),
        (10, &[], "GOAWAY: cut short"),
    ];
    for (kind, fields, text) in cases {
        assert_eq!(client_reads(&frames(&[(kind, fields)])), [format!("native: {text}")]);
    }
}

#[test]
fn a_name_too_long_ends_the_stream() {
    let mut fields = vec![0, 0, 1, 0x81, 0x08];
    fields.extend_from_slice(&[b'x'; 1025]);
    let seen = server_reads(&frames(&[(1, &fields)]));
    assert_eq!(seen, ["native: CALL: a method's name of more than 1024 bytes"]);
}

#[test]
fn a_trace_of_zeros_is_none() {
    let mut fields = vec![4, 0, 0, 0];
    fields.extend_from_slice(&[0; 25]);
    let seen = server_reads(&frames(&[(1, &fields)]));
    assert!(seen[0].contains("trace: None"), "{seen:?}");
}

#[test]
fn a_class_to_come_is_the_servers_fault() {
    let seen = client_reads(&frames(&[(3, &[1, 99, 0, 0])]));
    assert!(seen[0].contains("class: Internal"), "{seen:?}");
}

#[test]
fn a_call_over_the_limit_is_answered_and_skipped() {
    let limits = Limits { message: 100, ..Limits::default() };
    let bytes = calls(|calls, out| {
        calls.call(out, &head(), &"x".repeat(1000)).unwrap();
        calls.call(out, &CallHead { id: 2, ..head() }, &()).unwrap();
    });
    let seen = requests([&bytes[..]], &limits);
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(
        seen[0].starts_with("TooLarge { id: Number(1), method: \"Arith.Multiply\""),
        "{seen:?}"
    );
    assert!(seen[0].contains("a message of 1021 bytes is over the limit of 100"), "{seen:?}");
    // The name that the long call gave is known to the next.
    assert!(
        seen[1].starts_with("Call(Call { id: Number(2), method: \"Arith.Multiply\""),
        "{seen:?}"
    );
    assert_eq!(requests(bytes.chunks(1), &limits), seen);

    let item = calls(|calls, out| {
        let length = calls.item(out, 1, &"x".repeat(1000)).unwrap();
        assert_eq!(length, 1002);
    });
    assert_eq!(
        requests([&item[..]], &limits),
        ["native: a message of 1004 bytes is over the limit of 100"]
    );
}

#[test]
fn an_answer_over_the_limit_fails_its_call_alone() {
    let limits = Limits { message: 100, ..Limits::default() };
    let (mut replies, mut out) = (Replies::new(), Vec::new());
    let long = "x".repeat(1000);
    replies.ok(&mut out, &CallId::Number(1), &long).unwrap();
    replies.failure(&mut out, &CallId::Number(2), &Failure::app(&*long));
    replies.item(&mut out, &CallId::Number(3), &long).unwrap();
    replies.ok(&mut out, &CallId::Number(4), &()).unwrap();
    let seen = answers([&out[..]], &limits);
    assert_eq!(seen.len(), 4, "{seen:?}");
    for (at, text) in seen.iter().take(3).enumerate() {
        assert!(text.starts_with(&format!("Unreadable {{ id: {}", at + 1)), "{text}");
    }
    assert!(seen[3].starts_with("Reply { id: 4"), "{seen:?}");
    assert_eq!(answers(out.chunks(1), &limits), seen);
}

#[test]
fn what_is_announced_takes_no_memory() {
    let mut bytes = frames(&[]);
    bytes.extend_from_slice(&u32::MAX.to_le_bytes());
    let mut reader = Requests::new(&Limits::default());
    let mut taken = 0;
    assert!(reader.next(&bytes, &mut taken).unwrap().is_none());
    assert!(reader.needs() <= Limits::default().message);
}

#[test]
fn an_id_of_json_rpc_names_no_call() {
    let id = CallId::Json { protocol: Protocol::Json1, raw: None, batched: None };
    let (mut replies, mut out) = (Replies::new(), Vec::new());
    assert!(replies.ok(&mut out, &id, &1).is_err());
    replies.failure(&mut out, &id, &Failure::app("no"));
    assert_eq!(out, b"");
}

proptest! {
    #[test]
    fn a_call_comes_back_as_it_went(
        id in any::<u64>(),
        method in "\\PC{0,40}",
        timeout in option::of(any::<u64>()),
        attempt in 1u32..,
        trace in option::of((any::<[u8; 16]>(), any::<[u8; 8]>(), any::<u8>())),
        pairs in vec(("\\PC{0,200}", "\\PC{0,200}"), 0..4),
        streams in any::<bool>(),
        args in "\\PC{0,300}",
        json in any::<bool>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let timeout = timeout.map(Duration::from_micros);
        let trace = trace
            .map(|(trace_id, parent_id, flags)| TraceParent { trace_id, parent_id, flags })
            .filter(|trace| trace.trace_id != [0; 16] && trace.parent_id != [0; 8]);
        let mut metadata = Vec::new();
        Metadata::encode(&pairs, &mut metadata);
        let metadata = Metadata::parse(&metadata).unwrap();
        let head = CallHead { id, method: &method, timeout, attempt, trace, metadata, streams };
        let (mut calls, mut bytes) = (Calls::new(), Vec::new());
        for _ in 0..2 {
            if json {
                let args = serde_json::value::to_raw_value(&args).unwrap();
                calls.call_json(&mut bytes, &head, &args).unwrap();
            } else {
                calls.call(&mut bytes, &head, &args).unwrap();
            }
        }

        let mut reader = Requests::new(&Limits::default());
        let mut taken = 0;
        for _ in 0..2 {
            let request = reader.next(&bytes[taken..], &mut taken).unwrap();
            let Some(Request::Call(Call { id: read, args: body, .. })) = &request else { panic!("{request:?}") };
            prop_assert_eq!(read, &if json { CallId::NumberInJson(id) } else { CallId::Number(id) });
            let read = match body.form {
                Form::Json => serde_json::from_slice::<String>(body.bytes).unwrap(),
                _ => body.decode().unwrap(),
            };
            prop_assert_eq!(read, &*args);
            let Some(Request::Call(Call { method, timeout, attempt, trace, metadata, streams, .. })) = request
            else { unreachable!() };
            let same = CallHead { id, method, timeout, attempt, trace, metadata, streams };
            prop_assert_eq!(format!("{same:?}"), format!("{head:?}"));
        }
        prop_assert_eq!(taken, bytes.len());
        let whole = requests([&bytes[..]], &Limits::default());
        let (first, second) = bytes.split_at(cut.index(bytes.len()));
        prop_assert_eq!(requests([first, second], &Limits::default()), &whole[..]);
        prop_assert_eq!(requests(bytes.chunks(1), &Limits::default()), whole);
    }

    #[test]
    fn a_failure_comes_back_as_it_went(
        text in "\\PC{0,40}",
        code in option::of(any::<i64>()),
        detail in option::of(vec(any::<u8>(), 0..40)),
        class in prop::sample::select(&[
            Class::App, Class::UnknownMethod, Class::BadArguments, Class::Deadline,
            Class::Cancelled, Class::Unavailable, Class::Internal,
        ]),
    ) {
        let detail = detail.map(Cow::Owned);
        let failure = Failure { code, detail, ..Failure::new(class, text) };
        let (mut replies, mut bytes) = (Replies::new(), Vec::new());
        replies.failure(&mut bytes, &CallId::Number(7), &failure);
        let mut taken = 0;
        match Answers::new(&Limits::default()).next(&bytes, &mut taken).unwrap() {
            Some(Answer::Failure { id: 7, failure: read }) => prop_assert_eq!(*read, failure),
            other => panic!("{other:?}"),
        }
        let whole = answers([&bytes[..]], &Limits::default());
        prop_assert_eq!(answers(bytes.chunks(1), &Limits::default()), whole);
    }

    #[test]
    fn any_bytes_mean_the_same_wherever_they_are_cut(
        sent in vec((0u8..12, vec(any::<u8>(), 0..20)), 0..8),
        limit in 1usize..30,
    ) {
        let sent: Vec<_> = sent.iter().map(|(kind, fields)| (*kind, &fields[..])).collect();
        let bytes = frames(&sent);
        let limits = Limits { message: limit, ..Limits::default() };
        prop_assert_eq!(requests(bytes.chunks(1), &limits), requests([&bytes[..]], &limits));
        prop_assert_eq!(answers(bytes.chunks(1), &limits), answers([&bytes[..]], &limits));
    }
}
