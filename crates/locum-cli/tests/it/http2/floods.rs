//! Clients of HTTP/2 that mean harm, beside one that means none.
//!
//! Each attack says how much memory it took at most, and how long the good client had to wait.

use std::io::{self, Write as _};
use std::thread;
use std::time::Duration;

use locum_testkit::http2::{self, Http2};
use locum_testkit::{Locum, Upstream, clock, eventually, script};

use crate::setup::Config;

/// What an attack may take.
const MEMORY: u64 = 16 << 20;
/// Connections that attack at once.
const ATTACKERS: usize = 10;

const SETTINGS_TIMEOUT: u32 = 0x4;
const CALM: u32 = 0xb;

/// Lets many attack at once, each over a connection of its own, while a good client goes on asking. Gives how many of
/// the attackers were sent away with ENHANCE_YOUR_CALM.
fn siege(what: &str, locum: &Locum, attack: fn(&mut Http2)) -> usize {
    let mut good = Http2::connect(locum.address("web"));
    let mut stream = 1;
    let mut ask = || {
        let began = clock::now();
        good.get(stream, "/good");
        assert_eq!(good.body(stream), b"ok", "the good client is answered");
        stream += 2;
        began.elapsed()
    };
    for _ in 0..100 {
        ask();
    }
    let before = locum.resident();
    let (mut most, mut slowest) = (before, Duration::ZERO);
    let address = locum.address("web");
    let calmed = thread::scope(|scope| {
        let attackers: Vec<_> = (0..ATTACKERS)
            .map(|_| {
                scope.spawn(move || {
                    let mut peer = Http2::connect(address);
                    attack(&mut peer);
                    peer.end().is_some_and(|(_, code)| code == CALM)
                })
            })
            .collect();
        while !attackers.iter().all(thread::ScopedJoinHandle::is_finished) {
            slowest = slowest.max(ask());
            most = most.max(locum.resident());
        }
        attackers.into_iter().filter_map(|it| it.join().unwrap().then_some(())).count()
    });
    slowest = slowest.max(ask());
    most = most.max(locum.resident());
    let grown = most - before;
    drop(writeln!(
        io::stderr(),
        "memory: {} KiB more under {what}; the good client waited {} ms at most",
        grown >> 10,
        slowest.as_millis()
    ));
    assert!(grown <= MEMORY, "{what}: {} KiB more", grown >> 10);
    locum.counts("locum_panics_total", &[], 0.0);
    calmed
}

fn good() -> (Upstream, Locum) {
    let upstream = Upstream::start(|peer| {
        while let Some(request) = peer.request() {
            if request.target != "/good" {
                peer.wait_for_close();
                return;
            }
            peer.answer(&request, b"ok");
        }
    });
    let locum = Config::to(&upstream).start();
    (upstream, locum)
}

fn refused(locum: &Locum, reason: &str) -> f64 {
    locum.metric("locum_refused_total", &[("listener", "web"), ("reason", reason)])
}

#[test]
fn rapid_resets_end_the_connection_and_their_calls() {
    let (upstream, locum) = good();
    let calmed = siege("rapid resets", &locum, |peer| {
        for n in 0..2000 {
            peer.get(2 * n + 1, "/bad");
            peer.frame(http2::RST_STREAM, 0, 2 * n + 1, &8_u32.to_be_bytes());
        }
    });
    assert_eq!(calmed, ATTACKERS);
    assert_eq!(refused(&locum, "resets"), ATTACKERS as f64);
    eventually("what was asked for is given up", || upstream.open() <= 2);
}

#[test]
fn streams_that_we_are_made_to_reset_are_counted_as_well() {
    let (_upstream, locum) = good();
    // MadeYouReset: a window that is opened by nothing is an error of the stream.
    let calmed = siege("resets of our own", &locum, |peer| {
        for n in 0..2000 {
            peer.get(2 * n + 1, "/bad");
            peer.frame(http2::WINDOW_UPDATE, 0, 2 * n + 1, &0_u32.to_be_bytes());
        }
    });
    assert_eq!(calmed, ATTACKERS);
    assert_eq!(refused(&locum, "mistake_flood"), ATTACKERS as f64);
}

