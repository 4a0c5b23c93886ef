//! Endpoints that are found: by name servers that change their minds, fail and lie, and in files.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener};

use locum_testkit::{Client, Dns, Load, Locum, Mood, Upstream, eventually, script};
use serde_json::Value;

use crate::setup::{Config, demo, locum};

/// Upstreams that answer with the last number of their addresses, all at one port.
fn on_one_port(numbers: &[u8]) -> (u16, Vec<Upstream>) {
    for _ in 0..100 {
        let first = TcpListener::bind((ip(numbers[0]), 0)).unwrap();
        let port = first.local_addr().unwrap().port();
        let rest = numbers[1..].iter().map(|number| TcpListener::bind((ip(*number), port)));
        let Ok(rest) = rest.collect::<Result<Vec<_>, _>>() else { continue };
        let all = [first].into_iter().chain(rest).zip(numbers);
        let upstreams = all
            .map(|(listener, number)| Upstream::on(listener, script::answers(number.to_string())));
        return (port, upstreams.collect());
    }
    panic!("no port is free on all of them");
}

/// All of 127/8 is this machine.
fn ip(number: u8) -> IpAddr {
    IpAddr::from([127, 0, 0, number])
}

fn dns(server: &Dns, port: u16) -> String {
    format!("dns = \"users.test:{port}\", every = \"50ms\", resolver = \"{}\"", server.address())
}

/// Who answers, of so many calls.
fn answering(locum: &Locum, calls: usize) -> Vec<String> {
    let mut answers: Vec<_> = (0..calls).map(|_| locum.get("/").text()).collect();
    answers.sort_unstable();
    answers.dedup();
    answers
}

fn shown(locum: &Locum) -> Value {
    locum.admin("/api/v1/upstreams/up").json()
}

fn endpoints(locum: &Locum) -> f64 {
    locum.metric("locum_upstream_endpoints", &[("upstream", "up")])
}

fn lookups(locum: &Locum, result: &str) -> f64 {
    locum.metric("locum_discovery_lookups_total", &[("result", result)])
}

#[test]
fn endpoints_follow_what_the_name_server_says() {
    let (port, _upstreams) = on_one_port(&[2, 3, 4]);
    let server = Dns::start();
    server.hosts("users.test", 0, &[ip(2), ip(3)]);
    let locum = Config::to_found(&dns(&server, port)).start();
    assert_eq!(answering(&locum, 6), ["2", "3"], "they are known from the first call on");
    server.hosts("users.test", 0, &[ip(4), ip(3)]);
    eventually("one has come and one has gone", || {
        let names = shown(&locum)["endpoints"].clone();
        names[0]["name"] == format!("127.0.0.3:{port}")
            && names[1]["name"] == format!("127.0.0.4:{port}")
    });
    assert_eq!(answering(&locum, 6), ["3", "4"]);
    assert_eq!(endpoints(&locum), 2.0);
}

#[test]
fn what_was_found_stays_while_the_name_server_fails() {
    let (port, _upstreams) = on_one_port(&[2, 3]);
    let server = Dns::start();
    server.hosts("users.test", 0, &[ip(2)]);
    let locum = Config::to_found(&dns(&server, port)).start();
    assert_eq!(locum.get("/").text(), "2");
    for (mood, said) in [(Mood::Failing, "ServerFailure"), (Mood::Good, "has no A record")] {
        server.be(mood);
        server.hosts("users.test", 0, &[]);
        eventually("look-ups fail", || {
            let error = shown(&locum)["discovery"]["error"].clone();
            error.as_str().is_some_and(|error| error.contains(said))
        });
        assert!(shown(&locum)["discovery"]["failing_for"].is_number());
        assert!(locum.metric("locum_discovery_failing_seconds", &[]) > 0.0);
        assert_eq!(locum.get("/").text(), "2");
    }
    server.hosts("users.test", 0, &[ip(3)]);
    eventually("they are found again", || locum.get("/").text() == "3");
    assert!(shown(&locum)["discovery"]["failing_for"].is_null());
    assert_eq!(locum.metric("locum_discovery_failing_seconds", &[]), 0.0);
}

#[test]
fn a_start_without_a_name_server_serves_once_it_is_there() {
    let (port, _upstreams) = on_one_port(&[2]);
    let server = Dns::start();
    server.be(Mood::Failing);
    server.hosts("users.test", 0, &[ip(2)]);
    let locum = Config::to_found(&dns(&server, port)).start();
    let refused = locum.get("/");
    assert_eq!((refused.status, &refused.json()["reason"]), (503, &"unavailable".into()));
    server.be(Mood::Good);
    eventually("they are found", || locum.get("/").status == 200);
}

