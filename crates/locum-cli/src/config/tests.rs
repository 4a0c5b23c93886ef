//! What a configuration may say, and how it is told what it may not.

use std::fs;

use super::*;

mod http2;
mod mistakes;
mod remote;

/// A configuration in which everything is right. Line 1 is the first below.
const GOOD: &str = r#"[admin]
listen = "127.0.0.1:9900"
[listeners.web]
bind = "127.0.0.1:8080"
[upstreams.users]
endpoints = ["127.0.0.1:7001", { address = "127.0.0.1:7002", weight = 2 }]
[policies.careful]
timeout = "2s"
breaker = { min_calls = 20 }
[[routes]]
name = "users"
match = { path = "/users/{id}" }
upstream = "users"
policy = "careful"
"#;

/// What is told of `text`, a line each.
fn told(text: &str) -> Vec<String> {
    match Config::parse("f.toml", text) {
        Ok(config) => config.warnings.iter().map(|warning| config.sources.line(warning)).collect(),
        Err(failure) => failure.lines(),
    }
}

/// What is told if `from` in the good configuration is replaced by `to`.
fn told_of(from: &str, to: &str) -> Vec<String> {
    assert!(GOOD.contains(from), "`{from}` is not in the good configuration");
    told(&GOOD.replacen(from, to, 1))
}

#[test]
fn the_good_configuration_is_good() {
    assert_eq!(told(GOOD), Vec::<String>::new());
}

#[test]
fn the_embedded_default_is_good() {
    let config = Config::embedded(|_| {}).expect("no errors");
    assert_eq!(config.warnings, []);
    config.settings(demo::NOWHERE).expect("nothing to look up");
}

#[test]
fn all_mistakes_of_a_pass_are_told_in_the_order_of_the_text() {
    let text =
        GOOD.replace("\"2s\"", "2").replace("weight = 2", "weight = \"x\"").replace("bind", "bnd");
    let keys: Vec<_> =
        told(&text).iter().map(|line| line.split(": ").nth(2).unwrap().to_owned()).collect();
    let expected = [
        "listeners.web.bind",
        "listeners.web.bnd",
        "upstreams.users.endpoints[1].weight",
        "policies.careful.timeout",
    ];
    assert_eq!(keys, expected);
    let text =
        GOOD.replace("= \"careful\"", "= \"c\"").replace("= \"users\"\npolicy", "= \"u\"\npolicy");
    assert_eq!(told(&text).len(), 2);
}

#[test]
fn json_of_the_same_shape_is_read_and_its_mistakes_have_places_too() {
    let good = toml::from_str::<serde_json::Value>(GOOD).unwrap();
    let config = Config::parse_json("f.json", &good.to_string()).expect("no errors");
    assert_eq!(config.file.routes.len(), 1);

    let lines = |text: &str| Config::parse_json("f.json", text).expect_err("it is wrong").lines();
    let text = "{\"routes\": [\n  {\"upstream\": \"x\"}]}";
    let told =
        "f.json:2:16: error: routes[0].upstream: upstream `x` is not defined; add `[upstreams.x]`";
    assert_eq!(lines(text), [told]);
    let told = "f.json:1:13: error: syntax: expected `,` or `}`; mend the text here";
    assert_eq!(lines("{\"log\": {}  x"), [told]);
}

#[test]
fn included_files_are_merged_and_their_mistakes_are_theirs() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    fs::create_dir(folder.path().join("conf.d")).unwrap();
    write("main.toml", &format!("include = [\"conf.d/*.toml\"]\n{GOOD}"));
    write("conf.d/b.toml", "[[routes]]\nupstream = \"more\"\n");
    write("conf.d/a.toml", "[upstreams.more]\nendpoints = [\"127.0.0.1:1\"]\n");
    write("conf.d/.hidden.toml", "nonsense");
    let main = folder.path().join("main.toml");
    let config = Config::load(&main).expect("no errors");
    assert_eq!(config.file.upstreams.len(), 2);
    assert_eq!(config.file.routes[1].upstream.as_deref(), Some("more"));

    write(
        "conf.d/a.toml",
        "include = []\n[admin]\nlisten = \"127.0.0.1:1\"\n[upstreams.users]\nendpoints = []\n",
    );
    let lines = Config::load(&main).expect_err("three mistakes").lines();
    let place = |line: &String| line.replace(&*folder.path().to_string_lossy(), "");
    let expected = [
        "/conf.d/a.toml:1:1: error: include: an included file may not include others; include it at the top",
        "/conf.d/a.toml:2:2: error: admin: it is already given at /main.toml:2; keep one of them",
        "/conf.d/a.toml:4:12: error: upstreams.users: it is already given at /main.toml:6; keep one of them",
    ];
    assert_eq!(lines.iter().map(place).collect::<Vec<_>>(), expected);
}

