//! What gob's own types are in other formats.

use locum_wire::gob::{Any, BigInt, Bytes, Complex, Time};
use locum_wire::rpc::{Body, CallId, Form, Protocol, Replies, Shape};
use serde::{Deserialize, Serialize};

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Own {
    time: Time,
    small: BigInt,
    huge: BigInt,
    bytes: Bytes,
    anything: Any,
    none: Any,
}

const HUGE: &str = "117181859781277500000000000000000000000000000000000000000000000000007";

fn own() -> Own {
    Own {
        time: Time::parse("2026-11-25T08:30:00.5+01:00").unwrap(),
        small: BigInt::from(-42),
        huge: BigInt::parse(HUGE).unwrap(),
        bytes: Bytes(b"hello".to_vec()),
        anything: Any::from(7_i64),
        none: Any::default(),
    }
}

#[test]
fn in_json_they_are_what_go_makes_of_them() {
    let json = format!(
        r#"{{"time":"2026-11-25T08:30:00.5+01:00","small":-42,"huge":{HUGE},"bytes":"aGVsbG8=","anything":7,"none":null}}"#
    );
    assert_eq!(serde_json::to_string(&own()).unwrap(), json);
    assert_eq!(serde_json::from_str::<Own>(&json).unwrap(), own());
    let body = Body { bytes: json.as_bytes(), form: Form::Json };
    assert_eq!(body.decode(), Ok(own()));
    let nothing = Body { bytes: b"{}", form: Form::Json };
    assert_eq!(nothing.decode(), Ok(Own::default()));
}

#[test]
fn in_answers_of_json_rpc_they_are_the_same() {
    let mut out = Vec::new();
    let id = CallId::Json { raw: Some("1".into()), batched: None, protocol: Protocol::Json2 };
    let shape = Shape::of::<Own>();
    Replies::new(Protocol::Json2).ok(&mut out, &id, "Own.Get", &shape, &own()).unwrap();
    let answer = String::from_utf8(out).unwrap();
    assert!(answer.contains(&serde_json::to_string(&own()).unwrap()), "{answer}");
}

#[test]
fn in_json_any_is_what_it_holds() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Point {
        x: i64,
        y: f64,
    }
    let any = Any::new("main.Point", &vec![Point { x: 1, y: 0.5 }]).unwrap();
    assert_eq!(serde_json::to_string(&any).unwrap(), r#"[{"X":1,"Y":0.5}]"#);
    let any: Any = serde_json::from_str(r#"[{"X": 1, "y": 0.5}]"#).unwrap();
    assert_eq!(any.name(), "array");
    assert_eq!(any.decode(), Ok(vec![Point { x: 1, y: 0.5 }]));
    for (json, name) in
        [("true", "bool"), ("-1", "int64"), ("1.5", "float64"), (r#""x""#, "string")]
    {
        let any: Any = serde_json::from_str(json).unwrap();
        assert_eq!((any.name(), serde_json::to_string(&any).unwrap().as_str()), (name, json));
    }
}

#[test]
fn in_postcard_they_are_plain() {
    let bytes = postcard::to_allocvec(&(own(), Complex { re: 1.0, im: -2.0 })).unwrap();
    let body = Body { bytes: &bytes, form: Form::Postcard };
    assert_eq!(body.decode(), Ok((own(), Complex { re: 1.0, im: -2.0 })));
    let time = postcard::to_allocvec(&own().time).unwrap();
    assert_eq!((time.len(), time[0]), (16, 15), "a length and Go's bytes");
}
