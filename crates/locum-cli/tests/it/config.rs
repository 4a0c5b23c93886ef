//! What the program says of a configuration, and who may ask the running one.

use std::fs;

use locum_testkit::{Client, Finished, Locum, Upstream, run_to_end, script};

use crate::setup::{Config, binary, locum};

/// Runs `locum COMMAND -c FILE …` on this text.
fn with_file(command: &str, text: &str, arguments: &[&str]) -> Finished {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("locum.toml");
    fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    run_to_end(binary(), &[&[command, "-c", file], arguments].concat())
}

/// Holds `check` against one mistake: what it says must name the place and all of these words.
fn assert_told(text: &str, place: &str, words: &[&str]) {
    let checked = with_file("check", text, &[]);
    let said = format!("{}{}", checked.output, checked.errors);
    assert_eq!(checked.code, Some(1), "{text}\n{said}");
    assert!(said.contains(&format!("locum.toml:{place}")), "{place} in\n{said}");
    for word in words {
        assert!(said.contains(word), "{word} in\n{said}");
    }
}

#[test]
fn a_good_file_is_good() {
    let checked = with_file("check", GOOD, &[]);
    assert_eq!(checked.code, Some(0), "{}{}", checked.output, checked.errors);
}

#[test]
fn a_mistyped_key_is_found_with_what_was_meant() {
    assert_told(&GOOD.replace("bind =", "bnd ="), "2:1", &["bnd", "bind"]);
    assert_told(&GOOD.replace("breaker =", "braker ="), "12:1", &["braker", "breaker"]);
    assert_told(&GOOD.replace("min_calls", "min_call"), "12:", &["min_call", "min_calls"]);
    assert_told(&GOOD.replace("[policies.", "[policy."), "10:", &["policy", "policies"]);
}

#[test]
fn broken_toml_is_found() {
    assert_told(&GOOD.replace("[[routes]]", "[[routes]"), "14:", &[]);
    assert_told(&GOOD.replace("\"2s\"", "\"2s"), "11:", &[]);
}

#[test]
fn a_value_that_does_not_parse_is_found_with_what_would() {
    assert_told(&GOOD.replace("\"2s\"", "2"), "11:11", &["timeout"]);
    assert_told(&GOOD.replace("\"2s\"", "\"2 parsecs\""), "11:11", &["2 parsecs", "ms"]);
    assert_told(&GOOD.replace("0.5", "1.5"), "12:", &["failure_rate", "1.5"]);
    assert_told(&GOOD.replace("\"100/s\"", "\"fast\""), "13:", &["fast", "/s"]);
    assert_told(&GOOD.replace("127.0.0.1:8080", "localhost"), "2:8", &["localhost"]);
    assert_told(&GOOD.replace("127.0.0.1:7001", "127.0.0.1"), "6:", &["127.0.0.1", "port"]);
    assert_told(&GOOD.replace("\"/users/*\"", "\"~[\""), "16:", &["expression"]);
    assert_told(
        &GOOD.replace("\"round-robin\"", "\"roundrobin\""),
        "7:",
        &["roundrobin", "round-robin"],
    );
}

#[test]
fn a_name_that_leads_nowhere_is_found_with_the_remedy() {
    assert_told(
        &GOOD.replace("upstream = \"users\"", "upstream = \"user\""),
        "17:12",
        &["`user`", "did you mean `users`"],
    );
    assert_told(
        &GOOD.replace("upstream = \"users\"", "upstream = \"accounts\""),
        "17:12",
        &["`accounts`", "[upstreams.accounts]"],
    );
    assert_told(
        &GOOD.replace("policy = \"careful\"", "policy = \"carefull\""),
        "18:",
        &["carefull", "careful"],
    );
    assert_told(&format!("{GOOD}listener = \"wbe\"\n"), "19:", &["wbe", "web"]);
}

#[test]
fn an_admin_api_open_to_the_network_needs_a_token() {
    let open = format!("{GOOD}\n[admin]\nlisten = \"0.0.0.0:9900\"\n");
    assert_told(&open, "21:", &["token"]);
    let checked = with_file("check", &format!("{open}token = \"s3cret\"\n"), &[]);
    assert_eq!(checked.code, Some(0), "{}{}", checked.output, checked.errors);
}

#[test]
fn every_mistake_of_a_file_is_told_at_once() {
    let text =
        GOOD.replace("policy = \"careful\"", "policy = \"x\"").replace("\"users\"\n", "\"y\"\n");
    assert_told(&text, "17:", &["locum.toml:18:"]);
}

#[test]
fn what_is_no_certificate_is_found_where_it_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("no.pem");
    fs::write(&file, "this is no PEM").unwrap();
    let file = file.to_str().unwrap();
    let listener = format!(
        "bind = \"127.0.0.1:1\"\ntls = {{ certificates = [{{ cert = {file:?}, key = {file:?} }}] }}\n"
    );
    let text = GOOD.replace("bind = \"127.0.0.1:8080\"\n", &listener);
    assert_told(&text, "3:34", &["listeners.web.tls.certificates[0].cert", "certificate"]);
    let upstream = format!("[upstreams.users]\ntls = {{ ca = {file:?} }}\n");
    let text = GOOD.replace("[upstreams.users]\n", &upstream);
    assert_told(&text, "6:14", &["upstreams.users.tls.ca", "certificate"]);
}

