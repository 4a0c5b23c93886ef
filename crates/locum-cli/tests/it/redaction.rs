//! Secrets, planted wherever they may stand, and looked for wherever anything is told.

use std::fs;

use locum_testkit::{Client, Upstream, eventually, refused, run_to_end, script};
use rcgen::{CertificateParams, KeyPair};

use crate::setup::{Config, binary, locum};

/// What every planted secret holds, and nothing else does.
const MARK: &str = "s3cret";

/// Fields that a client sends.
const FIELDS: [&str; 7] = [
    "Authorization: Bearer s3cret-authorization",
    "Proxy-Authorization: Basic s3cret-proxy",
    "Cookie: session=s3cret-cookie",
    "X-Api-Key: s3cret-key",
    "X-Auth-Token: s3cret-auth-token",
    "X-Amz-Security-Token: s3cret-amazon",
    "Referer: https://a.test/?token=s3cret-referer",
];

const QUERY: &str = "token=s3cret-1&key=s3cret-2&secret=s3cret-3&password=s3cret-4&\
                     access_token=s3cret-5&code=s3cret-6&sig=s3cret-7";

#[test]
fn no_secret_is_told_by_a_log_a_metric_an_error_page_or_a_print() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    // A private key, and a hash, do not hold the mark: they are looked for themselves.
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["web.test".to_owned()]).unwrap();
    fs::write(path("web.pem"), certificate.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(path("web.key"), key.serialize_pem()).unwrap();
    let hash = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
    fs::write(path("keys.txt"), format!("ann:{hash}\n")).unwrap();

    let upstream = Upstream::start(|peer| {
        while let Some(request) = peer.request() {
            match &*request.target.split('?').next().unwrap().replace("/up", "") {
                "/reset" => return peer.reset(),
                "/garbage" => {
                    return peer.send(b"HTTP/1.1 200 OK\r\nSet-Cookie: s3cret\x01-garbage\r\n\r\n");
                }
                "/hang" => return peer.wait_for_close(),
                _ => {
                    let cookie = [("Set-Cookie", "a=s3cret-set-cookie"), ("X-Token", "s3cret-x")];
                    peer.answer_with(&request, "200 OK", &cookie, b"fine");
                }
            }
        }
    });
    let config = Config::to(&upstream)
        .listener("limits = { header_bytes = \"2KiB\" }")
        .route("match = { path = \"/up/*\" }")
        .route("request_headers = { set = { Authorization = \"Bearer s3cret-set\" }, add = { x-api-key = \"s3cret-add\" } }")
        .route("response_headers = { set = { Set-Cookie = \"b=s3cret-answer\" } }")
        .policy("timeout = \"300ms\"\nrate_limit = { algorithm = \"token-bucket\", rate = \"1/h\", burst = 8, key = \"client-ip\" }")
        .and(&format!(
            "[listeners.safe]\nbind = \"127.0.0.1:0\"\ntls = {{ certificates = [{{ cert = {:?}, key = {:?} }}] }}",
            path("web.pem"),
            path("web.key")
        ))
        .and(&format!("[auth.keys]\nkind = \"api-key\"\nfile = {:?}", path("keys.txt")))
        .and(&format!("[auth.people]\nkind = \"basic\"\nfile = {:?}", path("keys.txt")))
        .and(
            "[auth.shared]\nkind = \"jwt\"\nissuer = \"i\"\naudience = \"a\"\nalgorithms = [\"HS256\"]\n\
             secret = \"s3cret-of-thirty-two-bytes-or-more\"",
        )
        .and(&format!(
            "[auth.login]\nkind = \"jwt\"\nissuer = \"i\"\naudience = \"a\"\nalgorithms = [\"RS256\"]\n\
             jwks = \"http://{}/keys?token=s3cret-jwks\"",
            refused()
        ))
        .and(&format!(
            "[auth.door]\nkind = \"forward\"\nurl = \"http://{}/?key=s3cret-door\"",
            refused()
        ))
        .and(&["keys", "people", "shared", "login", "door"].map(|name| {
            format!("[[routes]]\nupstream = \"up\"\nmatch = {{ path = \"/{name}\" }}\nauth = [\"{name}\"]\n")
        }).join("\n"))
        .and("[[routes]]\nupstream = \"up\"\nmatch = { path = \"/m\", headers = { x-auth-token = \"s3cret-match\" }, query = { access_token = \"s3cret-query\" } }")
        .and("[log]\naccess = \"stdout\"\ndecisions = \"stdout\"\nlevel = \"trace\"")
        .to_string()
        .replace("[admin]", "[admin]\ntoken = \"s3cret-admin\"");
    let locum = locum().config(&config).arguments(&["--log-level", "trace"]).start();

    // What the proxy itself answers, and not what it passes on.
    let mut told = Vec::new();
    let mut ask = |target: &str, more: &str| {
        let mut client = locum.client();
        let fields = FIELDS.join("\r\n");
        client.send(format!(
            "GET {target}?{QUERY} HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n{more}\r\n"
        ));
        let Ok(answer) = client.response("GET") else { panic!("{target}") };
        if answer.status != 200 {
            told.push(format!("{target} {} {:?} {}", answer.status, answer.headers, answer.text()));
        }
        answer.status
    };
    let long = format!("X-Token: s3cret-{}\r\n", "x".repeat(2048));
    for (target, more, status) in [
        ("/up/fine", "", 200),
        ("/up/reset", "", 502),
        ("/up/garbage", "", 502),
        ("/up/hang", "", 504),
        ("/keys", "", 401),
        ("/people", "", 401),
        ("/shared", "", 401),
        ("/login", "", 503),
        ("/door", "", 503),
        ("/nowhere", "", 404),
        ("/m", "", 404),
        ("/%00", "", 400),
        ("/up/fine", "X Token: s3cret\r\n", 400),
        ("/up/fine", "Content-Length: s3cret\r\n", 400),
        ("/up/fine", &long, 431),
        ("/up/fine", "Upgrade: s3cret\r\n", 200),
    ] {
        assert_eq!(ask(target, more), status, "{target} {more}");
    }
    while ask("/up/fine", "") == 200 {}
    // To a listener of TLS, without.
    let mut plain = Client::connect(locum.address("safe"));
    plain
        .send(format!("GET /?{QUERY} HTTP/1.1\r\nHost: a.test\r\n{}\r\n\r\n", FIELDS.join("\r\n")));
    told.push(plain.response("GET").unwrap().text());
    locum.reload(
        &config.replace("kind = \"basic\"", "kind = \"s0me\"\nsecret = \"s3cret-misplaced\""),
    );
    locum.reload(&config.replace("token = \"s3cret-admin\"", "token = [\"s3cret-list\"]"));
    locum.reload(&config.replace("http://", "http://s3cret:s3cret@"));

    let file = path("locum.toml");
    fs::write(&file, &config).unwrap();
    for arguments in [
        &["check", "-c", &file][..],
        &["print", "-c", &file],
        &["print", "-c", &file, "--resolved"],
        &["explain", "-c", &file, "GET http://a.test/up/fine"],
        &["explain", "-c", &file, "GET http://a.test/login"],
    ] {
        let ended = run_to_end(binary(), arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?} {ended:?}");
        told.push(format!("{arguments:?}\n{}{}", ended.output, ended.errors));
    }
    for page in [
        "/",
        "/metrics",
        "/api/v1/status",
        "/api/v1/config",
        "/api/v1/listeners",
        "/api/v1/routes",
        "/api/v1/upstreams",
        "/api/v1/policies",
        "/api/v1/policies/careful",
    ] {
        let answer = locum.admin(page);
        assert_eq!(answer.status, 200, "{page}");
        told.push(format!("{page}\n{}", answer.text()));
    }
    eventually("the calls are logged", || locum.output().matches("\"path\":").count() >= 15);
    told.push(format!("log\n{}", locum.log()));
    told.push(format!("access\n{}", locum.output()));

    let private = key.serialize_pem();
    let private = private.lines().nth(1).unwrap();
    for text in &told {
        for secret in [MARK, hash, private] {
            let found = text.lines().find(|line| line.contains(secret));
            assert_eq!(found, None, "in {}", text.lines().next().unwrap_or_default());
        }
    }
}

