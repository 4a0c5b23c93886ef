//! Go reads what is written here of values whose types only the stream knew, or only JSON.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use locum_testkit::Go;
use locum_wire::gob::{Encoder, Field, OpaqueKind, Stream, Type, TypeId, Typed, Types};
use locum_wire::rpc::Limits;

use super::{hex, stream::NESTED};

#[test]
fn go_reads_what_is_written() {
    let (out, expected) = written();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/go/read.go");
    for program in Go::programs(&program) {
        let mut go = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it was just built");
        go.stdin.take().expect("it is piped").write_all(&out).expect("Go reads");
        let said = go.wait_with_output().expect("Go ends").stdout;
        let said = String::from_utf8(said).expect("Go says JSON");
        assert_eq!(said.lines().collect::<Vec<_>>(), expected, "{out:02x?}");
    }
}

/// A stream, and what Go says of it.
fn written() -> (Vec<u8>, Vec<String>) {
    let limits = Limits::default();
    let (mut out, mut encoder) = (Vec::new(), Encoder::new());
    let mut expected = Vec::new();

    // Interfaces in interfaces, by value once and by copy once.
    let nested = hex(NESTED);
    let (mut stream, mut start) = (Stream::new(&limits), 0);
    while start < nested.len() {
        let mut taken = 0;
        let raw = stream.next(&nested[start..], &mut taken).unwrap().unwrap();
        let typed = Typed::decode(&raw, &limits).unwrap();
        expected.push(typed.to_json(&limits).unwrap());
        if start == 0 {
            encoder.put(&mut out, &typed).unwrap();
        } else {
            encoder.copy(&mut out, &raw, &limits).unwrap();
        }
        start += taken;
    }

    let mut types = Types::new();
    let ring = types.reserve();
    let more = types.add(Type::Map { name: "".into(), key: TypeId::INT, elem: ring });
    let fields = [("Name", TypeId::STRING), ("Next", ring), ("More", more)];
    let fields = fields.map(|(name, id)| Field { name: name.into(), id });
    assert!(types.define(ring, Type::Struct { name: "Ring".into(), fields: fields.into() }));
    let leaf = r#"{"Name":"c","Next":null,"More":null}"#;
    let text = format!(
        r#"{{"Name":"a","Next":{{"Name":"b","Next":{leaf},"More":{{}}}},"More":{{"-7":{leaf}}}}}"#
    );
    let typed = Typed::from_json(&text, Some((&Arc::new(types), ring)), &limits).unwrap();
    encoder.put(&mut out, &typed).unwrap();
    expected.push(text);

    // Only JSON says what these are, so that they have no bytes, times, maps or arrays.
    let zero = r#""At":"0001-01-01T00:00:00Z","Big":null,"Pair":[0,0]"#;
    let some = |a: i64, t: &str| {
        format!(
            r#"{{"A":{a},"Z":0,"U":18446744073709551615,"F":1.5,"Yes":true,"S":["x",""],"T":{t},"Bytes":null,{zero}}}"#
        )
    };
    let json = |a: i64, t: &str| {
        format!(
            r#"{{"A":{a},"U":18446744073709551615,"F":1.5,"Yes":true,"S":["x",""],"Z":0,"T":{t}}}"#
        )
    };
    let mut put = |text: &str, hint| {
        encoder.put(&mut out, &Typed::from_json(text, hint, &limits).unwrap()).unwrap();
    };
    put(&json(-7, &json(8, "null")), None);
    expected.push(some(-7, &some(8, "null")));
    put(&format!("[{},{}]", json(1, "null"), json(2, &json(3, "null"))), None);
    expected.push(format!("[{},{}]", some(1, "null"), some(2, &some(3, "null"))));

    // And these are what somebody has said.
    let mut types = Types::new();
    let time = types.add(Type::Opaque { name: "Time".into(), kind: OpaqueKind::GobEncoder });
    let big = types.add(Type::Opaque { name: "".into(), kind: OpaqueKind::GobEncoder });
    let pair = types.add(Type::Array { name: "".into(), elem: TypeId::INT, len: 2 });
    let fields = [("Bytes", TypeId::BYTES), ("At", time), ("Big", big), ("Pair", pair)];
    let fields = fields.map(|(name, id)| Field { name: name.into(), id });
    let args = types.add(Type::Struct { name: "Args".into(), fields: fields.into() });
    let types = Arc::new(types);
    let said = r#""Bytes":"AQI=","At":"2024-02-29T12:00:00.5+01:00","Big":-123456789012345678901234567890,"Pair":"#;
    put(&format!("{{{said}[7]}}"), Some((&types, args)));
    expected
        .push(format!(r#"{{"A":0,"Z":0,"U":0,"F":0,"Yes":false,"S":null,"T":null,{said}[7,0]}}"#));
    put("2.5e3", None);
    expected.push("2500".to_owned());
    (out, expected)
}
