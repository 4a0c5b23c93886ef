//! Names and passwords, and what an upstream is told of who calls; curl asks.

use std::fs;
use std::process::Command;

use locum_testkit::{Locum, Upstream, eventually, script};
use serde_json::Value;

use crate::setup::Config;

/// `ann:secret` and `ben:password`; that of ben as the reference implementation of argon2 makes it.
const PEOPLE: &str = "ann:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b\n\
    ben:$argon2i$v=19$m=65536,t=2,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b+dWRWJTmaaJObG\n";

/// The status, and what came.
fn curl(locum: &Locum, path: &str, arguments: &[&str]) -> (u16, String) {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--max-time", "20", "-w", "\n%{http_code}"]).args(arguments);
    curl.arg(format!("http://{}{path}", locum.address("web")));
    let told = curl.output().expect("curl is installed").stdout;
    let told = String::from_utf8_lossy(&told).into_owned();
    let (body, status) = told.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

/// The values that the upstream saw of a field, in the order they came.
fn seen(answer: &(u16, String), name: &str) -> Vec<String> {
    assert_eq!(answer.0, 200, "{answer:?}");
    let seen: Value = serde_json::from_str(&answer.1).unwrap();
    let fields = seen["headers"].as_array().unwrap().iter();
    let pair = |field: &Value| [0, 1].map(|at| field[at].as_str().unwrap().to_owned());
    let like = |one: &str| one.to_ascii_lowercase().replace('_', "-") == name;
    fields.map(pair).filter(|[it, _]| like(it)).map(|[_, value]| value).collect()
}

#[test]
fn a_password_lets_in_and_the_upstream_is_told_whom() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("people.txt");
    fs::write(&file, PEOPLE).unwrap();
    let upstream = Upstream::start(script::echoes());
    let locum = Config::to(&upstream)
        .route("match = { path = \"/in/*\" }")
        .route("auth = [\"people\"]")
        .and(&format!(
            "[auth.people]\nkind = \"basic\"\nfile = {file:?}\nrealm = \"the \\\"inside\\\"\"\n\
             identity_header = \"x-user\""
        ))
        .and("[[routes]]\nname = \"open\"\nupstream = \"up\"")
        .and("[log]\naccess = \"stdout\"")
        .start();
    for (who, password) in [("ann", "secret"), ("ben", "password")] {
        let both = format!("{who}:{password}");
        let plant = ["-H", "X-User: root", "-H", "X_USER: root", "-H", "x_user: root"];
        let answer = curl(&locum, "/in/", &[&["-u", &*both], &plant[..]].concat());
        assert_eq!(seen(&answer, "x-user"), [who], "{answer:?}");
        // By another route the name is the proxy's as well.
        assert_eq!(seen(&curl(&locum, "/", &plant), "x-user"), [""; 0]);
    }
    let told = curl(&locum, "/in/", &["-D", "-"]);
    assert_eq!(told.0, 401);
    let challenge = r#"WWW-Authenticate: Basic realm="the \"inside\"", charset="UTF-8""#;
    assert!(told.1.contains(challenge), "{}", told.1);
    let bodies = ["ann:guess", "ben:guess", "eve:secret", "ben:secret"]
        .map(|both| curl(&locum, "/in/", &["-u", both]));
    assert!(bodies.iter().all(|body| *body == bodies[0] && body.0 == 401), "{bodies:?}");
    locum.counts("locum_auth_refused_total", &[("auth", "people"), ("reason", "password")], 5.0);
    eventually("the access log knows who called", || {
        locum.output().matches("\"identity\":\"ben\"").count() == 1
    });
    assert!(!locum.output().contains("secret") && !locum.log().contains("secret"));
}

#[test]
fn credentials_that_are_there_twice_are_none() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("people.txt");
    fs::write(&file, PEOPLE).unwrap();
    let upstream = Upstream::start(script::echoes());
    let locum = Config::to(&upstream)
        .route("auth = [\"people\"]")
        .and(&format!("[auth.people]\nkind = \"basic\"\nfile = {file:?}"))
        .start();
    let twice = ["-H", "Authorization: Basic YW5uOnNlY3JldA=="];
    assert_eq!(curl(&locum, "/", &twice).0, 200);
    assert_eq!(curl(&locum, "/", &[twice, twice].concat()).0, 401);
}

#[test]
fn a_trailer_does_not_say_who_calls_either() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("people.txt");
    fs::write(&file, PEOPLE).unwrap();
    let upstream = Upstream::start(script::echoes());
    let locum = Config::to(&upstream)
        .route("auth = [\"people\"]")
        .and(&format!(
            "[auth.people]\nkind = \"basic\"\nfile = {file:?}\nidentity_header = \"x-user\""
        ))
        .start();
    let mut client = locum.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: a.test\r\nAuthorization: Basic YW5uOnNlY3JldA==\r\n\
         Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-User: root\r\nx-sum: 7\r\n\r\n",
    );
    let answer = client.response("POST").unwrap();
    assert_eq!(answer.json()["trailers"], serde_json::json!([["x-sum", "7"]]));
    assert_eq!(seen(&(answer.status, answer.text()), "x-user"), ["ann"]);
}
