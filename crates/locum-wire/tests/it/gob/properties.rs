//! What holds for all values.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use locum_wire::gob::{Any, BigInt, Bytes, Complex, Encoder, Schema, Stream, Time, Typed, decode};
use locum_wire::rpc::Limits;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Everything {
    flag: bool,
    tiny: i8,
    int: i64,
    byte: u8,
    uint: u64,
    float: f64,
    letter: char,
    text: String,
    bytes: Bytes,
    octets: Vec<u8>,
    complex: Complex,
    time: Time,
    big: BigInt,
    any: Any,
    pair: (i32, i32),
    strings: [String; 2],
    words: Vec<String>,
    grid: Vec<Vec<u16>>,
    names: BTreeMap<String, i64>,
    maybe: Option<String>,
    inner: Inner,
    parts: Vec<Self>,
    by_key: BTreeMap<i16, Self>,
    next: Option<Box<Self>>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Inner {
    a: i64,
    b: Option<u32>,
}

fn leaf() -> impl Strategy<Value = Everything> {
    let numbers = (any::<bool>(), any::<i8>(), any::<i64>(), any::<u8>(), any::<u64>());
    let texts = (any::<char>(), any::<String>(), vec(any::<u8>(), 0..300), vec(any::<u8>(), 0..9));
    let reals = (any::<f64>(), any::<(f32, f32)>(), any::<(u32, u32)>(), any::<i128>());
    let lists = (
        any::<(i32, i32)>(),
        any::<[String; 2]>(),
        vec("[a-c]{0,3}", 0..4),
        vec(vec(any::<u16>(), 0..3), 0..3),
        btree_map("[a-c]{0,3}", any::<i64>(), 0..4),
    );
    let options = ("[a-c]{1,3}", any::<i64>(), proptest::option::of(1_u32..), 0..4_u8);
    (numbers, texts, reals, lists, options).prop_map(|(numbers, texts, reals, lists, options)| {
        let (flag, tiny, int, byte, uint) = numbers;
        let (letter, text, bytes, octets) = texts;
        let (float, (re, im), (seconds, nanos), big) = reals;
        let (pair, strings, words, grid, names) = lists;
        let (some, a, b, kind) = options;
        Everything {
            flag,
            tiny,
            int,
            byte,
            uint,
            float,
            letter,
            any: match kind {
                0 => Any::default(),
                1 => Any::from(int),
                2 => Any::new("zoo.Inner", &Inner { a, b }).unwrap(),
                _ => Any::new("zoo.Names", &names).unwrap(),
            },
            text,
            bytes: Bytes(bytes),
            octets,
            complex: Complex { re: re.into(), im: im.into() },
            time: Time::from_unix(seconds.into(), nanos % 1_000_000_000).unwrap(),
            big: BigInt::from(big),
            pair,
            strings,
            words,
            grid,
            names,
            maybe: (kind > 1).then_some(some),
            inner: Inner { a, b },
            ..Everything::default()
        }
    })
}

fn everything() -> impl Strategy<Value = Everything> {
    leaf().prop_recursive(3, 12, 3, |inner| {
        (leaf(), vec(inner.clone(), 0..3), btree_map(any::<i16>(), inner.clone(), 0..2), inner)
            .prop_map(|(leaf, parts, by_key, next)| Everything {
                parts,
                by_key,
                next: Some(Box::new(next)),
                ..leaf
            })
    })
}

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::trace::<Everything>().unwrap());

/// The values of a stream, each as bytes and as Rust.
fn read(mut input: &[u8]) -> Vec<(Vec<u8>, Everything)> {
    let (mut stream, mut values) = (Stream::new(&Limits::default()), Vec::new());
    loop {
        let mut taken = 0;
        let Some(raw) = stream.next(input, &mut taken).unwrap() else { return values };
        let value = decode(raw.types, raw.id, raw.bytes).unwrap();
        values.push((raw.bytes.to_vec(), value));
        input = &input[taken..];
    }
}

/// An interface holds a stream, which is another after every move. All else is compared.
fn without_interfaces(value: &Everything) -> Everything {
    Everything {
        any: Any::default(),
        parts: value.parts.iter().map(without_interfaces).collect(),
        by_key: value.by_key.iter().map(|(key, it)| (*key, without_interfaces(it))).collect(),
        next: value.next.as_deref().map(|next| Box::new(without_interfaces(next))),
        ..value.clone()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn values_come_back_and_say_the_same_again(values in vec(everything(), 1..3)) {
        let (mut encoder, mut out) = (Encoder::new(), Vec::new());
        for value in &values {
            encoder.encode(&mut out, &SCHEMA, value).unwrap();
        }
        let back = read(&out);
        prop_assert_eq!(back.len(), values.len());
        let (mut encoder, mut again) = (Encoder::new(), Vec::new());
        for ((_, back), value) in back.iter().zip(&values) {
            prop_assert_eq!(without_interfaces(back), without_interfaces(value));
            prop_assert_eq!(back.any.name(), value.any.name());
            if back.any.name() == "zoo.Inner" {
                prop_assert_eq!(back.any.decode::<Inner>(), value.any.decode::<Inner>());
            }
            encoder.encode(&mut again, &SCHEMA, back).unwrap();
        }
        prop_assert_eq!(again, out);
    }

    #[test]
    fn a_reader_without_types_sees_the_same(value in everything()) {
        let limits = Limits::default();
        let mut out = Vec::new();
        Encoder::new().encode(&mut out, &SCHEMA, &value).unwrap();
        let mut stream = Stream::new(&limits);
        let raw = stream.next(&out, &mut 0).unwrap().unwrap();
        let typed = Typed::decode(&raw, &limits).unwrap();
        let mut again = Vec::new();
        Encoder::new().put(&mut again, &typed).unwrap();
        prop_assert_eq!(&again, &out);
    }

    #[test]
    fn damaged_values_are_refused_or_read(
        value in everything(),
        at in any::<prop::sample::Index>(),
        by in 1..=255_u8,
        end in any::<prop::sample::Index>(),
    ) {
        let mut out = Vec::new();
        Encoder::new().encode(&mut out, &SCHEMA, &value).unwrap();
        let mut stream = Stream::new(&Limits::default());
        let raw = stream.next(&out, &mut 0).unwrap().unwrap();
        let mut bytes = raw.bytes.to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= by;
        let _ = decode::<Everything>(raw.types, raw.id, &bytes);
        bytes[at] ^= by;
        let end = end.index(bytes.len());
        prop_assert!(decode::<Everything>(raw.types, raw.id, &bytes[..end]).is_err());
        prop_assert!(decode::<Everything>(raw.types, raw.id, &[raw.bytes, &[0]].concat()).is_err());
    }
}
