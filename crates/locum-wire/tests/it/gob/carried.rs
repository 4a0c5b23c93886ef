//! One stream that carries what many others define.

use std::sync::Arc;

use allocation_counter::measure;
use locum_wire::gob::{Encoder, Field, Interface, Raw, Stream, Type, TypeId, Typed, Types, Value};
use locum_wire::rpc::Limits;

const UNKNOWN: &str = "gob: unknown type id or corrupted data";
const FULL: &str = "gob: more types than fit in one stream";

fn list(elem: TypeId) -> Type {
    Type::Slice { name: "".into(), elem }
}

fn structure(name: &str, fields: &[TypeId]) -> Type {
    let names = (0..).map(|at| format!("F{at}"));
    let fields = fields.iter().zip(names).map(|(id, name)| Field { name: name.into(), id: *id });
    Type::Struct { name: name.into(), fields: fields.collect() }
}

/// So many types that are lists of each other, the last one the outermost.
fn nested(count: usize, innermost: TypeId) -> (Types, TypeId) {
    let mut types = Types::new();
    let last = (0..count).fold(innermost, |elem, _| types.add(list(elem)));
    (types, last)
}

fn copy(encoder: &mut Encoder, types: Types, id: TypeId, limits: &Limits) -> Result<(), String> {
    let raw = Raw { types: &Arc::new(types), id, bytes: &[0] };
    let mut out = b"before".to_vec();
    let copied = encoder.copy(&mut out, &raw, limits);
    assert!(copied.is_ok() || out == b"before", "an error leaves nothing behind");
    copied.map_err(|error| error.0)
}

#[test]
fn definitions_are_those_of_all_streams_together() {
    let limits = Limits::default();
    let mut encoder = Encoder::new();
    for _ in 0..10_000 {
        let (types, id) = nested(3, TypeId::INT);
        copy(&mut encoder, types, id, &limits).unwrap();
    }
    assert_eq!(encoder.defined(), 3);
    let (types, id) = nested(4, TypeId::INT);
    copy(&mut encoder, types, id, &limits).unwrap();
    assert_eq!(encoder.defined(), 4, "what is new of it");
    // Types that are part of each other are found again, too.
    for _ in 0..2 {
        let mut types = Types::new();
        let (one, other) = (types.reserve(), types.reserve());
        assert!(types.define(one, structure("One", &[TypeId::INT, other])));
        assert!(types.define(other, structure("Other", &[one, other])));
        copy(&mut encoder, types, one, &limits).unwrap();
        assert_eq!(encoder.defined(), 6);
    }
}

#[test]
fn a_stream_defines_no_more_than_its_peer_takes() {
    let limits = Limits { types: 10, ..Limits::default() };
    let mut encoder = Encoder::new();
    let (types, id) = nested(5, TypeId::INT);
    copy(&mut encoder, types, id, &limits).unwrap();
    assert!(!encoder.is_worn(&limits));
    let (types, id) = nested(4, TypeId::UINT);
    copy(&mut encoder, types, id, &limits).unwrap();
    assert!(encoder.is_worn(&limits), "another is to take over in time");
    for count in [2, 10, 1000] {
        let (types, id) = nested(count, TypeId::FLOAT);
        assert_eq!(copy(&mut encoder, types, id, &limits), Err(FULL.to_owned()));
    }
    assert_eq!(encoder.defined(), 9);
    // All that is defined can still be said, and so can what there is room for.
    for (count, innermost) in [(5, TypeId::INT), (4, TypeId::UINT), (1, TypeId::FLOAT)] {
        let (types, id) = nested(count, innermost);
        copy(&mut encoder, types, id, &limits).unwrap();
    }
    assert_eq!(encoder.defined(), 10);

    // So it is with types in interfaces, and with values that did not come from a stream.
    let mut types = Types::new();
    let id = types.add(list(TypeId::STRING));
    let held = Box::new(Interface { name: "[]string".into(), id, value: Value::List(vec![]) });
    let value = Value::Interface(held);
    let typed = Typed { types: Arc::new(types), id: TypeId::INTERFACE, value };
    let mut out = Vec::new();
    assert_eq!(encoder.put_within(&mut out, &typed, &limits).unwrap_err().0, FULL);
    assert!(out.is_empty());
    encoder.put(&mut out, &typed).unwrap();
    assert_eq!(encoder.defined(), 11, "who knows better may");
}

#[test]
fn descriptions_take_no_more_memory_than_they_may() {
    let limits = Limits { definitions: 10_000, ..Limits::default() };
    let mut encoder = Encoder::new();
    let mut named = |name: &str| {
        let mut types = Types::new();
        let id = types.add(structure(name, &[]));
        copy(&mut encoder, types, id, &limits)
    };
    named(&"a".repeat(4000)).unwrap();
    for at in 0..100 {
        let name = format!("{at}{}", "b".repeat(7000));
        assert_eq!(named(&name), Err(FULL.to_owned()));
    }
    named("c").unwrap();
    named(&"d".repeat(2000)).unwrap();
    assert!(encoder.is_worn(&limits));
}

#[test]
fn a_type_is_known_as_soon_as_all_of_it_is_defined() {
    let limits = Limits::default();
    let mut encoder = Encoder::new();
    let mut types = Types::new();
    let (one, other) = (types.reserve(), types.reserve());
    let outer = types.add(structure("Outer", &[one, other]));
    for (defined, missing) in [(one, true), (other, false)] {
        for _ in 0..2 {
            let copied = copy(&mut encoder, types.clone(), outer, &limits);
            assert_eq!(copied, Err(UNKNOWN.to_owned()));
        }
        assert_eq!(encoder.defined(), 0, "not even its parts");
        assert!(types.define(defined, list(TypeId::INT)));
        assert_eq!(copy(&mut encoder, types.clone(), outer, &limits).is_err(), missing);
    }
    assert_eq!(encoder.defined(), 2);
}

/// What a stream goes on to define is nothing to who holds what it had defined before, nor to who knows that.
#[test]
fn a_known_type_stays_known_while_a_stream_goes_on() {
    let limits = Limits::default();
    let (types, outer) = nested(50, TypeId::INT);
    let (mut client, mut input) = (Encoder::new(), Vec::new());
    let value = Typed { types: Arc::new(types), id: outer, value: Value::List(vec![]) };
    client.put(&mut input, &value).unwrap();
    for at in 0..100 {
        let mut types = Types::new();
        let id = types.add(structure(&format!("Type{at}"), &[]));
        let empty = Typed { types: Arc::new(types), id, value: Value::Struct(vec![]) };
        client.put(&mut input, &empty).unwrap();
        client.put(&mut input, &value).unwrap();
    }

    let (mut stream, mut encoder) = (Stream::new(&limits), Encoder::new());
    let (mut out, mut held, mut at) = (Vec::with_capacity(1 << 16), Vec::new(), 0);
    let mut known = 0;
    while let Some(raw) = stream.next(&input[at..], &mut at).unwrap() {
        let before = encoder.defined();
        out.clear();
        let asked = measure(|| encoder.copy(&mut out, &raw, &limits).unwrap()).count_total;
        if encoder.defined() == before {
            assert_eq!(asked, 0, "nothing is looked for again");
            known += 1;
        }
        // As long as a call is in flight.
        held.push((Arc::clone(raw.types), raw.types.len()));
    }
    assert_eq!(known, 100);
    assert!(held.iter().all(|(types, len)| types.len() == *len));
    assert_eq!(held.last().unwrap().1, 150);
}
