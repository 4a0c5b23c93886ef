//! Routes that answer by themselves: always, or for a while.

use locum_testkit::{Locum, Upstream, script};

use crate::setup::{Config, locum};

#[test]
fn a_route_may_answer_by_itself() {
    let config = r#"
        [admin]
        listen = "127.0.0.1:0"
        [listeners.web]
        bind = "127.0.0.1:0"
        [[routes]]
        match = { path = "/robots.txt" }
        respond = { body = "User-agent: *\n", headers = { "content-type" = "text/plain" } }
        response_headers = { set = { "x-by" = "locum" } }
        [[routes]]
        name = "gone"
        match = { path = "/old/*" }
        respond = { status = 410 }
        [[routes]]
        match = { path = "/nothing" }
        respond = { status = 204 }
    "#;
    let locum = locum().config(config).start();
    let mut client = locum.client();
    let answer = client.get("/robots.txt").unwrap();
    assert_eq!((answer.status, &*answer.text()), (200, "User-agent: *\n"));
    assert_eq!(answer.headers.get("content-type"), Some("text/plain"));
    assert_eq!(answer.headers.get("x-by"), Some("locum"));
    client.send("HEAD /robots.txt HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let head = client.response("HEAD").unwrap();
    assert_eq!((head.status, head.headers.get("content-length")), (200, Some("14")));
    assert_eq!(client.post("/old/x", b"body").unwrap().status, 410);
    let nothing = client.get("/nothing").unwrap();
    assert_eq!((nothing.status, nothing.headers.has("content-length")), (204, false));
    locum.counts("locum_calls_total", &[("route", "gone"), ("code", "410")], 1.0);
}

fn put_off(locum: &Locum) -> (u16, Option<String>, String) {
    let answer = locum.get("/");
    let after = answer.headers.get("retry-after").map(str::to_owned);
    (answer.status, after, answer.text())
}

#[test]
fn what_is_under_maintenance_is_not_served_until_it_is_not() {
    let upstream = Upstream::start(script::answers("ok"));
    let config = Config::to(&upstream);
    let locum = config.start();
    assert_eq!(put_off(&locum), (200, None, "ok".to_owned()));
    let mut kept = locum.client();
    assert_eq!(kept.get("/").unwrap().status, 200);
    locum.reload(&config.clone().route("maintenance = true").to_string());
    assert_eq!(kept.get("/").unwrap().status, 503);
    let (status, after, text) = put_off(&locum);
    assert_eq!((status, after), (503, None));
    assert!(text.contains("\"reason\":\"maintenance\""), "{text}");
    let words = "maintenance = { retry_after = \"90s\", body = \"back soon\" }";
    locum.reload(&config.clone().route(words).to_string());
    assert_eq!(put_off(&locum), (503, Some("90".to_owned()), "back soon".to_owned()));
    locum.reload(&config.clone().listener("maintenance = { retry_after = \"2min\" }").to_string());
    let (status, after, _) = put_off(&locum);
    assert_eq!((status, after.as_deref()), (503, Some("120")));
    locum.reload(&config.to_string());
    assert_eq!(put_off(&locum), (200, None, "ok".to_owned()));
    locum.counts("locum_refused_total", &[("reason", "maintenance")], 4.0);
    assert_eq!(upstream.deliveries(), 3);
}

#[test]
fn the_same_caller_takes_the_same_of_several_upstreams() {
    let [one, other] = ["one", "other"].map(|name| Upstream::start(script::answers(name)));
    let config = |key: &str, weights: [u32; 2]| {
        format!(
            r#"
            [admin]
            listen = "127.0.0.1:0"
            [listeners.web]
            bind = "127.0.0.1:0"
            [upstreams.one]
            endpoints = ["{}"]
            [upstreams.other]
            endpoints = ["{}"]
            [[routes]]
            split = [{{ upstream = "one", weight = {} }}, {{ upstream = "other", weight = {} }}]
            split_key = "{key}"
            "#,
            one.address(),
            other.address(),
            weights[0],
            weights[1],
        )
    };
    let taken = |locum: &Locum, line: &str| {
        let mut client = locum.client();
        client.send(format!("GET / HTTP/1.1\r\nHost: a.test\r\n{line}\r\n\r\n"));
        client.response("GET").unwrap().text()
    };
    for (key, line) in [("header:x-user", "X-User: "), ("cookie:user", "Cookie: a=b; user=")] {
        let locum = locum().config(config(key, [70, 30])).start();
        let all = |locum: &Locum| -> Vec<String> {
            (0..100).map(|user| taken(locum, &format!("{line}user-{user}"))).collect()
        };
        let before = all(&locum);
        assert_eq!(all(&locum), before);
        let of_one = before.iter().filter(|name| *name == "one").count();
        assert!((50..90).contains(&of_one), "{of_one}");
        // Only those change over who have to.
        locum.reload(&config(key, [80, 20]));
        let after = all(&locum);
        let moved = |from: &str| {
            before.iter().zip(&after).filter(|(was, is)| *was == from && was != is).count()
        };
        assert_eq!(moved("one"), 0);
        assert!(moved("other") > 0);
    }
    let locum = locum().config(config("client-ip", [50, 50])).start();
    let first = taken(&locum, "X: y");
    assert!((0..10).all(|_| taken(&locum, "X: y") == first));
}
