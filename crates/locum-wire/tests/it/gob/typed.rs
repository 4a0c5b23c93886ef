//! How Rust values are written and read where the two ends differ.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;

use locum_wire::gob::{Any, Bytes, Encoder, Marshal, Opaque, OpaqueKind, Schema, Stream, decode};
use locum_wire::rpc::Limits;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::hex;

/// What `value` is when it is read as a `T`.
fn sent<F: Serialize + DeserializeOwned, T: DeserializeOwned>(value: &F) -> Result<T, String> {
    let mut out = Vec::new();
    let schema = Schema::trace::<F>().unwrap();
    Encoder::new().encode(&mut out, &schema, value).map_err(|error| error.0)?;
    read(&out)
}

fn read<T: DeserializeOwned>(input: &[u8]) -> Result<T, String> {
    let mut stream = Stream::new(&Limits::default());
    let raw = stream.next(input, &mut 0).unwrap().unwrap();
    decode(raw.types, raw.id, raw.bytes).map_err(|error| error.0)
}

fn unwritten<T: Serialize + DeserializeOwned>(value: &T) -> String {
    let (mut encoder, mut out) = (Encoder::new(), b"before".to_vec());
    let schema = Schema::trace::<T>().unwrap();
    let error = encoder.encode(&mut out, &schema, value).unwrap_err();
    assert_eq!(out, b"before", "nothing was appended");
    error.0
}

mod go {
    //! Structs with names as Go has them.

    use super::*;

    #[derive(Default, Serialize, Deserialize)]
    #[serde(rename_all = "PascalCase")]
    pub(super) struct User {
        #[serde(rename = "UserID")]
        pub(super) id: i64,
        pub(super) name: String,
        pub(super) extra: Vec<BTreeMap<String, (f64, f64)>>,
        pub(super) age: i64,
    }
}

#[test]
fn an_encoder_counts_the_types_it_has_defined() {
    let (mut encoder, mut out) = (Encoder::new(), Vec::new());
    let lists = Schema::trace::<Vec<Vec<i64>>>().unwrap();
    let list = Schema::trace::<Vec<i64>>().unwrap();
    assert_eq!(encoder.defined(), 0);
    encoder.encode(&mut out, &Schema::trace::<i64>().unwrap(), &1_i64).unwrap();
    assert_eq!(encoder.defined(), 0, "what every gob knows is not defined");
    encoder.encode(&mut out, &lists, &vec![vec![1_i64]]).unwrap();
    assert_eq!(encoder.defined(), 2);
    encoder.encode(&mut out, &list, &vec![1_i64]).unwrap();
    assert_eq!(encoder.defined(), 2, "each is defined once");
}

#[test]
fn fields_are_found_by_name_whatever_its_spelling() {
    #[derive(Debug, Default, PartialEq, Deserialize)]
    struct User {
        age: i64,
        user_id: i64,
        name: String,
    }
    let user = go::User {
        id: 7,
        name: "n".to_owned(),
        extra: vec![BTreeMap::from([("k".to_owned(), (1.0, 0.0))])],
        age: 9,
    };
    assert_eq!(sent(&user), Ok(User { age: 9, user_id: 7, name: "n".to_owned() }));

    #[derive(Serialize, Deserialize)]
    struct Both {
        #[serde(rename = "USER_ID")]
        folded: i64,
        #[serde(rename = "UserId")]
        go: i64,
    }
    #[derive(Debug, PartialEq, Deserialize)]
    struct Id {
        user_id: i64,
    }
    assert_eq!(sent(&Both { folded: 1, go: 2 }), Ok(Id { user_id: 2 }));
}

#[test]
fn a_struct_without_a_field_in_common_is_refused() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Args {
        a: i64,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Other {
        x: i64,
        args: Option<Args>,
    }
    assert_eq!(
        sent::<_, Args>(&Other { x: 1, args: None }),
        Err("gob: type mismatch: no fields matched compiling decoder for Args".to_owned())
    );
    assert_eq!(sent(&()), Ok(Args { a: 0 }), "an empty struct has nothing to say");
    #[derive(Debug, PartialEq, Deserialize)]
    struct Outer {
        x: i64,
        args: Unlike,
    }
    #[derive(Debug, PartialEq, Deserialize)]
    struct Unlike {
        b: i64,
    }
    assert_eq!(
        sent(&Other { x: 1, args: Some(Args { a: 1 }) }),
        Ok(Outer { x: 1, args: Unlike { b: 0 } }),
        "only at the top"
    );
}

