//! Bytes that mean harm: each is refused, with as little memory as it took to send.

use std::sync::Arc;

use allocation_counter::measure;
use locum_wire::gob::{Encoder, Stream, StreamError, Typed, Types};
use locum_wire::rpc::{Fatal, Limits};

use super::hex;

/// What came of a stream.
#[derive(Debug, Default)]
struct Outcome {
    /// The values that could be read, as JSON.
    values: Vec<String>,
    /// What was wrong with others.
    malformed: Vec<String>,
    /// What ended the stream.
    fatal: Option<String>,
}

fn read(input: &[u8], limits: &Limits) -> Outcome {
    let mut stream = Stream::new(limits);
    let (mut outcome, mut start) = (Outcome::default(), 0);
    loop {
        let mut taken = 0;
        match stream.next(&input[start..], &mut taken) {
            Ok(None) => return outcome,
            Ok(Some(raw)) => match Typed::decode(&raw, limits) {
                Ok(typed) => outcome.values.push(typed.to_json(limits).unwrap()),
                Err(error) => outcome.malformed.push(error.0),
            },
            Err(StreamError::Malformed(error) | StreamError::TooLarge(error)) => {
                outcome.malformed.push(error.0);
            }
            Err(StreamError::Fatal(Fatal(error))) => {
                outcome.fatal = Some(error);
                return outcome;
            }
        }
        start += taken;
    }
}

/// The same, and that no more than so many bytes were in use at once.
fn read_within(most: usize, input: &[u8], limits: &Limits) -> Outcome {
    let mut outcome = Outcome::default();
    let used = measure(|| outcome = read(input, limits)).bytes_max;
    assert!(used as usize <= most, "{used} bytes for {}", input.len());
    outcome
}

/// Like [`read_within`], of a stream that is one message that makes the stream unreadable.
fn fatal(input: &[u8], limits: &Limits) -> String {
    let outcome = read_within(64 << 10, input, limits);
    assert_eq!((outcome.values.len(), outcome.malformed.len()), (0, 0), "{outcome:?}");
    outcome.fatal.expect("the stream is unreadable")
}

fn uint(value: u64) -> Vec<u8> {
    if value < 0x80 {
        return vec![value as u8];
    }
    let bytes = value.to_be_bytes();
    let zeros = value.leading_zeros() as usize / 8;
    [&[(zeros as u8).wrapping_sub(8)], &bytes[zeros..]].concat()
}

fn int(value: i64) -> Vec<u8> {
    uint(((value << 1) ^ (value >> 63)) as u64)
}

/// A message of what `parts` are.
fn message(parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [uint(body.len() as u64), body].concat()
}

/// The definition of `type T []E`.
fn slice(id: i64, elem: i64) -> Vec<u8> {
    message(&[&int(-id), &hex("02 01 02"), &int(id), &hex("00 01"), &int(elem), &hex("00 00")])
}

/// `type T struct { A E }`, with so many fields.
fn structure(id: i64, fields: usize, elem: i64) -> Vec<u8> {
    let field = [&hex("01 01 \"A\" 01")[..], &int(elem), &[0]].concat();
    let all = field.repeat(fields);
    message(&[
        &int(-id),
        &hex("03 01 02"),
        &int(id),
        &[0, 1],
        &uint(fields as u64),
        &all,
        &hex("00 00"),
    ])
}

/// encoding/gob/encoder_test.go badDataTests.
#[test]
fn the_bad_data_of_go_is_refused() {
    for text in [
        "7F6869",
        "036e6f77206973207468652074696d6520666f7220616c6c20676f6f64206d656e",
        "0424666f6f",
        "05100028557b02027f8302",
        "130a00fb5dad0bf8ff020263e70002fa28020202a89859",
        "0f1000fb285d003316020735ff023a65c5",
        "03fffb0616fffc00f902ff02ff03bf005d02885802a311a8120228022c028ee7",
        "10fe010f020102fe01100001fe010e000016fe010d030102fe010e00010101015801fe01100000000bfe011000f85555555555555555",
    ] {
        let outcome = read_within(8 << 10, &hex(text), &Limits::default());
        assert_eq!(outcome.values, [""; 0], "{text}");
        let incomplete = text == "7F6869";
        assert_eq!(outcome.malformed.is_empty() && outcome.fatal.is_none(), incomplete, "{text}");
    }
}

