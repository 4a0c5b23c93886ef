//! The files of the guide for those who come from other proxies, each run and asked.

use locum_testkit::{Client, Locum, Response, Upstream, script};

use crate::pages::{files, page};
use crate::setup::locum;
use crate::unix_sockets::{behind, curl};

/// Where the guide's endpoints are, and what stands in for each of them.
struct Guide {
    endpoints: Vec<(&'static str, Upstream)>,
}

impl Guide {
    /// Every endpoint answers with its address.
    fn new() -> Self {
        let addresses =
            ["10.0.0.1:7001", "10.0.0.2:7001", "10.0.0.3:7001", "10.0.0.1:5432", "10.0.0.2:5432"];
        let stands_in = |address: &'static str| {
            let upstream = Upstream::start(move |connection| {
                while let Some(request) = connection.request() {
                    let fields = [("Server", "the service's own")];
                    connection.answer_with(&request, "200 OK", &fields, address.as_bytes());
                }
            });
            (address, upstream)
        };
        Self { endpoints: addresses.map(stands_in).into() }
    }

    /// Runs the file of the section that has this title.
    fn run(&self, title: &str) -> Locum {
        let page = page("docs/gateway.md");
        let (_, section) =
            page.split_once(&format!("## {title}\n")).expect("there is such a section");
        let mut text = files(section)[0].replace("0.0.0.0:8080", "127.0.0.1:0");
        text = text.replace("0.0.0.0:5432", "127.0.0.1:0");
        for (address, upstream) in &self.endpoints {
            text = text.replace(address, &upstream.address().to_string());
        }
        locum().config(format!("[admin]\nlisten = \"127.0.0.1:0\"\n{text}")).start()
    }

    /// What the endpoint was asked for last.
    fn asked(&self, address: &str) -> locum_testkit::Request {
        let (_, upstream) = self.endpoints.iter().find(|(name, _)| *name == address).unwrap();
        upstream.received().pop().expect("it was asked").request
    }
}

/// Asks the server of that name.
fn ask(locum: &Locum, request: &str) -> Response {
    let mut client = locum.client();
    client.send(format!("{request} HTTP/1.1\r\nHost: www.example.com\r\n\r\n"));
    client.response("GET").unwrap()
}

#[test]
fn a_reverse_proxy() {
    let guide = Guide::new();
    let locum = guide.run("A reverse proxy");
    let both: Vec<_> = (0..2).map(|_| ask(&locum, "GET /users/7").text()).collect();
    assert!(both.contains(&"10.0.0.1:7001".to_owned()), "{both:?}");
    assert!(both.contains(&"10.0.0.2:7001".to_owned()), "{both:?}");
    let asked = guide.asked("10.0.0.1:7001");
    assert_eq!(asked.target, "/users/7");
    assert_eq!(asked.headers.get("host"), Some("www.example.com"));
    assert_eq!(asked.headers.get("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(ask(&locum, "GET /other").status, 404);
}

#[test]
fn paths_hosts_redirects_and_headers() {
    let guide = Guide::new();
    let locum = guide.run("Paths, hosts, redirects and headers");
    let moved = ask(&locum, "GET /old");
    assert_eq!(moved.status, 308);
    assert_eq!(moved.headers.get("location"), Some("https://www.example.com/new"));

    let answer = ask(&locum, "GET /api/v1/things?all=1");
    assert_eq!((answer.status, answer.headers.get("server")), (200, None));
    let asked = guide.asked("10.0.0.1:7001");
    assert_eq!((&*asked.target, asked.headers.get("x-tier")), ("/v2/things?all=1", Some("gold")));

    assert_eq!(ask(&locum, "GET /img/7").text(), "10.0.0.2:7001");
    assert_eq!(ask(&locum, "GET /img/seven").text(), "10.0.0.3:7001");
    assert_eq!(ask(&locum, "GET /api%2fv1/things").status, 400);

    let mut client = locum.client();
    client.send("POST / HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: 1048577\r\n\r\n");
    assert_eq!(client.response("POST").unwrap().status, 413);
}

#[test]
fn limits() {
    let guide = Guide::new();
    let locum = guide.run("Limits");
    // The burst is spent before the fortieth, however fast the machine: 20, and 10 in a second.
    let mut client = locum.client();
    let refused = (0..4000).map(|_| client.get("/").unwrap()).find(|answer| answer.status != 200);
    let refused = refused.expect("one is over the limit");
    assert_eq!(refused.status, 429);
    assert!(refused.headers.has("retry-after") && refused.headers.has("ratelimit"));
    assert_eq!(refused.json()["policy"], "careful");
}

#[test]
fn circuit_breakers_outlier_detection_hedging() {
    let guide = Guide::new();
    let locum = guide.run("Circuit breakers, outlier detection, hedging");
    assert_eq!(ask(&locum, "GET /").status, 200);
    assert_eq!(locum.metric("locum_breaker_state", &[("policy", "careful")]), 0.0);
}

#[test]
fn a_canary() {
    let guide = Guide::new();
    let locum = guide.run("A canary");
    let answers: Vec<_> = (0..200).map(|_| ask(&locum, "GET /api/things").text()).collect();
    let canary = answers.iter().filter(|answer| *answer == "10.0.0.3:7001").count();
    // 5 of 100; that none or 60 of 200 come is less likely than 1 in 10,000.
    assert!((1..60).contains(&canary), "{canary} of 200");
    assert_eq!(guide.asked("10.0.0.3:7001").target, "/things");
}

#[test]
fn connections_as_they_are() {
    let guide = Guide::new();
    let locum = guide.run("Connections as they are");
    let mut client = Client::connect(locum.address("db"));
    assert_eq!(client.get("/").unwrap().text(), "10.0.0.1:5432");
}

#[test]
fn files_compression_and_unix_sockets() {
    let folder = tempfile::tempdir().unwrap();
    let (web, app) = (folder.path().join("web.sock"), folder.path().join("app.sock"));
    let upstream = Upstream::start(script::names_the_target());
    behind(&app, &upstream);
    let page = page("docs/gateway.md");
    let (_, section) = page.split_once("## Files, compression and unix sockets\n").unwrap();
    let text = files(section)[0].replace("/run", folder.path().to_str().unwrap());
    let _locum = locum().config(format!("[admin]\nlisten = \"127.0.0.1:0\"\n{text}")).start();
    let ask = |path: &str| curl(&web, &["--path-as-is", "--request-target", path]);
    assert_eq!(ask("/v2/users/7"), "/api/users/7/2");
    assert_eq!(ask("/else"), "/else");
    assert!(ask("/doc/").contains("<title>Index of /doc/</title>"));
}
