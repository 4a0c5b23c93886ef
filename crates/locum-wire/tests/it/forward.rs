//! Calls and answers that are passed on by who does not know their types, from every protocol to every other.

use std::sync::Arc;

use locum_wire::gob::{Described, Field, Type, TypeId, Types};
use locum_wire::rpc::{
    Answer, Answers, Body, Call, CallHead, CallId, Calls, EncodeError, Failure, Form, Limits,
    Metadata, OwnedBody, Protocol, Replies, Request, Requests, Shape,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Args {
    #[serde(rename = "A")]
    a: i64,
    #[serde(rename = "B")]
    b: f64,
}

static ARGS: Shape = Shape::of::<Args>();
const SEVEN: Args = Args { a: 7, b: 8.0 };

const PROTOCOLS: [Protocol; 4] =
    [Protocol::Gob, Protocol::Json1, Protocol::Json2, Protocol::Native];

fn head(id: u64) -> CallHead<'static> {
    CallHead {
        id,
        method: "Arith.Add",
        timeout: None,
        attempt: 1,
        trace: None,
        metadata: Metadata::default(),
        streams: false,
    }
}

/// The only call in `input`.
fn call(protocol: Protocol, input: &[u8]) -> (CallId, OwnedBody) {
    let mut requests = Requests::new(protocol, &Limits::default());
    match requests.next(input, &mut 0) {
        Ok(Some(Request::Call(Call { id, method: "Arith.Add", args, .. }))) => {
            (id, args.to_owned())
        }
        other => panic!("{protocol:?}: {other:?}"),
    }
}

/// What the only answer in `input`, to call 5, gives.
fn reply(protocol: Protocol, input: &[u8]) -> OwnedBody {
    let mut answers = Answers::new(protocol, &Limits::default());
    match answers.next(input, &mut 0) {
        Ok(Some(Answer::Reply { id: 5, body })) => body.to_owned(),
        other => panic!("{protocol:?}: {other:?}"),
    }
}

/// An argument as a typed client sends it.
fn sent(protocol: Protocol) -> OwnedBody {
    let mut out = Vec::new();
    Calls::new(protocol).call(&mut out, &head(1), &ARGS, &SEVEN).unwrap();
    call(protocol, &out).1
}

/// `type Args struct { A int; B float64 }`
fn hint() -> Described {
    let mut types = Types::new();
    let fields = [("A", TypeId::INT), ("B", TypeId::FLOAT)];
    let fields = fields.map(|(name, id)| Field { name: name.into(), id });
    let id = types.add(Type::Struct { name: "Args".into(), fields: fields.into() });
    Described { types: Arc::new(types), id }
}

fn json(text: &str) -> Body<'_> {
    Body { bytes: text.as_bytes(), form: Form::Json }
}

fn forwarded(
    to: Protocol,
    args: &Body<'_>,
    hint: Option<&Described>,
) -> Result<Vec<u8>, EncodeError> {
    let mut out = b"before".to_vec();
    let written = Calls::new(to).forward(&mut out, &head(5), args, hint, &Limits::default());
    let out = out.strip_prefix(b"before").unwrap().to_vec();
    assert!(written.is_ok() || out.is_empty(), "an error leaves nothing behind");
    written.map(|()| out)
}

/// What call 5 of `protocol` is named by, where its client does not know the types.
fn untyped(protocol: Protocol) -> CallId {
    match protocol {
        Protocol::Gob => CallId::Number(5),
        Protocol::Native => CallId::NumberInJson(5),
        _ => CallId::Json { protocol, raw: Some("5".into()), batched: None },
    }
}

fn answered(
    to: Protocol,
    id: &CallId,
    body: &Body<'_>,
    hint: Option<&Described>,
) -> Result<Vec<u8>, EncodeError> {
    let mut out = b"before".to_vec();
    let limits = Limits::default();
    let written = Replies::new(to).forward(&mut out, id, "Arith.Add", body, hint, &limits);
    let out = out.strip_prefix(b"before").unwrap().to_vec();
    assert!(written.is_ok() || out.is_empty(), "an error leaves nothing behind");
    written.map(|()| out)
}

#[test]
fn an_argument_is_the_same_in_every_other_protocol() {
    let hint = hint();
    for from in PROTOCOLS {
        for to in PROTOCOLS {
            let args = sent(from);
            let forwarded = forwarded(to, &args.as_body(), Some(&hint));
            // Only its type can read postcard.
            if from == Protocol::Native && to != Protocol::Native {
                assert!(forwarded.unwrap_err().0.contains("call in JSON"), "{to:?}");
                continue;
            }
            let (id, args) = call(to, &forwarded.unwrap());
            assert_eq!(args.as_body().decode(), Ok(SEVEN), "{from:?} to {to:?}");
            let in_json = to == Protocol::Native && from != to;
            assert_eq!(matches!(id, CallId::NumberInJson(5)), in_json, "{from:?} to {to:?}");
        }
    }
}

