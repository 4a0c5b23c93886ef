//! Answers that say when to come back, and retries that obey them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use locum_testkit::clock::now;
use locum_testkit::{Connection, Upstream};

use crate::setup::Config;

const RETRIES: &str = "timeout = \"2s\"\nretry = { attempts = 2, base = \"1ms\" }";

#[test]
fn a_retry_waits_as_long_as_it_is_asked_to() {
    let upstream = refuses_once("grpc-retry-pushback-ms", "300");
    let locum = Config::to(&upstream).policy(RETRIES).start();
    let begin = now();
    assert_eq!(locum.get("/").status, 200);
    assert!(begin.elapsed() >= Duration::from_millis(300), "{:?}", begin.elapsed());
    assert_eq!(upstream.deliveries(), 2);
}

#[test]
fn a_wait_that_passes_the_deadline_is_not_begun() {
    for after in ["60", "Thu, 31 Dec 2099 23:59:59 GMT"] {
        let upstream = refuses_once("Retry-After", after);
        let locum = Config::to(&upstream).policy(RETRIES).start();
        let begin = now();
        let answer = locum.get("/");
        assert_eq!((answer.status, answer.headers.get("retry-after")), (503, Some(after)));
        assert!(begin.elapsed() < Duration::from_millis(1_900), "{after}: {:?}", begin.elapsed());
        assert_eq!(upstream.deliveries(), 1, "{after}");
    }
}

#[test]
fn a_date_that_has_passed_asks_for_no_wait() {
    let upstream = refuses_once("Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT");
    let locum = Config::to(&upstream).policy(RETRIES).start();
    assert_eq!(locum.get("/").status, 200);
    assert_eq!(upstream.deliveries(), 2);
}

#[test]
fn a_negative_pushback_asks_for_no_retry() {
    let upstream = refuses_once("grpc-retry-pushback-ms", "-1");
    let locum = Config::to(&upstream).policy(RETRIES).start();
    assert_eq!(locum.get("/").status, 503);
    assert_eq!(upstream.deliveries(), 1);
    let kept = [("kind", "retry"), ("decision", "reject"), ("reason", "pushback")];
    locum.counts("locum_policy_decisions_total", &kept, 1.0);
}

/// Answers 503 with that field until one request was refused, then 200.
fn refuses_once(name: &'static str, value: &'static str) -> Upstream {
    let refused = AtomicBool::new(false);
    Upstream::start(move |peer: &mut Connection| {
        while let Some(request) = peer.request() {
            if refused.swap(true, Ordering::SeqCst) {
                peer.answer(&request, b"ok");
            } else {
                peer.answer_with(&request, "503 Service Unavailable", &[(name, value)], b"no");
            }
        }
    })
}