#[test]
fn no_length_makes_room_before_its_bytes_are_there() {
    let limits = Limits::default();
    // Messages of 8 GiB, of 1 GiB and a byte, of nothing, and with a length of nine bytes.
    for text in ["fb 02 00000000", "fc 40000001", "00", "f7 000000000000000001"] {
        fatal(&hex(text), &limits);
    }
    // A message of the 16 MiB that it may have is waited for.
    let mut stream = Stream::new(&limits);
    assert!(stream.next(&hex("fc 01000000 0c"), &mut 0).unwrap().is_none());
    assert_eq!(stream.needs(), 5 + (16 << 20));
    // A string, bytes, a list, a map and what an interface holds, all longer than what there is.
    let map = hex("0e ff83 04 01 02 ff84 00 01 0c 01 0c 00 00");
    for input in [
        hex("0b 0c 00 f8 7fffffffffffffff"),
        hex("0b 0a 00 f8 00ffffffffffffff"),
        [slice(65, 3), hex("0c ff82 00 f8 7fffffffffffffff")].concat(),
        [map, hex("0c ff84 00 f8 7fffffffffffffff")].concat(),
        hex("10 10 00 03 \"int\" 04 f8 7fffffffffffffff"),
    ] {
        let outcome = read_within(16 << 10, &input, &limits);
        assert_eq!((outcome.values.len(), outcome.fatal), (0, None));
        assert_eq!(outcome.malformed, ["gob: length exceeds input size"]);
    }
}

/// What cannot define anything is passed over as it comes, in no memory; what can ends the stream.
#[test]
fn a_message_over_the_limit_loses_its_value_alone() {
    let limits = Limits::default();
    let long = |id: &[u8]| message(&[id, &[0], &vec![0; limits.message]]);
    let next = hex("03 04 00 06");
    let text = "gob: a message of 16777218 bytes is over the limit of 16777216";
    let input = [long(&int(6)), next.clone(), long(&int(6)), next.clone()].concat();
    let outcome = read_within(64 << 10, &input, &limits);
    assert_eq!(
        (outcome.values, outcome.malformed),
        (vec!["3".to_owned(); 2], vec![text.to_owned(); 2])
    );
    assert_eq!(outcome.fatal, None);

    // However it is cut, it is told once, before the rest is there.
    let small = Limits { message: 8, ..Limits::default() };
    let mut stream = Stream::new(&small);
    let (mut seen, mut buffer) = (Vec::new(), Vec::new());
    for byte in [message(&[&int(6), &[0], &[0x55; 700]]), next].concat() {
        buffer.push(byte);
        if buffer.len() < stream.needs() {
            continue;
        }
        let mut taken = 0;
        match stream.next(&buffer, &mut taken) {
            Ok(None) => {}
            Ok(Some(raw)) => seen.push(raw.bytes.to_vec()),
            Err(error) => seen.push(error.to_string().into_bytes()),
        }
        buffer.drain(..taken);
        assert!(buffer.len() <= 4, "nothing is held of it");
    }
    assert_eq!(seen, [&b"gob: a message of 702 bytes is over the limit of 8"[..], &[6]]);

    // A definition, a value of no type, one with interfaces in it, and the rest of one.
    let define = [slice(65, 8), structure(66, 1, 2)].concat();
    let begun = message(&[&hex("ff82 00 01 01 \"x\""), &structure(67, 0, 0)[1..]]);
    for input in [
        long(&int(-70)),
        long(&int(70)),
        [&define[..], &long(&int(65))].concat(),
        [&define[..], &begun, &long(&int(66))].concat(),
    ] {
        let outcome = read_within(64 << 10, &input, &limits);
        assert!(outcome.values.is_empty() && outcome.malformed.is_empty(), "{outcome:?}");
        assert_eq!(
            outcome.fatal.as_ref().map(|it| it.contains("is over the limit of 16777216")),
            Some(true)
        );
    }
}

