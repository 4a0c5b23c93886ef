//! Another server says who may call.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use locum_testkit::{
    BlackHole, Client, Gate, Locum, Response, Upstream, eventually, refused, script,
};

use crate::setup::Config;

/// Lets in who brings `Bearer good`, and says so; sends others to log in.
fn doorkeeper() -> Upstream {
    Upstream::start(|peer| {
        while let Some(request) = peer.request() {
            match request.headers.get("authorization") {
                Some("Bearer good") => {
                    let told = [("X-User", "ann"), ("X-Team", "red"), ("X-Team", "blue")];
                    peer.answer_with(&request, "200 OK", &told, b"");
                }
                Some(_) => {
                    let told = [
                        ("X-User", "nobody"),
                        ("Set-Cookie", "tried=1"),
                        ("Connection", "keep-alive"),
                    ];
                    peer.answer_with(&request, "403 Forbidden", &told, b"not you");
                }
                None => {
                    let told = [("Location", "https://login.test/?from=here")];
                    peer.answer_with(&request, "302 Found", &told, b"");
                }
            }
        }
    })
}

fn guarded(upstream: &Upstream, url: &str, more: &str) -> Config {
    Config::to(upstream).route("auth = [\"door\"]").and(&format!(
        "[auth.door]\nkind = \"forward\"\nurl = \"{url}\"\ncopy = [\"x-team\"]\n\
         identity = \"x-user\"\nidentity_header = \"x-user\"\n{more}"
    ))
}

fn ask(locum: &Locum, method: &str, token: Option<&str>) -> Response {
    let mut client = locum.client();
    let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    client.send(format!(
        "{method} /a/./b?c=d HTTP/1.1\r\nHost: a.test\r\nX-User: root\r\nX-Team: all\r\n\
         X-Secret: mine\r\n{token}\r\n"
    ));
    client.response(method).unwrap()
}

