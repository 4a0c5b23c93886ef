//! Who gives way where there is not room for all.

use locum_testkit::{Client, Connection, Gate, Locum, Upstream, eventually};

use crate::setup::Config;

#[test]
fn what_a_field_says_decides_who_is_shed() {
    let (upstream, gate) = gated();
    let locum = Config::to(&upstream)
        .policy("concurrency = { max = 1, queue = 1, priority = \"header:x-priority\" }")
        .start();
    let ask = |priority: &str| {
        let mut client = locum.client();
        client.send(format!("GET / HTTP/1.1\r\nHost: a.test\r\nX-Priority: {priority}\r\n\r\n"));
        client
    };
    the_lowest_is_shed(&locum, &upstream, &gate, ask("1"), || ask("0"), || ask("3"));
}

#[test]
fn what_a_route_says_decides_who_is_shed() {
    let (upstream, gate) = gated();
    let locum = Config::to(&upstream)
        .policy("concurrency = { max = 1, queue = 1 }")
        .and(
            "[[routes]]\nmatch = { path = \"/batch\" }\nupstream = \"up\"\npolicy = \"careful\"\npriority = 0\n\
             [[routes]]\nmatch = { path = \"/pay\" }\nupstream = \"up\"\npolicy = \"careful\"\npriority = 3",
        )
        .start();
    let ask = |path: &str| {
        let mut client = locum.client();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n"));
        client
    };
    the_lowest_is_shed(&locum, &upstream, &gate, ask("/"), || ask("/batch"), || ask("/pay"));
}

/// One call is in flight; one of low priority waits, and goes when one of high priority comes.
fn the_lowest_is_shed(
    locum: &Locum,
    upstream: &Upstream,
    gate: &Gate,
    mut first: Client,
    low: impl Fn() -> Client,
    high: impl Fn() -> Client,
) {
    eventually("the first is in flight", || upstream.deliveries() == 1);
    let mut low = low();
    eventually("one waits", || locum.metric("locum_queue_depth", &[("policy", "careful")]) == 1.0);
    let mut high = high();
    let shed = low.response("GET").unwrap();
    assert_eq!((shed.status, &shed.json()["reason"]), (503, &"overloaded".into()));
    gate.open(2);
    assert_eq!(first.response("GET").unwrap().status, 200);
    assert_eq!(high.response("GET").unwrap().status, 200);
    assert_eq!(upstream.deliveries(), 2);
}

/// An upstream that answers each request when the gate lets it.
fn gated() -> (Upstream, Gate) {
    let gate = Gate::new();
    let upstream = Upstream::start({
        let gate = gate.clone();
        move |peer: &mut Connection| {
            while let Some(request) = peer.request() {
                gate.wait();
                peer.answer(&request, b"ok");
            }
        }
    });
    (upstream, gate)
}
