//! Which route a request takes, and what is changed on its way.

use locum_testkit::{Locum, Request, Upstream, script};

use crate::setup::{Config, locum};

/// The route that matches is told by the header that it sets.
fn routes(upstream: &Upstream, routes: &[(&str, &str)]) -> Locum {
    let mut config = format!(
        "[admin]\nlisten = \"127.0.0.1:0\"\n[listeners.web]\nbind = \"127.0.0.1:0\"\n\
         protocol = \"http\"\n[upstreams.up]\nendpoints = [\"{}\"]\n",
        upstream.address()
    );
    for (name, matches) in routes {
        config += &format!(
            "[[routes]]\nname = \"{name}\"\nmatch = {{ {matches} }}\nupstream = \"up\"\n\
             request_headers = {{ set = {{ X-Route = \"{name}\" }} }}\n"
        );
    }
    locum().config(config).start()
}

/// Sends requests over one connection and says which route each took, or which status it got.
fn taken(upstream: &Upstream, locum: &Locum, requests: &[&str]) -> Vec<String> {
    let mut client = locum.client();
    requests
        .iter()
        .map(|request| {
            upstream.forget();
            client.send(format!("{request}\r\n\r\n"));
            let status = client.response("GET").unwrap().status;
            let received = upstream.received();
            let route = received.first().and_then(|r| r.request.headers.get("x-route"));
            route.map_or_else(|| status.to_string(), str::to_owned)
        })
        .collect()
}