#[test]
fn small_elements_by_the_million_stay_within_the_limit() {
    // `[]struct{}`, each of which is one byte.
    let count = 1 << 20;
    let elements = message(&[&int(65), &[0], &uint(count), &vec![0; count as usize]]);
    let input = [slice(65, 66), structure(66, 0, 0), elements].concat();
    let limits = Limits { decoded: 1 << 20, ..Limits::default() };
    let outcome = read_within(64 << 10, &input, &limits);
    assert_eq!(outcome.malformed, ["gob: value takes too much memory"]);
    let limits = Limits::default();
    let outcome = read_within(limits.decoded + (8 << 20), &input, &limits);
    assert_eq!(outcome.values[0].len(), 3 * count as usize + 1);
}

#[test]
fn arrays_are_as_long_as_they_say() {
    // `[1 << 40]int`, and five elements, none, or what it says.
    let array = |length: &[u8]| {
        let define = message(&[&hex("ff81 01 01 02 ff82 00 01 04 01"), &int(1 << 40), &[0, 0]]);
        [define, message(&[&hex("ff82 00"), length])].concat()
    };
    for length in [&hex("05 02 02 02 02 02")[..], &hex("00"), &uint(1 << 40)] {
        let outcome = read_within(16 << 10, &array(length), &Limits::default());
        assert_eq!((outcome.values.len(), outcome.malformed.len()), (0, 1));
    }
    // A length that is negative, and one that is not there.
    fatal(&message(&[&hex("ff81 01 01 02 ff82 00 01 04 01 01 00 00")]), &Limits::default());
}

/// CVE-2022-30635, CVE-2024-34156: what nests without end must not take the stack.
#[test]
fn nesting_ends_at_the_limit() {
    let limits = Limits::default();
    // `type R []R`, a million deep.
    let nested = |depth: usize| {
        let value = message(&[&hex("ff82 00"), &vec![1; depth - 1], &[0]]);
        [slice(65, 65), value].concat()
    };
    assert_eq!(read(&nested(64), &limits).values.len(), 1);
    for depth in [65, 1 << 20] {
        let outcome = read_within(64 << 10, &nested(depth), &limits);
        assert_eq!(outcome.malformed, ["gob: value nests too deeply"]);
    }
    // `[]any` in `[]any`.
    let held = |levels: usize| {
        let mut value = hex("00");
        for _ in 1..levels {
            let inner = [&[0], &value[..]].concat();
            let size = uint(inner.len() as u64);
            value = [&hex("01 02 \"[]\" ff82")[..], &size, &inner].concat();
        }
        [slice(65, 8), message(&[&hex("ff82 00"), &value])].concat()
    };
    assert_eq!(read(&held(64), &limits).values.len(), 1);
    let outcome = read(&held(65), &limits);
    assert_eq!(outcome.malformed, ["gob: value nests too deeply"]);
    // Types that nest deeper than any value, and a value that does not.
    let chain: Vec<u8> = (65..1065).flat_map(|id| slice(id, id + 1)).collect();
    let value = message(&[&int(65), &[0, 0]]);
    let input = [chain, slice(1065, 2), value].concat();
    assert_eq!(read(&input, &limits).values, ["[]"]);
}

#[test]
fn types_that_nest_deep_can_be_defined_again() {
    let limits = Limits { types: 60_000, ..Limits::default() };
    let chain: Vec<u8> = (65..50_000).flat_map(|id| slice(id, id + 1)).collect();
    let input = [chain, slice(50_000, 65), message(&[&int(65), &[0, 0]])].concat();
    let mut stream = Stream::new(&limits);
    let raw = stream.next(&input, &mut 0).unwrap().unwrap();
    let mut out = Vec::new();
    Encoder::new().copy(&mut out, &raw, &limits).unwrap();
    assert_eq!(out.len(), input.len());
}

