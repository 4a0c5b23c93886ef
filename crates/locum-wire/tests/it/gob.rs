//! gob from outside.

mod attack;
mod carried;
mod declared;
mod described;
mod formats;
mod go;
mod properties;
mod rewritten;
mod schemas;
mod serde_golden;
mod stream;
mod typed;
mod typed_attack;
mod value;

use serde_json::Value as Json;

/// Bytes as they stand in the specification: hex, with names in quotes.
fn hex(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (at, part) in text.split('"').enumerate() {
        if at % 2 == 1 {
            bytes.extend_from_slice(part.as_bytes());
            continue;
        }
        let digits: Vec<_> = part.chars().filter(|it| !it.is_whitespace()).collect();
        for pair in digits.chunks(2) {
            let pair: String = pair.iter().collect();
            bytes.push(u8::from_str_radix(&pair, 16).expect("two hex digits"));
        }
    }
    bytes
}

/// A stream that Go wrote.
struct Line {
    name: String,
    bytes: Vec<u8>,
    /// Whether `values` says all there is to say.
    exact: bool,
    /// What Go's encoding/json says of them.
    values: Vec<Json>,
}

fn corpus() -> Vec<Line> {
    let lines = include_str!("../data/gob.jsonl").lines().map(|line| {
        let line: Json = serde_json::from_str(line).unwrap();
        Line {
            name: format!("{} of {}", line["id"].as_str().unwrap(), line["go"].as_str().unwrap()),
            bytes: hex(line["hex"].as_str().unwrap()),
            exact: line["exact"].as_bool().unwrap(),
            values: line["values"].as_array().unwrap().clone(),
        }
    });
    lines.collect()
}
