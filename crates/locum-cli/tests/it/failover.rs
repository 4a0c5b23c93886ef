//! Calls that go to another upstream while their own cannot take them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use locum_testkit::{Gate, Load, Locum, Upstream, eventually, refused, script};

use crate::health::{Checked, HEALTH, endpoint_is_up};
use crate::setup::{Config, demo};

/// In front of some endpoints, with another upstream after them.
fn in_front_of(checked: &[Checked], other: &Upstream) -> Config {
    let other = other.address();
    Config::to_addresses(checked.iter().map(Checked::address))
        .upstream("failover = \"other\"")
        .and(&format!("[upstreams.other]\nendpoints = [\"{other}\"]"))
}

fn failovers(locum: &Locum) -> f64 {
    locum.metric("locum_upstream_failovers_total", &[("upstream", "up")])
}

#[test]
fn calls_go_to_another_upstream_while_all_endpoints_are_down() {
    let own = ["a", "b"].map(Checked::start);
    let other = Upstream::start(script::answers("other"));
    let locum = in_front_of(&own, &other).upstream(HEALTH).start();
    let load = Load::get(locum.address("web"), "/").clients(2);
    let (report, ()) = load.during(|| {
        own[0].be(false);
        eventually("one is down", || !endpoint_is_up(&locum, own[0].address()));
        assert_eq!((locum.get("/").text(), failovers(&locum)), ("b".to_owned(), 0.0));
        own[1].be(false);
        eventually("the other is, too", || !endpoint_is_up(&locum, own[1].address()));
        assert!((0..10).all(|_| locum.get("/").text() == "other"));
        assert!(failovers(&locum) >= 10.0);
        own[1].be(true);
        eventually("it is up again", || endpoint_is_up(&locum, own[1].address()));
        assert!((0..10).all(|_| locum.get("/").text() == "b"));
    });
    assert_eq!((report.failed(), report.closed_idle), (0, 0), "{report:?}");
    let calls = [("upstream", "other"), ("outcome", "success")];
    assert!(locum.metric("locum_calls_total", &calls) >= 10.0, "they count where they went");
}

#[test]
fn open_breakers_send_calls_to_another_upstream() {
    for per in ["endpoint", "upstream"] {
        let failing = Upstream::start(script::says("500 Internal Server Error"));
        let other = Upstream::start(script::answers("other"));
        let locum = Config::to(&failing)
            .upstream("failover = \"other\"")
            .policy(&format!("breaker = {{ per = \"{per}\", min_calls = 2, wait = \"60s\" }}"))
            .and(&format!("[upstreams.other]\nendpoints = [\"{}\"]", other.address()))
            .start();
        eventually(per, || locum.get("/").text() == "other");
        assert!((0..10).all(|_| locum.get("/").text() == "other"), "{per}");
    }
}

#[test]
fn while_its_own_is_probed_the_other_calls_go_to_another_upstream() {
    for per in ["upstream", "endpoint"] {
        let gate = Gate::new();
        // It fails until its breaker has opened, and then takes its time.
        let own = Upstream::start({
            let (gate, seen) = (gate.clone(), AtomicUsize::new(0));
            move |peer| {
                while let Some(request) = peer.request() {
                    if seen.fetch_add(1, Ordering::SeqCst) < 2 {
                        peer.answer_with(&request, "500 Internal Server Error", &[], b"");
                        continue;
                    }
                    gate.wait();
                    peer.answer(&request, b"own");
                }
            }
        });
        let other = Upstream::start(script::answers("other"));
        let locum = Config::to(&own)
            .upstream("failover = \"other\"")
            .policy(&format!(
                "breaker = {{ per = \"{per}\", min_calls = 2, wait = \"300ms\", jitter = 0, ramp = \"0s\", \
                 half_open = {{ concurrency = 1, required = 1, lease = \"60s\" }} }}"
            ))
            .and(&format!("[upstreams.other]\nendpoints = [\"{}\"]", other.address()))
            .start();
        assert_eq!([(); 2].map(|()| locum.get("/").status), [500, 500]);
        thread::scope(|scope| {
            let open = OpenOnDrop(&gate);
            // Whoever comes once the wait is over probes; the others are answered meanwhile.
            let probing = scope.spawn(|| {
                let mut text = "other".to_owned();
                while text == "other" {
                    text = locum.get("/").text();
                }
                text
            });
            eventually("somebody probes", || own.deliveries() == 3);
            for _ in 0..20 {
                assert_eq!(locum.get("/").text(), "other", "{per}");
            }
            drop(open);
            assert_eq!(probing.join().unwrap(), "own");
        });
        // What a probe came to is settled once its caller has the answer.
        eventually("it is closed again", || locum.get("/").text() == "own");
        locum.counts("locum_calls_total", &[("outcome", "rejected")], 0.0);
    }
}

/// Lets the scripts go on, whatever happens.
struct OpenOnDrop<'a>(&'a Gate);

impl Drop for OpenOnDrop<'_> {
    fn drop(&mut self) {
        self.0.open(1000);
    }
}

#[test]
fn without_anybody_who_can_take_it_a_call_stays_where_it_belongs() {
    let own = [Checked::start("a")];
    let other = Checked::start("other");
    let locum = in_front_of(&own, &other.upstream)
        .upstream(HEALTH)
        .and(&format!("{HEALTH}\nfailover = \"third\""))
        .and(&format!("[upstreams.third]\nendpoints = [\"{}\"]\n{HEALTH}", refused()))
        .start();
    own[0].be(false);
    eventually("the first is down", || !endpoint_is_up(&locum, own[0].address()));
    eventually("the second takes calls", || locum.get("/").text() == "other");
    other.be(false);
    eventually("nobody does", || locum.get("/").status == 503);
    let refused = locum.get("/").json();
    assert_eq!(refused["detail"], "no endpoint of upstream \"up\" is usable", "{refused}");
}

#[test]
fn remote_calls_go_to_another_upstream_too() {
    let backend = demo();
    let nobody = refused();
    let locum = Config::calls_to("gob", [nobody])
        .upstream("failover = \"other\"")
        .upstream("health = { every = \"50ms\", timeout = \"10s\", unhealthy = 1 }")
        .and(&format!("[upstreams.other]\nendpoints = [\"gob://{}\"]", backend.address("rpc")))
        .start();
    eventually("nobody listens", || !endpoint_is_up(&locum, nobody));
    let asked = ["call", &locum.address("rpc").to_string(), "Arith.Multiply", "{\"A\":7,\"B\":8}"];
    let called = locum_testkit::run_to_end(crate::setup::binary(), &asked);
    assert_eq!(called.output.trim(), "56", "{}", called.errors);
}
