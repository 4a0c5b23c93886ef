//! Types that JSON does not tell: given in the file, or learned from callers that do.

use locum_testkit::{Go, Mode, run_to_end};
use serde_json::{Value, json};

use super::setup::{Gateway, OurServer, call, is_problem, result};
use crate::setup::binary;

/// A float that looks like an int.
const ORDER: &str = r#"{"Amount":3,"Each":2}"#;

#[test]
fn types_are_learned_from_a_call_of_a_client_that_tells_them() {
    let server = OurServer::start();
    let locum = Gateway::to("gob", server.address).start();
    let mut client = locum.client();
    let answer = call(&mut client, "Shop.Price", ORDER).unwrap();
    assert!(is_problem(&answer, 400, "gob: "), "{}", answer.text());

    // Nothing is learned from a call that fails.
    teach(&locum.address("rpc").to_string(), r#"{"Amount":3,"Each":"2"}"#, 1);
    assert_eq!(call(&mut client, "Shop.Price", ORDER).map(|answer| answer.status), Ok(400));

    teach(&locum.address("rpc").to_string(), r#"{"Amount":3,"Each":2.5}"#, 0);
    assert_eq!(result(&mut client, "Shop.Price", ORDER), "6");
}

/// Has `locum call` make a call in gob.
fn teach(address: &str, json: &str, code: i32) {
    let taught = run_to_end(binary(), &["call", address, "Shop.Price", json]);
    assert_eq!(taught.code, Some(code), "{taught:?}");
}

#[test]
fn types_are_learned_from_go() {
    for go in Go::all() {
        let server = go.server(Mode::Gob, super::answers::ANY);
        let locum = Gateway::to("gob", server.address).start();
        let mut client = locum.client();
        let ints = json!({
            "MinI8": -128, "MaxI8": 127, "MinI16": -32768, "MaxI16": 32767,
            "MinI32": -2147483648, "MaxI32": 2147483647,
            "MinI64": i64::MIN, "MaxI64": i64::MAX,
            "MaxU8": 255, "MaxU16": 65535, "MaxU32": u32::MAX, "MaxU64": u64::MAX,
            "Minus": -1, "Top": 1u64 << 63,
        });
        let times = json!({
            "Utc": "2026-11-25T08:30:00.123456789Z",
            "Zoned": "1969-07-20T20:17:40-04:00",
            "Many": ["2000-02-29T23:59:59+05:30"],
            "Zero": "0001-01-01T00:00:00Z",
        });
        let bytes: Vec<u8> = (0..=255).collect();
        let bytes = json!({"Some": "aGVsbG8=", "None": null, "Every": base64(&bytes)});
        let maps = json!({
            "ByName": {"one": 1, "two": 2, "zero": 0},
            "ByNumber": {"-1": "minus", "0": "", "7": "seven"},
            "Points": {"a": {"X": 1, "Y": 2}, "o": {"X": 0, "Y": 0}},
            "Nested": {"x": {"y": 1}, "z": {}},
            "Lists": {"even": [2, 4], "none": []},
            "Empty": {},
            "None": null,
        });
        let cases = [("Ints", ints), ("Times", times), ("Bytes", bytes), ("Maps", maps)];
        for (kind, value) in &cases {
            let answer = call(&mut client, &format!("Zoo.{kind}"), &value.to_string()).unwrap();
            assert!(is_problem(&answer, 400, "gob: "), "{kind}: {}", answer.text());
        }
        let checks = cases.each_ref().map(|(kind, _)| format!("zoo.{kind}"));
        let failed = go.client(Mode::Gob, locum.address("rpc"), &checks);
        assert!(failed.is_empty(), "{}", failed.join("\n"));
        for (kind, value) in &cases {
            let said = result(&mut client, &format!("Zoo.{kind}"), &value.to_string());
            assert_eq!(serde_json::from_str::<Value>(&said).unwrap(), *value, "{kind}");
        }

        let document: Value = locum.get("/rpc").json();
        let ints = &document["components"]["schemas"]["Ints"]["properties"];
        assert_eq!(ints["MaxU64"], json!({"type": "integer", "minimum": 0}));
        let zoo = &document["paths"]["/Zoo.Times"]["post"];
        let schema = &zoo["requestBody"]["content"]["application/json"]["schema"];
        assert_eq!(schema, &json!({"$ref": "#/components/schemas/Times"}));
    }
}

#[test]
fn types_can_be_given_to_the_route_and_to_the_upstream() {
    let server = OurServer::start();
    let types = r#""Shop.Price" = { Amount = "int", Each = "float" }"#;
    let of_route = Gateway { types, ..Gateway::to("gob", server.address) };
    let upstream = r#"types = { "Shop.Price" = { Amount = "int", Each = "float" } }"#;
    let of_upstream = Gateway { upstream, ..Gateway::to("gob", server.address) };
    // What the route says comes first.
    let wrong = r#"types = { "Shop.Price" = { Amount = "int", Each = "string" } }"#;
    let both = Gateway { types, upstream: wrong, ..Gateway::to("gob", server.address) };
    for gateway in [of_route, of_upstream, both] {
        let locum = gateway.start();
        let mut client = locum.client();
        assert_eq!(result(&mut client, "Shop.Price", ORDER), "6");
        let answer = call(&mut client, "Shop.Price", r#"{"Amount":0.5,"Each":2}"#).unwrap();
        assert!(is_problem(&answer, 400, "0.5 is no int"), "{}", answer.text());
    }
}

#[test]
fn what_was_learned_outlives_a_reload() {
    for go in Go::all() {
        let server = go.server(Mode::Gob, super::answers::ANY);
        let gateway = Gateway::to("gob", server.address);
        let locum = gateway.start();
        let failed = go.client(Mode::Gob, locum.address("rpc"), &["zoo.Ints".to_owned()]);
        assert!(failed.is_empty(), "{}", failed.join("\n"));
        let upstream = "pool = { connections_per_worker = 1 }";
        locum.reload(&Gateway { upstream, ..gateway }.config());
        assert!(locum.get("/rpc").json()["paths"]["/Zoo.Ints"].is_object());
    }
}

#[test]
fn the_listing_has_what_was_given_what_has_a_route_and_what_was_called() {
    let server = OurServer::start();
    let types = r#""Shop.Price" = { Amount = "int", Each = "float", reply = "float" }"#;
    let route = r#"
        [[routes]]
        match = { call = "Shop.Panics" }
        upstream = "up"
    "#;
    let locum = Gateway { types, route, ..Gateway::to("gob", server.address) }.start();
    let mut client = locum.client();
    result(&mut client, "Shop.Waiting", "");
    call(&mut client, "Shop.Nope", "").unwrap();
    let answer = client.get("/rpc").unwrap();
    assert_eq!(answer.headers.get("content-type"), Some("application/json"));
    let document: Value = answer.json();
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.keys().collect::<Vec<_>>(), ["/Shop.Panics", "/Shop.Price", "/Shop.Waiting"]);
    let returned = |path: &str| {
        &paths[path]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    };
    assert_eq!(returned("/Shop.Price"), &json!({"type": "number", "format": "double"}));
    assert_eq!(returned("/Shop.Waiting"), &json!({"type": "integer", "minimum": 0}));
    client.send("HEAD /rpc/ HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = client.response("HEAD").unwrap();
    assert_eq!(head.headers.get("content-length"), answer.headers.get("content-length"));
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    text
}
