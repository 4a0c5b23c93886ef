//! Bytes that mean harm to whoever reads them.

use locum_testkit::netrpc::gob::{
    BYTES, INT, INTERFACE, STRING, array, int, map, message, sized, slice, structure, uint,
};

/// Types of the attacks' own, above those of a call's header.
const T: i64 = 70;

/// Each with what it is.
pub(super) fn all() -> Vec<(&'static str, Vec<u8>)> {
    let mut attacks = lengths();
    attacks.extend(nesting());
    attacks.extend(types());
    attacks.extend(other_protocols());
    attacks.extend(BAD_DATA.map(|(name, bytes)| (name, bytes.to_vec())));
    attacks
}

/// Lengths and counts of what is not there.
fn lengths() -> Vec<(&'static str, Vec<u8>)> {
    const HUGE: u64 = i64::MAX as u64;
    let value = |id: i64, count: u64| message(&[&int(id), &[0], &uint(count)]);
    vec![
        ("7 GiB", vec![0xfb, 0x01, 0xc0, 0, 0, 0]),
        ("the longest message", uint(HUGE)),
        ("a length of nine bytes", vec![0xf7, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        ("no message", vec![0]),
        ("a long string", value(STRING, HUGE)),
        ("many bytes", value(BYTES, HUGE)),
        ("a long list", [slice(T, INT), value(T, HUGE)].concat()),
        ("a large map", [map(T, STRING, INT), value(T, HUGE)].concat()),
        ("a large array", [array(T, INT, 1 << 40), value(T, 1 << 40)].concat()),
        ("a negative array", array(T, INT, -1)),
        (
            "a large interface",
            message(&[&int(INTERFACE), &[0], &sized(b"int"), &int(INT), &uint(HUGE)]),
        ),
        ("a million empty structs", {
            let count = 1 << 20;
            let empty = [slice(T, T + 1), structure(T + 1, "E", &[])].concat();
            [empty, message(&[&int(T), &[0], &uint(count), &vec![0; count as usize]])].concat()
        }),
        ("a million empty lists", {
            let count = 1 << 20;
            let lists = [slice(T, T + 1), slice(T + 1, INT)].concat();
            [lists, message(&[&int(T), &[0], &uint(count), &vec![0; count as usize]])].concat()
        }),
    ]
}

/// CVE-2022-30635 and CVE-2024-34156: what nests without end.
fn nesting() -> Vec<(&'static str, Vec<u8>)> {
    let depth = 1 << 20;
    let list = [slice(T, T), message(&[&int(T), &[0], &vec![1; depth], &[0]])].concat();
    let node = structure(T, "Node", &[("Next", T)]);
    let nodes = [node, message(&[&int(T), &vec![1; depth], &vec![0; depth + 1]])].concat();
    let mut held = vec![0];
    for _ in 0..1000 {
        let inner = [&[0], held.as_slice()].concat();
        held = [&[1], &sized(b"[]")[..], &int(T), &sized(&inner)].concat();
    }
    let held = [slice(T, INTERFACE), message(&[&int(T), &[0], &held])].concat();
    let chain: Vec<u8> = (T..T + 1000).flat_map(|id| slice(id, id + 1)).collect();
    let chain = [chain, slice(T + 1000, INT), message(&[&int(T), &[0, 0]])].concat();
    let json = |open: &str, close: &str| {
        let params = open.repeat(100_000) + &close.repeat(100_000);
        format!("{{\"method\":\"Echo.Text\",\"id\":1,\"params\":[{params}]}}").into_bytes()
    };
    vec![
        ("lists in lists", list),
        ("structs in structs", nodes),
        ("interfaces in interfaces", held),
        ("types of types", chain),
        ("arrays of JSON", json("[", "]")),
        ("objects of JSON", json("{\"a\":", "}")),
    ]
}

/// Games with the numbers of types, and more of them than anybody needs.
fn types() -> Vec<(&'static str, Vec<u8>)> {
    let many =
        |count: i64| (T..T + count).flat_map(|id| structure(id, "S", &[("A", INT)])).collect();
    let fields: Vec<(&str, i64)> = (0..1025).map(|_| ("A", INT)).collect();
    let name = "N".repeat(8 << 20);
    vec![
        ("a type twice", [slice(T, INT), slice(T, INT)].concat()),
        ("a type that is everybody's", slice(INT, INT)),
        ("the least number", message(&[&uint(u64::MAX), &[2, 1, 2, 4, 0, 1, 4, 0, 0]])),
        ("the largest number", slice(i64::MAX, INT)),
        ("a list of nothing", slice(T, 0)),
        (
            "a list of what is not there",
            [slice(T, T + 9), message(&[&int(T), &[0, 1, 0]])].concat(),
        ),
        ("1,025 types", many(1025)),
        ("20,000 types", many(20_000)),
        ("1,025 fields", structure(T, "S", &fields)),
        ("a long name", structure(T, &name, &[("A", INT)])),
        (
            "ten long names",
            (T..T + 10).flat_map(|id| structure(id, &name, &[("A", INT)])).collect(),
        ),
    ]
}

/// What other protocols could be made to swallow.
fn other_protocols() -> Vec<(&'static str, Vec<u8>)> {
    let batch = |count: usize| {
        let call = r#"{"jsonrpc":"2.0","method":"Arith.Multiply","params":{"A":6,"B":7},"id":1}"#;
        format!("[{}]", vec![call; count].join(",")).into_bytes()
    };
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        ("a number of a million digits", {
            let digits = "9".repeat(1 << 20);
            format!("{{\"method\":\"Echo.Number\",\"params\":[{digits}],\"id\":1}}").into_bytes()
        }),
        ("an id of a megabyte", {
            let id = "i".repeat(1 << 20);
            format!("{{\"method\":\"Echo.Number\",\"params\":[1],\"id\":\"{id}\"}}").into_bytes()
        }),
        ("two ids", text(r#"{"method":"Echo.Number","params":[1],"id":1,"id":2}"#)),
        ("JSON that is no text", b"{\"method\":\"\xff\xfe\",\"params\":[1],\"id\":1}".to_vec()),
        ("JSON without an end", text("{\"a\":\"").repeat(1000)),
        ("white space", vec![b' '; 1 << 20]),
        ("a batch of 5,000", batch(5000)),
        ("an empty batch", batch(0)),
        ("a long CONNECT", [text("CONNECT /"), vec![b'x'; 1 << 20]].concat()),
        ("another CONNECT", text("CONNECT example.com:443 HTTP/1.1\r\n\r\n")),
        ("TLS", [&b"\x16\x03\x01\xff\xff"[..], &[0; 1000]].concat()),
        ("HTTP/2", text("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")),
    ]
}

/// Random bytes of random length; half of them after the beginning of something.
pub(super) fn random(seed: u64) -> Vec<u8> {
    const BEGINNINGS: [&[u8]; 4] = [
        b"\x2f\xff\x81\x03\x01\x01\x07Request\x01\xff\x82\x00\x01\x02\x01\x0dServiceMethod\x01\x0c\x00\x01\x03Seq\x01\x06\x00\x00\x00",
        b"{\"method\":",
        b"CONNECT /_goRPC_ HTTP/1.0\n\n",
        b"[{\"jsonrpc\":\"2.0\",",
    ];
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        // SplitMix64 (Steele, Lea, Flood).
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    };
    let length = next() % 5000;
    let mut bytes = match seed % 2 {
        0 => Vec::new(),
        _ => BEGINNINGS[seed as usize / 2 % BEGINNINGS.len()].to_vec(),
    };
    bytes.extend((0..length).map(|_| next() as u8));
    bytes
}

/// encoding/gob/encoder_test.go badDataTests.
const BAD_DATA: [(&str, &[u8]); 8] = [
    ("bad data 1", b"\x7f\x68\x69"),
    ("bad data 2", b"\x03now is the time for all good men"),
    ("bad data 3", b"\x04$foo"),
    ("bad data 4", b"\x05\x10\x00\x28\x55\x7b\x02\x02\x7f\x83\x02"),
    (
        "bad data 5",
        b"\x13\x0a\x00\xfb\x5d\xad\x0b\xf8\xff\x02\x02\x63\xe7\x00\x02\xfa\x28\x02\x02\x02\xa8\x98\x59",
    ),
    ("bad data 6", b"\x0f\x10\x00\xfb\x28\x5d\x00\x33\x16\x02\x07\x35\xff\x02\x3a\x65\xc5"),
    (
        "bad data 7",
        b"\x03\xff\xfb\x06\x16\xff\xfc\x00\xf9\x02\xff\x02\xff\x03\xbf\x00\x5d\x02\x88\x58\x02\xa3\x11\xa8\x12\x02\x28\x02\x2c\x02\x8e\xe7",
    ),
    (
        "bad data 8",
        b"\x10\xfe\x01\x0f\x01\x02\x02\xfe\x01\x10\x00\x01\xfe\x01\x0e\x00\x00\x16\xfe\x01\x0d\x03\x01\x02\xfe\x01\x0e\x00\x01\x01\x01\x01\x58\x01\xfe\x01\x10\x00\x00\x00\x0b\xfe\x01\x10\x00\xf8\x55\x55\x55\x55\x55\x55\x55\x55",
    ),
];
