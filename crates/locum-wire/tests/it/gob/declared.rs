//! Types that somebody wrote down, and JSON that becomes gob by them.

use locum_wire::gob::{Declared, Described, Encoder, Stream, Type, TypeId, Typed};
use locum_wire::rpc::Limits;

use super::hex;

fn named(word: &str) -> Declared {
    Declared::Named(word.to_owned())
}

fn structure<const N: usize>(fields: [(&str, Declared); N]) -> Declared {
    Declared::Struct(fields.map(|(name, declared)| (name.to_owned(), declared)).into())
}

/// What is written for JSON of a declared type, and the JSON that it is read as again.
fn written(declared: &Declared, json: &str) -> Result<(Vec<u8>, String), String> {
    let limits = Limits::default();
    let Described { types, id } = declared.describe().unwrap();
    let typed =
        Typed::from_json(json, Some((&types, id)), &limits).map_err(|error| error.to_string())?;
    assert_eq!(typed.id, id, "{json} is of the type");
    let mut out = Vec::new();
    Encoder::new().put(&mut out, &typed).unwrap();
    let mut stream = Stream::new(&limits);
    let read = Typed::decode(&stream.next(&out, &mut 0).unwrap().unwrap(), &limits).unwrap();
    Ok((out, read.to_json(&limits).unwrap()))
}

fn refused(declared: &Declared, json: &str) -> String {
    written(declared, json).expect_err(json)
}