#[test]
fn what_did_not_come_is_zero_or_the_default() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Wide {
        user_id: i64,
        name: String,
        age: i64,
        ratio: f64,
        flag: bool,
        letter: char,
        list: Vec<i64>,
        array: [u8; 3],
        map: HashMap<String, i64>,
        bytes: Bytes,
        any: Any,
        nothing: (),
        missing: Option<i64>,
        inner: Inner,
        #[serde(default = "ten")]
        ten: i64,
        #[serde(default = "ten")]
        extra: Inner2,
        #[serde(alias = "aaa_alias")]
        aliased: i64,
        #[serde(default)]
        count: Option<NonZeroU32>,
    }
    #[derive(Debug, PartialEq, Deserialize)]
    struct Inner {
        x: i64,
        text: String,
        #[serde(default = "ten")]
        ten: i64,
        deeper: Vec<Self>,
    }
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(from = "Vec<BTreeMap<String, (f64, f64)>>")]
    struct Inner2(usize);
    impl From<Vec<BTreeMap<String, (f64, f64)>>> for Inner2 {
        fn from(list: Vec<BTreeMap<String, (f64, f64)>>) -> Self {
            Self(list.len())
        }
    }
    fn ten<T: From10>() -> T {
        T::from_10()
    }
    trait From10 {
        fn from_10() -> Self;
    }
    impl From10 for i64 {
        fn from_10() -> Self {
            10
        }
    }
    impl From10 for Inner2 {
        fn from_10() -> Self {
            Self(10)
        }
    }
    let wide = Wide {
        user_id: 7,
        name: String::new(),
        age: 0,
        ratio: 0.0,
        flag: false,
        letter: '\0',
        list: vec![],
        array: [0; 3],
        map: HashMap::new(),
        bytes: Bytes::default(),
        any: Any::default(),
        nothing: (),
        missing: None,
        inner: Inner { x: 0, text: String::new(), ten: 10, deeper: vec![] },
        ten: 10,
        extra: Inner2(0),
        aliased: 0,
        count: None,
    };
    for _ in 0..2 {
        let user = go::User { id: 7, ..go::User::default() };
        assert_eq!(
            sent::<_, Wide>(&user).as_ref(),
            Ok(&wide),
            "sent fields are zero, others default"
        );
    }
}

#[test]
fn a_field_that_cannot_be_zero_must_come() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Number {
        number: u32,
        other: u32,
    }
    #[derive(Debug, PartialEq, Deserialize)]
    struct Strict {
        number: NonZeroU32,
    }
    #[derive(Debug, PartialEq, Deserialize)]
    struct Lenient {
        #[serde(default = "one")]
        number: NonZeroU32,
    }
    fn one() -> NonZeroU32 {
        NonZeroU32::MIN
    }
    let (five, zero) = (Number { number: 5, other: 1 }, Number { number: 0, other: 1 });
    assert_eq!(sent(&five), Ok(Strict { number: NonZeroU32::new(5).unwrap() }));
    let error = sent::<_, Strict>(&zero).unwrap_err();
    assert!(error.contains("`number` was not sent, which means zero"), "{error}");
    assert_eq!(sent(&five), Ok(Strict { number: NonZeroU32::new(5).unwrap() }));
    assert_eq!(sent(&zero), Ok(Lenient { number: one() }));
}

#[test]
fn an_alias_is_read() {
    #[derive(Serialize, Deserialize)]
    struct Old {
        zip: String,
        city: String,
    }
    #[derive(Debug, PartialEq, Deserialize)]
    struct New {
        #[serde(alias = "zip")]
        post_code: String,
        city: String,
    }
    let new = |zip: &str| New { post_code: zip.to_owned(), city: "c".to_owned() };
    for zip in ["1", "", "1"] {
        let old = Old { zip: zip.to_owned(), city: "c".to_owned() };
        assert_eq!(sent(&old), Ok(new(zip)));
    }
}

#[test]
fn numbers_have_to_fit() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Wide {
        a: i64,
        list: Vec<u64>,
        real: f64,
    }
    #[derive(Debug, PartialEq, Deserialize)]
    struct Narrow {
        a: i8,
        list: Vec<u16>,
        real: f32,
    }
    let narrow = |a, list: &[u64], real| sent::<_, Narrow>(&Wide { a, list: list.to_vec(), real });
    assert_eq!(narrow(-128, &[65_535], 0.5), Ok(Narrow { a: -128, list: vec![65_535], real: 0.5 }));
    assert_eq!(narrow(128, &[], 0.0), Err("value for \"A\" out of range".to_owned()));
    assert_eq!(
        narrow(0, &[1, 65_536], 0.0),
        Err("value for \"element of List\" out of range".to_owned())
    );
    assert_eq!(narrow(0, &[], 1e39), Err("value for \"Real\" out of range".to_owned()));
    assert_eq!(narrow(0, &[], f64::INFINITY).unwrap().real, f32::INFINITY);
    assert!(sent::<_, i8>(&200_i64).is_err());
    assert_eq!(sent(&i64::from(u32::from('ß'))), Ok('ß'));
    assert!(sent::<_, char>(&-1_i64).is_err());
    assert!(sent::<_, char>(&0xd800_i64).is_err());
}

