//! What a reload would change, and a configuration that is given by the admin API.

use std::fs;

use locum_testkit::{Client, Finished, Load, Locum, Response, Upstream, run_to_end, script};
use serde_json::Value;

use crate::setup::{Config, binary};

fn diff(old: &str, new: &str, more: &[&str]) -> Finished {
    let directory = tempfile::tempdir().unwrap();
    let files = [("old.toml", old), ("new.toml", new)].map(|(name, text)| {
        let file = directory.path().join(name);
        fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    });
    run_to_end(binary(), &[&["diff", &*files[0], &*files[1]], more].concat())
}

fn send(locum: &Locum, method: &str, path: &str, kind: &str, body: &str) -> Response {
    let mut client = Client::connect(locum.address("admin"));
    client.send(format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    client.response(method).unwrap()
}

fn put(locum: &Locum, body: &str) -> Response {
    send(locum, "PUT", "/api/v1/config", "application/toml", body)
}

#[test]
fn what_is_only_written_differently_is_no_difference() {
    let upstream = Upstream::start(script::answers("ok"));
    let config = Config::to(&upstream);
    // The default, said.
    let said = config.clone().listener("limits = { headers = 100 }").to_string();
    let same = diff(&config.to_string(), &format!("# a comment\n{said}"), &[]);
    assert_eq!((same.code, &*same.output), (Some(0), ""), "{}", same.errors);
}

#[test]
fn every_kind_of_difference_is_told_with_its_keys_and_its_reach() {
    let upstream = Upstream::start(script::answers("ok"));
    let base = Config::to(&upstream);
    let old = base
        .clone()
        .policy("timeout = \"1s\"")
        .and("[listeners.gone]\nbind = \"127.0.0.1:1\"")
        .and("[[routes]]\nname = \"a\"\nmatch = { path = \"/a\" }\nupstream = \"up\"")
        .and("[[routes]]\nname = \"b\"\nmatch = { path = \"/b\" }\nupstream = \"up\"");
    let new = base
        .listener("limits = { headers = 50 }")
        .policy("timeout = \"2s\"")
        .and("[upstreams.more]\nendpoints = [\"127.0.0.1:2\"]")
        .and("[[routes]]\nname = \"b\"\nmatch = { path = \"/b\" }\nupstream = \"more\"")
        .and("[[routes]]\nname = \"a\"\nmatch = { path = \"/a\" }\nupstream = \"up\"")
        .and("[runtime]\nworkers = 3\ndrain = \"5s\"");
    let told = diff(&old.to_string(), &new.to_string(), &[]);
    assert_eq!(told.code, Some(1), "{}", told.errors);
    for line in [
        "~ process locum\n    runtime.drain: + \"5s\"\n    reaches: at once\n",
        "    runtime.workers: \"auto\" -> 3\n    reaches: at the next start or upgrade\n",
        "~ listener web\n    limits.headers: 100 -> 50\n    reaches: connections that are made",
        "- listener gone\n    reaches: it is closed",
        "+ upstream more\n",
        "~ policy careful\n    timeout: \"1s\" -> \"2s\"\n",
        "^ route a\n",
        "~ route b\n    split: [{\"upstream\":\"up\",\"weight\":1}] -> ",
    ] {
        assert!(told.output.contains(line), "{line}\nin\n{}", told.output);
    }
    let json = diff(&old.to_string(), &new.to_string(), &["--json"]).output;
    let json: Value = serde_json::from_str(&json).unwrap();
    let kinds = json.as_array().unwrap().iter().filter(|change| change["kind"] == "listener");
    assert_eq!(kinds.map(|change| &change["change"]).collect::<Vec<_>>(), ["removed", "changed"]);

    let trouble = diff(&old.to_string(), "nonsense", &[]);
    assert_eq!(trouble.code, Some(2), "{}", trouble.errors);
    assert!(trouble.errors.contains("new.toml has errors"), "{}", trouble.errors);
}

#[test]
fn a_configuration_by_the_admin_api_runs_until_the_file_is_read_again() {
    let (old, new) =
        (Upstream::start(script::answers("old")), Upstream::start(script::answers("new")));
    let (file, given) = (Config::to(&old).to_string(), Config::to(&new).to_string());
    let locum = Config::to(&old).start();
    let compared = send(&locum, "POST", "/api/v1/config/diff", "application/toml", &given);
    let changes = &compared.json()["changes"];
    assert_eq!((&changes[0]["kind"], &changes[0]["name"]), (&"upstream".into(), &"up".into()));
    assert!(changes[1].is_null(), "{changes}");
    assert_eq!(locum.get("/").text(), "old", "nothing has changed yet");

    let load = Load::get(locum.address("web"), "/");
    let (report, answer) = load.during(|| put(&locum, &given));
    assert_eq!((answer.status, &answer.json()["plan_version"]), (200, &2.into()));
    assert_eq!((report.failed(), report.closed_idle), (0, 0), "{report:?}");
    assert_eq!(locum.get("/").text(), "new");
    let none = send(&locum, "POST", "/api/v1/config/diff", "application/toml", &given);
    assert_eq!(none.json()["changes"], Value::Array(Vec::new()));

    // As JSON, and as it is shown.
    let shown = locum.admin("/api/v1/config").text();
    assert_eq!(send(&locum, "PUT", "/api/v1/config", "application/json", &shown).status, 200);
    locum.reload(&file);
    assert_eq!(locum.get("/").text(), "old");
    assert_eq!(locum.metric("locum_config_reloads_total", &[("result", "ok")]), 3.0);
}

#[test]
fn a_configuration_with_errors_is_refused_whole() {
    let upstream = Upstream::start(script::answers("ok"));
    let config = Config::to(&upstream);
    let locum = config.start();
    let refused = put(&locum, &config.clone().route("policy = \"nowhere\"").to_string());
    assert_eq!(refused.status, 422);
    assert!(refused.json()["problems"][0].as_str().unwrap().contains("nowhere"));
    // An address that cannot be had is found out only when it is tried.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let second = format!("[listeners.second]\nbind = \"{}\"", taken.local_addr().unwrap());
    let refused = put(&locum, &config.clone().and(&second).to_string());
    assert_eq!(refused.status, 422, "{}", refused.text());
    let masked = config.to_string().replacen("[admin]", "[admin]\ntoken = \"***\"", 1);
    let refused = put(&locum, &masked);
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("a secret that is not shown"), "{}", refused.text());
    assert_eq!(locum.get("/").text(), "ok");
    assert_eq!(locum.metric("locum_plan_version", &[]), 1.0);
    assert_eq!(send(&locum, "POST", "/api/v1/config", "application/toml", "").status, 405);
}
