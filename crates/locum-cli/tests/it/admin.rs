//! Who gets to the admin API: not a call, not a page of another site, and for changes not without the token.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use locum_testkit::{Locum, Upstream, eventually, script};

use crate::setup::{Config, locum};

#[test]
fn no_call_is_led_to_the_admin_api_however_its_address_is_written() {
    let upstream = Upstream::start(script::answers("hello"));
    for listen in ["127.0.0.1:0", "0.0.0.0:0", "[::]:0"] {
        let admin = format!("listen = {listen:?}\ntoken = \"s3cret\"");
        let config = Config::to(&upstream).to_string().replace("listen = \"127.0.0.1:0\"", &admin);
        let locum = locum().config(&*config).start();
        let port = locum.address("admin").port();
        assert_eq!(locum.get("/").status, 200);
        for host in [
            "127.0.0.1",
            "0.0.0.0",
            "localhost",
            "LOCALHOST",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::ffff:0:0]",
        ] {
            let led = config.replace(&upstream.address().to_string(), &format!("{host}:{port}"));
            locum.reload(&led);
            // The upstream says `hello` until the reload is followed, and the admin API would say `ok`.
            let mut answer = locum.get("/healthz");
            eventually("the reload is followed", || {
                answer = locum.get("/healthz");
                answer.text() != "hello"
            });
            let told = answer.text();
            assert!(answer.status == 503 && told.contains("admin API"), "{listen} {host}: {told}");
        }
    }
}

#[test]
fn keys_and_questions_do_not_go_to_the_admin_api_either() {
    let upstream = Upstream::start(script::answers("hello"));
    let config = Config::to(&upstream);
    let locum = config.start();
    let admin = locum.address("admin");
    let asking = config.route("auth = [\"door\"]").and(&format!(
        "[auth.door]\nkind = \"forward\"\nurl = \"http://localhost:{}/healthz\"",
        admin.port()
    ));
    locum.reload(&asking.to_string());
    eventually("nobody is let in", || locum.get("/").status == 503);
    assert!(locum.log().contains("no call may go"), "{}", locum.log());
}

#[test]
fn a_route_that_leads_back_to_its_own_listener_is_a_mistake() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("locum.toml");
    let check = |listener: &str| {
        let text = format!(
            "[listeners.web]\nbind = \"127.0.0.1:8080\"\n[listeners.inner]\nbind = \"127.0.0.1:8081\"\n\
             [upstreams.again]\nendpoints = [\"localhost:8080\"]\n\
             [[routes]]\nname = \"round\"\nlistener = \"{listener}\"\nupstream = \"again\"\n\
             [[routes]]\nlistener = \"web\"\nmatch = {{ path = \"/end\" }}\nredirect = {{ status = 307, to = \"/\" }}\n"
        );
        fs::write(&file, text).unwrap();
        locum_testkit::run_to_end(crate::setup::binary(), &["check", "-c", file.to_str().unwrap()])
    };
    let told = check("web");
    assert_eq!(told.code, Some(1));
    assert!(told.errors.contains("whose route `round` leads there"), "{}", told.errors);
    assert_eq!(check("inner").code, Some(0), "one listener may lead to another");
}

/// The status of an answer of the admin API to curl.
fn curl(locum: &Locum, path: &str, arguments: &[&str]) -> String {
    let url = format!("http://{}{path}", locum.address("admin"));
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--max-time", "20", "-o", "/dev/null", "-w", "%{http_code}"]);
    let told = curl.args(arguments).arg(url).output().expect("curl is installed").stdout;
    String::from_utf8(told).unwrap()
}

#[test]
fn a_token_is_made_at_the_first_start_and_changes_need_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("admin.token");
    let upstream = Upstream::start(script::answers("hello"));
    let named = format!("[admin]\ntoken_file = {file:?}");
    let config = Config::to(&upstream).to_string().replace("[admin]", &named);
    let started = locum().config(&config).start();
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    let token = fs::read_to_string(&file).unwrap().trim().to_owned();
    assert!(!started.log().contains(&token));
    drop(started);

    let locum = locum().config(&config).start();
    assert_eq!(fs::read_to_string(&file).unwrap().trim(), token, "it is made once");
    assert_eq!(curl(&locum, "/api/v1/status", &[]), "200");
    let json = ["-H", "Content-Type: application/json", "--data", "{}"];
    let check = |more: &[&str]| curl(&locum, "/api/v1/config/check", &[&json, more].concat());
    assert_eq!(check(&[]), "401");
    assert_eq!(check(&["-H", &format!("Authorization: Bearer {}", &token[1..])]), "401");
    let right = format!("Authorization: Bearer {token}");
    assert_eq!(check(&["-H", &right]), "200");
    let plain = ["-H", "Content-Type: text/plain", "--data", "{}", "-H", &right];
    assert_eq!(curl(&locum, "/api/v1/config/check", &plain), "415");

    // A token that is gone is no reason to ask for none.
    fs::remove_file(&file).unwrap();
    locum.reload(&config);
    assert_eq!(locum.metric("locum_config_reloads_total", &[("result", "error")]), 1.0);
    assert_eq!(check(&[]), "401");
    assert_eq!(check(&["-H", &right]), "200");
}

#[test]
fn a_page_of_another_site_is_told_nothing() {
    let upstream = Upstream::start(script::answers("hello"));
    let locum = Config::to(&upstream).start();
    let own = format!("Origin: http://{}", locum.address("admin"));
    for (header, status) in [
        ("X-Nothing: special", "200"),
        (&*own, "200"),
        ("Host: evil.test", "421"),
        ("Host: evil.test:9900", "421"),
        ("Origin: null", "403"),
        ("Origin: http://evil.test", "403"),
        ("Sec-Fetch-Mode: no-cors", "403"),
        ("Sec-Fetch-Site: cross-site", "403"),
        ("Upgrade: websocket", "400"),
    ] {
        for path in ["/metrics", "/api/v1/config", "/"] {
            assert_eq!(curl(&locum, path, &["-H", header]), status, "{header} {path}");
        }
    }
}
