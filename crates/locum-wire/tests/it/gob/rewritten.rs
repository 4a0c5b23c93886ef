//! What Go wrote, read as Rust and written again: the same bytes, but for definitions.

use locum_wire::gob::{BigInt, Bytes, Complex, Encoder, Schema, Stream, Time, Typed, decode};
use locum_wire::rpc::Limits;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::corpus;

macro_rules! structs {
    ($($name:ident { $($(#[$of:meta])* $field:ident: $kind:ty),* $(,)? })*) => {$(
        #[derive(Serialize, Deserialize)]
        struct $name { $($(#[$of])* $field: $kind),* }
    )*};
}

structs! {
    Point { x: i64, y: i64 }
    Line { from: Point, to: Point }
    Empty {}
    Structs { name: String, count: i64, ratio: f64, yes: bool, at: Point, line: Line, none: Empty }
    Tree { value: i64, left: Option<Box<Tree>>, right: Option<Box<Tree>> }
    List { value: i64, next: Option<Box<List>> }
    Slices {
        ints: Vec<i64>, words: Vec<String>, flags: Vec<bool>, floats: Vec<f64>,
        nested: Vec<Vec<i64>>, points: Vec<Point>, none: Vec<i64>,
    }
    Arrays {
        three: [i64; 3], grid: [[i64; 2]; 2], words: [String; 2], raw: [u8; 4], zeros: [i64; 2],
    }
    Pointers {
        number: Option<i64>, text: Option<String>, none: Option<i64>,
        twice: Option<Box<Option<i64>>>, point: Option<Point>, no_point: Option<Point>,
    }
    Blobs { some: Vec<u8>, none: Bytes, every: Bytes }
    Strings { plain: String, unicode: String, none: String, long: String, odd: String }
    Ints {
        min_i8: i8, max_i8: i8, min_i16: i16, max_i16: i16, min_i32: i32, max_i32: i32, min_i64: i64,
        max_i64: i64, max_u8: u8, max_u16: u16, max_u32: u32, max_u64: u64, minus: i64, top: usize,
    }
    Reals { third: f64, max: f64, least: f64, minus: f64, single: f32, large: f64 }
    Floats { #[serde(rename = "NaN")] nan: f64, inf: f64, minus_inf: f64, zeros: Vec<f64>, single: f32 }
    Complexes { whole: Complex, far: Complex, single: Complex, many: Vec<Complex> }
    Times { utc: Time, zoned: Time, many: Vec<Time>, zero: Time }
    Bigs { small: BigInt, huge: BigInt, minus: BigInt, zero: BigInt }
    Base { id: i64, label: String }
    Extra { more: String }
    Derived { base: Base, extra: Option<Extra>, note: String }
}

/// The values of a stream: their bytes, and what a reader without types makes of them.
fn values(mut input: &[u8]) -> Vec<(Vec<u8>, Option<Json>)> {
    let (mut stream, limits, mut values) =
        (Stream::new(&Limits::default()), Limits::default(), vec![]);
    loop {
        let mut taken = 0;
        let Some(raw) = stream.next(input, &mut taken).unwrap() else { return values };
        let json = Typed::decode(&raw, &limits).unwrap().to_json(&limits).ok();
        values.push((raw.bytes.to_vec(), json.map(|json| serde_json::from_str(&json).unwrap())));
        input = &input[taken..];
    }
}

fn rewritten<T: Serialize + DeserializeOwned>(mut input: &[u8]) -> Vec<u8> {
    let schema = Schema::trace::<T>().unwrap();
    let (mut stream, mut encoder, mut out) =
        (Stream::new(&Limits::default()), Encoder::new(), Vec::new());
    loop {
        let mut taken = 0;
        let Some(raw) = stream.next(input, &mut taken).unwrap() else { return out };
        let value: T = decode(raw.types, raw.id, raw.bytes).unwrap();
        encoder.encode(&mut out, &schema, &value).unwrap();
        input = &input[taken..];
    }
}

#[test]
fn what_go_wrote_is_written_the_same() {
    let mut seen = 0;
    for line in corpus() {
        let name = line.name.split(' ').next().unwrap();
        let written = match name {
            "Structs" => rewritten::<Structs>(&line.bytes),
            "Tree" => rewritten::<Tree>(&line.bytes),
            "List" => rewritten::<List>(&line.bytes),
            "Slices" => rewritten::<Slices>(&line.bytes),
            "Arrays" => rewritten::<Arrays>(&line.bytes),
            "Pointers" => rewritten::<Pointers>(&line.bytes),
            "Bytes" => rewritten::<Blobs>(&line.bytes),
            "Strings" => rewritten::<Strings>(&line.bytes),
            "Ints" => rewritten::<Ints>(&line.bytes),
            "Reals" => rewritten::<Reals>(&line.bytes),
            "Floats" => rewritten::<Floats>(&line.bytes),
            "Complexes" => rewritten::<Complexes>(&line.bytes),
            "Times" => rewritten::<Times>(&line.bytes),
            "Bigs" => rewritten::<Bigs>(&line.bytes),
            "Embedded" => rewritten::<Derived>(&line.bytes),
            _ => continue,
        };
        let (go, ours) = (values(&line.bytes), values(&written));
        assert_eq!(go, ours, "{}", line.name);
        seen += 1;
    }
    assert_eq!(seen, 30, "of two Gos");
}