#[test]
fn a_result_is_the_same_in_every_other_protocol() {
    let hint = hint();
    for from in PROTOCOLS {
        for to in PROTOCOLS {
            let body = sent(from);
            let id = untyped(to);
            let answered = answered(to, &id, &body.as_body(), Some(&hint));
            if from == Protocol::Native {
                assert!(answered.unwrap_err().0.contains("call in JSON"), "{to:?}");
                continue;
            }
            let read = reply(to, &answered.unwrap());
            assert_eq!(read.as_body().decode(), Ok(SEVEN), "{from:?} to {to:?}");
        }
    }
}

#[test]
fn a_native_call_is_answered_in_its_form() {
    let postcard = sent(Protocol::Native);
    let out = answered(Protocol::Native, &CallId::Number(5), &postcard.as_body(), None).unwrap();
    let read = reply(Protocol::Native, &out);
    assert!(matches!(&read, OwnedBody::Postcard(bytes) if *bytes == postcard.as_body().bytes));
    for other in [Protocol::Gob, Protocol::Json1] {
        let body = sent(other);
        let refused = answered(Protocol::Native, &CallId::Number(5), &body.as_body(), None);
        assert!(refused.unwrap_err().0.contains("call in JSON"), "{other:?}");
    }
    let id = untyped(Protocol::Json2);
    assert!(answered(Protocol::Native, &id, &json("1"), None).is_err());
}

#[test]
fn what_cannot_be_answered_can_still_be_refused() {
    let postcard = sent(Protocol::Native);
    let (mut replies, mut out) = (Replies::new(Protocol::Json2), Vec::new());
    replies.batch(1);
    let id = CallId::Json { protocol: Protocol::Json2, raw: Some("5".into()), batched: Some(0) };
    let limits = Limits::default();
    let refused = replies.forward(&mut out, &id, "Arith.Add", &postcard.as_body(), None, &limits);
    assert!(refused.is_err());
    assert_eq!((out.len(), replies.held()), (0, 0));
    replies.failure(&mut out, &id, "Arith.Add", &Failure::internal("no JSON"));
    let answer = r#"[{"jsonrpc":"2.0","error":{"code":-32603,"message":"locum: internal: no JSON"},"id":5}]"#;
    assert_eq!(out, format!("{answer}\n").as_bytes());
}

#[test]
fn nothing_is_an_empty_object() {
    static NOTHING: Shape = Shape::of::<()>();
    let mut out = Vec::new();
    let id = CallId::Number(5);
    Replies::new(Protocol::Gob).ok(&mut out, &id, "Arith.Add", &NOTHING, &()).unwrap();
    let gob = reply(Protocol::Gob, &out);
    let null = OwnedBody::Json(b"null".to_vec());
    // Go's client gives up its connection over a result that is null; in 2.0 a service may say so.
    for (body, to, expected) in [
        (&gob, Protocol::Json1, "{}"),
        (&gob, Protocol::Json2, "{}"),
        (&gob, Protocol::Native, "{}"),
        (&null, Protocol::Json1, "{}"),
        (&null, Protocol::Json2, "null"),
        (&null, Protocol::Native, "null"),
        (&null, Protocol::Gob, "{}"),
    ] {
        let out = answered(to, &untyped(to), &body.as_body(), None).unwrap();
        assert_eq!(reply(to, &out).as_body().to_json().as_deref(), Ok(expected), "{to:?}");
    }
}

#[test]
fn json_passes_verbatim_in_one_line() {
    let args = json(" {\"a\" : 1.50,\r\n \"b\":\"\\n\"}\n");
    assert_eq!(
        str::from_utf8(&forwarded(Protocol::Json1, &args, None).unwrap()).unwrap(),
        "{\"method\":\"Arith.Add\",\"params\":[{\"a\" : 1.50,   \"b\":\"\\n\"}],\"id\":5}\n"
    );
    let id = untyped(Protocol::Json1);
    assert_eq!(
        str::from_utf8(&answered(Protocol::Json1, &id, &args, None).unwrap()).unwrap(),
        "{\"id\":5,\"result\":{\"a\" : 1.50,   \"b\":\"\\n\"},\"error\":null}\n"
    );
}

