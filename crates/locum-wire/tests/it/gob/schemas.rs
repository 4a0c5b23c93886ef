//! What Rust types look like in gob, and which do not.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::num::{NonZeroI16, NonZeroU32};

use locum_wire::gob::{Any, BigInt, Bytes, Complex, Encoder, Schema, Stream, Time, Type, TypeId};
use locum_wire::rpc::Limits;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A type as Go would write it, as far as a stream tells.
fn described<T: Serialize + DeserializeOwned>(value: &T) -> String {
    let schema = Schema::trace::<T>().unwrap();
    let mut out = Vec::new();
    Encoder::new().encode(&mut out, &schema, value).unwrap();
    let mut stream = Stream::new(&Limits::default());
    let raw = stream.next(&out, &mut 0).unwrap().unwrap();
    let mut text = String::new();
    describe(raw.types, raw.id, &mut Vec::new(), &mut text);
    text
}

fn describe(
    types: &locum_wire::gob::Types,
    id: TypeId,
    within: &mut Vec<TypeId>,
    out: &mut String,
) {
    match types.get(id).unwrap() {
        Type::Array { elem, len, .. } => {
            *out += &format!("[{len}]");
            describe(types, *elem, within, out);
        }
        Type::Slice { elem, .. } => {
            *out += "[]";
            describe(types, *elem, within, out);
        }
        Type::Map { key, elem, .. } => {
            *out += "map[";
            describe(types, *key, within, out);
            *out += "]";
            describe(types, *elem, within, out);
        }
        Type::Struct { name, .. } if within.contains(&id) => *out += name,
        Type::Struct { name, fields } => {
            within.push(id);
            *out += &format!("{name}{{");
            for (at, field) in fields.iter().enumerate() {
                *out += &format!("{}{} ", if at > 0 { "; " } else { "" }, field.name);
                describe(types, field.id, within, out);
            }
            *out += "}";
            within.pop();
        }
        other => *out += other.name(),
    }
}

fn refused<T: DeserializeOwned>() -> String {
    Schema::trace::<T>().unwrap_err().0
}

#[test]
fn basic_types_are_those_of_gob() {
    assert_eq!(described(&true), "bool");
    assert_eq!(described(&1_i8), "int");
    assert_eq!(described(&'x'), "int");
    assert_eq!(described(&1_u8), "uint");
    assert_eq!(described(&1_usize), "uint");
    assert_eq!(described(&1.5_f32), "float");
    assert_eq!(described(&"text".to_owned()), "string");
    assert_eq!(described(&vec![1_u8]), "bytes");
    assert_eq!(described(&VecDeque::from([1_u8])), "bytes");
    assert_eq!(described(&Bytes(vec![1])), "bytes");
    assert_eq!(described(&[1_u8; 3]), "[3]uint");
    assert_eq!(described(&vec![Some(1_u8)]), "[]uint");
    assert_eq!(described(&Complex::default()), "complex");
    assert_eq!(described(&Any::from(true)), "interface");
    assert_eq!(described(&Time::default()), "Time");
    assert_eq!(described(&BigInt::default()), "Int");
    assert_eq!(described(&()), "{}");
}

#[test]
fn composite_types_are_those_of_gob() {
    assert_eq!(described(&vec![vec!["a".to_owned()]]), "[][]string");
    assert_eq!(described(&[[1_i64; 2]; 3]), "[3][2]int");
    assert_eq!(described(&(1.0, 2.0)), "[2]float");
    assert_eq!(described(&HashMap::from([("a".to_owned(), vec![1_u16])])), "map[string][]uint");
    assert_eq!(described(&BTreeMap::from([([1_u8; 2], ())])), "map[[2]uint]{}");
    assert_eq!(described(&Box::new(Some(1_i64))), "int");
}

#[test]
fn structs_are_spelled_as_go_exports_them() {
    #[derive(Serialize, Deserialize)]
    struct User {
        user_id: UserId,
        #[serde(rename = "EMail")]
        mail: Option<String>,
        pair: Pair,
        nothing: Nothing,
        r#type: Box<Marker>,
        #[serde(skip)]
        _cache: i32,
    }
    #[derive(Serialize, Deserialize)]
    struct UserId(u64);
    #[derive(Serialize, Deserialize)]
    struct Pair(f32, f32);
    #[derive(Serialize, Deserialize)]
    struct Nothing {}
    #[derive(Serialize, Deserialize)]
    struct Marker;
    let user = User {
        user_id: UserId(1),
        mail: None,
        pair: Pair(0.0, 0.0),
        nothing: Nothing {},
        r#type: Box::new(Marker),
        _cache: 0,
    };
    assert_eq!(
        described(&user),
        "User{UserId uint; EMail string; Pair [2]float; Nothing Nothing{}; Type Marker{}}"
    );
}