#[test]
fn the_most_specific_path_wins_whatever_the_order() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = routes(
        &upstream,
        &[
            ("regex", r#"path = "~^/users/[0-9]+/avatar$""#),
            ("all-users", r#"path = "/users/*""#),
            ("deep", r#"path = "/users/deep/*""#),
            ("template", r#"path = "/users/{id}""#),
            ("exact", r#"path = "/users/me""#),
            ("digits", r#"path = "~^/[0-9]+$""#),
        ],
    );
    let requests = [
        "GET /users/me HTTP/1.1\r\nHost: a.test",
        "GET /users/7 HTTP/1.1\r\nHost: a.test",
        "GET /users/7/posts HTTP/1.1\r\nHost: a.test",
        "GET /users/deep/down HTTP/1.1\r\nHost: a.test",
        "GET /users/7/avatar HTTP/1.1\r\nHost: a.test",
        "GET /123 HTTP/1.1\r\nHost: a.test",
        "GET /123a HTTP/1.1\r\nHost: a.test",
        "GET /users/me?x=/users/7 HTTP/1.1\r\nHost: a.test",
    ];
    let expected =
        ["exact", "template", "all-users", "deep", "all-users", "digits", "404", "exact"];
    assert_eq!(taken(&upstream, &locum, &requests), expected);
}

#[test]
fn the_most_specific_host_wins_before_any_path() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = routes(
        &upstream,
        &[
            ("any", r#"path = "/x""#),
            ("wild", r#"host = "*.example.com", path = "/*""#),
            ("host", r#"host = "www.example.com", path = "/*""#),
        ],
    );
    let requests = [
        "GET /x HTTP/1.1\r\nHost: www.example.com",
        "GET /x HTTP/1.1\r\nHost: WWW.Example.COM:8080",
        "GET /x HTTP/1.1\r\nHost: api.example.com",
        "GET /x HTTP/1.1\r\nHost: example.com",
        "GET http://api.example.com/x HTTP/1.1\r\nHost: example.com",
        "GET /y HTTP/1.1\r\nHost: example.com",
    ];
    let expected = ["host", "host", "wild", "any", "wild", "404"];
    assert_eq!(taken(&upstream, &locum, &requests), expected);
}

#[test]
fn methods_headers_and_query_narrow_a_route() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = routes(
        &upstream,
        &[
            ("post", r#"path = "/m", methods = ["POST", "PUT"]"#),
            ("gold", r#"path = "/h", headers = { "x-tier" = "gold" }"#),
            ("plain", r#"path = "/h""#),
            ("v2", r#"path = "/q", query = { v = "2" }"#),
            ("v1", r#"path = "/q""#),
        ],
    );
    let requests = [
        "POST /m HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0",
        "GET /m HTTP/1.1\r\nHost: a.test",
        "GET /h HTTP/1.1\r\nHost: a.test\r\nX-Tier: gold",
        "GET /h HTTP/1.1\r\nHost: a.test\r\nX-Tier: tin",
        "GET /q?a=1&v=2 HTTP/1.1\r\nHost: a.test",
        "GET /q?v=22 HTTP/1.1\r\nHost: a.test",
    ];
    let answers = taken(&upstream, &locum, &requests);
    assert_eq!(answers[0], "post");
    // Whether the method or the path is called unknown, the request went nowhere.
    assert!(["404", "405"].contains(&answers[1].as_str()), "{}", answers[1]);
    assert_eq!(answers[2..], ["gold", "plain", "v2", "v1"]);
}

#[test]
fn among_equals_the_first_in_the_file_wins() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = routes(
        &upstream,
        &[("first", r#"path = "~^/a/.*""#), ("second", r#"path = "~^/[ab]/.*""#)],
    );
    let requests = ["GET /a/x HTTP/1.1\r\nHost: a.test", "GET /b/x HTTP/1.1\r\nHost: a.test"];
    assert_eq!(taken(&upstream, &locum, &requests), ["first", "second"]);
}

#[test]
fn the_path_that_routes_is_the_path_that_is_forwarded() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum =
        routes(&upstream, &[("public", r#"path = "/public/*""#), ("admin", r#"path = "/admin""#)]);
    let requests = [
        "GET /public/../admin HTTP/1.1\r\nHost: a.test",
        "GET /public/./x HTTP/1.1\r\nHost: a.test",
        "GET /public/%2e%2e/admin HTTP/1.1\r\nHost: a.test",
        "GET /PUBLIC/x HTTP/1.1\r\nHost: a.test",
    ];
    assert_eq!(taken(&upstream, &locum, &requests), ["admin", "public", "admin", "404"]);
    for (sent, forwarded) in
        [("/public/../admin", "/admin"), ("/public/a/./b?q=./x", "/public/a/b?q=./x")]
    {
        upstream.forget();
        assert_eq!(locum.get(sent).status, 200);
        assert_eq!(upstream.received()[0].request.target, forwarded);
    }
}

#[test]
fn a_path_that_others_read_differently_is_refused() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream).start();
    for path in
        ["/a%00b", "/a%2fb", "/a%5Cb", "/a\\b", "/a/..;x/b", "/../b", "/a/%2e%2e/../b", "/a%zz"]
    {
        assert_eq!(locum.get(path).status, 400, "{path}");
    }
    assert_eq!(upstream.received().len(), 0);
    assert_eq!(locum.get("/a//b").status, 200);
    assert_eq!(upstream.received()[0].request.target, "/a//b", "nothing is merged");
}

#[test]
fn headers_that_pass_for_others_are_dropped() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream).start();
    let mut client = locum.client();
    client.send(
        "GET / HTTP/1.1\r\nHost: a.test\r\nProxy: http://evil.test\r\nX-Original-URL: /admin\r\n\
         X-Rewrite-URL: /admin\r\nX-Plain: 1\r\n\r\n",
    );
    assert_eq!(client.response("GET").unwrap().status, 200);
    let headers = only(&upstream).headers;
    assert!(headers.has("x-plain"));
    for name in ["proxy", "x-original-url", "x-rewrite-url"] {
        assert!(!headers.has(name), "{name} in {headers:?}");
    }
}

#[test]
fn weights_share_the_calls() {
    let (most, some) =
        (Upstream::start(script::answers("a")), Upstream::start(script::answers("b")));
    let config = format!(
        "[listeners.web]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\n\
         [upstreams.a]\nendpoints = [\"{}\"]\n[upstreams.b]\nendpoints = [\"{}\"]\n\
         [[routes]]\nsplit = [{{ upstream = \"a\", weight = 3 }}, {{ upstream = \"b\", weight = 1 }}]\n",
        most.address(),
        some.address()
    );
    let locum = locum().config(config).start();
    let mut client = locum.client();
    for _ in 0..800 {
        assert_eq!(client.get("/").unwrap().status, 200);
    }
    let share = most.deliveries();
    assert_eq!(share + some.deliveries(), 800);
    assert!((500..=700).contains(&share), "{share} of 800 at a weight of 3 to 1");
}

#[test]
fn a_path_is_rewritten_and_its_query_is_kept() {
    let upstream = Upstream::start(script::names_the_target());
    let config = |matches: &str, rewrite: &str| {
        Config::to(&upstream)
            .route(&format!("match = {{ path = \"{matches}\" }}\nrewrite = {{ {rewrite} }}"))
            .start()
    };
    let locum = config("/old/*", "prefix = \"/v2\"");
    assert_eq!(locum.get("/old/a/b?q=1&r=%20").text(), "/v2/a/b?q=1&r=%20");
    let locum = config("/users/{id}", "path = \"/people/{id}\"");
    assert_eq!(locum.get("/users/7?full").text(), "/people/7?full");
    let locum = config("~/v([0-9]+)/(?<what>.*)", "path = \"/{what}/of/{1}\"");
    assert_eq!(locum.get("/v12/a/b%20c?q=1").text(), "/a/b%20c/of/12?q=1");
}

#[test]
fn what_groups_bring_together_is_a_path_in_normal_form_or_refused() {
    let upstream = Upstream::start(script::names_the_target());
    let locum = Config::to(&upstream)
        .route("match = { path = \"~/(.)(.*)\" }\nrewrite = { path = \"/in/{2}/{1}{1}/x\" }")
        .start();
    assert_eq!(locum.get("/ab").text(), "/in/b/aa/x");
    assert_eq!(locum.get("/.b").text(), "/in/x", "dots are removed here, and by nobody else");
    assert_eq!(locum.get("/%b").status, 400);
    assert_eq!(locum.get("/.;b").status, 400);
    assert_eq!(upstream.deliveries(), 2);
    let locum = Config::to(&upstream)
        .route("match = { path = \"~/(%2)5(.)\" }\nrewrite = { path = \"/a{1}{2}b\" }")
        .start();
    assert_eq!(locum.get("/%250").text(), "/a%20b");
    assert_eq!(locum.get("/%25f").status, 400, "nobody can have a slash made up");
}

#[test]
fn a_redirect_leads_to_the_server_that_the_configuration_names() {
    let config = |to: &str| {
        let route = format!("match = {{ path = \"~/old(.*)\" }}\nredirect = {{ to = \"{to}\" }}");
        let listener = "[listeners.web]\nbind = \"127.0.0.1:0\"";
        locum().config(format!("{listener}\n[[routes]]\n{route}")).start()
    };
    let asked = ["/old/a%20b", "/old//evil.test/x", "/old"];
    for (to, places) in [
        (
            "https://new.test/at{1}?was={1}",
            [
                "https://new.test/at/a%20b?was=/a%20b",
                "https://new.test/at//evil.test/x?was=//evil.test/x",
                "https://new.test/at?was=",
            ],
        ),
        ("/{1}", ["/a%20b", "/evil.test/x", "/"]),
    ] {
        let locum = config(to);
        let told =
            asked.map(|target| locum.get(target).headers.get("location").unwrap().to_owned());
        assert_eq!(told, places);
    }
}

#[test]
fn a_redirect_is_answered_without_the_upstream() {
    let config = "[listeners.web]\nbind = \"127.0.0.1:0\"\nprotocol = \"http\"\n\
         [[routes]]\nmatch = { path = \"/old\" }\n\
         redirect = { status = 308, to = \"https://new.example.com/here\" }\n";
    let answer = locum().config(config).start().get("/old");
    assert_eq!(answer.status, 308);
    assert_eq!(answer.headers.get("location"), Some("https://new.example.com/here"));
}

#[test]
fn headers_are_edited_both_ways() {
    let upstream = Upstream::start(script::sends_raw(
        "HTTP/1.1 200 OK\r\nServer: secret\r\nX-Keep: 1\r\nContent-Length: 0\r\n\r\n",
    ));
    let locum = Config::to(&upstream)
        .route(
            "request_headers = { set = { X-Set = \"new\" }, add = { X-Add = \"2\" }, remove = [\"x-debug\"] }\n\
             response_headers = { set = { X-Frame-Options = \"DENY\" }, remove = [\"server\"] }",
        )
        .start();
    let mut client = locum.client();
    client.send(
        "GET / HTTP/1.1\r\nHost: a.test\r\nX-Set: old\r\nX-Set: older\r\nX-Add: 1\r\nX-Debug: 1\r\n\r\n",
    );
    let answer = client.response("GET").unwrap();
    assert!(!answer.headers.has("server"));
    assert_eq!(answer.headers.get("x-keep"), Some("1"));
    assert_eq!(answer.headers.get("x-frame-options"), Some("DENY"));
    let request = only(&upstream);
    assert_eq!(all(&request, "x-set"), ["new"]);
    assert_eq!(all(&request, "x-add"), ["1", "2"]);
    assert!(!request.headers.has("x-debug"));
}

#[test]
fn the_host_is_preserved_or_replaced_as_the_route_says() {
    let upstream = Upstream::start(script::answers("ok"));
    let address = upstream.address().to_string();
    for (line, host) in [
        ("", "a.test"),
        ("host = \"preserve\"", "a.test"),
        ("host = \"upstream\"", &address),
        ("host = \"users.internal\"", "users.internal"),
    ] {
        upstream.forget();
        assert_eq!(Config::to(&upstream).route(line).start().get("/").status, 200);
        assert_eq!(only(&upstream).headers.get("host"), Some(host), "{line}");
    }
}

#[test]
fn a_client_cannot_remove_what_the_proxy_adds() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream)
        .route("request_headers = { set = { X-Forwarded-By = \"locum\" } }")
        .start();
    let mut client = locum.client();
    client.send(
        "GET / HTTP/1.1\r\nHost: a.test\r\nX-Mine: 1\r\nTE: trailers, deflate\r\n\
         Connection: X-Forwarded-By, X-Mine\r\nConnection: X-Forwarded-For, Via, Cookie, Host\r\n\
         Cookie: a=b\r\nKeep-Alive: timeout=5\r\nProxy-Authorization: Basic eA==\r\n\r\n",
    );
    assert_eq!(client.response("GET").unwrap().status, 200);
    let headers = only(&upstream).headers;
    for kept in ["x-forwarded-by", "x-forwarded-for", "via", "cookie", "host"] {
        assert!(headers.has(kept), "{kept} in {headers:?}");
    }
    for gone in ["x-mine", "keep-alive", "proxy-authorization"] {
        assert!(!headers.has(gone), "{gone} in {headers:?}");
    }
    assert!(!headers.has_token("te", "deflate"), "{headers:?}");
}

#[test]
fn forwarded_headers_tell_of_the_connection_and_not_of_the_client() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream).start();
    let mut client = locum.client();
    client.send(SPOOFED);
    assert_eq!(client.response("GET").unwrap().status, 200);
    let request = only(&upstream);
    assert_eq!(all(&request, "x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(all(&request, "x-forwarded-proto"), ["http"]);
    assert_eq!(all(&request, "x-forwarded-host"), ["a.test"]);
    let forwarded = all(&request, "forwarded").join(", ");
    assert!(forwarded.contains("for=127.0.0.1") && !forwarded.contains("6.6.6.6"), "{forwarded}");
    assert!(request.headers.get("via").is_some_and(|via| via.starts_with("1.1 ")));
}

#[test]
fn a_trusted_proxy_is_appended_to() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream).listener("trusted_proxies = [\"127.0.0.0/8\"]").start();
    let mut client = locum.client();
    client.send(SPOOFED);
    assert_eq!(client.response("GET").unwrap().status, 200);
    let request = only(&upstream);
    assert_eq!(all(&request, "x-forwarded-for").join(", "), "6.6.6.6, 127.0.0.1");
    assert_eq!(all(&request, "x-forwarded-proto"), ["https"]);
    let forwarded = all(&request, "forwarded").join(", ");
    assert!(forwarded.contains("6.6.6.6") && forwarded.contains("127.0.0.1"), "{forwarded}");
}

#[test]
fn a_body_above_the_routes_limit_is_a_413_and_is_never_completed() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream).route("max_body = \"1KiB\"").start();
    assert_eq!(locum.client().post("/", &[b'x'; 1024]).unwrap().status, 200);
    assert_eq!(locum.client().post("/", &[b'x'; 1025]).unwrap().status, 413);
    let mut client = locum.client();
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n"
    ));
    assert_eq!(client.response("POST").unwrap().status, 413);
    upstream.settle();
    assert_eq!(upstream.deliveries(), 1);
}

fn only(upstream: &Upstream) -> Request {
    let received = upstream.received();
    assert_eq!(received.len(), 1, "{received:?}");
    received[0].request.clone()
}

fn all(request: &Request, name: &str) -> Vec<String> {
    request.headers.all(name).map(str::to_owned).collect()
}

const SPOOFED: &str = "GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 6.6.6.6\r\n\
     X-Forwarded-Proto: https\r\nX-Forwarded-Host: b.test\r\n\
     Forwarded: for=6.6.6.6;proto=https;host=b.test\r\n\r\n";
