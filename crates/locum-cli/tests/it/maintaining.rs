//! The switch beside a route's maintenance, thrown through the admin API.

use locum_testkit::{Client, Locum, Response, Upstream, eventually, script};
use serde_json::{Value, json};

use crate::setup::Config;

#[test]
fn a_route_is_put_off_and_served_again_by_hand() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream).start();
    let mut kept = locum.client();
    assert_eq!(kept.get("/").unwrap().status, 200);
    assert_eq!(one(&locum)["served"], true);

    let words = json!({ "override": "on", "retry_after": "90s", "body": "back soon" });
    let shown = told(put(&locum, "all", &words));
    assert_eq!((&shown["name"], &shown["served"]), (&json!("all"), &json!(false)));
    let lasts = "until the process ends";
    let switch =
        json!({ "override": "on", "retry_after": "90s", "body": "back soon", "lasts": lasts });
    assert_eq!((&shown["maintenance_override"], &shown["maintenance"]), (&switch, &json!(null)));
    assert_eq!(locum.admin("/api/v1/routes").json()[0], shown);
    let put_off = answered(&mut kept, 503);
    assert_eq!(put_off.text(), "back soon");
    assert_eq!(put_off.headers.get("retry-after"), Some("90"));
    locum.counts("locum_refused_total", &[("reason", "maintenance")], 1.0);

    let shown = told(put(&locum, "all", &json!({ "override": "none" })));
    assert_eq!(shown["maintenance_override"], json!({ "override": "none", "lasts": null }));
    answered(&mut kept, 200);
    assert!(locum.log().contains("until the process ends"), "{}", locum.log());
}

#[test]
fn what_is_thrown_holds_over_reloads_and_is_lost_with_the_process() {
    let upstream = Upstream::start(script::answers("ok"));
    let config = Config::to(&upstream);
    let (off, on) = (config.clone().route("maintenance = true"), config);
    let mut locum = off.start();
    let mut client = locum.client();
    answered(&mut client, 503);
    let shown = told(put(&locum, "all", &json!({ "override": "off" })));
    assert_eq!((&shown["served"], shown["maintenance"].is_object()), (&json!(true), true));
    answered(&mut client, 200);
    locum.reload(&off.route("priority = 2").to_string());
    assert_eq!((&one(&locum)["served"], &one(&locum)["priority"]), (&json!(true), &json!(2)));
    answered(&mut client, 200);

    told(put(&locum, "all", &json!({ "override": "on" })));
    locum.reload(&on.to_string());
    assert_eq!(one(&locum)["maintenance"], json!(null));
    answered(&mut client, 503);
    // A route that is gone takes it along.
    locum.reload(&on.to_string().replace("\"all\"", "\"other\""));
    answered(&mut client, 200);
    locum.reload(&on.to_string());
    assert_eq!(one(&locum)["served"], true);

    told(put(&locum, "all", &json!({ "override": "on" })));
    answered(&mut client, 503);
    drop(client);
    locum.upgrade();
    assert_eq!(one(&locum)["served"], true);
    eventually("the new process serves it", || locum.get("/").status == 200);
}

/// The first answer of that status: workers hear of a switch after whoever has thrown it.
fn answered(client: &mut Client, status: u16) -> Response {
    let mut last = None;
    eventually(&format!("the answer is {status}"), || {
        last = client.get("/").ok();
        last.as_ref().is_some_and(|answer| answer.status == status)
    });
    last.expect("there was one")
}

#[test]
fn what_cannot_be_put_off_is_said_with_its_remedy() {
    let upstream = Upstream::start(script::answers("ok"));
    let calls = "[listeners.rpc]\nbind = \"127.0.0.1:0\"\nprotocol = \"rpc\"\n[upstreams.calls]\n\
                 endpoints = [\"gob://127.0.0.1:1\"]\n[[routes]]\nname = \"calls\"\nmatch = { call = \"*\" }\n\
                 upstream = \"calls\"";
    let locum = Config::to(&upstream).and(calls).start();
    let cases = [
        ("al", json!({ "override": "on" }), 404, "there is `all`, `calls`"),
        ("calls", json!({ "override": "on" }), 409, "takes no requests of HTTP"),
        ("all", json!({ "override": "open" }), 400, "write \"on\", \"off\" or \"none\""),
        ("all", json!({ "override": "off", "body": "x" }), 400, "are said in maintenance"),
        ("all", json!({ "override": "on", "retry_after": "soon" }), 400, "`retry_after`: "),
        ("all", json!({ "overide": "on" }), 400, "unknown field `overide`"),
    ];
    for (route, body, status, says) in cases {
        let answer = put(&locum, route, &body);
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(says), "{body}: {detail}");
    }
    assert_eq!(locum.admin("/api/v1/routes/all/maintenance/override").status, 405);
    assert_eq!(locum.admin("/api/v1/routes/al").status, 404);
    assert_eq!(locum.get("/").status, 200);
}

fn put(locum: &Locum, route: &str, body: &Value) -> Response {
    let target = format!("/api/v1/routes/{route}/maintenance/override");
    locum.change(&target, &body.to_string(), "")
}

fn told(answer: Response) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn one(locum: &Locum) -> Value {
    told(locum.admin("/api/v1/routes/all"))
}
