//! Values of Rust as the specification and Go write them.

use std::collections::BTreeMap;

use locum_wire::gob::{Any, Encoder, Schema, Stream, decode};
use locum_wire::rpc::Limits;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::hex;

/// A stream of values, written.
#[derive(Default)]
struct Writer {
    encoder: Encoder,
    out: Vec<u8>,
}

impl Writer {
    /// What one more value adds.
    fn write<T: Serialize + DeserializeOwned>(&mut self, value: &T) -> Vec<u8> {
        let schema = Schema::trace::<T>().unwrap();
        self.encoder.encode(&mut self.out, &schema, value).unwrap();
        std::mem::take(&mut self.out)
    }
}

/// The first value of a stream.
fn read<T: DeserializeOwned>(input: &[u8]) -> T {
    try_read(input).unwrap()
}

fn try_read<T: DeserializeOwned>(input: &[u8]) -> Result<T, String> {
    let mut stream = Stream::new(&Limits::default());
    let raw = stream.next(input, &mut 0).unwrap().unwrap();
    decode(raw.types, raw.id, raw.bytes).map_err(|error| error.0)
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Request {
    service_method: String,
    seq: u64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Response {
    service_method: String,
    seq: u64,
    error: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Args {
    a: i64,
    b: i64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Reply {
    c: i64,
}

#[test]
fn a_call_is_written_as_go_writes_it() {
    let mut writer = Writer::default();
    let request = |seq| Request { service_method: "Arith.Add".to_owned(), seq };
    assert_eq!(
        writer.write(&request(0)),
        hex(r#"2f ff81 03 01 01 07 "Request" 01 ff82 00 01 02  01 0d "ServiceMethod" 01 0c 00
               01 03 "Seq" 01 06 00  00 00   0e ff82 01 09 "Arith.Add" 00"#)
    );
    assert_eq!(
        writer.write(&Args { a: 7, b: 8 }),
        hex(r#"1e ff83 03 01 01 04 "Args" 01 ff84 00 01 02  01 01 "A" 01 04 00  01 01 "B" 01 04 00
               00 00   07 ff84 01 0e 01 10 00"#)
    );
    assert_eq!(writer.write(&Args { a: 0, b: 8 }), hex("05 ff84 02 10 00"));
    assert_eq!(writer.write(&Args { a: 0, b: 0 }), hex("03 ff84 00"));
    assert_eq!(writer.write(&request(300)), hex(r#"12 ff82 01 09 "Arith.Add" 01 fe 01 2c 00"#));
}

#[test]
fn an_answer_is_written_as_go_writes_it() {
    let mut writer = Writer::default();
    writer.write(&Request { service_method: String::new(), seq: 0 });
    writer.write(&Args { a: 0, b: 0 });
    let response = |method: &str, seq, error: &str| Response {
        service_method: method.to_owned(),
        seq,
        error: error.to_owned(),
    };
    assert_eq!(
        writer.write(&response("Arith.Add", 0, "")),
        hex(r#"3a ff85 03 01 01 08 "Response" 01 ff86 00 01 03  01 0d "ServiceMethod" 01 0c 00
               01 03 "Seq" 01 06 00  01 05 "Error" 01 0c 00  00 00   0e ff86 01 09 "Arith.Add" 00"#)
    );
    assert_eq!(
        writer.write(&Reply { c: 15 }),
        hex(
            r#"19 ff87 03 01 01 05 "Reply" 01 ff88 00 01 01  01 01 "C" 01 04 00  00 00   05 ff88 01 1e 00"#
        )
    );
    let text = "rpc: can't find method Arith.BadOperation";
    assert_eq!(
        writer.write(&response("Arith.BadOperation", 2, text)),
        hex(&format!(r#"44 ff86 01 12 "Arith.BadOperation" 01 02 01 29 "{text}" 00"#))
    );
    assert_eq!(writer.write(&()), hex("0a ff89 03 01 02 ff8a 00 00 00  03 ff8a 00"));
    assert_eq!(writer.write(&()), hex("03 ff8a 00"));
}

#[test]
fn values_that_are_no_structs_have_a_zero_before_them() {
    let mut writer = Writer::default();
    assert_eq!(writer.write(&3_i64), hex("03 04 00 06"));
    assert_eq!(writer.write(&0_i32), hex("03 04 00 00"));
    assert_eq!(writer.write(&"12345".to_owned()), hex("08 0c 00 05 3132333435"));
    assert_eq!(writer.write(&String::new()), hex("03 0c 00 00"));
    assert_eq!(writer.write(&true), hex("03 02 00 01"));
    assert_eq!(writer.write(&17.0), hex("05 08 00 fe 31 40"));
    assert_eq!(writer.write(&vec![1_u8, 2]), hex("05 0a 00 02 01 02"));
    assert_eq!(writer.write(&Vec::<u8>::new()), hex("03 0a 00 00"));
    assert_eq!(writer.write(&Any::from(5_isize)), hex(r#"0a 10 00 03 "int" 04 02 00 0a"#));
    assert_eq!(writer.write(&Any::default()), hex("03 10 00 00"));
}

#[test]
fn maps_slices_and_arrays_are_written_as_go_writes_them() {
    let mut writer = Writer::default();
    for _ in 0..2 {
        writer.write(&Args { a: 0, b: 0 });
    }
    for seq in 0..3 {
        let mut fields = [1, 2, 3].map(|_| seq);
        fields[0] = 1;
        writer.write(&fields);
    }
    // What came before took 65 and 66.
    assert_eq!(
        writer.write(&BTreeMap::from([(7_i64, 8_i64)])),
        hex("0e ff85 04 01 02 ff86 00 01 04 01 04 00 00   06 ff86 00 01 0e 10")
    );
    assert_eq!(
        writer.write(&vec![7_i64, 8]),
        hex("0c ff87 02 01 02 ff88 00 01 04 00 00   06 ff88 00 02 0e 10")
    );
    assert_eq!(
        writer.write(&[7_i64, 8]),
        hex("0e ff89 01 01 02 ff8a 00 01 04 01 04 00 00   06 ff8a 00 02 0e 10")
    );
}

#[test]
fn zeros_are_left_out_of_structs_as_in_go() {
    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Zeros {
        float: f64,
        text: String,
        slice: Vec<i64>,
        bytes: Vec<u8>,
        pointer: Option<i64>,
        inner: Inner,
        array: [i64; 2],
        map: BTreeMap<String, i64>,
        nil: Option<BTreeMap<String, i64>>,
        any: Any,
        last: bool,
    }
    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Inner {
        x: i64,
    }
    let mut writer = Writer::default();
    let defined = writer.write(&Zeros::default());
    let zeros = Zeros { float: -0.0, pointer: Some(0), last: true, ..Zeros::default() };
    let bytes = writer.write(&zeros);
    // inner: 6 and an end; array: 1 and two zeros; map: 1 and nothing; last: 3.
    assert_eq!(bytes, hex("0d ff82 06 00 01 02 00 00 01 00 03 01 00"));
    let whole = [defined, bytes].concat();
    let mut stream = Stream::new(&Limits::default());
    let mut taken = 0;
    stream.next(&whole, &mut taken).unwrap().unwrap();
    let raw = stream.next(&whole[taken..], &mut 0).unwrap().unwrap();
    let back: Zeros = decode(raw.types, raw.id, raw.bytes).unwrap();
    assert_eq!(back, Zeros { last: true, ..Zeros::default() });
}

#[test]
fn what_go_wrote_is_read() {
    let args: Args = read(&hex(
        r#"1d 7f 03 01 01 04 "Args" 01 ff80 00 01 02  01 01 "A" 01 04 00  01 01 "B" 01 04 00  00 00
           07 ff80 01 0e 01 10 00"#,
    ));
    assert_eq!(args, Args { a: 7, b: 8 });
    assert_eq!(read::<i64>(&hex("03 04 00 06")), 3);
    assert_eq!(read::<String>(&hex("08 0c 00 05 3132333435")), "12345");
    assert_eq!(
        read::<BTreeMap<i64, i64>>(&hex(
            "0e ff89 04 01 02 ff8a 00 01 04 01 04 00 00  06 ff8a 00 01 0e 10"
        )),
        BTreeMap::from([(7, 8)])
    );
    assert_eq!(
        read::<Vec<i64>>(&hex("0c ff8b 02 01 02 ff8c 00 01 04 00 00  06 ff8c 00 02 0e 10")),
        [7, 8]
    );
    assert_eq!(
        read::<[i64; 2]>(&hex("0e ff8d 01 01 02 ff8e 00 01 04 01 04 00 00  06 ff8e 00 02 0e 10")),
        [7, 8]
    );
    let any: Any = read(&hex(r#"0a 10 00 03 "int" 04 02 00 0a"#));
    assert_eq!((any.name(), any.decode::<i8>().unwrap()), ("int", 5));
    read::<()>(&hex("0a ff89 03 01 02 ff8a 00 00 00  03 ff8a 00"));
}