#[test]
fn a_head_that_never_ends_ends_the_connection() {
    let (_upstream, locum) = good();
    let calmed = siege("heads without an end", &locum, |peer| {
        let piece = http2::block(&[("x-filler", &"x".repeat(8000))]);
        peer.frame(http2::HEADERS, 0, 1, &http2::block(&http2::get("/bad")));
        (0..2000).for_each(|_| peer.frame(http2::CONTINUATION, 0, 1, &piece));
    });
    assert_eq!(calmed, ATTACKERS);
    let calmed = siege("heads of empty frames", &locum, |peer| {
        peer.frame(http2::HEADERS, 0, 1, &http2::block(&http2::get("/bad")));
        peer.send(&http2::frame(http2::CONTINUATION, 0, 1, &[]).repeat(100_000));
    });
    assert_eq!(calmed, ATTACKERS);
    let both = refused(&locum, "header_frames") + refused(&locum, "header_block");
    assert_eq!(both, 2.0 * ATTACKERS as f64);
}

#[test]
fn frames_that_want_answers_are_not_answered_for_ever() {
    let (_upstream, locum) = good();
    // Nothing is read meanwhile, so that the answers wait.
    siege("PING", &locum, |peer| {
        let pings = http2::frame(http2::PING, 0, 0, &[0; 8]).repeat(1000);
        (0..100).for_each(|_| peer.send(&pings));
    });
    siege("SETTINGS", &locum, |peer| {
        let settings = http2::frame(http2::SETTINGS, 0, 0, &[]).repeat(1000);
        (0..100).for_each(|_| peer.send(&settings));
    });
    assert!(refused(&locum, "control_flood") > 0.0);
}

#[test]
fn frames_of_nothing_end_the_connection() {
    let (_upstream, locum) = good();
    let calmed = siege("empty DATA", &locum, |peer| {
        let mut fields = http2::get("/bad");
        fields[0].1 = "POST";
        peer.head(1, false, &fields);
        let empty = http2::frame(http2::DATA, 0, 1, &[]).repeat(1000);
        (0..100).for_each(|_| peer.send(&empty));
    });
    assert_eq!(calmed, ATTACKERS);
    assert_eq!(refused(&locum, "empty_data"), ATTACKERS as f64);
    let calmed = siege("PRIORITY", &locum, |peer| {
        let priority = http2::frame(http2::PRIORITY, 0, 1, &[0, 0, 0, 3, 1]).repeat(1000);
        (0..100).for_each(|_| peer.send(&priority));
    });
    assert_eq!(calmed, ATTACKERS);
    assert_eq!(refused(&locum, "useless_flood"), ATTACKERS as f64);
    let calmed = siege("frames of no known kind", &locum, |peer| {
        let unknown = http2::frame(0x7f, 0, 0, b"what?").repeat(1000);
        (0..100).for_each(|_| peer.send(&unknown));
    });
    assert_eq!(calmed, ATTACKERS);
    assert_eq!(refused(&locum, "useless_flood"), 2.0 * ATTACKERS as f64);
}

#[test]
fn a_head_is_measured_after_it_was_decompressed() {
    let (upstream, locum) = good();
    siege("heads that swell", &locum, |peer| {
        // 4,000 bytes are remembered once, and then said by a byte each (RFC 7541 §6.1).
        let mut head = http2::block(&http2::get("/bad"));
        head.extend([0x40, 1, b'x', 0x7f, 0xa1, 0x1e]);
        head.extend([b'v'; 4000]);
        peer.frame(http2::HEADERS, http2::END_HEADERS | http2::END_STREAM, 1, &head);
        for n in 1..100 {
            let mut head = http2::block(&http2::get("/bad"));
            head.extend([0xbe; 10_000]);
            peer.frame(http2::HEADERS, http2::END_HEADERS | http2::END_STREAM, 2 * n + 1, &head);
        }
        // They are refused one by one; one that is not is answered by nobody.
        peer.frame(http2::GOAWAY, 0, 0, &[0; 8]);
        let _ = peer.socket().shutdown(std::net::Shutdown::Write);
    });
    let seen = upstream.received();
    let bad = seen.iter().filter(|received| received.request.target == "/bad").count();
    assert!(bad <= ATTACKERS, "{bad} heads arrived");
}