#[test]
fn a_type_may_be_part_of_itself() {
    #[derive(Default, Serialize, Deserialize)]
    struct Tree {
        value: i64,
        left: Option<Box<Self>>,
        right: Option<Box<Self>>,
        others: Vec<Self>,
        by_name: HashMap<String, Self>,
        layers: Vec<Option<Vec<Self>>>,
    }
    assert_eq!(
        described(&Tree::default()),
        "Tree{Value int; Left Tree; Right Tree; Others []Tree; ByName map[string]Tree; Layers [][]Tree}"
    );
    #[derive(Default, Serialize, Deserialize)]
    struct Ping {
        pongs: Vec<Pong>,
    }
    #[derive(Default, Serialize, Deserialize)]
    struct Pong {
        name: String,
        ping: Option<Box<Ping>>,
    }
    assert_eq!(described(&Ping::default()), "Ping{Pongs []Pong{Name string; Ping Ping}}");
    assert_eq!(described(&Pong::default()), "Pong{Name string; Ping Ping{Pongs []Pong}}");
}

#[test]
fn what_refuses_zero_is_given_something_else() {
    #[derive(Serialize, Deserialize)]
    struct Picky {
        first: NonZeroU32,
        email: Email,
        second: NonZeroI16,
        odd: Odd,
    }
    #[derive(Serialize, Deserialize)]
    #[serde(try_from = "String", into = "String")]
    #[derive(Clone)]
    struct Email(String);
    impl TryFrom<String> for Email {
        type Error = &'static str;
        fn try_from(text: String) -> Result<Self, &'static str> {
            if text.contains('@') { Ok(Self(text)) } else { Err("no @") }
        }
    }
    impl From<Email> for String {
        fn from(email: Email) -> Self {
            email.0
        }
    }
    #[derive(Clone, Copy, Serialize, Deserialize)]
    #[serde(try_from = "u8", into = "u8")]
    enum Odd {
        One = 1,
    }
    impl TryFrom<u8> for Odd {
        type Error = &'static str;
        fn try_from(number: u8) -> Result<Self, &'static str> {
            if number == 1 { Ok(Self::One) } else { Err("not odd") }
        }
    }
    impl From<Odd> for u8 {
        fn from(odd: Odd) -> Self {
            odd as Self
        }
    }
    let picky = Picky {
        first: NonZeroU32::MIN,
        email: Email("a@b".to_owned()),
        second: NonZeroI16::MAX,
        odd: Odd::One,
    };
    assert_eq!(described(&picky), "Picky{First uint; Email string; Second int; Odd uint}");

    #[derive(Debug, Deserialize)]
    #[serde(try_from = "String")]
    struct Never;
    impl TryFrom<String> for Never {
        type Error = &'static str;
        fn try_from(_: String) -> Result<Self, &'static str> {
            Err("never")
        }
    }
    assert!(refused::<Never>().contains("never; it refuses every value"), "{}", refused::<Never>());
}

#[test]
fn an_alias_is_no_field() {
    #[derive(Serialize, Deserialize)]
    struct Aliased {
        #[serde(alias = "zip", alias = "aaa")]
        post_code: String,
        other: i64,
        #[serde(rename = "Last", alias = "Final")]
        last: bool,
    }
    let aliased = Aliased { post_code: String::new(), other: 0, last: true };
    assert_eq!(described(&aliased), "Aliased{PostCode string; Other int; Last bool}");
}

#[test]
fn what_gob_has_not_is_refused_with_a_way_out() {
    #[derive(Debug, Deserialize)]
    struct Order {
        #[expect(dead_code, reason = "only its type matters")]
        status: Status,
    }
    #[derive(Debug, Deserialize)]
    enum Status {
        Open,
    }
    let _ = Status::Open;
    let text = refused::<Order>();
    assert!(
        text.starts_with("field `status` of `Order`: gob has no enums, such as `Status`: use"),
        "{text}"
    );

    #[derive(Debug, Deserialize)]
    struct Flat {
        #[serde(flatten)]
        #[expect(dead_code, reason = "only its type matters")]
        more: Inner,
    }
    #[derive(Debug, Deserialize)]
    struct Inner {
        #[expect(dead_code, reason = "only its type matters")]
        x: i64,
    }
    assert!(refused::<Flat>().contains("cannot flatten"));
    #[derive(Debug, Deserialize)]
    #[serde(untagged)]
    enum Either {
        #[expect(dead_code, reason = "only its type matters")]
        Left(i64),
    }
    assert!(refused::<Either>().contains("gob::Any"));
    assert!(refused::<serde_json::Value>().contains("gob::Any"));
    assert!(refused::<(i64, String)>().contains("use a struct"));
    assert!(refused::<i128>().contains("BigInt"));
    assert!(refused::<Option<u128>>().contains("BigInt"));
    #[derive(Debug, Deserialize)]
    struct Same {
        #[expect(dead_code, reason = "only its type matters")]
        user_id: i64,
        #[serde(rename = "UserId")]
        #[expect(dead_code, reason = "only its type matters")]
        other: i64,
    }
    assert!(refused::<Same>().contains("another field is"));
}