#[test]
fn types_are_not_mixed() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct One<T> {
        a: T,
        b: i64,
    }
    fn mixed<F: Serialize + DeserializeOwned, T: DeserializeOwned>(value: F) -> String {
        sent::<_, One<T>>(&One { a: value, b: 1 }).map(|_| ()).unwrap_err()
    }
    assert_eq!(mixed::<_, u8>(5_i64), "gob: wrong type (uint8) for received field One.A");
    assert_eq!(mixed::<_, i64>(5_u64), "gob: wrong type (int64) for received field One.A");
    assert_eq!(mixed::<_, f64>(5_i64), "gob: wrong type (float64) for received field One.A");
    assert_eq!(mixed::<_, i64>("5".to_owned()), "gob: wrong type (int64) for received field One.A");
    assert_eq!(
        mixed::<_, i64>(String::new()),
        "gob: wrong type (int64) for received field One.A",
        "also where nothing comes"
    );
    for error in [
        mixed::<_, Vec<i64>>(vec![5_u8]),
        mixed::<_, Vec<u64>>(vec![5_u8]),
        mixed::<_, Vec<i64>>([5_i64]),
        mixed::<_, [i64; 2]>([5_i64]),
        mixed::<_, String>(vec![5_u8]),
        mixed::<_, Vec<i64>>(HashMap::from([(1_i64, 2_i64)])),
        mixed::<_, HashMap<String, i64>>(One { a: 5_i64, b: 6 }),
    ] {
        assert!(error.starts_with("gob: wrong type ("), "{error}");
    }
    assert_eq!(
        mixed::<_, One<i64>>(5_i64),
        "gob: type mismatch in decoder: want struct type One; got non-struct"
    );
    assert_eq!(
        sent::<_, String>(&7_i64),
        Err("gob: decoding into local type string, received remote type int".to_owned())
    );
    assert_eq!(sent(&One { a: vec![5_i64], b: 1 }), Ok(()), "nothing takes anything");
}

#[test]
fn text_that_is_no_utf8_is_bytes() {
    let input = hex("05 0c 00 02 ff fe");
    assert!(read::<String>(&input).unwrap_err().contains("UTF-8"));
    assert_eq!(read::<Bytes>(&input), Ok(Bytes(vec![0xff, 0xfe])));
}

#[test]
fn what_cannot_be_written_appends_nothing() {
    let nil = unwritten(&vec![Some(1_i64), None]);
    assert!(nil.contains("nil"), "{nil}");
    assert!(unwritten(&None::<i64>).contains("nil"));
    #[derive(Serialize, Deserialize)]
    struct OneWay {
        a: i64,
        #[serde(skip_deserializing)]
        b: i64,
    }
    assert!(unwritten(&OneWay { a: 1, b: 2 }).contains("field `b` of `OneWay`"));
}

#[test]
fn after_a_failure_the_stream_is_whole() {
    let schema = Schema::trace::<Vec<Option<Any>>>().unwrap();
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Point {
        x: i64,
    }
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Holder {
        points: Vec<Option<Point>>,
        any: Any,
    }
    let holders = Schema::trace::<Holder>().unwrap();
    let (mut encoder, mut out) = (Encoder::new(), Vec::new());
    let any = Any::new("main.Point", &Point { x: 3 }).unwrap();
    let good = Holder { points: vec![Some(Point { x: 1 })], any: any.clone() };
    let bad = Holder { points: vec![None], ..good.clone() };
    encoder.encode(&mut out, &holders, &bad).unwrap_err();
    assert!(out.is_empty());
    encoder.encode(&mut out, &schema, &vec![Some(any), None]).unwrap();
    encoder.encode(&mut out, &holders, &good).unwrap();
    let mut stream = Stream::new(&Limits::default());
    let mut taken = 0;
    let raw = stream.next(&out, &mut taken).unwrap().unwrap();
    let anys: Vec<Option<Any>> = decode(raw.types, raw.id, raw.bytes).unwrap();
    assert_eq!(anys[0].as_ref().unwrap().decode::<Point>(), Ok(Point { x: 3 }));
    assert_eq!(anys[1], None);
    let mut rest = 0;
    let raw = stream.next(&out[taken..], &mut rest).unwrap().unwrap();
    let back: Holder = decode(raw.types, raw.id, raw.bytes).unwrap();
    assert_eq!(back.points, good.points);
    assert_eq!(back.any.decode::<Point>(), Ok(Point { x: 3 }));
    assert_eq!(taken + rest, out.len());
}