#[test]
fn a_name_is_asked_for_again_when_its_time_is_over_and_not_before() {
    let (port, _upstreams) = on_one_port(&[2]);
    let server = Dns::start();
    server.hosts("users.test", 3600, &[ip(2)]);
    let rarely = dns(&server, port).replace("50ms", "1h");
    let locum = Config::to_found(&rarely).start();
    eventually("the keeper has looked", || lookups(&locum, "found") == 1.0);
    let asked = server.asked();
    assert_eq!(asked, 2, "once before the start, once to begin with");
    // A reload that leaves it alone asks nobody.
    locum.reload(&Config::to_found(&rarely).policy("timeout = \"5s\"").to_string());
    assert_eq!((locum.get("/").text(), server.asked()), ("2".to_owned(), asked));
}

#[test]
fn answers_that_are_cut_off_forged_or_aliases_are_understood() {
    let (port, _upstreams) = on_one_port(&[2]);
    for mood in [Mood::Brief, Mood::Spoofed] {
        let server = Dns::start();
        server.be(mood);
        server.hosts("real.test", 60, &[ip(2)]);
        server.alias("users.test", "real.test");
        let locum = Config::to_found(&dns(&server, port)).start();
        assert_eq!(locum.get("/").text(), "2", "{mood:?}");
    }
}

#[test]
fn hosts_without_ipv4_are_found_by_ipv6() {
    let Ok(listener) = TcpListener::bind("[::1]:0") else {
        eprintln!("skipped: this machine has no IPv6");
        return;
    };
    let port = listener.local_addr().unwrap().port();
    let _upstream = Upstream::on(listener, script::answers("six"));
    let server = Dns::start();
    server.hosts("users.test", 60, &["::1".parse().unwrap()]);
    assert_eq!(Config::to_found(&dns(&server, port)).start().get("/").text(), "six");
}

#[test]
fn srv_records_say_ports_and_weights_and_the_lowest_priority_counts() {
    let [a, b, c]: [Upstream; 3] =
        std::array::from_fn(|number| Upstream::start(script::answers(number.to_string())));
    let server = Dns::start();
    server.hosts("host.test", 60, &[ip(1)]);
    let record = |priority, weight, upstream: &Upstream| {
        (priority, weight, upstream.address().port(), "host.test")
    };
    let records = [record(1, 30, &a), record(1, 10, &b), record(2, 99, &c)];
    server.services("_http._tcp.users.test", 0, &records);
    let discover = format!(
        "srv = \"_http._tcp.users.test\", every = \"50ms\", resolver = \"{}\"",
        server.address()
    );
    let locum = Config::to_found(&discover)
        .upstream("balance = \"weighted\"")
        .and("[runtime]\nworkers = 1")
        .start();
    let answers: Vec<_> = (0..40).map(|_| locum.get("/").text()).collect();
    let of = |name: &str| answers.iter().filter(|answer| *answer == name).count();
    assert_eq!([of("0"), of("1"), of("2")], [30, 10, 0]);
    server.services("_http._tcp.users.test", 0, &records[2..]);
    eventually("the other counts", || locum.get("/").text() == "2");
}

#[test]
fn what_stays_keeps_its_connections_and_what_goes_loses_none_of_its_calls() {
    let (port, upstreams) = on_one_port(&[2, 3, 4]);
    let server = Dns::start();
    server.hosts("users.test", 0, &[ip(2), ip(3)]);
    let locum = Config::to_found(&dns(&server, port)).and("[runtime]\nworkers = 1").start();
    answering(&locum, 4);
    let kept = upstreams[1].accepted();
    let load = Load::get(locum.address("web"), "/").clients(1);
    let (report, ()) = load.during(|| {
        for round in 0..10 {
            let changing = if round % 2 == 0 { 4 } else { 2 };
            server.hosts("users.test", 0, &[ip(3), ip(changing)]);
            let name = format!("127.0.0.{changing}:{port}");
            eventually("it has come", || {
                shown(&locum)["endpoints"].as_array().unwrap().iter().any(|it| it["name"] == *name)
            });
            let sent = load.sent();
            eventually("it carries load", || load.sent() > sent + 10);
        }
    });
    assert_eq!((report.failed(), report.closed_idle), (0, 0), "{report:?}");
    assert_eq!(report.ok(), report.statuses.values().sum::<u64>(), "{report:?}");
    assert!(upstreams[1].accepted() <= kept + 1, "one for the load, beside what was kept");
    eventually("connections to where nothing goes are closed", || {
        upstreams[0].open() == 0 || upstreams[2].open() == 0
    });
}