#[test]
fn an_answer_lets_in_or_is_what_the_client_gets() {
    let (upstream, door) = (Upstream::start(script::echoes()), doorkeeper());
    let url = format!("http://{}/check?by=us", door.address());
    let locum = guarded(&upstream, &url, "").and("[log]\naccess = \"stdout\"").start();

    let answer = ask(&locum, "DELETE", Some("good"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = answer.json()["headers"].as_array().unwrap().clone();
    let of = |name: &str| -> Vec<_> {
        let like =
            |field: &&serde_json::Value| field[0].as_str().unwrap().eq_ignore_ascii_case(name);
        seen.iter().filter(like).map(|field| field[1].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        (of("x-user"), of("x-team")),
        (vec!["ann".into()], vec!["red".into(), "blue".into()])
    );

    let asked = &door.received()[0].request;
    assert_eq!((&*asked.method, &*asked.target), ("GET", "/check?by=us"));
    for (name, value) in [
        ("x-forwarded-method", Some("DELETE")),
        ("x-forwarded-uri", Some("/a/b?c=d")),
        ("x-forwarded-host", Some("a.test")),
        ("x-forwarded-proto", Some("http")),
        ("x-forwarded-for", Some("127.0.0.1")),
        ("authorization", Some("Bearer good")),
        ("x-secret", None),
        ("x-user", None),
    ] {
        assert_eq!(asked.headers.get(name), value, "{name}");
    }

    let answer = ask(&locum, "GET", Some("bad"));
    assert_eq!((answer.status, &*answer.text()), (403, "not you"));
    assert_eq!(answer.headers.get("set-cookie"), Some("tried=1"));
    assert!(!answer.closes(), "only its own connection is its to close");
    let head = ask(&locum, "HEAD", Some("bad"));
    assert_eq!((head.status, head.headers.get("content-length")), (403, Some("7")));
    let answer = ask(&locum, "GET", None);
    assert_eq!(answer.status, 302);
    assert_eq!(answer.headers.get("location"), Some("https://login.test/?from=here"));

    assert_eq!(upstream.deliveries(), 1);
    assert_eq!(door.violations(), [""; 0]);
    locum.counts("locum_refused_total", &[("reason", "unauthorized")], 3.0);
    locum.counts("locum_auth_refused_total", &[("auth", "door"), ("reason", "denied")], 3.0);
    eventually("the access log knows who called", || {
        locum.output().contains("\"identity\":\"ann\"")
    });
}

#[test]
fn where_nobody_says_so_nobody_gets_in() {
    let upstream = Upstream::start(script::answers("hello"));
    let large = Upstream::start(|peer| {
        while let Some(request) = peer.request() {
            peer.answer_with(&request, "403 Forbidden", &[], &[b'x'; 64 * 1024 + 1]);
        }
    });
    let hole = BlackHole::open();
    for address in [
        refused(),
        hole.address(),
        Upstream::start(script::says("500 Internal Server Error")).address(),
        Upstream::start(script::sends_raw_and_closes("HTTP/1.1 200")).address(),
        Upstream::start(script::sends_raw_and_closes(
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        ))
        .address(),
        Upstream::start(script::sends_raw("HTTP/1.1 101 Switching Protocols\r\n\r\n")).address(),
        Upstream::start(script::sends_raw("HTTP/1.1 100 Continue\r\n\r\n".repeat(20))).address(),
        large.address(),
    ] {
        let locum =
            guarded(&upstream, &format!("http://{address}/"), "timeout = \"500ms\"").start();
        let answer = ask(&locum, "GET", Some("good"));
        assert_eq!((answer.status, &answer.json()["reason"]), (503, &"auth_unavailable".into()));
        assert!(answer.headers.has("retry-after"));
    }
    assert_eq!(upstream.deliveries(), 0);
}

#[test]
fn the_same_question_is_not_asked_again_and_another_is() {
    let (upstream, door) = (Upstream::start(script::answers("hello")), doorkeeper());
    let url = format!("http://{}/", door.address());
    let locum = guarded(&upstream, &url, "cache = \"1h\"").start();
    for _ in 0..5 {
        assert_eq!(ask(&locum, "GET", Some("good")).status, 200);
    }
    assert_eq!(door.deliveries(), 1);
    assert_eq!(ask(&locum, "POST", Some("good")).status, 200);
    assert_eq!(door.deliveries(), 2);
    for _ in 0..2 {
        assert_eq!(ask(&locum, "GET", Some("bad")).status, 403);
    }
    assert_eq!(door.deliveries(), 4, "who was turned away may have been let in meanwhile");
}

#[test]
fn questions_take_few_connections_and_only_so_many_at_once() {
    let upstream = Upstream::start(script::answers("hello"));
    let door = doorkeeper();
    let url = format!("http://{}/", door.address());
    let locum = guarded(&upstream, &url, "").and("[runtime]\nworkers = 1").start();
    for _ in 0..20 {
        assert_eq!(ask(&locum, "GET", Some("good")).status, 200);
    }
    assert_eq!((door.deliveries(), door.accepted()), (20, 1));

    let gate = Gate::new();
    let (asked, held) = (Arc::new(AtomicUsize::new(0)), gate.clone());
    let counted = Arc::clone(&asked);
    let slow = Upstream::start(move |peer| {
        while let Some(request) = peer.request() {
            counted.fetch_add(1, Ordering::SeqCst);
            held.wait();
            peer.answer(&request, b"");
        }
    });
    let url = format!("http://{}/", slow.address());
    let locum = guarded(&upstream, &url, "connections = 2\ntimeout = \"60s\"").start();
    let mut waiting: Vec<Client> = (0..2).map(|_| locum.client()).collect();
    for client in &mut waiting {
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    }
    eventually("two are asked about", || asked.load(Ordering::SeqCst) == 2);
    let answer = locum.get("/");
    assert_eq!((answer.status, &answer.json()["reason"]), (503, &"busy".into()));
    gate.open(2);
    for mut client in waiting {
        assert_eq!(client.response("GET").unwrap().status, 200);
    }
}
