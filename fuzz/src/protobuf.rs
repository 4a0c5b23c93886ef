//! Messages of protobuf, as collectors of traces and health checks answer.

use locum_wire::protobuf::{Fields, Value, Writer};

/// What can be read can be written, and reads as the same again; a mistake is the end.
pub fn protobuf(bytes: &[u8]) {
    let read: Vec<_> = Fields::of(bytes).collect();
    let whole: Vec<_> = read.iter().filter_map(|field| field.ok()).collect();
    let mistakes = read.len() - whole.len();
    assert!(mistakes == 0 || (mistakes == 1 && read.last().is_some_and(Result::is_err)));
    let mut written = Vec::new();
    let mut out = Writer(&mut written);
    for &(field, value) in &whole {
        match value {
            Value::Number(number) => out.number(field, number),
            Value::Fixed64(number) => out.fixed64(field, number),
            Value::Fixed32(number) => out.fixed32(field, number),
            Value::Bytes(bytes) => out.bytes(field, bytes),
        }
    }
    assert!(written.len() <= bytes.len());
    assert!(Fields::of(&written).map(Result::unwrap).eq(whole));
}
