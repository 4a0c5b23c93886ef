//! Upstreams that misbehave in one named way each, and what the client is told.

use std::time::Duration;

use locum_testkit::clock::now;
use locum_testkit::{BlackHole, Broken, Client, Load, Upstream, eventually, refused, script};

use crate::setup::Config;

#[test]
fn a_refused_connection_is_told_at_once() {
    let locum = Config::to_addresses([refused()]).start();
    let begin = now();
    let answer = locum.get("/");
    assert!([502, 503].contains(&answer.status), "{}", answer.status);
    assert!(begin.elapsed() < SOON);
}

#[test]
fn a_black_hole_ends_at_the_connect_timeout() {
    let hole = BlackHole::open();
    let locum = Config::to_addresses([hole.address()])
        .upstream("pool = { connect_timeout = \"200ms\" }")
        .start();
    let begin = now();
    assert_eq!(locum.get("/").status, 504);
    assert!(begin.elapsed() >= Duration::from_millis(190), "{:?}", begin.elapsed());
    assert!(begin.elapsed() < SOON);
}

#[test]
fn an_upstream_that_hangs_ends_at_the_attempt_timeout() {
    let upstream = Upstream::start(script::hangs());
    let locum = Config::to(&upstream).policy("attempt_timeout = \"200ms\"").start();
    let begin = now();
    assert_eq!(locum.get("/").status, 504);
    assert!(begin.elapsed() >= Duration::from_millis(190), "{:?}", begin.elapsed());
    assert!(begin.elapsed() < SOON);
    eventually("the attempt given up is cancelled upstream", || upstream.open() == 0);
}

#[test]
fn a_reset_is_a_502_and_a_post_is_delivered_once() {
    let upstream = Upstream::start(script::resets());
    let locum = Config::to(&upstream).policy("retry = { attempts = 3, base = \"1ms\" }").start();
    let mut client = locum.client();
    assert_eq!(client.post("/once", b"hello").unwrap().status, 502);
    assert_eq!(upstream.deliveries(), 1);
    assert_eq!(client.get("/again").unwrap().status, 502, "the client's connection lives on");
    assert_eq!(upstream.deliveries(), 1 + 3, "a GET may be tried as often as the policy says");
}

#[test]
fn a_cut_body_is_never_shown_as_complete() {
    let chunked = Upstream::start(script::cuts_a_chunked_body());
    let short = Upstream::start(script::lies_about_length(10, 5));
    for upstream in [&chunked, &short] {
        let locum = Config::to(upstream).start();
        for _ in 0..20 {
            let answer = locum.client().get("/");
            assert!(matches!(answer, Err(Broken::Cut(_))), "{answer:?}");
        }
    }
}

#[test]
fn more_bytes_than_the_length_says_go_nowhere() {
    let upstream = Upstream::start(script::lies_about_length(2, 10));
    let locum = Config::to(&upstream).start();
    let mut client = locum.client();
    for _ in 0..20 {
        assert_eq!(client.get("/").unwrap().text(), "xx");
    }
    assert_eq!(upstream.accepted(), 20, "a connection with bytes left over is not used again");
}

#[test]
fn an_answer_nobody_asked_for_reaches_nobody() {
    let upstream = Upstream::start(script::sends_an_unsolicited_answer());
    let locum = Config::to(&upstream).start();
    let mut client = locum.client();
    for _ in 0..20 {
        assert_eq!(client.get("/").unwrap().text(), "ok");
    }
    assert_eq!(upstream.accepted(), 20);
}

#[test]
fn a_trickle_outlives_the_idle_timeout_and_silence_does_not() {
    let pause = Duration::from_millis(50);
    let trickling = Upstream::start(script::trickles(30, pause));
    let locum = Config::to(&trickling).upstream(IDLE).start();
    assert_eq!(locum.get("/").body.len(), 30, "1.5 s in all, but never long without a byte");

    let silent = Upstream::start(|peer| {
        if peer.request().is_some() {
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345");
            peer.wait_for_close();
        }
    });
    let locum = Config::to(&silent).upstream(IDLE).start();
    let answer = locum.client().get("/");
    assert!(matches!(answer, Err(Broken::Cut(_))), "{answer:?}");
    eventually("the silent upstream is left", || silent.open() == 0);
}

