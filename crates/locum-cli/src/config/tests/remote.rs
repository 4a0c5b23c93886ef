//! What may be said of remote calls, of TLS and of who may call, and how mistakes there are told.

use std::fs;
use std::path::Path;

use super::*;

mod mistakes;

/// A configuration in which everything is right. Line 1 is the first below.
const REMOTE: &str = r#"[listeners.rpc]
bind = "127.0.0.1:1234"
protocol = "rpc"
[listeners.web]
bind = "127.0.0.1:8443"
tls = { certificates = [{ cert = "a.pem", key = "a.key" }], client_ca = "ca.pem", min = "1.3" }
[upstreams.arith]
endpoints = ["gob://127.0.0.1:7001"]
[upstreams.users]
endpoints = ["127.0.0.1:7003"]
[auth.keys]
kind = "api-key"
file = "keys.txt"
[auth.staff]
kind = "mtls"
allow = ["ann"]
[auth.office]
kind = "ip"
deny = ["10.0.0.0/8"]
[[routes]]
match = { call = "Arith.*" }
upstream = "arith"
auth = ["office"]
[[routes]]
match = { path = "/rpc/*" }
transcode = { upstream = "arith" }
auth = ["keys", "staff"]
[[routes]]
match = { path = "/*" }
upstream = "users"
"#;

const KEYS: &str = "ann:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n";

/// A folder with the files that [`REMOTE`] names, and with `text` as its configuration.
fn folder(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        ("f.toml", text),
        ("a.pem", "the chain"),
        ("a.key", "s3cret"),
        ("ca.pem", "the authority"),
        ("keys.txt", KEYS),
    ];
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

fn load(folder: &Path) -> Result<Config, Vec<String>> {
    let without = |line: String| line.replace(&format!("{}/", folder.display()), "");
    Config::load(&folder.join("f.toml"))
        .map_err(|failure| failure.lines().into_iter().map(without).collect())
}

/// What is told of `text`, a line each.
fn told(text: &str) -> Vec<String> {
    let folder = folder(text);
    match load(folder.path()) {
        Err(lines) => lines,
        Ok(config) => {
            let lines = config.warnings.iter().map(|warning| config.sources.line(warning));
            lines.map(|line| line.replace(&format!("{}/", folder.path().display()), "")).collect()
        }
    }
}

#[test]
fn the_configuration_of_remote_calls_is_good() {
    assert_eq!(told(REMOTE), Vec::<String>::new());
}

#[test]
fn an_upstream_speaks_what_its_endpoints_say() {
    let speaks = |upstream: &str| {
        let text = format!("[upstreams.u]\n{upstream}");
        let config = Config::parse("f.toml", &text).expect(upstream);
        let settings = config.settings(demo::NOWHERE).expect("addresses only");
        let upstream = &settings.upstreams[0];
        (upstream.protocol.name(), upstream.tls.is_some(), upstream.endpoints[0].name.clone())
    };
    let cases = [
        ("endpoints = ['127.0.0.1:1']", "http1", false, "127.0.0.1:1"),
        ("endpoints = ['http://127.0.0.1']", "http1", false, "127.0.0.1:80"),
        ("endpoints = ['https://127.0.0.1']", "http1", true, "127.0.0.1:443"),
        ("endpoints = ['h2://127.0.0.1:1']", "h2", false, "127.0.0.1:1"),
        ("endpoints = ['http://127.0.0.1']\nprotocol = 'h2'", "h2", false, "127.0.0.1:80"),
        ("endpoints = ['https://127.0.0.1']\nprotocol = 'auto'", "auto", true, "127.0.0.1:443"),
        ("endpoints = ['grpc+tls://127.0.0.1:1']", "grpc", true, "127.0.0.1:1"),
        ("endpoints = ['127.0.0.1:1', 'gob://127.0.0.1:2']", "gob", false, "127.0.0.1:1"),
        ("endpoints = ['gob-http://127.0.0.1:1/']", "gob-http", false, "127.0.0.1:1"),
        ("endpoints = ['json-rpc+tls://127.0.0.1:1']", "json-rpc", true, "127.0.0.1:1"),
        ("endpoints = ['json-rpc2://127.0.0.1:1']\ntls = {}", "json-rpc2", true, "127.0.0.1:1"),
        ("endpoints = ['127.0.0.1:1']\nprotocol = 'native'", "native", false, "127.0.0.1:1"),
    ];
    for (upstream, protocol, tls, name) in cases {
        assert_eq!(speaks(upstream), (protocol, tls, name.to_owned()), "{upstream}");
    }
}