#[test]
fn a_way_to_show_who_one_is_has_what_it_needs_and_nothing_else() {
    let auth = |lines: &str| format!("{GOOD}\n[auth.who]\n{lines}\n");
    let basic = "kind = \"basic\"\n";
    assert_told(&auth(basic), "20:7", &["auth.who.file", "missing"]);
    assert_told(&auth(&format!("{basic}allow = [\"a\"]")), "22:1", &["`basic`", "`mtls`"]);
    let host = "identity_header = \"Host\"";
    assert_told(&auth(&format!("{basic}{host}")), "22:19", &["the proxy's own"]);
    let jwt = "kind = \"jwt\"\nissuer = \"i\"\naudience = \"a\"\nalgorithms = [\"RS256\"]\n";
    assert_told(
        &auth("kind = \"jwt\""),
        "20:7",
        &["auth.who.issuer", "audience", "algorithms", "jwks"],
    );
    let more = |line: &str| auth(&format!("{jwt}{line}"));
    assert_told(&more("jwks = \"http://login.test/keys\""), "25:8", &["https://"]);
    assert_told(&more("jwks = \"https://\""), "25:8", &["a URL such as"]);
    assert_told(&more("jwks = \"https://a.test\"\nsecret = \"x\""), "26:1", &["keep one"]);
    assert_told(&more("secret = \"short\""), "25:10", &["fewer than 32 bytes", "openssl rand"]);
    assert_told(&more("secret = \"short\""), "24:15", &["RS256", "not verified by a secret"]);
    assert_told(&more("jwks = \"https://a.test\"\nleeway = \"2min\""), "26:10", &["60s"]);
    let none = jwt.replace("RS256", "none");
    assert_told(&auth(&format!("{none}jwks = \"https://a.test\"")), "24:15", &["`none`", "ES256"]);
    let cookie = "jwks = \"https://a.test\"\nforward = { cookie = \"sub\" }";
    assert_told(&more(cookie), "26:", &["taken from them on every route"]);
    let door = "kind = \"forward\"\n";
    assert_told(&auth(door), "20:7", &["auth.who.url"]);
    let door = format!("{door}url = \"https://a.test\"\n");
    assert_told(&auth(&format!("{door}cache = \"2h\"")), "23:9", &["1h"]);
    assert_told(&auth(&format!("{door}timeout = 0")), "23:11", &["0"]);
    assert_told(&auth(&format!("{door}jwks = \"a\"")), "23:1", &["`forward`", "`jwt`"]);
    let ip = "kind = \"ip\"\ndeny = [\"10.0.0.0/8\"]\nidentity_header = \"x-user\"";
    assert_told(&auth(ip), "23:1", &["not for the kind `ip`"]);
}

#[test]
fn a_missing_file_is_named() {
    let checked = run_to_end(binary(), &["check", "-c", "/nowhere/locum.toml"]);
    assert_eq!(checked.code, Some(1));
    assert!(checked.errors.contains("/nowhere/locum.toml"), "{}", checked.errors);
}

#[test]
fn what_is_legal_but_odd_is_a_warning() {
    let odd = [
        ("attempt_timeout = \"1s\"\nretry = { attempts = 5 }", "attempt_timeout"),
        ("breaker = { window = \"10s\", min_calls = 5000 }", "never"),
    ];
    for (lines, word) in odd {
        let text = GOOD.replace("breaker = { min_calls = 20, failure_rate = 0.5 }", lines);
        let checked = with_file("check", &text, &[]);
        let said = format!("{}{}", checked.output, checked.errors);
        assert_eq!(checked.code, Some(0), "{said}");
        assert!(said.contains("warning") && said.contains(word), "{word} in\n{said}");
        assert!(said.contains("locum.toml:"), "{said}");
    }
}

#[test]
fn print_shows_the_embedded_default_which_is_a_good_file() {
    let printed = run_to_end(binary(), &["print"]);
    assert_eq!(printed.code, Some(0), "{}", printed.errors);
    assert!(printed.output.contains("[[routes]]"), "{}", printed.output);
    let checked = with_file("check", &printed.output, &[]);
    assert_eq!(checked.code, Some(0), "{}{}", checked.output, checked.errors);
}

#[test]
fn print_shows_no_header_that_is_a_secret_by_its_name() {
    let file = format!(
        "{GOOD}\n[[routes]]\nname = \"told\"\nmatch = {{ path = \"/told\" }}\nupstream = \"users\"\n\
         request_headers = {{ set = {{ Authorization = \"Bearer hush\", x-tier = \"gold\" }} }}\n"
    );
    for how in [&[][..], &["--resolved"]] {
        let printed = with_file("print", &file, how);
        assert_eq!(printed.code, Some(0), "{}", printed.errors);
        assert!(!printed.output.contains("hush"), "{}", printed.output);
        assert!(printed.output.contains("***") && printed.output.contains("gold"));
    }
}