#[test]
fn a_file_is_read_again_when_it_changes_and_a_broken_one_changes_nothing() {
    let upstreams: [Upstream; 2] =
        std::array::from_fn(|number| Upstream::start(script::answers(number.to_string())));
    let [a, b] = upstreams.each_ref().map(|upstream| upstream.address().to_string());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("users.json");
    let write = |text: &str| {
        let new = directory.path().join("new");
        fs::write(&new, text).unwrap();
        fs::rename(&new, &file).unwrap();
    };
    write(&format!("[{a:?}]"));
    let locum = Config::to_found(&format!("file = {:?}", file.to_str().unwrap())).start();
    assert_eq!(answering(&locum, 4), ["0"]);
    write(&format!("[{a:?}, {{ \"address\": {b:?}, \"weight\": 3, \"zone\": \"z\" }}]"));
    eventually("the other is there", || endpoints(&locum) == 2.0);
    assert_eq!(answering(&locum, 8), ["0", "1"]);
    assert_eq!(shown(&locum)["endpoints"][1]["weight"], 3);
    let refused = || locum.metric("locum_config_reloads_total", &[("result", "error")]);
    for (number, broken) in (1..).zip(["[", "[]", "[\"http://a.test\"]", "{\"a\": 1}"]) {
        write(broken);
        eventually("it was looked at", || refused() == f64::from(number));
    }
    assert_eq!(answering(&locum, 8), ["0", "1"]);
    let error = locum.admin("/api/v1/status").json()["last_reload_error"].clone();
    assert!(error.as_str().unwrap().contains("upstreams.up.discover.file: "), "{error}");
    write(&format!("[{b:?}]"));
    eventually("only the other is there", || endpoints(&locum) == 1.0);
    assert_eq!(answering(&locum, 4), ["1"]);
}

#[test]
fn endpoints_that_are_found_are_checked_taken_out_and_believed_by_their_host() {
    let (port, upstreams) = on_one_port(&[2, 3]);
    let server = Dns::start();
    server.hosts("users.test", 0, &[ip(2), ip(3)]);
    let locum = Config::to_found(&dns(&server, port))
        .upstream("health = { path = \"/\", every = \"50ms\", timeout = \"10s\" }")
        .start();
    eventually("they are checked", || {
        locum.metric("locum_health_checks_total", &[("result", "pass")]) > 1.0
    });
    let drain = format!("/api/v1/upstreams/up/endpoints/127.0.0.2:{port}/drain");
    let mut admin = Client::connect(locum.address("admin"));
    admin.send(format!("POST {drain} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"));
    assert_eq!(admin.response("POST").unwrap().status, 200);
    let found = lookups(&locum, "found");
    eventually("they are found again", || lookups(&locum, "found") > found + 1.0);
    assert_eq!(answering(&locum, 6), ["3"]);
    drop(upstreams);
}

#[test]
fn upstreams_of_remote_calls_find_their_endpoints_too() {
    let backend = demo();
    let rpc: SocketAddr = backend.address("rpc");
    let server = Dns::start();
    server.hosts("users.test", 0, &[rpc.ip()]);
    let locum = Config::calls_to("gob", [])
        .upstream(&format!("discover = {{ {} }}", dns(&server, rpc.port())))
        .start();
    let asked = ["call", &locum.address("rpc").to_string(), "Arith.Multiply", "{\"A\":7,\"B\":8}"];
    let called = locum_testkit::run_to_end(crate::setup::binary(), &asked);
    assert_eq!(called.output.trim(), "56", "{}", called.errors);
}

#[test]
fn a_reload_finds_first_what_it_brings() {
    let (port, _upstreams) = on_one_port(&[2]);
    let server = Dns::start();
    server.hosts("users.test", 0, &[ip(2)]);
    let listed = Upstream::start(script::answers("listed"));
    let locum = locum().config(Config::to(&listed).to_string()).start();
    let load = Load::get(locum.address("web"), "/");
    let (report, ()) = load.during(|| {
        for _ in 0..5 {
            locum.reload(&Config::to_found(&dns(&server, port)).to_string());
            locum.reload(&Config::to(&listed).to_string());
        }
    });
    assert_eq!((report.failed(), report.closed_idle), (0, 0), "{report:?}");
    assert_eq!(report.ok(), report.statuses.values().sum::<u64>(), "{report:?}");
}