#[test]
fn what_cannot_be_read_is_named_where_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("main.toml");
    let lines = || {
        let lines = Config::load(&main).expect_err("something is missing").lines();
        lines.join("\n").replace(&*folder.path().to_string_lossy(), "")
    };
    let missing = "No such file or directory (os error 2); name a readable file";
    assert_eq!(
        lines(),
        format!("/main.toml:1:1: error: file: cannot read `/main.toml`: {missing}")
    );
    fs::write(&main, "include = [\"x.toml\"]").unwrap();
    assert_eq!(
        lines(),
        format!("/main.toml:1:12: error: include[0]: cannot read `/x.toml`: {missing}")
    );
}

#[test]
fn an_endpoint_that_is_the_admin_api_is_refused_in_every_spelling() {
    for address in [
        "127.0.0.1:9900",
        "localhost:9900",
        "[::1]:9900",
        "[::ffff:127.0.0.1]:9900",
        "127.0.0.2:9900",
        "0.0.0.0:9900",
    ] {
        let text = GOOD.replace("127.0.0.1:7001", address);
        let config = Config::parse("f.toml", &text).expect("well formed");
        let lines = config.settings(demo::NOWHERE).expect_err(address).lines();
        let expected = format!(
            "f.toml:6:14: error: upstreams.users.endpoints[0]: `{address}` is the admin API: clients must not reach it; name the address of a service"
        );
        assert_eq!(lines, [expected]);
    }
}

#[test]
fn secrets_are_never_written_out() {
    let text = GOOD.replace("[listeners.web]", "token = \"s3cret\"\n[listeners.web]");
    let file = Config::parse("f.toml", &text).expect("no errors").file;
    assert!(!format!("{file:?}").contains("s3cret"));
    assert!(!serde_json::to_string(&file).unwrap().contains("s3cret"));
}

#[test]
fn what_is_written_is_read_again_as_the_same() {
    let written = |file: &File| toml::to_string_pretty(file).unwrap();
    for text in [GOOD, EMBEDDED] {
        let first = written(&Config::parse("f.toml", text).expect("no errors").file);
        let again =
            written(&Config::parse("f.toml", &first).expect("what was written is read").file);
        assert_eq!(first, again);
    }
}