#[test]
fn print_resolved_is_json_with_the_defaults_filled_in() {
    let printed = with_file("print", GOOD, &["--resolved"]);
    assert_eq!(printed.code, Some(0), "{}", printed.errors);
    let plan: serde_json::Value = serde_json::from_str(&printed.output).unwrap();
    let text = plan.to_string();
    assert!(text.contains("half_open") && text.contains("users"), "{text}");
}

#[test]
fn the_schema_is_json_and_knows_the_keys() {
    let printed = run_to_end(binary(), &["schema"]);
    assert_eq!(printed.code, Some(0), "{}", printed.errors);
    let schema: serde_json::Value = serde_json::from_str(&printed.output).unwrap();
    for key in ["admin", "runtime", "log", "listeners", "upstreams", "policies", "auth", "routes"] {
        assert!(schema["properties"][key].is_object(), "{key}");
    }
}

#[test]
fn a_usage_error_is_a_2_and_help_is_a_0() {
    assert_eq!(run_to_end(binary(), &["run", "--no-such-flag"]).code, Some(2));
    assert_eq!(run_to_end(binary(), &["no-such-command"]).code, Some(2));
    let help = run_to_end(binary(), &["--help"]);
    assert_eq!(help.code, Some(0));
    for command in ["run", "proxy", "check", "print", "schema"] {
        assert!(help.output.contains(command), "{command} in {}", help.output);
    }
}

#[test]
fn run_refuses_a_bad_file_as_check_does() {
    let ran = with_file("run", &GOOD.replace("bind =", "bnd ="), &[]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.errors.contains("locum.toml:2:1"), "{}", ran.errors);
}

/// One request to the admin API with these header lines.
fn ask_admin(locum: &Locum, request: &str, headers: &str) -> u16 {
    let mut client = Client::connect(locum.address("admin"));
    client.send(format!("{request} HTTP/1.1\r\n{headers}\r\n"));
    client.response("GET").unwrap().status
}

#[test]
fn the_admin_api_answers_only_to_its_own_name() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream).start();
    let own = locum.address("admin");
    assert_eq!(ask_admin(&locum, "GET /api/v1/status", &format!("Host: {own}\r\n")), 200);
    let port = own.port();
    assert_eq!(
        ask_admin(&locum, "GET /api/v1/status", &format!("Host: localhost:{port}\r\n")),
        200
    );
    for foreign in [
        format!("Host: evil.test:{port}\r\n"),
        format!("Host: {own}\r\nOrigin: http://evil.test\r\n"),
        format!("Host: {own}\r\nOrigin: null\r\n"),
    ] {
        for request in ["GET /api/v1/status", "GET /metrics", "POST /api/v1/drain"] {
            let status = ask_admin(&locum, request, &foreign);
            assert!((400..500).contains(&status), "{request} {foreign} {status}");
        }
    }
    assert_eq!(locum.admin("/readyz").status, 200, "nobody drained it");
}

#[test]
fn a_change_needs_the_token_and_a_look_at_its_health_does_not() {
    let upstream = Upstream::start(script::answers("ok"));
    let config = Config::to(&upstream)
        .to_string()
        .replace("[admin]\n", "[admin]\ntoken = \"${LOCUM_TEST_TOKEN}\"\n");
    let locum = locum().config(config).environment("LOCUM_TEST_TOKEN", "s3cret").start();
    let own = locum.address("admin");
    let drain = |headers: &str| {
        let headers = format!(
            "Host: {own}\r\nContent-Type: application/json\r\nContent-Length: 0\r\n{headers}"
        );
        ask_admin(&locum, "POST /api/v1/drain", &headers)
    };
    assert_eq!(drain(""), 401);
    assert_eq!(drain("Authorization: Bearer wrong\r\n"), 401);
    assert_eq!(ask_admin(&locum, "GET /healthz", &format!("Host: {own}\r\n")), 200);
    assert_eq!(locum.admin("/readyz").status, 200, "nobody drained it");
    let status = drain("Authorization: Bearer s3cret\r\n");
    assert!((200..300).contains(&status), "{status}");
    locum_testkit::eventually("it drains", || Client::try_connect(locum.address("web")).is_err());
}

#[test]
fn the_admin_api_lists_what_runs() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream).policy("timeout = \"2s\"").start();
    for (path, name) in [
        ("/api/v1/listeners", "web"),
        ("/api/v1/routes", "all"),
        ("/api/v1/upstreams", "up"),
        ("/api/v1/policies", "careful"),
        ("/api/v1/config", "careful"),
    ] {
        let answer = locum.admin(path);
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.json().to_string().contains(name), "{path}: {}", answer.text());
    }
}

const GOOD: &str = r#"[listeners.web]
bind = "127.0.0.1:8080"
protocol = "http"

[upstreams.users]
endpoints = ["127.0.0.1:7001"]
balance = "round-robin"
pool = { connect_timeout = "1s" }

[policies.careful]
timeout = "2s"
breaker = { min_calls = 20, failure_rate = 0.5 }
rate_limit = { rate = "100/s", burst = 200 }
[[routes]]
name = "users"
match = { path = "/users/*" }
upstream = "users"
policy = "careful"
"#;