/// The argument of a call of 2.0 with these params.
fn params(params: &str) -> OwnedBody {
    let call = format!(r#"{{"jsonrpc":"2.0","method":"Arith.Add","params":{params},"id":1}}"#);
    self::call(Protocol::Json2, call.as_bytes()).1
}

#[test]
fn arguments_by_position_stay_so() {
    for text in ["[7, 8]", r#"[{"A":7}]"#, "[[7,8]]", "[null]", "[]", "[7]", r#"{"A":7}"#] {
        let args = params(text);
        let out = forwarded(Protocol::Json2, &args.as_body(), None).unwrap();
        let golden = format!(
            "{{\"jsonrpc\":\"2.0\",\"method\":\"Arith.Add\",\"params\":{text},\"id\":5}}\n"
        );
        assert_eq!(str::from_utf8(&out), Ok(&*golden));
    }
    // 1.0 and all others have one argument.
    for (text, one) in [
        ("[7,8]", "[7,8]"),
        (r#"[{"A":7}]"#, r#"{"A":7}"#),
        ("[[7,8]]", "[7,8]"),
        ("[ 7 ]", "7"),
        (r#"{"A":7}"#, r#"{"A":7}"#),
    ] {
        for to in PROTOCOLS {
            let args = params(text);
            assert_eq!(args.as_body().to_json().as_deref(), Ok(one));
            let out = forwarded(to, &args.as_body(), None).unwrap();
            assert_eq!(call(to, &out).1.as_body().to_json().as_deref(), Ok(one), "{to:?}");
        }
    }
}

#[test]
fn arguments_by_position_are_fields_in_their_order() {
    let hint = hint();
    let gob = |text: &str| forwarded(Protocol::Gob, &params(text).as_body(), Some(&hint));
    for (text, expected) in [
        ("[7,8]", SEVEN),
        (r#"[{"B":8,"A":7}]"#, SEVEN),
        ("[null,8]", Args { a: 0, b: 8.0 }),
        ("[null]", Args { a: 0, b: 0.0 }),
        ("[]", Args { a: 0, b: 0.0 }),
    ] {
        let (_, args) = call(Protocol::Gob, &gob(text).unwrap());
        assert_eq!(args.as_body().decode(), Ok(expected), "{text}");
    }
    assert_eq!(gob("[1,2,3]").unwrap_err().0, "3 arguments, but Args has 2 fields");
    assert!(gob("[7.5,8]").is_err());
    let to = |to| forwarded(to, &params("[7,8]").as_body(), None).unwrap();
    let (_, list) = call(Protocol::Gob, &to(Protocol::Gob));
    assert_eq!(list.as_body().decode(), Ok(vec![7, 8]), "who does not know better");
    let (_, json) = call(Protocol::Native, &to(Protocol::Native));
    assert_eq!(json.as_body().decode(), Ok(SEVEN), "a typed server does");
}

#[test]
fn what_a_native_peer_only_calls_json_is_refused() {
    for text in ["", "{", "1 2", "0],\"id\":6}{\"method\":\"Arith.Evil\",\"params\":[1", "\"\n\""] {
        for to in PROTOCOLS {
            assert!(forwarded(to, &json(text), None).is_err(), "{to:?} {text:?}");
            assert!(answered(to, &untyped(to), &json(text), None).is_err(), "{to:?} {text:?}");
        }
    }
    let missing = forwarded(Protocol::Gob, &json(""), None).unwrap_err();
    assert_eq!(missing.0, "jsonrpc: request body missing params", "in Go's words");
}

#[test]
fn items_pass_between_native_streams() {
    let postcard = sent(Protocol::Native);
    let items = [postcard.as_body(), json("[1]")];
    let (mut calls, mut out) = (Calls::new(Protocol::Native), Vec::new());
    for item in &items {
        assert_eq!(calls.forward_item(&mut out, 5, item), Ok(item.bytes.len()));
    }
    let before = out.len();
    assert!(calls.forward_item(&mut out, 5, &json("[")).is_err());
    assert!(calls.forward_item(&mut out, 5, &sent(Protocol::Gob).as_body()).is_ok(), "as JSON");
    assert!(out.len() > before);
    let mut requests = Requests::new(Protocol::Native, &Limits::default());
    let mut at = 0;
    for expected in &items {
        let Ok(Some(Request::Item { id: 5, item })) = requests.next(&out[at..], &mut at) else {
            panic!("an item")
        };
        assert_eq!(item.bytes, expected.bytes);
        assert_eq!(format!("{:?}", item.form), format!("{:?}", expected.form));
    }

    let (mut replies, mut out) = (Replies::new(Protocol::Native), Vec::new());
    let (typed, untyped) = (CallId::Number(5), CallId::NumberInJson(5));
    assert_eq!(replies.forward_item(&mut out, &typed, &items[0]), Ok(items[0].bytes.len()));
    assert_eq!(replies.forward_item(&mut out, &untyped, &items[1]), Ok(3));
    let before = out.len();
    assert!(replies.forward_item(&mut out, &typed, &items[1]).is_err());
    assert!(replies.forward_item(&mut out, &untyped, &items[0]).is_err());
    assert_eq!(out.len(), before);
    let mut answers = Answers::new(Protocol::Native, &Limits::default());
    let mut at = 0;
    for expected in &items {
        let Ok(Some(Answer::Item { id: 5, item })) = answers.next(&out[at..], &mut at) else {
            panic!("an item")
        };
        assert_eq!(item.bytes, expected.bytes);
    }
    for protocol in [Protocol::Gob, Protocol::Json1] {
        assert!(Calls::new(protocol).forward_item(&mut out, 5, &items[1]).is_err());
        assert!(Replies::new(protocol).forward_item(&mut out, &untyped, &items[1]).is_err());
    }
}