#[test]
fn long_messages_have_long_lengths_and_short_ones_short_again() {
    let schema = Schema::trace::<Bytes>().unwrap();
    let (mut encoder, mut whole) = (Encoder::new(), Vec::new());
    let lengths = [1, 70_000, 70_001, 1, 200, 0, 123, 124, 250, 251, 252, 253, 65_530];
    for length in lengths {
        encoder.encode(&mut whole, &schema, &Bytes(vec![9; length])).unwrap();
    }
    let (mut stream, mut taken) = (Stream::new(&Limits::default()), 0);
    for length in lengths {
        let raw = stream.next(&whole[taken..], &mut taken).unwrap().unwrap();
        assert_eq!(decode(raw.types, raw.id, raw.bytes), Ok(Bytes(vec![9; length])));
    }
    assert_eq!(taken, whole.len());
    let mut fresh = Vec::new();
    for length in lengths {
        Encoder::new().encode(&mut fresh, &schema, &Bytes(vec![9; length])).unwrap();
    }
    assert_eq!(fresh, whole, "lengths are minimal, whatever the last one was");
}

#[test]
fn interfaces_go_from_stream_to_stream() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Shape {
        name: String,
        parts: Vec<Any>,
    }
    let circle = Any::new("zoo.Circle", &BTreeMap::from([("r".to_owned(), 1.5)])).unwrap();
    let inner = Shape { name: "inner".to_owned(), parts: vec![circle, Any::from("x")] };
    let inner = Any::new("zoo.Group", &inner).unwrap();
    let outer =
        Shape { name: "outer".to_owned(), parts: vec![inner, Any::default(), Any::from(7_i64)] };
    let once: Shape = sent(&outer).unwrap();
    // A stream that has given its first numbers to other types.
    let (mut encoder, mut out) = (Encoder::new(), Vec::new());
    encoder.encode(&mut out, &Schema::trace::<[[bool; 7]; 2]>().unwrap(), &[[true; 7]; 2]).unwrap();
    encoder.encode(&mut out, &Schema::trace::<Shape>().unwrap(), &once).unwrap();
    let (mut stream, mut taken) = (Stream::new(&Limits::default()), 0);
    stream.next(&out, &mut taken).unwrap().unwrap();
    let raw = stream.next(&out[taken..], &mut taken).unwrap().unwrap();
    let twice: Shape = decode(raw.types, raw.id, raw.bytes).unwrap();
    assert_eq!((twice.name.as_str(), twice.parts.len()), ("outer", 3));
    assert!(twice.parts[1].is_nil());
    assert_eq!(twice.parts[2].decode(), Ok(7_i64));
    let inner: Shape = twice.parts[0].decode().unwrap();
    assert_eq!(inner.parts[0].decode(), Ok(BTreeMap::from([("r".to_owned(), 1.5)])));
    assert_eq!(inner.parts[1].decode(), Ok("x".to_owned()));
    assert!(inner.parts[1].decode::<i64>().is_err());
}

#[test]
fn opaque_types_make_their_own_bytes() {
    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Uuid([u8; 16]);
    impl Marshal for Uuid {
        const NAME: &'static str = "UUID";
        const KIND: OpaqueKind = OpaqueKind::BinaryMarshaler;
        fn marshal(&self) -> Vec<u8> {
            self.0.to_vec()
        }
        fn unmarshal(bytes: &[u8]) -> Result<Self, String> {
            bytes.try_into().map(Self).map_err(|_| "invalid UUID".to_owned())
        }
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Ids {
        one: Opaque<Uuid>,
        none: Opaque<Uuid>,
        many: Vec<Opaque<Uuid>>,
    }
    let id = |byte| Opaque(Uuid([byte; 16]));
    let ids = Ids { one: id(1), none: id(0), many: vec![id(0), id(2)] };
    let (mut encoder, mut out) = (Encoder::new(), Vec::new());
    let schema = Schema::trace::<Ids>().unwrap();
    encoder.encode(&mut out, &schema, &ids).unwrap();
    assert_eq!(read(&out), Ok(Ids { one: id(1), none: id(0), many: vec![id(0), id(2)] }));
    out.clear();
    encoder.encode(&mut out, &schema, &ids).unwrap();
    assert_eq!(
        out,
        hex(&format!(
            "39 ff82 01 10 {} 02 02 10 {} 10 {} 00",
            "01".repeat(16),
            "00".repeat(16),
            "02".repeat(16)
        )),
        "a zero is left out of a struct, and sent elsewhere"
    );
    #[derive(Debug, PartialEq, Deserialize)]
    struct Wrong {
        one: locum_wire::gob::Time,
    }
    let error = sent::<_, Wrong>(&ids).unwrap_err();
    assert_eq!(error, "gob: wrong type (Time) for received field Ids.One");
}
