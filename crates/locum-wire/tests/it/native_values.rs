//! Values of the native protocol: what the crate `postcard` reads and writes, within bounds.

use std::collections::BTreeMap;

use locum_wire::rpc::{Body, Form};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    Body { bytes, form: Form::Postcard }.decode().map_err(|error| error.0)
}

#[test]
fn what_is_short_on_the_wire_and_large_in_memory_is_limited() {
    type Fat = Option<[u128; 32]>;
    let nones = |count: usize| [postcard::to_allocvec(&count).unwrap(), vec![0; count]].concat();
    assert_eq!(decode::<Vec<Fat>>(&nones(1000)).unwrap().len(), 1000);
    let too_much = "postcard: the value takes too much memory";
    assert_eq!(decode::<Vec<Fat>>(&nones(1_000_000)).unwrap_err(), too_much);
    let keys = (0..500_000_u32).map(|key| (key, None::<u8>)).collect::<BTreeMap<_, _>>();
    let map = postcard::to_allocvec(&keys).unwrap();
    assert_eq!(decode::<BTreeMap<u32, Fat>>(&map).unwrap_err(), too_much);
    assert_eq!(decode::<Vec<u64>>(&nones(10_000_000)).unwrap().len(), 10_000_000);
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Point,
    Circle(f64),
    Line(i8, i16),
    Box { width: u128, height: i128 },
    Group(Vec<Self>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Wrapped(u32);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Unit;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Everything {
    flags: (bool, bool),
    small: (u8, u16, u32),
    signed: (i8, i16, i32, i64),
    number: u64,
    single: f32,
    character: char,
    text: String,
    maybe: Option<Option<Wrapped>>,
    map: BTreeMap<String, Vec<i64>>,
    unit: Unit,
    nothing: (),
    shape: Shape,
}

fn shapes() -> impl Strategy<Value = Shape> {
    let leaf = prop_oneof![
        Just(Shape::Point),
        prop::num::f64::NORMAL.prop_map(Shape::Circle),
        any::<(i8, i16)>().prop_map(|(a, b)| Shape::Line(a, b)),
        any::<(u128, i128)>().prop_map(|(width, height)| Shape::Box { width, height }),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| vec(inner, 0..4).prop_map(Shape::Group))
}

prop_compose! {
    fn everything()(
        (flags, small, signed, number) in any::<((bool, bool), (u8, u16, u32), (i8, i16, i32, i64), u64)>(),
        single in prop::num::f32::NORMAL,
        character in any::<char>(),
        text in "\\PC{0,20}",
        maybe in option::of(option::of(any::<u32>().prop_map(Wrapped))),
        map in btree_map("[a-z]{0,4}", vec(any::<i64>(), 0..4), 0..4),
        shape in shapes(),
    ) -> Everything {
        let (unit, nothing) = (Unit, ());
        Everything { flags, small, signed, number, single, character, text, maybe, map, unit, nothing, shape }
    }
}

proptest! {
    #[test]
    fn a_value_comes_back_as_it_went(value in everything()) {
        let bytes = postcard::to_stdvec(&value).unwrap();
        prop_assert_eq!(decode::<Everything>(&bytes), Ok(value));
        for cut in 0..bytes.len() {
            prop_assert!(decode::<Everything>(&bytes[..cut]).is_err());
        }
    }

    #[test]
    fn any_bytes_mean_what_the_crate_says(bytes in vec(prop_oneof![0u8..4, any::<u8>()], 0..40)) {
        fn same<T: DeserializeOwned + std::fmt::Debug>(bytes: &[u8]) {
            let ours = decode::<T>(bytes).ok().map(|value| format!("{value:?}"));
            let theirs = postcard::take_from_bytes::<T>(bytes).ok();
            let theirs = theirs.filter(|(_, rest)| rest.is_empty());
            assert_eq!(ours, theirs.map(|(value, _)| format!("{value:?}")), "{bytes:?}");
        }
        same::<Everything>(&bytes);
        same::<Vec<Shape>>(&bytes);
        same::<(u16, i16, u32, i32, u64, i64)>(&bytes);
        same::<(u128, i128)>(&bytes);
        same::<Vec<(bool, char, Option<String>)>>(&bytes);
    }
}

#[test]
fn nesting_ends_before_the_stack_does() {
    #[derive(Debug, Deserialize)]
    #[serde(transparent)]
    struct Link(#[expect(dead_code, reason = "only read")] Option<Box<Self>>);
    #[derive(Debug, Deserialize)]
    struct Tree(#[expect(dead_code, reason = "only read")] Vec<Self>);

    let deep = vec![1; 1 << 20];
    assert_eq!(decode::<Link>(&deep).unwrap_err(), "postcard: nested too deep");
    assert_eq!(decode::<Tree>(&deep).unwrap_err(), "postcard: nested too deep");
    assert_eq!(
        decode::<Shape>(&[&[4u8, 1].repeat(1 << 20)[..], &[0]].concat()).unwrap_err(),
        "postcard: nested too deep"
    );
    // Forty structs within options are well within.
    assert!(decode::<Link>(&[&[1; 100][..], &[0]].concat()).is_ok());
}

#[test]
fn elements_of_no_bytes_are_counted() {
    let many = |count: u64| postcard::to_stdvec(&count).unwrap();
    assert_eq!(decode::<Vec<()>>(&many(1 << 16)).unwrap().len(), 1 << 16);
    let error = "postcard: too many elements of no bytes";
    assert_eq!(decode::<Vec<()>>(&many((1 << 16) + 1)).unwrap_err(), error);
    assert_eq!(decode::<Vec<()>>(&many(u64::MAX)).unwrap_err(), error);
    assert_eq!(decode::<BTreeMap<(), ()>>(&many(u64::MAX)).unwrap_err(), error);
    // Also of many lists, which have a byte each.
    let lists = [many(1 << 16), many((1 << 16) - 1).repeat(1 << 16)].concat();
    assert_eq!(decode::<Vec<Vec<()>>>(&lists).unwrap_err(), error);
}

#[test]
fn what_is_announced_takes_no_memory() {
    let huge = postcard::to_stdvec(&(u64::MAX / 64)).unwrap();
    let info = allocation_counter::measure(|| {
        for _ in 0..10 {
            assert!(decode::<Vec<[u64; 8]>>(&huge).is_err());
            assert!(decode::<String>(&huge).is_err());
            assert!(decode::<BTreeMap<String, u64>>(&huge).is_err());
        }
    });
    assert!(info.bytes_max < 4096, "{}", info.bytes_max);
}

#[test]
fn what_is_left_over_is_an_error() {
    assert_eq!(decode::<u8>(&[1, 2, 3]).unwrap_err(), "postcard: 2 bytes too many");
    assert_eq!(decode::<u8>(&[]).unwrap_err(), "postcard: cut short");
}

#[test]
fn a_type_that_asks_the_value_what_it_is_has_no_answer() {
    let error = decode::<serde_json::Value>(&[1]).unwrap_err();
    assert!(error.contains("does not say what it is"), "{error}");
}
