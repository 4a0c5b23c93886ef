//! Values that mean harm to the Rust types that they are read as.

use std::collections::HashMap;

use allocation_counter::measure;
use locum_wire::gob::{Any, Bytes, Encoder, Schema, Stream, decode};
use locum_wire::rpc::Limits;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Node {
    value: i64,
    next: Option<Box<Self>>,
    nodes: Vec<Self>,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Fat {
    text: [String; 16],
    more: [Vec<u8>; 16],
}

/// The definitions of `T`, and its number.
fn defined<T: Serialize + DeserializeOwned>(value: &T) -> (Stream, i32) {
    within(value, &Limits::default())
}

fn within<T: Serialize + DeserializeOwned>(value: &T, limits: &Limits) -> (Stream, i32) {
    let mut out = Vec::new();
    Encoder::new().encode(&mut out, &Schema::trace::<T>().unwrap(), value).unwrap();
    let mut stream = Stream::new(limits);
    let id = stream.next(&out, &mut 0).unwrap().unwrap().id;
    (stream, id.get())
}

fn uint(value: usize) -> Vec<u8> {
    match value {
        0..0x80 => vec![value as u8],
        _ => [&[0xf8][..], &(value as u64).to_be_bytes()].concat(),
    }
}

/// Reads a value whose bytes are given, with no more than so many bytes in use at once.
fn read<T: DeserializeOwned>(
    (stream, id): &mut (Stream, i32),
    before: &[u8],
    bytes: &[u8],
    most: usize,
) -> Result<T, String> {
    let payload = [&uint(2 * *id as usize), before, bytes].concat();
    let message = [uint(payload.len()), payload].concat();
    let raw = stream.next(&message, &mut 0).unwrap().unwrap();
    let mut result = Err(String::new());
    let used = measure(|| {
        result = decode::<T>(raw.types, raw.id, raw.bytes).map_err(|error| error.0);
    });
    assert!(used.bytes_max as usize <= most, "{} bytes in use", used.bytes_max);
    result
}

#[test]
fn values_nest_as_deep_as_the_limit() {
    let mut node = defined(&Node::default());
    let nested = |depth| [[2].repeat(depth), [0].repeat(depth + 1)].concat();
    assert!(read::<Node>(&mut node, &[], &nested(63), 64 << 10).is_ok());
    let deep = Err("gob: value nests too deeply".to_owned());
    for depth in [64, 100_000] {
        assert_eq!(read::<Node>(&mut node, &[], &nested(depth), 64 << 10), deep);
        assert_eq!(read::<()>(&mut node, &[], &nested(depth), 1024).err(), deep.clone().err());
        let ignored = read::<IgnoredAny>(&mut node, &[], &nested(depth), 1024);
        assert_eq!(ignored.err(), deep.clone().err());
    }
    let lists = |depth| [[3, 1].repeat(depth), [0].repeat(depth + 1)].concat();
    assert!(read::<Node>(&mut node, &[], &lists(31), 64 << 10).is_ok());
    assert_eq!(read::<Node>(&mut node, &[], &lists(32), 64 << 10), deep);
    let limits = Limits { nesting: 3, ..Limits::default() };
    let mut node = within(&Node::default(), &limits);
    assert!(read::<Node>(&mut node, &[], &nested(2), 1024).is_ok());
    assert_eq!(read::<Node>(&mut node, &[], &nested(3), 1024), deep);
}

#[test]
fn counts_make_no_room_for_what_is_not_there() {
    let huge = [0xf8, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    let error = "gob: length exceeds input size";
    let zero = &[0][..];
    fn refused<T: DeserializeOwned>(
        types: &mut (Stream, i32),
        before: &[u8],
        bytes: &[u8],
    ) -> String {
        read::<T>(types, before, bytes, 1024).map(|_| ()).unwrap_err()
    }
    assert_eq!(refused::<Vec<i64>>(&mut defined(&vec![1_i64]), zero, &huge), error);
    assert_eq!(refused::<Vec<()>>(&mut defined(&vec![()]), zero, &huge), error);
    assert_eq!(refused::<Vec<u8>>(&mut defined(&vec![1_u8]), zero, &huge), error);
    assert_eq!(refused::<Bytes>(&mut defined(&Bytes(vec![])), zero, &huge), error);
    assert_eq!(refused::<String>(&mut defined(&String::new()), zero, &huge), error);
    let mut map = defined(&HashMap::from([(1_i64, 1_i64)]));
    assert_eq!(refused::<HashMap<i64, i64>>(&mut map, zero, &huge), error);
    assert_eq!(refused::<()>(&mut map, zero, &huge), error);
    // As many as there are bytes, but each element takes more than one.
    let mut fat = defined(&vec![Fat::default()]);
    let count = 100_000;
    let bytes = [uint(count), vec![1; count]].concat();
    // Serde itself makes room for up to a MiB before the first.
    assert!(read::<Vec<Fat>>(&mut fat, zero, &bytes, 2 << 20).is_err());
}

#[test]
fn what_is_small_on_the_wire_and_large_in_memory_is_limited() {
    let limits = Limits { decoded: 1 << 20, ..Limits::default() };
    let zero = &[0][..];
    // An empty struct takes one byte here, and 768 there.
    let mut fat = within(&vec![Fat::default()], &limits);
    let fats = |count| [uint(count), vec![0; count]].concat();
    assert!(read::<Vec<Fat>>(&mut fat, zero, &fats(1000), 4 << 20).is_ok());
    let error = "gob: value takes too much memory";
    assert_eq!(read::<Vec<Fat>>(&mut fat, zero, &fats(2_000_000), 4 << 20), Err(error.to_owned()));
    // Nothing takes one byte here, and none there; only its time is limited.
    let mut nothing = within(&vec![()], &limits);
    assert_eq!(
        read::<Vec<()>>(&mut nothing, zero, &fats(1_000_000), 1024).unwrap().len(),
        1_000_000
    );
    assert_eq!(read::<Vec<()>>(&mut nothing, zero, &fats(2_000_000), 1024), Err(error.to_owned()));
}

#[test]
fn the_types_that_an_interface_takes_along_are_limited() {
    let limits = Limits { decoded: 4 << 20, definitions: 2 << 20, ..Limits::default() };
    let mut stream = Stream::new(&limits);
    let name = "N".repeat(1 << 20);
    let slice = [&[2, 1, 2][..], &uint(130), &[0, 1, 16, 0, 0]].concat();
    let empty = [&[3, 1, 1][..], &uint(name.len()), name.as_bytes(), &[1], &uint(132), &[0; 3]];
    for (id, description) in [(65, slice), (66, empty.concat())] {
        let body = [uint(2 * (id - 1) + 1), description].concat();
        let definition = [uint(body.len()), body].concat();
        assert!(stream.next(&definition, &mut 0).unwrap().is_none());
    }
    // Of a few bytes each, and of a type whose name takes a MiB.
    let bytes = [uint(1000), [&[1, b'N'][..], &uint(132), &[1, 0]].concat().repeat(1000)].concat();
    let anys = read::<Vec<Any>>(&mut (stream, 65), &[0], &bytes, 16 << 20);
    assert_eq!(anys, Err("gob: value takes too much memory".to_owned()));
}

/// `type Node struct { Next any }`, so many of them, each in the one before.
fn linked(nodes: usize) -> Vec<u8> {
    let mut value = vec![0];
    for _ in 1..nodes {
        value = [&[1, 1, b'N'][..], &uint(130), &uint(value.len()), &value, &[0]].concat();
    }
    value
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Link {
    next: Any,
}

#[test]
fn interfaces_are_no_levels_of_nesting() {
    let mut link = defined(&Link::default());
    let mut first = Some(read::<Link>(&mut link, &[], &linked(40), 1 << 20).unwrap());
    let mut found = 0;
    while let Some(link) = first {
        found += 1;
        let mut again = Vec::new();
        Encoder::new().encode(&mut again, &Schema::trace::<Link>().unwrap(), &link).unwrap();
        first = (!link.next.is_nil()).then(|| link.next.decode().unwrap());
    }
    assert_eq!(found, 40);
    let untyped = read::<serde_json::Value>(&mut link, &[], &linked(40), 1 << 20).unwrap();
    assert_eq!(untyped.to_string().matches("Next").count(), 39);
}

#[test]
fn an_interface_holds_no_interface() {
    let (stream, _) = defined(&Link::default());
    let nested = [1, b'N', 16, 6, 0, 1, b'N', 4, 2, 0, 2];
    let id = locum_wire::gob::TypeId::INTERFACE;
    let error = decode::<serde_json::Value>(stream.types(), id, &nested).unwrap_err().0;
    assert_eq!(decode::<Any>(stream.types(), id, &nested).unwrap_err().0, error);
}

#[test]
fn an_any_whose_stream_is_endless_is_refused() {
    let bytes = [&[1, b'N', 9, 0xf8][..], &[0xff; 8]].concat();
    let any: Any = postcard::from_bytes(&bytes).unwrap();
    assert_eq!(any.decode::<i64>().unwrap_err().0, "gob: invalid message length");
}

#[test]
fn fields_out_of_bounds_are_refused() {
    let mut node = defined(&Node::default());
    let error = "gob: corrupted data: field numbers out of bounds";
    for bytes in
        [&[4, 0][..], &[1, 2, 3, 0], &[0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]]
    {
        assert_eq!(read::<Node>(&mut node, &[], bytes, 1024).unwrap_err(), error);
        assert_eq!(read::<()>(&mut node, &[], bytes, 1024).unwrap_err(), error);
    }
    let huge = [1, 2, 0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    assert!(read::<Node>(&mut node, &[], &huge, 1024).is_err());
}

#[test]
fn a_struct_of_many_fields_is_matched_in_time() {
    #[derive(Serialize, Deserialize)]
    struct Small {
        a: i64,
        b_c: i64,
    }
    // Of 1024 types with 1024 fields each, which differ in the last.
    let mut stream = Stream::new(&Limits::default());
    for id in 65..65 + 64_usize {
        let mut wire = [&[3, 1, 2][..], &uint(2 * id), &[0, 1], &uint(1024)].concat();
        for field in 0..1024 {
            let name = if field == 1023 { "A".to_owned() } else { format!("F_{field}_{id}") };
            wire.extend([&[1][..], &uint(name.len()), name.as_bytes(), &[1, 4, 0]].concat());
        }
        wire.extend([0, 0]);
        let body = [uint(2 * (id - 1) + 1), wire].concat();
        let definition = [uint(body.len()), body].concat();
        assert!(stream.next(&definition, &mut 0).unwrap().is_none());
        let value = [uint(2 * id), uint(1024), vec![14, 0]].concat();
        let message = [uint(value.len()), value].concat();
        let raw = stream.next(&message, &mut 0).unwrap().unwrap();
        let small: Small = decode(raw.types, raw.id, raw.bytes).unwrap();
        assert_eq!((small.a, small.b_c), (7, 0));
    }
}