#[test]
fn what_a_peer_says_moves_no_cursor_and_begins_no_line() {
    let upstream = Upstream::start(script::sends_raw(
        "HTTP/1.1 200 \x1b[31mred\r\nX-\x1b: y\r\nContent-Length: 0\r\n\r\n",
    ));
    let config = Config::to(&upstream)
        .takes("auto")
        .and("[log]\naccess = \"stdout\"\ndecisions = \"stdout\"\nlevel = \"trace\"");
    let locum = config.start();
    for request in [
        "GET /\x1b[2J HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: \x1b[2J\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\ntraceparent: \x1b[2J\u{9b}2J\r\n\r\n",
        "\x1b[2J / HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
    ] {
        let mut client = locum.client();
        client.send(request);
        // Some are refused, some are not; all are told of.
        drop(client.response("GET"));
    }
    let mut client = locum.client();
    client.send("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"A.\\u001b[31m\\r\\nB\\u009b\",\"params\":[1]}\n");
    eventually("the calls are logged", || locum.output().matches("\"outcome\":").count() >= 2);
    let text = locum.log() + &locum.output() + &locum.metrics();
    let moves = |character: &char| character.is_control() && *character != '\n';
    assert_eq!(text.chars().find(moves), None, "{text:?}");
    assert!(!text.lines().any(|line| line.starts_with('B')), "{text}");
}
