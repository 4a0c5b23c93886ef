//! gob, read as Rust.

use std::collections::BTreeMap;

use locum_wire::gob::{
    Any, BigInt, Bytes, Complex, Encoder, Raw, Schema, Stream, StreamError, Time, decode,
};
use locum_wire::rpc::Limits;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

/// What can be read as a Rust type can be written, reads as a value of that type again, and is written the same
/// from then on.
pub fn gob_typed(bytes: &[u8]) {
    let limits = Limits { nesting: 16, decoded: 1 << 20, ..Limits::default() };
    let mut stream = Stream::new(&limits);
    let mut rest = bytes;
    loop {
        let mut taken = 0;
        match stream.next(rest, &mut taken) {
            Ok(Some(raw)) => {
                comes_back::<Tree>(&raw);
                comes_back::<Lists>(&raw);
                comes_back::<Own>(&raw);
                comes_back::<Any>(&raw);
                comes_back::<Vec<BTreeMap<String, i8>>>(&raw);
                comes_back::<[u16; 3]>(&raw);
                let ignored = decode::<IgnoredAny>(raw.types, raw.id, raw.bytes).is_ok();
                let anything = decode::<serde_json::Value>(raw.types, raw.id, raw.bytes).is_ok();
                assert!(ignored || !anything, "what is read could be passed over");
            }
            Ok(None) | Err(StreamError::Fatal(_)) => return,
            Err(StreamError::Malformed(_) | StreamError::TooLarge(_)) => {}
        }
        rest = &rest[taken..];
    }
}

fn comes_back<T: Serialize + DeserializeOwned>(raw: &Raw<'_>) {
    let Ok(value) = decode::<T>(raw.types, raw.id, raw.bytes) else { return };
    let schema = Schema::trace::<T>().expect("gob has all of this");
    let mut written = Vec::new();
    Encoder::new().encode(&mut written, &schema, &value).expect("what was read can be written");
    let mut stream = Stream::new(&Limits::default());
    let raw = stream.next(&written, &mut 0).expect("a stream").expect("with a value");
    let back: T = decode(raw.types, raw.id, raw.bytes).expect("what was written can be read");
    let mut again = Vec::new();
    Encoder::new().encode(&mut again, &schema, &back).expect("what was read can be written");
    assert_eq!(again, written);
}

/// Its fields are those of many that are in the corpus.
#[derive(Serialize, Deserialize)]
struct Tree {
    value: i64,
    name: String,
    left: Option<Box<Self>>,
    next: Option<Box<Self>>,
    children: Vec<Self>,
    by_name: BTreeMap<String, Self>,
    count: i32,
    ratio: f32,
    yes: bool,
    at: Point,
    none: (),
    number: Option<i64>,
    twice: Option<Box<u8>>,
}

#[derive(Serialize, Deserialize)]
struct Point {
    x: i64,
    #[serde(default, alias = "Y")]
    why: i64,
}

#[derive(Serialize, Deserialize)]
struct Lists {
    ints: Vec<i64>,
    words: Vec<String>,
    flags: Vec<bool>,
    floats: Vec<f64>,
    nested: Vec<Vec<i64>>,
    points: Vec<Point>,
    by_number: BTreeMap<i64, String>,
    lists: BTreeMap<String, Vec<i64>>,
    three: [i64; 3],
    grid: [[i64; 2]; 2],
    raw: [u8; 4],
    some: Vec<u8>,
    every: Bytes,
    max_u8: u8,
    min_i8: i8,
    min_i64: i64,
    max_u64: u64,
}

#[derive(Serialize, Deserialize)]
struct Own {
    utc: Time,
    many: Vec<Time>,
    huge: Option<BigInt>,
    whole: Complex,
    first: Any,
    rest: Vec<Any>,
    named: BTreeMap<String, Any>,
    values: Vec<Option<Any>>,
}
