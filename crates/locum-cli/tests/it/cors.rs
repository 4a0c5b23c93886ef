//! Which pages of other origins may read answers.

use locum_testkit::{Locum, Response, Upstream, script};

use crate::setup::Config;

fn asks(locum: &Locum, method: &str, lines: &[&str]) -> Response {
    let mut client = locum.client();
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    client.send(format!("{method} / HTTP/1.1\r\nHost: a.test\r\n{lines}\r\n"));
    client.response(method).unwrap()
}

fn all<'a>(response: &'a Response, name: &'a str) -> Vec<&'a str> {
    response.headers.all(name).collect()
}

const APP: &str = "Origin: https://app.example.com";
const PUT: &str = "Access-Control-Request-Method: PUT";

#[test]
fn what_a_browser_asks_beforehand_is_answered_without_the_upstream() {
    let upstream = Upstream::start(script::answers("ok"));
    // Whoever has to show a key cannot show it yet; and the route is for PUT alone.
    let locum = Config::to(&upstream)
        .route("match = { methods = [\"PUT\"] }\nauth = [\"lan\"]")
        .route(
            "cors = { origins = [\"https://app.example.com\", \"https://*.b.test\"], methods = [\"PUT\"], \
             headers = [\"x-one\", \"x-two\"], credentials = true, max_age = \"10min\" }",
        )
        .and("[auth.lan]\nkind = \"ip\"\nallow = [\"192.0.2.0/24\"]")
        .start();
    let answer = asks(&locum, "OPTIONS", &[APP, PUT, "Access-Control-Request-Headers: x-one"]);
    assert_eq!(answer.status, 204);
    let told = [
        ("access-control-allow-origin", "https://app.example.com"),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "GET, HEAD, POST, PUT"),
        ("access-control-allow-headers", "x-one, x-two"),
        ("access-control-max-age", "600"),
        ("vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
    ];
    for (name, value) in told {
        assert_eq!(all(&answer, name), [value], "{name}");
    }
    let below = asks(&locum, "OPTIONS", &["Origin: https://c.b.test", PUT]);
    assert_eq!(all(&below, "access-control-allow-origin"), ["https://c.b.test"]);
    let other = asks(&locum, "OPTIONS", &["Origin: https://evil.test", PUT]);
    assert_eq!((other.status, other.headers.has("access-control-allow-origin")), (204, false));
    // What is no such question is for a route, and there is none.
    assert_eq!(asks(&locum, "OPTIONS", &[APP]).status, 404);
    assert_eq!(upstream.received().len(), 0);
}

#[test]
fn answers_and_refusals_tell_who_may_read_them() {
    let upstream = Upstream::start(script::sends_raw(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nAccess-Control-Allow-Origin: *\r\nVary: Cookie\r\n\r\nok",
    ));
    let locum = Config::to(&upstream)
        .route("cors = { origins = [\"https://app.example.com\"], expose = [\"x-id\"] }")
        .policy("rate_limit = { rate = \"1/h\", burst = 3 }")
        .start();
    for status in [200, 429] {
        if status == 429 {
            for _ in 0..2 {
                assert_eq!(locum.get("/").status, 200);
            }
        }
        let answer = asks(&locum, "GET", &[APP]);
        assert_eq!(answer.status, status);
        assert_eq!(all(&answer, "access-control-allow-origin"), ["https://app.example.com"]);
        assert_eq!(all(&answer, "access-control-expose-headers"), ["x-id"]);
        assert!(answer.headers.has_token("vary", "origin"));
    }
    // What pages of nobody's may not read is told apart by keepers of answers, all the same.
    for lines in [&[][..], &["Origin: https://evil.test"]] {
        let answer = asks(&locum, "GET", lines);
        assert!(!answer.headers.has("access-control-allow-origin"));
        assert!(answer.headers.has_token("vary", "origin"));
    }
}

#[test]
fn for_all_is_the_same_for_all() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum =
        Config::to(&upstream).route("cors = { origins = [\"*\"], headers = [\"*\"] }").start();
    let answer = asks(&locum, "GET", &[APP]);
    assert_eq!(all(&answer, "access-control-allow-origin"), ["*"]);
    assert!(!answer.headers.has("vary"));
    let asked =
        asks(&locum, "OPTIONS", &[APP, PUT, "Access-Control-Request-Headers: x-any, x-other"]);
    assert_eq!(all(&asked, "access-control-allow-headers"), ["x-any, x-other"]);
}
