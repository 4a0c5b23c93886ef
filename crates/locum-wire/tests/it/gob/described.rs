//! One type of a stream, without the others.

use locum_wire::gob::{Described, Encoder, Field, Stream, Type, TypeId, Typed, Types};
use locum_wire::rpc::Limits;

use super::corpus;

fn structure(name: &str, fields: &[(&str, TypeId)]) -> Type {
    let field = |(name, id): &(&str, TypeId)| Field { name: (*name).into(), id: *id };
    Type::Struct { name: name.into(), fields: fields.iter().map(field).collect() }
}

/// `type Tree struct { Value T; Left, Right []Tree }`, under numbers that begin after `before` others.
fn tree(before: usize, value: TypeId) -> (Types, TypeId) {
    let mut types = Types::new();
    for _ in 0..before {
        types.add(structure("Other", &[]));
    }
    let tree = types.reserve();
    let trees = types.add(Type::Slice { name: "".into(), elem: tree });
    let fields = [("Value", value), ("Left", trees), ("Right", trees)];
    assert!(types.define(tree, structure("Tree", &fields)));
    (types, tree)
}

#[test]
fn a_type_is_copied_with_its_parts_and_nothing_else() {
    let (types, id) = tree(100, TypeId::INT);
    let described = Described::of(&types, id).unwrap();
    assert_eq!(types.len(), 102);
    assert_eq!(described.types.len(), 2);
    assert!(described.is(&types, id));
    let (others, other) = tree(3, TypeId::INT);
    assert!(described.is(&others, other), "whatever its number");
    let (floats, float) = tree(100, TypeId::FLOAT);
    assert!(!described.is(&floats, float));
    assert!(!described.is(&types, TypeId::INT));
    assert!(Described::of(&types, TypeId::INT).unwrap().is(&floats, TypeId::INT));
}

#[test]
fn a_type_that_is_there_twice_is_copied_once() {
    let mut types = Types::new();
    let [one, two] = [(); 2].map(|()| types.add(structure("Point", &[("X", TypeId::INT)])));
    let line = types.add(structure("Line", &[("From", one), ("To", two)]));
    let described = Described::of(&types, line).unwrap();
    assert_eq!(described.types.len(), 2);
    assert!(described.is(&types, line));
    assert!(described.is(&described.types, described.id));
    let other = types.add(structure("Point", &[("X", TypeId::UINT)]));
    let odd = types.add(structure("Line", &[("From", one), ("To", other)]));
    assert!(!described.is(&types, odd));
    for kind in [
        structure("Line", &[("From", one)]),
        structure("Line", &[("From", one), ("Till", two)]),
        structure("Way", &[("From", one), ("To", two)]),
        Type::Map { name: "Line".into(), key: one, elem: two },
    ] {
        let other = types.add(kind);
        assert!(!described.is(&types, other));
    }
}

#[test]
fn a_type_of_which_a_part_is_missing_is_none() {
    let mut types = Types::new();
    let missing = types.reserve();
    let list = types.add(Type::Slice { name: "".into(), elem: missing });
    assert!(Described::of(&types, missing).is_none());
    assert!(Described::of(&types, list).is_none());
    let (tree, id) = tree(0, TypeId::INT);
    assert!(!Described::of(&tree, id).unwrap().is(&types, missing));
}

#[test]
fn values_of_a_copied_type_are_what_they_were() {
    let limits = Limits::default();
    for line in corpus().iter().filter(|line| line.exact) {
        let (mut stream, mut at) = (Stream::new(&limits), 0);
        while let Some(raw) = stream.next(&line.bytes[at..], &mut at).unwrap() {
            let described = Described::of(raw.types, raw.id).unwrap();
            assert!(described.is(raw.types, raw.id), "{}", line.name);
            let again = Described::of(&described.types, described.id).unwrap();
            assert_eq!(format!("{:?}", again.id), format!("{:?}", described.id));
            let typed = Typed::decode(&raw, &limits).unwrap();
            let json = typed.to_json(&limits).unwrap();
            let hint = Some((&described.types, described.id));
            let Ok(typed) = Typed::from_json(&json, hint, &limits) else { continue };
            assert_eq!(typed.to_json(&limits).unwrap(), json, "{}", line.name);
            Encoder::new().put(&mut Vec::new(), &typed).unwrap();
        }
    }
}