#[test]
fn garbage_is_a_502() {
    for garbage in ["\x01\x02\x03\x04\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 20\r\n\r\n"] {
        let upstream = Upstream::start(script::sends_raw(garbage));
        let locum = Config::to(&upstream).start();
        assert_eq!(locum.get("/").status, 502, "{garbage:?}");
    }
}

#[test]
fn gets_never_fail_when_the_upstream_closes_after_each_answer() {
    let upstream = Upstream::start(script::closes_after_each_answer());
    let locum = Config::to(&upstream).start();
    let report = Load::get(locum.address("web"), "/").clients(2).requests(400).run();
    assert_eq!((report.ok(), report.failed()), (400, 0), "{report:?}");
}

#[test]
fn gets_never_fail_when_a_kept_connection_dies_as_they_arrive() {
    let upstream = Upstream::start(script::closes_an_idle_connection_as_the_next_request_arrives());
    let locum = Config::to(&upstream).start();
    let report = Load::get(locum.address("web"), "/").clients(1).requests(1000).run();
    assert_eq!((report.ok(), report.failed()), (1000, 0), "{report:?}");
    assert!(upstream.deliveries() > 1000, "kept connections were met by a close");
}

#[test]
fn a_post_that_met_a_dying_connection_is_delivered_once() {
    let upstream = Upstream::start(script::closes_an_idle_connection_as_the_next_request_arrives());
    let locum = Config::to(&upstream).policy("retry = { attempts = 3, base = \"1ms\" }").start();
    let mut client = locum.client();
    let mut refused = 0;
    for n in 0..100 {
        let target = format!("/{n}");
        let answer = client.post(&target, b"hello").unwrap();
        refused += usize::from(answer.status == 502);
        assert!([200, 502].contains(&answer.status), "{}", answer.status);
        let delivered = upstream.received().iter().filter(|r| r.request.target == target).count();
        assert_eq!(delivered, 1, "{target} answered {}", answer.status);
    }
    assert!(refused > 0, "kept connections were met by a close");
}

#[test]
fn gets_never_fail_when_one_of_two_upstreams_dies() {
    let survivor = Upstream::start(script::answers("ok"));
    let victim = Upstream::start(script::answers("ok"));
    let locum = Config::to_addresses([survivor.address(), victim.address()])
        .policy("retry = { attempts = 3, base = \"1ms\", budget = { ratio = 1.0 } }")
        .start();
    let load = Load::get(locum.address("web"), "/");
    let (report, ()) = load.during(|| {
        eventually("both carry load", || survivor.deliveries() > 50 && victim.deliveries() > 50);
        drop(victim);
        let before = survivor.deliveries();
        eventually("the survivor carries on", || survivor.deliveries() > before + 500);
    });
    assert_eq!(report.failed(), 0, "{report:?}");
}

#[test]
fn a_client_that_goes_away_takes_its_attempt_with_it() {
    let upstream = Upstream::start(script::hangs());
    let locum = Config::to(&upstream).start();
    let mut client = locum.client();
    client.send("GET /long HTTP/1.1\r\nHost: a.test\r\n\r\n");
    eventually("the request arrives", || upstream.deliveries() == 1);
    drop(client);
    eventually("the upstream connection is closed", || upstream.open() == 0);
}

#[test]
fn an_answer_before_the_body_reaches_a_client_that_still_sends() {
    let upstream = Upstream::start(script::answers_before_the_body("413 Content Too Large"));
    let locum = Config::to(&upstream).start();
    let mut client = Client::connect(locum.address("web"));
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000000\r\n\r\nonly this");
    let answer = client.response("POST").unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (413, "early"));
}

#[test]
fn early_hints_are_passed_on() {
    let upstream = Upstream::start(script::hints_early());
    let locum = Config::to(&upstream).start();
    let answer = locum.get("/");
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    assert_eq!(answer.interim.len(), 2);
    assert_eq!(answer.interim[0].1.get("link"), Some("</style.css>; rel=preload"));
}

/// A ceiling for what should take next to no time, on a machine that does other things too.
const SOON: Duration = Duration::from_secs(5);
const IDLE: &str = "pool = { read_idle = \"500ms\" }";
