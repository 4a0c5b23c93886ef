//! Clients that are slow, many or greedy, and machines that run out of something.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use locum_testkit::clock::now;
use locum_testkit::{Broken, Response, Upstream, eventually, script};

use crate::setup::{Config, locum};

#[test]
fn a_slow_head_ends_at_the_header_timeout() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream).listener("limits = { header_timeout = \"300ms\" }").start();
    for part in ["G", "GET / HTTP/1.1\r\nHost: a.test\r\nX-Slow: "] {
        let mut client = locum.client();
        client.send(part);
        assert_timed_out(client.response("GET"));
    }
    assert_eq!(upstream.received().len(), 0);
    eventually("it is counted", || {
        locum.metric("locum_refused_total", &[("reason", "timeout")]) >= 2.0
    });
}

#[test]
fn a_slow_body_ends_at_the_idle_timeout_and_is_never_completed() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream).listener("limits = { body_idle = \"300ms\" }").start();
    let mut client = locum.client();
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\n12345");
    assert_timed_out(client.response("POST"));
    upstream.settle();
    assert_eq!(upstream.deliveries(), 0);
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream).listener("limits = { idle = \"300ms\" }").start();
    let mut client = locum.client();
    assert_eq!(client.get("/").unwrap().text(), "ok");
    assert!(client.is_closed());
}

#[test]
fn who_has_asked_for_the_last_time_takes_no_place_any_more() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream)
        .and("[runtime]\nworkers = 1")
        .listener("limits = { connections = 1 }")
        .start();
    let last = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
    // Each reads to the end and does not close.
    let mut stay = Vec::new();
    for _ in 0..3 {
        let mut client = locum.client();
        client.send(last);
        assert_eq!(client.response("GET").unwrap().text(), "ok");
        assert!(client.is_closed());
        stay.push(client);
    }
    // Who goes on all the same loses nothing of the answer to what it was allowed to ask.
    let mut client = locum.client();
    client.send(format!("{last}{}", last.repeat(1000)));
    assert_eq!(client.response("GET").unwrap().text(), "ok");
}

#[test]
fn a_reader_that_stops_stops_the_upstream() {
    let sent = Arc::new(AtomicUsize::new(0));
    let upstream = Upstream::start({
        let sent = sent.clone();
        move |peer| {
            if peer.request().is_some() {
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
                while peer.try_send(&[b'x'; 64 * 1024]).is_ok() {
                    sent.fetch_add(64 * 1024, Ordering::Relaxed);
                }
            }
        }
    });
    let locum = Config::to(&upstream).start();
    let before = locum.resident();
    let mut client = locum.client();
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    client.reader().response_head("GET").unwrap();
    let (mut last, mut looks) = (0, 0);
    eventually("the flood stands still", || {
        let seen = sent.load(Ordering::Relaxed);
        looks = if seen == last { looks + 1 } else { 0 };
        last = seen;
        looks > 100
    });
    let grown = locum.resident().saturating_sub(before);
    assert!(grown < 8 << 20, "{} KiB more for one slow reader", grown >> 10);
    // What stands in the sockets of the kernel counts here, on both sides of the program.
    assert!(last < 64 << 20, "{} MiB taken from the upstream", last >> 20);
}

#[test]
fn a_flood_of_headers_is_a_431() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream).start();
    let many: String = (0..101).map(|n| format!("X-{n}: 1\r\n")).collect();
    let big = format!("X-Big: {}\r\n", "x".repeat(40 * 1024));
    for headers in [many, big] {
        let mut client = locum.client();
        client.send(format!("GET / HTTP/1.1\r\nHost: a.test\r\n{headers}\r\n"));
        assert_eq!(client.response("GET").unwrap().status, 431);
    }
    assert_eq!(upstream.received().len(), 0);
    locum.counts("locum_refused_total", &[("reason", "too_large")], 2.0);
}

