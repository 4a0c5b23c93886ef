//! Dynamic values: what Go wrote means what Go says that it means, and survives every way out and in.

use std::sync::Arc;

use locum_wire::gob::{
    Encoder, Field, JsonError, OpaqueKind, Raw, Stream, StreamError, Type, TypeId, Typed, Types,
    Value,
};
use locum_wire::rpc::Limits;
use serde_json::Value as Json;

use super::{corpus, hex};

/// Does something with every value of a stream.
fn each(input: &[u8], mut what: impl FnMut(&Raw<'_>)) {
    let mut stream = Stream::new(&Limits::default());
    let mut start = 0;
    loop {
        let mut taken = 0;
        let Some(raw) = stream.next(&input[start..], &mut taken).unwrap() else {
            break;
        };
        what(&raw);
        start += taken;
    }
    assert_eq!(start, input.len(), "all of it is taken");
}

fn all(input: &[u8]) -> Vec<Typed> {
    let mut all = Vec::new();
    each(input, |raw| all.push(Typed::decode(raw, &Limits::default()).unwrap()));
    all
}

fn json(typed: &Typed) -> Json {
    let text = typed.to_json(&Limits::default()).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn what_go_writes_means_what_go_says() {
    for line in corpus() {
        let values = all(&line.bytes);
        assert_eq!(values.len(), line.values.len(), "{}", line.name);
        if line.exact {
            for (value, expected) in values.iter().zip(&line.values) {
                assert_eq!(json(value), *expected, "{}", line.name);
            }
        }
    }
}

#[test]
fn what_go_writes_can_be_written_again() {
    for line in corpus() {
        let (mut put, mut copied) = (Vec::new(), Vec::new());
        let (mut putter, mut copier) = (Encoder::new(), Encoder::new());
        each(&line.bytes, |raw| {
            let typed = Typed::decode(raw, &Limits::default()).unwrap();
            putter.put(&mut put, &typed).unwrap();
            copier.copy(&mut copied, raw, &Limits::default()).unwrap();
        });
        assert_eq!(put, copied, "{}", line.name);
        let (first, second) = (all(&line.bytes), all(&put));
        assert_eq!(first.len(), second.len());
        if line.exact {
            for (first, second) in first.iter().zip(&second) {
                assert_eq!(json(first), json(second), "{}", line.name);
            }
        }
        // From then on it does not change any more.
        let (mut again, mut encoder) = (Vec::new(), Encoder::new());
        second.iter().for_each(|typed| encoder.put(&mut again, typed).unwrap());
        assert_eq!(put, again, "{}", line.name);
    }
}

#[test]
fn json_of_a_known_type_is_that_value() {
    let limits = Limits::default();
    let (mut read, mut refused) = (0, 0);
    for line in corpus().iter().filter(|line| line.exact) {
        for typed in all(&line.bytes) {
            let text = typed.to_json(&limits).unwrap();
            match Typed::from_json(&text, Some((&typed.types, typed.id)), &limits) {
                Ok(again) => {
                    assert_eq!(again.id, typed.id, "{}: {text}", line.name);
                    assert_eq!(again.to_json(&limits).unwrap(), text);
                    read += 1;
                }
                Err(error) => {
                    assert!(error.0.contains("under which name"), "{}: {error}", line.name);
                    refused += 1;
                }
            }
        }
    }
    assert!(read > 10 * refused, "only a list or an object in an interface cannot be read");
}

/// What is written for JSON of which nothing is known, without the definitions.
fn written(text: &str) -> Vec<u8> {
    let typed = Typed::from_json(text, None, &Limits::default()).unwrap();
    let mut out = Vec::new();
    Encoder::new().put(&mut out, &typed).unwrap();
    out
}

#[test]
fn json_becomes_gob() {
    assert_eq!(written("3"), hex("03 04 00 06"));
    assert_eq!(written("0"), hex("03 04 00 00"));
    assert_eq!(written("\"12345\""), hex("08 0c 00 05 3132333435"));
    assert_eq!(written("null"), hex("0a ff81 03 01 02 ff82 00 00 00  03 ff82 00"));
    assert_eq!(
        written(r#"{"B": 8, "A": 7}"#),
        hex(r#"18 ff81 03 01 02 ff82 00 01 02  01 01 "A" 01 04 00  01 01 "B" 01 04 00  00 00
               07 ff82 01 0e 01 10 00"#)
    );
    // Zeros are left out, `null` and `[]` are not even fields.
    assert_eq!(
        written(r#"{"A": 0, "B": null, "C": [], "D": 1}"#),
        hex(r#"18 ff81 03 01 02 ff82 00 01 02  01 01 "A" 01 04 00  01 01 "D" 01 04 00  00 00
               05 ff82 02 02 00"#)
    );
    assert_eq!(written("[7, 8]"), hex("0c ff81 02 01 02 ff82 00 01 04 00 00  06 ff82 00 02 0e 10"));
    assert_eq!(
        written("[1, 1.5]"),
        hex("0c ff81 02 01 02 ff82 00 01 08 00 00  0a ff82 00 02 fe f03f fe f83f")
    );
}

#[test]
fn numbers_are_what_they_are_written_as_and_text_is_text() {
    for (text, golden) in [
        ("-3", "03 04 00 05"),
        ("17.0", "05 08 00 fe 31 40"),
        ("1e2", "05 08 00 fe 59 40"),
        ("-0.0", "04 08 00 ff 80"),
        ("18446744073709551615", "0b 06 00 f8 ffffffffffffffff"),
        // What could be bytes or a time is neither.
        (r#""AQI=""#, r#"07 0c 00 04 "AQI=""#),
        (r#""2024-02-29T00:00:00Z""#, r#"17 0c 00 14 "2024-02-29T00:00:00Z""#),
    ] {
        assert_eq!(written(text), hex(golden), "{text}");
    }
    // So is what could be a map.
    let golden =
        r#"13 ff81 03 01 02 ff82 00 01 01  01 02 "17" 01 0c 00  00 00  06 ff82 01 01 "x" 00"#;
    assert_eq!(written(r#"{"17":"x"}"#), hex(golden));
}

#[test]
fn what_json_has_not_is_an_error() {
    let limits = Limits::default();
    let value = |id, value| Typed { types: Arc::default(), id, value };
    for float in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let error = value(TypeId::FLOAT, Value::Float(float)).to_json(&limits).unwrap_err();
        assert!(error.0.starts_with("JSON has no number "), "{error}");
    }
    assert!(value(TypeId::COMPLEX, Value::Complex(1.0, 0.0)).to_json(&limits).is_err());
    let mut types = Types::new();
    let point = types.add(Type::Struct { name: "Point".into(), fields: Box::default() });
    let id = types.add(Type::Map { name: "".into(), key: point, elem: TypeId::INT });
    let value = Value::Map(vec![(Value::Struct(vec![]), Value::Int(1))]);
    assert!(Typed { types: Arc::new(types), id, value }.to_json(&limits).is_err());
}

#[test]
fn elements_of_an_array_share_one_type() {
    for (text, shown) in [
        (r#"[{"A":1},{"B":"x"},{}]"#, r#"[{"A":1,"B":""},{"A":0,"B":"x"},{"A":0,"B":""}]"#),
        (r#"[{"A":[1]},{"A":[]},{"A":[1.5]}]"#, r#"[{"A":[1]},{"A":null},{"A":[1.5]}]"#),
        ("[[],[1],null]", "[[],[1],[]]"),
        ("[1,18446744073709551615]", "[1,18446744073709551615]"),
        ("[-1,9223372036854775808]", "[-1,9223372036854776000]"),
        (r#"["a","b"]"#, r#"["a","b"]"#),
    ] {
        let typed = Typed::from_json(text, None, &Limits::default()).unwrap();
        assert_eq!(typed.to_json(&Limits::default()).unwrap(), shown);
    }
    for text in [
        r#"[1,"a"]"#,
        "[true,1]",
        "[{},1]",
        "[[1],[\"a\"]]",
        "[]",
        "[[],[]]",
        "1e400",
        "18446744073709551616",
    ] {
        assert!(Typed::from_json(text, None, &Limits::default()).is_err(), "{text}");
    }
}

/// `type Args struct { A uint; B float64; Of []Args; At time.Time }`
fn args() -> (Arc<Types>, TypeId) {
    let mut types = Types::new();
    let time = types.add(Type::Opaque { name: "Time".into(), kind: OpaqueKind::GobEncoder });
    let args = types.reserve();
    let list = types.add(Type::Slice { name: "".into(), elem: args });
    let fields = [("A", TypeId::UINT), ("B", TypeId::FLOAT), ("Of", list), ("At", time)];
    let fields = fields.map(|(name, id)| Field { name: name.into(), id });
    assert!(types.define(args, Type::Struct { name: "Args".into(), fields: fields.into() }));
    (Arc::new(types), args)
}

#[test]
fn a_known_type_is_what_json_is_read_as() {
    let (types, id) = args();
    let limits = Limits::default();
    let text = r#"{"b":3,"a":7,"At":"2024-02-29T00:00:00Z","of":[{"A":1},{"b":0.5,"c":null}]}"#;
    let typed = Typed::from_json(text, Some((&types, id)), &limits).unwrap();
    assert_eq!(typed.id, id);
    assert_eq!(
        typed.to_json(&limits).unwrap(),
        r#"{"A":7,"B":3,"Of":[{"A":1,"B":0,"Of":null,"At":"0001-01-01T00:00:00Z"},{"A":0,"B":0.5,"Of":null,"At":"0001-01-01T00:00:00Z"}],"At":"2024-02-29T00:00:00Z"}"#
    );
    for text in [
        r#"{"A":-1}"#,
        r#"{"A":1.0}"#,
        r#"{"A":"1"}"#,
        r#"{"A":18446744073709551616}"#,
        r#"{"B":true}"#,
        r#"{"B":1e999}"#,
        r#"{"Of":{}}"#,
        r#"{"At":"yesterday"}"#,
        "[]",
        "7",
        r#"{"Of":[7]}"#,
    ] {
        assert!(Typed::from_json(text, Some((&types, id)), &limits).is_err(), "{text}");
    }
}

#[test]
fn a_known_type_gets_what_json_has_besides() {
    let (types, id) = args();
    let limits = Limits::default();
    let text = r#"{"Of":[{"A":1},{"Z":"z"},{"Z":"y","Y":[2]}],"A":5}"#;
    let typed = Typed::from_json(text, Some((&types, id)), &limits).unwrap();
    let inner = |a, z, y| {
        format!(r#"{{"A":{a},"B":0,"Of":null,"At":"0001-01-01T00:00:00Z","Y":{y},"Z":"{z}"}}"#)
    };
    let [one, two, three] = [inner(1, "", "null"), inner(0, "z", "null"), inner(0, "y", "[2]")];
    assert_eq!(
        typed.to_json(&limits).unwrap(),
        format!(r#"{{"A":5,"B":0,"Of":[{one},{two},{three}],"At":"0001-01-01T00:00:00Z"}}"#)
    );
    assert_eq!(types.len(), 3, "the types given stay as they are");
}

/// A struct with this many fields, each of which is such a struct, and a list of them.
fn wide(fields: usize) -> (Arc<Types>, TypeId, TypeId) {
    let mut types = Types::new();
    let wide = types.reserve();
    let fields = (0..fields).map(|at| Field { name: format!("F{at}").into(), id: wide });
    let kind = Type::Struct { name: "Wide".into(), fields: fields.collect() };
    assert!(types.define(wide, kind));
    let list = types.add(Type::Slice { name: "".into(), elem: wide });
    (Arc::new(types), wide, list)
}

#[test]
fn what_many_elements_have_besides_costs_no_more_than_they_do() {
    let (types, _, list) = wide(1000);
    let text = format!("[{}{{}}]", r#"{"X":1},"#.repeat(1000));
    let mut elements = 0;
    let counted = allocation_counter::measure(|| {
        let typed = Typed::from_json(&text, Some((&types, list)), &Limits::default()).unwrap();
        if let Value::List(values) = &typed.value {
            elements = values.len();
        }
    });
    assert_eq!(elements, 1001);
    assert!(counted.count_total < 20_000, "{}", counted.count_total);
}

#[test]
fn types_that_are_nearly_known_cannot_fill_the_memory() {
    let (types, wide, _) = wide(1000);
    let differing = |count: usize| {
        let fields = (0..count).map(|at| format!(r#""F{at}":{{"X":1}}"#));
        let text = format!("{{{}}}", fields.collect::<Vec<_>>().join(","));
        Typed::from_json(&text, Some((&types, wide)), &Limits::default()).map(drop)
    };
    assert_eq!(differing(10), Ok(()));
    let error = JsonError("JSON has too many different objects".to_owned());
    assert_eq!(differing(1000), Err(error));
}

#[test]
fn omitted_fields_cannot_fill_the_memory() {
    let fields: Vec<_> =
        (0..1000).map(|at| Field { name: format!("Field{at}").into(), id: TypeId::INT }).collect();
    let mut types = Types::new();
    let wide = types.add(Type::Struct { name: "Wide".into(), fields: fields.into() });
    let list = types.add(Type::Slice { name: "".into(), elem: wide });
    let array = types.add(Type::Array { name: "".into(), elem: wide, len: 1 << 40 });
    let ring = types.reserve();
    assert!(types.define(ring, Type::Array { name: "".into(), elem: ring, len: 1 }));
    let types = Arc::new(types);
    let limits = Limits { decoded: 1 << 20, ..Limits::default() };
    let value = Value::List(vec![Value::Struct(vec![]); 10_000]);
    let typed = Typed { types: Arc::clone(&types), id: list, value };
    assert!(typed.to_json(&limits).is_err());
    assert!(Typed::from_json("[]", Some((&types, array)), &limits).is_err());
    assert!(Typed::from_json("[]", Some((&types, ring)), &limits).is_err());
}

#[test]
fn a_malformed_value_is_an_error_of_its_own() {
    // A map with an interface, whose name is longer than the message; then a good value.
    let input = hex("0e ff89 04 01 02 ff8a 00 01 04 01 10 00 00  06 ff8a 00 01 0e 10  03 04 00 06");
    let mut stream = Stream::new(&Limits::default());
    let mut taken = 0;
    assert!(matches!(stream.next(&input, &mut taken), Err(StreamError::Malformed(_))));
    let raw = stream.next(&input[taken..], &mut taken).unwrap().unwrap();
    assert_eq!(raw.bytes, [6]);
}
