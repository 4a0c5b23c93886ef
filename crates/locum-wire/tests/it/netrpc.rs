//! net/rpc over gob: the bytes of Go, both ways.

use std::time::Duration;

use locum_wire::netrpc::{Answers, CANCEL, Calls, Replies, Requests, split};
use locum_wire::rpc::{
    Answer, Body, Call, CallHead, CallId, Class, Failure, Fatal, Limits, Metadata, Refusal,
    Request, Shape,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Args {
    a: i64,
    b: i64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Reply {
    c: i64,
}

static ARGS: Shape = Shape::of::<Args>();
static REPLY: Shape = Shape::of::<Reply>();
static TEXT: Shape = Shape::of::<String>();
static INT: Shape = Shape::of::<i64>();
static TRUTH: Shape = Shape::of::<bool>();

/// Bytes as the specification writes them: hexadecimal, with text in quotes.
fn bytes(golden: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (at, part) in golden.split('"').enumerate() {
        if at % 2 == 1 {
            bytes.extend_from_slice(part.as_bytes());
            continue;
        }
        let digits: Vec<u8> = part.bytes().filter(u8::is_ascii_hexdigit).collect();
        for pair in digits.chunks(2) {
            bytes.push(u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap());
        }
    }
    bytes
}

const REQUEST: &str = r#"2f ff81 03 01 01 07 "Request" 01 ff82 00 01 02
    01 0d "ServiceMethod" 01 0c 00  01 03 "Seq" 01 06 00  00 00"#;
const ADD_0: &str = r#"0e ff82 01 09 "Arith.Add" 00"#;
const ARGS_TYPE: &str = r#"1e ff83 03 01 01 04 "Args" 01 ff84 00 01 02
    01 01 "A" 01 04 00  01 01 "B" 01 04 00  00 00"#;
const ARGS_7_8: &str = "07 ff84 01 0e 01 10 00";
const RESPONSE: &str = r#"3a ff85 03 01 01 08 "Response" 01 ff86 00 01 03
    01 0d "ServiceMethod" 01 0c 00  01 03 "Seq" 01 06 00  01 05 "Error" 01 0c 00  00 00"#;
const REPLIED_ADD_0: &str = r#"0e ff86 01 09 "Arith.Add" 00"#;
const REPLY_TYPE: &str =
    r#"19 ff87 03 01 01 05 "Reply" 01 ff88 00 01 01  01 01 "C" 01 04 00  00 00"#;
const REPLY_15: &str = "05 ff88 01 1e 00";
const NO_METHOD_2: &str = r#"44 ff86 01 12 "Arith.BadOperation" 01 02
    01 29 "rpc: can't find method Arith.BadOperation" 00"#;
const EMPTY_TYPE: &str = "0a ff89 03 01 02 ff8a 00 00 00";
const EMPTY: &str = "03 ff8a 00";
const DIVIDED_6: &str = r#"20 ff86 01 09 "Arith.Div" 01 06 01 0e "divide by zero" 00"#;

fn head(method: &str, id: u64) -> CallHead<'_> {
    CallHead {
        id,
        method,
        timeout: Some(Duration::from_secs(1)),
        attempt: 1,
        trace: None,
        metadata: Metadata::default(),
        streams: false,
    }
}

/// All requests of a stream, told by `tell`.
fn requests<T>(
    input: &[u8],
    limits: &Limits,
    mut tell: impl FnMut(Request<'_>) -> T,
) -> (Vec<T>, Option<Fatal>) {
    let mut requests = Requests::new(limits);
    let (mut told, mut at) = (Vec::new(), 0);
    loop {
        match requests.next(&input[at..], &mut at) {
            Ok(Some(request)) => told.push(tell(request)),
            Ok(None) => return (told, None),
            Err(fatal) => return (told, Some(fatal)),
        }
    }
}

fn answers<T>(input: &[u8], mut tell: impl FnMut(Answer<'_>) -> T) -> (Vec<T>, Option<Fatal>) {
    let mut answers = Answers::new(&Limits::default());
    let (mut told, mut at) = (Vec::new(), 0);
    loop {
        match answers.next(&input[at..], &mut at) {
            Ok(Some(answer)) => told.push(tell(answer)),
            Ok(None) => return (told, None),
            Err(fatal) => return (told, Some(fatal)),
        }
    }
}

#[test]
fn calls_are_written_as_go_writes_them() {
    let (mut calls, mut out) = (Calls::new(), Vec::new());
    calls.call(&mut out, &head("Arith.Add", 0), &ARGS, &Args { a: 7, b: 8 }).unwrap();
    assert_eq!(out, bytes(&[REQUEST, ADD_0, ARGS_TYPE, ARGS_7_8].concat()));

    out.clear();
    calls.call(&mut out, &head("Arith.Add", 1), &ARGS, &Args { a: 7, b: 8 }).unwrap();
    assert_eq!(out, bytes(&[r#"10 ff82 01 09 "Arith.Add" 01 01 00"#, ARGS_7_8].concat()));

    out.clear();
    calls.call(&mut out, &head("Echo.Text", 300), &TEXT, "12345").unwrap();
    assert_eq!(out, bytes(r#"12 ff82 01 09 "Echo.Text" 01 fe 01 2c 00  08 0c 00 05 "12345""#));
}

#[test]
fn calls_of_go_are_read() {
    let input = bytes(&[REQUEST, ADD_0, ARGS_TYPE, ARGS_7_8].concat());
    let (calls, fatal) = requests(&input, &Limits::default(), |request| match request {
        Request::Call(Call {
            id, method, args, attempt: 1, timeout: None, streams: false, ..
        }) => (id, method.to_owned(), args.decode::<Args>().unwrap()),
        other => panic!("{other:?}"),
    });
    assert_eq!(calls, [(CallId::Number(0), "Arith.Add".to_owned(), Args { a: 7, b: 8 })]);
    assert_eq!(fatal, None);
}

/// Go numbers the types of a whole program, we those of a stream: the headers are 65, the reply is 66, and
/// the empty struct 67.
fn ours(go: &str) -> Vec<u8> {
    let renumbered = [("ff85", "ff81"), ("ff86", "ff82"), ("ff87", "ff83"), ("ff88", "ff84")];
    let renumbered = renumbered.into_iter().chain([("ff89", "ff85"), ("ff8a", "ff86")]);
    bytes(&renumbered.fold(go.to_owned(), |golden, (go, ours)| golden.replace(go, ours)))
}

#[test]
fn replies_are_written_as_go_writes_them() {
    let (mut replies, mut out) = (Replies::new(), Vec::new());
    replies.ok(&mut out, &CallId::Number(0), "Arith.Add", &REPLY, &Reply { c: 15 }).unwrap();
    assert_eq!(out, ours(&[RESPONSE, REPLIED_ADD_0, REPLY_TYPE, REPLY_15].concat()));

    out.clear();
    let unknown = Failure::unknown_method("Arith.BadOperation");
    replies.failure(&mut out, &CallId::Number(2), "Arith.BadOperation", &unknown);
    replies.failure(&mut out, &CallId::Number(6), "Arith.Div", &Failure::app("divide by zero"));
    assert_eq!(out, ours(&[NO_METHOD_2, EMPTY_TYPE, EMPTY, DIVIDED_6, EMPTY].concat()));

    out.clear();
    replies.ok(&mut out, &CallId::Number(7), "Echo.Number", &INT, &12345).unwrap();
    replies.ok(&mut out, &CallId::Number(8), "Echo.Number", &INT, &0).unwrap();
    assert_eq!(
        out,
        bytes(
            r#"12 ff82 01 0b "Echo.Number" 01 07 00  05 04 00 fe 60 72
               12 ff82 01 0b "Echo.Number" 01 08 00  03 04 00 00"#
        )
    );
}

#[test]
fn replies_of_go_are_read() {
    let golden = [RESPONSE, REPLIED_ADD_0, REPLY_TYPE, REPLY_15, NO_METHOD_2, EMPTY_TYPE, EMPTY];
    let input = bytes(&[golden.concat().as_str(), DIVIDED_6, EMPTY].concat());
    let (read, fatal) = answers(&input, |answer| match answer {
        Answer::Reply { id, body } => (id, Ok(body.decode::<Reply>().unwrap())),
        Answer::Failure { id, failure } => (id, Err(failure.into_owned())),
        other => panic!("{other:?}"),
    });
    assert_eq!(
        read,
        [
            (0, Ok(Reply { c: 15 })),
            (2, Err(Failure::unknown_method("Arith.BadOperation"))),
            (6, Err(Failure::app("divide by zero"))),
        ]
    );
    assert_eq!(fatal, None);
}

/// Two Gos, whose numbers of types are of their own, talked about all there is.
#[test]
fn conversations_of_real_gos_are_read() {
    #[derive(Deserialize)]
    struct Line {
        of: String,
        hex: String,
        values: Vec<serde_json::Value>,
    }
    let shown = |body: &Body<'_>| serde_json::from_str(&body.to_json().unwrap()).unwrap();
    let mut read = 0;
    for line in include_str!("../data/gob.jsonl").lines() {
        let Line { of, hex, values } = serde_json::from_str(line).unwrap();
        let (told, fatal) = match of.as_str() {
            "requests" => requests(&bytes(&hex), &Limits::default(), |request| match request {
                Request::Call(Call { id: CallId::Number(seq), method, args, .. }) => {
                    [serde_json::json!({ "ServiceMethod": method, "Seq": seq }), shown(&args)]
                }
                other => panic!("{other:?}"),
            }),
            "replies" => answers(&bytes(&hex), |answer| match answer {
                Answer::Reply { id, body } => {
                    [serde_json::json!({ "Seq": id, "Error": "" }), shown(&body)]
                }
                Answer::Failure { id, failure } => {
                    [serde_json::json!({ "Seq": id, "Error": failure.text }), serde_json::json!({})]
                }
                other => panic!("{other:?}"),
            }),
            _ => continue,
        };
        assert_eq!(fatal, None);
        assert_eq!(told.len() * 2, values.len());
        for (told, expected) in told.concat().iter().zip(values) {
            let header = told.get("Seq").is_some();
            let same = if header {
                told.as_object()
                    .unwrap()
                    .iter()
                    .all(|(name, value)| expected.get(name) == Some(value))
            } else {
                *told == expected
            };
            assert!(same, "{told} is {expected}");
        }
        read += 1;
    }
    assert_eq!(read, 4);
}

#[test]
fn the_method_is_split_at_the_last_dot() {
    assert_eq!(split("a.b.C"), Some(("a.b", "C")));
    assert_eq!(split("Add"), None);
    assert_eq!(split(""), None);
}

#[test]
fn cancelling_is_a_call_that_is_answered() {
    let (mut calls, mut out) = (Calls::new(), Vec::new());
    calls.cancel(&mut out, 7, 9);
    let golden = format!(
        r#"{REQUEST} 15 ff82 01 0e "{CANCEL}" 01 09 00
           20 ff83 03 01 01 0a "CancelArgs" 01 ff84 00 01 01  01 03 "Seq" 01 06 00  00 00
           05 ff84 01 07 00"#
    );
    assert_eq!(out, bytes(&golden));
    let (read, _) = requests(&out, &Limits::default(), |request| match request {
        Request::Cancel { id, answer } => (id, answer),
        other => panic!("{other:?}"),
    });
    assert_eq!(read, [(7, Some(CallId::Number(9)))]);

    let (mut replies, mut out) = (Replies::new(), Vec::new());
    replies.ok(&mut out, &CallId::Number(9), CANCEL, &TRUTH, &true).unwrap();
    assert!(out.ends_with(&bytes("03 02 00 01")));
}

#[test]
fn what_is_wrong_with_an_argument_is_told_and_the_stream_goes_on() {
    // The second field is none of Args; then comes a good call.
    let input = [REQUEST, ADD_0, ARGS_TYPE, "07 ff84 01 0e 05 10 00", ADD_0, ARGS_7_8].concat();
    let (read, fatal) = requests(&bytes(&input), &Limits::default(), |request| match request {
        Request::Call(Call { args, .. }) => args.decode::<Args>().map_err(|error| error.0),
        other => panic!("{other:?}"),
    });
    assert_eq!(fatal, None);
    assert!(read[0].as_ref().is_err_and(|error| error.starts_with("gob: ")), "{read:?}");
    assert_eq!(read[1], Ok(Args { a: 7, b: 8 }));

    // Cancelling with an argument that is text.
    let input =
        format!(r#"{REQUEST} 13 ff82 01 0e "{CANCEL}" 00  04 0c 00 01 "x" {ADD_0} 03 04 00 02"#);
    let (read, fatal) = requests(&bytes(&input), &Limits::default(), |request| match request {
        Request::Malformed { id, method, failure } => Some((id, method.to_owned(), failure.class)),
        Request::Call(_) => None,
        other => panic!("{other:?}"),
    });
    assert_eq!(read, [Some((CallId::Number(0), CANCEL.to_owned(), Class::BadArguments)), None]);
    assert_eq!(fatal, None);
}

#[test]
fn a_header_that_cannot_be_read_ends_the_stream() {
    for header in [
        "03 04 00 06",                       // a number
        "05 ff82 05 10 00",                  // a field that it has not
        "05 ff82 01 09 41",                  // a method that is cut off
        "05 ff82 02 07 00 00",               // something behind the end
        "0d ff82 02 f8 ffffffffffffffff 01", // no end
    ] {
        let input = [REQUEST, ADD_0, ARGS_TYPE, ARGS_7_8, header, ARGS_7_8].concat();
        let (read, fatal) = requests(&bytes(&input), &Limits::default(), |_| ());
        assert_eq!(read.len(), 1, "{header}");
        assert!(fatal.is_some(), "{header}");
    }
    let input = [RESPONSE, "05 ff86 05 10 00"].concat();
    assert!(answers(&bytes(&input), |_| ()).1.is_some());
}

#[test]
fn a_header_of_other_types_is_read_as_go_would() {
    // Seq before ServiceMethod, and a field of somebody's own, X int.
    let header = r#"35 ff81 03 01 01 07 "Request" 01 ff82 00 01 03
        01 03 "Seq" 01 06 00  01 0d "ServiceMethod" 01 0c 00  01 01 "X" 01 04 00  00 00"#;

    let call = r#"0c ff82 01 05 01 03 "A.B" 01 02 00"#;
    let (read, fatal) =
        requests(&bytes(&[header, call, "03 04 00 06"].concat()), &Limits::default(), |it| {
            let Request::Call(Call { id, method, .. }) = it else { panic!("{it:?}") };
            (id, method.to_owned())
        });
    assert_eq!(fatal, None);
    assert_eq!(read, [(CallId::Number(5), "A.B".to_owned())]);
}

#[test]
fn a_method_that_is_no_text_is_still_a_method() {
    let input = [REQUEST, "08 ff82 01 03 41 ff 42 00", "03 04 00 06"].concat();
    let (read, _) = requests(&bytes(&input), &Limits::default(), |it| {
        let Request::Call(Call { method, .. }) = it else { panic!("{it:?}") };
        method.to_owned()
    });
    assert_eq!(read, ["A\u{fffd}B"]);
}

#[test]
fn an_error_that_is_no_text_passes_unchanged() {
    // Go's own header, and one with a field of somebody's own.
    let other = r#"40 ff85 03 01 01 08 "Response" 01 ff86 00 01 04
        01 0d "ServiceMethod" 01 0c 00  01 03 "Seq" 01 06 00  01 05 "Error" 01 0c 00
        01 01 "X" 01 04 00  00 00"#;
    for header in [RESPONSE, other] {
        let input = [header, r#"0c ff86 02 06 01 05 "no" ff fe "x" 00"#, EMPTY_TYPE, EMPTY];
        let (read, fatal) = answers(&bytes(&input.concat()), |answer| match answer {
            Answer::Failure { id: 6, failure } => failure.into_owned(),
            other => panic!("{other:?}"),
        });
        assert_eq!(fatal, None);
        assert_eq!(read[0].text, "no\u{fffd}\u{fffd}x");
        assert_eq!(read[0].verbatim.as_deref(), Some(&b"no\xff\xfex"[..]));
        assert_eq!(read[0].class, Class::App);

        let (mut replies, mut out) = (Replies::new(), Vec::new());
        replies.failure(&mut out, &CallId::Number(6), "", &read[0]);
        let golden =
            r#"0c ff86 02 06 01 05 "no" ff fe "x" 00  0a ff87 03 01 02 ff88 00 00 00  03 ff88 00"#;
        assert_eq!(out, ours(&[RESPONSE, golden].concat()));
    }
    let (read, _) = answers(&bytes(&[RESPONSE, DIVIDED_6, EMPTY_TYPE, EMPTY].concat()), |answer| {
        let Answer::Failure { failure, .. } = answer else { panic!("{answer:?}") };
        failure.verbatim.is_none()
    });
    assert_eq!(read, [true], "what is text is only that");
}

#[test]
fn all_failures_are_text_and_read_as_what_they_were() {
    let refusal = Refusal {
        kind: "breaker".into(),
        policy: "careful".into(),
        reason: "open".into(),
        retry_after: Some(Duration::from_millis(4200)),
    };
    let failures = [
        Failure::app("divide by zero"),
        Failure::app("x".repeat(300)),
        Failure::unknown_service("Nope.Add"),
        Failure::ill_formed(""),
        Failure::bad_arguments("gob: type mismatch"),
        Failure::refused(refusal),
        Failure::deadline(),
        Failure::unavailable("draining"),
        Failure::internal("a handler panicked"),
    ];
    let (mut replies, mut out) = (Replies::new(), Vec::new());
    for (seq, failure) in (0..).zip(&failures) {
        replies.failure(&mut out, &CallId::Number(seq), "", failure);
    }
    let (read, _) = answers(&out, |answer| match answer {
        Answer::Failure { failure, .. } => failure.into_owned(),
        other => panic!("{other:?}"),
    });
    assert_eq!(read, failures);

    out.clear();
    replies.failure(&mut out, &CallId::Number(0), "A.B", &Failure::app(""));
    assert!(out.windows(17).any(|it| it == b"unspecified error"), "no text would be success");
}

#[test]
fn a_value_that_cannot_be_written_leaves_nothing_behind() {
    #[derive(Serialize, Deserialize)]
    struct Odd(#[serde(serialize_with = "fail")] i64);
    fn fail<S: serde::Serializer>(_: &i64, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("not today"))
    }
    static ODD: Shape = Shape::of::<Odd>();
    let (mut calls, mut out) = (Calls::new(), Vec::new());
    assert!(calls.call(&mut out, &head("A.B", 0), &ODD, &Odd(1)).is_err());
    assert_eq!(out, b"");
    calls.call(&mut out, &head("Arith.Add", 0), &ARGS, &Args { a: 7, b: 8 }).unwrap();
    assert_eq!(out, bytes(&[REQUEST, ADD_0, ARGS_TYPE, ARGS_7_8].concat()));
}

#[test]
fn a_stream_means_the_same_however_it_is_cut() {
    let input = bytes(&[REQUEST, ADD_0, ARGS_TYPE, ARGS_7_8, ADD_0, ARGS_7_8].concat());
    let mut requests = Requests::new(&Limits::default());
    let (mut buffer, mut read) = (Vec::new(), 0);
    for byte in input {
        buffer.push(byte);
        let mut taken = 0;
        if requests.needs() > buffer.len() {
            assert!(requests.next(&buffer, &mut taken).unwrap().is_none(), "it said it needs more");
        } else if let Some(request) = requests.next(&buffer, &mut taken).unwrap() {
            let Request::Call(Call { args, method: "Arith.Add", .. }) = request else { panic!() };
            assert_eq!(args.decode(), Ok(Args { a: 7, b: 8 }));
            read += 1;
        }
        buffer.drain(..taken);
    }
    assert_eq!(read, 2);
}

#[test]
fn messages_have_a_limit() {
    let limits = Limits { message: 64, ..Limits::default() };
    let input = [REQUEST, "41 ff82 01 3c"].concat();
    let (_, fatal) = requests(&bytes(&input), &limits, |_| ());
    assert!(fatal.is_some(), "before a header has come");

    // An argument: 80 bytes of text; then comes a good call.
    let long = format!("53 0c 00 50 {}", "55".repeat(80));
    let input = [REQUEST, ADD_0, &long, ARGS_TYPE, ADD_0, ARGS_7_8].concat();
    let (read, fatal) = requests(&bytes(&input), &limits, |request| match request {
        Request::TooLarge { id, method, failure } => {
            Err((id, method.to_owned(), failure.text.into_owned()))
        }
        Request::Call(Call { args, .. }) => Ok(args.decode::<Args>().unwrap()),
        other => panic!("{other:?}"),
    });
    let text = "gob: a message of 83 bytes is over the limit of 64".to_owned();
    let refused = (CallId::Number(0), "Arith.Add".to_owned(), text.clone());
    assert_eq!((read, fatal), (vec![Err(refused), Ok(Args { a: 7, b: 8 })], None));

    // A reply, and what follows an error.
    let failed = r#"11 ff86 01 09 "Arith.Add" 02 01 "x" 00"#;
    let input =
        [RESPONSE, REPLIED_ADD_0, &long, failed, &long, REPLY_TYPE, REPLIED_ADD_0, REPLY_15]
            .concat();
    let (mut answers, input) = (Answers::new(&limits), bytes(&input));
    let (mut read, mut at) = (Vec::new(), 0);
    while let Some(answer) = answers.next(&input[at..], &mut at).unwrap() {
        read.push(match answer {
            Answer::Reply { body, .. } => format!("{:?}", body.decode::<Reply>().unwrap()),
            Answer::Unreadable { error, .. } => error.0,
            Answer::Failure { failure, .. } => failure.text.into_owned(),
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(read, [&*text, "x", "Reply { c: 15 }"]);
}