#[test]
fn numbers_of_types_are_no_game() {
    let limits = Limits::default();
    // Defined twice, one of those that mean the same everywhere, none, the least number that there is.
    fatal(&[slice(65, 2), slice(65, 2)].concat(), &limits);
    fatal(&[slice(64, 2), structure(64, 1, 2)].concat(), &limits);
    for id in [1, 2, 8, 16, 23, 63, 1 << 31, 1 << 40, i64::MAX] {
        fatal(&slice(id, 2), &limits);
    }
    fatal(&message(&[&uint(u64::MAX), &hex("02 01 02 04 00 01 04 00 00")]), &limits);
    // Made of none.
    fatal(&slice(65, 0), &limits);
    fatal(&slice(65, -66), &limits);
    // Two things at once, nothing, one that gob has not, and something after it.
    fatal(
        &message(&[&hex("ff81 02 01 02 ff82 00 01 04 00 01 01 02 ff82 00 01 04 00 00")]),
        &limits,
    );
    fatal(&message(&[&hex("ff81 00")]), &limits);
    fatal(&message(&[&hex("ff81 08 01 02 ff82 00 00 00")]), &limits);
    fatal(&message(&[&hex("ff81 02 01 02 ff82 00 01 04 00 00 00")]), &limits);
    // The largest is as good as any.
    let largest = i64::from(i32::MAX);
    let input = [slice(largest, 2), message(&[&int(largest), &hex("00 01 0e")])].concat();
    assert_eq!(read(&input, &limits).values, ["[7]"]);
    // A value of a type that is made of one that is not defined.
    let input = [slice(65, 66), hex("05 ff82 00 01 00")].concat();
    assert_eq!(read(&input, &limits).malformed, ["gob: unknown type id or corrupted data"]);
}

#[test]
fn a_stream_has_so_many_types_and_no_more() {
    let limits = Limits::default();
    let input: Vec<u8> = (0..1 << 13).flat_map(|at| structure(65 + at, 1, 2)).collect();
    let outcome = read_within(1 << 20, &input, &limits);
    assert_eq!(outcome.fatal.unwrap(), "gob: more than 1024 types in a stream");
    assert!(read(&structure(65, 1024, 2), &limits).fatal.is_none());
    fatal(&structure(65, 1025, 2), &limits);
}

/// A value that is kept keeps the types that its stream had then, and these are not copied for each.
#[test]
fn types_are_shared_by_all_that_keep_them() {
    let limits = Limits { definitions: 16 << 20, ..Limits::default() };
    let mut stream = Stream::new(&limits);
    let mut kept: Vec<Arc<Types>> = Vec::new();
    let mut sent = 0;
    let used = measure(|| {
        for at in 0..1000 {
            let id = 65 + at;
            let input = [structure(id, 1000, 2), message(&[&int(id), &[0]])].concat();
            sent += input.len();
            let raw = stream.next(&input, &mut 0).unwrap().unwrap();
            kept.push(Arc::clone(raw.types));
        }
    });
    assert_eq!(kept.len(), 1000);
    assert!((used.bytes_max as usize) < 30 * sent, "{} bytes for {sent}", used.bytes_max);
}