#[test]
fn the_limits_of_the_head_are_the_listeners() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum =
        Config::to(&upstream).listener("limits = { headers = 5, header_bytes = \"1KiB\" }").start();
    let send = |headers: String| {
        let mut client = locum.client();
        client.send(format!("GET / HTTP/1.1\r\nHost: a.test\r\n{headers}\r\n"));
        client.response("GET").unwrap().status
    };
    assert_eq!(send((0..4).map(|n| format!("X-{n}: 1\r\n")).collect()), 200);
    assert_eq!(send((0..5).map(|n| format!("X-{n}: 1\r\n")).collect()), 431);
    assert_eq!(send(format!("X: {}\r\n", "x".repeat(900))), 200);
    assert_eq!(send(format!("X: {}\r\n", "x".repeat(1100))), 431);
}

#[test]
fn a_body_above_the_listeners_limit_is_a_413() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream).listener("limits = { body_bytes = \"1KiB\" }").start();
    let mut client = locum.client();
    assert_eq!(client.post("/", &[b'x'; 1024]).unwrap().status, 200);
    assert_eq!(client.post("/", &[b'x'; 1025]).unwrap().status, 413);
    assert_eq!(upstream.deliveries(), 1);
}

#[test]
fn connections_above_the_limit_wait_or_are_refused_and_the_admin_api_is_exempt() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream).listener("limits = { connections = 4 }").start();
    let mut clients: Vec<_> = (0..4).map(|_| locum.client()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").unwrap().status, 200);
    }
    let mut one_too_many = locum.client();
    one_too_many.patience(Duration::from_millis(500));
    match one_too_many.get("/") {
        Ok(answer) => assert_eq!(answer.status, 503),
        Err(Broken::Closed | Broken::Silent) => {}
        Err(broken) => panic!("{broken}"),
    }
    assert_eq!(locum.admin("/healthz").status, 200);
    assert!(locum.metric("locum_refused_total", &[("reason", "connections")]) >= 1.0);
    drop((clients, one_too_many));
    eventually("a new client is served once others have gone", || {
        locum.client().get("/").is_ok_and(|answer| answer.status == 200)
    });
}

#[test]
fn a_connection_ends_after_its_share_of_requests() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream).listener("limits = { requests_per_connection = 3 }").start();
    let mut client = locum.client();
    assert!(!client.get("/").unwrap().closes());
    assert!(!client.get("/").unwrap().closes());
    assert!(client.get("/").unwrap().closes());
    assert!(client.is_closed());
}

#[test]
fn out_of_descriptors_it_neither_spins_nor_dies_and_recovers() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = locum().config(Config::to(&upstream).to_string()).descriptors(64).start();
    // The kernel takes them all; the program cannot.
    let clients: Vec<_> = (0..120).map(|_| locum.client()).collect();
    let spent = locum.processor_time();
    let watched = now();
    // The window of a measurement, not a wait for a state.
    while watched.elapsed() < Duration::from_secs(1) {
        std::thread::park_timeout(Duration::from_secs(1));
    }
    let spent = locum.processor_time() - spent;
    let share = spent.as_secs_f64() / watched.elapsed().as_secs_f64();
    assert!(share <= 0.2, "{:.0} % of a core while out of descriptors", share * 100.0);
    drop(clients);
    let begin = now();
    eventually("a new client is served", || {
        locum.client().get("/").is_ok_and(|answer| answer.status == 200)
    });
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[test]
fn a_full_disk_costs_log_lines_and_no_call() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream).and("[log]\naccess = \"/dev/full\"").start();
    let mut client = locum.client();
    for _ in 0..500 {
        assert_eq!(client.get("/").unwrap().status, 200);
    }
}

#[test]
fn the_access_log_has_one_json_line_a_call() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream).and("[log]\naccess = \"stdout\"").start();
    for _ in 0..3 {
        assert_eq!(locum.get("/seen?a=b").status, 200);
    }
    eventually("three lines are written", || locum.output().lines().count() == 3);
    for line in locum.output().lines() {
        let call: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(call["route"], "all", "{line}");
        assert_eq!(call["upstream"], "up", "{line}");
    }
}