#[test]
fn everything_that_may_be_written_arrives_in_the_plan() {
    let text = r#"
[runtime]
drain = "7s"
zone = "z"
seed = 7
[listeners.web]
bind = "127.0.0.1:8080"
protocol = "http"
trusted_proxies = ["10.0.0.0/8", "192.0.2.7", "unix"]
proxy_protocol = "accept"
maintenance = { retry_after = "1min" }
[listeners.web.limits]
connections = 1
connections_per_client = 2
header_bytes = "3KiB"
headers = 4
header_timeout = "5s"
body_bytes = "6KiB"
body_idle = "7s"
body_rate = "8B"
write_stall = "9s"
idle = "10s"
requests_per_connection = 11
[upstreams.a]
endpoints = ["127.0.0.1:1", { address = "http://127.0.0.1:2/", weight = 3, zone = "z" }, "http://127.0.0.1", "demo://2"]
protocol = "http1"
proxy_protocol = "v2"
balance = "weighted"
max_ejected = 0.25
slow_start = "9s"
failover = "b"
health = { path = "/h", host = "h.x", status = "200, 300-303", every = "5s", timeout = "6s", healthy = 7, unhealthy = 8 }
pool = { idle_per_worker = 1, idle = "2s", connect_timeout = "3s", read_idle = "4s" }
endpoint_policy = "e"
[upstreams.b]
discover = { dns = "b.x:81", every = "5s", resolver = "127.0.0.1:5353" }
[policies.p]
timeout = "1s"
[policies.e]
[[routes]]
name = "r"
listener = "web"
match = { host = "*.x", path = "/a/{id}", methods = ["GET"], headers = { h = "1" }, query = { q = "2" } }
split_key = "cookie:c"
mirror = { upstream = "b", percent = 1 }
compress = { codings = ["gzip"], types = ["text/*"], min_body = "2KiB" }
cors = { origins = ["https://o.x"], methods = ["PUT"], max_age = "1min" }
split = [{ upstream = "a", weight = 9 }, { upstream = "b", weight = 1 }]
policy = "p"
host = "upstream"
rewrite = { path = "/b/{id}" }
request_headers = { set = { s = "1" }, add = { a = "2" }, remove = ["r"] }
response_headers = { set = { s = "3" }, add = { a = "4" }, remove = ["q"] }
max_body = "5MiB"
priority = 3
[[routes]]
match = { path = "/old/*" }
redirect = { status = 302, to = "/new" }
[[routes]]
match = { host = "y" }
upstream = "b"
host = "z"
rewrite = { prefix = "/v2" }
"#;
    let config = Config::parse("f.toml", text).expect("no errors");
    let mut plan = crate::print::plan(&config.settings(demo::NOWHERE).expect("addresses only"));
    assert_eq!(plan["policies"]["p"]["timeout"], "1s");
    plan.as_object_mut().unwrap().remove("policies");
    let limits = serde_json::json!({
        "connections": 1, "connections_per_client": 2, "header_bytes": "3KiB", "headers": 4,
        "header_timeout": "5s", "body_bytes": "6KiB", "body_idle": "7s", "body_rate": "8B",
        "write_stall": "9s", "idle": "10s", "requests_per_connection": 11,
        "message_bytes": "16MiB", "calls_per_connection": 16384,
        "http2": {
            "streams": 100, "stream_window": "64KiB", "connection_window": "1MiB",
            "frame_bytes": "16KiB", "header_table": "4KiB", "header_frames": 8,
            "control_frames": 1000, "memory": "1MiB", "empty_frames": 100,
            "mistakes": 100, "settings_timeout": "10s", "resets": 100,
        },
    });
    let expected = serde_json::json!({
        "drain": "7s",
        "zone": "z",
        "seed": 7,
        "auth": {},
        "listeners": [{
            "name": "web", "bind": "127.0.0.1:8080", "protocol": "http", "tls": null,
            "trusted_proxies": ["10.0.0.0/8", "192.0.2.7/32", "unix"],
            "socket": { "mode": null, "user": null, "group": null },
            "proxy_protocol": "accept",
            "maintenance": { "retry_after": "1min", "body": null },
            "limits": limits,
        }],
        "upstreams": [
            {
                "name": "a", "protocol": "http1", "tls": null, "proxy_protocol": "v2", "types": {}, "balance": "weighted", "endpoint_policy": "e", "max_ejected": 0.25, "discover": null,
                "slow_start": "9s", "failover": "b",
                "health": {
                    "kind": "http", "path": "/h", "host": "h.x", "status": "200, 300-303",
                    "every": "5s", "timeout": "6s", "healthy": 7, "unhealthy": 8,
                },
                "endpoints": [
                    { "name": "127.0.0.1:1", "address": "127.0.0.1:1", "weight": 1, "zone": null },
                    { "name": "127.0.0.1:2", "address": "127.0.0.1:2", "weight": 3, "zone": "z" },
                    { "name": "127.0.0.1:80", "address": "127.0.0.1:80", "weight": 1, "zone": null },
                    { "name": "demo://2", "address": "127.0.0.1:0", "weight": 1, "zone": null },
                ],
                "pool": { "idle_per_worker": 1,  "idle": "2s", "connect_timeout": "3s", "read_idle": "4s" },
            },
            {
                "name": "b", "protocol": "http1", "tls": null, "proxy_protocol": null, "types": {}, "balance": "round-robin", "endpoint_policy": null, "max_ejected": 0.5,
                "discover": {
                    "dns": "b.x:81", "every": "5s", "servers": ["127.0.0.1:5353"], "search": [],
                },
                "health": null, "slow_start": null, "failover": null,
                "endpoints": [],
                "pool": { "idle_per_worker": 64,  "idle": "50s", "connect_timeout": "1s", "read_idle": "30s" },
            },
        ],
        "routes": [
            {
                "name": "r", "listener": "web", "policy": "p", "host": "upstream", "max_body": "5MiB",
                "priority": 3,
                "match": {
                    "host": "*.x", "path": "/a/{id}", "methods": ["GET"],
                    "headers": { "h": "1" }, "query": { "q": "2" }, "call": null, "sni": null,
                },
                "auth": [],
                "split_key": "cookie:c", "mirror": { "upstream": "b", "percent": 1.0 }, "maintenance": null,
                "compress": { "codings": ["gzip"], "types": ["text/*"], "min_body": "2KiB" },
                "cors": { "origins": ["https://o.x"], "methods": ["PUT"], "headers": [], "expose": [], "credentials": false, "max_age": "1min" },
                "split": [{ "upstream": "a", "weight": 9 }, { "upstream": "b", "weight": 1 }],
                "rewrite": { "path": "/b/{id}" },
                "request_headers": { "set": { "s": "1" }, "add": { "a": "2" }, "remove": ["r"] },
                "response_headers": { "set": { "s": "3" }, "add": { "a": "4" }, "remove": ["q"] },
            },
            {
                "name": "/old/*", "listener": null, "policy": null, "host": "preserve", "max_body": null, "priority": 1,
                "match": { "host": null, "path": "/old/*", "methods": [], "headers": {}, "query": {}, "call": null, "sni": null },
                "auth": [],
                "split_key": null, "maintenance": null, "cors": null, "mirror": null, "compress": null,
                "redirect": { "status": 302, "to": "/new" },
                "rewrite": null,
                "request_headers": { "set": {}, "add": {}, "remove": [] },
                "response_headers": { "set": {}, "add": {}, "remove": [] },
            },
            {
                "name": "route-2", "listener": null, "policy": null, "host": "z", "max_body": null, "priority": 1,
                "match": { "host": "y", "path": null, "methods": [], "headers": {}, "query": {}, "call": null, "sni": null },
                "auth": [],
                "split_key": null, "maintenance": null, "cors": null, "mirror": null, "compress": null,
                "split": [{ "upstream": "b", "weight": 1 }],
                "rewrite": { "prefix": "/v2" },
                "request_headers": { "set": {}, "add": {}, "remove": [] },
                "response_headers": { "set": {}, "add": {}, "remove": [] },
            },
        ],
    });
    assert_eq!(plan, expected, "{plan:#}");
}

