//! Many clients at once, and those that mean no good.

use std::thread;

use locum_testkit::{Client, Go, Mode};
use serde_json::json;

use super::setup::{Gateway, call, is_problem, result};

#[test]
fn many_clients_are_each_given_their_own_answers() {
    for go in Go::all() {
        let server = go.server(Mode::Gob, super::answers::ANY);
        let locum = Gateway::to("gob", server.address).start();
        let web = locum.address("web");
        thread::scope(|scope| {
            for client in 0..32 {
                scope.spawn(move || {
                    let mut connection = Client::connect(web);
                    for call in 0..100 {
                        let args = json!({"A": client, "B": call}).to_string();
                        let product = result(&mut connection, "Arith.Multiply", &args);
                        assert_eq!(product, (client * call).to_string());
                    }
                });
            }
        });
        locum.counts("locum_calls_total", &[("route", "json"), ("code", "200")], 3200.0);
    }
}

#[test]
fn names_of_methods_without_end_are_not_remembered() {
    for go in Go::all() {
        let server = go.server(Mode::Gob, super::answers::ANY);
        let gateway = Gateway::to("gob", server.address);
        let policy = "breaker = { per = \"method\" }\nrate_limit = { rate = \"100000/s\", key = \"method\" }";
        let locum = Gateway { policy, ..gateway }.start();
        let web = locum.address("web");
        let call_many = |names: std::ops::Range<u32>| {
            thread::scope(|scope| {
                for worker in 0..4 {
                    let names = names.clone().skip(worker).step_by(4);
                    scope.spawn(move || {
                        let mut client = Client::connect(web);
                        for name in names {
                            let method = format!("Nope{}.M{name}", "x".repeat(100));
                            let answer = call(&mut client, &method, "{}").unwrap();
                            assert!(
                                is_problem(&answer, 404, "can't find service"),
                                "{}",
                                answer.text()
                            );
                        }
                    });
                }
            });
        };
        call_many(0..10_000);
        let before = locum.resident();
        call_many(10_000..20_000);
        let grown = locum.resident().saturating_sub(before);
        println!("20,000 names: {} KiB, then {} KiB more", before / 1024, grown / 1024);
        assert!(grown < 3 << 20, "{grown} bytes");
        assert_eq!(locum.get("/rpc").json()["paths"], json!({}));
        assert_eq!(result(&mut Client::connect(web), "Echo.Number", "7"), "7");
    }
}

#[test]
fn what_is_no_json_is_refused_and_nothing_breaks() {
    for go in Go::all() {
        let server = go.server(Mode::Gob, super::answers::ANY);
        let route = "max_body = \"4MiB\"";
        let locum = Gateway { route, ..Gateway::to("gob", server.address) }.start();
        let mut client = locum.client();
        let open = "[".repeat(1 << 20);
        let wide = format!("[{}0]", "0,".repeat(1 << 20));
        let long = format!("{{\"A\":{}}}", "9".repeat(100_000));
        let names = (0..100_000).map(|name| format!("\"x{name}\":1"));
        let names = format!("{{{}}}", names.collect::<Vec<_>>().join(","));
        for (method, body) in [
            ("Echo.Numbers", &*open),
            ("Arith.Multiply", &wide),
            ("Arith.Multiply", &long),
            ("Arith.Multiply", &names),
            ("Echo.Text", "\"\u{0}\""),
            ("Echo.Text", "\"\\ud800"),
            ("Arith.Multiply", "{\"A\":{\"A\":{}}}"),
        ] {
            let answer = call(&mut client, method, body).unwrap();
            assert_eq!(answer.status, 400, "{method} {:.40}: {}", body, answer.text());
        }
        assert_eq!(result(&mut client, "Echo.Numbers", &wide).len(), wide.len());
        assert_eq!(result(&mut client, "Echo.Text", r#""\ud800""#), "\"\u{fffd}\"");
    }
}