#[test]
fn everything_that_may_be_said_of_remote_calls_arrives_in_the_plan() {
    let text = REMOTE
        .replace("\"rpc\"\n", "\"rpc\"\nlimits = { message_bytes = \"1MiB\", calls_per_connection = 7 }\n")
        .replace(
            "7001\"]",
            "7001\"]\ntls = { server_name = \"arith\", ca = \"ca.pem\", cert = \"a.pem\", key = \"a.key\" }\n\
             types = { \"Arith.Scale\" = { By = \"float\", reply = \"time\" } }\npool = { connections_per_worker = 2 }",
        )
        .replace("[auth.staff]", "header = \"X-Key\"\n[auth.staff]");
    let folder = folder(&text);
    let config = load(folder.path()).expect("no errors");
    let settings = config.settings(demo::NOWHERE).expect("addresses only");
    let plan = crate::print::plan(&settings);
    for secret in ["s3cret", "ba7816bf", "the chain"] {
        assert!(!plan.to_string().contains(secret) && !format!("{config:?}").contains(secret));
    }

    let (rpc, web) = (&plan["listeners"][0], &plan["listeners"][1]);
    assert_eq!((&rpc["protocol"], &rpc["tls"]), (&"rpc".into(), &serde_json::Value::Null));
    assert_eq!(rpc["limits"]["message_bytes"], "1MiB");
    assert_eq!(rpc["limits"]["calls_per_connection"], 7);
    let tls =
        serde_json::json!({ "certificates": 1, "client_certificates": "required", "min": "1.3" });
    assert_eq!(web["tls"], tls);
    let arith = &plan["upstreams"][0];
    assert_eq!(arith["protocol"], "gob");
    let tls =
        serde_json::json!({ "server_name": "arith", "authorities": "own", "certificate": "shown" });
    assert_eq!(arith["tls"], tls);
    assert_eq!(arith["pool"]["connections_per_worker"], 2);
    let types =
        serde_json::json!({ "Arith.Scale": { "args": { "By": "float" }, "reply": "time" } });
    assert_eq!(arith["types"], types);
    let auth = serde_json::json!({
        "keys": { "kind": "api-key", "header": "x-key", "keys": ["ann"] },
        "staff": { "kind": "mtls", "allow": ["ann"] },
        "office": { "kind": "ip", "allow": [], "deny": ["10.0.0.0/8"] },
    });
    assert_eq!(plan["auth"], auth);
    let routes = &plan["routes"];
    assert_eq!(
        (&routes[0]["name"], &routes[0]["match"]["call"]),
        (&"Arith.*".into(), &"Arith.*".into())
    );
    assert_eq!(routes[1]["transcode"], serde_json::json!({ "upstream": "arith", "types": {} }));
    assert_eq!(routes[1]["auth"], serde_json::json!(["keys", "staff"]));

    let tls = settings.listeners[1].tls.as_ref().expect("it is there");
    assert_eq!(tls.certificates[0].chain, b"the chain");
    assert_eq!(tls.certificates[0].key.0, b"s3cret");
    assert_eq!(tls.client_ca.as_deref(), Some(&b"the authority"[..]));
}

#[test]
fn a_route_that_matches_anything_goes_by_its_upstream() {
    let text = "[upstreams.a]\nendpoints = ['gob://127.0.0.1:1']\n\
                [upstreams.b]\nendpoints = ['127.0.0.1:1']\n\
                [[routes]]\nupstream = 'a'\n[[routes]]\nupstream = 'b'\n";
    let config = Config::parse("f.toml", text).expect("neither covers the other");
    let routes = config.settings(demo::NOWHERE).expect("addresses only").routes;
    assert_eq!(routes[0].matches.call.as_deref(), Some("*"));
    assert_eq!(routes[1].matches.call, None);
}

#[test]
fn what_is_written_is_read_again_as_the_same() {
    let text = REMOTE.replace(
        "7001\"]",
        "7001\"]\ntypes = { \"A.B\" = { Z = \"int\", A = \"uint\", T = { Y = \"[]int\" } }, \"A.C\" = \"int\" }\ntls = {}",
    );
    let folder = folder(&text);
    let first = load(folder.path()).expect("no errors").file;
    fs::write(folder.path().join("f.toml"), toml::to_string_pretty(&first).unwrap()).unwrap();
    let again = load(folder.path()).expect("what was written is read").file;
    assert_eq!(format!("{first:?}"), format!("{again:?}"));
}

#[test]
fn what_is_named_is_read_again_and_what_names_it_is_not() {
    let folder = folder(REMOTE);
    let config = load(folder.path()).expect("no errors");
    fs::write(folder.path().join("f.toml"), "nonsense").unwrap();
    let ben = KEYS.replace("ann", "ben");
    fs::write(folder.path().join("keys.txt"), &ben).unwrap();
    let again = config.reread().expect("no errors");
    assert_ne!(again.sources, config.sources, "a change is noticed");
    let keys = |config: &Config| {
        crate::print::plan(&config.settings(demo::NOWHERE).unwrap())["auth"]["keys"]["keys"].clone()
    };
    assert_eq!(
        (keys(&config), keys(&again)),
        (serde_json::json!(["ann"]), serde_json::json!(["ben"]))
    );
    fs::write(folder.path().join("keys.txt"), "").unwrap();
    let lines = again.reread().expect_err("nobody could call").lines();
    assert!(lines[0].contains("holds no key, so nobody could call"), "{lines:?}");
}