#[test]
fn interfaces_hold_what_they_say() {
    let limits = Limits::default();
    let one = slice(65, 8);
    let value = |text: &str| [one.clone(), message(&[&hex("ff82 00 01"), &hex(text)])].concat();
    assert_eq!(read(&value(r#"03 "int" 04 02 00 0a"#), &limits).values, ["[5]"]);
    for text in [
        // Shorter or longer than it says, of no type, of an unknown one, without its zero.
        r#"03 "int" 04 01 00 0a"#,
        r#"03 "int" 04 03 00 0a"#,
        r#"03 "int" 04 03 00 0a 00"#,
        r#"03 "int" 00 02 00 0a"#,
        r#"03 "int" ff90 02 00 0a"#,
        r#"03 "int" 04 02 02 0a"#,
        // An interface, a name that is no text, and something after it.
        r#"03 "int" 10 03 00 00 00"#,
        r#"02 c328 04 02 00 0a"#,
        r#"03 "int" 04 02 00 0a 00"#,
    ] {
        let outcome = read(&value(text), &limits);
        assert_eq!(outcome.values, [""; 0], "{text}");
        assert_eq!((outcome.malformed.len(), outcome.fatal), (1, None), "{text}");
    }
    // A definition, and something after it in its message.
    let definition = &slice(66, 2)[1..];
    let broken = message(&[&hex("ff82 00 01 01 \"x\""), definition, &[0]]);
    let outcome = read(&[one.clone(), broken].concat(), &limits);
    assert_eq!(outcome.malformed, ["gob: extra data in buffer"]);
    // In an interface, a definition that does not end where a part of the value does.
    let inner = [&hex("00 01 01 \"x\"")[..], definition].concat();
    let size = uint(inner.len() as u64 + 1);
    let inner = [&hex("01 01 \"y\" ff82")[..], &size, &inner, &[0]].concat();
    let outcome = read(&[one, message(&[&hex("ff82 00"), &inner])].concat(), &limits);
    assert_eq!(outcome.malformed, ["gob: bad interface value"]);
}

/// A value that goes on and on: each message that it goes on in has to define a type.
#[test]
fn a_value_in_many_messages_takes_no_more_than_it_may() {
    // `[]any` of a hundred values of types that are new, each with 16 KiB.
    let bytes = vec![7; 16 << 10];
    let mut input = slice(65, 8);
    let mut head = hex("ff82 00 64");
    for id in 66..166 {
        let definition = message(&[&int(-id), &hex("05 01 02"), &int(id), &hex("00 00 00")]);
        input.extend(message(&[&head, &hex("01 \"x\""), &definition[1..]]));
        let inner = [&[0][..], &uint(bytes.len() as u64), &bytes].concat();
        head = [int(id), uint(inner.len() as u64), inner].concat();
    }
    input.extend(message(&[&head]));
    let limits = Limits { decoded: 256 << 10, ..Limits::default() };
    let outcome = read_within(1 << 20, &input, &limits);
    assert_eq!(outcome.fatal.unwrap(), "gob: value takes too much memory");
    let outcome = read(&input, &Limits::default());
    assert_eq!(outcome.values[0].matches(',').count(), 99);
    // One that would have more elements than it could ever take bytes.
    let begin = [slice(65, 8), message(&[&hex("ff82 00 f8 00ffffffffffffff")])].concat();
    assert_eq!(read(&begin, &limits).malformed, ["gob: length exceeds input size"]);
}

#[test]
fn definitions_take_no_more_than_a_mebibyte() {
    let limits = Limits::default();
    let name = vec![b'N'; 300 << 10];
    let mut input = Vec::new();
    for id in 65..69 {
        let length = uint(name.len() as u64);
        let common = [&hex("03 01 01")[..], &length, &name, &hex("01"), &int(id)].concat();
        input.extend(message(&[&int(-id), &common, &hex("00 00 00")]));
    }
    let outcome = read_within(4 << 20, &input, &limits);
    assert_eq!(outcome.fatal.unwrap(), "gob: definitions take too much memory");
    let three = read_within(4 << 20, &input[..input.len() * 3 / 4], &limits);
    assert_eq!(three.fatal, None);
    // By then another stream was to take its place.
    let mut stream = Stream::new(&limits);
    for (definition, worn) in input.chunks(input.len() / 4).zip([false, true, true]) {
        assert!(stream.next(definition, &mut 0).unwrap().is_none());
        assert_eq!(stream.is_worn(), worn);
    }
}
