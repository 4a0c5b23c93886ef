//! Streams as Go writes them, cut anywhere.

use locum_wire::gob::{Raw, Stream, StreamError, TypeId, Typed};
use locum_wire::rpc::Limits;

use super::hex;

/// A value: the number of its type, and its bytes.
type Value = (i32, Vec<u8>);

/// Reads a stream that comes `step` bytes at a time.
fn read(input: &[u8], step: usize) -> Result<Vec<Value>, StreamError> {
    let mut values = Vec::new();
    read_with(input, step, |raw| values.push((raw.id.get(), raw.bytes.to_vec())))?;
    Ok(values)
}

fn read_with(input: &[u8], step: usize, mut what: impl FnMut(&Raw<'_>)) -> Result<(), StreamError> {
    let mut stream = Stream::new(&Limits::default());
    let (mut start, mut end) = (0, 0);
    loop {
        let mut taken = 0;
        let given = stream.next(&input[start..end], &mut taken)?.inspect(&mut what).is_some();
        start += taken;
        if !given {
            assert!(stream.needs() > end - start, "there is no value yet");
            if end == input.len() {
                return Ok(());
            }
            end = input.len().min(end.saturating_add(step));
        }
    }
}

const CALL: &str = r#"
    2f ff81 03 01 01 07 "Request" 01 ff82 00 01 02  01 0d "ServiceMethod" 01 0c 00  01 03 "Seq" 01 06 00  00 00
    0e ff82 01 09 "Arith.Add" 00
    1e ff83 03 01 01 04 "Args" 01 ff84 00 01 02  01 01 "A" 01 04 00  01 01 "B" 01 04 00  00 00
    07 ff84 01 0e 01 10 00
    08 0c 00 05 3132333435
    0e ff89 04 01 02 ff8a 00 01 04 01 04 00 00  06 ff8a 00 01 0e 10
    0c ff8b 02 01 02 ff8c 00 01 04 00 00        06 ff8c 00 02 0e 10
    0e ff8d 01 01 02 ff8e 00 01 04 01 04 00 00  06 ff8e 00 02 0e 10"#;

#[test]
fn values_are_given_with_their_types_however_they_come() {
    let expected = vec![
        (65, hex(r#"01 09 "Arith.Add" 00"#)),
        (66, hex("01 0e 01 10 00")),
        (6, hex("05 3132333435")),
        (69, hex("01 0e 10")),
        (70, hex("02 0e 10")),
        (71, hex("02 0e 10")),
    ];
    let input = hex(CALL);
    for step in [1, 2, 7, input.len()] {
        assert_eq!(read(&input, step).unwrap(), expected);
    }
}

#[test]
fn needs_is_what_the_message_begun_takes() {
    let mut stream = Stream::new(&Limits::default());
    for (input, needs) in [(&[][..], 1), (&[0xfe][..], 3), (&[0xfe, 1, 0][..], 259), (&[7][..], 8)]
    {
        assert!(stream.next(input, &mut 0).unwrap().is_none());
        assert_eq!(stream.needs(), needs);
    }
}

#[test]
fn a_value_of_an_unknown_type_is_skipped() {
    let input = hex("03 ff84 00 03 04 00 06");
    let mut stream = Stream::new(&Limits::default());
    let mut taken = 0;
    let error = stream.next(&input, &mut taken).unwrap_err();
    assert!(matches!(error, StreamError::Malformed(_)));
    assert_eq!(taken, 4);
    let raw = stream.next(&input[taken..], &mut taken).unwrap().unwrap();
    assert_eq!((raw.id, raw.bytes), (TypeId::INT, &[6][..]));
}

/// What Go writes of a struct whose interface holds a struct whose interfaces hold structs of types that
/// were not seen before: `Outer{1, Mid{In{map[string]int{"k": 3}, Leaf{1, 2.5}}, []any{5, Leaf{1, 2.5}, "s",
/// nil}, "k"}, 9}`, `Outer{2, In{…}, 8}`, `map[string]any{"a": 1}`.
pub(super) const NESTED: &str = "
    247f030101054f7574657201ff8000010301014101040001015601100001015a0104000000
    32ff80010201086d61696e2e4d6964ff81030101034d696401ff8200010301014d01100001014e01ff840001014b010c0000
    00
    1cff830201010e5b5d696e74657266616365207b7d01ff840001100000
    ffd0ff822601076d61696e2e496eff8503010102496e01ff8600010201015801ff880001015901100000001eff870401010e
    6d61705b737472696e675d696e7401ff8800010c01040000ff83ff86290101016b0601096d61696e2e4c656166ff89030101
    044c65616601ff8a00010101014c01ff8c00000017ff8b020101095b5d666c6f6174363401ff8c00010800000dff8a090102
    fef03ffe04400000010403696e740402000a096d61696e2e4c656166ff8a090102fef03ffe04400006737472696e670c0300
    01730001016b00011200
    30ff80010401076d61696e2e496eff861d0101016b0601096d61696e2e4c656166ff8a090102fef03ffe04400000011000
    0eff8d040102ff8e00010c01100000
    0eff8e0001016103696e7404020002";

#[test]
fn definitions_are_taken_out_of_interfaces_in_interfaces() {
    let leaf = r#"{"L":[1,2.5]}"#;
    let inner = format!(r#"{{"X":{{"k":3}},"Y":{leaf}}}"#);
    let expected = [
        format!(r#"{{"A":1,"V":{{"M":{inner},"N":[5,{leaf},"s",null],"K":"k"}},"Z":9}}"#),
        format!(r#"{{"A":2,"V":{inner},"Z":8}}"#),
        r#"{"a":1}"#.to_owned(),
    ];
    let input = hex(NESTED);
    for step in [1, 3, input.len()] {
        let mut values = Vec::new();
        read_with(&input, step, |raw| {
            let typed = Typed::decode(raw, &Limits::default()).unwrap();
            values.push(typed.to_json(&Limits::default()).unwrap());
        })
        .unwrap();
        assert_eq!(values, expected);
    }
}

#[test]
fn a_value_cut_anywhere_in_its_interfaces_is_never_given() {
    let input = hex(NESTED);
    // Three definitions, the last of which a part of the value goes with, and the rest of it.
    for end in 0..0x25 + 0x33 + 0x1d + 0xd2 {
        assert_eq!(read(&input[..end], usize::MAX).unwrap(), [], "cut at {end}");
    }
}