#[test]
fn a_window_that_is_never_opened_holds_little() {
    let upstream = Upstream::start(|peer| {
        while let Some(request) = peer.request() {
            let body =
                if request.target == "/good" { b"ok".to_vec() } else { vec![b'x'; 256 << 10] };
            if peer
                .try_send(
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(),
                )
                .is_err()
                || peer.try_send(&body).is_err()
            {
                return;
            }
        }
    });
    // A thousand connections at once are more than the upstream's queue takes.
    let locum = Config::to(&upstream)
        .listener("limits = { write_stall = \"1s\" }")
        .upstream("pool = { connect_timeout = \"20s\" }")
        .start();
    siege("100 streams without a window each", &locum, |peer| {
        peer.frame(http2::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
        (0..100).for_each(|n| peer.get(2 * n + 1, "/bad"));
        // Until each was reset for being stalled.
        let mut left = 100;
        while left > 0
            && let Some(frame) = peer.read()
        {
            left -= usize::from(frame.kind == http2::RST_STREAM);
        }
        assert_eq!(left, 0);
        let _ = peer.socket().shutdown(std::net::Shutdown::Write);
    });
    eventually("nothing is left of them", || upstream.open() <= 2);
}

#[test]
fn a_client_that_stops_in_the_middle_of_a_head_is_left() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream).listener("limits = { header_timeout = \"500ms\" }").start();
    let mut preface = Http2::silent(locum.address("web"));
    preface.send(&http2::PREFACE[..10]);
    // Settings are answered before, as nothing may come between the parts of a head, or of a frame.
    let settled = || {
        let mut peer = Http2::connect(locum.address("web"));
        peer.until("SETTINGS", |frame| frame.kind == http2::SETTINGS && frame.flags == 0);
        peer
    };
    let (mut head, mut frame) = (settled(), settled());
    head.frame(http2::HEADERS, 0, 1, &http2::block(&http2::get("/")));
    frame.send(&[0, 0, 8]);
    assert_eq!(head.end(), Some((0, CALM)));
    assert_eq!(frame.end(), Some((0, CALM)));
    assert!(preface.drain().is_ok_and(|count| count > 0), "it is told that its head came too late");
    assert_eq!(refused(&locum, "timeout"), 3.0);
}

#[test]
fn a_client_that_never_acknowledges_our_settings_is_told_so() {
    let upstream = Upstream::start(script::answers("ok"));
    let config = Config::to(&upstream);
    let locum = config.listener("limits = { http2 = { settings_timeout = \"300ms\" } }").start();
    let mut peer = Http2::silent(locum.address("web"));
    peer.send(http2::PREFACE);
    peer.frame(http2::SETTINGS, 0, 0, &[]);
    eventually("it is counted", || refused(&locum, "settings_timeout") == 1.0);
    assert_eq!(peer.end(), Some((0, SETTINGS_TIMEOUT)));
}

#[test]
fn a_client_that_only_asks_whether_we_are_there_is_idle() {
    let upstream = Upstream::start(script::answers("ok"));
    let locum = Config::to(&upstream).listener("limits = { idle = \"300ms\" }").start();
    let mut peer = Http2::connect(locum.address("web"));
    peer.get(1, "/");
    assert_eq!(peer.body(1), b"ok");
    let mut pongs = 0;
    let last = loop {
        peer.frame(http2::PING, 0, 0, b"are you?");
        match peer.read() {
            Some(frame) if frame.kind == http2::PING => pongs += 1,
            Some(frame) if frame.kind == http2::GOAWAY => break frame.goes_away(),
            Some(_) => {}
            None => panic!("it is told that the connection ends"),
        }
    };
    assert_eq!(last, (1, 0));
    assert!(pongs > 0, "meanwhile it is answered");
}