#[test]
fn an_argument_need_be_no_struct() {
    for (word, json, golden) in [
        ("int", "5", "03 04 00 0a"),
        ("int", "-5", "03 04 00 09"),
        ("uint", "5", "03 06 00 05"),
        ("float", "1", "05 08 00 fe f0 3f"),
        ("float", "17.0", "05 08 00 fe 31 40"),
        ("bool", "true", "03 02 00 01"),
        ("string", "\"12345\"", r#"08 0c 00 05 "12345""#),
        ("bytes", "\"AQI=\"", "05 0a 00 02 01 02"),
        ("[]int", "[7,8]", "0c ff81 02 01 02 ff82 00 01 04 00 00  06 ff82 00 02 0e 10"),
        ("[]float", "[]", "0c ff81 02 01 02 ff82 00 01 08 00 00  04 ff82 00 00"),
        (
            "map[int]int",
            "{\"7\":8}",
            "0e ff81 04 01 02 ff82 00 01 04 01 04 00 00  06 ff82 00 01 0e 10",
        ),
    ] {
        let (out, shown) = written(&named(word), json).unwrap();
        assert_eq!(out, hex(golden), "{word} {json}");
        assert_eq!(shown, json.replace("17.0", "17"));
    }
}

#[test]
fn fields_keep_the_order_in_which_they_were_written() {
    let args = structure([("B", named("float")), ("A", named("uint"))]);
    let (out, shown) = written(&args, r#"{"A": 7, "B": 17}"#).unwrap();
    let golden = r#"18 ff81 03 01 02 ff82 00 01 02  01 01 "B" 01 08 00  01 01 "A" 01 06 00  00 00
                    09 ff82 01 fe 31 40 01 07 00"#;
    assert_eq!(out, hex(golden));
    assert_eq!(shown, r#"{"B":17,"A":7}"#);
}

#[test]
fn what_was_declared_wins_over_what_json_looks_like() {
    let all = structure([
        ("Float", named("float")),
        ("Uint", named("uint")),
        ("Bytes", named("bytes")),
        ("Time", named("time")),
        ("Times", named("map[time][]time")),
        ("Scores", named("map[string]float")),
        ("Codes", named("map[bool]map[uint]bytes")),
        ("Inner", structure([("Floats", named("[][]float"))])),
    ]);
    let json = concat!(
        r#"{"Float":1,"Uint":18446744073709551615,"Bytes":"3q2+7w==","#,
        r#""Time":"2024-02-29T12:30:00.5+01:00","#,
        r#""Times":{"2024-02-29T00:00:00Z":["2024-02-29T00:00:01Z"]},"#,
        r#""Scores":{"a":1,"b":2.5},"Codes":{"false":{"1":"AA=="},"true":null},"#,
        r#""Inner":{"Floats":[[1],[1.5,2],null]}}"#
    );
    let (_, shown) = written(&all, json).unwrap();
    // What cannot be left out, elements, is empty where it was null.
    assert_eq!(shown, json.replace("\"true\":null", "\"true\":{}").replace(",null]", ",[]]"));
    let (_, nothing) = written(&all, "{}").unwrap();
    assert_eq!(
        nothing,
        concat!(
            r#"{"Float":0,"Uint":0,"Bytes":null,"Time":"0001-01-01T00:00:00Z","Times":null,"#,
            r#""Scores":null,"Codes":null,"Inner":null}"#
        )
    );
}

#[test]
fn what_does_not_fit_is_told() {
    for (word, json, error) in [
        ("uint", "-1", "-1 is no uint of 64 bits"),
        ("uint", "1.0", "1.0 is no uint of 64 bits"),
        ("int", "1.5", "1.5 is no int of 64 bits"),
        ("int", "1e3", "1e3 is no int of 64 bits"),
        ("int", "9223372036854775808", "9223372036854775808 is no int of 64 bits"),
        ("int", "\"5\"", "\"5\" is no int"),
        ("float", "\"5\"", "\"5\" is no float"),
        ("float", "1e999", "1e999 is no float of 64 bits"),
        ("bool", "1", "1 is no bool"),
        ("string", "1", "1 is no string"),
        ("bytes", "\"!\"", "\"!\" is no bytes in base64"),
        ("bytes", "[1,2]", "an array is no bytes"),
        ("time", "\"yesterday\"", "\"yesterday\" is no Time"),
        ("time", "0", "0 is no Time"),
        ("[]int", "{}", "an object is no list"),
        ("[]int", "[1,\"a\"]", "\"a\" is no int"),
        ("map[int]int", "{\"a\":1}", "the key \"a\" is no int"),
        ("map[string]int", "[]", "an array is no map"),
    ] {
        assert_eq!(refused(&named(word), json), error);
    }
    let args = structure([("A", named("int"))]);
    assert_eq!(refused(&args, "5"), "5 is no struct");
    assert_eq!(refused(&args, "[5]"), "an array is no struct");
}

#[test]
fn types_written_alike_are_one() {
    let point = || structure([("X", named("time")), ("Y", named("[]time"))]);
    let described = structure([("From", point()), ("To", point())]).describe().unwrap();
    assert_eq!(described.types.len(), 4);
    let Some(Type::Struct { fields, .. }) = described.types.get(described.id) else { panic!() };
    assert_eq!(fields[0].id, fields[1].id);
    assert_eq!(named("int").describe().unwrap().id, TypeId::INT);
    assert!(structure([]).describe().is_ok(), "nothing is an argument, too");
}

#[test]
fn what_is_no_type_is_named() {
    let types =
        "write int, uint, float, bool, string, bytes, time, []T, map[K]V, or a table of fields";
    for (word, named_) in [
        ("integer", "integer"),
        ("", ""),
        ("Int", "Int"),
        ("int ", "int "),
        ("[]", ""),
        ("[]map[string]double", "double"),
        ("[4]int", "[4]int"),
        ("map[string", "map[string"),
        ("map[string]", ""),
        ("*int", "*int"),
    ] {
        let error = named(word).describe().unwrap_err();
        assert_eq!(error.to_string(), format!("{named_:?} is no type: {types}"));
    }
    for key in ["bytes", "[", "", "map[int"] {
        let error = named(&format!("map[{key}]int")).describe().unwrap_err();
        assert!(error.reason == format!("{key:?} is no type of keys"), "{error}");
    }
    let error = structure([("A", structure([("B", named("long"))]))]).describe().unwrap_err();
    assert_eq!(error.fields, ["A", "B"]);
    assert!(error.to_string().starts_with("A.B: \"long\" is no type: "), "{error}");
    let error = structure([("A", named("int")), ("A", named("int"))]).describe().unwrap_err();
    assert_eq!(error.to_string(), "A: the field is there twice: write it once");
    assert!(structure([("", named("int"))]).describe().is_err());
}

#[test]
fn types_nest_as_deep_as_values_may() {
    let deep = |depth: usize| named(&format!("{}int", "[]".repeat(depth))).describe();
    assert!(deep(64).is_ok());
    assert_eq!(deep(65).unwrap_err().reason, "it nests deeper than values may");
    assert!(deep(1 << 20).is_err());
    let mut declared = named("int");
    for _ in 0..65 {
        declared = structure([("A", declared)]);
    }
    assert!(declared.describe().is_err());
    let wide: Vec<_> = (0..1025).map(|at| (format!("F{at}"), named("[]int"))).collect();
    assert!(Declared::Struct(wide[1..].to_vec()).describe().is_ok());
    assert_eq!(
        Declared::Struct(wide).describe().unwrap_err().reason,
        "it has more than 1024 fields"
    );
}
