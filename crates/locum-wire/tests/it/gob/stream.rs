//! Streams as Go writes them, cut anywhere.

use locum_wire::gob::{Stream, StreamError, TypeId};
use locum_wire::rpc::Limits;

use super::hex;

/// A value: the number of its type, and its bytes.
type Value = (i32, Vec<u8>);

/// Reads a stream that comes `step` bytes at a time.
fn read(input: &[u8], step: usize) -> Result<Vec<Value>, StreamError> {
    let mut stream = Stream::new(&Limits::default());
    let (mut values, mut start, mut end) = (Vec::new(), 0, 0);
    loop {
        let mut taken = 0;
        let raw = stream.next(&input[start..end], &mut taken)?;
        let raw = raw.map(|raw| (raw.id.get(), raw.bytes.to_vec()));
        start += taken;
        match raw {
            Some(raw) => values.push(raw),
            None if end == input.len() => return Ok(values),
            None => {
                assert!(stream.needs() > end - start, "there is no value yet");
                end = input.len().min(end + step);
            }
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