#[test]
fn a_host_without_an_address_is_a_warning_where_it_is_only_judged() {
    let config = Config::parse("f.toml", &GOOD.replace("127.0.0.1:7001", "no-such.invalid:1"))
        .expect("well formed");
    let lines: Vec<_> =
        config.unresolved().iter().map(|problem| config.sources.line(problem)).collect();
    assert_eq!(lines.len(), 1);
    let start = "f.toml:6:14: warning: upstreams.users.endpoints[0]: no address is known for `no-such.invalid:1`: ";
    assert!(lines[0].starts_with(start), "{lines:?}");
    assert!(config.settings(demo::NOWHERE).is_err());
}

#[test]
fn whatever_is_written_is_judged_and_never_panics() {
    for (at, _) in GOOD.char_indices() {
        let (before, after) = GOOD.split_at(at);
        let changed = ["\"", "[", "=", "9", "\n", "x", "é"]
            .map(|with| format!("{before}{with}{}", &after[1..]));
        for text in
            changed.iter().map(String::as_str).chain([before, &format!("{before}{}", &after[1..])])
        {
            let Err(failure) = Config::parse("f.toml", text) else { continue };
            assert!(!failure.problems.is_empty(), "{text}");
            for problem in &failure.problems {
                assert!(
                    problem.place.end <= text.len() && !problem.reason.is_empty(),
                    "{text}\n{problem:?}"
                );
            }
        }
    }
}