#[test]
fn the_access_log_is_written_as_it_is_told() {
    let upstream = Upstream::start(script::answers("ok"));
    let logged = |format: &str| {
        let log = format!("[log]\naccess = \"stdout\"\naccess_format = {format:?}");
        let locum = Config::to(&upstream).and(&log).start();
        let mut client = locum.client();
        client.send(
            "GET /x?token=tiger HTTP/1.1\r\nHost: a.test\r\nUser-Agent: a \"b\"\r\n\
             Referer: http://b.test/y?token=tiger\r\n\r\n",
        );
        assert_eq!(client.response("GET").unwrap().status, 200);
        eventually("the line is written", || locum.output().ends_with('\n'));
        locum.output()
    };
    let line = logged("combined");
    let (head, tail) = line.split_once(" [").unwrap();
    let (time, tail) = tail.split_once("] ").unwrap();
    assert_eq!((head, time.len()), ("127.0.0.1 - -", "06/Nov/1994:08:49:37 +0000".len()), "{line}");
    let rest = tail.strip_prefix("\"GET /x HTTP/1.1\" 200 ").unwrap_or_else(|| panic!("{line}"));
    let (bytes, rest) = rest.split_once(' ').unwrap();
    assert!(bytes.parse::<u64>().is_ok_and(|bytes| bytes > 2), "{line}");
    assert_eq!(rest, "\"http://b.test/y\" \"a \\x22b\\x22\"\n");

    let template = "{route} {endpoint} {outcome} {user_agent}";
    assert_eq!(logged(template), format!("all {} success a\\x20\\x22b\\x22\n", upstream.address()));
}

#[test]
fn ten_thousand_idle_and_two_thousand_slow_connections_cost_little() {
    const IDLE: usize = 10_000;
    const SLOW: usize = 2_000;
    let descriptors = descriptor_limit();
    if descriptors < (IDLE + SLOW + 500) as u64 {
        // Straight to standard error, past the capture of the test's output.
        let _ = writeln!(
            io::stderr(),
            "SKIPPED ten_thousand_idle…: {descriptors} file descriptors, needs {}",
            IDLE + SLOW + 500
        );
        return;
    }
    let _alone = MANY.lock();
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream)
        .listener("limits = { connections = 15000, header_timeout = \"120s\", idle = \"120s\" }")
        .start();
    assert_eq!(locum.get("/").status, 200);
    let before = locum.resident();
    let idle: Vec<_> = (0..IDLE)
        .map(|_| {
            let mut client = locum.client();
            assert_eq!(client.get("/").unwrap().status, 200);
            client
        })
        .collect();
    let each = || locum.resident().saturating_sub(before) / IDLE as u64;
    eventually("those that are silent cost little", || each() <= 512);
    let (with_idle, each) = (locum.resident(), each());
    let slow: Vec<_> = (0..SLOW)
        .map(|_| {
            let mut client = locum.client();
            client.send("GET / HTTP/1.1\r\nHost: a.test\r\nX-Slow: ");
            client
        })
        .collect();
    eventually("all are taken in", || {
        locum.metric("locum_connections", &[("listener", "web")]) >= (IDLE + SLOW) as f64
    });
    assert_eq!(locum.get("/").status, 200, "a new client is served");
    let all = locum.resident();
    let _ = writeln!(
        io::stderr(),
        "memory: {} KiB at rest, {} KiB with {IDLE} idle ({each} B each), {} KiB with {SLOW} slow",
        before >> 10,
        with_idle >> 10,
        all >> 10
    );
    assert!(all <= 64 << 20, "{} KiB in all", all >> 10);
    drop((idle, slow));
}

/// Whoever makes thousands of connections is alone with that: descriptors are the process's.
pub(crate) static MANY: Mutex<()> = Mutex::new(());

fn descriptor_limit() -> u64 {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    line.split_whitespace().nth(3).unwrap().parse().unwrap_or(u64::MAX)
}

/// 408 or a close: the peer of a slow client need not explain itself.
fn assert_timed_out(answer: Result<Response, Broken>) {
    match answer {
        Ok(answer) => assert_eq!(answer.status, 408),
        Err(Broken::Closed) => {}
        Err(broken) => panic!("{broken}"),
    }
}
